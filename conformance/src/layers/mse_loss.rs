//! MSELoss.

use super::{Stop, applicable, input_shape};
use crate::case_file::Case;
use crate::generators;
use crate::task::Task;
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::Real;
use serde_json::json;
use vocabulary::{MSELossOptions, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "size_average=None, reduce=None, reduction='mean'";

/// The same calls for both crates.
macro_rules! run {
    ($layers:ident, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: MSELossOptions = task.options(false)?;
        task.check_names(&["input", "target"], &[], &["output"])?;
        let mut layer = $layers::MSELoss::new(options)?;
        let (input, target) = (task.input("input")?, task.input("target")?);
        $prepare(&mut layer, &input, &target)?;
        let pass = layer.forward_pass(&input, &target)?;
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            let gradients = layer.backward(&pass, &grad_output)?;
            results.insert(Group::GradIn, "input", gradients.input);
            results.insert(Group::GradIn, "target", gradients.target);
        }
        results.insert(Group::Out, "output", pass.output);
        Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    let ready = |_: &mut reference::MSELoss, _: &Tensor<T>, _: &Tensor<T>| Ok::<_, vocabulary::Error>(());
    run!(reference, task, ready)
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    run!(optimized, task, |layer: &mut optimized::MSELoss, input: &Tensor<T>, target: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape(), target.shape())?)
    })
}

/// The terms, at most one for each pair of sizes, the output, and the gradients of both inputs.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    let (input, target) = (input_shape(case, "input"), input_shape(case, "target"));
    let size = |shape: &[usize], from_last: usize| shape.iter().rev().nth(from_last).copied().unwrap_or(1) as u128;
    let sizes = (0..input.len().max(target.len())).map(|axis| match (size(input, axis), size(target, axis)) {
        (1, n) | (n, 1) => n,
        (m, n) => m.min(n),
    });
    sizes.fold(1_u128, u128::saturating_mul).saturating_mul(4)
}

/// Equal shapes and every way of broadcasting; every reduction, by its present and its older name.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let reduction = prop_oneof![Just("none"), Just("mean"), Just("sum")];
    let legacy = || prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)];
    // For each dimension of the broadcast shape, whether input and target have it or are repeated along it.
    let repeats = prop::collection::vec((any::<bool>(), any::<bool>()), 5);
    (generators::shape(), repeats, 0..3_usize, reduction, legacy(), legacy(), generators::kind())
        .prop_flat_map(move |(shape, repeats, dropped, reduction, size_average, reduce, kind)| {
            let once = |repeated: fn(&(bool, bool)) -> bool| {
                let sizes = shape.iter().zip(&repeats).map(|(&size, pair)| if repeated(pair) { 1 } else { size });
                sizes.collect::<Vec<usize>>()
            };
            let (input, mut target) = (once(|pair| pair.0 && !pair.1), once(|pair| pair.1 && !pair.0));
            let leading_ones = target.iter().take_while(|&&size| size == 1).count();
            target.drain(..dropped.min(leading_ones));
            let options = MSELossOptions::new().size_average(size_average).reduce(reduce);
            let joined = options.size_average.is_some() || options.reduce.is_some();
            let none = if joined { reduce == Some(false) } else { reduction == "none" };
            let output = if none { shape.clone() } else { Vec::new() };
            let options = json!({"size_average": size_average, "reduce": reduce, "reduction": reduction});
            let tensors =
                vec![(Group::In, "input", input), (Group::In, "target", target), (Group::GradOut, "output", output)];
            generators::fill(generators::case("MSELoss", options), dtype, kind, tensors)
        })
        .boxed()
}
