//! The gradient of the weight.
//!
//! Of the formula of the parent file, backward:
//!
//! ```text
//! ∂L/∂w = Gᵀ·[Σ (A·g·Aᵀ) ⊙ (Bᵀ·d·B)]·G
//! ```
//!
//! for the gradients g of the outputs of a tile and the elements d of an input channel that they read, summed over all tiles of
//! all images. Each of the 16 places is a product of matrices: output channels by tiles, by input channels. We depart from
//! the formula:
//! 1. tiles go by bands, whose transforms take a few MB ([`TRANSFORMED`]) and are made by all threads, some channels each;
//! 2. threads then take tiles of the 16 matrices of sums, to which each band's products are added; the transforms of the input
//!    are turned over where they are packed;
//! 3. where one gradient is not finite, all are computed as by [`im2col`].

use super::grid::Grid;
use super::tiles::{Layout, ToTiles};
use super::weights::FromRow;
use super::{COUNTER, PLACES, apart, channels_at_once};
use crate::kernels::conv2d::unrolled::turn_over;
use crate::kernels::conv2d::{Problem, im2col, weight};
use crate::kernels::packed::{self, FEW_TILES, Factor, Made, Matrix, Multiply, Output, PANELS, ROWS};
use crate::kernels::tiles::Tile;
use crate::kernels::windows::Axis;
use crate::memory::scratch;
use crate::simd::{self, Isa, Lanes, MOST_LANES};
use crate::threads::{self, Threads};
use std::ops::Range;
use vocabulary::PaddingMode;

/// Elements of the transforms of a band, about: 4 MiB of f32.
const TRANSFORMED: usize = 1 << 20;

/// `dw[o][c][i][j] = Σ_n Σ_a Σ_b g[n][o][a][b]·x̃[n][c][a + i][b + j]`.
pub fn backward_weight<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, x): (&[T], &[T]),
    dw: &mut [T],
) {
    let Problem { groups, inputs, outputs, .. } = *problem;
    let most = channels_at_once::<T>(inputs);
    for (group, dw) in dw.chunks_mut(outputs * inputs * 9).enumerate().take(groups) {
        for (i, dw) in dw.chunks_mut(most * inputs * 9).enumerate() {
            let channels = i * most..i * most + dw.len() / (inputs * 9);
            Group { problem, kernel: (isa, threads), g, x, group, channels }.gradient(dw);
        }
    }
    if !dw.iter().all(|x| x.magnitude() <= T::MAX) {
        dw.fill(T::ZERO);
        weight::gradient(im2col::COUNTER, problem, (isa, threads), (g, x), dw); // 3
    }
}

/// Some output channels of a group.
struct Group<'a, T> {
    problem: &'a Problem,
    kernel: (Isa, Threads),
    g: &'a [T],
    x: &'a [T],
    group: usize,
    channels: Range<usize>,
}

impl<T: Lanes> Group<'_, T> {
    fn gradient(&self, dw: &mut [T]) {
        let &Self { problem, kernel: (isa, threads), ref channels, .. } = self;
        let inputs = problem.inputs;
        let step = apart(PLACES * inputs);
        scratch(channels.len() * step, |sums| {
            sums.fill(T::ZERO);
            self.sums(sums);
            let rows = sums.chunks(step).zip(dw.chunks_mut(inputs * 9));
            threads::for_each(threads, rows, |(sums, dw)| {
                simd::run(isa, FromRow { sums, dw });
            });
        });
    }

    /// Adds all tiles' products to the sums, of each output channel and place a row of all input channels.
    fn sums(&self, sums: &mut [T]) {
        let &Self { problem, kernel: (isa, threads), g, x, group, ref channels } = self;
        let Problem { images, groups, inputs, outputs, .. } = *problem;
        let (grid, area, positions) = (Grid::new(problem), problem.area(), problem.positions());
        let rows = 0..grid.tiles[0];
        let tiles = images * rows.len() * grid.tiles[1];
        let bands = (tiles * PLACES * (inputs + channels.len())).div_ceil(TRANSFORMED);
        let width = tiles.div_ceil(bands.max(1)).next_multiple_of(MOST_LANES);
        let of_gradient =
            problem.axes.map(|axis| Axis { size: axis.windows, start: 0, mode: PaddingMode::Zeros, ..axis });
        let channel = apart(PLACES * width);
        scratch((inputs + channels.len()) * channel, |transformed| {
            for first in (0..tiles).step_by(width) {
                let block = first..tiles.min(first + width);
                let runs = &grid.runs(&rows, block.clone());
                let layout = Layout { span: width, panel: 0, channel, place: width };
                // 1
                let (of_x, of_g) = transformed.split_at_mut(inputs * channel);
                let share = (inputs + channels.len()).div_ceil(FEW_TILES);
                let tasks = of_x.chunks_mut(share * channel).enumerate().map(|task| (true, task));
                let tasks = tasks.chain(of_g.chunks_mut(share * channel).enumerate().map(|task| (false, task)));
                let tasks: Vec<_> = tasks.collect();
                threads::for_each(threads, tasks.into_iter(), |(is_input, (i, transformed))| {
                    let count = transformed.len() / channel;
                    scratch(grid.phases(width), |phases| match is_input {
                        true => {
                            let x = &x[(group * inputs + i * share) * area..];
                            let (axes, image) = (&problem.axes, groups * inputs * area);
                            simd::run(
                                isa,
                                ToTiles::<_, false> {
                                    axes,
                                    x,
                                    image,
                                    channels: count,
                                    runs,
                                    layout,
                                    phases,
                                    transformed,
                                },
                            );
                        }
                        false => {
                            let x = &g[(group * outputs + channels.start + i * share) * positions..];
                            let (axes, image) = (&of_gradient, groups * outputs * positions);
                            simd::run(
                                isa,
                                ToTiles::<_, true> {
                                    axes,
                                    x,
                                    image,
                                    channels: count,
                                    runs,
                                    layout,
                                    phases,
                                    transformed,
                                },
                            );
                        }
                    });
                });
                let (of_x, of_g) = transformed.split_at(inputs * channel);
                self.multiply((of_x, of_g), (channel, width), block.len(), sums);
            }
        });
    }

    /// Adds the products of a band to the sums.
    fn multiply(&self, (of_x, of_g): (&[T], &[T]), (channel, width): (usize, usize), tiles: usize, sums: &mut [T]) {
        let &Self { problem, kernel: (isa, threads), ref channels, .. } = self;
        let inputs = problem.inputs;
        let span = packed::span::<T>(isa, inputs);
        // 2: tasks are some rows and columns of a place's matrix.
        let across = inputs.div_ceil(PANELS * span);
        let down = channels.len().div_ceil(ROWS);
        let mut tasks: Vec<(usize, Tile<&mut [T]>)> = (0..down * PLACES * across)
            .map(|i| {
                let (row, place, column) =
                    (i / across / PLACES * ROWS, i / across % PLACES, i % across * PANELS * span);
                (place, Tile { row, column, rows: Vec::new() })
            })
            .collect();
        for (o, row) in sums.chunks_mut(apart(PLACES * inputs)).enumerate() {
            for (place, row) in row.chunks_mut(inputs).take(PLACES).enumerate() {
                let first = (o / ROWS * PLACES + place) * across;
                tasks[first..]
                    .iter_mut()
                    .zip(row.chunks_mut(PANELS * span))
                    .for_each(|((_, tile), row)| tile.rows.push(row));
            }
        }
        threads::for_each(threads, tasks.into_iter(), |(place, tile)| {
            let (height, columns) = (tile.rows.len(), tile.width());
            let turned = Turned { of_x: &of_x[place * width..], channel };
            scratch(height * columns, |products| {
                let rows = products.chunks_mut(columns).collect();
                let output = Output::Plain(Tile { row: 0, column: 0, rows }, None);
                let a = Matrix::Rows(&of_g[place * width..], channel);
                let r = Factor::Made { elements: &turned, column: tile.column };
                Multiply { counter: COUNTER, a, first: tile.row, r, depth: tiles, span, output }.run(isa);
                for (sums, products) in tile.rows.into_iter().zip(products.chunks(columns)) {
                    sums.iter_mut().zip(products).for_each(|(sum, x)| *sum += *x);
                }
            });
        });
    }
}

/// The transforms of the input at a place, turned over: a row for each tile, a column for each channel.
struct Turned<'a, T> {
    of_x: &'a [T],
    channel: usize,
}

impl<T: Lanes> Made<T> for Turned<'_, T> {
    fn part(&self, rows: Range<usize>, columns: Range<usize>, part: &mut [T], step: usize) {
        let from = |c: usize| &self.of_x[c * self.channel..][rows.clone()];
        turn_over(columns, from, part, step);
    }
}
