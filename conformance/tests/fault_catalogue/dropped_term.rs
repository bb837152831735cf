//! One term of a long sum: what the exact lane sees of it, and what the bound alone lets through.

use super::harness::{Fault, Mistake::Results};
use super::reading::{tensor, update};
use conformance::{
    Case, Conclusion, DType, Expect, Group, Implementation, Lane, Limits, Mode, Named, Reference, Variant, replay,
};
use serde_json::json;
use vocabulary::Tensor;

/// The terms of the sum.
const TERMS: usize = 16384;

/// Linear with one output of so many terms, its inputs multiples of `unit` from `least` times it on.
fn case(dtype: DType, unit: f64, least: f64) -> Case {
    let options = json!({"in_features": TERMS, "out_features": 1, "bias": false}).as_object().unwrap().clone();
    let mut case = Case::new("long", "Linear", options, Mode::Eval, Expect::Values);
    let mut insert = |group: Group, name: &str, multiplier: usize| {
        // 17 integers, as a linear congruence deals them.
        let values = (0..TERMS).map(|k| ((k * multiplier + 5) * 40_503 % 65_521 % 17) as f64 + least).map(|x| x * unit);
        let shape = [1, TERMS];
        match dtype {
            DType::F32 => {
                case.insert(group, name, Tensor::from_vec(&shape, values.map(|x| x as f32).collect()).unwrap())
            }
            DType::F64 => case.insert(group, name, Tensor::from_vec(&shape, values.collect()).unwrap()),
        }
    };
    insert(Group::In, "input", 31);
    insert(Group::State, "weight", 57);
    case
}

/// Leaves out the term of median size.
fn drop_median(case: &Case, results: &mut Named<f64>) {
    let (Some(x), Some(w)) = (tensor(case, Group::In, "input"), tensor(case, Group::State, "weight")) else { return };
    let mut terms: Vec<f64> = x.as_slice().iter().zip(w.as_slice()).map(|(x, w)| x * w).collect();
    terms.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    update(results, Group::Out, "output", |_, y| y - terms[TERMS / 2]);
}

/// What the case says of the reference, and of the reference without the term: by which lane; and the smallest share of a mean
/// term whose loss is certain to be seen.
fn seen(case: &Case) -> (Conclusion, Option<Lane>, f64) {
    let judged = |implementation: &dyn Implementation| {
        replay(case, "a test", implementation, &Variant::default(), &Limits::default())
    };
    let verdict = judged(&Fault::new("Linear", "the median of 16384 terms is dropped", Results(drop_median)));
    let judgement = &verdict.judgements[0];
    println!(
        "{:?}: {}; {:.1e} of a mean term is certain",
        case.compute_type(),
        verdict.conclusion,
        judgement.detectable
    );
    (judged(&Reference).conclusion, judgement.worst.as_ref().map(|worst| worst.lane), judgement.detectable)
}

/// Of integers every sum is exact, so that nothing but the sum itself passes, at any length.
#[test]
fn a_dropped_term_of_16384_is_seen_in_the_exact_lane() {
    for dtype in [DType::F32, DType::F64] {
        for least in [-8.0, 0.0] {
            assert_eq!(seen(&case(dtype, 1.0, least)), (Conclusion::Passed, Some(Lane::Exact), 0.0));
        }
    }
}

/// Of numbers that are none, the worst-case bound is wider than the term in single precision: why the exact lane is there.
#[test]
fn the_bound_alone_lets_it_through_in_single_precision() {
    let third = 1.0 / 3.0;
    let (right, lane, share) = seen(&case(DType::F32, third, 0.0));
    assert_eq!((right, lane), (Conclusion::Passed, None));
    assert!(share > 1.0, "{share}");
    // Where the terms cancel, the bound says so itself.
    let (right, lane, _) = seen(&case(DType::F32, third, -8.0));
    assert!(matches!(right, Conclusion::Mistrusted(_)), "{right}");
    assert_eq!(lane, None);
    for least in [-8.0, 0.0] {
        let (right, lane, share) = seen(&case(DType::F64, third, least));
        assert_eq!((right, lane), (Conclusion::Passed, Some(Lane::Bound)));
        assert!(share < 1e-6, "{share}");
    }
}
