//! MaxPool2d.

use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results, Source};
use super::reading::{axes, indices, replace, set, shape_of, tensor};
use conformance::{Case, DType, Group, Named};
use serde_json::json;
use vocabulary::Tensor;

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    LastOfEquals,
    PadsZeros,
    LosesNaN,
    FirstNaN,
    DilationIgnored,
    PaddingOfOneAxis,
    StrideOfOneAxis,
    IndicesOfPaddedImage,
    IndicesOfBatch,
    OverwritesGradient,
    GradientToAllEquals,
    StartsAtZero,
    StartsAtSmallest,
}

const LAYER: &str = "MaxPool2d";

/// The kernel without a mistake.
pub fn kernels() -> Vec<Fault> {
    vec![Fault::new(LAYER, "kernel", Results(|case, results| max_pool2d(case, results, Slip::None)))]
}

pub fn faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(LAYER, name, mistake);
    vec![
        fault("the last of equals is taken", Results(|c, r| max_pool2d(c, r, Slip::LastOfEquals))),
        fault("the padding counts as 0", Results(|c, r| max_pool2d(c, r, Slip::PadsZeros))),
        fault("NaN is lost", Results(|c, r| max_pool2d(c, r, Slip::LosesNaN))),
        fault("the first NaN's index is given", Results(|c, r| max_pool2d(c, r, Slip::FirstNaN))).by_chance(
            Source::Generated,
            &[DType::F32, DType::F64],
            "few generated windows hold two NaN",
        ),
        fault("the dilation is ignored", Results(|c, r| max_pool2d(c, r, Slip::DilationIgnored))),
        fault("the height's padding is used for both axes", Results(|c, r| max_pool2d(c, r, Slip::PaddingOfOneAxis))),
        fault("the height's stride is used for both axes", Results(|c, r| max_pool2d(c, r, Slip::StrideOfOneAxis))),
        fault("indices count the padding", Results(|c, r| max_pool2d(c, r, Slip::IndicesOfPaddedImage))),
        fault("indices count from the batch's start", Results(|c, r| max_pool2d(c, r, Slip::IndicesOfBatch))),
        fault("windows overwrite the gradient", Results(|c, r| max_pool2d(c, r, Slip::OverwritesGradient))),
        fault("equals all have the gradient", Results(|c, r| max_pool2d(c, r, Slip::GradientToAllEquals))),
        fault("the maximum starts at 0", Results(|c, r| max_pool2d(c, r, Slip::StartsAtZero))),
        fault("the maximum starts at the smallest number", Results(|c, r| max_pool2d(c, r, Slip::StartsAtSmallest))),
        fault("ceil_mode is ignored", Call(|case| set(case, "ceil_mode", json!(false)))),
        fault(
            "the stride is 1 where none is given",
            Call(|case| {
                if axes(case, "stride").is_none() {
                    set(case, "stride", json!(1));
                }
            }),
        ),
    ]
}

/// Output, indices and gradient, with the mistake.
fn max_pool2d(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let (Some(input), Some(kernel)) = (tensor(case, Group::In, "input"), axes(case, "kernel_size")) else { return };
    let Some(shape) = shape_of(results, Group::Out, "output") else { return };
    let both = |name: &str, otherwise: [i64; 2]| axes(case, name).unwrap_or(otherwise);
    let mut stride = both("stride", kernel);
    let (mut padding, mut dilation) = (both("padding", [0, 0]), both("dilation", [1, 1]));
    match slip {
        Slip::DilationIgnored => dilation = [1, 1],
        Slip::PaddingOfOneAxis => padding[1] = padding[0],
        Slip::StrideOfOneAxis => stride[1] = stride[0],
        _ => {}
    }
    // A kernel far larger than the image has taps that no loop should walk.
    let (&[.., height, width], true) = (input.shape(), kernel.iter().all(|&size| size < 64)) else { return };
    let (x, image) = (input.as_slice(), [height as i64, width as i64]);
    let g = tensor(case, Group::GradOut, "output");
    let (mut y, mut places) = (Vec::new(), Vec::new());
    let mut dx = vec![0.0; x.len()];
    let windows = shape[shape.len() - 2] * shape[shape.len() - 1];
    for (window, index) in indices(&shape).enumerate() {
        let (channel, [a, b]) = (window / windows * height * width, [index[shape.len() - 2], index[shape.len() - 1]]);
        let mut best = (-1, f64::NEG_INFINITY);
        match slip {
            Slip::StartsAtZero => best.1 = 0.0,
            // What C calls FLT_MIN or DBL_MIN.
            Slip::StartsAtSmallest if super::reading::is_single(case) => best.1 = f64::from(f32::MIN_POSITIVE),
            Slip::StartsAtSmallest => best.1 = f64::MIN_POSITIVE,
            _ => {}
        }
        let mut window_places = Vec::new();
        for tap in indices(&[kernel[0] as usize, kernel[1] as usize]) {
            let at = [0, 1].map(|k| [a, b][k] as i64 * stride[k] + tap[k] as i64 * dilation[k] - padding[k]);
            if !(0..2).all(|k| (0..image[k]).contains(&at[k])) {
                if slip == Slip::PadsZeros && best.1 < 0.0 {
                    best = (best.0, 0.0);
                }
                continue;
            }
            let place = at[0] * image[1] + at[1];
            let value = x[channel + place as usize];
            window_places.push((place, value));
            let larger = match slip {
                Slip::LastOfEquals => value >= best.1 || value.is_nan(),
                Slip::LosesNaN => value > best.1,
                Slip::FirstNaN => value > best.1 || value.is_nan() && !best.1.is_nan(),
                _ => value > best.1 || value.is_nan(),
            };
            let first = best.0 < 0 && !matches!(slip, Slip::StartsAtZero | Slip::StartsAtSmallest | Slip::PadsZeros);
            if larger || first && !value.is_nan() || best.0 < 0 && slip == Slip::PadsZeros && value >= best.1 {
                best = (place, value);
            }
        }
        y.push(best.1);
        places.push(match slip {
            Slip::IndicesOfPaddedImage if best.0 >= 0 => {
                let (row, column) = (best.0 / image[1] + padding[0], best.0 % image[1] + padding[1]);
                row * (image[1] + 2 * padding[1]) + column
            }
            Slip::IndicesOfBatch if best.0 >= 0 => best.0 + channel as i64,
            _ => best.0,
        });
        let Some(g) = g.as_ref().map(|g| g.as_slice()[window]) else { continue };
        for (place, _) in window_places
            .iter()
            .filter(|(place, value)| *place == best.0 || slip == Slip::GradientToAllEquals && *value == best.1)
        {
            let sum = &mut dx[channel + *place as usize];
            *sum = if slip == Slip::OverwritesGradient { g } else { *sum + g };
        }
    }
    replace(results, Group::Out, "output", y);
    replace(results, Group::GradIn, "input", dx);
    if results.get(Group::Out, "indices").is_some()
        && let Ok(places) = Tensor::from_vec(&shape, places)
    {
        results.insert_integers(Group::Out, "indices", places);
    }
}
