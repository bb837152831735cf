//! Cases so large that work is shared out among threads, and sums are taken in several parts: every algorithm at every
//! instruction set and number of threads, within the same derived bounds as the small ones.

use conformance::{Case, Conclusion, DType, Expect, Group, Implementation, Limits, Mode, Optimized, Selection, Trial};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::json;
use vocabulary::{StateTensor, Tensor};

/// What fills the tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    /// Integers so small that every sum is exact, in any order.
    Integers,
    /// Any numbers in [−2, 2).
    Numbers,
}

const LARGE: Limits = Limits { memory: 8 << 30 };

fn case(
    layer: &str,
    options: serde_json::Value,
    dtype: DType,
    fill: Fill,
    tensors: &[(Group, &str, &[usize])],
) -> Case {
    let seed = super::seed();
    let mut rng = SmallRng::seed_from_u64(seed);
    let serde_json::Value::Object(options) = options else { panic!("options are an object") };
    let mut case = Case::new("large", layer, options, Mode::Train, Expect::Values);
    for (group, name, shape) in tensors {
        let positive = *name == "running_var";
        let mut draw = || match fill {
            Fill::Integers => f64::from(rng.random_range(-2..=2_i32)),
            Fill::Numbers if positive => rng.random_range(0.5..2.0),
            Fill::Numbers => rng.random_range(-2.0..2.0),
        };
        let tensor: StateTensor = match dtype {
            DType::F32 => Tensor::from_fn(shape, |_| draw() as f32).unwrap().into(),
            DType::F64 => Tensor::from_fn(shape, |_| draw()).unwrap().into(),
        };
        case.insert(*group, name, tensor);
    }
    case
}

/// Every variant passes; with integers, all outputs and gradients are exact where the layer only adds and multiplies.
fn check(case: &Case, fill: Fill) {
    let trial = Trial::new(case, "none");
    let mut runs = 0;
    for variant in Optimized.variants(case, &Selection { all: true, ..Selection::default() }) {
        let verdict = trial.replay(&Optimized, &variant, &LARGE);
        match verdict.conclusion {
            Conclusion::Passed => runs += 1,
            Conclusion::NotApplicable(_) => continue,
            other => panic!("{} {:?}, {variant}: {other}", case.layer, case.options),
        }
        for judgement in &verdict.judgements {
            assert_eq!(judgement.unknown, 0, "{}.{}", judgement.group, judgement.name);
            assert_eq!(judgement.unlikely, 0, "{}.{} is beyond its likely bound", judgement.group, judgement.name);
            if fill == Fill::Integers {
                assert_eq!(judgement.exact, judgement.compared, "{}.{}", judgement.group, judgement.name);
            }
        }
    }
    assert!(runs >= 3, "only {runs} variants ran");
}

const FILLS: [(Fill, DType); 3] =
    [(Fill::Integers, DType::F32), (Fill::Numbers, DType::F32), (Fill::Numbers, DType::F64)];

/// Rows, in_features, out_features: many tiles; long sums; so many long rows that they are packed band by band.
#[test]
fn linear() {
    for (fill, dtype) in FILLS {
        for (rows, inputs, outputs) in [(270, 65, 130), (9, 1000, 300), (700, 1600, 1)] {
            let options = json!({"in_features": inputs, "out_features": outputs});
            let tensors: &[(Group, &str, &[usize])] = &[
                (Group::In, "input", &[rows, inputs]),
                (Group::State, "weight", &[outputs, inputs]),
                (Group::State, "bias", &[outputs]),
                (Group::GradOut, "output", &[rows, outputs]),
            ];
            check(&case("Linear", options, dtype, fill, tensors), fill);
        }
    }
}

/// Three tasks of the elementwise kernels, the last a part of one.
const ELEMENTS: usize = 300_007;

#[test]
fn relu() {
    for (fill, dtype) in FILLS {
        let tensors: &[(Group, &str, &[usize])] =
            &[(Group::In, "input", &[ELEMENTS]), (Group::GradOut, "output", &[ELEMENTS])];
        check(&case("ReLU", json!({}), dtype, fill, tensors), fill);
    }
}

#[test]
fn sigmoid() {
    for dtype in [DType::F32, DType::F64] {
        let tensors: &[(Group, &str, &[usize])] =
            &[(Group::In, "input", &[ELEMENTS]), (Group::GradOut, "output", &[ELEMENTS])];
        check(&case("Sigmoid", json!({}), dtype, Fill::Numbers, tensors), Fill::Numbers);
    }
}

/// Channels enough to go through one by one, planes of more than one piece, and so few channels that planes are shared out.
#[test]
fn batch_norm2d() {
    for dtype in [DType::F32, DType::F64] {
        for shape in [[5, 33, 9, 11], [3, 17, 30, 31], [2, 2, 150, 130], [9, 3, 60, 61]] {
            let [.., channels, _, _] = shape;
            let tensors: &[(Group, &str, &[usize])] = &[
                (Group::In, "input", &shape),
                (Group::State, "weight", &[channels]),
                (Group::State, "bias", &[channels]),
                (Group::State, "running_mean", &[channels]),
                (Group::State, "running_var", &[channels]),
                (Group::GradOut, "output", &shape),
            ];
            let options = json!({"num_features": channels});
            let mut case = case("BatchNorm2d", options, dtype, Fill::Numbers, tensors);
            case.insert(Group::State, "num_batches_tracked", Tensor::scalar(7_i64));
            check(&case, Fill::Numbers);
            case.mode = Mode::Eval;
            check(&case, Fill::Numbers);
        }
    }
}

/// One shape; and broadcast ones along the outer, the inner, and both dimensions, in several parts each.
#[test]
fn mse_loss() {
    let shapes: [(&[usize], &[usize], &[usize]); 4] = [
        (&[ELEMENTS], &[ELEMENTS], &[ELEMENTS]),
        (&[700, 501], &[501], &[700, 501]),
        (&[700, 1], &[700, 501], &[700, 501]),
        (&[73, 1, 61], &[67, 1], &[73, 67, 61]),
    ];
    for (fill, dtype) in FILLS {
        for (input, target, whole) in shapes {
            for reduction in ["mean", "sum", "none"] {
                // A mean of integers is none.
                if fill == Fill::Integers && reduction == "mean" {
                    continue;
                }
                let output = if reduction == "none" { whole } else { &[] };
                let tensors: &[(Group, &str, &[usize])] =
                    &[(Group::In, "input", input), (Group::In, "target", target), (Group::GradOut, "output", output)];
                check(&case("MSELoss", json!({"reduction": reduction}), dtype, fill, tensors), fill);
            }
        }
    }
}

/// Work enough for threads: several tiles and long sums, a batch summed in pieces, groups, and strided windows that read
/// mirrored padding.
#[test]
fn conv2d() {
    for (fill, dtype) in FILLS {
        for (channels, groups, kernel, stride, padding, mode, image) in [
            ([20, 70], 1, 3, 1, 1, "zeros", [13, 14]),
            ([70, 65], 1, 1, 1, 0, "zeros", [9, 29]),
            ([40, 40], 40, 3, 1, 1, "circular", [40, 41]),
            ([40, 40], 40, 3, 1, 1, "zeros", [40, 41]),
            ([3, 20], 1, 7, 2, 3, "reflect", [36, 37]),
        ] {
            let (batch, inputs) = (2, channels[0]);
            let [height, width] = image.map(|size: usize| (size + 2 * padding - kernel) / stride + 1);
            let options = json!({
                "in_channels": inputs, "out_channels": channels[1], "kernel_size": kernel, "stride": stride,
                "padding": padding, "groups": groups, "padding_mode": mode,
            });
            let tensors: &[(Group, &str, &[usize])] = &[
                (Group::In, "input", &[batch, inputs, image[0], image[1]]),
                (Group::State, "weight", &[channels[1], inputs / groups, kernel, kernel]),
                (Group::State, "bias", &[channels[1]]),
                (Group::GradOut, "output", &[batch, channels[1], height, width]),
            ];
            check(&case("Conv2d", options, dtype, fill, tensors), fill);
        }
    }
}

/// Several tasks, forward and backward, of windows beside each other and of windows that overlap.
#[test]
fn max_pool2d() {
    for (fill, dtype) in FILLS {
        for (kernel, stride, padding, size) in [(2, 2, 0, 21), (3, 2, 1, 21), (3, 1, 1, 42)] {
            let options = json!({"kernel_size": kernel, "stride": stride, "padding": padding, "return_indices": true});
            let tensors: &[(Group, &str, &[usize])] =
                &[(Group::In, "input", &[3, 20, 42, 42]), (Group::GradOut, "output", &[3, 20, size, size])];
            check(&case("MaxPool2d", options, dtype, fill, tensors), fill);
        }
    }
}
