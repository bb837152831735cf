//! What the activation layers make of each element. The plain loops are the formulas themselves; [`super::elementwise`] says
//! how registers take the place of elements.

use super::elementwise::{FUNCTION_TASK, Map, Zip};
use crate::counters::Counter;
use crate::math::{Exp, Ln, registers};
use crate::simd::{Lanes, Simd};

/// `x < 0 ? 0 : x`, so that relu(−0) = −0 and relu(NaN) = NaN.
#[derive(Clone, Copy)]
pub struct PositivePart;

impl<T: Lanes> Map<T> for PositivePart {
    const COUNTER: Counter = Counter::ReLU;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        let zero = T::splat(s, T::ZERO);
        T::larger(s, zero, x)
    }
}

/// `y <= 0 ? 0 : g`, so that g passes where y is NaN.
#[derive(Clone, Copy)]
pub struct PositivePartBackward;

impl<T: Lanes> Zip<T> for PositivePartBackward {
    const COUNTER: Counter = Counter::ReLU;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, y: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        let zero = T::splat(s, T::ZERO);
        // The larger of g and itself is g. It makes AVX-512 load g whatever y is: a register that is loaded only where y is larger than
        // 0 waits for y, and takes 1.5 times as long beyond the caches.
        T::where_less_or_equal(s, (y, zero), zero, T::larger(s, g, g))
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
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        T::where_less(s, (T::splat(s, T::ZERO), x), x, T::times(s, T::splat(s, self.slope), x))
    }
}

/// `0 < x ? g : slope·g`, where x is the input or, of a slope that is not negative, the output.
impl<T: Lanes> Zip<T> for Leaky<T> {
    const COUNTER: Counter = Counter::LeakyReLU;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        T::where_less(s, (T::splat(s, T::ZERO), x), g, T::times(s, T::splat(s, self.slope), g))
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

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        let negative = T::times(s, T::splat(s, self.alpha), registers::exp_m1::<T, S>(s, x));
        T::where_less(s, (x, T::splat(s, T::ZERO)), negative, x)
    }
}

/// `x <= 0 ? g·α·eˣ : g` from the input x; or, from the output, `y <= 0 ? g·(y + α) : g`.
#[derive(Clone, Copy)]
pub struct ExponentialLinearBackward<T> {
    pub alpha: T,
    pub from_output: bool,
}

impl<T: Exp> Zip<T> for ExponentialLinearBackward<T> {
    const COUNTER: Counter = Counter::Elu;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, kept: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        let alpha = T::splat(s, self.alpha);
        let negative = if self.from_output {
            T::times(s, g, T::plus(s, kept, alpha))
        } else {
            T::times(s, T::times(s, g, alpha), registers::exp::<T, S>(s, kept))
        };
        T::where_less_or_equal(s, (kept, T::splat(s, T::ZERO)), negative, g)
    }
}

/// `min(x, 0) − ln(1 + e^−|x|)`.
#[derive(Clone, Copy)]
pub struct LogSigmoid;

/// e^−|x|.
#[inline(always)]
fn power_of_minus_size<T: Exp, S: Simd>(s: S, x: T::Register<S>) -> T::Register<S> {
    registers::exp_without_overflow::<T, S>(s, T::negated(s, T::absolute(s, x)))
}

impl<T: Ln> Map<T> for LogSigmoid {
    const COUNTER: Counter = Counter::LogSigmoid;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        let zero = T::splat(s, T::ZERO);
        let logarithm = registers::ln_1p::<T, S>(s, power_of_minus_size::<T, S>(s, x));
        T::minus(s, T::smaller(s, zero, x), logarithm)
    }
}

/// `g·σ(−x)`: with q = z/(1 + z) ≤ ½, z = e^−|x|, `x < 0 ? g·(1 − q) : g·q`. What rounds q counts less in 1 − q than what rounds
/// 1 + z does in 1/(1 + z), so that the largest error is a quarter smaller.
#[derive(Clone, Copy)]
pub struct LogSigmoidBackward;

impl<T: Exp> Zip<T> for LogSigmoidBackward {
    const COUNTER: Counter = Counter::LogSigmoid;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        let (one, z) = (T::splat(s, T::ONE), power_of_minus_size::<T, S>(s, x));
        let q = T::over(s, z, T::plus(s, one, z));
        T::times(s, g, T::where_less(s, (x, T::splat(s, T::ZERO)), T::minus(s, one, q), q))
    }
}
