//! eˣ − 1.
//!
//! The plain loop is `for x in xs { y = x.exp_m1() }`. We depart from it:
//! 1. as for eˣ, x = n·ln 2 + r; what rounding drops of r is kept, as 1 may cancel what it is small beside;
//! 2. eʳ − 1 = r + r²·p(r), in two parts, so that eˣ − 1 = (2ⁿ − 1) + 2ⁿ·(eʳ − 1) is rounded once at the scale of the result;
//! 3. all of it is halved, so that 2ⁿ⁻¹ is a number for the largest results, too;
//! 4. no lane branches: far below 0 a larger x takes its place, which gives −1 as well; above the range, infinity is chosen, and
//!    x itself where x² vanishes, which keeps the sign of zero.

use super::apply;
use super::exp::{Exp, Reduced, beyond_first_order, reduced};
use crate::Float;
use crate::counters::Counter;
use crate::kernels::elementwise::{FUNCTION_TASK, Map};
use crate::simd::{Isa, Simd};
use vocabulary::Result;

/// The largest error of [`exp_m1`] in `f32`, in units in the last place of the exact result, at any instruction set: proven over
/// all 2³² inputs by `cargo run --release -p conformance --example function_errors`.
pub const EXP_M1_ULPS_F32: f64 = 0.85;

/// The largest error of [`exp_m1`] in `f64`, in units in the last place of the exact result, at any instruction set: measured on a
/// million inputs by `cargo run --release -p conformance --example function_errors`.
pub const EXP_M1_ULPS_F64: f64 = 0.85;

/// eˣ − 1 of each lane, for any x.
#[inline(always)]
pub fn exp_m1_of_any<T: Exp, S: Simd>(s: S, x: T::Register<S>) -> T::Register<S> {
    let constant = |c| T::splat(s, c);
    let zero = constant(T::ZERO);
    let (least, beyond) = (constant(T::MINUS_ONE_BELOW), constant(T::BEYOND));
    let within = T::larger(s, least, x); // 4
    let within = T::smaller(s, beyond, within);
    let Reduced { shifted, r, dropped } = reduced::<T, S>(s, within); // 1
    let curve = beyond_first_order::<T, S>(s, r);
    let high = T::plus(s, r, curve); // 2
    let low = T::minus(s, curve, T::minus(s, high, r));
    let low = T::plus(s, low, T::multiply_add(s, dropped, high, dropped));
    let power = T::half_power_of_two(s, shifted); // 3
    let (a, lost_of_a) = sum_and_lost::<T, S>(s, power, constant(-T::HALF));
    let (sum, lost) = sum_and_lost::<T, S>(s, a, T::times(s, power, high));
    let lost = T::plus(s, lost, lost_of_a);
    let halved = T::plus(s, sum, T::multiply_add(s, power, low, lost));
    let y = T::plus(s, halved, halved);
    let y = T::where_less(s, (constant(T::HIGHEST), x), constant(T::INFINITY), y); // 4
    T::where_less_or_equal(s, (T::times(s, x, x), zero), x, y)
}

/// a + b, rounded, and what that drops.
#[inline(always)]
fn sum_and_lost<T: Exp, S: Simd>(s: S, a: T::Register<S>, b: T::Register<S>) -> (T::Register<S>, T::Register<S>) {
    let sum = T::plus(s, a, b);
    let of_b = T::minus(s, sum, a);
    (sum, T::plus(s, T::minus(s, a, T::minus(s, sum, of_b)), T::minus(s, b, of_b)))
}

#[derive(Clone, Copy)]
struct EveryExpM1;

impl<T: Exp> Map<T> for EveryExpM1 {
    const COUNTER: Counter = Counter::ExpM1;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        exp_m1_of_any::<T, S>(s, x)
    }
}

/// eˣ − 1 of each element, with an error of at most [`EXP_M1_ULPS_F32`] or [`EXP_M1_ULPS_F64`].
///
/// It keeps NaN and the sign of zero; that of ∞ is ∞, that of −∞ is −1.
///
/// # Errors
/// Where the machine lacks `isa`, or `output` is not as long as `input`.
///
/// ```
/// use optimized::{Isa, math};
/// let mut y = [0.0_f32; 3];
/// math::exp_m1(Isa::best(), &[1e-20, f32::NEG_INFINITY, f32::INFINITY], &mut y)?;
/// assert_eq!(y, [1e-20, -1.0, f32::INFINITY]);
/// # Ok::<(), optimized::Error>(())
/// ```
pub fn exp_m1<T: Float>(isa: Isa, input: &[T], output: &mut [T]) -> Result<()> {
    apply("exp_m1", EveryExpM1, isa, input, output)
}
