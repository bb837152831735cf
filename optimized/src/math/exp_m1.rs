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
use crate::simd::{Group, Isa, LONG, Simd};
use vocabulary::Result;

/// The largest error of [`exp_m1`] in `f32`, in units in the last place of the exact result, at any instruction set: proven over
/// all 2³² inputs by `cargo run --release -p conformance --example function_errors`.
pub const EXP_M1_ULPS_F32: f64 = 0.85;

/// The largest error of [`exp_m1`] in `f64`, in units in the last place of the exact result, at any instruction set: measured on a
/// million inputs by `cargo run --release -p conformance --example function_errors`.
pub const EXP_M1_ULPS_F64: f64 = 0.85;

/// eˣ − 1 of each lane, for any x.
#[inline(always)]
pub fn exp_m1_of_any<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    let within = x.at_least(T::MINUS_ONE_BELOW).at_most(T::BEYOND); // 4
    let Reduced { shifted, r, dropped } = reduced(within); // 1
    let curve = beyond_first_order(r);
    let high = r + curve; // 2
    let low = curve - (high - r) + dropped.multiply_add(high, dropped);
    let power = shifted.half_power_of_two(); // 3
    let (a, lost_of_a) = sum_and_lost(power, power.full(-T::HALF));
    let (sum, lost) = sum_and_lost(a, power * high);
    let lost = lost + lost_of_a;
    let halved = sum + power.multiply_add(low, lost);
    let y = x.full(T::HIGHEST).where_less(x, T::INFINITY, halved + halved); // 4
    (x * x).where_less_or_equal(T::ZERO, x, y)
}

/// a + b, rounded, and what that drops.
#[inline(always)]
fn sum_and_lost<T: Exp, S: Simd, const N: usize>(
    a: Group<T, S, N>,
    b: Group<T, S, N>,
) -> (Group<T, S, N>, Group<T, S, N>) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, a - (sum - of_b) + (b - of_b))
}

#[derive(Clone, Copy)]
struct EveryExpM1;

impl<T: Exp> Map<T> for EveryExpM1 {
    const COUNTER: Counter = Counter::ExpM1;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        exp_m1_of_any(x)
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
