//! Conv2d.

use super::harness::{Fault, Mistake, Mistake::Results};
use super::reading::{axes, indices, integer, is_tame, replace, shape_of, tensor, word};
use conformance::{Case, Group, Named};

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    LastTap,
    LastChannel,
    KernelSwapped,
    KernelTurned,
    StrideIsDilation,
    StrideOfOneAxis,
    PaddingOfOneAxis,
    DilationOfOneAxis,
    FirstGroup,
    InterleavedGroups,
    Bias,
    SameAtTheStart,
    ReflectsTheEdge,
    PadsZeros,
    CircularIsReplicate,
    OverwritesInputGradient,
    LastImagesWeightGradient,
    BackwardIgnoresDilation,
    BackwardIgnoresGroups,
    BiasGradientOfPlane,
}

const LAYER: &str = "Conv2d";

/// The kernel without a mistake.
pub fn kernels() -> Vec<Fault> {
    vec![Fault::new(LAYER, "kernel", Results(|case, results| conv2d(case, results, Slip::None)))]
}

pub fn faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(LAYER, name, mistake);
    vec![
        fault("the kernel's last tap is dropped", Results(|c, r| conv2d(c, r, Slip::LastTap))),
        fault("a group's last channel is dropped", Results(|c, r| conv2d(c, r, Slip::LastChannel))),
        fault("the kernel's axes are swapped", Results(|c, r| conv2d(c, r, Slip::KernelSwapped))),
        fault("the kernel is turned round", Results(|c, r| conv2d(c, r, Slip::KernelTurned))),
        fault("stride and dilation are swapped", Results(|c, r| conv2d(c, r, Slip::StrideIsDilation))),
        fault("the height's stride is used for both axes", Results(|c, r| conv2d(c, r, Slip::StrideOfOneAxis))),
        fault("the height's padding is used for both axes", Results(|c, r| conv2d(c, r, Slip::PaddingOfOneAxis))),
        fault("the height's dilation is used for both axes", Results(|c, r| conv2d(c, r, Slip::DilationOfOneAxis))),
        fault("every group reads the first group's channels", Results(|c, r| conv2d(c, r, Slip::FirstGroup))),
        fault("outputs are dealt to the groups in turn", Results(|c, r| conv2d(c, r, Slip::InterleavedGroups))),
        fault("the bias is missing", Results(|c, r| conv2d(c, r, Slip::Bias))),
        fault("\"same\" pads the odd one at the start", Results(|c, r| conv2d(c, r, Slip::SameAtTheStart))),
        fault("\"reflect\" repeats the edge", Results(|c, r| conv2d(c, r, Slip::ReflectsTheEdge))),
        fault("padding_mode is ignored", Results(|c, r| conv2d(c, r, Slip::PadsZeros))),
        fault("\"circular\" is taken for \"replicate\"", Results(|c, r| conv2d(c, r, Slip::CircularIsReplicate))),
        fault("windows overwrite the input's gradient", Results(|c, r| conv2d(c, r, Slip::OverwritesInputGradient))),
        fault(
            "the weight's gradient is the last image's",
            Results(|c, r| conv2d(c, r, Slip::LastImagesWeightGradient)),
        ),
        fault("backward ignores the dilation", Results(|c, r| conv2d(c, r, Slip::BackwardIgnoresDilation))),
        fault("backward ignores the groups", Results(|c, r| conv2d(c, r, Slip::BackwardIgnoresGroups))),
        fault("the bias's gradient is the last row's", Results(|c, r| conv2d(c, r, Slip::BiasGradientOfPlane))),
    ]
}

/// One axis of a call, as its options have it.
struct Axis {
    size: i128,
    stride: i128,
    dilation: i128,
    start: i128,
}

/// Where a window's tap reads along an axis: outside the image where zeros are padded.
fn source(axis: &Axis, mode: &str, slip: Slip, window: usize, tap: usize) -> Option<usize> {
    let size = axis.size;
    let k = window as i128 * axis.stride + tap as i128 * axis.dilation - axis.start;
    let k = match mode {
        _ if (0..size).contains(&k) => k,
        _ if slip == Slip::PadsZeros => return None,
        "circular" if slip != Slip::CircularIsReplicate => k.rem_euclid(size),
        "replicate" | "circular" => k.clamp(0, size - 1),
        "reflect" if slip == Slip::ReflectsTheEdge => {
            if k < 0 {
                -k - 1
            } else {
                2 * size - 1 - k
            }
        }
        "reflect" => {
            if k < 0 {
                -k
            } else {
                2 * (size - 1) - k
            }
        }
        _ => return None,
    };
    // A mistaken window may reach beyond what the options allow.
    usize::try_from(k).ok().filter(|k| (*k as i128) < size)
}

/// Both axes of a call, with the mistake.
fn geometry(case: &Case, image: [usize; 2], kernel: [usize; 2], slip: Slip) -> [Axis; 2] {
    let both = |name: &str| axes(case, name).unwrap_or([1, 1]).map(i128::from);
    let (mut stride, mut dilation) = (both("stride"), both("dilation"));
    let reach = |axis: usize| dilation[axis] * (kernel[axis] as i128 - 1);
    let mut start = match word(case, "padding") {
        Some("same") if slip == Slip::SameAtTheStart => [0, 1].map(|axis| reach(axis) - reach(axis) / 2),
        Some("same") => [0, 1].map(|axis| reach(axis) / 2),
        Some(_) => [0, 0],
        None => axes(case, "padding").unwrap_or([0, 0]).map(i128::from),
    };
    match slip {
        Slip::StrideIsDilation => (stride, dilation) = (dilation, stride),
        Slip::StrideOfOneAxis => stride[1] = stride[0],
        Slip::DilationOfOneAxis => dilation[1] = dilation[0],
        Slip::PaddingOfOneAxis => start[1] = start[0],
        _ => {}
    }
    [0, 1].map(|axis| Axis {
        size: image[axis] as i128,
        stride: stride[axis],
        dilation: dilation[axis],
        start: start[axis],
    })
}

/// Output and gradients, with the mistake.
fn conv2d(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let (Some(x), Some(w)) = (tensor(case, Group::In, "input"), tensor(case, Group::State, "weight")) else { return };
    let bias = tensor(case, Group::State, "bias").filter(|_| slip != Slip::Bias);
    let Some(shape) = shape_of(results, Group::Out, "output") else { return };
    let &[.., channels, height, width] = x.shape() else { return };
    let &[outputs, group_inputs, kernel_height, kernel_width] = w.shape() else { return };
    if !is_tame(case) || group_inputs == 0 {
        return;
    }
    let groups = integer(case, "groups").unwrap_or(1) as usize;
    let mode = word(case, "padding_mode").unwrap_or("zeros");
    let [vertical, horizontal] = geometry(case, [height, width], [kernel_height, kernel_width], slip);
    let batch = if shape.len() == 4 { shape[0] } else { 1 };
    let batched = [batch, outputs, shape[shape.len() - 2], shape[shape.len() - 1]];
    let (x, w) = (x.as_slice(), w.as_slice());
    let g = tensor(case, Group::GradOut, "output");

    let (mut y, mut dx, mut dw) = (Vec::new(), vec![0.0; x.len()], vec![0.0; w.len()]);
    let mut db = vec![0.0; outputs];
    for (window, index) in indices(&batched).enumerate() {
        let [n, o, a, b] = index[..] else { return };
        let mut sum = 0.0;
        for tap in indices(&[group_inputs, kernel_height, kernel_width]) {
            let [c, i, j] = tap[..] else { return };
            let dropped = match slip {
                Slip::LastTap => (i + 1, j + 1) == (kernel_height, kernel_width),
                Slip::LastChannel => c + 1 == group_inputs,
                _ => false,
            };
            if dropped {
                continue;
            }
            let kernel = (o * group_inputs + c) * kernel_height * kernel_width;
            let weight = kernel
                + match slip {
                    Slip::KernelSwapped => j * kernel_height + i,
                    Slip::KernelTurned => (kernel_height - 1 - i) * kernel_width + kernel_width - 1 - j,
                    _ => i * kernel_width + j,
                };
            let group = match slip {
                Slip::FirstGroup => 0,
                Slip::InterleavedGroups => o % groups,
                _ => o / (outputs / groups),
            };
            let read = |group: usize, vertical: &Axis, horizontal: &Axis| {
                let place = source(vertical, mode, slip, a, i).zip(source(horizontal, mode, slip, b, j));
                let channel = n * channels + group * group_inputs + c;
                place.map(|(h, w)| (channel * height + h) * width + w)
            };
            let place = read(group, &vertical, &horizontal);
            sum += place.map_or(0.0, |place| x[place]) * w[weight];
            let Some(g) = g.as_ref().map(|g| g.as_slice()[window]) else { continue };
            let back = match slip {
                Slip::BackwardIgnoresDilation => {
                    read(group, &Axis { dilation: 1, ..vertical }, &Axis { dilation: 1, ..horizontal })
                }
                Slip::BackwardIgnoresGroups => read(0, &vertical, &horizontal),
                _ => place,
            };
            if let Some(back) = back {
                dx[back] = w[weight] * g + if slip == Slip::OverwritesInputGradient { 0.0 } else { dx[back] };
            }
            if slip != Slip::LastImagesWeightGradient || n + 1 == batch {
                dw[weight] += back.map_or(0.0, |back| x[back]) * g;
            }
        }
        y.push(bias.as_ref().map_or(sum, |bias| sum + bias.as_slice()[o]));
        if let Some(g) = &g
            && (slip != Slip::BiasGradientOfPlane || a + 1 == batched[2])
        {
            db[o] += g.as_slice()[window];
        }
    }
    replace(results, Group::Out, "output", y);
    replace(results, Group::GradIn, "input", dx);
    replace(results, Group::GradState, "weight", dw);
    replace(results, Group::GradState, "bias", db);
}
