//! The two crates as [`Implementation`]s.

use crate::bounded::Declaration;
use crate::case_file::{Case, Expect};
use crate::declarations::declared;
use crate::implementation::{Implementation, Outcome, Results, Selection, Variant};
use crate::layers::{self, Stop};
use crate::task::Task;
use crate::tensors::DType;
use optimized::{Execution, Isa, Threads};
use std::num::NonZeroUsize;
use vocabulary::{Error, Result};

/// The crate `reference`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

/// The crate `optimized`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Optimized;

/// Ours, in the order of reports.
pub fn ours() -> [&'static dyn Implementation; 2] {
    [&Reference, &Optimized]
}

impl Implementation for Reference {
    fn name(&self) -> &str {
        "reference"
    }

    fn run(&self, case: &Case, _variant: &Variant) -> Outcome {
        if let Some(unsupported) = unsupported(case) {
            return unsupported;
        }
        let run = || match case.compute_type()? {
            DType::F32 => layers::run_reference(&Task::new(case)?).map(Results::F32),
            DType::F64 => layers::run_reference(&Task::new(case)?).map(Results::F64),
        };
        run().map_or_else(|error| Outcome::Error(error.to_string()), Outcome::Values)
    }

    fn declaration(&self, case: &Case, dtype: DType, _variant: &Variant) -> Declaration {
        declared(self.name(), &case.layer, dtype)
    }

    fn may_be_partial(&self) -> bool {
        false
    }
}

/// The numbers of threads that `--all` runs.
const ALL_THREADS: [usize; 3] = [1, 2, 3];

impl Implementation for Optimized {
    fn name(&self) -> &str {
        "optimized"
    }

    fn run(&self, case: &Case, variant: &Variant) -> Outcome {
        if let Some(unsupported) = unsupported(case) {
            return unsupported;
        }
        if self.still_to_come(&case.layer) {
            return Outcome::Unsupported(still_to_come(&case.layer));
        }
        if let Some(name) =
            variant.algorithm.as_deref().filter(|name| !optimized::algorithms(&case.layer).contains(name))
        {
            return Outcome::NotApplicable(format!("{} has no algorithm {name:?}", case.layer));
        }
        let run = || -> std::result::Result<Results, Stop> {
            let execution = execution(variant)?;
            match case.compute_type()? {
                DType::F32 => layers::run_optimized(&Task::new(case)?, &execution).map(Results::F32),
                DType::F64 => layers::run_optimized(&Task::new(case)?, &execution).map(Results::F64),
            }
        };
        match run() {
            Ok(results) => Outcome::Values(results),
            Err(Stop::Refused(error)) => Outcome::Error(error.to_string()),
            Err(Stop::NotApplicable(reason)) => Outcome::NotApplicable(reason),
        }
    }

    fn still_to_come(&self, layer: &str) -> bool {
        optimized::STILL_TO_COME.contains(&layer)
    }

    /// Without `all`, the algorithm of its own choice at the best and at the scalar instruction set.
    fn variants(&self, case: &Case, selection: &Selection) -> Vec<Variant> {
        let Selection { fixed, all } = selection;
        let there = layers::NAMES.contains(&case.layer.as_str());
        if !there || self.still_to_come(&case.layer) {
            return vec![Variant::default()];
        }
        let algorithms: Vec<Option<String>> = match &fixed.algorithm {
            None if *all => optimized::algorithms(&case.layer).iter().map(|name| Some((*name).to_owned())).collect(),
            // A layer that does not have the algorithm has nothing to run.
            Some(name) if !optimized::algorithms(&case.layer).contains(&name.as_str()) => return Vec::new(),
            fixed => vec![fixed.clone()],
        };
        let isas: Vec<Option<String>> = match &fixed.isa {
            None if *all => Isa::available().iter().map(|isa| Some(isa.to_string())).collect(),
            None if Isa::best() == Isa::Scalar => vec![Some(Isa::Scalar.to_string())],
            None => [Isa::best(), Isa::Scalar].iter().map(|isa| Some(isa.to_string())).collect(),
            fixed => vec![fixed.clone()],
        };
        let threads: Vec<Option<usize>> = match fixed.threads {
            None if *all => ALL_THREADS.map(Some).to_vec(),
            fixed => vec![fixed],
        };
        let mut variants = Vec::new();
        for algorithm in &algorithms {
            for isa in &isas {
                for &threads in &threads {
                    variants.push(Variant { algorithm: algorithm.clone(), isa: isa.clone(), threads });
                }
            }
        }
        variants
    }

    fn declaration(&self, case: &Case, dtype: DType, variant: &Variant) -> Declaration {
        let declaration = declared(self.name(), &case.layer, dtype);
        Declaration { winograd: declaration.winograd && layers::goes_by_winograd(case, variant), ..declaration }
    }

    fn may_be_partial(&self) -> bool {
        false
    }
}

fn unsupported(case: &Case) -> Option<Outcome> {
    // What PyTorch refuses, it refuses whatever it would have dropped.
    let there = layers::NAMES.contains(&case.layer.as_str());
    layers::unsupported(case).filter(|_| case.expect == Expect::Values || !there).map(Outcome::Unsupported)
}

fn still_to_come(layer: &str) -> String {
    format!("{layer} is still to come in optimized")
}

fn execution(variant: &Variant) -> Result<Execution> {
    let mut execution = Execution::default();
    if let Some(isa) = &variant.isa {
        execution.isa = Some(isa.parse()?);
    }
    if let Some(threads) = variant.threads {
        let threads =
            NonZeroUsize::new(threads).ok_or_else(|| Error::new("optimized", "threads", "is 0", "at least 1"))?;
        execution.threads = Threads::new(threads);
    }
    execution.algorithm = variant.algorithm.clone();
    Ok(execution)
}
