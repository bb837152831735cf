//! Cells that touch more memory than caches hold: how fast they move it, beside what main memory gives.
//!
//! `of limit` holds them against copying as many bytes as they touch, of which a large cache holds a part still; here all are held
//! against the largest working set that was copied. What a layer reads twice, or computes, counts for nothing.

use super::{Cell, Report, milliseconds, on_threads};
use std::fmt::Write;

/// Working sets of more bytes are beyond the caches: 32 MiB.
const CACHES: f64 = (32 << 20) as f64;

/// The share of main memory's rate that is aimed at.
const AIM: f64 = 0.7;

/// What the table shows.
const LEGEND: &str = "\
The cells without products that touch more than 32 MiB. *MB*: what has to be moved, operands and results, each once; *GB/s*: that over
our time; *of main memory*: that over what copying the largest working set reaches. It may exceed 100 %: caches may hold a part, and to
read takes less than to write.
";

/// A cell, and the bytes that it moves in a second.
struct Moved<'a> {
    cell: &'a Cell,
    rate: f64,
    /// Beside what main memory gives.
    share: f64,
}

impl Report {
    /// The cells of so many threads that have no products, and that no cache holds.
    fn beyond_caches(&self, threads: usize) -> Vec<Moved<'_>> {
        let limits = self.limits.iter().find(|limits| limits.threads == threads);
        let main_memory = limits.and_then(|limits| limits.copy.last()).map_or(f64::INFINITY, |(_, rate)| *rate);
        let cells = self
            .cells
            .iter()
            .filter(|cell| cell.threads == threads && cell.work.flops == 0.0 && cell.work.working_set > CACHES);
        let moved = cells.map(|cell| {
            let rate = cell.work.bytes / cell.outcome.ours_seconds;
            Moved { cell, rate, share: rate / main_memory }
        });
        moved.collect()
    }

    /// A line for each number of threads: how many such cells come up to what is aimed at, and which do not, the slowest first.
    pub(super) fn beyond_caches_lines(&self) -> Vec<String> {
        let line = |threads| {
            let mut moved = self.beyond_caches(threads);
            moved.sort_by(|a, b| a.share.total_cmp(&b.share));
            let below: Vec<String> = moved
                .iter()
                .take_while(|moved| moved.share < AIM)
                .map(|Moved { cell, share, .. }| format!("{} {} {:.0} %", cell.name, cell.direction, 100.0 * share))
                .collect();
            let all = moved.len();
            let others = if below.is_empty() { String::new() } else { format!("; the others: {}", below.join(", ")) };
            (all > 0).then(|| {
                format!(
                    "{}, beyond the caches: of {all} cells {} move {:.0} % or more of what copying in main memory does{others}",
                    on_threads(threads),
                    all - below.len(),
                    100.0 * AIM,
                )
            })
        };
        self.threads().filter_map(line).collect()
    }

    /// The section of the page, if there is any such cell.
    pub(super) fn beyond_caches_section(&self, page: &mut String) {
        let rows: Vec<Moved<'_>> = self.threads().flat_map(|threads| self.beyond_caches(threads)).collect();
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(page, "\n## Beyond the caches\n\n{LEGEND}");
        let _ = writeln!(page, "| workload | direction | threads | ours ms | MB | GB/s | of main memory |");
        let _ = writeln!(page, "|---|---|--:|--:|--:|--:|--:|");
        for Moved { cell, rate, share } in rows {
            let Cell { name, direction, threads, work, outcome, .. } = cell;
            let _ = writeln!(
                page,
                "| {name} | {direction} | {threads} | {} | {:.1} | {:.1} | {:.0} % |",
                milliseconds(outcome.ours_seconds),
                work.bytes / 1e6,
                rate / 1e9,
                100.0 * share
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cell, report};
    use crate::race::limits::Limits;
    use crate::race::work::Work;

    /// Cells of 1 ms, beside copying at 90 GB/s, and on two threads at 160.
    #[test]
    fn cells_that_no_cache_holds_are_held_against_main_memory() {
        let mut report = report();
        assert!(report.beyond_caches_lines().is_empty() && !report.page().contains("Beyond"));
        report.limits[0].copy.insert(0, (1 << 10, 5e11));
        report.limits.push(Limits { threads: 2, copy: vec![(1 << 20, 1.6e11)], ..report.limits[0].clone() });
        report.cells.push(cell("tanh", "Tanh", 1, 2.0));
        report.cells.push(cell("tanh", "Tanh", 2, 2.0));
        let work = |flops, megabytes: f64| Work { flops, bytes: 1e6 * megabytes, working_set: 1e6 * megabytes };
        let works = [work(0.0, 36.0), work(1.0, 90.0), work(0.0, 72.0), work(0.0, 34.2), work(0.0, 80.0)];
        for (cell, work) in report.cells.iter_mut().zip(works) {
            cell.work = work;
        }
        let lines = [
            "1 thread, beyond the caches: of 3 cells 1 move 70 % or more of what copying in main memory does; \
             the others: tanh forward 38 %, relu forward 40 %",
            "2 threads, beyond the caches: of 1 cells 0 move 70 % or more of what copying in main memory does; \
             the others: tanh forward 50 %",
        ];
        assert_eq!(report.beyond_caches_lines(), lines);
        let page = report.page();
        for row in [
            "relu | forward | 1 | 1.00 | 36.0 | 36.0 | 40 %",
            "relus | forward | 1 | 1.00 | 72.0 | 72.0 | 80 %",
            "tanh | forward | 2 | 1.00 | 80.0 | 80.0 | 50 %",
        ] {
            assert!(page.contains(&format!("\n| {row} |\n")), "{page}");
        }
        assert!(page.contains(&format!("\n* {}\n", lines[0])) && report.terminal().contains(lines[1]), "{page}");
        report.cells.retain(|cell| cell.name == "relus");
        assert!(report.beyond_caches_lines()[0].ends_with("main memory does"));
    }
}
