//! Exponentials of lines that sum to 1, and their gradients.
//!
//! The plain loops are, for each line x, `m = max x`, `y[i] = exp(x[i] − m)`, `sum += y[i]`, `y[i] /= sum`; and backward
//! `dot += g[i]·y[i]`, `dx[i] = y[i]·(g[i] − dot)`. We depart from them:
//! 1. *lines*, where a line's elements are neighbours: registers of one line, four sums at a time; a line goes through all of its
//!    loops before the next one starts, so that all but the first find it in cache;
//! 2. *columns*, where they are not: as many lines side by side as make some registers, each with its own maximum and sum in a
//!    lane, so that memory is read in the order in which it lies;
//! 3. a task takes many columns, so that what lies together is read together, but of short lines no more than the second-level cache
//!    holds, where the second loop finds again what the first one read. What the last cache could not hold beside what it is computed
//!    from is written once, past it: gradients, and y, whose powers stand in scratch memory until they are divided, one part of the columns
//!    after the other, so that memory takes a part while the next is computed;
//! 4. the maximum passes over NaN: e^(NaN − m), and so the sum and the line, is NaN whatever m is;
//! 5. threads take lines, or strips of columns, that the shape alone decides on;
//! 6. the exponentials of eight registers of a line are computed step by step: [`Group`](crate::simd::Group). Of columns it is four,
//!    which is 0 to 12 % faster on Zen 5 than one register after the other;
//! 7. a line of one to eight registers stays in them from the first loop to the last, the last of them in part. On Zen 4, forward, 64
//!    lines of 63 f32 took 3.2 µs otherwise, and 1.7 so; of 64, 1.9 and 1.6; of 16, 1.29 and 0.69; of 65, 2.5 and 2.0; of 127, 3.4 and
//!    3.0; backward, of 65, 0.99 and 0.71, of 128, 1.13 and 0.95.

mod columns;
mod lines;
mod short;

pub use columns::{backward_columns, forward_columns, forward_columns_in_place, raise};
pub use lines::{backward_lines, forward_lines, forward_lines_in_place, larger_lanes};

use super::elementwise::FUNCTION_TASK;
use super::tiles::{Cut, Tile};
use std::ops::Range;

/// How lines lie in memory: `outer` times, `length` rows of `inner` neighbouring elements, one of each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    pub outer: usize,
    pub length: usize,
    pub inner: usize,
}

impl Lines {
    /// The lines along `axis` of a tensor; the one element of a tensor without dimensions is a line of its own.
    pub fn along(axis: Option<usize>, shape: &[usize]) -> Self {
        let Some(axis) = axis else { return Self { outer: 1, length: 1, inner: 1 } };
        // A shape that is only asked about may be of any size.
        let product = |sizes: &[usize]| sizes.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
        Self { outer: product(&shape[..axis]), length: shape[axis], inner: product(&shape[axis + 1..]) }
    }

    /// Whether there are no elements.
    pub fn are_empty(&self) -> bool {
        self.outer == 0 || self.length == 0 || self.inner == 0
    }

    /// Lines of a task, where their elements are neighbours.
    pub fn lines_a_task(&self) -> usize {
        (FUNCTION_TASK / self.length.max(1)).max(1)
    }

    /// Columns of a task: as many as make its elements, or more of lines so long that there would be few of each.
    pub fn columns_a_task(&self) -> usize {
        let length = self.length.max(1);
        let of_a_large_task = self.outer.saturating_mul(self.inner) / LARGE_TASKS;
        let columns = (FUNCTION_TASK / length).max(of_a_large_task.min(WIDE));
        columns.clamp(STRIP, MOST_COLUMNS).next_multiple_of(STRIP)
    }
}

/// Columns of a task are a multiple of it, several cache lines of each row; as many are asked for at once.
pub const STRIP: usize = 64;

/// Columns of a task at most: their maxima and sums, 128 KiB of f32, stay in the second-level cache beside its rows.
const MOST_COLUMNS: usize = 1 << 14;

/// Into about so many tasks at least, a tensor of long lines is cut, as far as they are of [`STRIP`] columns; more, where these would be
/// more than are `WIDE`.
const LARGE_TASKS: usize = 16;

/// Columns from which on a row's part is read as fast as memory lets: [2, 150, 256, 256] backward takes 9.3 ms on Zen 5 by tasks of
/// 384 to 3,072 columns, 10.7 by 192, 20 by 64. What a task reads twice should lie in the second-level cache: backward,
/// [8, 21, 128, 128] of `f64` takes 2.0 ms by tasks of 336 KiB of each operand, and 2.6 by 1.3 MiB.
const WIDE: usize = 384;

/// Where the elements that belong to a tile's rows lie in a tensor of its shape.
pub struct Places {
    start: usize,
    inner: usize,
    width: usize,
}

impl Places {
    pub fn of<R: Cut>(lines: Lines, tile: &Tile<R>) -> Self {
        Self { start: tile.row * lines.inner + tile.column, inner: lines.inner, width: tile.width() }
    }

    pub fn of_row(&self, row: usize) -> Range<usize> {
        let start = self.start + row * self.inner;
        start..start + self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Exp;
    use crate::simd::{Isa, MOST_LANES, SHORT};
    use crate::threads::Threads;

    /// Of columns in any number, whose largest elements stand in the first row, in the last, or nowhere near 0.
    fn columns_are_what_the_formula_says<T: Exp>(roundoff: f64) {
        for isa in Isa::available() {
            for inner in 1..=2 * SHORT * MOST_LANES + 1 {
                let lines = Lines { outer: 2, length: 4, inner };
                let apart = |row: usize, column: usize| [300.0, -300.0, 0.0, -100.0][(row + column) % 4];
                let of = |i: usize| {
                    let (row, column) = (i / inner % 4, i % inner);
                    let far = if column % 3 == 0 { apart(row, column) } else { 7.0 * (column % 40) as f64 - 100.0 };
                    far + (i * 37 % 19) as f64 / 4.0
                };
                let x: Vec<f64> = (0..8 * inner).map(of).collect();
                let mut in_place: Vec<T> = x.iter().map(|x| T::narrow(*x)).collect();
                let mut y = vec![T::narrow(f64::NAN); x.len()];
                forward_columns((isa, Threads::ONE), lines, &in_place, &mut y);
                for (i, y) in y.iter().enumerate() {
                    let column = || (0..4).map(|row| x[i / (4 * inner) * 4 * inner + row * inner + i % inner]);
                    let most = column().fold(f64::NEG_INFINITY, f64::max);
                    let due = (x[i] - most).exp() / column().map(|x| (x - most).exp()).sum::<f64>();
                    // A power and three more in the sum, each wrong by 1.5 units of roundoff at most, the sum's additions, the division.
                    let tolerance = 8.0 * roundoff * due + 1e-37;
                    assert!((y.widen() - due).abs() <= tolerance, "{isa}, {inner} columns: {y:?} for {due}");
                }
                forward_columns_in_place((isa, Threads::ONE), lines, &mut in_place);
                assert!(in_place == y, "{isa}, {inner} columns");
            }
        }
    }

    #[test]
    fn single_columns_are_what_the_formula_says() {
        columns_are_what_the_formula_says::<f32>(f64::from(f32::EPSILON));
    }

    #[test]
    fn double_columns_are_what_the_formula_says() {
        columns_are_what_the_formula_says::<f64>(f64::EPSILON);
    }

    #[test]
    fn long_lines_go_by_wide_tasks() {
        let columns = |outer, length, inner| Lines { outer, length, inner }.columns_a_task();
        assert_eq!([columns(1, 1000, 64), columns(1, 100, 1000), columns(1, 33_000, 5)], [64, 384, 64]);
        assert_eq!([columns(1, 1000, 4096), columns(2, 150, 65_536), columns(8, 21, 16_384)], [256, 384, 1600]);
        assert_eq!([columns(1, 2, 1 << 22), columns(1, 0, 3), columns(usize::MAX, 2, 2)], [MOST_COLUMNS; 3]);
    }
}
