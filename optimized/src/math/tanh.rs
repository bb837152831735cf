//! tanh x, and its derivative.
//!
//! The plain loop is `for x in xs { y = x.tanh() }`. We depart from it:
//! 1. below a bound, tanh x = x + x³·p(x²), p near-minimax (its error is below 0.03 ulp);
//! 2. above it, tanh |x| = 1 − w with w = 2/(e^2|x| + 1) ≤ ½: what is lost of w counts half or less;
//! 3. what rounding drops of e^2|x|, of the sum and of the difference is kept, so that little but the division and the last
//!    addition round at the scale of the result;
//! 4. no lane branches: both are computed, and one is chosen; where tanh is 1, a smaller |x| takes its place;
//! 5. a fused multiply-add knows what the division leaves, too, so that the last addition alone rounds, and the bound is a
//!    smaller one: the power series rounds more often.

use super::exp::{Exp, Reduced, beyond_first_order, reduced};
use super::{apply, polynomial};
use crate::Float;
use crate::counters::Counter;
use crate::kernels::elementwise::{FUNCTION_TASK, Map, Zip};
use crate::simd::{Isa, Lanes, Simd};
use vocabulary::Result;

/// The largest error of [`tanh`] in `f32`, in units in the last place of the exact result, at any instruction set: proven over all
/// 2³² inputs by `cargo run --release -p conformance --example function_errors`.
pub const TANH_ULPS_F32: f64 = 0.85;

/// The largest error of [`tanh`] in `f64`, in units in the last place of the exact result, at any instruction set: measured on a
/// million inputs by `cargo run --release -p conformance --example function_errors`.
pub const TANH_ULPS_F64: f64 = 0.85;

/// Constants of the method, for each element type.
pub trait HyperbolicTangent: Exp {
    /// p, the highest power first, for |x| < `BOUND`.
    const TANH: &'static [Self];
    const BOUND: Self;
    /// The same, where there is a fused multiply-add.
    const FUSED_BOUND: Self;
    /// From here on tanh is 1.
    const ONE_ABOVE: Self;
}

impl HyperbolicTangent for f32 {
    const TANH: &'static [Self] = &[-6.282_473_4e-3, 2.107_775_8e-2, -5.385_386e-2, 1.333_260_2e-1, -3.333_332e-1];
    const BOUND: Self = 0.55;
    const FUSED_BOUND: Self = 0.25;
    const ONE_ABOVE: Self = 10.0;
}

impl HyperbolicTangent for f64 {
    const TANH: &'static [Self] = &[
        -1.952_102_388_365_906_3e-5,
        8.336_006_336_732_568e-5,
        -2.334_127_246_497_392_8e-4,
        5.884_570_477_717_432e-4,
        -1.455_545_983_843_261e-3,
        3.592_092_532_523_271_4e-3,
        -8.863_232_652_789_954e-3,
        2.186_948_838_910_373_5e-2,
        -5.396_825_396_387_865e-2,
        1.333_333_333_332_683_3e-1,
        -3.333_333_333_333_33e-1,
    ];
    const BOUND: Self = 0.55;
    const FUSED_BOUND: Self = 0.25;
    const ONE_ABOVE: Self = 20.0;
}

/// tanh of each lane, for any x.
#[inline(always)]
pub fn tanh_of_any<T: HyperbolicTangent, S: Simd>(s: S, x: T::Register<S>) -> T::Register<S> {
    let constant = |c| T::splat(s, c);
    let (one, size) = (constant(T::ONE), T::absolute(s, x));
    let fused = Isa::of::<S>() != Isa::Scalar;
    let square = T::times(s, x, x);
    let near = T::multiply_add(s, T::times(s, x, square), polynomial(s, T::TANH, square), x); // 1

    let most = constant(T::ONE_ABOVE);
    let within = T::smaller(s, most, size); // 4
    let Reduced { shifted, r, dropped } = reduced::<T, S>(s, T::plus(s, within, within)); // 3
    let sum = T::plus(s, one, r);
    let tail = T::plus(s, T::minus(s, r, T::minus(s, sum, one)), beyond_first_order::<T, S>(s, r));
    let tail = T::multiply_add(s, dropped, sum, tail);
    let high = T::plus(s, sum, tail);
    let low = T::minus(s, tail, T::minus(s, high, sum));
    let half_power = T::half_power_of_two(s, shifted);
    let power = T::plus(s, half_power, half_power);
    let (high, low) = (T::times(s, power, high), T::times(s, power, low));
    let below = T::plus(s, high, one);
    let below_low = T::plus(s, T::minus(s, one, T::minus(s, below, high)), low);
    let w = T::over(s, constant(T::TWO), below); // 2
    // With the remainder ρ = 2 − w·d, 2/(d + δ) = w + (ρ − w·δ)/d, and 1/d = w/2.
    let half = T::times(s, constant(T::HALF), w);
    let correction = if fused {
        let minus_remainder = T::multiply_add(s, w, below, constant(-T::TWO));
        T::times(s, half, T::multiply_add(s, w, below_low, minus_remainder)) // 5
    } else {
        T::times(s, T::times(s, half, w), below_low)
    };
    let difference = T::minus(s, one, w);
    let lost = T::minus(s, T::minus(s, one, difference), w);
    let far = T::plus(s, difference, T::plus(s, lost, correction));
    let far = T::where_less(s, (x, constant(T::ZERO)), T::negated(s, far), far);
    let bound = if fused { T::FUSED_BOUND } else { T::BOUND };
    let y = T::where_less(s, (size, constant(bound)), near, far);
    T::where_less_or_equal(s, (square, constant(T::ZERO)), x, y) // keeps −0
}

/// tanh x.
#[derive(Clone, Copy)]
pub struct Tanh;

impl<T: HyperbolicTangent> Map<T> for Tanh {
    const COUNTER: Counter = Counter::Tanh;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        tanh_of_any::<T, S>(s, x)
    }
}

/// g·(1 − y²), from the output y.
#[derive(Clone, Copy)]
pub struct TanhBackward;

impl<T: Lanes> Zip<T> for TanhBackward {
    const COUNTER: Counter = Counter::Tanh;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, y: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        T::times(s, g, T::multiply_add(s, T::negated(s, y), y, T::splat(s, T::ONE)))
    }
}

/// The hyperbolic tangent of each element, with an error of at most [`TANH_ULPS_F32`] or [`TANH_ULPS_F64`].
///
/// It keeps NaN and the sign of zero; that of ±∞ is ±1.
///
/// # Errors
/// Where the machine lacks `isa`, or `output` is not as long as `input`.
///
/// ```
/// use optimized::{Isa, math};
/// let mut y = [0.0_f32; 3];
/// math::tanh(Isa::best(), &[1e-20, f32::NEG_INFINITY, f32::INFINITY], &mut y)?;
/// assert_eq!(y, [1e-20, -1.0, 1.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
pub fn tanh<T: Float>(isa: Isa, input: &[T], output: &mut [T]) -> Result<()> {
    apply("tanh", Tanh, isa, input, output)
}
