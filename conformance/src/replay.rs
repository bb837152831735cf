//! One case through one variant of one implementation, judged.

use crate::bounded::{Arithmetic, Bounded, Declaration, under};
use crate::case_file::{Case, Expect, Status};
use crate::comparison::{Judge, Judgement, Lane, Target};
use crate::implementation::{Implementation, Outcome, Results, Variant};
use crate::layers;
use crate::recurrence;
use crate::task::Task;
use crate::tensors::{DType, Group, Named, Value, convert, dtype};
use crate::winograd;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use vocabulary::{Result, Scalar, StateTensor, Tensor};

/// What a replay may take of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes that one case may hold in all, its judging included.
    pub memory: u64,
}

impl Default for Limits {
    /// 2 GiB.
    fn default() -> Self {
        Self { memory: 2 << 30 }
    }
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Conclusion {
    /// Everything compared is within its bounds, or the refusal that was expected came.
    Passed,
    /// Within the bounds, but these say too little to trust; never counted as passed.
    Mistrusted(String),
    /// Something is wrong.
    Failed(String),
    /// The implementation has no such layer or option.
    Unsupported(String),
    /// The variant's algorithm does not take this problem; nothing was compared.
    NotApplicable(String),
}

/// A case's conclusion, and the judgements that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The conclusion.
    pub conclusion: Conclusion,
    /// One for each tensor that was compared.
    pub judgements: Vec<Judgement>,
}

impl Verdict {
    fn of(conclusion: Conclusion) -> Self {
        Self { conclusion, judgements: Vec::new() }
    }

    /// The smallest error of a single term that is certain to be seen, as a share of the mean term, in the median element of
    /// every tensor; `None` where nothing was compared.
    pub fn detectable(&self) -> Option<f64> {
        let compared = self.judgements.iter().filter(|judgement| judgement.compared > 0);
        compared.map(|judgement| judgement.detectable).max_by(f64::total_cmp)
    }

    /// Whether the case passed.
    pub fn has_passed(&self) -> bool {
        self.conclusion == Conclusion::Passed
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Mistrusted(reason) => write!(f, "mistrusted: {reason}"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
            Self::Unsupported(reason) => write!(f, "unsupported: {reason}"),
            Self::NotApplicable(reason) => write!(f, "not applicable: {reason}"),
        }
    }
}

/// What a case's numbers are needed for, which tells the bytes that each takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be computed with: the number itself and a copy of it.
    Computing,
    /// To be judged, too: a bounded number beside it, and what is compared in double precision.
    Judging,
}

/// Refuses a case whose tensors would take more memory than allowed, before anything is allocated.
///
/// # Errors
/// Says how much it would take.
pub fn check_memory(case: &Case, purpose: Purpose, limits: &Limits) -> std::result::Result<(), String> {
    let bytes_each = match purpose {
        Purpose::Computing => 2 * size_of::<f64>(),
        Purpose::Judging => size_of::<Bounded>() + 3 * size_of::<f64>(),
    };
    let bytes = layers::numbers(case).saturating_mul(bytes_each as u128);
    if bytes <= u128::from(limits.memory) {
        return Ok(());
    }
    Err(format!("{} would take about {bytes} bytes, more than the memory limit of {}", case.layer, limits.memory))
}

/// Runs a case through a variant of an implementation and judges what comes.
///
/// `generator` is the case file's: see [`Trial::judge`].
pub fn replay(
    case: &Case,
    generator: &str,
    implementation: &dyn Implementation,
    variant: &Variant,
    limits: &Limits,
) -> Verdict {
    Trial::new(case, generator).replay(implementation, variant, limits)
}

/// Runs a case, within the limits.
pub(crate) fn run(
    case: &Case,
    implementation: &dyn Implementation,
    variant: &Variant,
    purpose: Purpose,
    limits: &Limits,
) -> Outcome {
    match check_memory(case, purpose, limits) {
        Ok(()) => implementation.run(case, variant),
        Err(message) => Outcome::Error(message),
    }
}

/// A case on trial, with the bounds that judging needs: worked out once for each arithmetic, however many variants follow.
pub struct Trial<'a> {
    case: &'a Case,
    generator: &'a str,
    bounds: RefCell<Vec<(DType, Declaration, Rc<Bounds>)>>,
}

/// The reference's results with bounds, or its refusal.
type Bounds = Result<Named<Bounded>>;

impl<'a> Trial<'a> {
    /// A trial of a case from a file that `generator` wrote.
    pub fn new(case: &'a Case, generator: &'a str) -> Self {
        Self { case, generator, bounds: RefCell::default() }
    }

    /// Runs the case through a variant of an implementation and judges what comes.
    pub fn replay(&self, implementation: &dyn Implementation, variant: &Variant, limits: &Limits) -> Verdict {
        let run = |case: &Case| run(case, implementation, variant, Purpose::Judging, limits);
        let declaration = |dtype| implementation.declaration(self.case, dtype, variant);
        let judge =
            |trial: &Trial<'_>, outcome: &Outcome| trial.judge(outcome, declaration, implementation.may_be_partial());
        let outcome = run(self.case);
        let verdict = judge(self, &outcome);
        if !matches!(verdict.conclusion, Conclusion::Passed | Conclusion::Mistrusted(_)) {
            return verdict;
        }
        let Some(layers) = recurrence::layers(self.case, run) else { return verdict };
        let each = layers.cases.iter().map(|(case, outcome)| judge(&Trial::new(case, ""), outcome)).collect();
        with_layers(verdict, each, || layers.are_those_of(self.case, &outcome))
    }

    /// Judges what came of the case, against the bounded reference and against what the case has recorded.
    ///
    /// Recorded values in double precision beside single-precision inputs are the truth to within the recorder's own bound
    /// in double precision; others are the recorder's roundings, and its bound in its type adds to ours. A recorder other
    /// than `reference` (whose files' `generator` begins with "Layerproof reference") is bounded as
    /// [`Declaration::foreign`].
    pub fn judge(
        &self,
        outcome: &Outcome,
        declaration: impl Fn(DType) -> Declaration,
        may_be_partial: bool,
    ) -> Verdict {
        let case = self.case;
        // What nobody can replay, nobody can be judged by.
        if let Some(reason) = layers::unsupported(case).filter(|_| case.expect == Expect::Values) {
            return Verdict::of(Conclusion::Unsupported(reason));
        }
        let results = match (case.expect, outcome) {
            (_, Outcome::Unsupported(reason)) => return Verdict::of(Conclusion::Unsupported(reason.clone())),
            (_, Outcome::NotApplicable(reason)) => return Verdict::of(Conclusion::NotApplicable(reason.clone())),
            (Expect::Error, Outcome::Error(_)) => return Verdict::of(Conclusion::Passed),
            (Expect::Error, Outcome::Values(_)) => {
                let torch = case.head.get("torch_error").and_then(serde_json::Value::as_str).unwrap_or("a refusal");
                return Verdict::of(Conclusion::Failed(format!("it computed, where PyTorch refuses: {torch}")));
            }
            (Expect::Values, Outcome::Error(message)) => {
                return Verdict::of(Conclusion::Failed(format!("it refused: {message}")));
            }
            (Expect::Values, Outcome::Values(results)) => results,
        };
        let judgements = match results {
            Results::F32(results) => self.judgements(results, DType::F32, declaration(DType::F32), may_be_partial),
            Results::F64(results) => self.judgements(results, DType::F64, declaration(DType::F64), may_be_partial),
        };
        match judgements {
            Ok(judgements) => Verdict { conclusion: conclude(&judgements), judgements },
            Err(reason) => Verdict::of(Conclusion::Failed(reason)),
        }
    }

    /// One judgement for each tensor of the results.
    fn judgements<T: Scalar>(
        &self,
        results: &Named<T>,
        result_type: DType,
        declaration: Declaration,
        may_be_partial: bool,
    ) -> std::result::Result<Vec<Judgement>, String> {
        let case = self.case;
        let compute_type = case.compute_type().map_err(|error| error.to_string())?;
        if result_type != compute_type {
            return Err(format!("the results have type {result_type}, expected {compute_type}"));
        }
        let refused = |error: &vocabulary::Error| format!("the reference refuses: {error}");
        let ours = self.bounds(compute_type, declaration);
        let ours = ours.as_ref().as_ref().map_err(refused)?;
        // The recorder's bounds, worked out once for each type in which something is recorded.
        let theirs = |recorded: DType| {
            let declaration = if self.generator.starts_with("Layerproof reference") {
                Declaration::LITERAL
            } else {
                Declaration::foreign(recorded)
            };
            self.bounds(recorded, declaration)
        };
        let recorded_types = case.tensors.iter().filter(|((group, _), _)| group.is_result());
        let recorded_types: Vec<DType> = recorded_types.filter_map(|(_, tensor)| dtype(tensor)).collect();
        let in_f32 = recorded_types.contains(&DType::F32).then(|| theirs(DType::F32));
        let in_f64 = recorded_types.contains(&DType::F64).then(|| theirs(DType::F64));

        complete(case, results, ours, may_be_partial)?;
        let holds_non_finite = holds_non_finite(case);
        // Where the results themselves tell every hidden state, each step is judged by itself.
        let own = results.float(Group::Out, "output").filter(|_| is_due(case, Group::Out, "output", may_be_partial));
        let output = own.map(|output| output.map(|x| x.to_f64()));
        let steps = output.and_then(|output| recurrence::steps(case, &output, compute_type, declaration));
        let largest_term = recurrence::largest_term(case);
        let mut judgements = Vec::new();
        for (group, name, actual) in results.iter() {
            if !is_due(case, group, name, may_be_partial) {
                continue;
            }
            let label = format!("{group}.{name}");
            let expected = ours.get(group, name).ok_or_else(|| format!("{label} is no result of this layer"))?;
            if actual.shape() != expected.shape() {
                return Err(format!("{label} has shape {:?}, expected {:?}", actual.shape(), expected.shape()));
            }
            let recorded = case.tensor(group, name);
            if let Some(recorded) = recorded.filter(|recorded| recorded.shape() != actual.shape()) {
                return Err(format!("{label} has shape {:?}, but {:?} was recorded", actual.shape(), recorded.shape()));
            }
            let (smallest, keeps_sign_of_zero) =
                (Arithmetic::of(compute_type).smallest, layers::keeps_sign_of_zero(&case.layer, group));
            let may_vanish = group.is_gradient() || (group == Group::Out && layers::is_loss(&case.layer));
            let judge = Judge { group, smallest, keeps_sign_of_zero, may_vanish, holds_non_finite };
            judgements.push(match (actual, expected) {
                (Value::Float(actual), Value::Float(expected)) => {
                    let actual: Vec<f64> = actual.as_slice().iter().map(|x| x.to_f64()).collect();
                    let expected: Vec<Target> = expected.as_slice().iter().map(|&x| x.into()).collect();
                    let recorded = match recorded {
                        Some(StateTensor::I64(_)) => return Err(format!("{label} was recorded as integers")),
                        Some(tensor) => {
                            let theirs = if dtype(tensor) == Some(DType::F32) { &in_f32 } else { &in_f64 };
                            let theirs =
                                theirs.as_ref().map(|theirs| theirs.as_ref().as_ref().map_err(refused)).transpose()?;
                            let theirs = theirs.and_then(|theirs| theirs.float(group, name));
                            Some(recorded_targets(tensor, &expected, theirs.map_or(&[], |theirs| theirs.as_slice()))?)
                        }
                        None => None,
                    };
                    let own = steps.as_ref().and_then(|steps| steps.float(group, name));
                    let own = own.map(|own| own.as_slice().iter().map(|&x| x.into()).collect::<Vec<Target>>());
                    let judge = |mut targets: Vec<Target>| {
                        if let Some(most) = largest_term.filter(|_| group.is_gradient()) {
                            targets.iter_mut().for_each(|target| target.scale = target.scale.min(most));
                        }
                        judge.judge(name, &actual, &targets, recorded.as_deref())
                    };
                    match own {
                        // Bounds through time hold whatever states were gone back from; where they say enough, they do.
                        Some(own) if group.is_gradient() => {
                            let through_time = judge(expected);
                            if through_time.mistrusted || through_time.saturated { judge(own) } else { through_time }
                        }
                        own => judge(own.unwrap_or(expected)),
                    }
                }
                (Value::Integer(actual), Value::Integer(expected)) => {
                    let exact = |&x: &i64| Target::exact(x as f64);
                    let recorded = match recorded {
                        Some(StateTensor::I64(tensor)) => Some(tensor.as_slice().iter().map(exact).collect::<Vec<_>>()),
                        Some(_) => return Err(format!("{label} was recorded as numbers")),
                        None => None,
                    };
                    let actual: Vec<f64> = actual.as_slice().iter().map(|&x| x as f64).collect();
                    let expected: Vec<Target> = expected.as_slice().iter().map(exact).collect();
                    judge.judge(name, &actual, &expected, recorded.as_deref())
                }
                _ => return Err(format!("{label} mixes integers and numbers")),
            });
        }
        Ok(judgements)
    }

    /// The bounds for a declaration's arithmetic.
    fn bounds(&self, dtype: DType, declaration: Declaration) -> Rc<Bounds> {
        let mut known = self.bounds.borrow_mut();
        let found =
            known.iter().find(|(t, d, _)| (*t, *d) == (dtype, declaration)).map(|(.., bounds)| Rc::clone(bounds));
        found.unwrap_or_else(|| {
            let bounds = Rc::new(bounded(self.case, dtype, declaration));
            known.push((dtype, declaration, Rc::clone(&bounds)));
            bounds
        })
    }
}

/// The verdict on a stack of layers, and on each of them by itself. Where the bounds of the whole say too little, those of the
/// layers may say enough, as long as the whole is what its layers are.
fn with_layers(whole: Verdict, layers: Vec<Verdict>, are_the_whole: impl FnOnce() -> bool) -> Verdict {
    let failed = layers
        .iter()
        .enumerate()
        .find(|(_, layer)| !matches!(layer.conclusion, Conclusion::Passed | Conclusion::Mistrusted(_)));
    // A layer that the variant does not take by itself says nothing of the whole.
    let is_no_verdict = |c: &Conclusion| matches!(c, Conclusion::NotApplicable(_) | Conclusion::Unsupported(_));
    if layers.iter().any(|layer| is_no_verdict(&layer.conclusion)) {
        return whole;
    }
    let conclusion = match failed {
        Some((number, layer)) => Conclusion::Failed(format!("layer {number} by itself {}", layer.conclusion)),
        None if layers.iter().all(Verdict::has_passed) && are_the_whole() => Conclusion::Passed,
        None => whole.conclusion,
    };
    let named = layers.into_iter().enumerate().flat_map(|(number, layer)| {
        layer.judgements.into_iter().map(move |j| Judgement { name: format!("{} of layer {number}", j.name), ..j })
    });
    Verdict { conclusion, judgements: whole.judgements.into_iter().chain(named).collect() }
}

fn conclude(judgements: &[Judgement]) -> Conclusion {
    let tensor = |judgement: &Judgement| format!("{}.{}", judgement.group, judgement.name);
    if let Some((judgement, worst)) = judgements.iter().find_map(|j| Some((j, j.worst.as_ref()?))) {
        let error = (worst.actual - worst.expected).abs();
        return Conclusion::Failed(format!(
            "{}[{}] is {:e}, expected {:e} ± {:e} by {} (off by {error:e}; {} elements outside)",
            tensor(judgement),
            worst.place,
            worst.actual,
            worst.expected,
            worst.bound,
            match worst.lane {
                Lane::Exact | Lane::Bound => "the bound",
                Lane::Recorded => "the recorded value",
            },
            worst.outside,
        ));
    }
    match judgements.iter().find(|judgement| judgement.mistrusted) {
        Some(judgement) => Conclusion::Mistrusted(format!("the bounds of {} say too little", tensor(judgement))),
        None if judgements.iter().all(|j| j.compared == 0) && judgements.iter().any(|j| j.unknown > 0) => {
            Conclusion::Mistrusted("nothing is known of any element".into())
        }
        None if judgements.is_empty() => Conclusion::Failed("nothing was compared".into()),
        None => Conclusion::Passed,
    }
}

/// The reference's results with bounds, under a declaration; all of them settled.
pub(crate) fn bounded(case: &Case, dtype: DType, declaration: Declaration) -> Result<Named<Bounded>> {
    let run = || {
        let task = Task::<Bounded>::new(case)?;
        let mut results = layers::run_reference(&task)?;
        if declaration.winograd && case.layer == "Conv2d" {
            winograd::admit(&task, &mut results)?;
        }
        results.floats_mut().flat_map(Tensor::as_mut_slice).for_each(|number| *number = number.settled());
        Ok(results)
    };
    under(dtype, declaration, run).0
}

/// Recorded values with the distance that is allowed from them: the recorder's bound and ours. Where either bound is
/// infinite, or the two sides differ in class because the recorder's type overflows elsewhere, nothing is known.
fn recorded_targets(
    tensor: &StateTensor,
    ours: &[Target],
    theirs: &[Bounded],
) -> std::result::Result<Vec<Target>, String> {
    let Ok(Value::Float(values)) = convert::<f64>(tensor) else {
        return Err("a recorded tensor is not numbers".into());
    };
    let elements = values.as_slice().iter().zip(ours).zip(theirs);
    Ok(elements
        .map(|((&value, ours), theirs)| {
            let theirs = Target::from(*theirs);
            let overflows_in_one =
                value.is_finite() != ours.value.is_finite() && theirs.value.is_finite() != ours.value.is_finite();
            let bound = if overflows_in_one { f64::INFINITY } else { ours.bound + theirs.bound };
            Target { value, bound, likely: bound, scale: ours.scale, term: ours.term }
        })
        .collect())
}

/// Whether a tensor of the results is held against the case. Partial results are held against what the case has recorded
/// (against the reference alone where that is nothing); full ones have every tensor held against the reference, too.
fn is_due(case: &Case, group: Group, name: &str, may_be_partial: bool) -> bool {
    let records = case.tensors.keys().any(|(group, _)| group.is_result());
    !may_be_partial || !records || case.tensor(group, name).is_some()
}

/// Whether what a case brings, its options included, holds an infinity or NaN.
fn holds_non_finite(case: &Case) -> bool {
    let brought = case.tensors.iter().filter(|((group, _), _)| !group.is_result());
    let mut tensors = brought.filter_map(|(_, tensor)| convert::<f64>(tensor).ok());
    let mut options = case.options.values().filter_map(serde_json::Value::as_str);
    let non_finite = |value: Value<f64>| match value {
        Value::Float(tensor) => tensor.as_slice().iter().any(|x| !x.is_finite()),
        Value::Integer(_) => false,
    };
    tensors.any(non_finite) || options.any(|text| ["inf", "-inf", "nan"].contains(&text))
}

/// Refuses results that lack a tensor which is due: the outputs always, all else unless results may be partial.
fn complete<T>(
    case: &Case,
    results: &Named<T>,
    ours: &Named<Bounded>,
    may_be_partial: bool,
) -> std::result::Result<(), String> {
    let ours = ours.iter().map(|(group, name, _)| (group, name));
    let recorded = case.tensors.keys().filter(|(group, _)| group.is_result());
    for (group, name) in ours.chain(recorded.map(|(group, name)| (*group, name.as_str()))) {
        let may_be_left_out = group != Group::Out && may_be_partial || !is_due(case, group, name, may_be_partial);
        if results.get(group, name).is_none() && !may_be_left_out {
            return Err(format!("{group}.{name} is missing"));
        }
    }
    Ok(())
}

/// What a results file holds of a case, as the outcome of whoever wrote it.
///
/// # Errors
/// Where its tensors are of more than one floating-point type.
pub(crate) fn outcome_of(case: &Case, result: &Case) -> std::result::Result<Outcome, String> {
    match &result.status {
        Some(Status::Error(message)) => return Ok(Outcome::Error(message.clone())),
        Some(Status::Unsupported(message)) => return Ok(Outcome::Unsupported(message.clone())),
        Some(Status::Values) | None => {}
    }
    let results = || result.tensors.iter().filter(|((group, _), _)| group.is_result());
    let mut types = results().filter_map(|(_, tensor)| dtype(tensor));
    let first = types.next();
    if types.any(|other| Some(other) != first) {
        return Err("its results are of more than one floating-point type".into());
    }
    fn named<'a, T: Scalar>(tensors: impl Iterator<Item = (&'a (Group, String), &'a StateTensor)>) -> Named<T> {
        let mut named = Named::default();
        for ((group, name), tensor) in tensors {
            match convert(tensor) {
                Ok(Value::Float(tensor)) => named.insert(*group, name, tensor),
                Ok(Value::Integer(tensor)) => named.insert_integers(*group, name, tensor),
                Err(_) => {}
            }
        }
        named
    }
    let compute_type = first.or(case.compute_type().ok()).unwrap_or(DType::F32);
    Ok(Outcome::Values(match compute_type {
        DType::F32 => Results::F32(named(results())),
        DType::F64 => Results::F64(named(results())),
    }))
}
