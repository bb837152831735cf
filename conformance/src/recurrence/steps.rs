//! Every step of a sequence from the hidden state that the implementation itself had before it.

use super::Dimensions;
use crate::bounded::{Bounded, Declaration};
use crate::case_file::Case;
use crate::replay::bounded;
use crate::tensors::{DType, Group, Named, Value, convert, typed};
use vocabulary::{StateTensor, Tensor};

/// What each element of `output` and `h_n` is held against in a case of one layer: the reference's step, bounded, from the
/// hidden states of `output` itself; `None` where that is not such a case.
///
/// All steps are one call of the reference: a sequence of length 1, whose batch is every step of every sequence.
pub(crate) fn steps(
    case: &Case,
    output: &Tensor<f64>,
    dtype: DType,
    declaration: Declaration,
) -> Option<Named<Bounded>> {
    let of = Dimensions::of(case).filter(|of| of.layers == 1)?;
    let bounds = bounded(&one_step(case, &of, output, dtype)?, dtype, declaration).ok()?;
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
fn one_step(case: &Case, of: &Dimensions, output: &Tensor<f64>, dtype: DType) -> Option<Case> {
    let numbers = |tensor: &StateTensor| match convert::<f64>(tensor) {
        Ok(Value::Float(tensor)) => Some(tensor),
        _ => None,
    };
    let rows = of.length * of.batch;
    let input = of.steps_first(&numbers(case.tensor(Group::In, "input")?)?)?;
    let features = *input.shape().last()?;
    let own = of.steps_first(output).filter(|own| own.shape() == [of.length, of.batch, of.width()])?;
    let initial = match case.tensor(Group::In, "hx") {
        Some(hx) => numbers(hx)?.reshape(&[of.directions, of.batch, of.hidden]).ok()?,
        None => Tensor::full(&[of.directions, of.batch, of.hidden], 0.0).ok()?,
    };
    let before = |index: &[usize]| {
        let (direction, row, i) = (index[0], index[1], index[2]);
        let (step, sequence) = (row / of.batch, row % of.batch);
        let previous = if direction == 0 { step.checked_sub(1) } else { Some(step + 1).filter(|&t| t < of.length) };
        match previous {
            Some(step) => own.get(&[step, sequence, direction * of.hidden + i]).copied(),
            None => initial.get(&[direction, sequence, i]).copied(),
        }
    };
    let hidden = [of.directions, rows, of.hidden];
    let before = Tensor::from_fn(&hidden, before).ok()?.into_vec().into_iter().collect::<Option<Vec<f64>>>()?;

    let mut options = case.options.clone();
    options.insert("batch_first".into(), false.into());
    let mut step = Case::new(&case.name, &case.layer, options, case.mode, case.expect);
    step.insert(Group::In, "input", typed(dtype, &[1, rows, features], input.into_vec())?);
    step.insert(Group::In, "hx", typed(dtype, &hidden, before)?);
    case.group(Group::State).for_each(|(name, tensor)| step.insert(Group::State, name, tensor.clone()));
    Some(step)
}
