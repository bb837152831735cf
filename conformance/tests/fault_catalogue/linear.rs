//! Linear.

use super::harness::{Fault, Mistake, Mistake::Results};
use super::reading::{is_tame, replace, tensor};
use conformance::{Case, Group, Named};

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    LastTerm,
    TailOfTerms,
    FirstTerm,
    Bias,
    TransposedSquare,
    BiasOfRow,
    LastRowsBiasGradient,
    LastRowsWeightGradient,
    TransposedGradient,
}

const LAYER: &str = "Linear";

/// The kernel without a mistake.
pub fn kernels() -> Vec<Fault> {
    vec![Fault::new(LAYER, "kernel", Results(|case, results| linear(case, results, Slip::None)))]
}

pub fn faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(LAYER, name, mistake);
    vec![
        fault("the last term is dropped", Results(|c, r| linear(c, r, Slip::LastTerm))),
        fault("the first term is dropped", Results(|c, r| linear(c, r, Slip::FirstTerm))),
        fault("terms beyond the last 8 lanes are dropped", Results(|c, r| linear(c, r, Slip::TailOfTerms))),
        fault("the bias is missing", Results(|c, r| linear(c, r, Slip::Bias))),
        fault("the bias is missing, by an unknown's bounds", Results(|c, r| linear(c, r, Slip::Bias))).foreign(),
        fault("a square weight is read transposed", Results(|c, r| linear(c, r, Slip::TransposedSquare))),
        fault("the bias is taken by row, not by feature", Results(|c, r| linear(c, r, Slip::BiasOfRow))),
        fault("the bias's gradient is the last row's", Results(|c, r| linear(c, r, Slip::LastRowsBiasGradient))),
        fault("the weight's gradient is the last row's", Results(|c, r| linear(c, r, Slip::LastRowsWeightGradient))),
        fault("a square weight's gradient is transposed", Results(|c, r| linear(c, r, Slip::TransposedGradient))),
        fault("gradients are accumulated twice", Results(|_, results| twice(results, Group::GradState))),
        fault("the output is added to a former call's", Results(|_, results| twice(results, Group::Out))),
    ]
}

/// A buffer that is not cleared between two equal calls.
fn twice(results: &mut Named<f64>, group: Group) {
    let mut stale = results.split_off(group);
    stale.floats_mut().flat_map(|tensor| tensor.as_mut_slice()).for_each(|x| *x *= 2.0);
    for (group, name, value) in stale.iter() {
        if let conformance::Value::Float(tensor) = value {
            results.insert(group, name, tensor.clone());
        }
    }
}

/// y = x·Wᵀ + b, the gradients of W and b; with the mistake.
fn linear(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let (Some(x), Some(w)) = (tensor(case, Group::In, "input"), tensor(case, Group::State, "weight")) else { return };
    let bias = tensor(case, Group::State, "bias").filter(|_| slip != Slip::Bias);
    let &[outputs, inputs] = w.shape() else { return };
    if !is_tame(case) || inputs == 0 || outputs == 0 {
        return;
    }
    let terms = match slip {
        Slip::LastTerm => 0..inputs - 1,
        Slip::FirstTerm => 1..inputs,
        Slip::TailOfTerms => 0..inputs / 8 * 8,
        _ => 0..inputs,
    };
    let (x, w) = (x.as_slice(), w.as_slice());
    let rows = x.len() / inputs;
    let transposed = slip == Slip::TransposedSquare && inputs == outputs;
    let mut y = Vec::with_capacity(rows * outputs);
    for row in 0..rows {
        for o in 0..outputs {
            let weight = |i: usize| if transposed { w[i * inputs + o] } else { w[o * inputs + i] };
            let sum: f64 = terms.clone().map(|i| x[row * inputs + i] * weight(i)).sum();
            let place = if slip == Slip::BiasOfRow { row % outputs } else { o };
            y.push(bias.as_ref().map_or(sum, |bias| sum + bias.as_slice()[place]));
        }
    }
    replace(results, Group::Out, "output", y);
    let Some(g) = tensor(case, Group::GradOut, "output") else { return };
    let g = g.as_slice();
    let first_row = |last_alone: bool| if last_alone { rows.saturating_sub(1) } else { 0 };
    let mut dw = vec![0.0; outputs * inputs];
    let mut db = vec![0.0; outputs];
    for o in 0..outputs {
        for row in first_row(slip == Slip::LastRowsWeightGradient)..rows {
            for i in 0..inputs {
                let place = match slip {
                    Slip::TransposedGradient if inputs == outputs => i * inputs + o,
                    _ => o * inputs + i,
                };
                dw[place] += g[row * outputs + o] * x[row * inputs + i];
            }
        }
        db[o] = (first_row(slip == Slip::LastRowsBiasGradient)..rows).map(|row| g[row * outputs + o]).sum();
    }
    replace(results, Group::GradState, "weight", dw);
    replace(results, Group::GradState, "bias", db);
}
