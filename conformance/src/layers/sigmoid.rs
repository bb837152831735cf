//! Sigmoid.

use super::{Stop, applicable, input_shape, product};
use crate::case_file::Case;
use crate::generators;
use crate::task::Task;
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::Real;
use serde_json::json;
use vocabulary::{Result, SigmoidOptions, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "";

/// The same calls for both crates.
macro_rules! run {
    ($layers:ident, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: SigmoidOptions = task.options(false)?;
        task.check_names(&["input"], &[], &["output"])?;
        let mut layer = $layers::Sigmoid::new(options)?;
        let input = task.input("input")?;
        $prepare(&mut layer, &input)?;
        let pass = layer.forward_pass(&input)?;
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            results.insert(Group::GradIn, "input", layer.backward(&pass, &grad_output)?.input);
        }
        results.insert(Group::Out, "output", pass.output);
        Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    run!(reference, task, |_: &mut reference::Sigmoid, _: &Tensor<T>| Ok::<_, vocabulary::Error>(()))
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    run!(optimized, task, |layer: &mut optimized::Sigmoid, input: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape())?)
    })
}

/// The output and the input's gradient.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    product(input_shape(case, "input")).saturating_mul(2)
}

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    (generators::shape(), generators::kind())
        .prop_flat_map(move |(shape, kind)| {
            let case = generators::case("Sigmoid", json!({}));
            generators::fill(
                case,
                dtype,
                kind,
                vec![(Group::In, "input", shape.clone()), (Group::GradOut, "output", shape)],
            )
        })
        .boxed()
}
