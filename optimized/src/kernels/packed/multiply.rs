//! A tile of a product: the loops. Numbers are those of the departures that the parent file lists.

use super::super::tiles::Tile;
use crate::counters::{self, Counter};
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use std::marker::PhantomData;
use std::ops::Range;

/// Terms summed in registers: a panel of so many rows takes 32 KiB at most.
pub const DEPTH: usize = 128;

/// The most rows of a micro-tile.
const MOST_ROWS: usize = 12;

/// A matrix that is not in memory as it is multiplied: it is made, part by part, where it is due.
pub trait Made<T>: Sync {
    /// Writes the elements of some rows and columns, row after row, each row `step` after the one before.
    fn part(&self, rows: Range<usize>, columns: Range<usize>, part: &mut [T], step: usize);
}

/// A left factor: a matrix in memory, and the distance between its rows (or columns), or one that is made.
#[derive(Clone, Copy)]
pub enum Matrix<'a, T> {
    /// Element (i, j) is `elements[i·step + j]`.
    Rows(&'a [T], usize),
    /// Element (i, j) is `elements[j·step + i]`.
    Columns(&'a [T], usize),
    /// As it is made.
    Made(&'a dyn Made<T>),
}

/// The width of the panels of a factor of so many columns: as many registers as leave room for six times as many, and for
/// the factors; fewer, where the columns are fewer.
pub struct Span<T> {
    pub width: usize,
    pub element: PhantomData<T>,
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

/// Some columns of r, in panels.
#[derive(Clone, Copy)]
pub enum Factor<'a, T> {
    /// Panel after panel, row after row.
    Packed(&'a [T]),
    /// From `column` on, in rows of `step` elements.
    AsItLies { elements: &'a [T], step: usize, column: usize },
    /// From `column` on, as they are made.
    Made { elements: &'a dyn Made<T>, column: usize },
}

pub enum Output<'a, T> {
    /// A tile of c, and an addend for each of its rows.
    Plain(Tile<&'a mut [T]>, Option<&'a [T]>),
    /// A tile of the transpose of c, and an addend for each of its columns.
    Turned(Tile<&'a mut [T]>, Option<&'a [T]>),
}

impl<T> Output<'_, T> {
    /// Rows and columns of the tile of c.
    fn size(&self) -> (usize, usize) {
        match self {
            Output::Plain(tile, _) => (tile.rows.len(), tile.width()),
            Output::Turned(tile, _) => (tile.width(), tile.rows.len()),
        }
    }
}

/// Some panels times the rows of a from `first` on, counted as a run of `counter`.
pub struct Multiply<'a, T> {
    pub counter: Counter,
    pub a: Matrix<'a, T>,
    pub first: usize,
    pub r: Factor<'a, T>,
    pub depth: usize,
    pub span: usize,
    pub output: Output<'a, T>,
}

impl<T: Lanes> Multiply<'_, T> {
    /// Runs it, with the memory that it needs.
    pub fn run(self, isa: Isa) {
        let (height, width) = self.output.size();
        scratch(memory(height, width, self.span), |memory| simd::run(isa, WithMemory { multiply: self, memory }));
    }
}

struct WithMemory<'a, T> {
    multiply: Multiply<'a, T>,
    memory: &'a mut [T],
}

/// Elements of memory for a tile of so many rows and columns, in panels of `span`: a panel of r, sums, and a part of a, whose
/// rows are filled up to whole micro-tiles.
pub fn memory(height: usize, width: usize, span: usize) -> usize {
    let padded = height + MOST_ROWS;
    DEPTH * span + padded * width.next_multiple_of(span) + DEPTH * padded
}

impl<T: Lanes> Kernel for WithMemory<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(self.multiply.counter, Isa::of::<S>());
        // Accumulators, a row of the panel and one element of a make 30 registers at most, or 15.
        match (panel_registers::<S>(), self.multiply.span / T::lanes::<S>()) {
            (4, 2) => self.tile::<S, 12, 2>(s),
            (4, 3) => self.tile::<S, 8, 3>(s),
            (4, 4) => self.tile::<S, 6, 4>(s),
            (2, 2) => self.tile::<S, 6, 2>(s),
            _ => self.tile::<S, 12, 1>(s),
        }
    }
}

impl<T: Lanes> WithMemory<'_, T> {
    /// The tile, by micro-tiles of M rows and V registers.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(self, s: S) {
        let Self { multiply: Multiply { a, first, r, depth, span, mut output, .. }, memory } = self;
        let (height, width) = output.size();
        let (padded, panels) = (height.next_multiple_of(M), width.div_ceil(span));
        let (copied_r, memory) = memory.split_at_mut(DEPTH * span);
        let (sums, copied_a) = memory.split_at_mut(padded * span * panels);
        if depth == 0 {
            sums.fill(T::ZERO);
        }
        for from in (0..depth).step_by(DEPTH) {
            let count = DEPTH.min(depth - from);
            match a {
                Matrix::Rows(..) => {}
                Matrix::Columns(elements, step) => {
                    copy_columns::<T, M>(&elements[from * step + first..], (step, count, height), copied_a); // 2
                }
                Matrix::Made(a) => a.part(first..first + height, from..from + count, copied_a, count), // 6
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
                    Factor::Made { elements, column } => {
                        let columns = column + panel * span..column + width.min((panel + 1) * span);
                        elements.part(from..from + count, columns, &mut copied_r[..count * span], span); // 6
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
                        Matrix::Made(_) => {
                            let row = |m: usize| (i * M + m).min(height - 1);
                            let a: [&[T]; M] = std::array::from_fn(|m| &copied_a[row(m) * count..][..count]);
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
                            Output::Plain(tile, addend) if from + count == depth && (panel + 1) * span <= width => {
                                if let Some(row) = tile.rows.get_mut(i * M + m) {
                                    if let Some(addend) = addend {
                                        let addend = T::splat(s, addend[i * M + m]);
                                        for product in &mut products {
                                            *product = T::plus(s, *product, addend);
                                        }
                                    }
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
        write(s, sums, (span, padded), (first, written), output);
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
fn write<T: Lanes, S: Simd>(
    s: S,
    sums: &[T],
    (span, padded): (usize, usize),
    (first, written): (usize, usize),
    output: Output<'_, T>,
) {
    match output {
        Output::Plain(tile, addend) => {
            let panels = written / span;
            for (m, c) in tile.rows.into_iter().enumerate() {
                for (panel, c) in c.chunks_mut(span).enumerate().skip(panels) {
                    c.copy_from_slice(&sums[(panel * padded + m) * span..][..c.len()]);
                    if let Some(addend) = addend {
                        c.iter_mut().for_each(|c| *c += addend[m]);
                    }
                }
            }
        }
        Output::Turned(tile, addend) => {
            let (mut rows, lanes) = (tile.rows, T::lanes::<S>());
            let addend = addend.map(|addend| &addend[first..]);
            for (i, rows) in rows.chunks_mut(lanes).enumerate() {
                let (panel, column) = (i * lanes / span, i * lanes % span);
                let sums = &sums[panel * padded * span + column..];
                match lanes {
                    16 => write_turned::<T, S, 16>(s, sums, span, addend, rows),
                    8 => write_turned::<T, S, 8>(s, sums, span, addend, rows),
                    4 => write_turned::<T, S, 4>(s, sums, span, addend, rows),
                    2 => write_turned::<T, S, 2>(s, sums, span, addend, rows),
                    _ => write_turned::<T, S, 1>(s, sums, span, addend, rows),
                }
            }
        }
    }
}

/// Writes a register's columns of rows of `span` sums as rows, to which addends are added: squares of as many rows as a register has
/// lanes are turned over in registers.
#[inline(always)]
fn write_turned<T: Lanes, S: Simd, const LANES: usize>(
    s: S,
    sums: &[T],
    span: usize,
    addend: Option<&[T]>,
    rows: &mut [&mut [T]],
) {
    let height = rows.first().map_or(0, |row| row.len());
    let mut first = 0;
    if let Some(rows) = rows.first_chunk_mut::<LANES>() {
        while first + LANES <= height {
            let mut square = [T::splat(s, T::ZERO); LANES];
            for i in 0..LANES {
                square[i] = T::registers::<S>(&sums[(first + i) * span..][..LANES]).0[0];
            }
            T::turn_over(s, &mut square);
            if let Some(addend) = addend {
                let addend = T::registers::<S>(&addend[first..][..LANES]).0[0];
                for register in &mut square {
                    *register = T::plus(s, *register, addend);
                }
            }
            for i in 0..LANES {
                T::registers_mut::<S>(&mut rows[i][first..][..LANES]).0[0] = square[i];
            }
            first += LANES;
        }
    }
    for (n, row) in rows.iter_mut().enumerate() {
        for m in first..height {
            let sum = sums[m * span + n];
            row[m] = addend.map_or(sum, |addend| sum + addend[m]);
        }
    }
}
