//! What a race came to: on the terminal, as JSON, and as a page to be kept.

mod beyond;
mod document;
mod page;
mod terminal;

use super::contender::Direction;
use super::limits::Limits;
use super::memory::Peaks;
use super::timing::Outcome;
use super::work::Work;
use serde_json::Value as Json;

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
    /// The least that has to be done.
    pub work: Work,
    /// Of memory, where it was measured.
    pub peaks: Option<Peaks>,
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
    /// Cells, or all those of a workload, whose layer or direction the peer has not.
    pub not_there: Vec<String>,
}

/// The layers whose work is products of matrices that libraries have been tuned for long.
const CONVOLUTION_AND_RECURRENCE: [&str; 3] = ["Conv2d", "RNN", "GRU"];

/// Some of the cells, which have a geometric mean of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    AllBut,
    ConvolutionAndRecurrence,
}

impl Part {
    const ALL: [Self; 3] = [Self::All, Self::AllBut, Self::ConvolutionAndRecurrence];

    /// As sentences have it.
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::AllBut => "all but convolution and recurrence",
            Self::ConvolutionAndRecurrence => "convolution and recurrence",
        }
    }

    fn holds(self, cell: &Cell) -> bool {
        let is_heavy = CONVOLUTION_AND_RECURRENCE.contains(&cell.layer.as_str());
        match self {
            Self::All => true,
            Self::AllBut => !is_heavy,
            Self::ConvolutionAndRecurrence => is_heavy,
        }
    }
}

/// The geometric mean; none of no numbers.
fn geometric_mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_usize), |(sum, count), x| (sum + x.ln(), count + 1));
    (count > 0).then(|| (sum / count as f64).exp())
}

/// A time in ms, to three digits that count.
fn milliseconds(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    let decimals = if ms > 0.0 { (2.0 - ms.log10().floor()).clamp(1.0, 9.0) } else { 1.0 };
    format!("{ms:.*}", decimals as usize)
}

pub(super) fn on_threads(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A column of either table: what it is headed, and what a cell has there.
type Column = (&'static str, fn(&Cell) -> String);

const COLUMNS: [Column; 9] = [
    ("workload", |cell| cell.name.clone()),
    ("direction", |cell| cell.direction.to_string()),
    ("threads", |cell| cell.threads.to_string()),
    ("ours ms", |cell| milliseconds(cell.outcome.ours_seconds)),
    ("into ms", |cell| cell.outcome.into_seconds.map(milliseconds).unwrap_or_default()),
    ("peer ms", |cell| milliseconds(cell.outcome.peer_seconds)),
    (RATIO, |cell| format!("{:.2}", cell.outcome.ratio.median)),
    ("interval", Cell::interval),
    ("of limit", |cell| format!("{:.0} %", 100.0 * cell.share_of_limit)),
];

/// The column of memory, where it was measured.
const MEMORY: Column = ("memory MB, ours / peer", Cell::memory);

/// The column whose color tells who was faster.
const RATIO: &str = "ratio";

/// How many columns are words, the others being numbers.
const WORDS: usize = 2;

impl Cell {
    fn interval(&self) -> String {
        let ratio = &self.outcome.ratio;
        format!("{:.2}–{:.2}{}", ratio.low, ratio.high, if ratio.known { "" } else { " ?" })
    }

    fn memory(&self) -> String {
        self.peaks.map(|Peaks { ours, peer }| format!("{ours:.1} / {peer:.1}")).unwrap_or_default()
    }

    fn is_faster(&self) -> bool {
        self.outcome.ratio.low > 1.0
    }

    fn is_slower(&self) -> bool {
        self.outcome.ratio.high < 1.0
    }
}

impl Report {
    /// The numbers of threads that were raced.
    fn threads(&self) -> impl Iterator<Item = usize> {
        self.limits.iter().map(|limits| limits.threads)
    }

    /// The columns of either table.
    fn columns(&self) -> Vec<Column> {
        let memory = self.cells.iter().any(|cell| cell.peaks.is_some()).then_some(MEMORY);
        COLUMNS.into_iter().chain(memory).collect()
    }

    /// The geometric mean of the ratios that are asked for.
    fn mean(&self, of: impl Fn(&Cell) -> bool) -> Option<f64> {
        geometric_mean(self.cells.iter().filter(|cell| of(cell)).map(|cell| cell.outcome.ratio.median))
    }

    /// A line for each number of threads and part of the cells: the mean ratio, by direction too, and how many cells are won; and how
    /// much memory those move that no cache holds.
    fn summary(&self) -> Vec<String> {
        let line = |(threads, part): (usize, Part)| {
            let is_of = |cell: &Cell| cell.threads == threads && part.holds(cell);
            let mean = self.mean(is_of)?;
            let by_direction = Direction::ALL.iter().filter_map(|&direction| {
                let mean = self.mean(|cell| is_of(cell) && cell.direction == direction)?;
                Some(format!("{direction} {mean:.2}"))
            });
            let by_direction = by_direction.collect::<Vec<_>>().join(", ");
            let count = |of: fn(&Cell) -> bool| self.cells.iter().filter(|cell| is_of(cell) && of(cell)).count();
            let (all, won, lost) = (count(|_| true), count(Cell::is_faster), count(Cell::is_slower));
            Some(format!(
                "{}, {}: {mean:.2} in the geometric mean ({by_direction}); of {all} cells {won} are faster for certain, \
                 {lost} slower",
                on_threads(threads),
                part.name(),
            ))
        };
        let of_threads = |threads| Part::ALL.into_iter().map(move |part| (threads, part));
        self.threads().flat_map(of_threads).filter_map(line).chain(self.beyond_caches_lines()).collect()
    }

    /// How much was left out, and why.
    fn left_out(&self) -> Option<String> {
        let count = self.not_there.len();
        let reasons = || format!("left out, which the peer has not ({count}): {}", self.not_there.join("; "));
        (count > 0).then(reasons)
    }

    /// The cells whose interval lies below 1, the slowest first.
    fn slower(&self) -> Vec<&Cell> {
        let mut slower: Vec<&Cell> = self.cells.iter().filter(|cell| cell.is_slower()).collect();
        slower.sort_by(|a, b| a.outcome.ratio.median.total_cmp(&b.outcome.ratio.median));
        slower
    }

    /// A line for each of these: which it is, and its ratio.
    fn slower_lines(&self) -> Vec<String> {
        let line = |cell: &&Cell| {
            let (name, direction, threads) = (&cell.name, cell.direction, on_threads(cell.threads));
            format!("{name}, {direction}, {threads}: {:.2} ({})", cell.outcome.ratio.median, cell.interval())
        };
        self.slower().iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::timing::Median;
    use super::*;
    use serde_json::json;

    /// A cell of a name and layer, on so many threads, of a ratio.
    pub(super) fn cell(name: &str, layer: &str, threads: usize, median: f64) -> Cell {
        Cell {
            name: name.into(),
            layer: layer.into(),
            dtype: "f32".into(),
            direction: Direction::Forward,
            threads,
            peer: "default",
            share_of_limit: 0.5,
            work: Work { flops: 0.0, bytes: 1e3, working_set: 1e3 },
            peaks: None,
            outcome: Outcome {
                peer: 0,
                ours_seconds: 1e-3,
                peer_seconds: median * 1e-3,
                into_seconds: Some(0.5e-3),
                ratio: Median { median, low: 0.99 * median, high: 1.01 * median, known: true },
                rounds: 7,
            },
        }
    }

    /// Cells of two layers on one thread.
    pub(super) fn report() -> Report {
        Report {
            arguments: "--peer torch".into(),
            machine: json!({"cpu": "a machine"}),
            versions: json!({"torch": "2.15.0"}),
            limits: vec![Limits { threads: 1, flops_f32: 1e11, flops_f64: 5e10, copy: vec![(1 << 20, 9e10)] }],
            cells: vec![cell("relu", "ReLU", 1, 2.0), cell("conv", "Conv2d", 1, 0.5), cell("relus", "ReLU", 1, 8.0)],
            failures: Vec::new(),
            not_there: Vec::new(),
        }
    }

    #[test]
    fn each_part_has_its_mean() {
        let summary = report().summary();
        let [all, all_but, rest] = &summary[..] else { panic!("three parts on one number of threads: {summary:?}") };
        assert!(all.starts_with("1 thread, all: 2.00 in the geometric mean (forward 2.00); of 3 cells 2 are"), "{all}");
        assert!(all_but.starts_with("1 thread, all but convolution and recurrence: 4.00 in"), "{all_but}");
        assert!(rest.starts_with("1 thread, convolution and recurrence: 0.50 in"), "{rest}");
        assert!(rest.ends_with("of 1 cells 0 are faster for certain, 1 slower"), "{rest}");
    }

    #[test]
    fn a_part_without_cells_has_no_mean() {
        let mut report = report();
        report.cells.retain(|cell| cell.layer == "ReLU");
        assert_eq!(report.summary().len(), 2);
    }

    #[test]
    fn memory_has_a_column_where_it_was_measured() {
        let mut report = report();
        assert_eq!(report.columns().len(), COLUMNS.len());
        report.cells[0].peaks = Some(Peaks { ours: 4.25, peer: 8.5 });
        let (_, column) = report.columns()[COLUMNS.len()];
        assert_eq!([column(&report.cells[0]), column(&report.cells[1])], ["4.2 / 8.5", ""]);
    }

    #[test]
    fn what_was_left_out_is_counted() {
        let mut report = report();
        assert_eq!(report.left_out(), None);
        report.not_there = vec!["rnn: no RNN".into(), "pool, backward, 1 thread: overlapping windows".into()];
        let told = report.left_out().unwrap();
        assert!(told.starts_with("left out, which the peer has not (2): rnn: no RNN; pool"), "{told}");
        assert!(report.terminal().contains(&told) && report.page().contains(&format!("\n* {told}\n")));
        assert_eq!(report.json()["not_there"][0], "rnn: no RNN");
    }

    #[test]
    fn the_slowest_are_named_first() {
        let mut report = report();
        report.cells.push(cell("gru", "GRU", 2, 0.25));
        report.cells.push(cell("even", "GRU", 2, 0.995));
        assert_eq!(
            report.slower_lines(),
            ["gru, forward, 2 threads: 0.25 (0.25–0.25)", "conv, forward, 1 thread: 0.50 (0.49–0.51)"]
        );
    }

    #[test]
    fn times_are_rounded_to_what_counts() {
        assert_eq!([1.234e-5, 1.234e-7, 0.5, 1.5e-3].map(milliseconds), ["0.0123", "0.000123", "500.0", "1.50"]);
    }
}
