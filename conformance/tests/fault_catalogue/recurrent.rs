//! RNN and GRU.

use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results, rerun};
use super::reading::{flag, integer, is_tame, replace, set, tensor, update_argument, word};
use conformance::{Case, Group, Mode, Named};
use serde_json::json;

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    ResetBeforeProduct,
    UpdateSwapped,
    CandidateWithoutReset,
    ReverseGoesForward,
    FirstMaskForAll,
    MaskOnTheTopToo,
    StateIsKeptBetweenSequences,
    FirstLayersState,
    LastStepsState,
    TimeFirst,
    DropsInEvaluation,
}

/// The kernels without a mistake.
pub fn kernels() -> Vec<Fault> {
    let kernel = |layer| {
        Fault::new(layer, "kernel", Results(|case, results| recurrent(case, results, Slip::None))).forward_alone()
    };
    vec![kernel("RNN"), kernel("GRU")]
}

pub fn faults() -> Vec<Fault> {
    let layers = ["RNN", "GRU"].into_iter().flat_map(of_either);
    layers.chain(of_rnn()).chain(of_gru()).collect()
}

/// A mistake in the kernel that is written here, which goes forward, or one in the call.
fn fault(layer: &'static str, name: &'static str, mistake: Mistake) -> Fault {
    let is_of_kernel = matches!(mistake, Results(_));
    let fault = Fault::new(layer, name, mistake);
    if is_of_kernel { fault.forward_alone() } else { fault }
}

/// Mistakes in what both layers do around their cells.
fn of_either(layer: &'static str) -> Vec<Fault> {
    let fault = |name, mistake: Mistake| fault(layer, name, mistake);
    vec![
        fault("the reverse direction goes forward", Results(|c, r| recurrent(c, r, Slip::ReverseGoesForward))),
        fault("the first layer's mask is every layer's", Results(|c, r| recurrent(c, r, Slip::FirstMaskForAll))),
        fault(
            "the state is kept from sequence to sequence",
            Results(|c, r| recurrent(c, r, Slip::StateIsKeptBetweenSequences)),
        ),
        fault("hx is the first layer's for all", Results(|c, r| recurrent(c, r, Slip::FirstLayersState))),
        fault("the dropout mask is ignored", Call(|case| set(case, "dropout", json!(0.0)))),
        fault("evaluation drops out, too", Results(|c, r| recurrent(c, r, Slip::DropsInEvaluation))),
        fault("hx is ignored", Call(|case| _ = case.tensors.remove(&(Group::In, "hx".into())))),
        fault("the cotangent of h_n is ignored", Call(|case| update_argument(case, Group::GradOut, "h_n", |_, _| 0.0))),
        fault("batch_first is ignored in the strides", Results(|c, r| recurrent(c, r, Slip::TimeFirst))),
        fault("h_n of the reverse direction is the last step's", Results(|c, r| recurrent(c, r, Slip::LastStepsState))),
        fault(
            "bias_hh is missing",
            Call(|case| {
                for name in names(case, "bias_hh") {
                    update_argument(case, Group::State, &name, |_, _| 0.0);
                }
            }),
        ),
        fault(
            "every layer has the first's recurrent weight",
            Call(|case| {
                let Some(first) = case.tensor(Group::State, "weight_hh_l0").cloned() else { return };
                for name in names(case, "weight_hh") {
                    case.insert(Group::State, &name, first.clone());
                }
            }),
        ),
    ]
}

fn of_rnn() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| fault("RNN", name, mistake);
    vec![
        fault("relu is taken for tanh", Call(|case| set(case, "nonlinearity", json!("tanh")))),
        fault("the top layer's output is masked, too", Results(|c, r| recurrent(c, r, Slip::MaskOnTheTopToo))),
    ]
}

fn of_gru() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| fault("GRU", name, mistake);
    vec![
        fault(
            "bias_hh is missing in the n gate",
            Call(|case| {
                let hidden = integer(case, "hidden_size").unwrap_or(0) as usize;
                for name in names(case, "bias_hh") {
                    update_argument(case, Group::State, &name, |k, b| if k < 2 * hidden { b } else { 0.0 });
                }
            }),
        ),
        fault(
            "the gates r and z are swapped",
            Results(|case, results| {
                let hidden = integer(case, "hidden_size").unwrap_or(0) as usize;
                let Some(other) = rerun(case, |case| {
                    let kinds = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
                    let names: Vec<String> = kinds.iter().flat_map(|kind| names(case, kind)).collect();
                    for name in names {
                        let Some(before) = tensor(case, Group::State, &name) else { continue };
                        let row = before.len() / (3 * hidden);
                        update_argument(case, Group::State, &name, |k, x| {
                            before.as_slice().get(swapped(k, hidden * row)).copied().unwrap_or(x)
                        });
                    }
                }) else {
                    return;
                };
                for (group, name) in
                    [(Group::Out, "output"), (Group::Out, "h_n"), (Group::GradIn, "input"), (Group::GradIn, "hx")]
                {
                    if let Some(tensor) = other.float(group, name) {
                        results.insert(group, name, tensor.clone());
                    }
                }
            }),
        ),
        fault("it resets before the product", Results(|c, r| recurrent(c, r, Slip::ResetBeforeProduct))),
        fault("h' = (1 − z)h + z·n", Results(|c, r| recurrent(c, r, Slip::UpdateSwapped))),
        fault("the n gate is not reset", Results(|c, r| recurrent(c, r, Slip::CandidateWithoutReset))),
    ]
}

/// The parameters of a kind.
fn names(case: &Case, kind: &str) -> Vec<String> {
    case.group(Group::State).filter(|(name, _)| name.starts_with(kind)).map(|(name, _)| name.to_owned()).collect()
}

/// The place of the first gate's element in the second, and of the second's in the first.
fn swapped(k: usize, gate: usize) -> usize {
    match k / gate.max(1) {
        0 => k + gate,
        1 => k - gate,
        _ => k,
    }
}

/// The parameters of one layer in one direction.
struct Parameters {
    weight_ih: Vec<f64>,
    weight_hh: Vec<f64>,
    bias_ih: Option<Vec<f64>>,
    bias_hh: Option<Vec<f64>>,
}

impl Parameters {
    fn of(case: &Case, suffix: &str) -> Option<Self> {
        let state = |name: &str| Some(tensor(case, Group::State, &format!("{name}{suffix}"))?.into_vec());
        let (weight_ih, weight_hh) = (state("weight_ih")?, state("weight_hh")?);
        Some(Self { weight_ih, weight_hh, bias_ih: state("bias_ih"), bias_hh: state("bias_hh") })
    }
}

/// Row `row` of weight times v, and the bias.
fn affine(weight: &[f64], bias: &Option<Vec<f64>>, v: &[f64], row: usize) -> f64 {
    let sum: f64 = weight[row * v.len()..][..v.len()].iter().zip(v).map(|(w, v)| w * v).sum();
    bias.as_ref().map_or(sum, |bias| sum + bias[row])
}

/// One step of either cell, with the mistake.
fn step(case: &Case, parameters: &Parameters, x: &[f64], h: &[f64], slip: Slip) -> Vec<f64> {
    let Parameters { weight_ih, weight_hh, bias_ih, bias_hh } = parameters;
    let of_input = |row: usize| affine(weight_ih, bias_ih, x, row);
    let of_hidden = |row: usize| affine(weight_hh, bias_hh, h, row);
    let size = h.len();
    if case.layer == "RNN" {
        let relu = word(case, "nonlinearity") == Some("relu");
        let sums = (0..size).map(|k| of_input(k) + of_hidden(k));
        return sums.map(|a| if relu { a.max(0.0) } else { a.tanh() }).collect();
    }
    let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
    let reset: Vec<f64> = (0..size).map(|k| sigmoid(of_input(k) + of_hidden(k))).collect();
    let reset_h: Vec<f64> = h.iter().zip(&reset).map(|(h, r)| h * r).collect();
    let element = |k: usize| {
        let z = sigmoid(of_input(size + k) + of_hidden(size + k));
        let gate = 2 * size + k;
        let n = match slip {
            Slip::ResetBeforeProduct => of_input(gate) + affine(weight_hh, bias_hh, &reset_h, gate),
            Slip::CandidateWithoutReset => of_input(gate) + of_hidden(gate),
            _ => of_input(gate) + reset[k] * of_hidden(gate),
        };
        let n = n.tanh();
        if slip == Slip::UpdateSwapped { (1.0 - z) * h[k] + z * n } else { (1.0 - z) * n + z * h[k] }
    };
    (0..size).map(element).collect()
}

/// Output and last states, with the mistake; gradients are left as they are.
fn recurrent(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let Some(input) = tensor(case, Group::In, "input") else { return };
    if !is_tame(case) || input.is_empty() {
        return;
    }
    let hidden = integer(case, "hidden_size").unwrap_or(0) as usize;
    let layers = integer(case, "num_layers").unwrap_or(1) as usize;
    let directions = if flag(case, "bidirectional") == Some(true) { 2 } else { 1 };
    let batch_first = flag(case, "batch_first") == Some(true);
    let (length, batch) = match *input.shape() {
        [length, _] => (length, 1),
        [batch, length, _] if batch_first => (length, batch),
        [length, batch, _] => (length, batch),
        _ => return,
    };
    let by_sequence = batch_first && input.rank() == 3 && slip != Slip::TimeFirst;
    let row = |t: usize, n: usize| if by_sequence { n * length + t } else { t * batch + n };
    let dropout = super::reading::number(case, "dropout").unwrap_or(0.0);
    let training = case.mode == Mode::Train || slip == Slip::DropsInEvaluation;
    let drops = training && dropout > 0.0 && layers > 1;
    let mask = tensor(case, Group::In, "dropout_mask").filter(|_| drops);
    let (hx, width) = (tensor(case, Group::In, "hx"), directions * hidden);
    let features = input.shape()[input.rank() - 1];
    let mut below: Vec<Vec<f64>> = (0..length * batch)
        .map(|place| input.as_slice()[row(place / batch, place % batch) * features..][..features].to_vec())
        .collect();
    let mut h_n = Vec::new();
    for layer in 0..layers {
        let mut above = vec![vec![0.0; width]; length * batch];
        for direction in 0..directions {
            let number = layer * directions + direction;
            let suffix = format!("_l{layer}{}", if direction == 1 { "_reverse" } else { "" });
            let Some(parameters) = Parameters::of(case, &suffix) else { return };
            let mut kept: Option<Vec<f64>> = None;
            for n in 0..batch {
                let of = if slip == Slip::FirstLayersState { direction } else { number };
                let first = || match &hx {
                    Some(hx) => hx.as_slice()[(of * batch + n) * hidden..][..hidden].to_vec(),
                    None => vec![0.0; hidden],
                };
                let mut h = kept.take().filter(|_| slip == Slip::StateIsKeptBetweenSequences).unwrap_or_else(first);
                for t in 0..length {
                    let reverse = direction == 1 && slip != Slip::ReverseGoesForward;
                    let place = if reverse { length - 1 - t } else { t } * batch + n;
                    h = step(case, &parameters, &below[place], &h, slip);
                    above[place][direction * hidden..][..hidden].copy_from_slice(&h);
                }
                match slip {
                    Slip::LastStepsState => {
                        h_n.extend_from_slice(&above[(length - 1) * batch + n][direction * hidden..][..hidden]);
                    }
                    _ => h_n.extend_from_slice(&h),
                }
                kept = Some(h);
            }
        }
        // All but the last are dropped out; without a mask, where everything is.
        if drops && (layer + 1 < layers || slip == Slip::MaskOnTheTopToo) {
            let of = if slip == Slip::FirstMaskForAll { 0 } else { layer.min(layers - 2) };
            for (k, y) in above.iter_mut().flatten().enumerate() {
                *y *= mask.as_ref().map_or(0.0, |mask| mask.as_slice()[of * length * batch * width + k]);
            }
        }
        below = above;
    }
    let mut output = vec![0.0; length * batch * width];
    for (place, y) in below.iter().enumerate() {
        output[row(place / batch, place % batch) * width..][..width].copy_from_slice(y);
    }
    replace(results, Group::Out, "output", output);
    replace(results, Group::Out, "h_n", h_n);
}
