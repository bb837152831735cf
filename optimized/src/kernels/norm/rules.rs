//! What becomes of each element. Numbers are those of the departures that the parent file lists.

use super::Moments;
use crate::simd::{Lanes, Simd};

/// ε, the weight and the bias.
#[derive(Clone, Copy)]
pub struct Affine<'a, T> {
    pub eps: f64,
    pub weight: Option<&'a [T]>,
    pub bias: Option<&'a [T]>,
}

/// μ in two parts: x − μ = (x − high) − low.
#[derive(Clone, Copy)]
pub(super) struct Centre<T> {
    high: T,
    low: T,
}

impl<T: Lanes> Centre<T> {
    pub(super) fn new(mean: f64) -> Self {
        let high = T::narrow(mean);
        // An infinite mean has no second part.
        let low = if high.magnitude() <= T::MAX { T::narrow(mean - high.widen()) } else { T::ZERO };
        Self { high, low }
    }

    #[inline(always)]
    pub(super) fn of(self, x: T) -> T {
        (x - self.high) - self.low // 3
    }
}

/// `a·b` as one factor and 1 where it is a normal number, so that it may be rounded before it is used; both as they are
/// where it is not.
pub(super) fn joined<T: Lanes>(a: f64, b: f64) -> (T, T) {
    let product = T::narrow(a * b);
    let safe = product.magnitude() >= T::SMALLEST_NORMAL && product.magnitude() <= T::MAX;
    if safe { (product, T::ONE) } else { (T::narrow(a), T::narrow(b)) } // 4
}

/// `y = (x − μ)·factors.0·factors.1 + bias`.
#[derive(Clone, Copy)]
pub(super) struct Normalisation<T> {
    centre: Centre<T>,
    factors: (T, T),
    bias: T,
}

impl<T: Lanes> Affine<'_, T> {
    pub(super) fn inverse_deviation(&self, moments: Moments) -> f64 {
        1.0 / (moments.variance + self.eps).sqrt()
    }

    pub(super) fn weight(&self, channel: usize) -> f64 {
        self.weight.map_or(1.0, |weight| weight[channel].widen())
    }

    pub(super) fn normalisation(&self, channel: usize, moments: Moments) -> Normalisation<T> {
        Normalisation {
            centre: Centre::new(moments.mean),
            factors: joined(self.inverse_deviation(moments), self.weight(channel)),
            // Adding −0 changes nothing, not even the sign of a zero.
            bias: self.bias.map_or(-T::ZERO, |bias| bias[channel]),
        }
    }
}

impl<T: Lanes> Normalisation<T> {
    /// Of a register; the last product is rounded together with the sum, where there is a fused multiply-add.
    #[inline(always)]
    fn of<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        let constant = |c| T::splat(s, c);
        let centred = T::minus(s, T::minus(s, x, constant(self.centre.high)), constant(self.centre.low)); // 3
        match self.factors {
            (factor, one) if one == T::ONE => T::multiply_add(s, centred, constant(factor), constant(self.bias)),
            (a, b) => T::multiply_add(s, T::times(s, centred, constant(a)), constant(b), constant(self.bias)),
        }
    }
}

#[inline(always)]
pub(super) fn normalise<T: Lanes, S: Simd>(s: S, x: &[T], y: &mut [T], how: Normalisation<T>) {
    let ((x, x_rest), (y, y_rest)) = (T::registers::<S>(x), T::registers_mut::<S>(y));
    for (x, y) in x.iter().zip(y) {
        *y = how.of(s, *x);
    }
    if !x_rest.is_empty() {
        T::store_partial(s, y_rest, how.of(s, T::load_partial(s, x_rest)));
    }
}

#[inline(always)]
pub(super) fn normalise_in_place<T: Lanes, S: Simd>(s: S, elements: &mut [T], how: Normalisation<T>) {
    let (registers, rest) = T::registers_mut::<S>(elements);
    for x in registers {
        *x = how.of(s, *x);
    }
    if !rest.is_empty() {
        let y = how.of(s, T::load_partial(s, rest));
        T::store_partial(s, rest, y);
    }
}

/// The gradient of a channel's input.
#[derive(Clone, Copy)]
pub(super) enum Slope<T> {
    /// `(g − mean_g − (x − μ)·projection.0·projection.1)·factors.0·factors.1`.
    Batch { centre: Centre<T>, mean_g: T, projection: (T, T), factors: (T, T) },
    /// `g·factors.0·factors.1`.
    Constant { factors: (T, T) },
}

#[inline(always)]
pub(super) fn differentiate<T: Lanes>(x: &[T], g: &[T], dx: &mut [T], how: Slope<T>) {
    match how {
        Slope::Constant { factors } => {
            for (dx, g) in dx.iter_mut().zip(g) {
                *dx = (*g * factors.0) * factors.1;
            }
        }
        Slope::Batch { centre, mean_g, projection, factors } => {
            for ((x, g), dx) in x.iter().zip(g).zip(dx) {
                let along = (centre.of(*x) * projection.0) * projection.1;
                *dx = ((*g - mean_g - along) * factors.0) * factors.1;
            }
        }
    }
}
