//! Recurrent layers on sequences so long that a bound through all steps says nothing: each step is judged by itself, in each
//! layer and direction.

use conformance::bounded::{Bounded, under};
use conformance::{
    Case, Conclusion, DType, Declaration, Expect, Group, Implementation, Limits, Mode, Outcome, Reference, Results,
    Task, Variant, replay, run_reference,
};
use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;
use vocabulary::{StateTensor, Tensor};

const LENGTH: usize = 200;
const BATCH: usize = 2;
const INPUTS: usize = 3;
const HIDDEN: usize = 6;

/// A long sequence whose states hardly decay.
fn case(layer: &str, layers: usize, batch_first: bool, training: bool) -> Case {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let mut random = |shape: &[usize], deviation: f32| {
        let mut draw = |_: &[usize]| -> f32 {
            deviation * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng)
        };
        Tensor::from_fn(shape, &mut draw).unwrap()
    };
    let options = json!({
        "input_size": INPUTS, "hidden_size": HIDDEN, "num_layers": layers, "batch_first": batch_first,
        "bidirectional": true, "dropout": 0.5,
    });
    let mode = if training { Mode::Train } else { Mode::Eval };
    let mut case = Case::new("long", layer, options.as_object().unwrap().clone(), mode, Expect::Values);
    let sequence = |features| if batch_first { [BATCH, LENGTH, features] } else { [LENGTH, BATCH, features] };
    case.insert(Group::In, "input", random(&sequence(INPUTS), 1.0));
    case.insert(Group::In, "hx", random(&[2 * layers, BATCH, HIDDEN], 1.0));
    let gates = if layer == "GRU" { 3 } else { 1 };
    for number in 0..2 * layers {
        let suffix = format!("_l{}{}", number / 2, if number % 2 == 1 { "_reverse" } else { "" });
        let below = if number < 2 { INPUTS } else { 2 * HIDDEN };
        let scale = 1.2 / (HIDDEN as f32).sqrt();
        case.insert(Group::State, &format!("weight_ih{suffix}"), random(&[gates * HIDDEN, below], scale));
        case.insert(Group::State, &format!("weight_hh{suffix}"), random(&[gates * HIDDEN, HIDDEN], scale));
        case.insert(Group::State, &format!("bias_ih{suffix}"), random(&[gates * HIDDEN], 0.1));
        case.insert(Group::State, &format!("bias_hh{suffix}"), random(&[gates * HIDDEN], 0.1));
    }
    if training && layers > 1 {
        let mask = random(&[layers - 1, LENGTH, BATCH, 2 * HIDDEN], 1.0).map(|x| if x < 0.0 { 0.0_f32 } else { 2.0 });
        case.insert(Group::In, "dropout_mask", mask);
    }
    case
}

fn all_cases() -> impl Iterator<Item = Case> {
    let kinds = [(1, false, false), (1, true, true), (2, false, true), (3, true, false), (3, true, true)];
    let of = move |layer| {
        kinds.into_iter().map(move |(layers, batch_first, training)| case(layer, layers, batch_first, training))
    };
    ["RNN", "GRU"].into_iter().flat_map(of)
}

fn judged(case: &Case, implementation: &dyn Implementation) -> conformance::Verdict {
    replay(case, "a test", implementation, &Variant::default(), &Limits::default())
}

#[test]
fn every_step_of_every_layer_is_within_the_bound_of_a_step() {
    for case in all_cases() {
        let verdict = judged(&case, &Reference);
        assert_eq!(verdict.conclusion, Conclusion::Passed, "{} {:?}", case.layer, case.options);
        let layers = case.options["num_layers"].as_u64().unwrap() as usize;
        // Output and last states, of the whole and, in a stack, of each layer by itself.
        assert_eq!(verdict.judgements.len(), if layers == 1 { 2 } else { 2 * (1 + layers) });
    }
    // Carried through all steps, the bound says nothing of a sequence like these.
    let case = case("RNN", 1, false, false);
    let through_time = under(DType::F32, Declaration::LITERAL, || {
        let results = run_reference(&Task::<Bounded>::new(&case).unwrap()).unwrap();
        results.float(Group::Out, "output").unwrap().as_slice().iter().map(|y| y.settled().bound()).fold(0.0, f64::max)
    });
    assert!(through_time.0 > 1.0, "{}", through_time.0);
}

/// Runs the reference on a changed case.
struct Changed<F>(F);

impl<F: Fn(&mut Case) + Sync> Implementation for Changed<F> {
    fn name(&self) -> &str {
        "changed"
    }
    fn run(&self, case: &Case, variant: &Variant) -> Outcome {
        let mut case = case.clone();
        (self.0)(&mut case);
        Reference.run(&case, variant)
    }
    fn declaration(&self, _: &Case, _: DType, _: &Variant) -> Declaration {
        Declaration::LITERAL
    }
}

/// Scales one parameter by so little that a bound through all steps would not see it.
fn scaled(case: &mut Case, name: &str) {
    if let Some(StateTensor::F32(tensor)) = case.tensors.get_mut(&(Group::State, name.to_owned())) {
        tensor.as_mut_slice().iter_mut().for_each(|x| *x *= 1.0 + 1e-4);
    }
}

#[test]
fn a_fault_in_one_direction_is_seen() {
    for case in all_cases() {
        for name in ["weight_hh_l0", "weight_ih_l0_reverse", "bias_hh_l0_reverse"] {
            let verdict = judged(&case, &Changed(|case: &mut Case| scaled(case, name)));
            assert!(matches!(verdict.conclusion, Conclusion::Failed(_)), "{name}: {}", verdict.conclusion);
        }
    }
}

/// A fault that only a stack has never passes: what holds of its layers does not hold of it.
#[test]
fn a_fault_of_the_stack_alone_never_passes() {
    struct WrongAbove;
    impl Implementation for WrongAbove {
        fn name(&self) -> &str {
            "wrong above the first layer"
        }
        fn run(&self, case: &Case, variant: &Variant) -> Outcome {
            let mut case = case.clone();
            if case.options["num_layers"] != 1 {
                scaled(&mut case, "weight_hh_l1");
            }
            Reference.run(&case, variant)
        }
        fn declaration(&self, _: &Case, _: DType, _: &Variant) -> Declaration {
            Declaration::LITERAL
        }
    }
    for case in all_cases().filter(|case| case.options["num_layers"] != 1) {
        let conclusion = judged(&case, &WrongAbove).conclusion;
        assert_ne!(conclusion, Conclusion::Passed, "{} {:?}", case.layer, case.options);
    }
}

/// However long the sequence, gradients that are all 0 are not passed.
#[test]
fn a_backward_of_zeros_never_passes() {
    struct Zeros;
    impl Implementation for Zeros {
        fn name(&self) -> &str {
            "zeros"
        }
        fn run(&self, case: &Case, variant: &Variant) -> Outcome {
            let mut outcome = Reference.run(case, variant);
            if let Outcome::Values(Results::F32(results)) = &mut outcome {
                for group in [Group::GradIn, Group::GradState] {
                    let mut gradients = results.split_off(group);
                    gradients.floats_mut().flat_map(Tensor::as_mut_slice).for_each(|g| *g = 0.0);
                    for (group, name, value) in gradients.iter() {
                        if let conformance::Value::Float(tensor) = value {
                            results.insert(group, name, tensor.clone());
                        }
                    }
                }
            }
            outcome
        }
        fn declaration(&self, _: &Case, _: DType, _: &Variant) -> Declaration {
            Declaration::LITERAL
        }
    }
    for layer in ["RNN", "GRU"] {
        for (layers, batch_first) in [(1, false), (2, true)] {
            let mut case = case(layer, layers, batch_first, false);
            let shape = if batch_first { [BATCH, LENGTH, 2 * HIDDEN] } else { [LENGTH, BATCH, 2 * HIDDEN] };
            case.insert(
                Group::GradOut,
                "output",
                Tensor::from_fn(&shape, |i| (i[0] + i[1] + i[2]) as f32 % 3.0 - 0.7).unwrap(),
            );
            let conclusion = judged(&case, &Zeros).conclusion;
            assert_ne!(conclusion, Conclusion::Passed, "{layer}, {layers} layers");
            println!("{layer}, {layers} layers: {conclusion}; the right one: {}", judged(&case, &Reference).conclusion);
        }
    }
}

#[test]
fn a_fault_in_one_step_is_seen() {
    struct OneStep;
    impl Implementation for OneStep {
        fn name(&self) -> &str {
            "one step off"
        }
        fn run(&self, case: &Case, variant: &Variant) -> Outcome {
            let mut outcome = Reference.run(case, variant);
            if let Outcome::Values(Results::F32(results)) = &mut outcome
                && let Some(output) = results.float_mut(Group::Out, "output")
            {
                output.as_mut_slice()[LENGTH * HIDDEN] += 1e-5;
            }
            outcome
        }
        fn declaration(&self, _: &Case, _: DType, _: &Variant) -> Declaration {
            Declaration::LITERAL
        }
    }
    for case in all_cases() {
        let conclusion = judged(&case, &OneStep).conclusion;
        assert!(matches!(conclusion, Conclusion::Failed(_)), "{} {:?}: {conclusion}", case.layer, case.options);
    }
}

/// A gradient beyond the largest number of its type is an infinity in f32, and g·(1 − z) is then NaN, as PyTorch writes it; found
/// by random cases.
#[test]
fn a_gradient_that_overflows_on_its_way_raises_no_false_alarm() {
    let options = json!({"input_size": 1, "hidden_size": 1, "num_layers": 1, "bias": false});
    let mut case = Case::new("overflow", "GRU", options.as_object().unwrap().clone(), Mode::Eval, Expect::Values);
    let numbers = |shape: &[usize], numbers: &[f32]| Tensor::from_vec(shape, numbers.to_vec()).unwrap();
    case.insert(Group::In, "input", numbers(&[3, 1, 1], &[1.3e-4, 6.5e-5, 3.2e-5]));
    case.insert(Group::State, "weight_ih_l0", numbers(&[3, 1], &[0.0; 3]));
    case.insert(Group::State, "weight_hh_l0", numbers(&[3, 1], &[0.0, 0.0, 1e30]));
    case.insert(Group::GradOut, "output", numbers(&[3, 1, 1], &[0.0, 0.0, 0.016]));
    for implementation in conformance::ours() {
        let verdict = replay(&case, "test", implementation, &Variant::default(), &Limits::default());
        assert!(!matches!(verdict.conclusion, Conclusion::Failed(_)), "{}: {verdict:?}", implementation.name());
    }
}
