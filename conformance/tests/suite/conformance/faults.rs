//! Anti-vacuity: implementations with a fault are caught, and by how little a fault may be small.

use conformance::{
    Case, Conclusion, DType, Expect, Group, Implementation, Limits, Mode, Named, Optimized, Outcome, Results,
    Selection, Variant, fixtures, replay,
};
use vocabulary::{StateElement, Tensor};

/// Optimized, its results changed by `fault` before anyone sees them.
struct Faulty<F>(F);

impl<F: Fn(&Case, &mut Named<f32>) + Sync> Implementation for Faulty<F> {
    fn name(&self) -> &str {
        "faulty"
    }
    fn run(&self, case: &Case, variant: &Variant) -> Outcome {
        let mut outcome = Optimized.run(case, variant);
        if let Outcome::Values(Results::F32(results)) = &mut outcome {
            (self.0)(case, results);
        }
        outcome
    }
    fn declaration(&self, layer: &str, dtype: DType, variant: &Variant) -> conformance::Declaration {
        Optimized.declaration(layer, dtype, variant)
    }
    fn may_be_partial(&self) -> bool {
        false
    }
}

/// The first failure's message among the recorded cases of a layer, in f32.
fn caught(layer: &str, fault: impl Fn(&Case, &mut Named<f32>) + Sync) -> Option<String> {
    let file = fixtures::file(layer).unwrap();
    let faulty = Faulty(fault);
    let conclusions = file.cases.iter().filter(|case| case.compute_type() == Ok(DType::F32)).map(|case| {
        let variant = &Optimized.variants(case, &Selection::default())[0];
        (case, replay(case, &file.generator, &faulty, variant, &Limits::default()).conclusion)
    });
    let mut failures = conclusions.filter_map(|(case, conclusion)| match conclusion {
        Conclusion::Failed(reason) => Some(format!("{layer} {}: {reason}", case.name)),
        _ => None,
    });
    failures.next()
}

fn of<'a>(case: &'a Case, group: Group, name: &str) -> Option<&'a Tensor<f32>> {
    case.tensor(group, name).and_then(<f32 as StateElement>::unwrap)
}

fn change(results: &mut Named<f32>, group: Group, name: &str, f: impl Fn(usize, f32) -> f32) {
    if let Some(tensor) = results.float_mut(group, name) {
        tensor.as_mut_slice().iter_mut().enumerate().for_each(|(i, x)| *x = f(i, *x));
    }
}

#[test]
fn without_a_fault_nothing_is_caught() {
    for layer in super::layers_of_both() {
        assert_eq!(caught(layer, |_, _| {}), None);
    }
}

#[test]
fn the_last_term_of_a_product_is_dropped() {
    let drop_last = |case: &Case, results: &mut Named<f32>| {
        let (Some(x), Some(w)) = (of(case, Group::In, "input"), of(case, Group::State, "weight")) else { return };
        let &[outputs, inputs] = w.shape() else { return };
        if inputs == 0 {
            return;
        }
        change(results, Group::Out, "output", |i, y| {
            let (row, o) = (i / outputs, i % outputs);
            y - x.as_slice()[row * inputs + inputs - 1] * w.as_slice()[o * inputs + inputs - 1]
        });
    };
    assert!(caught("Linear", drop_last).is_some());
}

#[test]
fn the_bias_is_missing() {
    let missing = |case: &Case, results: &mut Named<f32>| {
        let Some(bias) = of(case, Group::State, "bias") else { return };
        change(results, Group::Out, "output", |i, y| y - bias.as_slice()[i % bias.len()]);
    };
    assert!(caught("Linear", missing).is_some());
}

#[test]
fn one_gradient_is_one_percent_off() {
    for layer in ["Linear", "Sigmoid", "BatchNorm2d", "MSELoss"] {
        let off = |_: &Case, results: &mut Named<f32>| {
            change(results, Group::GradIn, "input", |i, dx| if i == 0 { dx * 1.01 } else { dx });
        };
        assert!(caught(layer, off).is_some(), "{layer}");
    }
}

#[test]
fn every_gradient_is_a_thousandth_off() {
    for layer in super::layers_of_both() {
        let off = |_: &Case, results: &mut Named<f32>| change(results, Group::GradIn, "input", |_, dx| dx * 1.001);
        assert!(caught(layer, off).is_some(), "{layer}");
    }
}

#[test]
fn a_nan_stands_where_a_number_is_due() {
    for layer in super::layers_of_both() {
        let nan = |_: &Case, results: &mut Named<f32>| {
            change(results, Group::Out, "output", |i, y| if i == 0 { f32::NAN } else { y });
        };
        assert!(caught(layer, nan).is_some(), "{layer}");
    }
}

#[test]
fn the_tail_of_the_last_lane_is_stale() {
    for layer in ["Linear", "ReLU", "Sigmoid", "BatchNorm2d"] {
        let stale = |_: &Case, results: &mut Named<f32>| {
            let Some(output) = results.float(Group::Out, "output") else { return };
            let whole = output.len() / 8 * 8;
            change(results, Group::Out, "output", |i, y| if i >= whole { 0.125 } else { y });
        };
        assert!(caught(layer, stale).is_some(), "{layer}");
    }
}

#[test]
fn the_running_variance_is_biased() {
    let biased = |case: &Case, results: &mut Named<f32>| {
        let Some(input) = of(case, Group::In, "input") else { return };
        let &[n, _, h, w] = input.shape() else { return };
        let (count, momentum) = ((n * h * w) as f32, 0.1);
        let Some(before) = of(case, Group::State, "running_var").cloned() else { return };
        if case.options.contains_key("momentum") || count < 2.0 {
            return;
        }
        change(results, Group::After, "running_var", |i, after| {
            let batch = (after - (1.0 - momentum) * before.as_slice()[i]) / momentum;
            (1.0 - momentum) * before.as_slice()[i] + momentum * batch * (count - 1.0) / count
        });
    };
    assert!(caught("BatchNorm2d", biased).is_some());
}

#[test]
fn the_loss_is_not_divided_by_its_count() {
    let sum = |case: &Case, results: &mut Named<f32>| {
        let count = of(case, Group::In, "input").map_or(1, Tensor::len) as f32;
        if case.options.is_empty() {
            change(results, Group::Out, "output", |_, loss| loss * count);
        }
    };
    assert!(caught("MSELoss", sum).is_some());
}

#[test]
fn the_gradient_at_the_kink_is_one() {
    let one = |case: &Case, results: &mut Named<f32>| {
        let (Some(x), Some(g)) = (of(case, Group::In, "input"), of(case, Group::GradOut, "output")) else { return };
        change(results, Group::GradIn, "input", |i, dx| if x.as_slice()[i] == 0.0 { g.as_slice()[i] } else { dx });
    };
    assert!(caught("ReLU", one).is_some());
}

#[test]
fn the_zero_loses_its_sign() {
    let positive = |_: &Case, results: &mut Named<f32>| {
        change(results, Group::Out, "output", |_, y| if y == 0.0 { 0.0 } else { y });
    };
    assert!(caught("ReLU", positive).is_some());
}

#[test]
fn a_result_is_left_out() {
    let left_out = |_: &Case, results: &mut Named<f32>| _ = results.split_off(Group::GradState);
    assert!(caught("Linear", left_out).is_some_and(|message| message.contains("is missing")));
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

/// Two units in the last place of one element of an exact case.
#[test]
fn two_ulps_are_seen_where_results_are_exact() {
    let two_ulps = |_: &Case, results: &mut Named<f32>| {
        change(results, Group::Out, "output", |_, y| if y > 0.0 { f32::from_bits(y.to_bits() + 2) } else { y });
    };
    assert!(caught("ReLU", two_ulps).is_some());
    assert!(caught("Linear", two_ulps).is_some());
}
