//! Conv2d.

use super::{Stop, applicable, input_shape, product};
use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::task::{self, Task};
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};
use reference::{Conv2d, Real};
use serde_json::json;
use vocabulary::{Conv2dOptions, Padding, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode='zeros', device=None, dtype=None";

/// The same calls for both crates.
macro_rules! run {
    ($layers:ident, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: Conv2dOptions = task.options_with_placement(&[])?;
        task.check_names(&["input"], &["weight", "bias"], &["output"])?;
        options.check()?;
        let (mut weight, mut bias) = (task.state("weight")?, task.state("bias")?);
        if task.initialises() {
            let initial = $layers::Conv2d::<T>::init(options.clone(), &mut SmallRng::seed_from_u64(0))?;
            weight = weight.or_else(|| Some(initial.weight().clone()));
            bias = bias.or_else(|| initial.bias().cloned());
        }
        let weight = weight.ok_or_else(|| task.missing_state("weight"))?;
        let mut layer = $layers::Conv2d::with_parameters(options, weight, bias)?;
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
    run!(reference, task, |_: &mut reference::Conv2d<T>, _: &Tensor<T>| Ok::<_, vocabulary::Error>(()))
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    run!(optimized, task, |layer: &mut optimized::Conv2d<T>, input: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape())?)
    })
}

/// Whether that is the algorithm of `optimized`'s own choice.
pub(super) fn prefers(case: &Case, algorithm: &str) -> bool {
    let choices = || {
        let options = task::options::<Conv2dOptions>(case, true, &[])?;
        options.check()?;
        let weight = Tensor::full(&options.weight_shape(), 0.0_f32)?;
        let layer = optimized::Conv2d::with_parameters(options.bias(false), weight, None)?;
        layer.choices(input_shape(case, "input"))
    };
    let choices: Vec<optimized::Choice> = choices().unwrap_or_default();
    choices.iter().find(|choice| choice.refusal.is_none()).is_some_and(|choice| choice.name == algorithm)
}

/// Parameters, where they are to be initialised, and their gradients; the output; the input's gradient.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    let Ok(options) = task::options::<Conv2dOptions>(case, true, &[]) else { return 0 };
    let input = input_shape(case, "input");
    let output = match options.check().and_then(|()| options.check_input(input)) {
        Ok(()) => product(&output_shape(&options, input)),
        Err(_) => 0,
    };
    let parameters = product(&options.weight_shape()).saturating_add(options.out_channels as u128);
    // Of Winograd's formula (`winograd.rs`), 16 numbers for each pair of channels, and what is padded.
    let winograd = if options.kernel_size.axes() == [3, 3] {
        2 * product(&options.weight_shape()).saturating_add(output).saturating_add(product(input))
    } else {
        0
    };
    let layer = parameters.saturating_mul(2).saturating_add(output.saturating_mul(2)).saturating_add(product(input));
    layer.saturating_add(winograd)
}

/// An upper bound of the output's sizes, for an input that was checked.
fn output_shape(options: &Conv2dOptions, input: &[usize]) -> Vec<usize> {
    let (leading, image) = input.split_at(input.len() - 2);
    let batch = if leading.len() == 2 { leading[0] } else { 1 };
    let padding = match options.padding {
        Padding::Explicit(axes) => axes.map(|padding| 2 * i128::from(padding)),
        // As much as keeps the size: counted, the kernel's reach is taken off again.
        Padding::Same | Padding::Valid => [0; 2],
    };
    let windows = image.iter().zip(padding).zip(options.stride.axes()).map(|((&size, padding), stride)| {
        usize::try_from((size as i128 + padding) / stride as i128 + 1).unwrap_or(usize::MAX)
    });
    [batch, options.out_channels].into_iter().chain(windows).collect()
}

/// Every option, unequal along height and width, on images from the least that kernel and padding admit on.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let channels = (prop_oneof![2 => Just(1_usize), 1 => 2..4_usize], 1..4_usize, 1..4_usize);
    let padding = prop_oneof![
        1 => Just(json!([0, 0])),
        1 => (1..4_i64).prop_map(|both| json!([both, both])),
        2 => (0..4_i64, 0..4_i64).prop_map(|(h, w)| json!([h, w])),
        1 => Just(json!("valid")),
        1 => Just(json!("same")),
    ];
    let mode = prop_oneof![2 => Just("zeros"), 1 => Just("reflect"), 1 => Just("replicate"), 1 => Just("circular")];
    let geometry = (generators::pair(4), generators::pair(3), generators::pair(3), padding, mode);
    let more = || prop_oneof![8 => 0..6_usize, 1 => 12..18_usize];
    let image = (prop::option::weighted(0.8, prop_oneof![5 => 1..3_usize, 1 => Just(0)]), more(), more());
    (channels, geometry, image, any::<bool>(), generators::kind())
        .prop_dependent(move |((groups, inputs, outputs), geometry, (batch, height, width), bias, kind)| {
            let (kernel, mut stride, dilation, padding, mode) = geometry;
            if padding == json!("same") {
                stride = (1, 1);
            }
            let options = json!({
                "in_channels": groups * inputs, "out_channels": groups * outputs, "kernel_size": kernel, "stride": stride,
                "padding": padding, "dilation": dilation, "groups": groups, "bias": bias, "padding_mode": mode,
            });
            let case = generators::case("Conv2d", options);
            let least = |axis: usize, kernel: usize, dilation: usize| {
                let reach = dilation * (kernel - 1);
                let (total, larger) = match padding.get(axis).and_then(serde_json::Value::as_u64) {
                    Some(padding) => (2 * padding as usize, padding as usize),
                    None if padding == json!("same") => (reach, reach.div_ceil(2)),
                    None => (0, 0),
                };
                let fits = (reach + 1).saturating_sub(total).max(1);
                match mode {
                    "reflect" => fits.max(larger + 1),
                    "circular" => fits.max(larger),
                    _ => fits,
                }
            };
            let image = [least(0, kernel.0, dilation.0) + height, least(1, kernel.1, dilation.1) + width];
            let input: Vec<usize> = batch.into_iter().chain([groups * inputs]).chain(image).collect();
            let layer = task::options::<Conv2dOptions>(&case, true, &[])
                .and_then(|options| Conv2d::<f32>::init(options, &mut SmallRng::seed_from_u64(0)));
            let output = layer.and_then(|layer| layer.output_shape(&input)).unwrap_or_default();
            let mut tensors = vec![
                (Group::In, "input", input),
                (Group::State, "weight", vec![groups * outputs, inputs, kernel.0, kernel.1]),
                (Group::GradOut, "output", output),
            ];
            if bias {
                tensors.push((Group::State, "bias", vec![groups * outputs]));
            }
            generators::fill(case, dtype, kind, tensors)
        })
        .boxed()
}
