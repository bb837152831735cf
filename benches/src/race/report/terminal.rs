//! What the terminal shows at the end: a table of all cells, and what it comes to.

use super::{Cell, Column, RATIO, Report, WORDS};
use comfy_table::{Cell as TableCell, CellAlignment, Color, LineStyle, Table, TableStyle};
use std::fmt::Write;

/// What the columns mean.
const LEGEND: &str = "\
into: ours where it writes into the results of an earlier call, with a workspace; no part of the ratio
ratio: the peer's time over ours, the median of rounds; interval: that of the median, 95 % (?: of fewer rounds than it takes)
of limit: the least time at the machine's limits over ours
";

impl Report {
    /// What the terminal shows at the end.
    pub(in crate::race) fn terminal(&self) -> String {
        let mut table = Table::new();
        let line = LineStyle::new('─', '─', '─', '─');
        let columns = self.columns();
        let header = columns.iter().map(|(name, _)| *name);
        table.load_style(TableStyle::new().header_separator(line).bottom_border(line)).set_header(header);
        for cell in &self.cells {
            table.add_row(row(cell, &columns));
        }
        let mut text = format!("{table}\n{LEGEND}");
        for line in self.summary() {
            let _ = write!(text, "\n{line}");
        }
        let slower = self.slower_lines();
        if !slower.is_empty() {
            let _ = write!(text, "\n\nslower, by the whole interval:\n  {}", slower.join("\n  "));
        }
        if let Some(left_out) = self.left_out() {
            let _ = write!(text, "\n\n{left_out}");
        }
        for failure in &self.failures {
            let _ = write!(text, "\n\nfailed: {failure}");
        }
        text
    }
}

/// A cell's row, whose ratio is green or red where one side was faster for certain.
fn row(cell: &Cell, columns: &[Column]) -> Vec<TableCell> {
    let color = match cell {
        cell if cell.is_faster() => Some(Color::Green),
        cell if cell.is_slower() => Some(Color::Red),
        _ => None,
    };
    let shown = |(place, (name, column)): (usize, &Column)| {
        let shown = TableCell::new(column(cell));
        let shown = if place < WORDS { shown } else { shown.set_alignment(CellAlignment::Right) };
        match color {
            Some(color) if *name == RATIO => shown.fg(color),
            _ => shown,
        }
    };
    columns.iter().enumerate().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;

    #[test]
    fn the_slower_cells_are_named_at_the_end() {
        let mut report = report();
        assert!(
            report.terminal().ends_with("slower, by the whole interval:\n  conv, forward, 1 thread: 0.50 (0.49–0.51)")
        );
        report.cells.retain(|cell| cell.layer == "ReLU");
        assert!(!report.terminal().contains("slower, by the whole interval:"));
    }
}
