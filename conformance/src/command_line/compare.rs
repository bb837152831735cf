//! `compare`: judges a file of results that anything may have written.

use super::report::{Entry, Report};
use super::{CompareArguments, Ending, Source, implementations, quoted};
use crate::bounded::Declaration;
use crate::case_file::{CaseFile, Expect, Invalid, read_file};
use crate::implementation::{Outcome, Variant};
use crate::implementations::ours;
use crate::replay::{Conclusion, Purpose, Trial, Verdict, check_memory, outcome_of};

pub(super) fn compare(arguments: &CompareArguments) -> Result<Ending, Invalid> {
    let shared = &arguments.shared;
    let (limits, selection) = (shared.limits(), shared.selection()?);
    let named = match &shared.implementation {
        Some(name) => implementations(Some(name))?.first().copied(),
        None => None,
    };
    let mut sources = [Source::read(&arguments.file, &limits)?];
    shared.filter(&mut sources)?;
    let [source] = sources;
    let results = CaseFile::results_from_bytes_within(&read_file(&arguments.result, limits.memory)?, limits.memory)
        .map_err(|error| Invalid(format!("{}: {error}", arguments.result.display())))?;
    let stranger = results.cases.iter().find(|case| source.file.case(&case.name).is_none());
    if let Some(stranger) = stranger.filter(|_| shared.case.is_none()) {
        let (result, file) = (arguments.result.display(), arguments.file.display());
        return Err(Invalid(format!("{result}: its case {} is none of {file}", stranger.name)));
    }

    // Results that `run` wrote say whose they are, and are judged by what that implementation declares.
    let declaring = named.or_else(|| {
        ours().into_iter().find(|known| results.generator.starts_with(&super::run::generator(known.name())))
    });

    let mut report = Report::default();
    for case in &source.file.cases {
        let outcome = match results.case(&case.name) {
            Some(result) => outcome_of(case, result),
            None => Err("there is no result for it".to_owned()),
        };
        // Only values are held against the reference, which has to compute the case, too.
        let outcome = outcome.and_then(|outcome| match outcome {
            Outcome::Values(_) if case.expect == Expect::Values => {
                check_memory(case, Purpose::Judging, &limits).map(|()| outcome)
            }
            _ => Ok(outcome),
        });
        let verdict = match outcome {
            Ok(outcome) => {
                let declaration = |dtype| match declaring {
                    Some(implementation) => implementation.declaration(case, dtype, &selection.fixed),
                    None => Declaration::foreign(dtype),
                };
                Trial::new(case, &source.file.generator).judge(&outcome, declaration, true)
            }
            Err(reason) => Verdict { conclusion: Conclusion::Failed(reason), judgements: Vec::new() },
        };
        let implementation = declaring.map_or("result", |known| known.name());
        let (file, result) = (quoted(&arguments.file), quoted(&arguments.result));
        let named = named.map(|known| known.name());
        let arguments = shared.reproducing(&case.name, named, &selection.fixed);
        let reproduce = format!("conformance compare {file} {result} {arguments}");
        report.add(Entry { case, implementation, variant: Variant::default(), verdict, reproduce });
    }
    report.finish(shared.json.as_deref())
}
