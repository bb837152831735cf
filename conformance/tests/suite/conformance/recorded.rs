//! What PyTorch 2.15 recorded.

use conformance::{DType, Expect, Implementation, Limits, Optimized, Reference, Selection, Trial, fixtures};

fn check(layer: &str, implementation: &dyn Implementation, dtype: DType, selection: &Selection) {
    let file = fixtures::file(layer).expect("the layer has recorded cases");
    let (mut runs, mut compared) = (0, 0);
    for case in file.cases.iter().filter(|case| case.compute_type().unwrap_or(dtype) == dtype) {
        let trial = Trial::new(case, &file.generator);
        for variant in implementation.variants(case, selection) {
            let verdict = trial.replay(implementation, &variant, &Limits::default());
            if matches!(verdict.conclusion, conformance::Conclusion::NotApplicable(_)) {
                continue;
            }
            assert!(
                verdict.has_passed(),
                "{layer} {}: {}\n    cargo run --release -- --case {} --implementation {}{}",
                case.name,
                verdict.conclusion,
                case.name,
                implementation.name(),
                variant.arguments(),
            );
            runs += 1;
            compared += verdict.judgements.iter().map(|judgement| judgement.compared).sum::<usize>();
        }
    }
    assert!(runs >= 20 && compared >= 200, "only {runs} runs and {compared} elements of {layer} in {dtype}");
}

fn reference_f32(layer: &str) {
    check(layer, &Reference, DType::F32, &Selection::default());
}

fn reference_f64(layer: &str) {
    check(layer, &Reference, DType::F64, &Selection::default());
}

fn optimized_f32(layer: &str) {
    check(layer, &Optimized, DType::F32, &Selection { all: true, ..Selection::default() });
}

fn optimized_f64(layer: &str) {
    check(layer, &Optimized, DType::F64, &Selection { all: true, ..Selection::default() });
}

/// Every refusal stands beside a case that differs in one argument and is accepted, so that refusing all cannot pass.
fn refusals_have_twins(layer: &str) {
    let file = fixtures::file(layer).expect("the layer has recorded cases");
    let refusals: Vec<_> = file.cases.iter().filter(|case| case.expect == Expect::Error).collect();
    assert!(refusals.len() >= 40, "{layer} has only {} refusals", refusals.len());
    for refusal in refusals {
        let twin = file.case(&format!("{}.twin", refusal.name));
        let accepted = twin.is_some_and(|twin| twin.expect == Expect::Values);
        assert!(accepted, "{layer} {} has no accepted twin", refusal.name);
    }
}

for_each_layer!(reference_f32, reference_f64, refusals_have_twins);
for_each_layer_of_both!(optimized_f32, optimized_f64);

/// They are the only oracle of validation, which both crates share.
#[test]
fn there_are_at_least_two_thousand_refusals() {
    let files = conformance::LAYERS.iter().filter_map(|layer| fixtures::file(layer));
    let refusals: usize = files.map(|file| file.cases.iter().filter(|case| case.expect == Expect::Error).count()).sum();
    assert!(refusals >= 2000, "there are only {refusals}");
}
