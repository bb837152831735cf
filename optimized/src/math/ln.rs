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
use crate::simd::{Isa, Simd};
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
fn logarithm<T: Ln, S: Simd>(s: S, x: T::Register<S>, k: T::Register<S>, c: T::Register<S>) -> T::Register<S> {
    let constant = |c| T::splat(s, c);
    let (power, m) = T::power_and_rest(s, x); // 1
    let (k, f) = (T::plus(s, power, k), T::minus(s, m, constant(T::ONE)));
    let ratio = T::over(s, f, T::plus(s, constant(T::TWO), f)); // 2
    let square = T::times(s, ratio, ratio);
    let bend = T::times(s, square, polynomial(s, T::ARTANH, square));
    let half_square = T::times(s, T::times(s, constant(T::HALF), f), f);
    let small = T::multiply_add(s, k, constant(T::LN_2_LOW), c); // 3
    let small = T::multiply_add(s, ratio, T::plus(s, half_square, bend), small);
    let of_m = T::minus(s, T::minus(s, half_square, small), f);
    T::minus(s, T::times(s, k, constant(T::LN_2_HIGH)), of_m)
}

/// ln x of each lane, for any x.
#[inline(always)]
pub fn ln_of_any<T: Ln, S: Simd>(s: S, x: T::Register<S>) -> T::Register<S> {
    let constant = |c| T::splat(s, c);
    let (zero, smallest) = (constant(T::ZERO), constant(T::SMALLEST_NORMAL));
    let raised = T::where_less(s, (x, smallest), T::times(s, x, constant(T::RAISE.0)), x);
    let k = T::where_less(s, (x, smallest), constant(-T::RAISE.1), zero);
    let y = logarithm::<T, S>(s, raised, k, zero);
    let y = T::where_less(s, (x, constant(T::INFINITY)), y, x); // 5
    let y = T::where_less_or_equal(s, (x, zero), constant(-T::INFINITY), y);
    T::where_less(s, (x, zero), constant(T::NAN), y)
}

/// ln(1 + x) of each lane, for any x.
#[inline(always)]
pub fn ln_1p_of_any<T: Ln, S: Simd>(s: S, x: T::Register<S>) -> T::Register<S> {
    let constant = |c| T::splat(s, c);
    let (zero, one) = (constant(T::ZERO), constant(T::ONE));
    let sum = T::plus(s, one, x);
    let of_x = T::minus(s, sum, one);
    let dropped = T::plus(s, T::minus(s, x, of_x), T::minus(s, one, T::minus(s, sum, of_x)));
    let y = logarithm::<T, S>(s, sum, zero, T::over(s, dropped, sum)); // 4
    let y = T::where_less(s, (x, constant(T::INFINITY)), y, x); // 5
    let y = T::where_less_or_equal(s, (x, constant(-T::ONE)), constant(-T::INFINITY), y);
    let y = T::where_less(s, (x, constant(-T::ONE)), constant(T::NAN), y);
    T::where_less_or_equal(s, (T::times(s, x, x), zero), x, y)
}

#[derive(Clone, Copy)]
struct EveryLn;

impl<T: Ln> Map<T> for EveryLn {
    const COUNTER: Counter = Counter::Ln;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        ln_of_any::<T, S>(s, x)
    }
}

#[derive(Clone, Copy)]
struct EveryLn1p;

impl<T: Ln> Map<T> for EveryLn1p {
    const COUNTER: Counter = Counter::Ln1p;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        ln_1p_of_any::<T, S>(s, x)
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
