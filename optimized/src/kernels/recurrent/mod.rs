//! One layer of RNN or GRU in one direction, through all steps.
//!
//! The plain loop is, for each step, each sequence and each element, `a = W_ih·x + b_ih; b = W_hh·h + b_hh; h = step(a, b, h)`,
//! and from the last step to the first, with the gradients da and db of a and b,
//! `dW_ih += da·xᵀ; dW_hh += db·hᵀ; db_ih += da; db_hh += db; dx = W_ihᵀ·da; dh = W_hhᵀ·db + …`. We depart from it:
//! 1. a of all steps is one product of matrices, before the first step;
//! 2. b is one product for all sequences, at each step; what is between the products is fused ([`step`]);
//! 3. da and db of all steps are kept, so that the gradients of weights and inputs are one product each, after the loop;
//! 4. hidden states lie in the order of time, whichever direction goes through it, with the initial one before or after the
//!    others: so those before each step, and those after, are each one matrix, and no copy.

mod gru;
mod rnn;
mod step;

pub use gru::Gated;
pub use rnn::{RELU, TANH};

use super::packed::Matrix;
use super::{columns, products};
use crate::counters::Counter;
use crate::memory::Scratch;
use crate::simd::{Group, Isa, Lanes, Simd};
use crate::threads::{Threads, worth_their_waking};
use std::collections::TryReserveError;
use std::ops::Range;
use step::{Step, StepBack};

/// What a step with G gates makes of its sums, element by element, and the K numbers that it keeps of each for its backward.
pub trait Cell<T: Lanes, const G: usize, const K: usize>: Copy + Send + Sync {
    const COUNTER: Counter;

    /// The new hidden state, from those of W_ih·x + b_ih and W_hh·h + b_hh, and from h; and what is kept.
    fn step<S: Simd, const N: usize>(
        self,
        of_input: [Group<T, S, N>; G],
        of_hidden: [Group<T, S, N>; G],
        before: Group<T, S, N>,
    ) -> (Group<T, S, N>, [Group<T, S, N>; K]);

    /// Its gradients, from what was kept, the hidden states before and after, and the gradient of the latter.
    fn step_back<S: Simd, const N: usize>(
        self,
        kept: [Group<T, S, N>; K],
        states: (Group<T, S, N>, Group<T, S, N>),
        gradient: Group<T, S, N>,
    ) -> StepGradients<Group<T, S, N>, G>;
}

/// What [`Cell::step_back`] gives.
pub struct StepGradients<X, const G: usize> {
    /// Of W_ih·x + b_ih.
    pub input_sums: [X; G],
    /// Of W_hh·h + b_hh; of a single gate, the same.
    pub hidden_sums: [X; G],
    /// Of h, but for what goes through W_hh.
    pub hidden: X,
}

/// One layer in one direction: its sizes and parameters.
#[derive(Clone, Copy)]
pub struct Direction<'a, T> {
    pub length: usize,
    pub batch: usize,
    pub inputs: usize,
    pub hidden: usize,
    /// Whether it goes from the last step to the first.
    pub reversed: bool,
    pub weight_ih: &'a [T],
    pub weight_hh: &'a [T],
    pub bias_ih: Option<&'a [T]>,
    pub bias_hh: Option<&'a [T]>,
}

/// What a layer went through in one direction, in the order of time.
#[derive(Debug, Clone)]
pub struct Trace<T> {
    /// [L + 1, N, H].
    pub states: Vec<T>,
    /// [L, N, K·H].
    pub kept: Vec<T>,
}

/// The gradients of a direction's parameters, to be written.
pub struct Gradients<'a, T> {
    pub weight_ih: &'a mut [T],
    pub weight_hh: &'a mut [T],
    pub bias_ih: Option<&'a mut [T]>,
    pub bias_hh: Option<&'a mut [T]>,
}

type Allocated<T> = Result<T, TryReserveError>;

impl<T: Lanes> Direction<'_, T> {
    /// The elements of the hidden states of all sequences.
    fn state(&self) -> usize {
        self.batch * self.hidden
    }

    /// The steps in the order in which the direction takes them.
    fn steps(&self) -> impl DoubleEndedIterator<Item = usize> + use<T> {
        let (length, reversed) = (self.length, self.reversed);
        (0..length).map(move |i| if reversed { length - 1 - i } else { i })
    }

    /// Where the states before all steps lie in [`Trace::states`].
    fn before(&self) -> Range<usize> {
        self.shifted(self.reversed)
    }

    /// Where those after all steps lie.
    pub fn after(&self) -> Range<usize> {
        self.shifted(!self.reversed)
    }

    fn shifted(&self, shifted: bool) -> Range<usize> {
        let from = if shifted { self.state() } else { 0 };
        from..from + self.length * self.state()
    }

    /// The lengths of [`Trace::states`] and [`Trace::kept`]; of a single step's where what backward needs is not kept.
    pub fn lengths<C: Cell<T, G, K>, const G: usize, const K: usize>(&self, _: C, keep: bool) -> [usize; 2] {
        [(self.length + 1) * self.state(), (if keep { self.length } else { 1 }) * K * self.state()]
    }

    /// The states after each step, [L, N, H].
    pub fn outputs<'t>(&self, states: &'t [T]) -> &'t [T] {
        &states[self.after()]
    }

    /// The state after the last step that the direction takes, [N, H].
    pub fn last<'t>(&self, states: &'t [T]) -> &'t [T] {
        let from = if self.reversed { 0 } else { self.length * self.state() };
        &states[from..from + self.state()]
    }

    /// All steps, from the state `hx` or 0, into zeros of [`Direction::lengths`]; x is [L, N, inputs].
    pub fn forward<C: Cell<T, G, K>, const G: usize, const K: usize>(
        &self,
        cell: C,
        (isa, threads): (Isa, Threads),
        x: &[T],
        hx: Option<&[T]>,
        (states, kept): (&mut [T], &mut [T]),
    ) -> Allocated<()> {
        let (state, size, rows) = (self.state(), self.hidden, G * self.hidden);
        let keep = kept.len() == self.length * K * state;
        let mut of_input = Scratch::new(self.length * G * state)?;
        let operands = (x, self.weight_ih, self.bias_ih);
        products::forward(C::COUNTER, (isa, threads), operands, self.inputs, (&mut of_input, rows)); // 1
        if let Some(hx) = hx {
            let from = if self.reversed { self.length * state } else { 0 };
            states[from..from + state].copy_from_slice(hx); // 4
        }
        let mut of_hidden = Scratch::new(G * state)?;
        for t in self.steps() {
            let (first, second) = states[t * state..(t + 2) * state].split_at_mut(state);
            let (before, after) = if self.reversed { (second, first) } else { (first, second) };
            let operands = (&*before, self.weight_hh, self.bias_hh);
            products::forward(C::COUNTER, (isa, threads), operands, size, (&mut of_hidden, rows)); // 2
            let (of_input, of_hidden) = (&of_input[t * G * state..][..G * state], &of_hidden[..]);
            let kept = &mut kept[if keep { t * K * state } else { 0 }..][..K * state];
            Step { cell, size, of_input, of_hidden, before, after, kept }.run::<G, K>((isa, threads));
        }
        Ok(())
    }

    /// Back through all steps: from the gradients [L, N, H] of the states after each, and of the last state, which becomes that of
    /// the initial one, to those of the parameters and of x, which are overwritten.
    pub fn backward<C: Cell<T, G, K>, const G: usize, const K: usize>(
        &self,
        cell: C,
        (isa, threads): (Isa, Threads),
        (x, trace): (&[T], &Trace<T>),
        (of_outputs, hidden): (&[T], &mut [T]),
        (gradients, dx): (Gradients<'_, T>, &mut [T]),
    ) -> Allocated<()> {
        let kernel = (isa, threads);
        let (state, size, rows) = (self.state(), self.hidden, G * self.hidden);
        let (before, after) = (&trace.states[self.before()], &trace.states[self.after()]);
        let mut input_sums = Scratch::new(self.length * G * state)?;
        let mut hidden_sums = Scratch::new(if G > 1 { self.length * G * state } else { 0 })?;
        let mut through = Scratch::zeros(state)?;
        for t in self.steps().rev() {
            let (states, sums) = (t * state..(t + 1) * state, t * G * state..(t + 1) * G * state);
            StepBack {
                cell,
                size,
                kept: &trace.kept[t * K * state..][..K * state],
                before: &before[states.clone()],
                after: &after[states.clone()],
                of_output: &of_outputs[states],
                through: &through,
                hidden: &mut *hidden,
                input_sums: &mut input_sums[sums.clone()], // 3
                hidden_sums: if G > 1 { &mut hidden_sums[sums.clone()] } else { &mut [] },
            }
            .run::<G, K>(kernel);
            let db = if G > 1 { &hidden_sums[sums] } else { &input_sums[sums] };
            let (a, r) = (Matrix::Rows(db, rows), (self.weight_hh, rows));
            products::backward(C::COUNTER, kernel, a, r, (&mut through, size), self.batch); // 2
        }
        hidden.iter_mut().zip(through.iter()).for_each(|(dh, through)| *dh += *through);
        let da = &input_sums[..];
        let db = if G > 1 { &hidden_sums[..] } else { da };
        let all = self.length * self.batch;
        let (of_a, of_b) = (Matrix::Columns(da, rows), Matrix::Columns(db, rows));
        products::backward(C::COUNTER, kernel, of_a, (x, all), (gradients.weight_ih, self.inputs), all); // 3
        products::backward(C::COUNTER, kernel, of_b, (before, all), (gradients.weight_hh, size), all); // 3
        let (a, r) = (Matrix::Rows(da, rows), (self.weight_ih, rows));
        products::backward(C::COUNTER, kernel, a, r, (dx, self.inputs), all); // 3
        let sums = (isa, worth_their_waking(threads, da.len()));
        for (bias, terms) in [(gradients.bias_ih, da), (gradients.bias_hh, db)] {
            if let Some(bias) = bias {
                columns::sums(sums, terms, bias);
            }
        }
        Ok(())
    }
}
