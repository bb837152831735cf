//! Products of matrices at the speed of the processor's multiply-adds, at any instruction set.
//!
//! The plain loop is `c[m][n] = Σ_k a(m, k)·r(k, n)`. We depart from it:
//! 1. a micro-tile of c, several elements of a by several registers of r, stays in registers while k runs over [`DEPTH`]
//!    elements: each register that is loaded takes part in six products or more;
//! 2. those elements of r, a *panel* of a few registers' width, are packed side by side, and stay in the first-level
//!    cache for all rows of a tile; longer sums are joined in a tile that lies in that cache as well;
//! 3. where r's columns lie along memory (x in x·wᵀ), r is packed once for all tiles, as turning it over costs more than
//!    copying it;
//! 4. x·wᵀ is computed as (w·xᵀ)ᵀ: the larger factor, w, is only ever read as it lies, and a tile is turned over, and the
//!    bias added, while it is in cache; there and in 3, squares of as many rows as a register has lanes are turned over in
//!    registers;
//! 5. threads take tiles that the shapes alone decide on;
//! 6. a factor that is not in memory as it is multiplied, as what a convolution's windows read, is made panel by panel,
//!    or rows by rows, where it would be packed.

mod multiply;

pub use multiply::{Factor, Made, Matrix, Multiply, Output};

use super::tiles::{Tile, tiles};
use crate::counters::Counter;
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use multiply::{DEPTH, Span};
use std::marker::PhantomData;

/// Rows of a tile.
pub const ROWS: usize = 192;

/// Panels of a tile.
pub const PANELS: usize = 4;

/// Fewer tiles than this are made smaller.
pub const FEW_TILES: usize = 16;

/// Bytes of r packed at once for all tiles, about: 4 MiB.
const PACKED: usize = 1 << 22;

/// Rows of more elements are not packed: a panel of them would take half a gigabyte and more.
pub const LONGEST_ROW: usize = 1 << 20;

/// `c = a·r`, for rows of `columns` elements in r and c, with sums of `depth` terms; counted as a run of `counter`.
pub fn product<T: Lanes>(
    counter: Counter,
    (isa, threads): (Isa, Threads),
    a: Matrix<'_, T>,
    r: &[T],
    depth: usize,
    (c, columns): (&mut [T], usize),
) {
    let span = span::<T>(isa, columns);
    let (height, panels) = tile_size(c.len() / columns.max(1), columns.div_ceil(span), ROWS);
    let tiles = tiles(c, columns, (height, panels * span)); // 5
    threads::for_each(threads, tiles.into_iter(), |tile| {
        let r = Factor::AsItLies { elements: r, step: columns, column: tile.column };
        let (first, output) = (tile.row, Output::Plain(tile, None));
        Multiply { counter, a, first, r, depth, span, output }.run(isa);
    });
}

/// `y = x·wᵀ + bias`, for rows of `depth` elements in x and w; counted as a run of `counter`.
pub fn forward<T: Lanes>(
    counter: Counter,
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    depth: usize,
    (y, columns): (&mut [T], usize),
) {
    let rows = y.len() / columns.max(1);
    let most = span::<T>(isa, rows);
    // Rows behind full panels go by a narrower one, where they fit into it: 65 rows of 256 elements to 256 take 1.3 times as long as 64
    // on Zen 4, and took twice as long by two panels of 64.
    let whole = match rows % most {
        rest if span::<T>(isa, rest) < most => rows - rest,
        _ => rows,
    };
    let (y, rest) = y.split_at_mut(whole * columns);
    let band = band::<T>(depth, most);
    let bands = y.chunks_mut((band * columns).max(1)).map(|y| (y, most));
    let mut first = 0;
    for (y, span) in bands.chain((!rest.is_empty()).then(|| (rest, span::<T>(isa, rows - whole)))) {
        let rows = y.len() / columns;
        scratch(rows.next_multiple_of(span) * depth, |packed| {
            pack((isa, threads), &x[first * depth..][..rows * depth], (depth, span), packed); // 3
            let packed = &*packed;
            let (height, panels) = tile_size(columns, rows.div_ceil(span), ROWS / 4);
            let tiles = tiles(y, columns, (panels * span, height)); // 5
            threads::for_each(threads, tiles.into_iter(), |tile| {
                let r = Factor::Packed(&packed[tile.row * depth..]);
                let (a, first) = (Matrix::Rows(w, depth), tile.column);
                let output = Output::Turned(tile, bias); // 4
                Multiply { counter, a, first, r, depth, span, output }.run(isa);
            });
        });
        first += rows;
    }
}

/// Rows of x packed at once, whole panels of `span` of them.
fn band<T>(depth: usize, span: usize) -> usize {
    (PACKED / size_of::<T>() / depth.max(1) / span).max(1) * span
}

/// Rows of a, and panels of r, of a tile of their product; `few` rows and one panel, where that makes too few tiles for
/// threads to end together.
fn tile_size(rows: usize, panels: usize, few: usize) -> (usize, usize) {
    let tiles = rows.div_ceil(ROWS) * panels.div_ceil(PANELS);
    if tiles < FEW_TILES { (few, 1) } else { (ROWS, PANELS) }
}

/// Rows and columns of the tiles of [`for_each_tile`] in panels of `span`: large ones and, for few tiles, small ones.
pub fn tile_sizes(span: usize) -> [(usize, usize); 2] {
    [(ROWS, PANELS * span), (ROWS / 4, span)]
}

/// Calls `work` with the tiles of each of the matrices of `rows` rows and `columns` columns that lie one after the other,
/// and the matrix's number. Tiles are large, or small where that makes too few for threads to end together.
pub fn for_each_tile<T: Lanes>(
    threads: Threads,
    matrices: &mut [T],
    (rows, columns): (usize, usize),
    [large, small]: [(usize, usize); 2],
    work: impl Fn(usize, Tile<&mut [T]>) + Sync,
) {
    let matrices = matrices.chunks_mut(rows * columns).enumerate();
    // Where there are many matrices, a task is one of them, so that tiles are not all listed at once.
    if matrices.len() >= FEW_TILES {
        return threads::for_each(threads, matrices, |(i, matrix)| {
            tiles(matrix, columns, large).into_iter().for_each(|tile| work(i, tile));
        });
    }
    let few = matrices.len() * rows.div_ceil(large.0) * columns.div_ceil(large.1) < FEW_TILES;
    let size = if few { small } else { large };
    let tasks = matrices.flat_map(|(i, matrix)| tiles(matrix, columns, size).into_iter().map(move |tile| (i, tile)));
    let tasks: Vec<_> = tasks.collect();
    threads::for_each(threads, tasks.into_iter(), |(i, tile)| work(i, tile));
}

/// The width of the panels of a factor of so many columns.
pub fn span<T: Lanes>(isa: Isa, columns: usize) -> usize {
    simd::run(isa, Span { width: columns, element: PhantomData::<T> })
}

/// Packs rows of `depth` elements, turned over, into panels of `span` columns.
fn pack<T: Lanes>((isa, threads): (Isa, Threads), x: &[T], (depth, span): (usize, usize), packed: &mut [T]) {
    if depth == 0 {
        return;
    }
    let panels = x.chunks(span * depth).zip(packed.chunks_mut(span * depth));
    let tasks = panels.flat_map(|(x, panel)| {
        let parts = panel.chunks_mut(span * DEPTH).enumerate();
        parts.map(move |(i, part)| Pack { x, depth, first: i * DEPTH, span, part })
    });
    let tasks: Vec<_> = tasks.collect();
    threads::for_each(threads, tasks.into_iter(), |task| simd::run(isa, task));
}

/// Turns over the columns from `first` on of some rows.
struct Pack<'a, T> {
    x: &'a [T],
    depth: usize,
    first: usize,
    span: usize,
    part: &'a mut [T],
}

impl<T: Lanes> Kernel for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        match T::lanes::<S>() {
            16 => self.squares::<S, 16>(s),
            8 => self.squares::<S, 8>(s),
            4 => self.squares::<S, 4>(s),
            2 => self.squares::<S, 2>(s),
            _ => self.squares::<S, 1>(s),
        }
    }
}

impl<T: Lanes> Pack<'_, T> {
    /// By squares of as many rows as a register has lanes, which are turned over in registers.
    #[inline(always)]
    fn squares<S: Simd, const LANES: usize>(self, s: S) {
        let Self { x, depth, first, span, part } = self;
        let rows = x.len() / depth;
        for (j, part) in part.chunks_mut(LANES * span).enumerate() {
            for i in (0..rows).step_by(LANES) {
                let from = &x[i * depth + first + j * LANES..];
                if i + LANES > rows || part.len() < LANES * span {
                    for (k, to) in part.chunks_exact_mut(span).enumerate() {
                        let column = from[k..].iter().step_by(depth).take(rows - i);
                        to[i..][..LANES].iter_mut().zip(column).for_each(|(to, from)| *to = *from);
                    }
                    continue;
                }
                let mut square = [T::splat(s, T::ZERO); LANES];
                for k in 0..LANES {
                    square[k] = T::registers::<S>(&from[k * depth..][..LANES]).0[0];
                }
                T::turn_over(s, &mut square);
                for k in 0..LANES {
                    T::registers_mut::<S>(&mut part[k * span + i..][..LANES]).0[0] = square[k];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_products_go_by_large_tiles_and_small_ones_by_small() {
        assert_eq!(tile_size(192 * 4, 16, 48), (192, 4));
        assert_eq!(tile_size(192 * 5, 16, 48), (192, 4));
        assert_eq!(tile_size(192 * 4, 12, 48), (48, 1));
        assert_eq!(tile_size(192 * 3 + 1, 13, 48), (192, 4));
        assert_eq!(tile_size(1, 1, 192), (192, 1));
    }

    /// The size of the first tile, and how many there are, of so many matrices.
    fn first_and_count(count: usize, (rows, columns): (usize, usize)) -> ((usize, usize), usize) {
        let seen = std::sync::Mutex::new(Vec::new());
        let mut matrices = vec![0.0_f32; count * rows * columns];
        for_each_tile(Threads::ONE, &mut matrices, (rows, columns), tile_sizes(8), |i, mut tile| {
            tile.rows.iter_mut().for_each(|row| row.fill((i + 1) as f32));
            seen.lock().unwrap().push((tile.rows.len(), tile.width()));
        });
        let expected = (0..matrices.len()).map(|at| (at / (rows * columns) + 1) as f32);
        assert!(matrices.into_iter().eq(expected));
        let seen = seen.into_inner().unwrap();
        (seen[0], seen.len())
    }

    #[test]
    fn many_matrices_or_large_ones_go_by_large_tiles() {
        assert_eq!(first_and_count(15, (200, 8)), ((192, 8), 30));
        assert_eq!(first_and_count(1, (200, 40)), ((48, 8), 25));
        assert_eq!(first_and_count(1, (200, 512)), ((192, 32), 32));
        assert_eq!(first_and_count(16, (49, 9)), ((49, 9), 16));
        assert_eq!(first_and_count(15, (49, 9)), ((48, 8), 60));
    }

    #[test]
    fn four_mebibytes_are_packed_at_once() {
        assert_eq!(band::<f32>(1024, 64), 1024);
        assert_eq!(band::<f64>(1024, 32), 512);
        assert_eq!(band::<f64>(1000, 32), 512);
        assert_eq!(band::<f32>(LONGEST_ROW, 64), 64);
        assert_eq!(band::<f32>(0, 16), 1 << 20);
        assert_eq!(LONGEST_ROW, 1_048_576);
    }

    #[test]
    fn a_tile_takes_no_more_memory_than_it_needs() {
        assert_eq!(multiply::memory(192, 256, 64), 128 * 64 + 204 * 256 + 128 * 204);
        assert_eq!(multiply::memory(1, 65, 32), 128 * 32 + 13 * 96 + 128 * 13);
    }

    /// A panel's registers and the factors' fit into those that there are.
    #[test]
    fn panels_are_as_wide_as_the_columns_or_the_registers() {
        for isa in Isa::available() {
            let (lanes, most) = match isa {
                Isa::V4 => (16, 64),
                Isa::V3 => (8, 16),
                Isa::Neon => (4, 16),
                Isa::Scalar => (1, 2),
            };
            let span = |width| span::<f32>(isa, width);
            assert_eq!([0, 1, lanes, lanes + 1].map(span), [lanes, lanes, lanes, 2 * lanes], "{isa}");
            assert_eq!([most - lanes, most, 1000].map(span), [most - lanes, most, most], "{isa}");
        }
    }
}
