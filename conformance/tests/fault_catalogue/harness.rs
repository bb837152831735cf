//! A fault as an implementation, and which cases catch it.

use conformance::{
    Case, Conclusion, DType, Declaration, Expect, Group, Implementation, Lane, Limits, Named, Outcome, Purpose,
    Reference, Results, Trial, Value, Variant, Verdict, check_memory, fixtures, generator, generators,
};
use proptest::strategy::{Strategy, ValueTree};
use std::collections::BTreeMap;

/// How a mistake is made.
#[derive(Clone, Copy)]
pub enum Mistake {
    /// The layer is called otherwise than it was asked to be. A call that is then refused is left as it was.
    Call(fn(&mut Case)),
    /// What it gives is worked out otherwise.
    Results(fn(&Case, &mut Named<f64>)),
    /// All that it does, is done otherwise.
    Outcome(fn(&Case) -> Outcome),
}

/// Where cases come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// PyTorch's, of `fixtures/`.
    Recorded,
    /// The layer's generator's.
    Generated,
}

/// The reference with one mistake.
pub struct Fault {
    /// The layer that has it.
    pub layer: &'static str,
    /// What is wrong.
    pub name: &'static str,
    mistake: Mistake,
    is_foreign: bool,
    is_forward: bool,
    out_of_reach: Vec<((Source, DType), &'static str)>,
    by_chance: Vec<((Source, DType), &'static str)>,
}

impl Fault {
    /// A fault that every source of cases has to catch in both types.
    pub fn new(layer: &'static str, name: &'static str, mistake: Mistake) -> Self {
        Self {
            layer,
            name,
            mistake,
            is_foreign: false,
            is_forward: false,
            out_of_reach: Vec::new(),
            by_chance: Vec::new(),
        }
    }

    /// The same in an implementation of which nothing is known, so that its bounds are the widest.
    pub fn foreign(mut self) -> Self {
        self.is_foreign = true;
        self
    }

    /// The same, its gradients left out: they would be those of other hidden states than its own.
    pub fn forward_alone(mut self) -> Self {
        self.is_forward = true;
        self
    }

    /// Cases of this source cannot show the fault in these types, for this reason.
    pub fn out_of_reach(mut self, source: Source, types: &[DType], reason: &'static str) -> Self {
        self.out_of_reach.extend(types.iter().map(|dtype| ((source, *dtype), reason)));
        self
    }

    /// Few cases of this source show the fault in these types, for this reason: by another seed they may be some or none.
    pub fn by_chance(mut self, source: Source, types: &[DType], reason: &'static str) -> Self {
        self.by_chance.extend(types.iter().map(|dtype| ((source, *dtype), reason)));
        self
    }

    fn is_by_chance(&self, cell: (Source, DType)) -> bool {
        self.by_chance.iter().any(|(known, _)| *known == cell)
    }

    /// Why each cell that need not catch the fault need not.
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut reasons: Vec<&str> =
            self.out_of_reach.iter().chain(&self.by_chance).map(|(_, reason)| *reason).collect();
        reasons.dedup();
        reasons
    }

    /// Why cases of this source and type cannot show the fault, where that is so.
    fn unreached(&self, cell: (Source, DType)) -> Option<&'static str> {
        self.out_of_reach.iter().find(|(known, _)| *known == cell).map(|(_, reason)| *reason)
    }
}

impl Fault {
    /// What it makes of a case of which the reference makes `right`.
    fn outcome(&self, case: &Case, right: Outcome) -> Outcome {
        match self.mistake {
            Mistake::Outcome(run) => run(case),
            Mistake::Results(change) => with_results(case, right, |results| {
                change(case, results);
                if self.is_forward {
                    results.split_off(Group::GradIn);
                    results.split_off(Group::GradState);
                }
            }),
            Mistake::Call(change) => with_results(case, right, |results| {
                for (group, name, value) in rerun(case, change).iter().flat_map(Named::iter) {
                    match value {
                        Value::Float(tensor) => results.insert(group, name, tensor.clone()),
                        Value::Integer(tensor) => results.insert_integers(group, name, tensor.clone()),
                    }
                }
            }),
        }
    }
}

impl Implementation for Fault {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, case: &Case, variant: &Variant) -> Outcome {
        self.outcome(case, Reference.run(case, variant))
    }

    fn declaration(&self, _: &Case, dtype: DType, _: &Variant) -> Declaration {
        if self.is_foreign { Declaration::foreign(dtype) } else { Declaration::LITERAL }
    }

    fn may_be_partial(&self) -> bool {
        self.is_forward
    }
}

/// What the reference gives of a changed case; forward alone, where the cotangents no longer fit.
pub fn rerun(case: &Case, change: impl Fn(&mut Case)) -> Option<Named<f64>> {
    let mut changed = case.clone();
    change(&mut changed);
    let run = |case: &Case| match Reference.run(case, &Variant::default()) {
        Outcome::Values(results) => Some(widened(&results)),
        _ => None,
    };
    run(&changed).or_else(|| {
        changed.tensors.retain(|(group, _), _| *group != Group::GradOut);
        run(&changed)
    })
}

/// The outcome, its results changed and rounded to the type that the case is computed in.
fn with_results(case: &Case, outcome: Outcome, change: impl FnOnce(&mut Named<f64>)) -> Outcome {
    let Outcome::Values(results) = outcome else { return outcome };
    let mut results = widened(&results);
    change(&mut results);
    Outcome::Values(match case.compute_type() {
        Ok(DType::F64) => Results::F64(results),
        _ => Results::F32(converted(&results, |x| x as f32)),
    })
}

/// Results as double precision holds them.
pub fn widened(results: &Results) -> Named<f64> {
    match results {
        Results::F32(results) => converted(results, f64::from),
        Results::F64(results) => results.clone(),
    }
}

/// Results with each number converted.
pub fn converted<T: Copy, U: Clone>(results: &Named<T>, convert: impl Fn(T) -> U) -> Named<U> {
    let mut converted = Named::default();
    for (group, name, value) in results.iter() {
        match value {
            Value::Float(tensor) => converted.insert(group, name, tensor.map(&convert)),
            Value::Integer(tensor) => converted.insert_integers(group, name, tensor.clone()),
        }
    }
    converted
}

/// Whether a case caught a fault, and how it saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// An element is outside, in this lane.
    In(Lane),
    /// A tensor is missing, or has another shape or type.
    InForm,
    /// It computed what is refused, or refused what is computed.
    InRefusal,
}

impl Seen {
    fn of(case: &Case, outcome_is_error: bool, verdict: &Verdict) -> Self {
        match verdict.judgements.iter().find_map(|judgement| judgement.worst.as_ref()) {
            Some(worst) => Self::In(worst.lane),
            None if outcome_is_error || case.expect == Expect::Error => Self::InRefusal,
            None => Self::InForm,
        }
    }

    fn name(self) -> String {
        match self {
            Self::In(lane) => lane.to_string(),
            Self::InForm => "form".into(),
            Self::InRefusal => "refusal".into(),
        }
    }
}

/// How often a fault was run, and how often it was caught.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Cases that failed, and all, by source and type.
    cells: BTreeMap<(Source, DType), (usize, usize)>,
    seen: BTreeMap<Seen, usize>,
    mistrusted: usize,
    /// What the first case that failed says.
    pub first_failure: Option<String>,
}

/// Every source in every type.
const CELLS: [(Source, DType); 4] = [
    (Source::Recorded, DType::F32),
    (Source::Recorded, DType::F64),
    (Source::Generated, DType::F32),
    (Source::Generated, DType::F64),
];

impl Tally {
    /// The columns of [`Tally::line`].
    pub const HEAD: &str = "layer              fault                                                          \
        recorded f32  recorded f64 generated f32 generated f64  lanes";

    fn add(&mut self, cell: (Source, DType), case: &Case, verdict: &Verdict) {
        let (failed, run) = self.cells.entry(cell).or_default();
        *run += 1;
        match &verdict.conclusion {
            Conclusion::Failed(reason) => {
                *failed += 1;
                let refused = reason.starts_with("it refused");
                *self.seen.entry(Seen::of(case, refused, verdict)).or_default() += 1;
                self.first_failure.get_or_insert_with(|| format!("{}: {reason}\n{:?}", case.name, case.head));
            }
            Conclusion::Mistrusted(_) => self.mistrusted += 1,
            _ => {}
        }
    }

    fn cell(&self, cell: (Source, DType)) -> (usize, usize) {
        self.cells.get(&cell).copied().unwrap_or_default()
    }

    /// How many cases were run.
    pub fn run(&self) -> usize {
        self.cells.values().map(|(_, run)| run).sum()
    }

    /// The fault's line in the table: cases that failed, of those run; and how they saw it.
    pub fn line(&self, fault: &Fault) -> String {
        let cells = CELLS.map(|cell| match self.cell(cell) {
            (0, _) if fault.unreached(cell).is_some() => format!("{:>13}", "out of reach"),
            (failed, run) => format!("{:>13}", format!("{failed}/{run}")),
        });
        let mut lanes: Vec<String> = self.seen.iter().map(|(seen, count)| format!("{} {count}", seen.name())).collect();
        if self.mistrusted > 0 {
            lanes.push(format!("mistrusted {}", self.mistrusted));
        }
        let reasons: String = fault.reasons().iter().map(|reason| format!(" ({reason})")).collect();
        format!("{:<18} {:<62} {}  {}{reasons}", fault.layer, fault.name, cells.join(" "), lanes.join(", "))
    }

    /// What is not as the fault says.
    pub fn complaints(&self, fault: &Fault) -> Vec<String> {
        let complaint = |cell: (Source, DType)| {
            let (failed, run) = self.cell(cell);
            let (source, dtype) = cell;
            let what = format!("{}: {}: {source:?} cases in {dtype}", fault.layer, fault.name);
            match fault.unreached(cell) {
                Some(reason) if failed > 0 => Some(format!("{what} caught it ({failed} did), in spite of: {reason}")),
                None if failed == 0 && !fault.is_by_chance(cell) => {
                    Some(format!("{what} did not catch it ({run} were run)"))
                }
                _ => None,
            }
        };
        CELLS.into_iter().filter_map(complaint).collect()
    }
}

/// How many cases are generated in each type.
const GENERATED: usize = 512;

/// What comes of each fault over all cases of the layer that pass without one.
pub fn tallies(layer: &str, faults: &[Fault]) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); faults.len()];
    let mut add = |source: Source, case: &Case, generator: &str| {
        // What would take too much memory is refused before an implementation is asked.
        if check_memory(case, Purpose::Judging, &Limits::default()).is_err() {
            return;
        }
        let (trial, variant) = (Trial::new(case, generator), Variant::default());
        let right = Reference.run(case, &variant);
        if !trial.judge(&right, |_| Declaration::LITERAL, false).has_passed() {
            return;
        }
        let dtype = case.compute_type().unwrap_or(DType::F32);
        for (fault, tally) in faults.iter().zip(&mut tallies) {
            let declaration = |dtype| fault.declaration(case, dtype, &variant);
            let verdict = trial.judge(&fault.outcome(case, right.clone()), declaration, fault.may_be_partial());
            tally.add((source, dtype), case, &verdict);
        }
    };
    let file = fixtures::file(layer).unwrap();
    file.cases.iter().for_each(|case| add(Source::Recorded, case, &file.generator));
    let seed = super::shared::seed();
    for dtype in [DType::F32, DType::F64] {
        let cases = generator(layer, dtype).unwrap();
        let mut runner = generators::runner_of(dtype, seed, GENERATED as u32);
        for _ in 0..GENERATED {
            add(Source::Generated, &cases.new_tree(&mut runner).unwrap().current(), "a generator");
        }
    }
    tallies
}
