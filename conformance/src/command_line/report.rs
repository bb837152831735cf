//! What `check` and `compare` print: a table, one row for each layer, type and implementation; then what went wrong, each
//! with the one line that reproduces it; then one line that says how it ended.

use super::{Ending, one_line, print, write};
use crate::case_file::{Case, Expect, Invalid};
use crate::comparison::median;
use crate::implementation::Variant;
use crate::replay::{Conclusion, Verdict};
use comfy_table::{Cell, CellAlignment, Color, LineStyle, Table, TableStyle};
use serde_json::{Value, json};
use std::path::Path;

/// How many failures are printed in full.
const SHOWN: usize = 20;

/// One verdict, with what it is of.
pub(super) struct Entry<'a> {
    pub case: &'a Case,
    pub implementation: &'a str,
    pub variant: Variant,
    pub verdict: Verdict,
    /// The command that comes to this verdict alone.
    pub reproduce: String,
}

/// The counts of one row.
#[derive(Debug, Clone, Default)]
struct Row {
    layer: String,
    dtype: String,
    implementation: String,
    /// Distinct cases that were run, those among them that are to be refused, and how often they were run.
    cases: usize,
    refusals: usize,
    last_case: String,
    runs: usize,
    passed: usize,
    compared: usize,
    exact: usize,
    unknown: usize,
    unlikely: usize,
    saturated: usize,
    slack: f64,
    detectable: Vec<f64>,
}

/// A share of a mean term, to two digits.
pub(super) fn share(share: f64) -> String {
    match share {
        0.0 => "0".into(),
        0.01..1e4 => format!("{share:.2}"),
        _ => format!("{share:.0e}"),
    }
}

/// Verdicts, gathered.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    problems: Vec<(String, String)>,
    unsupported: usize,
    mistrusted: usize,
    failed: usize,
    verdicts: Vec<Value>,
    /// Implementations, and the layers that they do not have yet.
    still_to_come: Vec<(String, Vec<String>)>,
}

impl Report {
    /// Notes that an implementation does not have a layer yet, and so was not run.
    pub(super) fn add_still_to_come(&mut self, implementation: &str, layer: &str) {
        let place = self.still_to_come.iter().position(|(known, _)| known == implementation).unwrap_or_else(|| {
            self.still_to_come.push((implementation.to_owned(), Vec::new()));
            self.still_to_come.len() - 1
        });
        let layers = &mut self.still_to_come[place].1;
        if !layers.iter().any(|known| known == layer) {
            layers.push(layer.to_owned());
        }
    }

    /// Adds a verdict; one that compared nothing, since its algorithm does not take the problem, leaves no trace.
    pub(super) fn add(&mut self, entry: Entry<'_>) {
        let Verdict { conclusion, judgements } = &entry.verdict;
        match conclusion {
            Conclusion::NotApplicable(_) => return,
            Conclusion::Passed => {}
            Conclusion::Mistrusted(_) => self.mistrusted += 1,
            Conclusion::Failed(_) => self.failed += 1,
            Conclusion::Unsupported(_) => self.unsupported += 1,
        }
        if *conclusion != Conclusion::Passed {
            let Entry { case, implementation, variant, .. } = &entry;
            let variant = if variant.arguments().is_empty() { String::new() } else { format!(" ({variant})") };
            let what = format!("{} {}, {implementation}{variant}: {conclusion}", case.layer, case.name);
            self.problems.push((one_line(&what), entry.reproduce.clone()));
        }
        self.verdicts.push(json!({
            "case": entry.case.name,
            "layer": entry.case.layer,
            "implementation": entry.implementation,
            "variant": entry.variant.to_string(),
            "conclusion": match conclusion {
                Conclusion::Passed => "passed",
                Conclusion::Mistrusted(_) => "mistrusted",
                Conclusion::Failed(_) => "failed",
                Conclusion::Unsupported(_) | Conclusion::NotApplicable(_) => "unsupported",
            },
            "message": conclusion.to_string(),
            "slack": judgements.iter().map(|j| j.slack).fold(0.0, f64::max),
            "compared": judgements.iter().map(|j| j.compared).sum::<usize>(),
            "exact": judgements.iter().map(|j| j.exact).sum::<usize>(),
            "unlikely": judgements.iter().map(|j| j.unlikely).sum::<usize>(),
            "detectable": entry.verdict.detectable(),
        }));
        let dtype = entry.case.compute_type().map_or("mixed".to_owned(), |dtype| dtype.to_string());
        let row = self.row(&entry.case.layer, &dtype, entry.implementation);
        if row.last_case != entry.case.name {
            row.last_case.clone_from(&entry.case.name);
            row.cases += 1;
            row.refusals += usize::from(entry.case.expect == Expect::Error);
        }
        row.runs += 1;
        row.detectable.extend(entry.verdict.detectable());
        row.passed += usize::from(*conclusion == Conclusion::Passed);
        for judgement in judgements {
            row.compared += judgement.compared;
            row.exact += judgement.exact;
            row.unknown += judgement.unknown;
            row.unlikely += judgement.unlikely;
            row.saturated += usize::from(judgement.saturated);
            row.slack = row.slack.max(judgement.slack);
        }
    }

    fn row(&mut self, layer: &str, dtype: &str, implementation: &str) -> &mut Row {
        let known = |row: &Row| row.layer == layer && row.dtype == dtype && row.implementation == implementation;
        let place = self.rows.iter().position(known).unwrap_or_else(|| {
            self.rows.push(Row {
                layer: layer.to_owned(),
                dtype: dtype.to_owned(),
                implementation: implementation.to_owned(),
                ..Row::default()
            });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }

    /// Prints everything, writes the JSON that is asked for, and tells how it ended.
    pub(super) fn finish(mut self, json_path: Option<&Path>) -> Result<Ending, Invalid> {
        self.rows.sort_by(|a, b| (&a.layer, &a.implementation, &a.dtype).cmp(&(&b.layer, &b.implementation, &b.dtype)));
        if let Some(path) = json_path {
            let document = json!({
                "passed": self.rows.iter().map(|row| row.passed).sum::<usize>(),
                "failed": self.failed, "mistrusted": self.mistrusted, "unsupported": self.unsupported,
                "still_to_come": self.still_to_come,
                "verdicts": self.verdicts,
            });
            write(path, format!("{document:#}\n").as_bytes())?;
        }
        print(self.table());
        print(
            "exact: elements whose bound is 0, or that are inf or NaN; slack: the largest error, as a share of its derived bound\n\
             detects: the smallest error of one term, as a share of the mean term, that is certain to be seen, in the median case",
        );
        let sum = |count: fn(&Row) -> usize| self.rows.iter().map(count).sum::<usize>();
        let notes = [
            (sum(|row| row.unlikely), "elements beyond the likely bound 8√n·u·Σ|terms| though within the bound"),
            (
                sum(|row| row.unknown),
                "elements not compared: some right order of operations overflows, or meets an infinity otherwise",
            ),
            (
                sum(|row| row.saturated),
                "gradients and losses so small by saturation or cancellation that their bounds say little",
            ),
        ];
        notes
            .iter()
            .filter(|(count, _)| *count > 0)
            .for_each(|(count, note)| print(format_args!("note: {count} {note}")));
        for (implementation, layers) in &self.still_to_come {
            print(format_args!("still to come in {implementation}, and not run: {}", layers.join(", ")));
        }
        for (what, reproduce) in self.problems.iter().take(SHOWN) {
            print(format_args!("\n{what}\n    {reproduce}"));
        }
        if self.problems.len() > SHOWN {
            print(format_args!("\n… and {} more", self.problems.len() - SHOWN));
        }
        let (passed, runs) = (sum(|row| row.passed), sum(|row| row.runs));
        if runs == 0 {
            print("\nno case was run");
            return Ok(Ending::Bad);
        }
        if self.problems.is_empty() {
            print(format_args!("\nall {passed} runs of {} cases passed", self.distinct_cases()));
            return Ok(Ending::Good);
        }
        let Self { failed, mistrusted, unsupported, .. } = self;
        print(format_args!(
            "\n{passed} of {runs} runs passed; {failed} failed, {mistrusted} mistrusted, {unsupported} unsupported"
        ));
        Ok(Ending::Bad)
    }

    /// Cases are run by every implementation: the most that one of them ran.
    fn distinct_cases(&self) -> usize {
        let names: Vec<&str> = self.rows.iter().map(|row| row.implementation.as_str()).collect();
        let of = |name: &str| self.rows.iter().filter(|row| row.implementation == name).map(|row| row.cases).sum();
        names.into_iter().map(of).max().unwrap_or(0)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        let line = LineStyle::new('─', '─', '─', '─');
        table.load_style(TableStyle::new().header_separator(line).bottom_border(line)).set_header([
            "layer",
            "implementation",
            "type",
            "cases",
            "refusals",
            "runs",
            "passed",
            "elements",
            "exact",
            "slack",
            "detects",
        ]);
        for row in &self.rows {
            let number = |number: usize| Cell::new(number).set_alignment(CellAlignment::Right);
            let passed = number(row.passed);
            let share_of_term = |row: &Row| match row.detectable.is_empty() {
                true => "–".to_owned(),
                false => share(median(row.detectable.clone())),
            };
            let percentage = |part: usize| match row.compared {
                0 => "–".to_owned(),
                whole => format!("{:.0} %", 100.0 * part as f64 / whole as f64),
            };
            table.add_row([
                Cell::new(one_line(&row.layer)),
                Cell::new(&row.implementation),
                Cell::new(&row.dtype),
                number(row.cases),
                number(row.refusals),
                number(row.runs),
                if row.passed == row.runs { passed.fg(Color::Green) } else { passed.fg(Color::Red) },
                number(row.compared),
                Cell::new(percentage(row.exact)).set_alignment(CellAlignment::Right),
                Cell::new(format!("{:.2}", row.slack)).set_alignment(CellAlignment::Right),
                Cell::new(share_of_term(row)).set_alignment(CellAlignment::Right),
            ]);
        }
        table
    }
}
