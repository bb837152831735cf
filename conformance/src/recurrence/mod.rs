//! Recurrent layers, judged step by step and layer by layer.
//!
//! A bound carried through all steps and layers grows until it says nothing. But the hidden states that an implementation
//! gives are numbers like any others: where each h(t) lies within the bound of a single step from the implementation's *own*
//! h(t − 1), and the first within that of one from `hx`, the whole sequence is right; and gradients are bounded from these states on
//! ([`steps`]). Likewise a stack of layers is
//! right where each is, given what the implementation's own layer below came to ([`layers`]).

mod backward;
mod layers;
mod steps;

pub(crate) use layers::layers;
pub(crate) use steps::steps;

use crate::case_file::{Case, Mode};
use crate::task;
use crate::tensors::Group;
use vocabulary::{GRUOptions, RNNOptions, Tensor};

/// What stands between a layer and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropout {
    /// Nothing.
    None,
    /// The mask that the case brings.
    Mask,
    /// Everything is dropped, and no mask drawn.
    All,
}

/// The sizes of a recurrent layer's case, and how its sequences lie.
#[derive(Debug, Clone, Copy)]
struct Dimensions {
    length: usize,
    batch: usize,
    batched: bool,
    batch_first: bool,
    hidden: usize,
    layers: usize,
    directions: usize,
    /// What dropout does between the layers.
    dropout: Dropout,
}

/// The most that counts as a term of a gradient: the largest cotangent by the largest number that one step multiplies it by. The
/// terms that a sequence adds up, each a product of as many weights as there are steps, grow without end, and next to them every
/// bound would be small.
pub(crate) fn largest_term(case: &Case) -> Option<f64> {
    Dimensions::of(case)?;
    let largest = |group: Group| {
        let tensors = case.group(group).filter_map(|(_, tensor)| steps::number_tensor(tensor));
        let of_tensor = |tensor: Tensor<f64>| tensor.as_slice().iter().map(|x| x.abs()).fold(0.0, f64::max);
        tensors.map(of_tensor).fold(0.0, f64::max)
    };
    Some(largest(Group::GradOut) * largest(Group::In).max(largest(Group::State)).max(1.0))
}

impl Dimensions {
    /// Those of a case that its layer takes; `None` of other layers, or where sizes do not match.
    fn of(case: &Case) -> Option<Self> {
        let (hidden, layers, directions, batch_first, p) = match case.layer.as_str() {
            "RNN" => {
                let o: RNNOptions = task::options(case, true, &[]).ok()?;
                (o.hidden_size, o.num_layers, o.directions(), o.batch_first, o.dropout)
            }
            "GRU" => {
                let o: GRUOptions = task::options(case, true, &[]).ok()?;
                (o.hidden_size, o.num_layers, o.directions(), o.batch_first, o.dropout)
            }
            _ => return None,
        };
        let (length, batch, batched) = match *case.tensor(Group::In, "input")?.shape() {
            [length, _] => (length, 1, false),
            [batch, length, _] if batch_first => (length, batch, true),
            [length, batch, _] => (length, batch, true),
            _ => return None,
        };
        let dropout = match p {
            _ if case.mode == Mode::Eval || p == 0.0 => Dropout::None,
            1.0 => Dropout::All,
            _ => Dropout::Mask,
        };
        Some(Self { length, batch, batched, batch_first, hidden, layers, directions, dropout })
    }

    /// D·H, the features of an output.
    fn width(&self) -> usize {
        self.directions * self.hidden
    }

    /// A sequence as [L, N, features], however the case lays it out.
    fn steps_first<T: Clone>(&self, sequence: &Tensor<T>) -> Option<Tensor<T>> {
        let features = *sequence.shape().last()?;
        let permuted = match self.batched && self.batch_first {
            true => sequence.permute(&[1, 0, 2]).ok()?,
            false => sequence.clone(),
        };
        permuted.reshape(&[self.length, self.batch, features]).ok()
    }

    /// A sequence [L, N, features] as the case lays it out.
    fn laid_out<T: Clone>(&self, sequence: &Tensor<T>) -> Option<Tensor<T>> {
        match (self.batched, self.batch_first) {
            (false, _) => sequence.reshape(&[self.length, *sequence.shape().last()?]).ok(),
            (true, true) => sequence.permute(&[1, 0, 2]).ok(),
            (true, false) => Some(sequence.clone()),
        }
    }

    /// The shape of the hidden states of so many layers.
    fn states(&self, layers: usize) -> Vec<usize> {
        let leading = [layers * self.directions].into_iter();
        leading.chain(self.batched.then_some(self.batch)).chain([self.hidden]).collect()
    }
}
