//! ln x and ln(1 + x).
//!
//! The plain loop is `for x in xs { y = x.ln() }`. We depart from it:
//! 1. x = m·2ᵏ with m in [√½, √2), from the bits of x; so ln x = k·ln 2 + ln m;
//! 2. with f = m − 1 and s = f/(2 + f), ln m = 2 artanh s = f − ½f² + s·(½f² + s²·L(s²)): the largest term, f, is exact, and
//!    the others are small; L is near-minimax, of an error below 0.01 ulp;
//! 3. k·ln 2 is held in two parts, the first exact;
//! 4. for ln(1 + x), what rounding drops of 1 + x is kept, divided by 1 + x and added;
//! 5. no lane branches: results beyond the range are chosen at the end, by comparisons that leave NaN as it is.

use super::exp::Exp;
use super::{apply, polynomial};
use crate::Float;
use crate::counters::Counter;
use crate::kernels::elementwise::{FUNCTION_TASK, Map};
use crate::simd::{Group, Isa, LONG, Simd};
use vocabulary::Result;

/// The largest error of [`ln`] in `f32`, in units in the last place of the exact result, at any instruction set: proven over all
/// 2³² inputs by `cargo run --release -p conformance --example function_errors`.
pub const LN_ULPS_F32: f64 = 0.85;

/// The largest error of [`ln`] in `f64`, in units in the last place of the exact result, at any instruction set: measured on a
/// million inputs by `cargo run --release -p conformance --example function_errors`.
pub const LN_ULPS_F64: f64 = 0.9;

/// As [`LN_ULPS_F32`], of [`ln_1p`].
pub const LN_1P_ULPS_F32: f64 = 0.9;

/// As [`LN_ULPS_F64`], of [`ln_1p`].
pub const LN_1P_ULPS_F64: f64 = 0.9;

/// Constants of the method, for each element type.
pub trait Ln: Exp {
    /// L, the highest power first.
    const ARTANH: &'static [Self];
    /// A power of two that makes a subnormal number normal, and its logarithm to the base 2.
    const RAISE: (Self, Self);
    const NAN: Self;
}

impl Ln for f32 {
    const ARTANH: &'static [Self] = &[0.298_730_73, 0.399_774_97, 0.666_667_76];
    const RAISE: (Self, Self) = (16_777_216.0, 24.0);
    const NAN: Self = Self::NAN;
}

impl Ln for f64 {
    const ARTANH: &'static [Self] = &[
        0.147_975_074_081_123_48,
        0.153_139_032_774_477_97,
        0.181_835_697_385_704,
        0.222_221_984_760_109_04,
        0.285_714_287_432_624_3,
        0.399_999_999_994_110_96,
        0.666_666_666_666_673_5,
    ];
    const RAISE: (Self, Self) = (9_007_199_254_740_992.0, 53.0);
    const NAN: Self = Self::NAN;
}

/// ln x + k·ln 2 + c of positive normal x, where c is small beside the result, or all of it (x = 1).
#[inline(always)]
fn logarithm<T: Ln, S: Simd, const N: usize>(
    x: Group<T, S, N>,
    k: Group<T, S, N>,
    c: Group<T, S, N>,
) -> Group<T, S, N> {
    let (power, m) = x.power_and_rest(); // 1
    let (k, f) = (power + k, m - T::ONE);
    let ratio = f / (f + T::TWO); // 2
    let square = ratio * ratio;
    let bend = square * polynomial(T::ARTANH, square);
    let half_square = f * T::HALF * f;
    let small = k.multiply_add(T::LN_2_LOW, c); // 3
    let small = ratio.multiply_add(half_square + bend, small);
    k * T::LN_2_HIGH - (half_square - small - f)
}

/// ln x of each lane, for any x.
#[inline(always)]
pub fn ln_of_any<T: Ln, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    let zero = x.full(T::ZERO);
    let raised = x.where_less(T::SMALLEST_NORMAL, x * T::RAISE.0, x);
    let k = x.where_less(T::SMALLEST_NORMAL, -T::RAISE.1, zero);
    let y = logarithm(raised, k, zero);
    let y = x.where_less(T::INFINITY, y, x); // 5
    let y = x.where_less_or_equal(zero, -T::INFINITY, y);
    x.where_less(zero, T::NAN, y)
}

/// ln(1 + x) of each lane, for any x.
#[inline(always)]
pub fn ln_1p_of_any<T: Ln, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    let (zero, one) = (x.full(T::ZERO), x.full(T::ONE));
    let sum = one + x;
    let of_x = sum - one;
    let dropped = x - of_x + (one - (sum - of_x));
    let y = logarithm(sum, zero, dropped / sum); // 4
    let y = x.where_less(T::INFINITY, y, x); // 5
    let y = x.where_less_or_equal(-T::ONE, -T::INFINITY, y);
    let y = x.where_less(-T::ONE, T::NAN, y);
    (x * x).where_less_or_equal(zero, x, y)
}

#[derive(Clone, Copy)]
struct EveryLn;

impl<T: Ln> Map<T> for EveryLn {
    const COUNTER: Counter = Counter::Ln;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        ln_of_any(x)
    }
}

#[derive(Clone, Copy)]
struct EveryLn1p;

impl<T: Ln> Map<T> for EveryLn1p {
    const COUNTER: Counter = Counter::Ln1p;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        ln_1p_of_any(x)
    }
}

/// The natural logarithm of each element, with an error of at most [`LN_ULPS_F32`] or [`LN_ULPS_F64`].
///
/// ln 0 = −∞ and ln ∞ = ∞; of a negative number, and of NaN, it is NaN.
///
/// # Errors
/// Where the machine lacks `isa`, or `output` is not as long as `input`.
///
/// ```
/// use optimized::{Isa, math};
/// let mut y = [0.0_f32; 3];
/// math::ln(Isa::best(), &[1.0, 0.0, f32::INFINITY], &mut y)?;
/// assert_eq!(y, [0.0, f32::NEG_INFINITY, f32::INFINITY]);
/// # Ok::<(), optimized::Error>(())
/// ```
pub fn ln<T: Float>(isa: Isa, input: &[T], output: &mut [T]) -> Result<()> {
    apply("ln", EveryLn, isa, input, output)
}

/// ln(1 + x) of each element, with an error of at most [`LN_1P_ULPS_F32`] or [`LN_1P_ULPS_F64`].
///
/// It keeps NaN and the sign of zero; that of −1 is −∞, that of ∞ is ∞; below −1 it is NaN.
///
/// # Errors
/// Where the machine lacks `isa`, or `output` is not as long as `input`.
///
/// ```
/// use optimized::{Isa, math};
/// let mut y = [0.0_f64; 3];
/// math::ln_1p(Isa::best(), &[1e-20, -1.0, f64::INFINITY], &mut y)?;
/// assert_eq!(y, [1e-20, f64::NEG_INFINITY, f64::INFINITY]);
/// # Ok::<(), optimized::Error>(())
/// ```
pub fn ln_1p<T: Float>(isa: Isa, input: &[T], output: &mut [T]) -> Result<()> {
    apply("ln_1p", EveryLn1p, isa, input, output)
}
