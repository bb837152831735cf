//! Convolutions as products of matrices whose columns are what windows read, whatever the options.
//!
//! For each image and group, y = w·u, where w has a row for each output channel, and u a column for each position: what
//! its window reads, channel by channel and tap by tap. We depart from the plain loop:
//! 1. u is never in memory: a panel of it, 32 KiB, is unrolled where the product's kernel would pack it
//!    ([`super::unrolled`]), and taken part in by all output channels of a tile;
//! 2. the input's gradient is that of u, wᵀ·g, folded back: a tile of it, some rows and columns, is computed into memory
//!    that lies in the second-level cache, and added to what its windows read, in order;
//! 3. threads take tiles of y, or some channels of an image's gradient, that the shapes alone decide on.

use super::Problem;
use super::unrolled::Unrolled;
use crate::counters::Counter;
use crate::kernels::packed::{self, Factor, Matrix, Multiply, Output, PANELS, ROWS};
use crate::kernels::tiles::{Tile, parts};
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

pub const COUNTER: Counter = Counter::Conv2dIm2col;

/// The output.
pub fn forward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    y: &mut [T],
) {
    let (depth, outputs, positions) = (problem.depth(), problem.outputs, problem.positions());
    let span = packed::span::<T>(isa, positions);
    packed::for_each_tile(threads, y, (outputs, positions), packed::tile_sizes(span), |plane, tile| {
        let group = plane % problem.groups;
        let u = Unrolled { problem, x: &x[plane * problem.inputs * problem.area()..] };
        let r = Factor::Made { elements: &u, column: tile.column }; // 1
        let a = Matrix::Rows(&w[group * outputs * depth..][..outputs * depth], depth);
        let (first, bias) = (tile.row, bias.map(|bias| &bias[group * outputs + tile.row..]));
        Multiply { counter: COUNTER, a, first, r, depth, span, output: Output::Plain(tile, bias) }.run(isa);
    });
}

/// The input's gradient.
pub fn backward_input<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), (g, w): (&[T], &[T]), dx: &mut [T]) {
    let (depth, positions, area) = (problem.depth(), problem.positions(), problem.area());
    let span = packed::span::<T>(isa, positions);
    let channels = channels(problem);
    let tasks = parts(dx, problem.inputs * area, channels * area); // 3
    threads::for_each(threads, tasks, |(plane, part, dx)| {
        let w = &w[plane % problem.groups * problem.outputs * depth..];
        let g = &g[plane * problem.outputs * positions..][..problem.outputs * positions];
        let first = part * channels * problem.taps();
        let rows = first..first + dx.len() / area * problem.taps();
        let (height, width) = (ROWS.min(rows.len()), (PANELS * span).min(positions));
        scratch(height * width, |memory| {
            for column in (0..positions).step_by(width) {
                let columns = column..positions.min(column + width);
                for row in rows.clone().step_by(height) {
                    let count = height.min(rows.end - row);
                    let memory = &mut memory[..count * columns.len()];
                    let tile = Tile { row: 0, column: 0, rows: memory.chunks_mut(columns.len()).collect() };
                    let a = Matrix::Columns(w, depth);
                    let r = Factor::AsItLies { elements: g, step: positions, column };
                    let (depth, output) = (problem.outputs, Output::Plain(tile, None));
                    Multiply { counter: COUNTER, a, first: row, r, depth, span, output }.run(isa); // 2
                    simd::run(isa, Fold { problem, tile: memory, row: row - first, columns: columns.clone(), dx });
                }
            }
        });
    });
}

/// Channels of a task of the input's gradient: as many as one tile's rows take.
fn channels(problem: &Problem) -> usize {
    (ROWS / problem.taps()).clamp(1, problem.inputs)
}

/// Adds a tile of u's gradient to that of the input.
struct Fold<'a, T> {
    problem: &'a Problem,
    tile: &'a [T],
    /// The first row, counted from the first channel of dx on.
    row: usize,
    columns: Range<usize>,
    dx: &'a mut [T],
}

impl<T: Lanes> Kernel for Fold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { problem, tile, row, columns, dx } = self;
        let ([height, width], area) = (&problem.axes, problem.area());
        for (row, tile) in (row..).zip(tile.chunks(columns.len())) {
            let (c, i, j) = (row / problem.taps(), row / width.kernel % height.kernel, row % width.kernel);
            let dx = &mut dx[c * area..][..area];
            problem.for_each_row(columns.clone(), |_, a, windows, done| {
                if let Some(h) = height.source(a, i) {
                    let from = &tile[done..done + windows.len()];
                    width.add(&mut dx[h * width.size..][..width.size], j, windows, T::ONE, from); // 2
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    #[test]
    fn a_task_takes_as_many_channels_as_a_tile_has_rows_for() {
        let of =
            |channels, kernel: usize| Problem::new(&Conv2dOptions::new(channels, 1, kernel), &[1, channels, 99, 99]);
        assert_eq!(channels(&of(64, 3)), 21);
        assert_eq!(channels(&of(5, 3)), 5);
        assert_eq!(channels(&of(64, 1)), 64);
        assert_eq!(channels(&of(64, 50)), 1);
    }
}
