//! Rows of a table, gathered by index, and gradients added up by row.
//!
//! The plain loops are `y[place] = w[row[place]]`, and backward `dw[row[place]] += g[place]`. We depart from them:
//! 1. forward, threads take places that the shape alone decides on;
//! 2. backward, places are first sorted by row, without changing their order within a row; threads then take rows, so that each
//!    row is written by one thread, and its gradients are added in the order of the plain loop, whatever the number of threads.

use super::elementwise::TASK;
use crate::counters::{self, Counter};
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
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
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::Embedding, Isa::of::<S>());
        for (y, row) in self.y.split(self.size).zip(self.rows) {
            y.open().copy_from_slice(&self.w[row * self.size..][..self.size]);
        }
    }
}

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
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places.sort_by_key(|place| rows[*place]); // 2
        let mut starts: Vec<(usize, usize)> = Vec::new();
        for (i, place) in places.iter().enumerate() {
            if starts.last().is_none_or(|(row, _)| *row != rows[*place]) {
                starts.push((rows[*place], i));
            }
        }
        Self { rows: starts, places }
    }

    /// The places that hold the `i`-th of the rows that occur.
    fn of(&self, i: usize) -> &[usize] {
        let end = self.rows.get(i + 1).map_or(self.places.len(), |(_, start)| *start);
        &self.places[self.rows[i].1..end]
    }
}

/// Adds to each of the `sums`, given with the number of its row among those that occur, the gradients of the row's places; or,
/// `by_frequency`, their mean.
pub fn scatter<T: Lanes>(
    (isa, threads): (Isa, Threads),
    places: &Places,
    g: &[T],
    by_frequency: bool,
    mut sums: Vec<(usize, &mut [T])>,
) {
    let size = sums.first().map_or(0, |(_, sum)| sum.len());
    let copies = places.places.len().div_ceil(sums.len().max(1)).max(1);
    let rows = (TASK / size.max(1) / copies).max(1);
    threads::for_each(threads, sums.chunks_mut(rows), |sums| {
        simd::run(isa, Scatter { places, g, by_frequency, sums });
    });
}

struct Scatter<'a, 'b, T> {
    places: &'a Places,
    g: &'a [T],
    by_frequency: bool,
    sums: &'a mut [(usize, &'b mut [T])],
}

impl<T: Lanes> Kernel for Scatter<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::Embedding, Isa::of::<S>());
        for (i, sum) in self.sums {
            let places = self.places.of(*i);
            let share = T::ONE / T::narrow(places.len() as f64);
            for place in places {
                let g = &self.g[place * sum.len()..][..sum.len()];
                if self.by_frequency {
                    sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += *g * share);
                } else {
                    sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += *g);
                }
            }
        }
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
