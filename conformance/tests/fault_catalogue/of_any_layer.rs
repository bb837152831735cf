//! Faults that any layer may have: in one number, in all, in form, and in what is refused.

use super::harness::{Fault, Mistake, Mistake::Results, Source, converted, widened};
use super::reading::{is_single, update};
use conformance::{Case, DType, Group, Implementation, Named, Outcome, Reference, Variant};
use vocabulary::Tensor;

/// The faults, in a layer.
pub fn faults(layer: &'static str) -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(layer, name, mistake);
    let mut faults = vec![
        fault(
            NAMES[0],
            Results(|_, results| {
                gradients(results, |k, len, dx| if k == len / 2 { dx * 1.01 } else { dx });
            }),
        ),
        fault(NAMES[1], Results(|_, results| gradients(results, |_, _, dx| dx * 1.001))),
        fault(
            NAMES[2],
            Results(|_, results| update(results, Group::Out, "output", |k, y| if k == 0 { f64::NAN } else { y })),
        ),
        fault(
            NAMES[3],
            Results(|_, results| update(results, Group::Out, "output", |_, y| if y.is_nan() { 0.0 } else { y })),
        ),
        fault(
            NAMES[4],
            Results(|_, results| {
                let taken = results.split_off(Group::GradIn);
                if taken.iter().next().is_none() {
                    results.split_off(Group::GradState);
                }
            }),
        ),
        fault(
            NAMES[5],
            Results(|_, results| {
                let output = results.float(Group::Out, "output").cloned();
                let shape =
                    |output: &Tensor<f64>| [1].into_iter().chain(output.shape().iter().copied()).collect::<Vec<_>>();
                if let Some(output) = output.and_then(|output| output.reshape(&shape(&output)).ok()) {
                    results.insert(Group::Out, "output", output);
                }
            }),
        ),
        fault(NAMES[6], Mistake::Outcome(in_the_other_type)),
        fault(NAMES[7], Mistake::Outcome(without_refusals)).out_of_reach(
            Source::Generated,
            &[DType::F32, DType::F64],
            "generators draw calls that PyTorch takes",
        ),
        fault(NAMES[8], Mistake::Outcome(without_empty_tensors)),
        fault(
            NAMES[9],
            Results(|_, results| {
                let Some(output) = results.float_mut(Group::Out, "output") else { return };
                let whole = output.len() / 8 * 8;
                output.as_mut_slice()[whole..].fill(0.125);
            }),
        ),
    ];
    if GIVES_INFINITIES.contains(&layer) {
        faults.push(fault(
            NAMES[10],
            Results(|case, results| {
                let largest = if is_single(case) { f64::from(f32::MAX) } else { f64::MAX };
                update(results, Group::Out, "output", |_, y| y.clamp(-largest, largest));
            }),
        ));
    }
    if IS_EXACT.contains(&layer) {
        faults.push(fault(
            NAMES[11],
            Results(|case, results| {
                let further = |y: f64| match is_single(case) {
                    true => f64::from(f32::from_bits((y as f32).to_bits() + 2)),
                    false => f64::from_bits(y.to_bits() + 2),
                };
                update(
                    results,
                    Group::Out,
                    "output",
                    |k, y| if k == 0 && y > 0.0 && y.is_finite() { further(y) } else { y },
                );
            }),
        ));
    }
    faults
}

/// What they are called.
const NAMES: [&str; 12] = [
    "one element of a gradient is 1 % off",
    "every gradient is a thousandth off",
    "NaN stands where a number is due",
    "a number stands where NaN is due",
    "a gradient is left out",
    "the output has another shape",
    "the results have the other type",
    "nothing is refused",
    "tensors without elements are refused",
    "the output's last lanes, short of 8, are stale",
    "an infinity is the largest number",
    "the output's first element is 2 ulps off",
];

/// The layers whose outputs may be infinite.
const GIVES_INFINITIES: &[&str] =
    &["Linear", "ReLU", "LeakyReLU", "ELU", "MaxPool2d", "Conv2d", "MSELoss", "L1Loss", "Embedding"];

/// The layers whose outputs are exact, of some inputs at least.
const IS_EXACT: &[&str] =
    &["Linear", "Conv2d", "ReLU", "LeakyReLU", "ELU", "MaxPool2d", "MSELoss", "L1Loss", "Embedding"];

/// Whether a fault is one of these.
pub fn is(fault: &Fault) -> bool {
    NAMES.contains(&fault.name)
}

/// Changes the gradients by place and number of elements.
fn gradients(results: &mut Named<f64>, f: impl Fn(usize, usize, f64) -> f64) {
    let names: Vec<(Group, String)> = results.iter().map(|(group, name, _)| (group, name.to_owned())).collect();
    for (group, name) in names.iter().filter(|(group, _)| group.is_gradient()) {
        let len = results.float(*group, name).map_or(0, Tensor::len);
        update(results, *group, name, |k, dx| f(k, len, dx));
    }
}

fn in_the_other_type(case: &Case) -> Outcome {
    use conformance::Results::{F32, F64};
    match Reference.run(case, &Variant::default()) {
        Outcome::Values(F32(results)) => Outcome::Values(F64(widened(&F32(results)))),
        Outcome::Values(F64(results)) => Outcome::Values(F32(converted(&results, |x| x as f32))),
        other => other,
    }
}

fn without_refusals(case: &Case) -> Outcome {
    match Reference.run(case, &Variant::default()) {
        Outcome::Error(_) => {
            let mut results = Named::default();
            results.insert(Group::Out, "output", Tensor::scalar(0.0_f32));
            Outcome::Values(conformance::Results::F32(results))
        }
        other => other,
    }
}

fn without_empty_tensors(case: &Case) -> Outcome {
    match case.tensors.iter().find(|((group, _), tensor)| !group.is_result() && tensor.shape().contains(&0)) {
        Some(((_, name), _)) => Outcome::Error(format!("{name} has no elements")),
        None => Reference.run(case, &Variant::default()),
    }
}
