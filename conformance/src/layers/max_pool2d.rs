//! MaxPool2d.

use super::{Stop, applicable, input_shape, product};
use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::task::{self, Task};
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::{MaxPool2d, Real};
use serde_json::json;
use vocabulary::{MaxPool2dOptions, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str =
    "kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False";

/// The same calls for both crates.
macro_rules! run {
    ($layers:ident, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: MaxPool2dOptions = task.options()?;
        task.check_names(&["input"], &[], &["output"])?;
        let mut layer = $layers::MaxPool2d::new(options)?;
        let input = task.input("input")?;
        $prepare(&mut layer, &input)?;
        let pass = layer.forward_pass(&input)?;
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            results.insert(Group::GradIn, "input", layer.backward(&pass, &grad_output)?.input);
        }
        results.insert(Group::Out, "output", pass.output);
        pass.indices.into_iter().for_each(|indices| results.insert_integers(Group::Out, "indices", indices));
        Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    run!(reference, task, |_: &mut MaxPool2d, _: &Tensor<T>| Ok::<_, vocabulary::Error>(()))
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    run!(optimized, task, |layer: &mut optimized::MaxPool2d, input: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape())?)
    })
}

/// The output and its places, twice, and the input's gradient.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    let input = input_shape(case, "input");
    let layer = task::options::<MaxPool2dOptions>(case, false, &[]).and_then(MaxPool2d::new);
    let output = layer.and_then(|layer| layer.output_shape(input)).map_or(0, |shape| product(&shape));
    output.saturating_mul(4).saturating_add(product(input))
}

/// Every option, unequal along height and width; and ties, by small integers.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let more = || prop_oneof![8 => 0..6_usize, 1 => 12..18_usize];
    let halves = (0..=2_usize, 0..=2_usize);
    let image = (prop::option::weighted(0.8, prop_oneof![5 => 1..3_usize, 1 => Just(0)]), 1..4_usize, more(), more());
    let geometry = (generators::pair(4), prop::option::of(generators::pair(4)), halves, generators::pair(3));
    (geometry, image, any::<bool>(), any::<bool>(), generators::kind())
        .prop_dependent(move |((kernel, stride, halves, dilation), image, return_indices, ceil_mode, kind)| {
            let (batch, channels, height, width) = image;
            let padding = (halves.0.min(kernel.0 / 2), halves.1.min(kernel.1 / 2));
            // From the least that a window fits into, padded, on.
            let size = |more: usize, kernel: usize, dilation: usize, padding: usize| {
                (dilation * (kernel - 1) + 1).saturating_sub(2 * padding).max(1) + more
            };
            let image = [size(height, kernel.0, dilation.0, padding.0), size(width, kernel.1, dilation.1, padding.1)];
            let input: Vec<usize> = batch.into_iter().chain([channels]).chain(image).collect();
            let options = |dilation: (usize, usize)| {
                json!({
                    "kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation,
                    "return_indices": return_indices, "ceil_mode": ceil_mode,
                })
            };
            // Dilated windows may lie in the padding alone, where PyTorch's indices are none, and its backward writes anywhere.
            let mut case = generators::case("MaxPool2d", options(dilation));
            if indices(&case, &input).is_none_or(|indices| indices.as_slice().contains(&-1)) {
                case = generators::case("MaxPool2d", options((1, 1)));
            }
            let output = indices(&case, &input).map(|indices| indices.shape().to_vec()).unwrap_or_default();
            let tensors = vec![(Group::In, "input", input), (Group::GradOut, "output", output)];
            generators::fill(case, dtype, kind, tensors)
        })
        .boxed()
}

/// Where the maxima of any input of this shape stand.
fn indices(case: &Case, input: &[usize]) -> Option<Tensor<i64>> {
    let layer = task::options::<MaxPool2dOptions>(case, false, &[]).and_then(MaxPool2d::new).ok()?;
    layer.forward_with_indices(&Tensor::full(input, 0.0_f32).ok()?).ok().map(|(_, indices)| indices)
}
