//! Random cases: optimized, every algorithm at every instruction set and number of threads, against the reference's bounds.

use conformance::{
    Case, CaseFile, Conclusion, DType, Implementation, Limits, Optimized, Reference, Selection, Trial, generator,
    generators,
};
use proptest::test_runner::{TestCaseError, TestError};
use std::cell::{Cell, RefCell};

/// How many cases each test draws.
fn count() -> u32 {
    std::env::var("LAYERPROOF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(512)
}

fn check(layer: &str, implementation: &dyn Implementation, dtype: DType) {
    let strategy = generator(layer, dtype).expect("the layer has a generator");
    let selection = Selection { all: true, ..Selection::default() };
    let seed = super::seed();
    let mut runner = generators::runner_with_cases(seed, count());
    let mut reproduce = String::new();
    let (compared, runs, mistrusted) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let last = RefCell::new(String::new());
    let outcome = runner.run(&strategy, |case| {
        let trial = Trial::new(&case, "none");
        for variant in implementation.variants(&case, &selection) {
            let verdict = trial.replay(implementation, &variant, &Limits::default());
            match verdict.conclusion {
                Conclusion::NotApplicable(_) => continue,
                Conclusion::Passed => {}
                // Bounds that say little are no fault of the implementation; but there must be few of them.
                Conclusion::Mistrusted(_) => mistrusted.set(mistrusted.get() + 1),
                other => {
                    *last.borrow_mut() = format!(" --implementation {}{}", implementation.name(), variant.arguments());
                    return Err(TestCaseError::fail(other.to_string()));
                }
            }
            let elements: usize = verdict.judgements.iter().map(|judgement| judgement.compared).sum();
            compared.set(compared.get() + elements);
            runs.set(runs.get() + 1);
        }
        Ok(())
    });
    if let Err(TestError::Fail(reason, case)) = &outcome {
        let name = format!("{layer}-{dtype}-{}", implementation.name());
        reproduce = write_down(&name, case, &last.borrow());
        panic!("{layer}, seed {seed}: {reason}\n{}\n    {reproduce}", show(case));
    }
    assert!(outcome.is_ok() && reproduce.is_empty(), "{outcome:?}");
    assert!(compared.get() > 1000, "only {} elements were compared", compared.get());
    let (mistrusted, runs) = (mistrusted.get(), runs.get());
    println!("{layer} in {dtype}: {runs} runs, {mistrusted} of them mistrusted");
    assert!(mistrusted * 20 <= runs, "{mistrusted} of {runs} runs have bounds that say too little");
}

/// The case as few small numbers.
fn show(case: &Case) -> String {
    let tensors = case.tensors.iter().map(|((group, name), tensor)| format!("    {group}.{name} = {tensor:?}\n"));
    format!("    options = {}\n{}", serde_json::Value::Object(case.options.clone()), tensors.collect::<String>())
}

/// Writes the case to a file and says how to replay it.
fn write_down(name: &str, case: &Case, arguments: &str) -> String {
    let path = std::env::temp_dir().join(format!("layerproof-{name}.safetensors"));
    let file = CaseFile { generator: "a failed property".into(), cases: vec![case.clone()] };
    match file.to_bytes().map(|bytes| std::fs::write(&path, bytes)) {
        Ok(Ok(())) => format!("cargo run --release -- check {} --case {}{arguments}", path.display(), case.name),
        _ => "the case could not be written down".into(),
    }
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
