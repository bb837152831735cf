//! The output.

use super::super::Problem;
use super::lines::{self, Lines};
use super::{BLOCK, COUNTER};
use crate::counters;
use crate::kernels::packed::{FEW_TILES, for_each_tile};
use crate::kernels::tiles::Tile;
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::Threads;
use std::ops::Range;

/// Output channels that are computed together.
const CHANNELS: usize = 4;

/// Where images and groups are fewer than [`FEW_TILES`], they are cut into about so many tasks, so that threads end together.
const TASKS: usize = 2 * FEW_TILES;

/// Output channels and rows of the tasks of a group in an image, of few.
fn task_size(problem: &Problem) -> (usize, usize) {
    let (due, rows) = (TASKS.div_ceil(problem.images * problem.groups), problem.axes[0].windows);
    let bands = due.min(rows);
    let channels = problem.outputs.div_ceil(due.div_ceil(bands)).next_multiple_of(CHANNELS);
    (channels, rows.div_ceil(bands))
}

/// The output.
pub fn forward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    y: &mut [T],
) {
    let (depth, outputs, columns) = (problem.depth(), problem.outputs, problem.axes[1].windows);
    let image = problem.inputs * problem.area();
    let (channels, rows) = task_size(problem);
    let sizes = [(outputs, problem.positions()), (channels, rows * columns)];
    for_each_tile(threads, y, (outputs, problem.positions()), sizes, |plane, tile| {
        let (first, channels) = (plane % problem.groups * outputs + tile.row, tile.rows.len());
        let (x, w) = (&x[plane * image..][..image], &w[first * depth..][..channels * depth]);
        let bias = bias.map(|bias| &bias[first..][..channels]);
        scratch(lines::memory(problem, BLOCK.min(columns)), |memory| {
            simd::run(isa, Band { problem, x, w, bias, tile, memory }); // 5
        });
    });
}

/// Some rows of some output channels of a group in an image.
struct Band<'a, T> {
    problem: &'a Problem,
    /// The input channels of the group.
    x: &'a [T],
    w: &'a [T],
    bias: Option<&'a [T]>,
    tile: Tile<&'a mut [T]>,
    memory: &'a mut [T],
}

impl<T: Lanes> Kernel for Band<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { problem, x, w, bias, mut tile, memory } = self;
        let columns = problem.axes[1].windows;
        let (first, rows) = (tile.column / columns, tile.width() / columns);
        for start in (0..columns).step_by(BLOCK) {
            let windows = start..columns.min(start + BLOCK);
            let memory = &mut memory[..lines::memory(problem, windows.len())];
            let mut lines = Lines::new(problem, windows.clone(), memory);
            for a in 0..rows {
                let (lines, places) = lines.of_row(x, first + a); // 1
                let row = Row { lines, places, w, bias };
                let windows = a * columns + windows.start..a * columns + windows.end;
                let (fours, rest) = tile.rows.as_chunks_mut::<CHANNELS>();
                for (i, y) in fours.iter_mut().enumerate() {
                    row.write(s, i * CHANNELS, y, windows.clone());
                }
                let (twos, rest) = rest.as_chunks_mut::<2>();
                let mut channel = fours.len() * CHANNELS;
                for y in twos {
                    row.write(s, channel, y, windows.clone());
                    channel += 2;
                }
                for y in rest {
                    row.write(s, channel, std::array::from_mut(y), windows.clone());
                }
            }
        }
    }
}

/// What a row of the output is computed of.
struct Row<'a, T> {
    lines: &'a [T],
    places: &'a [usize],
    w: &'a [T],
    bias: Option<&'a [T]>,
}

impl<T: Lanes> Row<'_, T> {
    /// Some windows of M output channels from `first` on.
    #[inline(always)]
    fn write<S: Simd, const M: usize>(&self, s: S, first: usize, y: &mut [&mut [T]; M], windows: Range<usize>) {
        let depth = self.places.len();
        let terms = std::array::from_fn(|m| {
            (&self.w[(first + m) * depth..][..depth], self.bias.map_or(T::ZERO, |bias| bias[first + m]))
        });
        let (width, single) = (windows.len(), T::lanes::<S>());
        // As many accumulators as leave room for a line's registers and a weight.
        let most = if M == 1 || S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let mut at = 0;
        while at < width {
            let registers = (width - at).div_ceil(single).min(most);
            let mut y = y
                .each_mut()
                .map(|y| &mut y[windows.start + at..windows.end.min(windows.start + at + registers * single)]);
            match registers {
                1 => self.registers::<S, M, 1>(s, &terms, &mut y, at),
                2 => self.registers::<S, M, 2>(s, &terms, &mut y, at),
                3 => self.registers::<S, M, 3>(s, &terms, &mut y, at),
                _ => self.registers::<S, M, 4>(s, &terms, &mut y, at),
            }
            at += registers * single;
        }
    }

    /// V registers of each channel, the last of which it may not fill.
    #[inline(always)]
    fn registers<S: Simd, const M: usize, const V: usize>(
        &self,
        s: S,
        terms: &[(&[T], T); M],
        y: &mut [&mut [T]; M],
        at: usize,
    ) {
        let len = V * T::lanes::<S>();
        // The bias first: last, it would be one more rounding of the whole sum.
        let mut sums: [[T::Register<S>; V]; M] = std::array::from_fn(|m| [T::splat(s, terms[m].1); V]);
        for (k, place) in self.places.iter().enumerate() {
            let x = T::registers::<S>(&self.lines[place + at..][..len]).0;
            let x: [T::Register<S>; V] = std::array::from_fn(|v| x[v]);
            for m in 0..M {
                let w = T::splat(s, terms[m].0[k]);
                for v in 0..V {
                    sums[m][v] = T::multiply_add(s, w, x[v], sums[m][v]); // 2
                }
            }
        }
        for (y, sums) in y.iter_mut().zip(&sums) {
            let (whole, rest) = T::registers_mut::<S>(y);
            whole.copy_from_slice(&sums[..whole.len()]);
            if !rest.is_empty() {
                T::store_partial(s, rest, sums[V - 1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    #[test]
    fn few_images_are_cut_into_rows_and_these_into_channels() {
        let of = |images, outputs, height| {
            task_size(&Problem::new(&Conv2dOptions::new(3, outputs, (1, 3)), &[images, 3, height, 40]))
        };
        assert_eq!([of(1, 64, 112), of(8, 64, 112), of(15, 5, 112)], [(64, 4), (64, 28), (8, 38)]);
        assert_eq!([of(1, 64, 1), of(1, 64, 10), of(8, 6, 2)], [(4, 1), (16, 1), (4, 1)]);
    }
}
