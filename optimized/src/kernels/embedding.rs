//! Rows of a table, gathered by index, and gradients added up by row.
//!
//! The plain loops are `y[place] = w[row[place]]`, and backward `dw[row[place]] += g[place]`. We depart from them:
//! 1. forward, threads take places that the shape alone decides on; while a row is copied, register by register, four others are on
//!    their way, which were asked for, and where rows are many they are written past the caches; short rows are copied as they come, by
//!    as many registers as the compiler knows;
//! 2. backward, places are first sorted by row, without changing their order within a row; threads then take rows, so that each
//!    row is written by one thread, and its gradients are added in the order of the plain loop, whatever the number of threads;
//! 3. rows that do not occur, most of them where the table is large, become zeros as the threads come by, past the caches.

use super::elementwise::{Equal, Split, TASK};
use crate::counters::{self, Counter};
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, Simd, prefetch_all};
use crate::threads::{self, Threads};

/// `y[place] = w[row[place]]`, for rows of `size` elements.
pub fn gather<T: Lanes>(
    (isa, threads): (Isa, Threads),
    (w, size): (&[T], usize),
    rows: &[usize],
    mut y: Output<'_, T>,
) {
    let places = (TASK / size.max(1)).max(1);
    threads::for_each(threads, y.blocks(places * size).zip(rows.chunks(places)), |(y, rows)| {
        simd::run(isa, Gather { w, size, rows, y }); // 1
    });
}

struct Gather<'a, T> {
    w: &'a [T],
    size: usize,
    rows: &'a [usize],
    y: Block<'a, T>,
}

impl<T: Lanes> Kernel for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::Embedding, Isa::of::<S>());
        let Self { w, size, rows, y } = self;
        if size * size_of::<T>() < SHORT_ROW {
            let together = OPENED / size;
            for (y, rows) in y.split(together * size).zip(rows.chunks(together)) {
                copy::<T, S>((w, size), rows, y.open());
            }
            return;
        }
        for (i, (y, row)) in y.split(size).zip(rows).enumerate() {
            if let Some(row) = rows.get(i + AHEAD) {
                prefetch_all(&w[row * size..][..size.min(ASKED_FOR / size_of::<T>())]);
            }
            y.fill(s, Split::new(&w[row * size..][..size]));
        }
    }
}

/// Copies short rows that fill a register: by as many as the compiler knows, the last of which ends where the row does, and overlaps the
/// one before; those of more than twelve, which a few hundred bytes are of narrow registers, by `memcpy`. 128 rows of 65 f32 take 1.36 µs
/// so on Zen 4, and 1.75 by `memcpy`; of 64, 1.17 and 1.20.
#[inline(always)]
fn copy<T: Lanes, S: Simd>((w, size): (&[T], usize), rows: &[usize], y: &mut [T]) {
    macro_rules! by_registers {
        ($($n:literal)*) => {
            match size.div_ceil(T::lanes::<S>()) {
                $($n if size >= T::lanes::<S>() => copy_registers::<T, S, $n>((w, size), rows, y),)*
                _ => {
                    for (y, row) in y.chunks_exact_mut(size).zip(rows) {
                        y.copy_from_slice(&w[row * size..][..size]);
                    }
                }
            }
        };
    }
    by_registers!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Copies rows of so many elements as take N registers, and fill one.
#[inline(always)]
fn copy_registers<T: Lanes, S: Simd, const N: usize>((w, size): (&[T], usize), rows: &[usize], y: &mut [T]) {
    let last = size - T::lanes::<S>();
    for (y, row) in y.chunks_exact_mut(size).zip(rows) {
        let x = &w[row * size..][..size];
        let (from, to) = (&T::registers::<S>(x).0[..N - 1], &mut T::registers_mut::<S>(y).0[..N - 1]);
        to.copy_from_slice(from);
        T::registers_mut::<S>(&mut y[last..]).0[0] = T::registers::<S>(&x[last..]).0[0];
    }
}

/// Rows of fewer bytes are opened together and copied as they come: 64 rows of 64 f32 take 0.6 µs so on Zen 5, in new memory, and 1.0
/// where each is filled, and counted, by itself. Rows of 100 `f64` take as long either way, and of 300 a tenth less filled.
const SHORT_ROW: usize = 768;

/// Elements of short rows that are opened together: half a first-level cache of `f64`.
const OPENED: usize = 1 << 11;

/// So many rows ahead are asked for: 4096 of 256 `f64` take 0.22 ms on one thread of Zen 5, from 2 to 16 rows ahead, and 0.26 without.
const AHEAD: usize = 4;

/// Bytes of a row at most that are asked for: the machine finds the others itself.
const ASKED_FOR: usize = 1 << 12;

/// The places that hold each row.
pub struct Places {
    /// The rows that occur, in ascending order, and where their places begin.
    pub rows: Vec<(usize, usize)>,
    /// The places, row after row, in ascending order within each.
    places: Vec<usize>,
}

impl Places {
    /// Of the row that each place holds.
    pub fn new(rows: &[usize]) -> Self {
        let mut pairs: Vec<(usize, usize)> = rows.iter().copied().zip(0..).collect();
        pairs.sort_unstable(); // 2
        let mut starts: Vec<(usize, usize)> = Vec::new();
        for (i, (row, _)) in pairs.iter().enumerate() {
            if starts.last().is_none_or(|(last, _)| last != row) {
                starts.push((*row, i));
            }
        }
        Self { rows: starts, places: pairs.into_iter().map(|(_, place)| place).collect() }
    }

    /// The places that hold the `i`-th of the rows that occur.
    fn of(&self, i: usize) -> &[usize] {
        let end = self.rows.get(i + 1).map_or(self.places.len(), |(_, start)| *start);
        &self.places[self.rows[i].1..end]
    }
}

/// Which rows of the gradient are sums, and of what.
pub struct Sums<'a> {
    pub places: &'a Places,
    /// The number of each row among those that occur, and where its sum stands in the gradient; in ascending order of both.
    pub rows: &'a [(usize, usize)],
    /// Whether a sum is divided by the number of its places.
    pub by_frequency: bool,
}

/// Each row of `dw`, of `size` elements, becomes the sum of the gradients of its places, or zeros.
pub fn scatter<T: Lanes>(
    (isa, threads): (Isa, Threads),
    sums: &Sums<'_>,
    (g, size): (&[T], usize),
    mut dw: Output<'_, T>,
) {
    let copies = sums.places.places.len().div_ceil((dw.len() / size).max(1)).max(1);
    let rows = (TASK / size / copies).max(1);
    threads::for_each(threads, dw.blocks(rows * size).enumerate(), |(task, dw)| {
        simd::run(isa, Scatter { sums, g, size, first: task * rows, dw });
    });
}

struct Scatter<'a, 'b, T> {
    sums: &'a Sums<'b>,
    g: &'a [T],
    size: usize,
    /// The first row of the block.
    first: usize,
    dw: Block<'a, T>,
}

impl<T: Lanes> Kernel for Scatter<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::Embedding, Isa::of::<S>());
        let Self { sums, g, size, first, dw } = self;
        let end = first + dw.len() / size;
        let zeros = Equal(T::ZERO);
        let (mut rest, mut at) = (dw, first);
        for (i, row) in &sums.rows[sums.rows.partition_point(|(_, row)| *row < first)..] {
            if *row >= end {
                break;
            }
            let (absent, others) = rest.split_at((row - at) * size);
            absent.fill(s, zeros); // 3
            let (sum, others) = others.split_at(size);
            let sum = sum.open();
            sum.fill(T::ZERO);
            let places = sums.places.of(*i);
            let share = T::ONE / T::narrow(places.len() as f64);
            for place in places {
                let g = &g[place * size..][..size];
                if sums.by_frequency {
                    for (sum, g) in sum.iter_mut().zip(g) {
                        *sum += *g * share;
                    }
                } else {
                    for (sum, g) in sum.iter_mut().zip(g) {
                        *sum += *g;
                    }
                }
            }
            (rest, at) = (others, row + 1);
        }
        rest.fill(s, zeros);
    }
}

/// The p-norm of a row; of a single number its magnitude, whatever p is, unless it is 0.
pub fn norm<T: Lanes>(row: &[T], p: f64) -> T {
    let nan = |x: &&T| x.widen().is_nan();
    let magnitudes = || row.iter().map(|w| w.magnitude());
    let sum =
        |term: fn(f64, f64) -> f64| row.iter().fold(T::ZERO, |sum, w| sum + T::narrow(term(w.magnitude().widen(), p)));
    match p {
        p if row.len() == 1 && p != 0.0 => row[0].magnitude(),
        0.0 => sum(|w, _| if w <= 0.0 { 0.0 } else { 1.0 }),
        _ if p.is_infinite() => row.iter().find(nan).copied().unwrap_or_else(|| {
            let better = |a: T, b: T| if (a < b) == (p > 0.0) { b } else { a };
            magnitudes().reduce(better).unwrap_or(T::ZERO)
        }),
        1.0 => sum(|w, _| w),
        2.0 => T::narrow(magnitudes().fold(T::ZERO, |sum, w| sum + w * w).widen().sqrt()),
        p => T::narrow(sum(f64::powf).widen().powf(1.0 / p)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_are_copied_whatever_their_length<T: Lanes>(isa: Isa) {
        let long = SHORT_ROW / size_of::<T>();
        for size in (1..=long + 1).chain([256, 2001]) {
            let w: Vec<T> = (0..7 * size).map(|i| T::narrow(i as f64)).collect();
            for places in [1, AHEAD, AHEAD + 1, 300] {
                let rows: Vec<usize> = (0..places).map(|i| (i * 5 + 6) % 7).collect();
                let mut y = vec![T::narrow(f64::NAN); places * size];
                gather((isa, Threads::ONE), (&w, size), &rows, Output::Given(&mut y));
                for (y, row) in y.chunks(size).zip(rows) {
                    assert!(*y == w[row * size..][..size], "{isa}, {size} elements, {places} places");
                }
            }
        }
    }

    #[test]
    fn rows_are_copied() {
        for isa in Isa::available() {
            rows_are_copied_whatever_their_length::<f32>(isa);
            rows_are_copied_whatever_their_length::<f64>(isa);
        }
    }

    #[test]
    fn places_are_sorted_by_row_and_keep_their_order() {
        let places = Places::new(&[7, 2, 7, 0, 2, 7]);
        assert_eq!(places.rows, [(0, 0), (2, 1), (7, 3)]);
        assert_eq!((places.of(0), places.of(1), places.of(2)), (&[3][..], &[1, 4][..], &[0, 2, 5][..]));
        assert!(Places::new(&[]).rows.is_empty());
    }

    #[test]
    fn norms_are_those_of_the_definition() {
        let row = [3.0, -4.0, 0.0];
        assert_eq!([0.0, 1.0, 2.0, f64::INFINITY, f64::NEG_INFINITY].map(|p| norm(&row, p)), [2.0, 7.0, 5.0, 4.0, 0.0]);
        assert!((norm(&row, 3.0) - 91.0_f64.cbrt()).abs() < 1e-14);
        assert_eq!([-1.0, 0.0, f64::NAN].map(|p| norm(&[-2.0_f32], p)), [2.0, 1.0, 2.0]);
        assert!(norm(&[1.0, f64::NAN], f64::INFINITY).is_nan() && norm(&[f64::NAN, 1.0], f64::NEG_INFINITY).is_nan());
    }
}
