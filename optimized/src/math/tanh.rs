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
use crate::simd::{Group, Isa, LONG, Lanes, Simd};
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
pub fn tanh_of_any<T: HyperbolicTangent, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    let (one, size) = (x.full(T::ONE), x.absolute());
    let fused = Isa::of::<S>() != Isa::Scalar;
    let square = x * x;
    let near = (x * square).multiply_add(polynomial(T::TANH, square), x); // 1

    let within = size.at_most(T::ONE_ABOVE); // 4
    let Reduced { shifted, r, dropped } = reduced(within + within); // 3
    let sum = one + r;
    let tail = r - (sum - one) + beyond_first_order(r);
    let tail = dropped.multiply_add(sum, tail);
    let high = sum + tail;
    let low = tail - (high - sum);
    let half_power = shifted.half_power_of_two();
    let power = half_power + half_power;
    let (high, low) = (power * high, power * low);
    let below = high + one;
    let below_low = one - (below - high) + low;
    let w = x.full(T::TWO) / below; // 2
    // With the remainder ρ = 2 − w·d, 2/(d + δ) = w + (ρ − w·δ)/d, and 1/d = w/2.
    let half = w * T::HALF;
    let correction = if fused {
        let minus_remainder = w.multiply_add(below, -T::TWO);
        half * w.multiply_add(below_low, minus_remainder) // 5
    } else {
        half * w * below_low
    };
    let difference = one - w;
    let lost = one - difference - w;
    let far = difference + (lost + correction);
    let far = x.where_less(T::ZERO, -far, far);
    let bound = if fused { T::FUSED_BOUND } else { T::BOUND };
    let y = size.where_less(bound, near, far);
    square.where_less_or_equal(T::ZERO, x, y) // keeps −0
}

/// tanh x.
#[derive(Clone, Copy)]
pub struct Tanh;

impl<T: HyperbolicTangent> Map<T> for Tanh {
    const COUNTER: Counter = Counter::Tanh;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        tanh_of_any(x)
    }
}

/// g·(1 − y²), from the output y.
#[derive(Clone, Copy)]
pub struct TanhBackward;

impl<T: Lanes> Zip<T> for TanhBackward {
    const COUNTER: Counter = Counter::Tanh;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, y: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        g * (-y).multiply_add(y, T::ONE)
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
