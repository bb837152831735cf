//! Which kernel ran. The counts are the process's own, so this is a process of its own, with a single test.

mod conformance {
    use conformance::{Case, Expect, Implementation, Optimized, Outcome, Selection, fixtures};
    use optimized::{Isa, counters};
    use std::collections::BTreeMap;

    /// What was counted since `before`, by kernel and instruction set.
    fn since(before: &[(&'static str, Isa, u64)]) -> Vec<(&'static str, Isa)> {
        let moved = counters::all().into_iter().zip(before).filter(|(now, before)| now.2 > before.2);
        moved.map(|((kernel, isa, _), _)| (kernel, isa)).collect()
    }

    /// Whether the layer computes anything of this case.
    fn has_elements(case: &Case) -> bool {
        case.expect == Expect::Values && case.tensors.values().all(|tensor| !tensor.shape().contains(&0))
    }

    /// The algorithm and instruction set that were asked for are those whose kernel ran, forward and backward, at every number
    /// of threads; and no other kernel ran.
    #[test]
    fn the_kernel_that_was_asked_for_runs_and_no_other() {
        let mut runs = BTreeMap::new();
        for layer in conformance::LAYERS.iter().filter(|layer| !optimized::STILL_TO_COME.contains(layer)) {
            let file = fixtures::file(layer).unwrap();
            for case in file.cases.iter().filter(|case| has_elements(case)) {
                for variant in Optimized.variants(case, &Selection { all: true, ..Selection::default() }) {
                    let before = counters::all();
                    let outcome = Optimized.run(case, &variant);
                    let kernels = since(&before);
                    if matches!(outcome, Outcome::NotApplicable(_)) {
                        assert!(
                            kernels.is_empty(),
                            "{layer} {}: {variant} does not apply, and {kernels:?} ran",
                            case.name
                        );
                        continue;
                    }
                    let algorithm = variant.algorithm.as_deref().unwrap();
                    let expected = format!("{layer}/{algorithm}");
                    let isa: Isa = variant.isa.as_deref().unwrap().parse().unwrap();
                    assert!(
                        kernels == [(expected.as_str(), isa)],
                        "{layer} {}: {variant} was asked for, and {kernels:?} ran",
                        case.name
                    );
                    *runs.entry((expected, isa.to_string())).or_insert(0) += 1;
                }
            }
            for algorithm in optimized::algorithms(layer) {
                // faer chooses the instruction set of `gemm` itself: the best.
                let isas = if *algorithm == "gemm" { vec![Isa::best()] } else { Isa::available() };
                for isa in isas {
                    let count = runs.get(&(format!("{layer}/{algorithm}"), isa.to_string())).copied().unwrap_or(0);
                    assert!(count >= 20, "{layer}/{algorithm} ran only {count} times at {isa}");
                }
            }
        }
        println!("{runs:#?}");
    }
}
