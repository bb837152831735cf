//! Judging itself: what is not proven does not pass. That faults are caught, the fault catalogue shows.

use conformance::{
    Case, Conclusion, Expect, Group, Implementation, Limits, Mode, Named, Optimized, Outcome, Results, Variant,
    fixtures, replay,
};
use vocabulary::Tensor;

fn change(results: &mut Named<f32>, group: Group, name: &str, f: impl Fn(usize, f32) -> f32) {
    if let Some(tensor) = results.float_mut(group, name) {
        tensor.as_mut_slice().iter_mut().enumerate().for_each(|(i, x)| *x = f(i, *x));
    }
}

/// Where some right order of operations overflows in most elements, or rounding may be as large as what is left, nothing is
/// proven, and nothing passes.
#[test]
fn bounds_that_say_nothing_are_not_trusted() {
    struct Made(f32);
    impl Implementation for Made {
        fn name(&self) -> &str {
            "made up"
        }
        fn run(&self, case: &Case, variant: &Variant) -> Outcome {
            let mut outcome = Optimized.run(case, variant);
            if let Outcome::Values(Results::F32(results)) = &mut outcome {
                change(results, Group::GradIn, "input", |_, _| self.0);
            }
            outcome
        }
    }
    let case = |layer: &str, options: serde_json::Value, tensors: &[(Group, &str, &[usize], &[f32])]| {
        let options = options.as_object().unwrap().clone();
        let mut case = Case::new("made", layer, options, Mode::Train, Expect::Values);
        for (group, name, shape, values) in tensors {
            case.insert(*group, name, Tensor::from_vec(shape, values.to_vec()).unwrap());
        }
        case
    };
    let overflowing = case(
        "Linear",
        serde_json::json!({"in_features": 1, "out_features": 4, "bias": false}),
        &[
            (Group::In, "input", &[3, 1], &[0.0; 3]),
            (Group::State, "weight", &[4, 1], &[1.0, -1.0, 1.0, -1.0]),
            (Group::GradOut, "output", &[3, 4], &[3e38; 12]),
        ],
    );
    let far_mean = case(
        "BatchNorm2d",
        serde_json::json!({"num_features": 1, "affine": false, "track_running_stats": false}),
        &[
            (Group::In, "input", &[1, 1, 2, 2], &[1e7, 1e7 + 1.0, 1e7 - 1.0, 1e7 + 2.0]),
            (Group::GradOut, "output", &[1, 1, 2, 2], &[1.0, -2.0, 0.5, 3.0]),
        ],
    );
    for (case, made) in [(overflowing, f32::NAN), (far_mean, 0.0)] {
        let conclusion = replay(&case, "a test", &Made(made), &Variant::default(), &Limits::default()).conclusion;
        assert!(matches!(conclusion, Conclusion::Mistrusted(_)), "{}: {conclusion}", case.layer);
    }
}

#[test]
fn refusals_are_not_kept() {
    /// Computes zeros for whatever comes.
    struct Agreeable;
    impl Implementation for Agreeable {
        fn name(&self) -> &str {
            "agreeable"
        }
        fn run(&self, _: &Case, _: &Variant) -> Outcome {
            let mut results = Named::default();
            results.insert(Group::Out, "output", Tensor::scalar(0.0_f32));
            Outcome::Values(Results::F32(results))
        }
    }
    let file = fixtures::file("Linear").unwrap();
    // What would not fit into memory is refused before the implementation is asked.
    let refusals = file.cases.iter().filter(|case| case.expect == conformance::Expect::Error);
    for case in refusals
        .filter(|case| conformance::check_memory(case, conformance::Purpose::Judging, &Limits::default()).is_ok())
    {
        let verdict = replay(case, &file.generator, &Agreeable, &Variant::default(), &Limits::default());
        assert!(matches!(verdict.conclusion, Conclusion::Failed(_)), "{}", case.name);
    }
}
