//! The transforms of weights, input and products. Numbers are those of the departures that the parent file lists.

use super::grid::{Grid, Run, Task, line, phase};
use super::literal::Literal;
use super::{BLOCK, COUNTER, PLACES, apart};
use crate::counters;
use crate::kernels::windows::Axis;
use crate::simd::{Isa, Kernel, Lanes, MOST_LANES, Simd};

/// The weights of a group, as they lie in memory.
#[derive(Clone, Copy)]
pub struct Weights<'a, T> {
    pub w: &'a [T],
    /// The distances between the taps of two output and two input channels.
    pub steps: (usize, usize),
    /// Whether taps are taken in the opposite order, as the input's gradient has them.
    pub turned: bool,
}

impl<'a, T: Lanes> Weights<'a, T> {
    /// The weight of an output and an input channel at a tap.
    pub fn tap(&self, output: usize, input: usize, tap: usize) -> T {
        let tap = if self.turned { 8 - tap } else { tap };
        self.w[output * self.steps.0 + input * self.steps.1 + tap]
    }

    /// The transform of an output channel's weights, to be run: of each place, all `inputs`.
    pub fn transform<'r>(self, output: usize, inputs: usize, row: &'r mut [T]) -> ToRow<'a, 'r, T> {
        ToRow { weights: self, output, inputs, row }
    }
}

/// `row[4i + j][c] = (G·g·Gᵀ)[i][j]`.
pub struct ToRow<'a, 'r, T> {
    weights: Weights<'a, T>,
    output: usize,
    inputs: usize,
    row: &'r mut [T],
}

/// G·g, of three of a column.
#[inline(always)]
fn weight_column<T: Lanes>([a, b, c]: [T; 3]) -> [T; 4] {
    let ends = a + c;
    [a, T::HALF * (ends + b), T::HALF * (ends - b), c]
}

impl<T: Lanes> Kernel for ToRow<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { weights: Weights { w, steps, turned }, output, inputs, row } = self;
        let w = &w[output * steps.0..];
        for first in (0..inputs).step_by(MOST_LANES) {
            let mut taps = [[T::ZERO; MOST_LANES]; 9];
            let count = MOST_LANES.min(inputs - first);
            for lane in 0..count {
                let w = &w[(first + lane) * steps.1..][..9];
                for (tap, taps) in taps.iter_mut().enumerate() {
                    taps[lane] = w[if turned { 8 - tap } else { tap }];
                }
            }
            let mut places = [[T::ZERO; MOST_LANES]; PLACES];
            for lane in 0..MOST_LANES {
                let columns: [[T; 4]; 3] = std::array::from_fn(|j| weight_column([0, 3, 6].map(|i| taps[i + j][lane])));
                for i in 0..4 {
                    let place = weight_column([0, 1, 2].map(|j| columns[j][i]));
                    (0..4).for_each(|j| places[4 * i + j][lane] = place[j]);
                }
            }
            for (i, place) in places.iter().enumerate() {
                row[i * inputs + first..][..count].copy_from_slice(&place[..count]);
            }
        }
    }
}

/// The transform of what a block of tiles reads: of each place, panels of `span` tiles, in these a row for each channel.
pub struct ToTiles<'a, T> {
    pub grid: &'a Grid<'a>,
    pub x: &'a [T],
    /// The task's first image, and its group.
    pub task: (usize, usize),
    pub runs: &'a [Run],
    pub span: usize,
    pub phases: &'a mut [T],
    pub transformed: &'a mut [T],
}

impl<T: Lanes> Kernel for ToTiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { grid, x, task: (first_image, group), runs, span, phases, transformed } = self;
        let (problem, lanes) = (grid.problem, T::lanes::<S>());
        let (area, inputs) = (problem.area(), problem.inputs);
        let tiles: usize = runs.iter().map(|run| run.count).sum();
        let place = apart(tiles.next_multiple_of(span) * inputs);
        for c in 0..inputs {
            for run in runs {
                let channel = ((first_image + run.image) * problem.groups + group) * inputs + c;
                let pitch = run.columns.len() + 1;
                let size = phase((run.rows.len(), run.columns.len()));
                split::<T>(&problem.axes, &x[channel * area..][..area], run, phases, size);
                let [even, odd, odd_rows, odd_odd] = [0, 1, 2, 3].map(|phase| &phases[phase * size..][..size]);
                for segment in run.segments(span) {
                    for done in (0..segment.count).step_by(lanes) {
                        let at = segment.row * pitch + segment.column + done;
                        let columns = [
                            to_column::<T, S>(s, read::<T, S>([even, odd_rows], at, pitch)),
                            to_column::<T, S>(s, read::<T, S>([odd, odd_odd], at, pitch)),
                            to_column::<T, S>(s, read::<T, S>([even, odd_rows], at + 1, pitch)),
                            to_column::<T, S>(s, read::<T, S>([odd, odd_odd], at + 1, pitch)),
                        ];
                        let tile = segment.at + done;
                        let row = (tile / span * inputs + c) * span + tile % span;
                        // A whole register may write beyond the segment what the next one overwrites, but not beyond
                        // its panel's row.
                        let count = if tile % span + lanes <= span { lanes } else { segment.count - done };
                        let [a, b, c, d] = columns;
                        for i in 0..4 {
                            let tile = to_column::<T, S>(s, [a[i], b[i], c[i], d[i]]);
                            for j in 0..4 {
                                store::<T, S>(s, &mut transformed[(4 * i + j) * place + row..][..count], tile[j]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Splits what a run reads of a channel into its phases: even and odd rows, and of each even and odd elements.
#[inline(always)]
fn split<T: Lanes>([height, width]: &[Axis; 2], x: &[T], run: &Run, phases: &mut [T], size: usize) {
    let pitch = run.columns.len() + 1;
    let (phases, buffer) = phases.split_at_mut(4 * size);
    let buffer = &mut buffer[..line(run.columns.len())];
    // Places beyond what any window reads, which odd sizes have in their last tile, count as zeros.
    let [down, across] = [height, width].map(|axis| axis.windows + 2);
    let reach = 2 * run.columns.start..across.min(2 * run.columns.end + 2);
    for row in 0..2 * run.rows.len() + 2 {
        let place = 2 * run.rows.start + row;
        match (place < down).then(|| height.source(place, 0)).flatten() {
            Some(h) => {
                width.read(&x[h * width.size..][..width.size], 0, reach.clone(), &mut buffer[..reach.len()]);
                buffer[reach.len()..2 * pitch].fill(T::ZERO);
            }
            None => buffer[..2 * pitch].fill(T::ZERO),
        }
        let (even, odd) = phases[row % 2 * 2 * size..][..2 * size].split_at_mut(size);
        let at = row / 2 * pitch;
        let (chunks, _) = buffer.as_chunks::<{ 2 * MOST_LANES }>();
        for (i, chunk) in chunks.iter().enumerate() {
            // What is written beyond the row is overwritten by the next.
            let at = at + i * MOST_LANES;
            let count = MOST_LANES.min(size - at);
            let (even, odd) = (&mut even[at..][..count], &mut odd[at..][..count]);
            even.iter_mut().zip(odd).zip(chunk.as_chunks::<2>().0).for_each(|((even, odd), [a, b])| {
                (*even, *odd) = (*a, *b);
            });
        }
    }
}

/// Four elements of a column, which two phases have in turn.
#[inline(always)]
fn read<T: Lanes, S: Simd>([even, odd]: [&[T]; 2], at: usize, pitch: usize) -> [T::Register<S>; 4] {
    let next = at + pitch;
    [load::<T, S>(even, at), load::<T, S>(odd, at), load::<T, S>(even, next), load::<T, S>(odd, next)]
}

/// Bᵀ·d, of a column.
#[inline(always)]
fn to_column<T: Lanes, S: Simd>(s: S, [a, b, c, d]: [T::Register<S>; 4]) -> [T::Register<S>; 4] {
    [T::minus(s, a, c), T::plus(s, b, c), T::minus(s, c, b), T::minus(s, b, d)]
}

/// Aᵀ·m, of a column of products, whose places lie `step` apart.
#[inline(always)]
fn from_products<T: Lanes, S: Simd>(s: S, products: &[T], at: usize, step: usize) -> [T::Register<S>; 2] {
    let [a, b] = [load::<T, S>(products, at), load::<T, S>(products, at + 4 * step)];
    let [c, d] = [load::<T, S>(products, at + 8 * step), load::<T, S>(products, at + 12 * step)];
    from_column::<T, S>(s, [a, b, c, d])
}

/// Aᵀ·m, of a column.
#[inline(always)]
fn from_column<T: Lanes, S: Simd>(s: S, [a, b, c, d]: [T::Register<S>; 4]) -> [T::Register<S>; 2] {
    [T::plus(s, T::plus(s, a, b), c), T::minus(s, T::minus(s, b, c), d)]
}

/// A register from `at` on.
#[inline(always)]
fn load<T: Lanes, S: Simd>(slice: &[T], at: usize) -> T::Register<S> {
    T::registers::<S>(&slice[at..][..T::lanes::<S>()]).0[0]
}

/// The first elements of a register, as many as the slice has, up to all.
#[inline(always)]
fn store<T: Lanes, S: Simd>(s: S, slice: &mut [T], x: T::Register<S>) {
    match T::registers_mut::<S>(slice) {
        ([slot, ..], _) => *slot = x,
        ([], slice) => T::store_partial(s, slice, x),
    }
}

/// The outputs of a block of tiles, of their products, a row of [`BLOCK`] for each place and channel.
pub struct FromTiles<'a, 't, T> {
    pub grid: &'a Grid<'a>,
    pub runs: &'a [Run],
    pub products: &'a [T],
    pub bias: Option<&'a [T]>,
    pub literal: &'a Literal<'a, T>,
    pub task: &'a mut Task<'t, T>,
}

impl<T: Lanes> Kernel for FromTiles<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { grid, runs, products, bias, literal, task } = self;
        let (channels, lanes) = (task.channels(), T::lanes::<S>());
        let [height, width] = grid.problem.axes.map(|axis| axis.windows);
        for (o, run) in (0..channels).flat_map(|o| runs.iter().map(move |run| (o, run))) {
            let bias = bias.map_or(T::ZERO, |bias| bias[o]);
            let addend = T::splat(s, bias);
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
                        from_column::<T, S>(s, [a[0], b[0], c[0], d[0]]),
                        from_column::<T, S>(s, [a[1], b[1], c[1], d[1]]),
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
                    if T::sum(s, finite) != T::ZERO {
                        let mut nan_or_zero = [T::ZERO; MOST_LANES];
                        store::<T, S>(s, &mut nan_or_zero[..lanes], finite);
                        let image = (task.image + run.image, task.group);
                        for (a, y) in (2 * row..).zip(y.chunks_mut(width)) {
                            // Lanes beyond the segment hold anything, and none of its outputs.
                            for (b, y) in (column..).zip(&mut y[column..][..count]) {
                                if nan_or_zero[(b - column) / 2] != T::ZERO {
                                    *y = literal.sum(image, o, [a, b]) + bias; // 3
                                }
                            }
                        }
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
