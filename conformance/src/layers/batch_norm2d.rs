//! BatchNorm2d.

use super::{Stop, applicable, input_shape, product};
use crate::case_file::{Case, Mode};
use crate::generators::{self, Dependent};
use crate::task::Task;
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::Real;
use serde_json::json;
use vocabulary::{BatchNorm2dOptions, BatchNorm2dState, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "num_features, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True";

/// The same calls for both crates.
macro_rules! run {
    ($layers:ident, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: BatchNorm2dOptions = task.options_with_placement(&[])?;
        let known = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
        task.check_names(&["input"], &known, &["output"])?;
        let mut state = BatchNorm2dState {
            weight: task.state("weight")?,
            bias: task.state("bias")?,
            running_mean: task.state("running_mean")?,
            running_var: task.state("running_var")?,
            num_batches_tracked: task.count("num_batches_tracked")?,
        };
        if task.initialises() {
            let initial = $layers::BatchNorm2d::<T>::new(options.clone())?.state().clone();
            state = BatchNorm2dState {
                weight: state.weight.or(initial.weight),
                bias: state.bias.or(initial.bias),
                running_mean: state.running_mean.or(initial.running_mean),
                running_var: state.running_var.or(initial.running_var),
                num_batches_tracked: state.num_batches_tracked.or(initial.num_batches_tracked),
            };
        }
        let mut layer = $layers::BatchNorm2d::with_parameters(options, state)?;
        if !task.is_training() {
            layer.eval();
        }
        let input = task.input("input")?;
        $prepare(&mut layer, &input)?;
        let pass = layer.forward_pass(&input)?;
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            let gradients = layer.backward(&pass, &grad_output)?;
            results.insert(Group::GradIn, "input", gradients.input);
            gradients.weight.into_iter().for_each(|weight| results.insert(Group::GradState, "weight", weight));
            gradients.bias.into_iter().for_each(|bias| results.insert(Group::GradState, "bias", bias));
        }
        results.insert(Group::Out, "output", pass.output);
        let BatchNorm2dState { running_mean, running_var, num_batches_tracked, .. } = layer.state().clone();
        if task.is_training() {
            running_mean.into_iter().for_each(|mean| results.insert(Group::After, "running_mean", mean));
            running_var.into_iter().for_each(|var| results.insert(Group::After, "running_var", var));
            let count = num_batches_tracked.into_iter().map(Tensor::scalar);
            count.for_each(|count| results.insert_integers(Group::After, "num_batches_tracked", count));
        }
        Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    run!(reference, task, |_: &mut reference::BatchNorm2d<T>, _: &Tensor<T>| Ok::<_, vocabulary::Error>(()))
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    run!(optimized, task, |layer: &mut optimized::BatchNorm2d<T>, input: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape())?)
    })
}

/// The output, x̂ and the input's gradient, and the parameters and their gradients.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    let features = case.options.get("num_features").and_then(serde_json::Value::as_u64).unwrap_or(0);
    product(input_shape(case, "input")).saturating_mul(3).saturating_add(u128::from(features).saturating_mul(8))
}

/// Training and evaluation with every option, few and many values a channel, means far from 0.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let size = || prop_oneof![4 => 1..6_usize, 1 => 7..10_usize];
    let channels = prop_oneof![6 => 1..5_usize, 1 => 15..18_usize];
    let shape = (prop_oneof![5 => 1..4_usize, 1 => Just(0)], channels, size(), size());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let momentum = prop_oneof![Just(Some(0.1)), Just(None), Just(Some(0.0)), Just(Some(1.0)), Just(Some(0.37))];
    let eps = prop_oneof![3 => Just(1e-5), 1 => Just(1e-3), 1 => Just(0.5)];
    // How far the channels' means lie from 0, in deviations.
    let mean = prop_oneof![4 => Just(0.0), 1 => Just(10.0), 1 => Just(1e6)];
    (shape, flags, momentum, eps, (mean, generators::kind()))
        .prop_filter("one value a channel is refused", |((n, _, h, w), ..)| n * h * w != 1)
        .prop_dependent(move |((n, c, h, w), (affine, track, bias, training), momentum, eps, (mean, kind))| {
            let options = json!({
                "num_features": c, "eps": eps, "momentum": momentum,
                "affine": affine, "track_running_stats": track, "bias": bias,
            });
            let mut case = generators::case("BatchNorm2d", options);
            generators::set_mode(&mut case, if training { Mode::Train } else { Mode::Eval });
            let image = vec![n, c, h, w];
            let mut tensors = vec![(Group::In, "input", image.clone()), (Group::GradOut, "output", image)];
            if affine {
                tensors.push((Group::State, "weight", vec![c]));
            }
            if affine && bias {
                tensors.push((Group::State, "bias", vec![c]));
            }
            if track {
                tensors.push((Group::State, "running_mean", vec![c]));
                tensors.push((Group::State, "running_var", vec![c]));
                case.insert(Group::State, "num_batches_tracked", Tensor::scalar(3_i64));
            }
            generators::fill(case, dtype, kind, tensors).prop_map(move |mut case| {
                generators::shift(&mut case, Group::In, "input", mean);
                generators::shift(&mut case, Group::State, "running_mean", mean);
                generators::make_positive(&mut case, Group::State, "running_var");
                case
            })
        })
        .boxed()
}
