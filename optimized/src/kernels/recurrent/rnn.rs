//! A step of RNN.
//!
//! The plain loops are `h' = f(a + b)` with a = W_ih·x + b_ih and b = W_hh·h + b_hh, and back `da = db = dh'·f'(h')`.

use super::{Cell, StepGradients};
use crate::counters::Counter;
use crate::kernels::activations::{PositivePart, PositivePartBackward};
use crate::kernels::elementwise::{Map, Zip};
use crate::math::{Tanh, TanhBackward};
use crate::simd::{Group, Lanes, Simd};

/// A step whose function is F, and whose gradient B takes of the new hidden state and its gradient.
#[derive(Debug, Clone, Copy)]
pub struct Elman<F, B>(F, B);

/// With tanh.
pub const TANH: Elman<Tanh, TanhBackward> = Elman(Tanh, TanhBackward);

/// With relu.
pub const RELU: Elman<PositivePart, PositivePartBackward> = Elman(PositivePart, PositivePartBackward);

impl<T: Lanes, F: Map<T> + Send, B: Zip<T> + Send> Cell<T, 1, 0> for Elman<F, B> {
    const COUNTER: Counter = Counter::Rnn;

    #[inline(always)]
    fn step<S: Simd, const N: usize>(
        self,
        [a]: [Group<T, S, N>; 1],
        [b]: [Group<T, S, N>; 1],
        _: Group<T, S, N>,
    ) -> (Group<T, S, N>, [Group<T, S, N>; 0]) {
        (self.0.apply(a + b), [])
    }

    #[inline(always)]
    fn step_back<S: Simd, const N: usize>(
        self,
        _: [Group<T, S, N>; 0],
        (_, after): (Group<T, S, N>, Group<T, S, N>),
        gradient: Group<T, S, N>,
    ) -> StepGradients<Group<T, S, N>, 1> {
        let da = self.1.apply(after, gradient);
        StepGradients { input_sums: [da], hidden_sums: [da], hidden: da.full(T::ZERO) }
    }
}
