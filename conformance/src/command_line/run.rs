//! `run`: computes the cases of a file with one implementation and writes a file of results.

use super::{Ending, RunArguments, Source, implementations, invalid, print, write};
use crate::case_file::{Case, CaseFile, Invalid, Status};
use crate::implementation::{Implementation, Outcome, Results, Variant};
use crate::replay::{self, Limits, Purpose};
use crate::tensors::{Named, Value};
use indicatif::ProgressBar;
use serde_json::json;
use std::collections::BTreeMap;
use vocabulary::{StateElement, StateTensor};

pub(super) fn run(arguments: &RunArguments) -> Result<Ending, Invalid> {
    let shared = &arguments.shared;
    let (limits, selection) = (shared.limits(), shared.selection()?);
    let name = shared.implementation.as_deref().ok_or_else(|| invalid("run needs --implementation NAME"))?;
    let chosen = implementations(Some(name))?;
    let mut sources = [Source::read(&arguments.file, &limits)?];
    shared.filter(&mut sources)?;
    let [source] = sources;
    let progress = ProgressBar::new(source.file.cases.len() as u64).with_style(super::check::style());
    let mut cases = Vec::new();
    for case in &source.file.cases {
        for implementation in &chosen {
            cases.push(result(case, *implementation, &selection.fixed, &limits));
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let generator = generator(name) + env!("CARGO_PKG_VERSION");
    let count = cases.len();
    if let Some(path) = &shared.json {
        let statuses: Vec<_> = cases
            .iter()
            .map(|case| match &case.status {
                Some(Status::Error(message)) => json!({"case": case.name, "status": "error", "message": message}),
                Some(Status::Unsupported(message)) => {
                    json!({"case": case.name, "status": "unsupported", "message": message})
                }
                _ => json!({"case": case.name, "status": "values"}),
            })
            .collect();
        write(path, format!("{:#}\n", json!({"results": statuses})).as_bytes())?;
    }
    write(&arguments.out, &CaseFile { generator, cases }.to_bytes()?)?;
    print(format_args!("wrote the results of {count} cases to {}", arguments.out.display()));
    Ok(Ending::Good)
}

/// How the generator of an implementation's results begins.
pub(super) fn generator(implementation: &str) -> String {
    format!("Layerproof {implementation} ")
}

/// A case with its head repeated, and with what the implementation made of it in place of its tensors.
pub fn result(case: &Case, implementation: &dyn Implementation, variant: &Variant, limits: &Limits) -> Case {
    let (status, tensors) = match replay::run(case, implementation, variant, Purpose::Computing, limits) {
        Outcome::Values(Results::F32(results)) => (Status::Values, tensors(&results)),
        Outcome::Values(Results::F64(results)) => (Status::Values, tensors(&results)),
        Outcome::Error(message) => (Status::Error(message), BTreeMap::new()),
        Outcome::Unsupported(message) | Outcome::NotApplicable(message) => {
            (Status::Unsupported(message), BTreeMap::new())
        }
    };
    Case { status: Some(status), tensors, ..case.clone() }
}

fn tensors<T: StateElement>(results: &Named<T>) -> BTreeMap<(crate::tensors::Group, String), StateTensor> {
    let wrap = |value: &Value<T>| match value {
        Value::Float(tensor) => T::wrap(tensor.clone()),
        Value::Integer(tensor) => tensor.clone().into(),
    };
    results.iter().map(|(group, name, value)| ((group, name.to_owned()), wrap(value))).collect()
}
