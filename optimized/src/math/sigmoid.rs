//! σ(x) = 1/(1 + e^−x), and its derivative.
//!
//! The plain loop is `for x in xs { y = 1.0 / (1.0 + (-x).exp()) }`, and so is this one, a register at a time; but
//! where e^−x would be too small to change 1 + e^−x, a larger one that does not change it either takes its place, since
//! arithmetic on subnormal numbers takes a hundred times as long.

use super::exp::{Exp, exp_of_not_negligible};
use crate::counters::Counter;
use crate::kernels::elementwise::{FUNCTION_TASK, Map, Zip};
use crate::simd::{Lanes, Simd};

/// σ of each lane.
#[inline(always)]
pub fn sigmoid_of_any<T: Exp, S: Simd>(s: S, x: T::Register<S>) -> T::Register<S> {
    let (one, negligible) = (T::splat(s, T::ONE), T::splat(s, T::NEGLIGIBLE));
    let minus_x = T::minus(s, T::splat(s, T::ZERO), x);
    let raised = T::larger(s, negligible, minus_x);
    let power = exp_of_not_negligible::<T, S>(s, raised);
    T::over(s, one, T::plus(s, one, power))
}

/// 1/(1 + e^−x).
#[derive(Clone, Copy)]
pub struct Sigmoid;

impl<T: Exp> Map<T> for Sigmoid {
    const COUNTER: Counter = Counter::Sigmoid;
    const TASK: usize = FUNCTION_TASK;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        sigmoid_of_any::<T, S>(s, x)
    }
}

/// g·(1 − y)·y, from the output y.
#[derive(Clone, Copy)]
pub struct SigmoidBackward;

impl<T: Lanes> Zip<T> for SigmoidBackward {
    const COUNTER: Counter = Counter::Sigmoid;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, y: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        T::times(s, T::times(s, g, T::minus(s, T::splat(s, T::ONE), y)), y)
    }
}
