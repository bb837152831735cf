//! Random cases as proptest strategies: options, shapes and values all shrink.

use crate::case_file::{Case, Expect, Mode};
use crate::layers;
use crate::task::Task;
use crate::tensors::{DType, Group, Value, typed};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value as Json;
use vocabulary::{Result, StateTensor};

/// What kind of values fills the tensors of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of magnitude 1, in 1/64ths, so that they read well and cancel now and then.
    Plain,
    /// Small integers, whose sums of products are exact.
    Integers,
    /// Of magnitudes from 10⁻⁴ to 10⁴.
    Wide,
    /// Where functions saturate: up to ±120.
    Saturated,
    /// Plain ones, with an infinity, a NaN, a zero of either sign or an extreme of the type now and then.
    Special,
}

/// Any kind of values, plain ones more often.
pub fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Plain),
        2 => Just(Kind::Integers),
        2 => Just(Kind::Wide),
        1 => Just(Kind::Saturated),
        1 => Just(Kind::Special),
    ]
}

/// Any kind of values, but without infinities and NaN.
pub(crate) fn kind_without_special() -> impl Strategy<Value = Kind> {
    prop_oneof![4 => Just(Kind::Plain), 2 => Just(Kind::Integers), 2 => Just(Kind::Wide), 1 => Just(Kind::Saturated)]
}

/// Any shape of up to four dimensions: scalars, empty ones, sizes around the lanes' boundaries.
pub fn shape() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![6 => 1..6_usize, 1 => Just(0), 2 => 7..10_usize, 1 => 15..18_usize];
    prop_oneof![
        4 => prop::collection::vec(size, 0..=4),
        1 => (30..70_usize).prop_map(|n| vec![n]),
        1 => (250..260_usize).prop_map(|n| vec![n]),
    ]
}

/// One value of a kind.
fn value(kind: Kind) -> BoxedStrategy<f64> {
    let plain = || (-128..=128_i32).prop_map(|n| f64::from(n) / 64.0 * 1.03125);
    match kind {
        Kind::Plain => plain().boxed(),
        Kind::Integers => (-8..=8_i32).prop_map(f64::from).boxed(),
        Kind::Wide => (plain(), -4.0..4.0).prop_map(|(x, exponent): (f64, f64)| x * 10_f64.powf(exponent)).boxed(),
        Kind::Saturated => (-120.0..120.0).boxed(),
        Kind::Special => prop_oneof![
            12 => plain(),
            1 => prop::sample::select(vec![
                0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40, -1e-40, 1e30, -1e30, f64::from(f32::MIN_POSITIVE),
            ]),
        ]
        .boxed(),
    }
}

/// A case in training that expects values, its name yet to be given.
pub(crate) fn case(layer: &str, options: Json) -> Case {
    let options = match options {
        Json::Object(options) => options,
        _ => unreachable!("options are written as an object"),
    };
    Case::new("generated", layer, options, Mode::Train, Expect::Values)
}

/// Changes a case's mode, in its head too.
pub(crate) fn set_mode(case: &mut Case, mode: Mode) {
    case.mode = mode;
    case.head.insert("mode".into(), if mode == Mode::Train { "train".into() } else { "eval".into() });
}

/// The case with tensors of random values.
pub(crate) fn fill(
    case: Case,
    dtype: DType,
    kind: Kind,
    tensors: Vec<(Group, impl AsRef<str> + 'static, Vec<usize>)>,
) -> impl Strategy<Value = Case> {
    let values =
        tensors.iter().map(|(_, _, shape)| prop::collection::vec(value(kind), shape.iter().product::<usize>()));
    values.collect::<Vec<_>>().prop_map(move |values| {
        let mut case = case.clone();
        for ((group, name, shape), values) in tensors.iter().zip(values) {
            case.insert(*group, name.as_ref(), filled(dtype, shape, values));
        }
        case
    })
}

/// Adds a tensor of these numbers, as many as the shape has.
pub(crate) fn insert(case: &mut Case, group: Group, name: &str, dtype: DType, shape: &[usize], values: Vec<f64>) {
    case.insert(group, name, filled(dtype, shape, values));
}

/// As many numbers as the shape has, in a type.
fn filled(dtype: DType, shape: &[usize], values: Vec<f64>) -> StateTensor {
    match typed(dtype, shape, values) {
        Some(tensor) => tensor,
        None => unreachable!("as many values were drawn as the shape has"),
    }
}

/// Changes each element of a tensor, rounded to its type.
fn update(case: &mut Case, group: Group, name: &str, f: impl Fn(f64) -> f64) {
    match case.tensors.get_mut(&(group, name.to_owned())) {
        Some(StateTensor::F32(tensor)) => tensor.as_mut_slice().iter_mut().for_each(|x| *x = f(f64::from(*x)) as f32),
        Some(StateTensor::F64(tensor)) => tensor.as_mut_slice().iter_mut().for_each(|x| *x = f(*x)),
        _ => {}
    }
}

pub(crate) fn shift(case: &mut Case, group: Group, name: &str, by: f64) {
    update(case, group, name, |x| x + by);
}

/// Probabilities: logits into [0, 1], close to its ends and 0 and 1 themselves among them.
pub(crate) fn into_unit(case: &mut Case, group: Group, name: &str) {
    update(case, group, name, |x| 1.0 / (1.0 + (-2.0 * x).exp()));
}

/// Variances: positive, and not so small that everything is lost in them.
pub(crate) fn make_positive(case: &mut Case, group: Group, name: &str) {
    update(case, group, name, |x| x.abs() + 0.25);
}

/// A proptest runner that draws from a seed: equal seeds, equal cases.
pub fn runner(seed: u64) -> TestRunner {
    runner_with_cases(seed, Config::default().cases)
}

/// A proptest runner that draws so many cases from a seed.
pub fn runner_with_cases(seed: u64, cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    // A failure is reproduced by its seed and by the case file that is written, so proptest need not keep one.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Adds what the reference computes in double precision from exactly the case's inputs.
///
/// # Errors
/// Where the reference refuses the case.
pub fn record(case: &mut Case) -> Result<()> {
    let results = layers::run_reference(&Task::<f64>::new(case)?)?;
    for (group, name, value) in results.iter() {
        match value {
            Value::Float(tensor) => case.insert(group, name, tensor.clone()),
            Value::Integer(tensor) => case.insert(group, name, tensor.clone()),
        }
    }
    Ok(())
}
