//! Winograd's formula, whose roundings are other ones than the literal formula's: bounded by running it itself, where it runs.

use conformance::{
    Case, Conclusion, DType, Declaration, Expect, Group, Implementation, Limits, Mode, Named, Optimized, Outcome,
    Results, Selection, Trial, Variant,
};
use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;
use vocabulary::Tensor;

/// Sizes of images, and options beside the channels: odd and even ones, of one tile and of several blocks.
fn cases() -> Vec<Case> {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let mut cases = Vec::new();
    for (channels, groups, [height, width], images, padding, mode) in [
        ([16, 16], 1, [9, 16], 2, [1, 1], "zeros"),
        ([17, 21], 1, [8, 9], 3, [0, 2], "zeros"),
        ([40, 16], 1, [7, 24], 1, [2, 1], "circular"),
        ([32, 34], 2, [13, 11], 1, [1, 1], "reflect"),
        ([34, 16], 1, [12, 13], 1, [1, 0], "replicate"),
    ] {
        let mut random = |shape: &[usize]| {
            let draw = |_: &[usize]| <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng);
            Tensor::from_fn(shape, draw).unwrap()
        };
        let options = json!({
            "in_channels": channels[0], "out_channels": channels[1], "kernel_size": 3, "groups": groups, "padding": padding,
            "padding_mode": mode,
        });
        let options = options.as_object().unwrap().clone();
        let mut case = Case::new("3x3", "Conv2d", options, Mode::Train, Expect::Values);
        case.insert(Group::In, "input", random(&[images, channels[0], height, width]));
        case.insert(Group::State, "weight", random(&[channels[1], channels[0] / groups, 3, 3]));
        case.insert(Group::State, "bias", random(&[channels[1]]));
        let output = [images, channels[1], height + 2 * padding[0] - 2, width + 2 * padding[1] - 2];
        case.insert(Group::GradOut, "output", random(&output));
        cases.push(case);
    }
    cases
}

fn by(algorithm: &str) -> Variant {
    Variant { algorithm: Some(algorithm.into()), ..Variant::default() }
}

#[test]
fn every_run_is_within_its_own_bound() {
    for case in cases() {
        let mut ran = 0;
        let trial = Trial::new(&case, "a test");
        let own = Optimized.variants(&case, &Selection::default());
        let all = Optimized.variants(&case, &Selection { fixed: Variant::default(), all: true });
        for variant in own.into_iter().chain(all) {
            let verdict = trial.replay(&Optimized, &variant, &Limits::default());
            match verdict.conclusion {
                Conclusion::NotApplicable(_) => {}
                conclusion => {
                    assert_eq!(conclusion, Conclusion::Passed, "{:?}{}", case.options, variant.arguments());
                    assert_eq!(verdict.judgements.len(), 4);
                    ran += 1;
                }
            }
        }
        assert!(ran >= 2 + 2 * 3, "{ran}");
    }
}

/// With another algorithm, the literal bound is the one that counts. It does not admit Winograd's formula, in which what a window
/// does not read is rounded as well: here all but one element of each image are 0, and so are most terms.
#[test]
fn the_bound_is_declared_where_it_is_due_and_nowhere_else() {
    for mut case in cases() {
        let declared = |variant: &Variant| Optimized.declaration(&case, DType::F32, variant).winograd;
        assert_eq!([Variant::default(), by("winograd"), by("im2col")].map(|v| declared(&v)), [true, true, false]);
        let Some(vocabulary::StateTensor::F32(x)) = case.tensor(Group::In, "input") else { panic!() };
        let sparse = Tensor::from_fn(x.shape(), |i| if i[1..] == [0, 2, 2] { 1.1_f32 } else { 0.0 }).unwrap();
        case.insert(Group::In, "input", sparse);
        let outcome = Optimized.run(&case, &by("winograd"));
        let judged = |declaration: Declaration| Trial::new(&case, "a test").judge(&outcome, |_| declaration, false);
        assert!(matches!(judged(Declaration::LITERAL).conclusion, Conclusion::Failed(_)), "{:?}", case.options);
        assert!(judged(Declaration { winograd: true, ..Declaration::LITERAL }).has_passed(), "{:?}", case.options);
    }
    let mut small = cases().remove(0);
    for (name, channels) in [("in_channels", 8), ("out_channels", 8)] {
        small.options.insert(name.into(), json!(channels));
    }
    assert!(!Optimized.declaration(&small, DType::F32, &Variant::default()).winograd);
    assert!(Optimized.declaration(&small, DType::F32, &by("winograd")).winograd);
}

/// A term of one element, left out, exceeds the bound: in the output, and in each gradient.
#[test]
fn a_term_that_is_missing_is_seen() {
    for case in cases() {
        let Outcome::Values(Results::F32(results)) = Optimized.run(&case, &by("winograd")) else { panic!() };
        // What the product of two normal numbers comes to, in the mean.
        let term = 2.0 / std::f32::consts::PI;
        for (group, name) in [(Group::Out, "output"), (Group::GradIn, "input"), (Group::GradState, "weight")] {
            let mut faulty = results.clone();
            let tensor = faulty.float_mut(group, name).unwrap();
            let middle = tensor.len() / 2;
            tensor.as_mut_slice()[middle] += term;
            let declaration = |dtype| Optimized.declaration(&case, dtype, &by("winograd"));
            let trial = Trial::new(&case, "a test");
            let judged =
                |results: &Named<f32>| trial.judge(&Outcome::Values(Results::F32(results.clone())), declaration, false);
            let verdict = judged(&faulty);
            assert!(matches!(verdict.conclusion, Conclusion::Failed(_)), "{group}.{name}: {:?}", verdict.conclusion);
            // The bound itself is what decides, and it is of the literal one's size.
            let worst = verdict.judgements.iter().find_map(|judgement| judgement.worst.clone()).unwrap();
            assert!(worst.place == middle);
            for (share, passes) in [(0.99, true), (1.01, false)] {
                let tensor = faulty.float_mut(group, name).unwrap();
                tensor.as_mut_slice()[middle] = (worst.expected + share * worst.bound) as f32;
                assert_eq!(judged(&faulty).has_passed(), passes, "{group}.{name}: {share}");
            }
            let tensor = faulty.float_mut(group, name).unwrap();
            tensor.as_mut_slice()[middle] = (worst.expected + 4.0 * worst.bound) as f32;
            let literal = trial.judge(&Outcome::Values(Results::F32(faulty.clone())), |_| Declaration::LITERAL, false);
            assert!(!literal.has_passed(), "{group}.{name}: the bound is a quarter of the literal one");
            let tensor = faulty.float_mut(group, name).unwrap();
            tensor.as_mut_slice()[middle] = (worst.expected + 0.2 * worst.bound) as f32;
            let literal = trial.judge(&Outcome::Values(Results::F32(faulty)), |_| Declaration::LITERAL, false);
            assert!(literal.has_passed(), "{group}.{name}: the bound is five times the literal one");
        }
    }
}
