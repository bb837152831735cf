//! CrossEntropyLoss.

use super::activations::lines;
use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results};
use super::losses::{Reduction, reduction};
use super::reading::{integer, integers, is_single, is_tame, number, replace, set, tensor, update};
use conformance::{Case, Group, Named};
use serde_json::json;

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    WeightedMeanByCount,
    IgnoredCount,
    SmoothingWithoutWeights,
    SmoothingOverTheRest,
    ProbabilitiesByElement,
    ProbabilitiesUnweighted,
    WithoutMaximum,
    LogOfSoftmax,
    LogitsInRows,
    SumForMean,
}

const LAYER: &str = "CrossEntropyLoss";

/// The kernel without a mistake.
pub fn kernels() -> Vec<Fault> {
    vec![Fault::new(LAYER, "kernel", Results(|case, results| cross_entropy(case, results, Slip::None)))]
}

pub fn faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(LAYER, name, mistake);
    vec![
        fault("1/n is forgotten", Results(|c, r| cross_entropy(c, r, Slip::SumForMean))),
        fault("the weighted mean divides by N", Results(|c, r| cross_entropy(c, r, Slip::WeightedMeanByCount))),
        fault("ignored items count in the mean", Results(|c, r| cross_entropy(c, r, Slip::IgnoredCount))),
        fault("label smoothing is forgotten", Call(|case| set(case, "label_smoothing", json!(0.0)))),
        fault("label smoothing has no weights", Results(|c, r| cross_entropy(c, r, Slip::SmoothingWithoutWeights))),
        fault(
            "labels are smoothed over the other classes",
            Results(|c, r| cross_entropy(c, r, Slip::SmoothingOverTheRest)),
        ),
        fault(
            "the mean of probabilities is by element",
            Results(|c, r| cross_entropy(c, r, Slip::ProbabilitiesByElement)),
        ),
        fault("probabilities have no weights", Results(|c, r| cross_entropy(c, r, Slip::ProbabilitiesUnweighted))),
        fault("it overflows without the maximum", Results(|c, r| cross_entropy(c, r, Slip::WithoutMaximum))),
        fault("the softmax's logarithm is rounded to −∞", Results(|c, r| cross_entropy(c, r, Slip::LogOfSoftmax))),
        fault("logits are read as rows of classes", Results(|c, r| cross_entropy(c, r, Slip::LogitsInRows))),
        fault("ignore_index is always −100", Call(|case| set(case, "ignore_index", json!(-100)))),
        fault(
            "ignored items have a gradient",
            Results(|case, results| {
                let with = super::harness::rerun(case, |case| set(case, "ignore_index", json!(-100)));
                let gradient = with.and_then(|with| with.float(Group::GradIn, "input").cloned());
                if let (Some(gradient), true) = (gradient, reduction(case) != Reduction::Mean) {
                    replace(results, Group::GradIn, "input", gradient.into_vec());
                }
            }),
        ),
        fault(
            "the gradient is the softmax's alone",
            Results(|case, results| {
                // As without the −1 at the class: right for ignored items.
                let (Some(classes), Some(g)) = (integers(case, "target"), tensor(case, Group::GradOut, "output"))
                else {
                    return;
                };
                let unsmoothed = number(case, "label_smoothing").unwrap_or(0.0) == 0.0;
                if case.tensor(Group::State, "weight").is_some() || !unsmoothed || reduction(case) != Reduction::Sum {
                    return;
                }
                let shape = tensor(case, Group::In, "input").map_or(Vec::new(), |input| input.shape().to_vec());
                let ignored = integer(case, "ignore_index").unwrap_or(-100);
                for (item, line) in lines(&shape, usize::from(shape.len() > 1)).iter().enumerate() {
                    let class = classes.as_slice()[item];
                    let hit = line.get(class as usize).copied().filter(|_| class != ignored);
                    update(
                        results,
                        Group::GradIn,
                        "input",
                        |k, dx| if Some(k) == hit { dx + g.as_slice()[0] } else { dx },
                    );
                }
            }),
        ),
    ]
}

/// The output, with the mistake; gradients are left as they are.
fn cross_entropy(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let Some(input) = tensor(case, Group::In, "input") else { return };
    if !is_tame(case) || input.is_empty() {
        return;
    }
    let classes = input.shape()[usize::from(input.rank() > 1)];
    let rows: Vec<Vec<usize>> = match slip {
        // Right without further dimensions.
        Slip::LogitsInRows => {
            (0..input.len() / classes).map(|item| (item * classes..(item + 1) * classes).collect()).collect()
        }
        _ => lines(input.shape(), usize::from(input.rank() > 1)),
    };
    let weight = tensor(case, Group::State, "weight");
    let w = |class: usize| weight.as_ref().map_or(1.0, |weight| weight.as_slice()[class]);
    let smoothing = number(case, "label_smoothing").unwrap_or(0.0);
    // PyTorch leaves a negative one out for classes.
    let smoothing = if smoothing > 0.0 { smoothing } else { 0.0 };
    let spread = smoothing / classes as f64;
    let ignored = integer(case, "ignore_index").unwrap_or(-100);
    let (labels, probabilities) = (integers(case, "target"), tensor(case, Group::In, "target"));
    let (mut hits, mut spreads, mut divisor) = (Vec::new(), Vec::new(), 0.0);
    for (item, line) in rows.iter().enumerate() {
        let s = log_softmax(case, &line.iter().map(|&k| input.as_slice()[k]).collect::<Vec<f64>>(), slip);
        let all = |weighted: bool| -(0..classes).map(|c| if weighted { w(c) * s[c] } else { s[c] }).sum::<f64>();
        match (&labels, &probabilities) {
            (Some(labels), _) if labels.as_slice()[item] == ignored => {
                hits.push(0.0);
                spreads.push(0.0);
                divisor += if slip == Slip::IgnoredCount { 1.0 } else { 0.0 };
            }
            (Some(labels), _) => {
                let y = labels.as_slice()[item] as usize;
                hits.push(-w(y) * s[y]);
                spreads.push(match slip {
                    Slip::SmoothingWithoutWeights => all(false),
                    Slip::SmoothingOverTheRest => all(true) + w(y) * s[y],
                    _ => all(true),
                });
                divisor += if slip == Slip::WeightedMeanByCount { 1.0 } else { w(y) };
            }
            (None, Some(t)) => {
                let of = |c: usize| {
                    let q = (1.0 - smoothing) * t.as_slice()[line[c]] + spread;
                    if slip == Slip::ProbabilitiesUnweighted { q * s[c] } else { w(c) * q * s[c] }
                };
                hits.push(-(0..classes).map(of).sum::<f64>());
                divisor += if slip == Slip::ProbabilitiesByElement { classes as f64 } else { 1.0 };
            }
            _ => return,
        }
    }
    let spread = if slip == Slip::SmoothingOverTheRest { smoothing / (classes as f64 - 1.0).max(1.0) } else { spread };
    let joined = |losses: Vec<f64>| match reduction(case) {
        Reduction::None => losses,
        Reduction::Mean if slip != Slip::SumForMean => vec![losses.iter().sum::<f64>() / divisor],
        _ => vec![losses.iter().sum()],
    };
    let (hits, spreads) = (joined(hits), joined(spreads));
    let losses = match labels {
        Some(_) if smoothing > 0.0 => {
            hits.iter().zip(&spreads).map(|(hit, all)| (1.0 - smoothing) * hit + spread * all).collect()
        }
        _ => hits,
    };
    replace(results, Group::Out, "output", losses);
}

/// The logarithms of a line's softmax, with the mistake.
fn log_softmax(case: &Case, x: &[f64], slip: Slip) -> Vec<f64> {
    let exp = |x: f64| if is_single(case) { f64::from((x as f32).exp()) } else { x.exp() };
    let largest = match slip {
        Slip::WithoutMaximum => 0.0,
        _ => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    let sum: f64 = x.iter().map(|x| exp(x - largest)).sum();
    match slip {
        Slip::LogOfSoftmax => x.iter().map(|x| (exp(x - largest) / sum).ln()).collect(),
        _ => x.iter().map(|x| x - largest - sum.ln()).collect(),
    }
}
