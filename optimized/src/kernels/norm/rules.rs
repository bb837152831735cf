//! What becomes of each element. Numbers are those of the departures that the parent file lists.

use super::Moments;
use crate::counters::Counter;
use crate::kernels::elementwise::{Map, Zip};
use crate::simd::{Group, Lanes, Simd};

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
    pub(super) fn of<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        x - self.high - self.low // 3
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

/// The last product is rounded together with the sum, where there is a fused multiply-add.
impl<T: Lanes> Map<T> for Normalisation<T> {
    const COUNTER: Counter = Counter::BatchNorm2dByPass;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        let centred = self.centre.of(x);
        match self.factors {
            (factor, one) if one == T::ONE => centred.multiply_add(factor, self.bias),
            (a, b) => (centred * a).multiply_add(b, self.bias),
        }
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

/// From x and g.
impl<T: Lanes> Zip<T> for Slope<T> {
    const COUNTER: Counter = Counter::BatchNorm2dByPass;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        match self {
            Self::Constant { factors } => g * factors.0 * factors.1,
            Self::Batch { centre, mean_g, projection, factors } => {
                let along = centre.of(x) * projection.0 * projection.1;
                (g - mean_g - along) * factors.0 * factors.1
            }
        }
    }
}
