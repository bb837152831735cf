//! Convolutions by a kernel of one tap that windows do not skip: products of matrices, nothing of which is copied first.
//!
//! For each image and group, y = w·x and ∂L/∂x = wᵀ·g, with the elements of a channel along memory. We depart from the
//! plain loop as [`crate::kernels::packed`] does; threads take tiles that the shapes alone decide on. The weight's
//! gradient, which is a sum over all images, is [`super::weight`].

use super::Problem;
use crate::counters::Counter;
use crate::kernels::packed::{self, Factor, Matrix, Multiply, Output};
use crate::simd::{Isa, Lanes};
use crate::threads::Threads;

pub const COUNTER: Counter = Counter::Conv2dPointwise;

/// The output.
pub fn forward<T: Lanes>(
    problem: &Problem,
    kernel: (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    y: &mut [T],
) {
    let Problem { groups, inputs, outputs, .. } = *problem;
    let w = |group: usize| Matrix::Rows(&w[group * outputs * inputs..][..outputs * inputs], inputs);
    let bias = |group: usize| bias.map(|bias| &bias[group * outputs..][..outputs]);
    product(kernel, (groups, problem.area()), w, (x, inputs), (y, outputs), bias);
}

/// The input's gradient.
pub fn backward_input<T: Lanes>(problem: &Problem, kernel: (Isa, Threads), (g, w): (&[T], &[T]), dx: &mut [T]) {
    let Problem { groups, inputs, outputs, .. } = *problem;
    let w = |group: usize| Matrix::Columns(&w[group * outputs * inputs..][..outputs * inputs], inputs);
    product(kernel, (groups, problem.area()), w, (g, outputs), (dx, inputs), |_| None);
}

/// `c = a·r + addend` for each image and group, of `depth` rows in r and `rows` in c, all with `area` elements.
fn product<'a, T: Lanes>(
    (isa, threads): (Isa, Threads),
    (groups, area): (usize, usize),
    a: impl Fn(usize) -> Matrix<'a, T> + Sync,
    (r, depth): (&[T], usize),
    (c, rows): (&mut [T], usize),
    addend: impl Fn(usize) -> Option<&'a [T]> + Sync,
) {
    let span = packed::span::<T>(isa, area);
    packed::for_each_tile(threads, c, (rows, area), packed::tile_sizes(span), |plane, tile| {
        let (a, addend) = (a(plane % groups), addend(plane % groups).map(|addend| &addend[tile.row..]));
        let r =
            Factor::AsItLies { elements: &r[plane * depth * area..][..depth * area], step: area, column: tile.column };
        let (first, output) = (tile.row, Output::Plain(tile, addend));
        Multiply { counter: COUNTER, a, first, r, depth, span, output }.run(isa);
    });
}
