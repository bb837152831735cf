//! Products of matrices at the speed of faer's GEMM. The only file that names faer.
//!
//! The plain loops are those of [`super::dot`]. We depart from them:
//! 1. faer's blocked kernel, on one thread, for tiles of the output that the shapes alone decide on;
//! 2. forward, y = x·wᵀ: both factors have their long dimension along memory, which no kernel multiplies well as it is. faer
//!    would repack w, the larger of the two. Asked for the tile's transpose it repacks x instead, and reads w as it lies;
//!    the tile is then turned over, and the bias added, while it is in cache;
//! 3. long sums are cut into pieces, which are added up: that is more exact.

use super::tiles::{Tile, tiles};
use crate::counters::{self, Counter};
use crate::memory::scratch;
use crate::simd::{Isa, Lanes};
use crate::threads::{self, Threads, WORK_OF_THREADS};
use faer::linalg::matmul::matmul;
use faer::prelude::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};

/// What faer multiplies.
pub trait Gemm: Lanes {
    /// `c = a·b`, or `c += a·b`.
    fn multiply(c: MatMut<'_, Self>, accum: Accum, a: MatRef<'_, Self>, b: MatRef<'_, Self>);
}

impl Gemm for f32 {
    fn multiply(c: MatMut<'_, Self>, accum: Accum, a: MatRef<'_, Self>, b: MatRef<'_, Self>) {
        matmul(c, accum, a, b, 1.0, Par::Seq);
    }
}

impl Gemm for f64 {
    fn multiply(c: MatMut<'_, Self>, accum: Accum, a: MatRef<'_, Self>, b: MatRef<'_, Self>) {
        matmul(c, accum, a, b, 1.0, Par::Seq);
    }
}

/// Terms that are summed at once: of 1024 in one sum, as faer adds them, the largest error is 36 times the root mean square of the sums
/// by 2⁻²³, and 9 in eight sums (MKL: 14), which take no longer.
const DEPTH: usize = 128;

/// `c = a·b`.
fn multiply<T: Gemm>(mut c: MatMut<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let depth = a.ncols();
    let mut accum = Accum::Replace;
    let mut from = 0;
    loop {
        let count = DEPTH.min(depth - from);
        T::multiply(c.rb_mut(), accum, a.subcols(from, count), b.subrows(from, count)); // 3
        from += count;
        if from == depth {
            return;
        }
        accum = Accum::Add;
    }
}

/// Rows and columns of a tile of y.
const FORWARD_TILE: (usize, usize) = (1024, 128);

/// Rows and columns of a tile of a gradient, at most.
const BACKWARD_TILE: (usize, usize) = (256, 512);

/// Where tiles are fewer, they are halved, down to [`LEAST_TILE`], so that threads end together.
const FEW_TILES: usize = 8;

/// Rows and columns of a tile that is not halved further: packing its factors would take as long as their product.
const LEAST_TILE: (usize, usize) = (64, 64);

/// The size of the tiles of a gradient, each element of which takes `depth` multiply-adds.
fn backward_tile(rows: usize, columns: usize, depth: usize) -> (usize, usize) {
    let (mut height, mut width) = (rows.min(BACKWARD_TILE.0), columns.min(BACKWARD_TILE.1));
    if rows.saturating_mul(columns).saturating_mul(depth) < WORK_OF_THREADS {
        return (height, width);
    }
    while rows.div_ceil(height.max(1)) * columns.div_ceil(width.max(1)) < FEW_TILES {
        match (height >= 2 * LEAST_TILE.0, width >= 2 * LEAST_TILE.1) {
            (_, true) if width >= height => width = width.div_ceil(2),
            (true, _) => height = height.div_ceil(2),
            (_, true) => width = width.div_ceil(2),
            _ => break,
        }
    }
    (height, width)
}

/// `y = x·wᵀ + bias`, of rows of `depth` elements in x and w.
pub fn forward<T: Gemm>(
    threads: Threads,
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    depth: usize,
    (y, columns): (&mut [T], usize),
) {
    let tiles = tiles(y, columns, FORWARD_TILE);
    threads::for_each(threads, tiles.into_iter(), |tile| {
        counters::record(Counter::LinearGemm, Isa::best());
        let (height, width) = (tile.rows.len(), tile.width());
        let x = &x[tile.row * depth..][..height * depth];
        let w = &w[tile.column * depth..][..width * depth];
        scratch(height * width, |product| {
            let turned = MatMut::from_column_major_slice_mut(&mut *product, height, width);
            let w = MatRef::from_column_major_slice(w, depth, width);
            multiply(turned, MatRef::from_row_major_slice(x, height, depth), w); // 2
            turn_over(product, bias, tile);
        });
    });
}

/// Writes the tile's transpose into it, with the bias added.
fn turn_over<T: Lanes>(product: &[T], bias: Option<&[T]>, mut tile: Tile<&mut [T]>) {
    const SIDE: usize = 16;
    let (height, width, column) = (tile.rows.len(), tile.width(), tile.column);
    let bias = |o: usize| bias.map_or(-T::ZERO, |bias| bias[column + o]);
    for rows in (0..height).step_by(SIDE) {
        for columns in (0..width).step_by(SIDE) {
            for o in columns..width.min(columns + SIDE) {
                let bias = bias(o);
                for b in rows..height.min(rows + SIDE) {
                    tile.rows[b][o] = product[o * height + b] + bias;
                }
            }
        }
    }
}

/// `dx = g·w`, of rows of `columns` elements in w and dx, `depth` of them in w; of no rows of w, nothing is written.
pub fn backward_input<T: Gemm>(threads: Threads, (g, w): (&[T], &[T]), depth: usize, (dx, columns): (&mut [T], usize)) {
    if depth == 0 {
        return;
    }
    let rows = g.len() / depth;
    product(threads, (MatRef::from_row_major_slice(g, rows, depth), w), (dx, columns));
}

/// `dw = gᵀ·x`, of rows of `columns` elements in x and dw, `depth` of them in x.
pub fn backward_weight<T: Gemm>(
    threads: Threads,
    (g, x): (&[T], &[T]),
    depth: usize,
    (dw, columns): (&mut [T], usize),
) {
    if columns == 0 {
        return;
    }
    let rows = dw.len() / columns;
    product(threads, (MatRef::from_column_major_slice(g, rows, depth), x), (dw, columns));
}

/// `c = a·r`, for rows of `columns` elements in r and c.
fn product<T: Gemm>(threads: Threads, (a, r): (MatRef<'_, T>, &[T]), (c, columns): (&mut [T], usize)) {
    let (rows, depth) = (a.nrows(), a.ncols());
    let r = MatRef::from_row_major_slice(r, depth, columns);
    let c = MatMut::from_row_major_slice_mut(c, rows, columns);
    let (mut tiles, size) = (Vec::new(), backward_tile(rows, columns, depth));
    let (mut below, mut row) = (c, 0);
    while row < rows {
        let height = size.0.min(rows - row);
        let (mut band, rest) = below.split_at_row_mut(height);
        let mut column = 0;
        while column < columns {
            let width = size.1.min(columns - column);
            let (tile, right) = band.split_at_col_mut(width);
            tiles.push((row, column, tile));
            band = right;
            column += width;
        }
        below = rest;
        row += height;
    }
    threads::for_each(threads, tiles.into_iter(), |(row, column, tile)| {
        counters::record(Counter::LinearGemm, Isa::best());
        let (height, width) = (tile.nrows(), tile.ncols());
        multiply(tile, a.subrows(row, height), r.subcols(column, width)); // 1
    });
}

#[cfg(test)]
mod tests {
    use super::backward_tile;

    #[test]
    fn tiles_are_halved_where_they_are_few() {
        assert_eq!(backward_tile(1024, 1024, 64), (256, 512));
        assert_eq!(backward_tile(256, 256, 256), (128, 64));
        assert_eq!(backward_tile(64, 1024, 1024), (64, 128));
        assert_eq!(backward_tile(127, 129, 131), (127, 65));
        assert_eq!(backward_tile(10, 1000, 1000), (10, 128));
        assert_eq!(backward_tile(10, 1000, 100), (10, 512));
        assert_eq!(backward_tile(3, 0, usize::MAX), (3, 0));
    }
}
