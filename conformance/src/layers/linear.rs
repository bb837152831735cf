//! Linear.

use super::{Stop, applicable, input_shape, product};
use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::task::{self, Task};
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};
use reference::Real;
use serde_json::json;
use vocabulary::{LinearOptions, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "in_features, out_features, bias=True, device=None, dtype=None";

/// The same calls for both crates.
macro_rules! run {
    ($layers:ident, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: LinearOptions = task.options_with_placement(&[])?;
        task.check_names(&["input"], &["weight", "bias"], &["output"])?;
        let (mut weight, mut bias) = (task.state("weight")?, task.state("bias")?);
        if task.initialises() {
            let initial = $layers::Linear::<T>::init(options.clone(), &mut SmallRng::seed_from_u64(0))?;
            weight = weight.or_else(|| Some(initial.weight().clone()));
            bias = bias.or_else(|| initial.bias().cloned());
        }
        let weight = weight.ok_or_else(|| task.missing_state("weight"))?;
        let mut layer = $layers::Linear::with_parameters(options, weight, bias)?;
        let input = task.input("input")?;
        $prepare(&mut layer, &input)?;
        let pass = layer.forward_pass(&input)?;
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            let gradients = layer.backward(&pass, &grad_output)?;
            results.insert(Group::GradIn, "input", gradients.input);
            results.insert(Group::GradState, "weight", gradients.weight);
            gradients.bias.into_iter().for_each(|bias| results.insert(Group::GradState, "bias", bias));
        }
        results.insert(Group::Out, "output", pass.output);
        Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    run!(reference, task, |_: &mut reference::Linear<T>, _: &Tensor<T>| Ok::<_, vocabulary::Error>(()))
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    run!(optimized, task, |layer: &mut optimized::Linear<T>, input: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape())?)
    })
}

pub(super) fn additional_numbers(case: &Case) -> u128 {
    let Ok(options) = task::options::<LinearOptions>(case, true, &[]) else { return 0 };
    let rows = product(input_shape(case, "input").split_last().map_or(&[], |(_, leading)| leading));
    let weight = product(&options.weight_shape());
    let output = rows.saturating_mul(options.out_features as u128);
    let input = rows.saturating_mul(options.in_features as u128);
    let bias = if options.bias { options.out_features as u128 } else { 0 };
    // Parameters, where they are to be initialised, and their gradients; output and its gradient; the input's gradient.
    let parameters = weight.saturating_add(bias).saturating_mul(2);
    parameters.saturating_add(output.saturating_mul(2)).saturating_add(input)
}

/// Any leading dimensions, features around the lanes' and tiles' boundaries, every kind of values.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let leading = prop_oneof![
        4 => prop::collection::vec(prop_oneof![3 => 1..5_usize, 1 => Just(0), 2 => 6..20_usize], 0..4),
        1 => generators::size().prop_map(|rows| vec![rows]),
    ];
    let features = || prop_oneof![5 => generators::size(), 1 => Just(0_usize), 2 => Just(1)];
    (leading, features(), features(), any::<bool>(), generators::kind())
        .prop_dependent(move |(leading, inputs, outputs, bias, kind)| {
            let shape = |last: usize| leading.iter().copied().chain([last]).collect::<Vec<_>>();
            let case =
                generators::case("Linear", json!({"in_features": inputs, "out_features": outputs, "bias": bias}));
            let mut tensors = vec![
                (Group::In, "input", shape(inputs)),
                (Group::State, "weight", vec![outputs, inputs]),
                (Group::GradOut, "output", shape(outputs)),
            ];
            if bias {
                tensors.push((Group::State, "bias", vec![outputs]));
            }
            generators::fill(case, dtype, kind, tensors)
        })
        .boxed()
}
