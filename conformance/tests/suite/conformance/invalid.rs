//! Options and inputs that nobody should pass: whatever they are, nothing panics, and both crates refuse the same.

use conformance::property::to_pytorch;
use conformance::{
    Case, Conclusion, DType, Expect, Implementation, Limits, Optimized, Outcome, Purpose, Reference, Trial, Variant,
    check_memory, generators, replay,
};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Draws of each layer: `LAYERPROOF_INVALID`, or 100,000.
fn draws() -> u32 {
    std::env::var("LAYERPROOF_INVALID").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// What a run may take, so that what asks for more is refused before it is made.
const LIMITS: Limits = Limits { memory: 1 << 24 };

fn run(case: &Case, implementation: &dyn Implementation) -> Result<Outcome, String> {
    let name = implementation.name();
    catch_unwind(AssertUnwindSafe(|| implementation.run(case, &Variant::default())))
        .map_err(|_| format!("{name} panics"))
}

/// Judging a case, and writing it down in Python.
fn judge(case: &Case) -> Result<Conclusion, String> {
    let judged = AssertUnwindSafe(|| {
        assert!(to_pytorch(case).contains(&case.layer));
        replay(case, "", &Reference, &Variant::default(), &Limits::default()).conclusion
    });
    catch_unwind(judged).map_err(|_| "judging panics".into())
}

fn check(case: &Case, refused: &Cell<u32>, computed: &Cell<u32>) -> Result<(), String> {
    if check_memory(case, Purpose::Computing, &LIMITS).is_err() {
        refused.set(refused.get() + 1);
        return Ok(());
    }
    let ours = run(case, &Reference)?;
    match &ours {
        Outcome::Values(_) => computed.set(computed.get() + 1),
        _ => refused.set(refused.get() + 1),
    }
    if let Outcome::Error(message) = &ours
        && !message.starts_with(&case.layer)
    {
        return Err(format!("the refusal does not name the layer: {message}"));
    }
    // Judging takes far longer than computing: one in 32 does.
    if !(refused.get() + computed.get()).is_multiple_of(32) {
        return both_agree(case, ours);
    }
    match judge(case)? {
        Conclusion::Failed(reason) if matches!(ours, Outcome::Values(_)) && case.expect == Expect::Values => {
            return Err(reason);
        }
        _ => {}
    }
    both_agree(case, ours)
}

/// Optimized refuses what the reference refuses, and computes the same otherwise.
fn both_agree(case: &Case, ours: Outcome) -> Result<(), String> {
    if Optimized.still_to_come(&case.layer) {
        return Ok(());
    }
    let theirs = run(case, &Optimized)?;
    if matches!(ours, Outcome::Values(_)) != matches!(theirs, Outcome::Values(_)) {
        return Err(format!("the reference gives {ours:?}, optimized {theirs:?}"));
    }
    // What is still right is judged like any other case.
    if case.expect == Expect::Values && matches!(theirs, Outcome::Values(_)) {
        let declaration = |dtype| Optimized.declaration(case, dtype, &Variant::default());
        if let Conclusion::Failed(reason) = Trial::new(case, "").judge(&theirs, declaration, false).conclusion {
            return Err(reason);
        }
    }
    Ok(())
}

fn nothing_panics(layer: &str) {
    let (refused, computed) = (Cell::new(0), Cell::new(0));
    for dtype in [DType::F32, DType::F64] {
        let strategy = generators::invalid(layer, dtype).expect("the layer has a generator");
        let mut runner = generators::runner_of(dtype, super::seed(), draws() / 2);
        let outcome = runner.run(&strategy, |case| {
            check(&case, &refused, &computed).map_err(proptest::test_runner::TestCaseError::fail)
        });
        assert!(outcome.is_ok(), "{layer}: {outcome:?}");
    }
    println!("{layer}: {} draws, {} refused, {} computed", draws(), refused.get(), computed.get());
    let least = draws() / 20;
    assert!(refused.get() > least && computed.get() > least, "{layer}: {refused:?} refused, {computed:?} computed");
}

for_each_layer!(nothing_panics);
