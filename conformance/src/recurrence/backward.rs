//! The gradients of one layer through time, from the hidden states that the implementation itself had.

use super::Dimensions;
use super::steps::{Sequence, number_tensor};
use crate::bounded::{Bounded, Declaration, under};
use crate::case_file::Case;
use crate::layers;
use crate::task::Task;
use crate::tensors::{DType, Group, Named, cast, typed};
use vocabulary::Tensor;

/// What each gradient of a case of one layer is held against: the reference's backward of one step after the other, bounded, each
/// from the implementation's own hidden states; `None` where the case has no cotangents.
///
/// Most implementations go back from the states that they had, and so do these bounds: what forward has rounded, which the steps are
/// judged for, is not in them. Sums over steps stay open until the last, so that they may be taken in any order.
pub(super) fn backward(case: &Case, of: &Sequence, dtype: DType, declaration: Declaration) -> Option<Named<Bounded>> {
    case.group(Group::GradOut).next()?;
    under(dtype, declaration, || {
        let mut sums = Sums::default();
        (0..of.dimensions.directions)
            .try_for_each(|direction| direction_backward(case, of, dtype, direction, &mut sums))?;
        sums.into_named(case, of)
    })
    .0
}

/// The gradients so far.
#[derive(Default)]
struct Sums {
    input: Option<Tensor<Bounded>>,
    /// Of each direction's initial state.
    hx: Vec<Tensor<Bounded>>,
    parameters: Vec<(String, Tensor<Bounded>)>,
}

/// From the last step of a direction to its first one.
fn direction_backward(case: &Case, of: &Sequence, dtype: DType, direction: usize, sums: &mut Sums) -> Option<()> {
    let Dimensions { length, batch, hidden, directions, .. } = of.dimensions;
    // PyTorch casts a cotangent to its output's type.
    let given = |name: &str| case.tensor(Group::GradOut, name).map(|tensor| number_tensor(&cast(tensor, dtype)));
    let of_outputs = given("output").map(|tensor| of.dimensions.steps_first(&tensor?));
    let of_h_n = given("h_n").map(|tensor| tensor?.reshape(&[directions, batch, hidden]).ok());
    // One step's part of a cotangent; one that is left out is zero.
    let part = |whole: &Option<Option<Tensor<f64>>>, leading: usize, offset: usize| {
        let element = |i: usize| match whole {
            Some(whole) => whole.as_ref()?.get(&[leading, i / hidden, offset + i % hidden]).map(|&x| Bounded::exact(x)),
            None => Some(Bounded::exact(0.0)),
        };
        let elements = (0..batch * hidden).map(element).collect::<Option<Vec<_>>>()?;
        Tensor::from_vec(&[1, batch, hidden], elements).ok()
    };
    let mut of_state = part(&of_h_n, direction, 0)?;
    let last_first = (0..length).map(|step| if direction == 0 { length - 1 - step } else { step });
    for step in last_first {
        let one = of.one_step(case, dtype, direction, step)?;
        let mut task = Task::<Bounded>::new(&one).ok()?;
        let of_output = part(&of_outputs, step, direction * hidden)?;
        task.arguments.insert(Group::GradOut, "output", of_output);
        task.arguments.insert(Group::GradOut, "h_n", of_state);
        let results = layers::run_reference(&task).ok()?;
        of_state = results.float(Group::GradIn, "hx")?.clone();
        let input = results.float(Group::GradIn, "input")?;
        let features = *input.shape().last()?;
        let whole = match &mut sums.input {
            Some(whole) => whole,
            none => none.insert(Tensor::full(&[length, batch, features], Bounded::exact(0.0)).ok()?),
        };
        let row = batch * features;
        let of_step = &mut whole.as_mut_slice()[step * row..(step + 1) * row];
        of_step.iter_mut().zip(input.as_slice()).for_each(|(sum, &term)| *sum = *sum + term);
        for (name, _) in one.group(Group::State) {
            let term = results.float(Group::GradState, name)?;
            let name = if direction == 0 { name.to_owned() } else { format!("{name}_reverse") };
            match sums.parameters.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => {
                    let terms = sum.as_mut_slice().iter_mut().zip(term.as_slice());
                    terms.for_each(|(sum, &term)| *sum = *sum + term);
                }
                None => sums.parameters.push((name, term.clone())),
            }
        }
    }
    sums.hx.push(of_state);
    Some(())
}

impl Sums {
    /// Closed, and as the case lays them out.
    fn into_named(self, case: &Case, of: &Sequence) -> Option<Named<Bounded>> {
        let mut named = Named::default();
        named.insert(Group::GradIn, "input", of.dimensions.laid_out(&self.input?)?);
        if case.tensor(Group::In, "hx").is_some() {
            let elements = self.hx.into_iter().flat_map(Tensor::into_vec).collect();
            named.insert(Group::GradIn, "hx", Tensor::from_vec(&of.dimensions.states(1), elements).ok()?);
        }
        self.parameters.into_iter().for_each(|(name, sum)| named.insert(Group::GradState, &name, sum));
        named.floats_mut().flat_map(Tensor::as_mut_slice).for_each(|number| *number = number.settled());
        Some(named)
    }
}

impl Sequence {
    /// The case of one step of one direction, from the hidden state before it, as a layer of that direction alone.
    fn one_step(&self, case: &Case, dtype: DType, direction: usize, step: usize) -> Option<Case> {
        let Dimensions { batch, hidden, .. } = self.dimensions;
        let mut options = case.options.clone();
        options.insert("batch_first".into(), false.into());
        options.insert("bidirectional".into(), false.into());
        let mut one = Case::new(&case.name, &case.layer, options, case.mode, case.expect);
        let input = self.input.slice(0, step..step + 1).ok()?;
        one.insert(Group::In, "input", typed(dtype, input.shape(), input.as_slice().to_vec())?);
        let state = (0..batch * hidden).map(|i| self.before(direction, step, i / hidden, i % hidden));
        one.insert(Group::In, "hx", typed(dtype, &[1, batch, hidden], state.collect::<Option<_>>()?)?);
        for (name, tensor) in case.group(Group::State) {
            let own = if direction == 0 { Some(name) } else { name.strip_suffix("_reverse") };
            if let Some(own) = own.filter(|own| !own.ends_with("_reverse")) {
                one.insert(Group::State, own, tensor.clone());
            }
        }
        Some(one)
    }
}
