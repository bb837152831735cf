//! Random cases as proptest strategies: options, shapes and values all shrink.

mod dependent;
mod invalid;

pub use dependent::{Dependent, DependentStrategy, DependentTree};
pub use invalid::invalid;

use crate::case_file::{Case, Expect, Mode};
use crate::layers;
use crate::task::Task;
use crate::tensors::{DType, Group, Value, typed};
use proptest::num::f64::BinarySearch;
use proptest::prelude::*;
use proptest::strategy::NewTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value as Json, json};
use std::fmt;
use vocabulary::{Result, StateTensor};

/// What kind of values fills the tensors of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of magnitude 1, in 1/64ths, so that they read well and cancel now and then.
    Plain,
    /// Small integers, whose sums of products are exact.
    Integers,
    /// Of magnitudes from 10⁻⁴ to 10⁴ and, now and then, far beyond: normal numbers times log-normal ones.
    Wide,
    /// Large numbers of either sign that differ little in magnitude, so that next to nothing is left of their sums.
    Cancelling,
    /// Few distinct values, so that most are equal to others.
    Ties,
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
        1 => Just(Kind::Cancelling),
        1 => Just(Kind::Ties),
        1 => Just(Kind::Saturated),
        1 => Just(Kind::Special),
    ]
}

/// Any kind of values, but without infinities and NaN.
pub(crate) fn kind_without_special() -> impl Strategy<Value = Kind> {
    kind().prop_map(|kind| if kind == Kind::Special { Kind::Plain } else { kind })
}

/// One of two things, along height and width: 1 along both, equal, or not.
pub(crate) fn pair(largest: usize) -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        1 => Just((1, 1)),
        1 => (2..=largest).prop_map(|size| (size, size)),
        2 => (1..=largest, 1..=largest),
    ]
}

/// A size: small ones, 0, and those next to the lanes' and tiles' boundaries.
pub fn size() -> impl Strategy<Value = usize> {
    let boundaries = prop::sample::select(vec![7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129_usize]);
    prop_oneof![6 => 1..6_usize, 1 => Just(0), 2 => 6..20_usize, 2 => boundaries]
}

/// Any shape of up to four dimensions: scalars, empty ones, sizes around the lanes' boundaries.
pub fn shape() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![6 => 1..6_usize, 1 => Just(0), 2 => 7..10_usize, 1 => 15..18_usize];
    prop_oneof![
        4 => prop::collection::vec(size, 0..=4),
        1 => (1..70_usize).prop_map(|n| vec![n]),
        1 => (1..260_usize).prop_map(|n| vec![n]),
    ]
}

/// What a distribution draws; shrinks towards 0.
///
/// ```
/// use conformance::generators::{Sampled, runner};
/// use proptest::strategy::{Strategy, ValueTree};
/// use rand_distr::StandardNormal;
/// let mut tree = Sampled(StandardNormal).new_tree(&mut runner(1)).unwrap();
/// let first: f64 = tree.current();
/// assert!(tree.simplify() && tree.current().abs() < first.abs());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Sampled<D>(pub D);

impl<D: Distribution<f64> + fmt::Debug> Strategy for Sampled<D> {
    type Tree = BinarySearch;
    type Value = f64;
    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(BinarySearch::new(self.0.sample(runner.rng())))
    }
}

/// The exponent of e by which wide numbers deviate.
const SPREAD: f64 = 3.0;

/// A normal number times a log-normal one.
#[derive(Debug, Clone, Copy)]
struct Wide;

impl Distribution<f64> for Wide {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let (x, exponent): (f64, f64) = (StandardNormal.sample(rng), StandardNormal.sample(rng));
        x * (SPREAD * exponent).exp()
    }
}

/// One value of a kind.
fn value(kind: Kind) -> BoxedStrategy<f64> {
    let plain = || (-128..=128_i32).prop_map(|n| f64::from(n) / 64.0 * 1.03125);
    match kind {
        Kind::Plain => plain().boxed(),
        Kind::Integers => (-8..=8_i32).prop_map(f64::from).boxed(),
        Kind::Wide => Sampled(Wide).boxed(),
        Kind::Cancelling => {
            (plain(), any::<bool>()).prop_map(|(x, negative)| if negative { x - 1024.0 } else { x + 1024.0 }).boxed()
        }
        Kind::Ties => prop::sample::select(vec![0.0, 0.5, -1.0, 1.0]).boxed(),
        Kind::Saturated => (-120.0..120.0).boxed(),
        Kind::Special => prop_oneof![
            8 => plain(),
            1 => prop::sample::select(vec![
                0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::NAN, 1e-40, -1e-40, 1e30, -1e30, f64::from(f32::MIN_POSITIVE),
            ]),
        ]
        .boxed(),
    }
}

/// Cases with PyTorch's arguments `device` and `dtype` beside the others, as far as they change nothing.
pub(crate) fn placed(cases: BoxedStrategy<Case>, dtype: DType) -> BoxedStrategy<Case> {
    let own = if dtype == DType::F32 { "float32" } else { "float64" };
    let placements = vec![
        json!({}),
        json!({"device": "cpu"}),
        json!({"dtype": own}),
        json!({"device": null, "dtype": null}),
        json!({"device": "cpu", "dtype": own}),
    ];
    let with = |(mut case, placement): (Case, Json)| {
        let Json::Object(placement) = placement else { unreachable!("placements are written as objects") };
        case.options.extend(placement);
        case.head.insert("options".into(), Json::Object(case.options.clone()));
        case
    };
    (cases, prop::sample::select(placements)).prop_map(with).boxed()
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

/// A tensor of that shape, its elements halves and their negatives.
fn halves(dtype: DType, shape: &[usize]) -> StateTensor {
    let count = shape.iter().product();
    filled(dtype, shape, (0..count).map(|i| if i % 2 == 0 { 0.5 } else { -0.5 }).collect())
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

/// How many simpler cases are tried, at most, where one has failed.
const SHRINKING: u32 = 20_000;

/// A proptest runner that draws from a seed: equal seeds, equal cases.
pub fn runner(seed: u64) -> TestRunner {
    runner_with_cases(seed, Config::default().cases)
}

/// A proptest runner that draws so many cases of a type from a seed: other ones of each type.
pub fn runner_of(dtype: DType, seed: u64, cases: u32) -> TestRunner {
    runner_from(seed, cases, 1 + dtype as u8)
}

/// A proptest runner that draws so many cases from a seed.
pub fn runner_with_cases(seed: u64, cases: u32) -> TestRunner {
    runner_from(seed, cases, 0)
}

fn runner_from(seed: u64, cases: u32, stream: u8) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[8] = stream;
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    // A failure is reproduced by its seed and by the case file that is written, so proptest need not keep one.
    let config = Config { cases, failure_persistence: None, max_shrink_iters: SHRINKING, ..Config::default() };
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
