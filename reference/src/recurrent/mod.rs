//! What RNN and GRU have in common: sequences, layers, directions and dropout. Each layer's own file holds what a step computes.
//!
//! With a = W_i·x + b_i and b = W_h·h + b_h, of whose gradients da and db the cell tells, every step adds
//!
//! ```math
//! dW_i \mathrel{+}= da\,x^\top, \quad dW_h \mathrel{+}= db\,h^\top, \quad db_i \mathrel{+}= da, \quad db_h \mathrel{+}= db \tag{A}
//! dx = W_i^\top\,da, \qquad dh = W_h^\top\,db + \text{what does not go through } W_h \tag{B}
//! ```
//!
//! and between layers, in training, with the mask m of dropout,
//!
//! ```math
//! x = m \odot y, \qquad dy = m \odot dx \tag{C}
//! ```

mod layer;
mod sequence;
mod stack;

pub(crate) use layer::recurrent_layer;
pub(crate) use sequence::{check_storage, sequence_shape};
pub(crate) use stack::{Run, Stack};

use crate::Real;
use vocabulary::{RecurrentParameters, Tensor};

/// What one step computes, and keeps for its backward.
pub(crate) trait Cell<T: Real> {
    /// What a step keeps.
    type Kept: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// The hidden state after a step with input x from the hidden state h.
    fn step(&self, parameters: &RecurrentParameters<T>, x: &[T], h: &[T]) -> (Vec<T>, Self::Kept);

    /// From the gradient of the new hidden state those of W_i·x + b_i and W_h·h + b_h, and the part of h's that does not go
    /// through W_h.
    fn step_back(&self, kept: &Self::Kept, h: &[T], gradient: &[T]) -> StepGradients<T>;
}

/// What [`Cell::step_back`] gives.
pub(crate) struct StepGradients<T> {
    /// Of W_i·x + b_i.
    pub input_sums: Vec<T>,
    /// Of W_h·h + b_h.
    pub hidden_sums: Vec<T>,
    /// Of h, but for what goes through W_h.
    pub hidden: Vec<T>,
}

/// W·v + b, row by row.
pub(crate) fn affine<T: Real>(weight: &Tensor<T>, v: &[T], bias: Option<&Tensor<T>>) -> Vec<T> {
    let columns = v.len();
    let row = |row: usize| {
        let product = T::sum(v.iter().enumerate().map(|(column, &v)| weight.as_slice()[row * columns + column] * v));
        match bias {
            Some(bias) => product + bias.as_slice()[row],
            None => product,
        }
    };
    (0..weight.shape()[0]).map(row).collect()
}
