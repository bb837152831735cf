//! Which kernel ran. The counts are the process's own, so this is a process of its own, with a single test.

mod conformance {
    use conformance::{Case, Expect, Implementation, Named, Optimized, Outcome, Results, Selection, Value, fixtures};
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

    /// Whether Conv2d's `winograd` leaves something of a case to `im2col`: the input's gradient of images that are padded with others
    /// than zeros, and what is not finite.
    fn is_left_to_im2col(case: &Case, outcome: &Outcome) -> bool {
        fn is_finite<T: vocabulary::Scalar>(results: &Named<T>) -> bool {
            results.iter().all(|(_, _, value)| match value {
                Value::Float(tensor) => tensor.as_slice().iter().all(|x| x.to_f64().is_finite()),
                Value::Integer(_) => true,
            })
        }
        let is_finite = match outcome {
            Outcome::Values(Results::F32(results)) => is_finite(results),
            Outcome::Values(Results::F64(results)) => is_finite(results),
            _ => true,
        };
        !is_finite || case.options.get("padding_mode").is_some_and(|mode| mode != "zeros")
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
                    let mut due = vec![(expected.as_str(), isa)];
                    if expected == "Conv2d/winograd" && is_left_to_im2col(case, &outcome) {
                        due.extend(kernels.iter().filter(|kernel| **kernel == ("Conv2d/im2col", isa)));
                        due.sort_unstable_by_key(|(name, _)| *name);
                    }
                    assert!(kernels == due, "{layer} {}: {variant} was asked for, and {kernels:?} ran", case.name);
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
