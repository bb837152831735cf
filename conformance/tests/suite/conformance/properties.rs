//! Random cases: both crates, optimized in every algorithm at every instruction set and number of threads, against the
//! reference's bounds. And that a failure is told as a person wants to see it.

use conformance::property::{Counterexample, Property};
use conformance::{
    Case, DType, Declaration, Group, Implementation, Named, Optimized, Outcome, Reference, Results, Selection, Variant,
};
use vocabulary::StateTensor;

fn check(layer: &str, implementation: &dyn Implementation, dtype: DType) {
    let selection = Selection { all: true, ..Selection::default() };
    let property = Property::new(layer, dtype, implementation, selection);
    let tally =
        property.check(super::seed(), super::draws()).unwrap_or_else(|counterexample| panic!("{counterexample}"));
    let (runs, mistrusted) = (tally.runs, tally.mistrusted);
    println!("{layer} in {dtype}: {} cases, {runs} runs, {mistrusted} of them mistrusted", tally.cases);
    assert!(tally.elements > 2 * tally.cases, "only {} elements were compared", tally.elements);
    // Bounds that say little are no fault of the implementation; but of many, nothing would be proven. In recurrent layers
    // they come with saturated gates, where 1 − z is what rounding left.
    let one_in = if ["RNN", "GRU"].contains(&layer) { 10 } else { 50 };
    // The first three may be chance.
    assert!(
        mistrusted.saturating_sub(3) * one_in <= runs,
        "{mistrusted} of {runs} runs have bounds that say too little"
    );
}

fn optimized_f32(layer: &str) {
    check(layer, &Optimized, DType::F32);
}

fn optimized_f64(layer: &str) {
    check(layer, &Optimized, DType::F64);
}

fn reference_f32(layer: &str) {
    check(layer, &Reference, DType::F32);
}

fn reference_f64(layer: &str) {
    check(layer, &Reference, DType::F64);
}

for_each_layer_of_both!(optimized_f32, optimized_f64);
for_each_layer!(reference_f32, reference_f64);

/// The reference, but that its outputs are spoilt.
struct Spoilt(fn(&Case, &mut [f32]));

impl Implementation for Spoilt {
    fn name(&self) -> &str {
        "reference"
    }
    fn run(&self, case: &Case, variant: &Variant) -> Outcome {
        let mut outcome = Reference.run(case, variant);
        if let Outcome::Values(Results::F32(results)) = &mut outcome
            && let Some(output) = Named::float_mut(results, Group::Out, "output")
        {
            (self.0)(case, output.as_mut_slice());
        }
        outcome
    }
    fn declaration(&self, _: &Case, _: DType, _: &Variant) -> Declaration {
        Declaration::LITERAL
    }
}

fn failure(layer: &str, spoil: fn(&Case, &mut [f32])) -> Counterexample {
    let selection = Selection::default();
    let spoilt = Spoilt(spoil);
    let property = Property::new(layer, DType::F32, &spoilt, selection);
    // How far a case shrinks is a matter of the draw: this one is always the same.
    *property.check(0, 512).expect_err("the fault is not seen")
}

/// How many numbers a counterexample's tensors hold.
fn size(counterexample: &Counterexample) -> usize {
    let tensors = counterexample.case.iter().flat_map(|case| case.tensors.values());
    tensors.map(|tensor| tensor.shape().iter().product::<usize>()).sum()
}

/// A fault beyond a size, in an option and at a value shrinks to that size, that option and about that value.
#[test]
fn a_failure_ends_as_few_small_numbers() {
    let last = |_: &Case, y: &mut [f32]| {
        if let [.., last] = y {
            *last += 1.0;
        }
    };
    for layer in ["ReLU", "Linear", "Conv2d", "MSELoss", "GRU", "Embedding"] {
        let found = failure(layer, last);
        assert!(size(&found) <= 40, "{layer}: {} numbers\n{found}", size(&found));
    }
    let ninth = failure("LeakyReLU", |_, y| {
        if let Some(ninth) = y.get_mut(8) {
            *ninth += 1.0;
        }
    });
    assert!((18..=40).contains(&size(&ninth)), "{ninth}");
    let strided = failure("Conv2d", |case, y| {
        if case.options["stride"] == serde_json::json!([2, 1]) && case.options["bias"] == true {
            y.iter_mut().for_each(|y| *y += 1.0);
        }
    });
    let case = strided.case.as_ref().unwrap();
    assert_eq!((&case.options["stride"], &case.options["bias"]), (&serde_json::json!([2, 1]), &true.into()));
    assert_eq!((&case.options["groups"], &case.options["kernel_size"]), (&1.into(), &serde_json::json!([1, 1])));
    assert!(size(&strided) <= 8, "{strided}");
    let above = failure("Tanh", |case, y| {
        let Some(StateTensor::F32(x)) = case.tensor(Group::In, "input") else { return };
        y.iter_mut().zip(x.as_slice()).filter(|(_, x)| **x > 1.0).for_each(|(y, _)| *y += 1.0);
    });
    let Some(StateTensor::F32(x)) = above.case.as_ref().unwrap().tensor(Group::In, "input").cloned() else { panic!() };
    assert!(x.len() == 1 && x.as_slice()[0] > 1.0 && x.as_slice()[0] <= 2.0, "{above}");
}

/// What is printed names the seed, replays the case, and runs it in PyTorch.
#[test]
fn a_failure_tells_how_to_see_it_again() {
    let text = failure("Linear", |_, y| y.iter_mut().for_each(|y| *y += 1.0)).to_string();
    println!("{text}");
    for part in
        ["drawn from seed", "in.input = ", "import torch", "layer.load_state_dict({", "torch.autograd.backward(["]
    {
        assert!(text.contains(part), "{part:?} is missing of\n{text}");
    }
    let command = text.lines().find_map(|line| line.trim().strip_prefix("cargo run --release -- ")).unwrap();
    let arguments = std::iter::once("conformance").chain(command.split(' ')).map(Into::into);
    // The reference itself is right, so the case passes when it is replayed with it.
    assert_eq!(
        format!("{:?}", conformance::command_line::main(arguments)),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}
