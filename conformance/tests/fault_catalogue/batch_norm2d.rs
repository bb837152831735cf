//! BatchNorm2d.

use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results};
use super::reading::{flag, is_tame, number, replace, rounded, set, tensor, update};
use conformance::{Case, Group, Mode, Named};
use serde_json::json;
use vocabulary::{StateTensor, Tensor};

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    BiasedRunningVariance,
    UnbiasedVariance,
    EpsOutsideRoot,
    MomentumSwapped,
    EvaluatesWithBatch,
    OnePass,
    Weight,
    Bias,
    StatisticsOfImage,
    GradientOfFixedStatistics,
    GradientWithoutProjection,
    WeightGradientOfInput,
}

const LAYER: &str = "BatchNorm2d";

/// The kernel without a mistake.
pub fn kernels() -> Vec<Fault> {
    vec![Fault::new(LAYER, "kernel", Results(|case, results| batch_norm2d(case, results, Slip::None)))]
}

pub fn faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(LAYER, name, mistake);
    vec![
        fault("the running variance is biased", Results(|c, r| batch_norm2d(c, r, Slip::BiasedRunningVariance))),
        fault("the variance is unbiased", Results(|c, r| batch_norm2d(c, r, Slip::UnbiasedVariance))),
        fault("eps is outside the root", Results(|c, r| batch_norm2d(c, r, Slip::EpsOutsideRoot))),
        fault("momentum is taken for 1 − momentum", Results(|c, r| batch_norm2d(c, r, Slip::MomentumSwapped))),
        fault("evaluation uses the batch's statistics", Results(|c, r| batch_norm2d(c, r, Slip::EvaluatesWithBatch))),
        fault("E[x²] − μ² in one pass", Results(|c, r| batch_norm2d(c, r, Slip::OnePass))),
        fault("E[x²] − μ² in one pass, by an unknown's bounds", Results(|c, r| batch_norm2d(c, r, Slip::OnePass)))
            .foreign(),
        fault("the weight is missing", Results(|c, r| batch_norm2d(c, r, Slip::Weight))),
        fault("the bias is missing", Results(|c, r| batch_norm2d(c, r, Slip::Bias))),
        fault("statistics are the first image's", Results(|c, r| batch_norm2d(c, r, Slip::StatisticsOfImage))),
        fault(
            "the gradient takes statistics for constants",
            Results(|c, r| batch_norm2d(c, r, Slip::GradientOfFixedStatistics)),
        ),
        fault(
            "the gradient forgets the variance's",
            Results(|c, r| batch_norm2d(c, r, Slip::GradientWithoutProjection)),
        ),
        fault("the weight's gradient takes x for x̂", Results(|c, r| batch_norm2d(c, r, Slip::WeightGradientOfInput))),
        fault(
            "num_batches_tracked is not counted",
            Results(|case, results| {
                if let (Some(StateTensor::I64(before)), true) = (
                    case.tensor(Group::State, "num_batches_tracked"),
                    results.get(Group::After, "num_batches_tracked").is_some(),
                ) {
                    results.insert_integers(Group::After, "num_batches_tracked", before.clone());
                }
            }),
        ),
        fault(
            "an empty batch is not counted",
            Results(|case, results| {
                if let (Some(StateTensor::I64(before)), true) = (
                    case.tensor(Group::State, "num_batches_tracked"),
                    results.get(Group::After, "num_batches_tracked").is_some(),
                ) && tensor(case, Group::In, "input").is_some_and(|input| input.is_empty())
                {
                    results.insert_integers(Group::After, "num_batches_tracked", before.clone());
                }
            }),
        ),
        fault(
            "momentum = None is taken for 0.1",
            Call(|case| {
                if case.options.get("momentum").is_some_and(serde_json::Value::is_null) {
                    set(case, "momentum", json!(0.1));
                }
            }),
        ),
        fault(
            "the average counts from 0",
            Results(|case, results| {
                // The new mean with 1/(t − 1) for 1/t, where that is a number: right at the first batch after 0.
                let (Some(StateTensor::I64(count)), true) = (
                    case.tensor(Group::State, "num_batches_tracked"),
                    case.options.get("momentum").is_some_and(serde_json::Value::is_null),
                ) else {
                    return;
                };
                let before = tensor(case, Group::State, "running_mean").unwrap_or_else(|| Tensor::scalar(0.0));
                let t = count.as_slice()[0] as f64;
                if t > 0.0 {
                    update(results, Group::After, "running_mean", |k, after| {
                        let mean = (after - before.as_slice()[k] * (1.0 - 1.0 / (t + 1.0))) * (t + 1.0);
                        before.as_slice()[k] * (1.0 - 1.0 / t) + mean / t
                    });
                }
            }),
        ),
        fault("eps is always the default", Call(|case| _ = case.options.remove("eps"))),
    ]
}

/// Outputs, gradients and running statistics, with the mistake.
fn batch_norm2d(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let Some(input) = tensor(case, Group::In, "input") else { return };
    let &[images, channels, height, width] = input.shape() else { return };
    let n = images * height * width;
    if !is_tame(case) || n < 2 || channels == 0 {
        return;
    }
    let state = |name: &str| tensor(case, Group::State, name).map(Tensor::into_vec);
    let (weight, bias) = (state("weight"), state("bias"));
    let (running_mean, running_variance) = (state("running_mean"), state("running_var"));
    let eps = number(case, "eps").unwrap_or(1e-5);
    let training = case.mode == Mode::Train;
    let tracks = flag(case, "track_running_stats").unwrap_or(true);
    let own = training || !tracks || slip == Slip::EvaluatesWithBatch;
    let g = tensor(case, Group::GradOut, "output");
    let area = height * width;
    let (mut y, mut dx) = (vec![0.0; input.len()], vec![0.0; input.len()]);
    let (mut dw, mut db) = (Vec::new(), Vec::new());
    let (mut new_mean, mut new_variance) = (Vec::new(), Vec::new());
    let momentum = match (case.options.get("momentum"), case.tensor(Group::State, "num_batches_tracked")) {
        (Some(serde_json::Value::Null), Some(StateTensor::I64(count))) => 1.0 / (count.as_slice()[0] as f64 + 1.0),
        _ => number(case, "momentum").unwrap_or(0.1),
    };
    let momentum = if slip == Slip::MomentumSwapped { 1.0 - momentum } else { momentum };
    for c in 0..channels {
        let places = (0..images).flat_map(|image| (0..area).map(move |k| (image * channels + c) * area + k));
        let places: Vec<usize> = places.collect();
        let x = |k: &usize| input.as_slice()[*k];
        let of = if slip == Slip::StatisticsOfImage { &places[..area] } else { &places[..] };
        let count = of.len() as f64;
        let mean = of.iter().map(x).sum::<f64>() / count;
        let variance = match slip {
            Slip::OnePass => {
                // In the type itself, where it cancels.
                let sum = |f: &dyn Fn(f64) -> f64| {
                    of.iter().map(x).fold(0.0, |sum, x| rounded(case, sum + rounded(case, f(x))))
                };
                let mean = rounded(case, sum(&|x| x) / count);
                let square = rounded(case, sum(&|x| x * x) / count);
                rounded(case, square - rounded(case, mean * mean)).max(0.0)
            }
            _ => of.iter().map(|k| (x(k) - mean).powi(2)).sum::<f64>() / count,
        };
        let unbiased = variance * count / (count - 1.0).max(1.0);
        if let (Some(m), Some(v), true) = (&running_mean, &running_variance, training) {
            new_mean.push((1.0 - momentum) * m[c] + momentum * mean);
            let moved = if slip == Slip::BiasedRunningVariance { variance } else { unbiased };
            new_variance.push((1.0 - momentum) * v[c] + momentum * moved);
        }
        let (mean, variance) = match (own, &running_mean, &running_variance) {
            (false, Some(m), Some(v)) => (m[c], v[c]),
            _ if slip == Slip::UnbiasedVariance => (mean, unbiased),
            _ => (mean, variance),
        };
        let inverse = match slip {
            Slip::EpsOutsideRoot => 1.0 / (variance.sqrt() + eps),
            _ => 1.0 / (variance + eps).sqrt(),
        };
        let gamma = weight.as_ref().filter(|_| slip != Slip::Weight).map_or(1.0, |weight| weight[c]);
        let beta = bias.as_ref().filter(|_| slip != Slip::Bias).map_or(0.0, |bias| bias[c]);
        let normalised = |k: &usize| (x(k) - mean) * inverse;
        places.iter().for_each(|k| y[*k] = gamma * normalised(k) + beta);
        let Some(g) = &g else { continue };
        let g = |k: &usize| g.as_slice()[*k];
        let (sum, projection): (f64, f64) =
            (places.iter().map(g).sum(), places.iter().map(|k| g(k) * normalised(k)).sum());
        for k in &places {
            let centred = match (own, slip) {
                (false, _) | (_, Slip::GradientOfFixedStatistics) => g(k),
                (_, Slip::GradientWithoutProjection) => g(k) - sum / n as f64,
                _ => g(k) - sum / n as f64 - normalised(k) * projection / n as f64,
            };
            dx[*k] = gamma * centred * inverse;
        }
        db.push(sum);
        dw.push(match slip {
            Slip::WeightGradientOfInput => places.iter().map(|k| g(k) * x(k)).sum(),
            _ => projection,
        });
    }
    replace(results, Group::Out, "output", y);
    if g.is_some() {
        replace(results, Group::GradIn, "input", dx);
        replace(results, Group::GradState, "weight", dw);
        replace(results, Group::GradState, "bias", db);
    }
    if training && running_mean.is_some() {
        replace(results, Group::After, "running_mean", new_mean);
        replace(results, Group::After, "running_var", new_variance);
    }
}
