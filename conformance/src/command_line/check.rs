//! `check`: replays case files through the implementations.

use super::report::{Entry, Report};
use super::{CheckArguments, Ending, Source, implementations, one_line, quoted};
use crate::case_file::Invalid;
use crate::replay::Trial;
use indicatif::{ProgressBar, ProgressStyle};

pub(super) fn check(arguments: &CheckArguments) -> Result<Ending, Invalid> {
    let shared = &arguments.shared;
    let (limits, selection) = (shared.limits(), shared.selection()?);
    let implementations = implementations(shared.implementation.as_deref())?;
    let mut sources = match arguments.files.is_empty() {
        true => Source::carried()?,
        false => arguments.files.iter().map(|path| Source::read(path, &limits)).collect::<Result<_, _>>()?,
    };
    shared.filter(&mut sources)?;

    let total: usize = sources.iter().map(|source| source.file.cases.len()).sum();
    let progress = ProgressBar::new(total as u64).with_style(style());
    let mut report = Report::default();
    for source in &sources {
        for case in &source.file.cases {
            progress.set_message(one_line(&format!("{} {}", case.layer, case.name)));
            let trial = Trial::new(case, &source.file.generator);
            for implementation in &implementations {
                // Unless it is asked for by name, nobody expects of an implementation what it says is to come.
                if shared.implementation.is_none() && implementation.still_to_come(&case.layer) {
                    report.add_still_to_come(implementation.name(), &case.layer);
                    continue;
                }
                for variant in implementation.variants(case, &selection) {
                    let verdict = trial.replay(*implementation, &variant, &limits);
                    let (path, implementation) = (quoted(&source.path), implementation.name());
                    let arguments = shared.reproducing(&case.name, Some(implementation), &variant);
                    let reproduce = format!("conformance check {path} {arguments}");
                    report.add(Entry { case, implementation, variant, verdict, reproduce });
                }
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    report.finish(shared.json.as_deref())
}

/// A bar that shows on a terminal alone.
pub(super) fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} left  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
