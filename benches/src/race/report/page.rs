//! A page to be kept beside the code, `benches/RESULTS.md`.

use super::{Cell, Report, WORDS, on_threads};
use serde_json::Value as Json;
use std::fmt::Write;

/// What the columns mean.
const LEGEND: &str = "\
*ratio*: the peer's time over ours, the median of rounds in which both took turns; *interval*: that of the median, by order
statistics, 95 % (?: of fewer rounds than it takes). *into*: ours where it writes into the results of an earlier call, with a
workspace, which is no part of the ratio. *peer*: which of the peer's forms was the fastest, and counts. *of limit*: the least
time that the machine's limits allow, over ours; operations are counted as if computed directly, so that Winograd's may exceed
it, and bytes once, so that what stays in a cache may. *memory*: the most that a call's process has grown by, where it was
measured; backward's with the forward before it.
";

impl Report {
    /// A page to be kept beside the code.
    pub(in crate::race) fn page(&self) -> String {
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
                "* limits, {}: {} GFLOP/s in f32, {} in f64; copying, GB/s read and written: {}",
                on_threads(limits.threads),
                gigas(limits.flops_f32),
                gigas(limits.flops_f64),
                copy.join(", ")
            );
        }
        for line in self.summary() {
            let _ = writeln!(page, "* {line}");
        }
        if let Some(left_out) = self.left_out() {
            let _ = writeln!(page, "* {left_out}");
        }
        let _ = write!(page, "\n{LEGEND}");
        let slower = self.slower_lines();
        if !slower.is_empty() {
            let _ = writeln!(page, "\n## Slower, by the whole interval\n\n* {}", slower.join("\n* "));
        }
        self.beyond_caches_section(&mut page);
        for layer in self.layers() {
            let _ = writeln!(page, "\n## {layer}\n");
            self.table(&mut page, |cell| cell.layer == layer);
        }
        for failure in &self.failures {
            let _ = writeln!(page, "\nFailed: {failure}");
        }
        page
    }

    /// The layers of the cells, in the order of these.
    fn layers(&self) -> Vec<&str> {
        let mut layers: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if !layers.contains(&cell.layer.as_str()) {
                layers.push(&cell.layer);
            }
        }
        layers
    }

    /// A table of the cells that are asked for.
    fn table(&self, page: &mut String, of: impl Fn(&Cell) -> bool) {
        let columns = self.columns();
        let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let _ = writeln!(page, "| {} | peer |", header.join(" | "));
        let _ = writeln!(page, "|{}{}---|", "---|".repeat(WORDS), "--:|".repeat(columns.len() - WORDS));
        for cell in self.cells.iter().filter(|cell| of(cell)) {
            let row: Vec<String> = columns.iter().map(|(_, column)| column(cell)).collect();
            let _ = writeln!(page, "| {} | {} |", row.join(" | "), cell.peer);
        }
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
    use super::super::tests::report;

    #[test]
    fn the_page_has_a_row_for_each_cell_among_those_of_its_layer() {
        let page = report().page();
        let [_, relu] = &page.split("\n## ReLU\n").collect::<Vec<_>>()[..] else { panic!("{page}") };
        let [relu, conv] = &relu.split("\n## Conv2d\n").collect::<Vec<_>>()[..] else { panic!("{page}") };
        let row = "| relu | forward | 1 | 1.00 | 0.500 | 2.00 | 2.00 | 1.98–2.02 | 50 % | default |";
        assert!(relu.contains(row) && relu.contains("| relus |") && conv.contains("| conv |"), "{page}");
        assert!(page.contains("* 1 thread, all: 2.00 in the geometric mean"), "{page}");
        assert!(page.contains("90 at 1 MiB"), "{page}");
        assert!(
            page.contains("## Slower, by the whole interval\n\n* conv, forward, 1 thread: 0.50 (0.49–0.51)\n"),
            "{page}"
        );
    }
}
