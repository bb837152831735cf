//! MSELoss, L1Loss, BCELoss and BCEWithLogitsLoss.

use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results};
use super::reading::{flag, indices, is_single, is_tame, place, replace, tensor, word};
use conformance::{Case, Group, Named};
use vocabulary::Tensor;

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    SumForMean,
    GradientOfSum,
    DividesByInput,
    HalfTheSquare,
    GradientWithoutTwo,
    TargetGradientsSign,
    RepeatedGradientOverwrites,
    WrapsTarget,
    SlopeAtZero,
    Clamp,
    GradientClamp,
    WrapsWeight,
    FirstWeight,
    WeightInForwardAlone,
    MeanOfWeights,
    PositiveWeightOnBoth,
    PositiveWeightInForwardAlone,
    LogOfSigmoid,
    OneMinusInTheLogarithm,
}

/// The kernels without a mistake.
pub fn kernels() -> Vec<Fault> {
    let kernel = |layer| Fault::new(layer, "kernel", Results(|case, results| loss(case, results, Slip::None)));
    LAYERS.map(kernel).into()
}

const LAYERS: [&str; 4] = ["MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss"];

pub fn faults() -> Vec<Fault> {
    let of_each = LAYERS.into_iter().flat_map(of_any_loss);
    let own =
        [of_differences("MSELoss"), of_differences("L1Loss"), of_weights("BCELoss"), of_weights("BCEWithLogitsLoss")];
    of_each.chain(own.into_iter().flatten()).chain(of_one_alone()).collect()
}

fn of_any_loss(layer: &'static str) -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(layer, name, mistake);
    vec![
        fault("1/n is forgotten", Results(|c, r| loss(c, r, Slip::SumForMean))),
        fault("the gradient's 1/n is forgotten", Results(|c, r| loss(c, r, Slip::GradientOfSum))),
        fault("the target's gradient has the input's sign", Results(|c, r| loss(c, r, Slip::TargetGradientsSign))),
        fault(
            "size_average is ignored",
            Call(|case| {
                case.options.remove("size_average");
            }),
        ),
    ]
}

fn of_differences(layer: &'static str) -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(layer, name, mistake);
    vec![
        fault("the mean divides by the input's elements", Results(|c, r| loss(c, r, Slip::DividesByInput))),
        fault(
            "what is repeated has the last one's gradient",
            Results(|c, r| loss(c, r, Slip::RepeatedGradientOverwrites)),
        ),
        fault("a smaller target is read from its start again", Results(|c, r| loss(c, r, Slip::WrapsTarget))),
    ]
}

fn of_weights(layer: &'static str) -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(layer, name, mistake);
    vec![
        // Right where the weight lacks leading dimensions alone.
        fault("a smaller weight is read from its start again", Results(|c, r| loss(c, r, Slip::WrapsWeight))),
        fault("the weight's first element is every one's", Results(|c, r| loss(c, r, Slip::FirstWeight))),
        fault("the weight is missing from the gradient", Results(|c, r| loss(c, r, Slip::WeightInForwardAlone))),
        fault("the mean divides by the sum of the weights", Results(|c, r| loss(c, r, Slip::MeanOfWeights))),
    ]
}

fn of_one_alone() -> Vec<Fault> {
    let slip = |layer, name, mistake: Mistake| Fault::new(layer, name, mistake);
    vec![
        slip("MSELoss", "half the square is taken", Results(|c, r| loss(c, r, Slip::HalfTheSquare))),
        slip("MSELoss", "the gradient's 2 is missing", Results(|c, r| loss(c, r, Slip::GradientWithoutTwo))),
        slip("L1Loss", "the slope at 0 is 1", Results(|c, r| loss(c, r, Slip::SlopeAtZero))),
        slip("BCELoss", "logarithms are not clamped", Results(|c, r| loss(c, r, Slip::Clamp))),
        slip("BCELoss", "the gradient divides by 0", Results(|c, r| loss(c, r, Slip::GradientClamp))),
        slip("BCELoss", "ln(1 − x) loses a small x", Results(|c, r| loss(c, r, Slip::OneMinusInTheLogarithm))),
        slip(
            "BCEWithLogitsLoss",
            "pos_weight is on both terms",
            Results(|c, r| loss(c, r, Slip::PositiveWeightOnBoth)),
        ),
        slip(
            "BCEWithLogitsLoss",
            "pos_weight is missing from the gradient",
            Results(|c, r| loss(c, r, Slip::PositiveWeightInForwardAlone)),
        ),
        slip("BCEWithLogitsLoss", "the sigmoid's logarithm overflows", Results(|c, r| loss(c, r, Slip::LogOfSigmoid))),
    ]
}

/// How a loss joins its terms.
#[derive(Clone, Copy, PartialEq)]
pub enum Reduction {
    None,
    Mean,
    Sum,
}

/// The reduction, by its present or its older name.
pub fn reduction(case: &Case) -> Reduction {
    match (flag(case, "size_average"), flag(case, "reduce"), word(case, "reduction")) {
        (None, None, Some("none")) | (_, Some(false), _) => Reduction::None,
        (None, None, Some("sum")) | (Some(false), ..) => Reduction::Sum,
        _ => Reduction::Mean,
    }
}

/// What one element has: its term, and its slopes by input and target.
struct Term {
    value: f64,
    by_input: f64,
    by_target: f64,
}

/// Output and gradients of a loss, with the mistake.
fn loss(case: &Case, results: &mut Named<f64>, slip: Slip) {
    let (Some(input), Some(target)) = (tensor(case, Group::In, "input"), tensor(case, Group::In, "target")) else {
        return;
    };
    if !is_tame(case) && case.layer != "BCELoss" {
        return;
    }
    let weights = ["weight", "pos_weight"].map(|name| tensor(case, Group::State, name));
    let shape = broadcast(input.shape(), target.shape());
    let n: usize = shape.iter().product();
    let reduction = reduction(case);
    let g = tensor(case, Group::GradOut, "output");
    let read = |tensor: &Tensor<f64>, k: usize, index: &[usize], wraps: bool, first: bool| match (wraps, first) {
        (true, _) => tensor.as_slice()[k % tensor.len()],
        (_, true) => tensor.as_slice()[0],
        _ => tensor.as_slice()[place(tensor.shape(), index)],
    };
    let weight = |which: usize, k: usize, index: &[usize]| {
        let of = |weight: &Tensor<f64>| read(weight, k, index, slip == Slip::WrapsWeight, slip == Slip::FirstWeight);
        weights[which].as_ref().map(of)
    };
    let (mut terms, mut sum_of_weights) = (Vec::with_capacity(n), 0.0);
    let (mut dx, mut dt) = (vec![0.0; input.len()], vec![0.0; target.len()]);
    let divisor = match slip {
        Slip::DividesByInput => input.len(),
        _ => n,
    } as f64;
    for (k, index) in indices(&shape).enumerate() {
        let (of_input, of_target) = (place(input.shape(), &index), place(target.shape(), &index));
        let (x, t) = (input.as_slice()[of_input], read(&target, k, &index, slip == Slip::WrapsTarget, false));
        let (w, p) = (weight(0, k, &index), weight(1, k, &index));
        let Term { value, by_input, by_target } = term(case, x, t, p, slip);
        terms.push(value * w.unwrap_or(1.0));
        sum_of_weights += w.unwrap_or(1.0);
        let kappa = match (&g, reduction) {
            (None, _) => continue,
            (Some(g), Reduction::None) => g.as_slice()[k],
            (Some(g), Reduction::Mean) if slip != Slip::GradientOfSum => g.as_slice()[0] / divisor,
            (Some(g), _) => g.as_slice()[0],
        };
        let kappa = if slip == Slip::WeightInForwardAlone { kappa } else { kappa * w.unwrap_or(1.0) };
        let keep = |sum: f64| if slip == Slip::RepeatedGradientOverwrites { 0.0 } else { sum };
        dx[of_input] = keep(dx[of_input]) + kappa * by_input;
        dt[of_target] = keep(dt[of_target]) + kappa * by_target;
    }
    let divisor = if slip == Slip::MeanOfWeights { sum_of_weights } else { divisor };
    let sum: f64 = terms.iter().sum();
    let output = match reduction {
        Reduction::None => terms,
        Reduction::Mean if slip != Slip::SumForMean => vec![sum / divisor],
        _ => vec![sum],
    };
    replace(results, Group::Out, "output", output);
    replace(results, Group::GradIn, "input", dx);
    replace(results, Group::GradIn, "target", dt);
}

/// The shape that two shapes are broadcast to.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank).map(|axis| if size(a, axis) == 1 { size(b, axis) } else { size(a, axis) }).collect()
}

/// One element's term, with the mistake.
fn term(case: &Case, x: f64, t: f64, p: Option<f64>, slip: Slip) -> Term {
    let mut term = match case.layer.as_str() {
        "MSELoss" => {
            let factor = if slip == Slip::GradientWithoutTwo { 1.0 } else { 2.0 };
            let square = (x - t) * (x - t) * if slip == Slip::HalfTheSquare { 0.5 } else { 1.0 };
            Term { value: square, by_input: factor * (x - t), by_target: factor * (t - x) }
        }
        "L1Loss" => {
            let at_zero = if slip == Slip::SlopeAtZero { 1.0 } else { 0.0 };
            let sign = if x == t { at_zero } else { (x - t).signum() };
            Term { value: (x - t).abs(), by_input: sign, by_target: -sign }
        }
        "BCELoss" => {
            let clamped = |log: f64| if slip == Slip::Clamp { log } else { log.max(-100.0) };
            let log_of_rest = match (slip, is_single(case)) {
                (Slip::OneMinusInTheLogarithm, true) => f64::from((1.0 - x as f32).ln()),
                (Slip::OneMinusInTheLogarithm, false) => (1.0 - x).ln(),
                _ => (-x).ln_1p(),
            };
            let least = if slip == Slip::GradientClamp { 0.0 } else { f64::from(1e-12_f32) };
            Term {
                value: -(t * clamped(x.ln()) + (1.0 - t) * clamped(log_of_rest)),
                by_input: (x - t) / ((1.0 - x) * x).max(least),
                by_target: (-x).ln_1p() - x.ln(),
            }
        }
        _ => {
            let softplus = |a: f64| a.max(0.0) + (-a.abs()).exp().ln_1p();
            let sigmoid = 1.0 / (1.0 + (-x).exp());
            let weight = p.unwrap_or(1.0);
            let (of_positive, of_negative) = match (slip, is_single(case)) {
                (Slip::LogOfSigmoid, true) => {
                    let y = 1.0 / (1.0 + (-x as f32).exp());
                    (f64::from(-y.ln()), f64::from(-(1.0 - y).ln()))
                }
                (Slip::LogOfSigmoid, false) => (-sigmoid.ln(), -(1.0 - sigmoid).ln()),
                _ => (softplus(-x), softplus(x)),
            };
            let on_negative = if slip == Slip::PositiveWeightOnBoth { weight } else { 1.0 };
            let in_gradient = if slip == Slip::PositiveWeightInForwardAlone { 1.0 } else { weight };
            Term {
                value: weight * t * of_positive + on_negative * (1.0 - t) * of_negative,
                by_input: (in_gradient * t + 1.0 - t) * sigmoid - in_gradient * t,
                by_target: p.map_or(-x, |_| in_gradient * softplus(-x) - softplus(x)),
            }
        }
    };
    if slip == Slip::TargetGradientsSign {
        term.by_target = -term.by_target;
    }
    term
}
