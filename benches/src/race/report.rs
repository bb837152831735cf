//! What a race came to: on the terminal, as JSON, and as a page to be kept.

use super::contender::Direction;
use super::limits::Limits;
use super::timing::Outcome;
use comfy_table::{Cell as TableCell, CellAlignment, Color, LineStyle, Table, TableStyle};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

/// One layer at one size, in one direction, on some number of threads.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub name: String,
    pub layer: String,
    /// The type of its numbers.
    pub dtype: String,
    pub direction: Direction,
    pub threads: usize,
    /// What the fastest peer is called.
    pub peer: &'static str,
    /// The least time that the machine's limits allow, over ours.
    pub share_of_limit: f64,
    pub outcome: Outcome,
}

/// A race, as far as it has come.
#[derive(Debug)]
pub(super) struct Report {
    /// The arguments that it was run with, as far as its numbers depend on them.
    pub arguments: String,
    pub machine: Json,
    pub versions: Json,
    pub limits: Vec<Limits>,
    pub cells: Vec<Cell>,
    /// Cells that could not be raced, and why.
    pub failures: Vec<String>,
}

/// The geometric mean; none of no numbers.
fn geometric_mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_usize), |(sum, count), x| (sum + x.ln(), count + 1));
    (count > 0).then(|| (sum / count as f64).exp())
}

/// A number to so many digits that count.
fn rounded(number: f64, digits: i32) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let scale = 10_f64.powi(digits - 1 - number.abs().log10().floor() as i32);
    (number * scale).round() / scale
}

/// A time in ms, to three digits that count.
fn milliseconds(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    let decimals = if ms > 0.0 { (2.0 - ms.log10().floor()).clamp(1.0, 9.0) } else { 1.0 };
    format!("{ms:.*}", decimals as usize)
}

impl Cell {
    fn json(&self) -> Json {
        let Outcome { ours_seconds, peer_seconds, into_seconds, ratio, rounds, .. } = &self.outcome;
        let mut cell = json!({
            "name": self.name,
            "layer": self.layer,
            "direction": self.direction.name(),
            "threads": self.threads,
            "ours_ms": rounded(1e3 * ours_seconds, 4),
            "peer_ms": rounded(1e3 * peer_seconds, 4),
            "ratio": rounded(ratio.median, 4),
            "low": rounded(ratio.low, 4),
            "high": rounded(ratio.high, 4),
            "share_of_limit": rounded(self.share_of_limit, 3),
            "peer": self.peer,
            "dtype": self.dtype,
            "rounds": rounds,
            "known": ratio.known,
        });
        if let Some(seconds) = into_seconds {
            cell["ours_into_ms"] = json!(rounded(1e3 * seconds, 4));
        }
        cell
    }

    /// As a row of either table.
    fn columns(&self) -> [String; COLUMNS] {
        let Outcome { ours_seconds, peer_seconds, into_seconds, ratio, .. } = &self.outcome;
        [
            self.name.clone(),
            self.direction.to_string(),
            self.threads.to_string(),
            milliseconds(*ours_seconds),
            into_seconds.map(milliseconds).unwrap_or_default(),
            milliseconds(*peer_seconds),
            format!("{:.2}", ratio.median),
            format!("{:.2}–{:.2}{}", ratio.low, ratio.high, if ratio.known { "" } else { " ?" }),
            format!("{:.0} %", 100.0 * self.share_of_limit),
        ]
    }
}

const COLUMNS: usize = 9;

const HEADER: [&str; COLUMNS] =
    ["workload", "direction", "threads", "ours ms", "into ms", "peer ms", "ratio", "interval", "of limit"];

/// Where the ratio stands among the columns.
const RATIO: usize = 6;

impl Report {
    /// The numbers of threads that were raced.
    fn threads(&self) -> impl Iterator<Item = usize> {
        self.limits.iter().map(|limits| limits.threads)
    }

    /// The geometric mean of the ratios that are asked for.
    fn mean(&self, of: impl Fn(&Cell) -> bool) -> Option<f64> {
        geometric_mean(self.cells.iter().filter(|cell| of(cell)).map(|cell| cell.outcome.ratio.median))
    }

    /// The contract's document.
    pub(super) fn json(&self) -> Json {
        let limits: Map<String, Json> =
            self.limits.iter().map(|limits| (limits.threads.to_string(), limits.json())).collect();
        let means = self.threads().map(|threads| {
            let mean = self.mean(|cell| cell.threads == threads);
            (threads.to_string(), mean.map_or(Json::Null, |mean| json!(rounded(mean, 4))))
        });
        json!({
            "machine": self.machine,
            "versions": self.versions,
            "limits": limits,
            "cells": self.cells.iter().map(Cell::json).collect::<Vec<_>>(),
            "geometric_mean": means.collect::<Map<String, Json>>(),
            "arguments": self.arguments,
            "failures": self.failures,
        })
    }

    /// A line for each number of threads: the mean ratio, by direction too, and how many cells are won.
    fn summary(&self) -> Vec<String> {
        let of_threads = |threads: usize| {
            let mean = self.mean(|cell| cell.threads == threads)?;
            let by_direction = Direction::ALL.iter().filter_map(|&direction| {
                let mean = self.mean(|cell| cell.threads == threads && cell.direction == direction)?;
                Some(format!("{direction} {mean:.2}"))
            });
            let by_direction = by_direction.collect::<Vec<_>>().join(", ");
            let cells = self.cells.iter().filter(|cell| cell.threads == threads);
            let won = cells.clone().filter(|cell| cell.outcome.ratio.low > 1.0).count();
            let lost = cells.clone().filter(|cell| cell.outcome.ratio.high < 1.0).count();
            let plural = if threads == 1 { "" } else { "s" };
            Some(format!(
                "{threads} thread{plural}: {mean:.2} in the geometric mean ({by_direction}); of {} cells {won} are faster \
                 for certain, {lost} slower",
                cells.count()
            ))
        };
        self.threads().filter_map(of_threads).collect()
    }

    /// What the terminal shows at the end.
    pub(super) fn terminal(&self) -> String {
        let mut table = Table::new();
        let line = LineStyle::new('─', '─', '─', '─');
        table.load_style(TableStyle::new().header_separator(line).bottom_border(line)).set_header(HEADER);
        for cell in &self.cells {
            let columns = cell.columns();
            let color = match &cell.outcome.ratio {
                ratio if ratio.low > 1.0 => Some(Color::Green),
                ratio if ratio.high < 1.0 => Some(Color::Red),
                _ => None,
            };
            table.add_row(columns.into_iter().enumerate().map(|(place, column)| {
                let shown = TableCell::new(column);
                let shown = if place < 2 { shown } else { shown.set_alignment(CellAlignment::Right) };
                match color {
                    Some(color) if place == RATIO => shown.fg(color),
                    _ => shown,
                }
            }));
        }
        let mut text = format!(
            "{table}\ninto: ours where it writes into the results of an earlier call, with a workspace; no part of the ratio\n\
             ratio: the peer's time over ours, the median of rounds; interval: that of the median, 95 % (?: of fewer rounds \
             than it takes)\nof limit: the least time at the machine's limits over ours\n"
        );
        for line in self.summary() {
            let _ = write!(text, "\n{line}");
        }
        for failure in &self.failures {
            let _ = write!(text, "\n\nfailed: {failure}");
        }
        text
    }

    /// A page to be kept beside the code.
    pub(super) fn page(&self) -> String {
        let mut page = String::from("# The race\n\n");
        let _ = writeln!(page, "Written by `cargo run --release -p benches --bin race -- {}`.\n", self.arguments);
        let _ = writeln!(page, "* machine: {}", listed(&self.machine));
        let _ = writeln!(page, "* versions: {}", listed(&self.versions));
        for limits in &self.limits {
            let gigas = |rate: f64| format!("{:.0}", rate / 1e9);
            let copy: Vec<String> =
                limits.copy.iter().map(|(bytes, rate)| format!("{} at {}", gigas(*rate), size(*bytes))).collect();
            let _ = writeln!(
                page,
                "* limits, {} thread(s): {} GFLOP/s in f32, {} in f64; copying, GB/s read and written: {}",
                limits.threads,
                gigas(limits.flops_f32),
                gigas(limits.flops_f64),
                copy.join(", ")
            );
        }
        for line in self.summary() {
            let _ = writeln!(page, "* {line}");
        }
        page.push_str(
            "\n*ratio*: the peer's time over ours, the median of rounds in which both took turns; *interval*: that of the median, by \
             order statistics, 95 % (?: of fewer rounds than it takes). *into*: ours where it writes into the results of an earlier \
             call, with a workspace, which is no part of the ratio. *peer*: which of the peer's forms was the fastest, and counts. \
             *of limit*: the least time that the machine's limits allow, over ours; operations are counted as if computed directly, so \
             that Winograd's may exceed it, and bytes once, so that what stays in a cache may.\n\n",
        );
        let header: Vec<&str> = HEADER.into_iter().chain(["peer"]).collect();
        let _ = writeln!(page, "| {} |", header.join(" | "));
        let _ = writeln!(page, "|---|---|{}---|", "--:|".repeat(COLUMNS - 2));
        for cell in &self.cells {
            let _ = writeln!(page, "| {} | {} |", cell.columns().join(" | "), cell.peer);
        }
        for failure in &self.failures {
            let _ = writeln!(page, "\nFailed: {failure}");
        }
        page
    }
}

/// Bytes, in the largest unit that leaves them whole.
fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

/// An object's values with their keys, in a line.
fn listed(object: &Json) -> String {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Json::Object(fields) = object else { return text(object) };
    fields.iter().map(|(key, value)| format!("{key} {}", text(value))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::timing::Median;
    use super::*;

    fn report() -> Report {
        let cell = |threads, median: f64| Cell {
            name: "relu".into(),
            layer: "ReLU".into(),
            dtype: "f32".into(),
            direction: Direction::Forward,
            threads,
            peer: "default",
            share_of_limit: 0.5,
            outcome: Outcome {
                peer: 0,
                ours_seconds: 1e-3,
                peer_seconds: median * 1e-3,
                into_seconds: (threads == 1).then_some(0.5e-3),
                ratio: Median { median, low: 0.99 * median, high: 1.01 * median, known: true },
                rounds: 7,
            },
        };
        Report {
            arguments: "--peer torch".into(),
            machine: json!({"cpu": "a machine"}),
            versions: json!({"torch": "2.15.0"}),
            limits: vec![Limits { threads: 1, flops_f32: 1e11, flops_f64: 5e10, copy: vec![(1 << 20, 9e10)] }],
            cells: vec![cell(1, 2.0), cell(1, 8.0)],
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_document_is_the_contracts() {
        let document = report().json();
        for key in ["machine", "versions", "limits", "cells", "geometric_mean"] {
            assert!(document.get(key).is_some(), "{key}");
        }
        assert_eq!(document["geometric_mean"]["1"], 4.0);
        let cell = &document["cells"][0];
        let contracted =
            ["name", "layer", "direction", "threads", "ours_ms", "peer_ms", "ratio", "low", "high", "share_of_limit"];
        for key in contracted {
            assert!(cell.get(key).is_some(), "{key}");
        }
        assert_eq!(
            (&cell["ratio"], &cell["ours_ms"], &cell["direction"]),
            (&json!(2.0), &json!(1.0), &json!("forward"))
        );
        assert_eq!(cell["ours_into_ms"], 0.5);
        assert_eq!(document["limits"]["1"]["copy_gbytes_per_second"]["1048576"], 90.0);
    }

    #[test]
    fn the_page_has_a_row_for_each_cell() {
        let page = report().page();
        assert!(
            page.contains("| relu | forward | 1 | 1.00 | 0.500 | 2.00 | 2.00 | 1.98–2.02 | 50 % | default |"),
            "{page}"
        );
        assert!(
            page.contains("1 thread: 4.00 in the geometric mean (forward 4.00); of 2 cells 2 are faster"),
            "{page}"
        );
        assert!(page.contains("90 at 1 MiB"), "{page}");
    }

    #[test]
    fn numbers_are_rounded_to_what_counts() {
        assert_eq!((rounded(0.0123456, 3), rounded(123_456.0, 3), rounded(0.0, 3)), (0.0123, 123_000.0, 0.0));
        assert_eq!([1.234e-5, 1.234e-7, 0.5, 1.5e-3].map(milliseconds), ["0.0123", "0.000123", "500.0", "1.50"]);
    }
}
