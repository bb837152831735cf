//! `gradients`: hears all witnesses of the gradients of recorded and of random cases.

use super::{Ending, GradientsArguments, implementations, invalid, print, write};
use crate::case_file::{Case, Invalid};
use crate::fixtures;
use crate::generators;
use crate::implementation::{Implementation, Selection, Variant};
use crate::layers;
use crate::replay::Limits;
use crate::tensors::DType;
use crate::witness::{Agreement, agreement, is_tame};
use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use indicatif::ProgressBar;
use proptest::strategy::{Strategy, ValueTree};
use rayon::prelude::*;
use serde_json::json;

/// The share of coordinates that may be skipped.
const MOST_SKIPPED: f64 = 0.1;

pub(super) fn gradients(arguments: &GradientsArguments) -> Result<Ending, Invalid> {
    let GradientsArguments { layer, count, seed, shared } = arguments;
    let Selection { fixed, all } = shared.selection()?;
    if all || fixed != Variant::default() || shared.case.is_some() || shared.memory_limit != Limits::default().memory {
        return Err(invalid("gradients takes --layer, --count, --seed, --implementation and --json alone"));
    }
    let implementations = implementations(shared.implementation.as_deref())?;
    let layers = super::layers(layer)?;
    print(format_args!("seed {seed}: the recorded cases in double precision, and {count} random ones of each layer"));
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    for name in layers {
        let cases = cases(name, *count, *seed)?;
        let there: Vec<&dyn Implementation> =
            implementations.iter().filter(|implementation| !implementation.still_to_come(name)).copied().collect();
        let progress = ProgressBar::new(cases.len() as u64).with_style(super::check::style()).with_message(name);
        let judged: Vec<_> = cases
            .par_iter()
            .map(|case| {
                progress.inc(1);
                agreement(case, &there)
            })
            .collect();
        progress.finish_and_clear();
        let mut sum = Agreement::default();
        for one in judged {
            match one {
                Ok(agreement) => sum.join(agreement),
                Err(problem) => problems.push(problem),
            }
        }
        if sum.skipped as f64 > MOST_SKIPPED * (sum.checked + sum.skipped) as f64 {
            let Agreement { checked, skipped, .. } = sum;
            problems
                .push(format!("{name}: {skipped} coordinates were skipped, and {checked} checked: too few to trust"));
        }
        rows.push((name, cases.len(), sum));
    }
    print(table(&rows));
    problems.iter().for_each(|problem| print(format_args!("\n{problem}")));
    if let Some(path) = &shared.json {
        let row = |(name, cases, sum): &(&str, usize, Agreement)| {
            let Agreement { checked, recorded, kinks, skipped } = sum;
            json!({"layer": name, "cases": cases, "coordinates": checked, "recorded": recorded, "kinks": kinks, "skipped": skipped})
        };
        let document = json!({"seed": seed, "rows": rows.iter().map(row).collect::<Vec<_>>(), "problems": problems});
        write(path, format!("{document:#}\n").as_bytes())?;
    }
    let coordinates: usize = rows.iter().map(|(.., sum)| sum.checked).sum();
    if problems.is_empty() {
        print(format_args!("\nall witnesses agree at {coordinates} coordinates (seed {seed})"));
        return Ok(if coordinates > 0 { Ending::Good } else { Ending::Bad });
    }
    print(format_args!("\n{} disagreements, or layers with too few witnesses", problems.len()));
    Ok(Ending::Bad)
}

/// The recorded cases of which calculus has something to say, and as many random ones as are asked for.
fn cases(layer: &str, count: u32, seed: u64) -> Result<Vec<Case>, Invalid> {
    let mut cases = fixtures::file(layer).map(|file| file.cases).unwrap_or_default();
    cases.retain(is_tame);
    let strategy = layers::generator(layer, DType::F64).ok_or_else(|| invalid("the layer has no generator"))?;
    let mut runner = generators::runner_of(DType::F64, seed, 1);
    for number in 0..count {
        let tree = strategy.new_tree(&mut runner).map_err(|reason| invalid(format!("no case was drawn: {reason}")))?;
        let mut case = tree.current();
        case.name = format!("random_{number}");
        if is_tame(&case) {
            cases.push(case);
        }
    }
    Ok(cases)
}

fn table(rows: &[(&str, usize, Agreement)]) -> Table {
    let mut table = Table::new();
    let line = LineStyle::new('─', '─', '─', '─');
    let head = ["layer", "cases", "coordinates", "by PyTorch, too", "at kinks", "skipped"];
    table.load_style(TableStyle::new().header_separator(line).bottom_border(line)).set_header(head);
    for (name, cases, Agreement { checked, recorded, kinks, skipped }) in rows {
        let numbers = [*cases, *checked, *recorded, *kinks, *skipped];
        let numbers = numbers.map(|number| Cell::new(number).set_alignment(CellAlignment::Right));
        table.add_row([Cell::new(name)].into_iter().chain(numbers));
    }
    table
}
