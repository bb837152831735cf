//! Winograd's F(2x2, 3x3): windows of 3x3 taps at every element, by 16 products where the plain loop has 36.
//!
//! Two rows and columns of outputs, a *tile*, read 4x4 elements d of each channel. With its taps g,
//!
//! ```text
//! y = Aᵀ·[Σ_c (G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A
//!
//!      ⎡1  0 -1  0⎤       ⎡1  0  0⎤
//! Bᵀ = ⎢0  1  1  0⎥   G = ⎢½  ½  ½⎥   Aᵀ = ⎡1  1  1  0⎤
//!      ⎢0 -1  1  0⎥       ⎢½ -½  ½⎥        ⎣0  1 -1 -1⎦
//!      ⎣0  1  0 -1⎦       ⎣0  0  1⎦
//! ```
//!
//! (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.) Each of the 16 places of a tile is a
//! product of matrices: output channels by input channels, by tiles. We depart from the formula:
//! 1. tiles go by blocks of [`BLOCK`], whose transforms stay in the second-level cache; the transformed weight is made anew by
//!    each call, for as many output channels as [`WEIGHTS`] allows, so that it can't go stale;
//! 2. an image's rows are split into even and odd ones, and these into even and odd elements: what neighbouring tiles read at
//!    one place are neighbours then, and all transforms go register by register ([`tiles`]);
//! 3. where one sum is not finite, all is computed by [`im2col`], since an infinity would come back as NaN in all of a tile;
//! 4. the input's gradient is a convolution of the output's by the taps in the opposite order, in which padded zeros are no
//!    terms;
//! 5. threads take some images, or some rows of an image, that the shapes alone decide on.

mod columns;
mod gradient;
mod grid;
mod outputs;
mod tiles;
mod weights;

pub use gradient::backward_weight;

use super::{Problem, im2col};
use crate::counters::Counter;
use crate::kernels::packed::{self, Factor, Matrix, Multiply, Output};
use crate::kernels::tiles::Tile;
use crate::memory::scratch;
use crate::simd::{self, Isa, Lanes, MOST_LANES};
use crate::threads::{self, Threads};
use grid::{Grid, Task};
use outputs::FromTiles;
use std::sync::atomic::AtomicBool;
use tiles::{Layout, ToTiles};
use weights::Weights;

pub const COUNTER: Counter = Counter::Conv2dWinograd;

/// Places of a tile of the input.
const PLACES: usize = 16;

/// Tiles of a block: a panel of the products' or several.
const BLOCK: usize = 64;

/// Groups of more input or output channels are refused: the transforms of a block would take more than 4 MiB of f32.
pub const MOST_CHANNELS: usize = 1024;

/// Bytes of the transformed weight that are kept at once, about: 16 MiB.
const WEIGHTS: usize = 1 << 24;

/// So many output channels' weights are transformed at once, of so many input channels.
fn channels_at_once<T>(inputs: usize) -> usize {
    (WEIGHTS / size_of::<T>() / apart(PLACES * inputs)).max(1)
}

/// Whether windows are of 3x3 neighbours, at every element.
pub fn takes(problem: &Problem) -> bool {
    problem.axes.iter().all(|axis| (axis.kernel, axis.stride, axis.dilation) == (3, 1, 1))
}

/// The output.
pub fn forward<T: Lanes>(
    problem: &Problem,
    kernel: (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    y: &mut [T],
) {
    let taps = problem.taps();
    let weights = |group: usize| Weights {
        w: &w[group * problem.outputs * problem.depth()..],
        steps: (problem.depth(), taps),
        turned: false,
    };
    if !convolve(problem, kernel, (x, bias), weights, y) {
        im2col::forward(problem, kernel, (x, w, bias), y); // 3
    }
}

/// The input's gradient; where that is no convolution itself, as [`im2col`] has it.
pub fn backward_input<T: Lanes>(problem: &Problem, kernel: (Isa, Threads), (g, w): (&[T], &[T]), dx: &mut [T]) {
    let Some(turned) = &problem.turned() else { return im2col::backward_input(problem, kernel, (g, w), dx) };
    let taps = turned.taps();
    let weights = |group: usize| Weights {
        w: &w[group * turned.outputs * turned.depth()..],
        steps: (taps, turned.outputs * taps),
        turned: true, // 4
    };
    if !convolve(turned, kernel, (g, None), weights, dx) {
        dx.fill(T::ZERO);
        im2col::backward_input(problem, kernel, (g, w), dx); // 3
    }
}

/// The convolution of x by weights, which are told of each group; and whether all sums are finite, without which y is of no use.
fn convolve<'a, T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (x, bias): (&[T], Option<&[T]>),
    weights: impl Fn(usize) -> Weights<'a, T>,
    y: &mut [T],
) -> bool {
    let (inputs, outputs) = (problem.inputs, problem.outputs);
    if y.is_empty() {
        return true;
    }
    let spoiled = AtomicBool::new(false);
    let grid = Grid::new(problem);
    let step = apart(PLACES * inputs);
    let most = channels_at_once::<T>(inputs);
    for group in 0..problem.groups {
        let weights = weights(group);
        for first in (0..outputs).step_by(most) {
            let channels = first..outputs.min(first + most);
            scratch(channels.len() * step, |transformed| {
                let rows = transformed.chunks_mut(step).zip(channels.clone());
                threads::for_each(threads, rows, |(row, channel)| {
                    simd::run(isa, weights.transform(channel, inputs, row)); // 1
                });
                let transformed = &*transformed;
                let tasks = grid.tasks(y, (group, channels.clone()));
                threads::for_each(threads, tasks.into_iter(), |task| {
                    let bias = bias.map(|bias| &bias[group * outputs + first..]);
                    tiles(isa, &grid, (x, transformed, bias), &spoiled, task); // 5
                });
            });
        }
    }
    !spoiled.into_inner()
}

/// The distance between rows or places of so many elements: a cache line more, lest they fall together in the cache.
fn apart(len: usize) -> usize {
    len + MOST_LANES
}

/// All tiles of a task, by blocks.
fn tiles<T: Lanes>(
    isa: Isa,
    grid: &Grid<'_>,
    (x, weights, bias): (&[T], &[T], Option<&[T]>),
    spoiled: &AtomicBool,
    mut task: Task<'_, T>,
) {
    let problem = grid.problem;
    let (inputs, area) = (problem.inputs, problem.area());
    let (channels, step) = (task.channels(), apart(PLACES * inputs));
    let sizes = [PLACES * apart(inputs * BLOCK), PLACES * apart(channels * BLOCK), grid.phases(BLOCK)];
    scratch(sizes.iter().sum(), |memory| {
        let (transformed, memory) = memory.split_at_mut(sizes[0]);
        let (products, phases) = memory.split_at_mut(sizes[1]);
        for first in (0..task.tiles()).step_by(BLOCK) {
            let block = first..task.tiles().min(first + BLOCK);
            let span = packed::span::<T>(isa, block.len());
            let place = block.len().next_multiple_of(span) * inputs;
            let layout = Layout { span, panel: inputs * span, channel: span, place: apart(place) };
            let runs = &grid.runs(&task.rows, block.clone());
            let (image, axes) = (problem.groups * inputs * area, &problem.axes);
            let x = &x[(task.image * problem.groups + task.group) * inputs * area..];
            let to_tiles = ToTiles::<_, false> { axes, x, image, channels: inputs, runs, layout, phases, transformed };
            simd::run(isa, to_tiles); // 2
            for (i, products) in products.chunks_mut(apart(channels * BLOCK)).enumerate() {
                let rows = products.chunks_mut(BLOCK).take(channels).map(|row| &mut row[..block.len()]).collect();
                let output = Output::Plain(Tile { row: 0, column: 0, rows }, None);
                let a = Matrix::Rows(&weights[i * inputs..], step);
                let r = Factor::Packed(&transformed[i * apart(place)..][..place]);
                Multiply { counter: COUNTER, a, first: 0, r, depth: inputs, span, output }.run(isa);
            }
            simd::run(isa, FromTiles { grid, runs, products, bias, spoiled, task: &mut task });
        }
    });
}
