//! The factors of a convolution's products, made where they are multiplied.

use super::problem::Problem;
use crate::kernels::packed::Made;
use crate::simd::Lanes;
use std::ops::Range;

/// What windows read: a row for each channel and tap, a column for each position, those of an image after those of the one
/// before.
pub struct Unrolled<'a, T> {
    pub problem: &'a Problem,
    /// From the first channel of the group and the first image on.
    pub x: &'a [T],
}

impl<T: Lanes> Made<T> for Unrolled<'_, T> {
    fn part(&self, rows: Range<usize>, columns: Range<usize>, part: &mut [T], step: usize) {
        let Self { problem, x } = self;
        let ([height, width], area) = (&problem.axes, problem.area());
        let first = (rows.start / problem.taps(), rows.start / width.kernel % height.kernel, rows.start % width.kernel);
        problem.for_each_row(columns, |image, a, windows, done| {
            let x = &x[image * problem.groups * problem.inputs * area..];
            let (mut c, mut i, mut j) = first;
            for part in part.chunks_mut(step).take(rows.len()) {
                let to = &mut part[done..done + windows.len()];
                match height.source(a, i) {
                    Some(h) => {
                        let row = &x[c * area + h * width.size..][..width.size];
                        width.read(row, j, windows.clone(), to);
                    }
                    None => to.fill(T::ZERO),
                }
                j += 1;
                if j == width.kernel {
                    (i, j) = (i + 1, 0);
                    if i == height.kernel {
                        (c, i) = (c + 1, 0);
                    }
                }
            }
        });
    }
}

/// The gradient of the output, turned over: a row for each position, those of an image after those of the one before, a
/// column for each output channel of the group.
pub struct Turned<'a, T> {
    pub problem: &'a Problem,
    /// From the first channel of the group and the first image on.
    pub g: &'a [T],
}

impl<T: Lanes> Made<T> for Turned<'_, T> {
    fn part(&self, rows: Range<usize>, columns: Range<usize>, part: &mut [T], step: usize) {
        let Self { problem, g } = self;
        let positions = problem.positions();
        let mut row = rows.start;
        while row < rows.end {
            let (image, position) = (row / positions, row % positions);
            let count = (positions - position).min(rows.end - row);
            let g = &g[image * problem.groups * problem.outputs * positions..];
            let part = &mut part[(row - rows.start) * step..];
            turn_over(columns.clone(), |o| &g[o * positions + position..][..count], part, step);
            row += count;
        }
    }
}

/// Writes slices of equal lengths as columns of a matrix whose rows lie `step` apart, from the first row and column of `part` on.
///
/// The plain loop is `part[k·step + i] = from(i)[k]`. Eight columns are written together, since each row of theirs is part of
/// one cache line.
pub fn turn_over<'a, T: Lanes>(
    mut columns: Range<usize>,
    from: impl Fn(usize) -> &'a [T],
    mut part: &mut [T],
    step: usize,
) {
    const TOGETHER: usize = 8;
    while columns.len() >= TOGETHER {
        let from: [&[T]; TOGETHER] = std::array::from_fn(|i| from(columns.start + i));
        let len = from[0].len();
        let from = from.map(|from| &from[..len]);
        for (k, row) in part.chunks_mut(step).take(len).enumerate() {
            let row = &mut row[..TOGETHER];
            for (to, from) in row.iter_mut().zip(from) {
                *to = from[k];
            }
        }
        columns.start += TOGETHER;
        part = &mut part[TOGETHER..];
    }
    for (i, column) in columns.enumerate() {
        part[i..].iter_mut().step_by(step).zip(from(column)).for_each(|(to, x)| *to = *x);
    }
}
