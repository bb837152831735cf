//! The gradient of the weight as a product of matrices.
//!
//! For each group, ∂L/∂w = g·uᵀ, summed over positions and images, where u is what windows read ([`super::im2col`]). We
//! depart from the plain loop:
//! 1. it is computed as (u·gᵀ)ᵀ: both factors are made where they are multiplied, u by rows, which are copied as they lie
//!    in the input, and g, the smaller of the two, turned over;
//! 2. positions of all images are one long sum; where there are too few tiles for threads to end together, it is cut into
//!    pieces of whole images, as many as the shape says, which are joined in their order.

use super::Problem;
use super::unrolled::{Turned, Unrolled};
use crate::counters::Counter;
use crate::kernels::packed::{self, FEW_TILES, Factor, Matrix, Multiply, Output, PANELS, ROWS};
use crate::kernels::tiles::Tile;
use crate::memory::scratch;
use crate::simd::{Isa, Lanes};
use crate::threads::Threads;

/// At most so many sums are kept until they are joined: 16 MiB of f32.
const SUMS: usize = 1 << 22;

/// `dw[o][k] = Σ_n Σ_p g[n][o][p]·u[n][k][p]`.
pub fn gradient<T: Lanes>(
    counter: Counter,
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, x): (&[T], &[T]),
    dw: &mut [T],
) {
    let Problem { images, groups, inputs, outputs, .. } = *problem;
    let (depth, positions, area) = (problem.depth(), problem.positions(), problem.area());
    let span = packed::span::<T>(isa, outputs);
    let size = (PANELS * span, ROWS);
    let pieces = pieces(problem, groups * outputs.div_ceil(size.0) * depth.div_ceil(size.1)); // 2
    let of_a_piece = images.div_ceil(pieces);
    let pieces = images.div_ceil(of_a_piece);
    let work = |matrix: usize, tile: Tile<&mut [T]>| {
        let (image, group) = (matrix / groups * of_a_piece, matrix % groups);
        let count = of_a_piece.min(images - image);
        let x = &x[(image * groups + group) * inputs * area..];
        let g = &g[(image * groups + group) * outputs * positions..];
        let (u, g) = (Unrolled { problem, x }, Turned { problem, g }); // 1
        let r = Factor::Made { elements: &g, column: tile.row };
        let (a, first, depth) = (Matrix::Made(&u), tile.column, count * positions);
        Multiply { counter, a, first, r, depth, span, output: Output::Turned(tile, None) }.run(isa);
    };
    if pieces == 1 {
        return packed::for_each_tile(threads, dw, (outputs, depth), [size; 2], work);
    }
    scratch(pieces * dw.len(), |sums| {
        packed::for_each_tile(threads, sums, (outputs, depth), [size; 2], work);
        for sums in sums.chunks(dw.len()) {
            dw.iter_mut().zip(sums).for_each(|(sum, x)| *sum += *x); // 2
        }
    });
}

/// Into how many pieces the images are cut, where a piece has so many tiles.
fn pieces(problem: &Problem, tiles: usize) -> usize {
    let len = problem.groups * problem.outputs * problem.depth();
    (FEW_TILES / tiles.max(1)).min(SUMS / len.max(1)).clamp(1, problem.images)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    #[test]
    fn few_tiles_are_made_more_by_pieces_of_the_batch() {
        let of = |channels, images| {
            let options = Conv2dOptions::new(channels, channels, 3).padding(1);
            pieces(&Problem::new(&options, &[images, channels, 56, 56]), (9 * channels).div_ceil(192))
        };
        assert_eq!([1, 4, 8].map(|images| of(64, images)), [1, 4, 5]);
        assert_eq!(of(16, 100), 16);
        assert_eq!(of(1024, 100), 1);
    }
}
