//! `random`: judges random cases of all layers, as many as are asked for.

use super::{Ending, RandomArguments, implementations, invalid, one_line, print, write};
use crate::case_file::Invalid;
use crate::implementation::{Implementation, Selection};
use crate::property::{Counterexample, Property, Tally};
use crate::replay::Limits;
use crate::tensors::DType;
use comfy_table::{Cell, CellAlignment, Color, LineStyle, Table, TableStyle};
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde_json::json;
use std::time::Instant;

/// How many cases are drawn from one seed.
const BATCH: u64 = 500;

/// So many cases of a layer, judged by one implementation.
struct Batch {
    layer: &'static str,
    implementation: &'static dyn Implementation,
    dtype: DType,
    seed: u64,
    cases: u32,
}

/// What the batches of a row came to.
struct Row {
    layer: &'static str,
    implementation: &'static str,
    dtype: DType,
    tally: Tally,
    failures: Vec<Counterexample>,
}

pub(super) fn random(arguments: &RandomArguments) -> Result<Ending, Invalid> {
    let RandomArguments { layer, count, seed, shared } = arguments;
    let selection = shared.selection()?;
    let implementations = implementations(shared.implementation.as_deref())?;
    if shared.case.is_some() {
        return Err(invalid("random draws its cases, and takes no --case"));
    }
    let layers = super::layers(layer)?;
    let batches = batches(&layers, &implementations, *count, *seed);

    let start = Instant::now();
    print(format_args!("seed {seed}: {count} cases, as many of each layer"));
    let progress = ProgressBar::new(batches.iter().map(|batch| u64::from(batch.cases)).sum());
    let progress = progress.with_style(super::check::style());
    let judged: Vec<_> = batches
        .par_iter()
        .map(|batch| {
            progress.set_message(batch.layer);
            let outcome = judge(batch, &selection, shared.limits());
            progress.inc(u64::from(batch.cases));
            (batch, outcome)
        })
        .collect();
    progress.finish_and_clear();

    let mut rows: Vec<Row> = Vec::new();
    for (batch, outcome) in judged {
        let (layer, implementation, dtype) = (batch.layer, batch.implementation.name(), batch.dtype);
        let same = |row: &Row| (row.layer, row.implementation, row.dtype) == (layer, implementation, dtype);
        let known = rows.iter().position(same);
        let place = known.unwrap_or_else(|| {
            rows.push(Row { layer, implementation, dtype, tally: Tally::default(), failures: Vec::new() });
            rows.len() - 1
        });
        match outcome {
            Ok(tally) => rows[place].tally.join(tally),
            Err(counterexample) => rows[place].failures.push(*counterexample),
        }
    }
    finish(&rows, start, arguments)
}

/// Each layer's share, half of it in each type, through every implementation that has the layer.
fn batches(
    layers: &[&'static str],
    implementations: &[&'static dyn Implementation],
    count: u64,
    seed: u64,
) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (place, &layer) in (0_u64..).zip(layers) {
        // What does not divide goes to the first layers.
        let share = count / layers.len() as u64 + u64::from(place < count % layers.len() as u64);
        for (dtype, share) in [(DType::F32, share.div_ceil(2)), (DType::F64, share / 2)] {
            for number in 0..share.div_ceil(BATCH) {
                let cases = BATCH.min(share - number * BATCH) as u32;
                // Every batch has a seed of its own, the first one the seed that is asked for.
                let seed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let there = implementations.iter().filter(|implementation| !implementation.still_to_come(layer));
                batches.extend(there.map(|&implementation| Batch { layer, implementation, dtype, seed, cases }));
            }
        }
    }
    batches
}

fn judge(batch: &Batch, selection: &Selection, limits: Limits) -> Result<Tally, Box<Counterexample>> {
    let Batch { layer, implementation, dtype, seed, cases } = *batch;
    Property { limits, ..Property::new(layer, dtype, implementation, selection.clone()) }.check(seed, cases)
}

fn finish(rows: &[Row], start: Instant, arguments: &RandomArguments) -> Result<Ending, Invalid> {
    print(table(rows));
    print(
        "exact: elements whose bound is 0, or that are inf or NaN; probabilistic: those of sums of 64 terms and more, \n\
         which have a likely bound, too; beyond it: within the bound, and worth a look\n\
         detects: the smallest error of one term, as a share of the mean term, that is certain to be seen, in the median case",
    );
    let failures: Vec<&Counterexample> = rows.iter().flat_map(|row| &row.failures).collect();
    failures.iter().for_each(|failure| print(format_args!("\n{failure}")));
    if let Some(path) = &arguments.shared.json {
        let row = |row: &Row| {
            let Tally { cases, runs, mistrusted, elements, exact, probabilistic, unlikely, unknown, slack, .. } =
                row.tally;
            json!({
                "layer": row.layer, "implementation": row.implementation, "type": row.dtype.to_string(), "cases": cases, "runs": runs, "mistrusted": mistrusted,
                "elements": elements, "exact": exact, "probabilistic": probabilistic, "unlikely": unlikely, "unknown": unknown,
                "slack": slack, "detectable": row.tally.median_detectable(), "failures": row.failures.len(),
            })
        };
        let document = json!({"seed": arguments.seed, "rows": rows.iter().map(row).collect::<Vec<_>>()});
        write(path, format!("{document:#}\n").as_bytes())?;
    }
    // Every implementation judges the same cases.
    let of = |name: &str| rows.iter().filter(|row| row.implementation == name).map(|row| row.tally.cases).sum::<u64>();
    let cases = rows.iter().map(|row| of(row.implementation)).max().unwrap_or(0);
    let runs: u64 = rows.iter().map(|row| row.tally.runs).sum();
    let time = format!("{:.1} s", start.elapsed().as_secs_f64());
    if runs == 0 {
        print("\nno case was run");
        return Ok(Ending::Bad);
    }
    if failures.is_empty() {
        print(format_args!("\nno false alarm in {cases} cases, {runs} runs ({time}, seed {})", arguments.seed));
        return Ok(Ending::Good);
    }
    print(format_args!("\n{} batches of up to {BATCH} cases failed, of {cases} cases ({time})", failures.len()));
    Ok(Ending::Bad)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    let line = LineStyle::new('─', '─', '─', '─');
    table.load_style(TableStyle::new().header_separator(line).bottom_border(line)).set_header([
        "layer",
        "implementation",
        "type",
        "cases",
        "runs",
        "failed",
        "mistrusted",
        "elements",
        "exact",
        "probabilistic",
        "beyond it",
        "slack",
        "detects",
    ]);
    for Row { layer, implementation, dtype, tally, failures } in rows {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let number = |number: u64| right(number.to_string());
        let failed = right(failures.len().to_string());
        table.add_row([
            Cell::new(one_line(layer)),
            Cell::new(implementation),
            Cell::new(dtype.to_string()),
            number(tally.cases),
            number(tally.runs),
            if failures.is_empty() { failed.fg(Color::Green) } else { failed.fg(Color::Red) },
            number(tally.mistrusted),
            number(tally.elements),
            right(format!("{:.0} %", 100.0 * tally.exact as f64 / (tally.elements as f64).max(1.0))),
            number(tally.probabilistic),
            number(tally.unlikely),
            right(format!("{:.2}", tally.slack)),
            right(super::report::share(tally.median_detectable())),
        ]);
    }
    table
}
