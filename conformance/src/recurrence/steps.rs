//! Every step of a sequence from the hidden state that the implementation itself had before it.

use super::Dimensions;
use super::backward::backward;
use crate::bounded::{Bounded, Declaration};
use crate::case_file::Case;
use crate::replay::bounded;
use crate::tensors::{DType, Group, Named, Value, convert, typed};
use vocabulary::{StateTensor, Tensor};

/// What the results of a case of one layer are held against, given the `output` among them: its own hidden states. `output` and
/// `h_n` against the reference's step from the state before each; gradients against its backward from these states. `None`
/// where that is not such a case.
pub(crate) fn steps(
    case: &Case,
    output: &Tensor<f64>,
    dtype: DType,
    declaration: Declaration,
) -> Option<Named<Bounded>> {
    let sequence = Sequence::of(case, output)?;
    let mut targets = forward(case, &sequence, dtype, declaration)?;
    if let Some(gradients) = backward(case, &sequence, dtype, declaration) {
        for (group, name, value) in gradients.iter() {
            if let Value::Float(tensor) = value {
                targets.insert(group, name, tensor.clone());
            }
        }
    }
    Some(targets)
}

/// A sequence through one layer, and the hidden states that an implementation had.
pub(super) struct Sequence {
    pub dimensions: Dimensions,
    /// [L, N, features].
    pub input: Tensor<f64>,
    /// [L, N, D·H].
    own: Tensor<f64>,
    /// [D, N, H].
    initial: Tensor<f64>,
}

impl Sequence {
    fn of(case: &Case, output: &Tensor<f64>) -> Option<Self> {
        let of = Dimensions::of(case).filter(|of| of.layers == 1)?;
        let input = of.steps_first(&number_tensor(case.tensor(Group::In, "input")?)?)?;
        let own = of.steps_first(output).filter(|own| own.shape() == [of.length, of.batch, of.width()])?;
        let states = [of.directions, of.batch, of.hidden];
        let initial = match case.tensor(Group::In, "hx") {
            Some(hx) => number_tensor(hx)?.reshape(&states).ok()?,
            None => Tensor::full(&states, 0.0).ok()?,
        };
        Some(Self { dimensions: of, input, own, initial })
    }

    /// An element of the hidden state before a step, in the order in which the direction reads.
    pub fn before(&self, direction: usize, step: usize, sequence: usize, i: usize) -> Option<f64> {
        let Dimensions { length, hidden, .. } = self.dimensions;
        let previous = if direction == 0 { step.checked_sub(1) } else { Some(step + 1).filter(|&t| t < length) };
        match previous {
            Some(step) => self.own.get(&[step, sequence, direction * hidden + i]).copied(),
            None => self.initial.get(&[direction, sequence, i]).copied(),
        }
    }
}

/// A tensor of a case as numbers; `None` of integers.
pub(super) fn number_tensor(tensor: &StateTensor) -> Option<Tensor<f64>> {
    match convert::<f64>(tensor) {
        Ok(Value::Float(tensor)) => Some(tensor),
        _ => None,
    }
}

/// All steps as one call of the reference: a sequence of length 1, whose batch is every step of every sequence.
fn forward(case: &Case, sequence: &Sequence, dtype: DType, declaration: Declaration) -> Option<Named<Bounded>> {
    let of = &sequence.dimensions;
    let bounds = bounded(&all_steps(case, sequence, dtype)?, dtype, declaration).ok()?;
    let output = bounds.float(Group::Out, "output")?.reshape(&[of.length, of.batch, of.width()]).ok()?;
    // The hidden states after the last step, which is the first one of a sequence that is read backwards.
    let states = bounds.float(Group::Out, "h_n")?;
    let last = |index: &[usize]| {
        let (direction, sequence, i) = (index[0], index[1], index[2]);
        let step = if direction == 0 { of.length - 1 } else { 0 };
        states.get(&[direction, step * of.batch + sequence, i]).copied()
    };
    let h_n = Tensor::from_fn(&[of.directions, of.batch, of.hidden], last).ok()?;
    let h_n = Tensor::from_vec(&of.states(1), h_n.into_vec().into_iter().collect::<Option<Vec<_>>>()?).ok()?;
    let mut targets = Named::default();
    targets.insert(Group::Out, "output", of.laid_out(&output)?);
    targets.insert(Group::Out, "h_n", h_n);
    Some(targets)
}

/// The case of all steps.
fn all_steps(case: &Case, sequence: &Sequence, dtype: DType) -> Option<Case> {
    let of = &sequence.dimensions;
    let rows = of.length * of.batch;
    let before = |i: usize| {
        let (state, i) = (i / of.hidden, i % of.hidden);
        let (direction, row) = (state / rows, state % rows);
        sequence.before(direction, row / of.batch, row % of.batch, i)
    };
    let before = (0..of.directions * rows * of.hidden).map(before).collect::<Option<Vec<f64>>>()?;
    let mut options = case.options.clone();
    options.insert("batch_first".into(), false.into());
    let mut steps = Case::new(&case.name, &case.layer, options, case.mode, case.expect);
    let features = *sequence.input.shape().last()?;
    steps.insert(Group::In, "input", typed(dtype, &[1, rows, features], sequence.input.as_slice().to_vec())?);
    steps.insert(Group::In, "hx", typed(dtype, &[of.directions, rows, of.hidden], before)?);
    case.group(Group::State).for_each(|(name, tensor)| steps.insert(Group::State, name, tensor.clone()));
    Some(steps)
}
