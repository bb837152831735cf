//! Products of matrices at the speed of the processor's multiply-adds, at any instruction set.
//!
//! The plain loop is `c[m][n] = Σ_k a(m, k)·r(k, n)`. We depart from it:
//! 1. a micro-tile of c, several elements of a by several registers of r, stays in registers while k runs over [`DEPTH`]
//!    elements: each register that is loaded takes part in six products or more;
//! 2. those elements of r, a *panel* of a few registers' width, are packed side by side, and stay in the first-level cache
//!    for all rows of a tile; longer sums are joined in a tile that lies in that cache as well;
//! 3. where r's columns lie along memory (x in x·wᵀ), r is packed once for all tiles, as turning it over costs more than
//!    copying it;
//! 4. x·wᵀ is computed as (w·xᵀ)ᵀ: the larger factor, w, is only ever read as it lies, and a tile is turned over, and the
//!    bias added, while it is in cache;
//! 5. threads take tiles that the shapes alone decide on.

use super::tiles::{Tile, tiles};
use crate::counters::{self, Counter};
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::marker::PhantomData;

/// Terms summed in registers: a panel of so many rows takes 32 KiB at most.
const DEPTH: usize = 128;

/// Rows of a tile.
const ROWS: usize = 192;

/// Panels of a tile.
const PANELS: usize = 4;

/// Fewer tiles than this are made smaller.
const FEW_TILES: usize = 16;

/// The most rows of a micro-tile.
const MOST_ROWS: usize = 12;

/// Bytes of r packed at once for all tiles, about: 4 MiB.
const PACKED: usize = 1 << 22;

/// Rows of more elements are not packed: a panel of them would take half a gigabyte and more.
pub const LONGEST_ROW: usize = 1 << 20;

/// A matrix in memory, and the distance between its rows (or columns).
#[derive(Clone, Copy)]
pub enum Matrix<'a, T> {
    /// Element (i, j) is `elements[i·step + j]`.
    Rows(&'a [T], usize),
    /// Element (i, j) is `elements[j·step + i]`.
    Columns(&'a [T], usize),
}

/// `c = a·r`, for rows of `columns` elements in r and c, with sums of `depth` terms.
pub fn product<T: Lanes>(
    (isa, threads): (Isa, Threads),
    a: Matrix<'_, T>,
    r: &[T],
    depth: usize,
    (c, columns): (&mut [T], usize),
) {
    let span = simd::run(isa, Span { width: columns, element: PhantomData::<T> });
    let (height, panels) = tile_size(c.len() / columns.max(1), columns.div_ceil(span), ROWS);
    let tiles = tiles(c, columns, (height, panels * span)); // 5
    threads::for_each(threads, tiles.into_iter(), |tile| {
        let r = Factor::AsItLies { elements: r, step: columns, column: tile.column };
        let (first, output) = (tile.row, Output::Plain(tile));
        Multiply { a, first, r, depth, span, output, memory: &mut [] }.run(isa);
    });
}

/// `y = x·wᵀ + bias`, for rows of `depth` elements in x and w.
pub fn forward<T: Lanes>(
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    depth: usize,
    (y, columns): (&mut [T], usize),
) {
    let rows = y.len() / columns.max(1);
    let span = simd::run(isa, Span { width: rows, element: PhantomData::<T> });
    let band = band::<T>(depth, span);
    for (i, y) in y.chunks_mut((band * columns).max(1)).enumerate() {
        let rows = y.len() / columns;
        scratch(rows.next_multiple_of(span) * depth, |packed| {
            pack((isa, threads), &x[i * band * depth..][..rows * depth], (depth, span), packed); // 3
            let packed = &*packed;
            let (height, panels) = tile_size(columns, rows.div_ceil(span), ROWS / 4);
            let tiles = tiles(y, columns, (panels * span, height)); // 5
            threads::for_each(threads, tiles.into_iter(), |tile| {
                let r = Factor::Packed(&packed[tile.row * depth..]);
                let (a, first) = (Matrix::Rows(w, depth), tile.column);
                let output = Output::Turned(tile, bias); // 4
                Multiply { a, first, r, depth, span, output, memory: &mut [] }.run(isa);
            });
        });
    }
}

/// Rows of x packed at once, whole panels of `span` of them.
fn band<T>(depth: usize, span: usize) -> usize {
    (PACKED / size_of::<T>() / depth.max(1) / span).max(1) * span
}

/// Rows of a, and panels of r, of a tile of their product; `few` rows and one panel, where that makes too few tiles for threads
/// to end together.
fn tile_size(rows: usize, panels: usize, few: usize) -> (usize, usize) {
    let tiles = rows.div_ceil(ROWS) * panels.div_ceil(PANELS);
    if tiles < FEW_TILES { (few, 1) } else { (ROWS, PANELS) }
}

/// The width of the panels of a factor of so many columns: as many registers as leave room for six times as many, and for
/// the factors; fewer, where the columns are fewer.
struct Span<T> {
    width: usize,
    element: PhantomData<T>,
}

/// The most registers of a panel.
#[inline(always)]
fn panel_registers<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

impl<T: Lanes> Kernel for Span<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        self.width.div_ceil(T::lanes::<S>()).clamp(1, panel_registers::<S>()) * T::lanes::<S>()
    }
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
    fn with_simd<S: Simd>(self, _: S) {
        const SIDE: usize = 16;
        let Self { x, depth, first, span, part } = self;
        let (rows, columns) = (x.len() / depth, part.len() / span);
        for j in (0..columns).step_by(SIDE) {
            for i in (0..rows).step_by(SIDE) {
                for j in j..columns.min(j + SIDE) {
                    let from = &x[i * depth + first + j..];
                    let to = &mut part[j * span + i..][..SIDE.min(rows - i)];
                    to.iter_mut().zip(from.iter().step_by(depth)).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Some columns of r, in panels.
#[derive(Clone, Copy)]
enum Factor<'a, T> {
    /// Panel after panel, row after row.
    Packed(&'a [T]),
    /// From `column` on, in rows of `step` elements.
    AsItLies { elements: &'a [T], step: usize, column: usize },
}

enum Output<'a, T> {
    /// A tile of c.
    Plain(Tile<'a, T>),
    /// A tile of the transpose of c, and an addend for each of its columns.
    Turned(Tile<'a, T>, Option<&'a [T]>),
}

impl<T> Output<'_, T> {
    /// Rows and columns of the tile of c.
    fn size(&self) -> (usize, usize) {
        match self {
            Output::Plain(tile) => (tile.rows.len(), tile.width()),
            Output::Turned(tile, _) => (tile.width(), tile.rows.len()),
        }
    }
}

/// Some panels times the rows of a from `first` on.
struct Multiply<'a, T> {
    a: Matrix<'a, T>,
    first: usize,
    r: Factor<'a, T>,
    depth: usize,
    span: usize,
    output: Output<'a, T>,
    memory: &'a mut [T],
}

impl<T: Lanes> Multiply<'_, T> {
    /// Runs it, with the memory that it needs.
    fn run(self, isa: Isa) {
        let (height, width) = self.output.size();
        scratch(memory(height, width, self.span), |memory| simd::run(isa, Multiply { memory, ..self }));
    }
}

/// Elements of memory for a tile of so many rows and columns, in panels of `span`: a panel of r, sums, and a part of a, whose
/// rows are filled up to whole micro-tiles.
fn memory(height: usize, width: usize, span: usize) -> usize {
    let padded = height + MOST_ROWS;
    DEPTH * span + padded * width.next_multiple_of(span) + DEPTH * padded
}

impl<T: Lanes> Kernel for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::LinearPacked, Isa::of::<S>());
        // Accumulators, a row of the panel and one element of a make 30 registers at most, or 15.
        match (panel_registers::<S>(), self.span / T::lanes::<S>()) {
            (4, 2) => self.tile::<S, 12, 2>(s),
            (4, 3) => self.tile::<S, 8, 3>(s),
            (4, 4) => self.tile::<S, 6, 4>(s),
            (2, 2) => self.tile::<S, 6, 2>(s),
            _ => self.tile::<S, 12, 1>(s),
        }
    }
}

impl<T: Lanes> Multiply<'_, T> {
    /// The tile, by micro-tiles of M rows and V registers.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(self, s: S) {
        let Self { a, first, r, depth, span, mut output, memory } = self;
        let (height, width) = output.size();
        let (padded, panels) = (height.next_multiple_of(M), width.div_ceil(span));
        let (copied_r, memory) = memory.split_at_mut(DEPTH * span);
        let (sums, copied_a) = memory.split_at_mut(padded * span * panels);
        if depth == 0 {
            sums.fill(T::ZERO);
        }
        for from in (0..depth).step_by(DEPTH) {
            let count = DEPTH.min(depth - from);
            if let Matrix::Columns(elements, step) = a {
                copy_columns::<T, M>(&elements[from * step + first..], (step, count, height), copied_a); // 2
            }
            for (panel, sums) in sums.chunks_exact_mut(padded * span).enumerate() {
                let packed = match r {
                    Factor::Packed(elements) => &elements[(panel * depth + from) * span..][..count * span],
                    Factor::AsItLies { elements, step, column } => {
                        let width = span.min(width - panel * span);
                        let from = &elements[from * step + column + panel * span..];
                        let rows = copied_r.chunks_exact_mut(span).zip(from.chunks(step)).take(count);
                        for (row, from) in rows {
                            copy_row::<T, S, V>(s, row, &from[..width]); // 2
                        }
                        &copied_r[..count * span]
                    }
                };
                let (rows, _) = T::registers::<S>(packed).0.as_chunks::<V>();
                let (tiles, _) = T::registers_mut::<S>(sums).0.as_chunks_mut::<V>();
                for (i, sums) in tiles.chunks_exact_mut(M).enumerate() {
                    let products: [_; M] = match a {
                        Matrix::Rows(elements, step) => {
                            // Rows beyond the last are computed as the last, and not used.
                            let row = |m: usize| first + (i * M + m).min(height - 1);
                            let a: [&[T]; M] = std::array::from_fn(|m| &elements[row(m) * step + from..][..count]);
                            micro_tile(s, rows, |k| std::array::from_fn(|m| a[m][k]))
                        }
                        Matrix::Columns(..) => {
                            let (a, _) = copied_a[i * M * count..][..M * count].as_chunks::<M>();
                            micro_tile(s, rows, |k| a[k])
                        }
                    };
                    for (m, (sums, mut products)) in sums.iter_mut().zip(products).enumerate() {
                        if from > 0 {
                            for (sum, product) in sums.iter().zip(&mut products) {
                                *product = T::plus(s, *sum, *product);
                            }
                        }
                        // The last sums of whole panels go straight to where they belong.
                        match &mut output {
                            Output::Plain(tile) if from + count == depth && (panel + 1) * span <= width => {
                                if let Some(row) = tile.rows.get_mut(i * M + m) {
                                    let (row, _) = T::registers_mut::<S>(&mut row[panel * span..][..span]);
                                    row.copy_from_slice(&products);
                                }
                            }
                            _ => *sums = products,
                        }
                    }
                }
            }
        }
        let written = if depth > 0 { width / span * span } else { 0 };
        write(sums, (span, padded), (first, written), output);
    }
}

/// Copies a row of a panel of V registers, the last of which it may not fill.
#[inline(always)]
fn copy_row<T: Lanes, S: Simd, const V: usize>(s: S, row: &mut [T], from: &[T]) {
    let ((row, _), (from, rest)) = (T::registers_mut::<S>(row), T::registers::<S>(from));
    if from.len() == V {
        (0..V).for_each(|v| row[v] = from[v]);
    } else {
        row[..from.len()].copy_from_slice(from);
        row[from.len()] = T::load_partial(s, rest);
    }
}

/// Copies the first `height` elements of each of `count` rows, M at a time: row after row of the first M, then of the next.
#[inline(always)]
fn copy_columns<T: Lanes, const M: usize>(
    elements: &[T],
    (step, count, height): (usize, usize, usize),
    copied: &mut [T],
) {
    for (k, row) in elements.chunks(step).take(count).enumerate() {
        let (full, rest) = row[..height].as_chunks::<M>();
        let (copied, _) = copied.as_chunks_mut::<M>();
        for (i, a) in full.iter().enumerate() {
            copied[i * count + k] = *a;
        }
        if !rest.is_empty() {
            copied[full.len() * count + k][..rest.len()].copy_from_slice(rest);
        }
    }
}

/// `sums[m][v] = Σ_k a(k)[m]·rows[k][v]`.
#[inline(always)]
fn micro_tile<T: Lanes, S: Simd, const M: usize, const V: usize>(
    s: S,
    rows: &[[T::Register<S>; V]],
    a: impl Fn(usize) -> [T; M],
) -> [[T::Register<S>; V]; M] {
    let mut sums = [[T::splat(s, T::ZERO); V]; M];
    for (k, row) in rows.iter().enumerate() {
        let a = a(k);
        for m in 0..M {
            let a = T::splat(s, a[m]);
            for v in 0..V {
                sums[m][v] = T::multiply_add(s, a, row[v], sums[m][v]);
            }
        }
    }
    sums
}

/// Moves the sums, panel after panel of `padded` rows of `span` elements, to where they belong; of a plain tile, the first
/// `written` columns are there already.
#[inline(always)]
fn write<T: Lanes>(
    sums: &[T],
    (span, padded): (usize, usize),
    (first, written): (usize, usize),
    output: Output<'_, T>,
) {
    match output {
        Output::Plain(tile) => {
            let panels = written / span;
            for (m, c) in tile.rows.into_iter().enumerate() {
                for (panel, c) in c.chunks_mut(span).enumerate().skip(panels) {
                    c.copy_from_slice(&sums[(panel * padded + m) * span..][..c.len()]);
                }
            }
        }
        Output::Turned(tile, addend) => {
            for (n, c) in tile.rows.into_iter().enumerate() {
                let (panel, column) = (n / span, n % span);
                let column = sums[panel * padded * span + column..].iter().step_by(span);
                match addend {
                    Some(addend) => {
                        let terms = column.zip(&addend[first..]);
                        c.iter_mut().zip(terms).for_each(|(c, (sum, addend))| *c = *sum + *addend);
                    }
                    None => c.iter_mut().zip(column).for_each(|(c, sum)| *c = *sum),
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
        assert_eq!(memory(192, 256, 64), 128 * 64 + 204 * 256 + 128 * 204);
        assert_eq!(memory(1, 65, 32), 128 * 32 + 13 * 96 + 128 * 13);
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
            let span = |width| simd::run(isa, Span { width, element: PhantomData::<f32> });
            assert_eq!([0, 1, lanes, lanes + 1].map(span), [lanes, lanes, lanes, 2 * lanes], "{isa}");
            assert_eq!([most - lanes, most, 1000].map(span), [most - lanes, most, most], "{isa}");
        }
    }
}
