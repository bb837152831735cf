//! σ(x) = 1/(1 + e^−x), and its derivative.
//!
//! The plain loop is `for x in xs { y = 1.0 / (1.0 + (-x).exp()) }`, and so is this one, some registers at a time; but
//! where e^−x would be too small to change 1 + e^−x, a larger one that does not change it either takes its place, since
//! arithmetic on subnormal numbers takes a hundred times as long.

use super::exp::{Exp, exp_of_not_negligible};
use crate::counters::Counter;
use crate::kernels::elementwise::{FUNCTION_TASK, Map, Zip};
use crate::simd::{Group, LONG, Lanes, Simd};

/// σ of each lane.
#[inline(always)]
pub fn sigmoid_of_any<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    let power = exp_of_not_negligible((x.full(T::ZERO) - x).at_least(T::NEGLIGIBLE));
    x.full(T::ONE) / (power + T::ONE)
}

/// 1/(1 + e^−x).
#[derive(Clone, Copy)]
pub struct Sigmoid;

impl<T: Exp> Map<T> for Sigmoid {
    const COUNTER: Counter = Counter::Sigmoid;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        sigmoid_of_any(x)
    }
}

/// g·(1 − y)·y, from the output y.
#[derive(Clone, Copy)]
pub struct SigmoidBackward;

impl<T: Lanes> Zip<T> for SigmoidBackward {
    const COUNTER: Counter = Counter::Sigmoid;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, y: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        g * (y.full(T::ONE) - y) * y
    }
}
