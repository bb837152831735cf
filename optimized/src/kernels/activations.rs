//! What the activation layers make of each element. The plain loops are the formulas themselves; [`super::elementwise`] says
//! how registers take the place of elements.

use super::elementwise::{FUNCTION_TASK, Map, Zip};
use crate::counters::Counter;
use crate::math::{Exp, Ln, registers};
use crate::simd::{Group, LONG, Lanes, Simd};

/// `x < 0 ? 0 : x`, so that relu(−0) = −0 and relu(NaN) = NaN.
#[derive(Clone, Copy)]
pub struct PositivePart;

impl<T: Lanes> Map<T> for PositivePart {
    const COUNTER: Counter = Counter::ReLU;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        x.at_least(T::ZERO)
    }
}

/// `y <= 0 ? 0 : g`, so that g passes where y is NaN.
#[derive(Clone, Copy)]
pub struct PositivePartBackward;

impl<T: Lanes> Zip<T> for PositivePartBackward {
    const COUNTER: Counter = Counter::ReLU;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, y: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        // The larger of g and itself is g. It makes AVX-512 load g whatever y is: a register that is loaded only where y is larger than
        // 0 waits for y, and takes 1.5 times as long beyond the caches.
        y.where_less_or_equal(T::ZERO, T::ZERO, g.larger(g))
    }
}

/// `0 < x ? x : slope·x`.
#[derive(Clone, Copy)]
pub struct Leaky<T> {
    pub slope: T,
}

impl<T: Lanes> Map<T> for Leaky<T> {
    const COUNTER: Counter = Counter::LeakyReLU;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        x.full(T::ZERO).where_less(x, x, x * self.slope)
    }
}

/// `0 < x ? g : slope·g`, where x is the input or, of a slope that is not negative, the output.
impl<T: Lanes> Zip<T> for Leaky<T> {
    const COUNTER: Counter = Counter::LeakyReLU;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        x.full(T::ZERO).where_less(x, g, g * self.slope)
    }
}

/// `x < 0 ? α·(eˣ − 1) : x`.
#[derive(Clone, Copy)]
pub struct ExponentialLinear<T> {
    pub alpha: T,
}

impl<T: Exp> Map<T> for ExponentialLinear<T> {
    const COUNTER: Counter = Counter::Elu;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        x.where_less(T::ZERO, registers::exp_m1(x) * self.alpha, x)
    }
}

/// `x <= 0 ? g·α·eˣ : g` from the input x; or, from the output, `y <= 0 ? g·(y + α) : g`. By four: the one is bound by memory, and the
/// other takes as long by eight, of a million f32 1.05 times on Zen 5.
#[derive(Clone, Copy)]
pub struct ExponentialLinearBackward<T> {
    pub alpha: T,
    pub from_output: bool,
}

impl<T: Exp> Zip<T> for ExponentialLinearBackward<T> {
    const COUNTER: Counter = Counter::Elu;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, kept: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        let negative = if self.from_output { g * (kept + self.alpha) } else { g * self.alpha * registers::exp(kept) };
        kept.where_less_or_equal(T::ZERO, negative, g)
    }
}

/// `min(x, 0) − ln(1 + e^−|x|)`.
#[derive(Clone, Copy)]
pub struct LogSigmoid;

/// e^−|x|.
#[inline(always)]
pub fn power_of_minus_size<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    registers::exp_without_overflow(-x.absolute())
}

impl<T: Ln> Map<T> for LogSigmoid {
    const COUNTER: Counter = Counter::LogSigmoid;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        x.at_most(T::ZERO) - registers::ln_1p(power_of_minus_size(x))
    }
}

/// `g·σ(−x)`: with q = z/(1 + z) ≤ ½, z = e^−|x|, `x < 0 ? g·(1 − q) : g·q`. What rounds q counts less in 1 − q than what rounds
/// 1 + z does in 1/(1 + z), so that the largest error is a quarter smaller.
#[derive(Clone, Copy)]
pub struct LogSigmoidBackward;

impl<T: Exp> Zip<T> for LogSigmoidBackward {
    const COUNTER: Counter = Counter::LogSigmoid;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        let z = power_of_minus_size(x);
        let q = z / (z + T::ONE);
        g * x.where_less(T::ZERO, x.full(T::ONE) - q, q)
    }
}
