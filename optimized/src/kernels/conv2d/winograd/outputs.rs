//! The outputs of tiles. Numbers are those of the departures that the parent file lists.

use super::columns::{load, of_products, store};
use super::grid::{Grid, Run, Task};
use super::{BLOCK, apart};
use crate::simd::{Kernel, Lanes, MOST_LANES, Simd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The outputs of a block of tiles, of their products, a row of [`BLOCK`] for each place and channel.
pub struct FromTiles<'a, 't, T> {
    pub grid: &'a Grid<'a>,
    pub runs: &'a [Run],
    pub products: &'a [T],
    pub bias: Option<&'a [T]>,
    /// Becomes true where a sum is infinite or NaN.
    pub spoiled: &'a AtomicBool,
    pub task: &'a mut Task<'t, T>,
}

impl<T: Lanes> Kernel for FromTiles<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { grid, runs, products, bias, spoiled, task } = self;
        let (channels, lanes) = (task.channels(), T::lanes::<S>());
        let [height, width] = grid.problem.axes.map(|axis| axis.windows);
        for (o, run) in (0..channels).flat_map(|o| runs.iter().map(move |run| (o, run))) {
            let addend = T::splat(s, bias.map_or(T::ZERO, |bias| bias[o]));
            let y = &mut *task.outputs[run.image * channels + o];
            for segment in run.segments(BLOCK) {
                let row = run.rows.start + segment.row;
                let rows = height.min(2 * row + 2) - 2 * row;
                let y = &mut y[2 * (row - task.rows.start) * width..][..rows * width];
                for done in (0..segment.count).step_by(lanes) {
                    let (at, step) = (o * BLOCK + segment.at + done, apart(channels * BLOCK));
                    let [a, b, c, d] = [
                        from_products::<T, S>(s, products, at, step),
                        from_products::<T, S>(s, products, at + step, step),
                        from_products::<T, S>(s, products, at + 2 * step, step),
                        from_products::<T, S>(s, products, at + 3 * step, step),
                    ];
                    let sums = [
                        of_products::<T, S>(s, [a[0], b[0], c[0], d[0]]),
                        of_products::<T, S>(s, [a[1], b[1], c[1], d[1]]),
                    ];
                    let column = 2 * (run.columns.start + segment.column + done);
                    let count = (2 * lanes.min(segment.count - done)).min(width - column);
                    let mut finite = T::splat(s, T::ZERO);
                    for (y, sums) in y.chunks_mut(width).zip(sums) {
                        write::<T, S>(
                            s,
                            &mut y[column..][..count],
                            [T::plus(s, sums[0], addend), T::plus(s, sums[1], addend)],
                        );
                        for sum in sums {
                            finite = T::multiply_add(s, sum, T::splat(s, T::ZERO), finite);
                        }
                    }
                    // Lanes beyond the segment hold anything, and none of its outputs.
                    let mut nan_or_zero = [T::ZERO; MOST_LANES];
                    store::<T, S>(s, &mut nan_or_zero[..lanes], finite);
                    if !nan_or_zero[..lanes.min(segment.count - done)].iter().all(|x| *x == T::ZERO) {
                        spoiled.store(true, Ordering::Relaxed); // 3
                    }
                }
            }
        }
    }
}

/// Writes the elements of two registers in turn.
#[inline(always)]
fn write<T: Lanes, S: Simd>(s: S, y: &mut [T], pair: [T::Register<S>; 2]) {
    let lanes = T::lanes::<S>();
    let mut elements = [[T::ZERO; MOST_LANES]; 2];
    for (elements, register) in elements.iter_mut().zip(pair) {
        store::<T, S>(s, &mut elements[..lanes], register);
    }
    let mut joined = [[T::ZERO; 2]; MOST_LANES];
    for (lane, joined) in joined[..lanes].iter_mut().enumerate() {
        *joined = [elements[0][lane], elements[1][lane]];
    }
    for (y, joined) in y.chunks_mut(lanes).zip(joined.as_flattened().chunks(lanes)) {
        store::<T, S>(s, y, load::<T, S>(joined, 0));
    }
}

/// Aᵀ·m, of a column of products, whose places lie `step` apart.
#[inline(always)]
fn from_products<T: Lanes, S: Simd>(s: S, products: &[T], at: usize, step: usize) -> [T::Register<S>; 2] {
    let [a, b] = [load::<T, S>(products, at), load::<T, S>(products, at + 4 * step)];
    let [c, d] = [load::<T, S>(products, at + 8 * step), load::<T, S>(products, at + 12 * step)];
    of_products::<T, S>(s, [a, b, c, d])
}
