//! Products of matrices, straight from memory: for one row, or a few, where packing would cost more than it saves.
//!
//! The plain loop is `y[b][o] = Σ_i x[b][i]·w[o][i] + bias[o]`, and for the gradients `c[m][n] = Σ_k a(m, k)·r[k][n]`. We
//! depart from it:
//! 1. forward: several rows of w at once against a register of x, each product with an accumulator of its own, so that x is
//!    loaded once for all of them, and no sum waits for the one before;
//! 2. backward: a block of r's columns stays in registers while k runs, so that c is written once;
//! 3. threads take tiles of the output that its shape decides on.

use super::tiles::{Tile, tiles};
use crate::counters::{self, Counter};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Multiply-adds of a task of one thread, about: 10 µs.
const TASK: usize = 1 << 18;

/// The tiles of a product of `columns` columns, each element of which takes `depth` multiply-adds.
fn tile_size(rows: usize, columns: usize, depth: usize) -> (usize, usize) {
    let height = rows.clamp(1, 64);
    let width = TASK / (depth.max(1) * height);
    (height, width.next_multiple_of(64).min(columns.max(1)))
}

/// `y = x·wᵀ + bias`, of rows of `depth` elements in x and w.
pub fn forward<T: Lanes>(
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    depth: usize,
    (y, columns): (&mut [T], usize),
) {
    let size = tile_size(y.len() / columns.max(1), columns, depth);
    let tiles = tiles(y, columns, size); // 3
    threads::for_each(threads, tiles.into_iter(), |tile| simd::run(isa, Dots { x, w, bias, depth, tile }));
}

struct Dots<'a, T> {
    x: &'a [T],
    w: &'a [T],
    bias: Option<&'a [T]>,
    depth: usize,
    tile: Tile<'a, T>,
}

impl<T: Lanes> Kernel for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::LinearDot, Isa::of::<S>());
        let Self { x, w, bias, depth, mut tile } = self;
        let (row, column, width) = (tile.row, tile.column, tile.width());
        let x_row = |b: usize| &x[(row + b) * depth..(row + b + 1) * depth];
        let w_row = |o: usize| &w[(column + o) * depth..(column + o + 1) * depth];
        let bias = |o: usize, product| bias.map_or(product, |bias| product + bias[column + o]);
        let eights = width / 8 * 8;
        for (b, y) in tile.rows.iter_mut().enumerate() {
            for o in (0..eights).step_by(8) {
                let products = products::<T, S, 8>(s, x_row(b), std::array::from_fn(|i| w_row(o + i))); // 1
                (0..8).for_each(|i| y[o + i] = bias(o + i, products[i]));
            }
            for o in eights..width {
                let [product] = products::<T, S, 1>(s, x_row(b), [w_row(o)]);
                y[o] = bias(o, product);
            }
        }
    }
}

/// The dot products of x and each row of w.
#[inline(always)]
fn products<T: Lanes, S: Simd, const N: usize>(s: S, x: &[T], w: [&[T]; N]) -> [T; N] {
    let (x, x_tail) = T::registers::<S>(x);
    let split = w.map(|w| T::registers::<S>(w));
    let mut sums = [T::splat(s, T::ZERO); N];
    for (i, &x) in x.iter().enumerate() {
        for (sum, w) in sums.iter_mut().zip(&split) {
            *sum = T::multiply_add(s, x, w.0[i], *sum);
        }
    }
    if !x_tail.is_empty() {
        let x = T::load_partial(s, x_tail);
        for (sum, w) in sums.iter_mut().zip(&split) {
            *sum = T::multiply_add(s, x, T::load_partial(s, w.1), *sum);
        }
    }
    sums.map(|sum| T::sum(s, sum))
}

/// A left factor read element by element: a(m, k) = elements[m·steps.0 + k·steps.1].
#[derive(Clone, Copy)]
pub struct Left<'a, T> {
    pub elements: &'a [T],
    pub steps: (usize, usize),
}

/// `c = a·r`, for rows of `columns` elements in r and c, `depth` of them in r.
pub fn product<T: Lanes>(
    (isa, threads): (Isa, Threads),
    a: Left<'_, T>,
    (r, depth): (&[T], usize),
    (c, columns): (&mut [T], usize),
) {
    let size = tile_size(c.len() / columns.max(1), columns, depth);
    let tiles = tiles(c, columns, size); // 3
    threads::for_each(threads, tiles.into_iter(), |tile| simd::run(isa, Product { a, r, depth, columns, tile }));
}

struct Product<'a, T> {
    a: Left<'a, T>,
    r: &'a [T],
    depth: usize,
    columns: usize,
    tile: Tile<'a, T>,
}

impl<T: Lanes> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::LinearDot, Isa::of::<S>());
        let Self { a, r, depth, columns, mut tile } = self;
        let (row, column, width) = (tile.row, tile.column, tile.width());
        let block = 8 * T::lanes::<S>();
        let single = T::lanes::<S>();
        for (m, c) in tile.rows.iter_mut().enumerate() {
            let a = |k: usize| a.elements[(row + m) * a.steps.0 + k * a.steps.1];
            let r = |k: usize, from: usize, len: usize| &r[k * columns + column + from..][..len];
            let mut at = 0;
            while at + block <= width {
                accumulate::<T, S, 8>(s, depth, a, |k| r(k, at, block), &mut c[at..at + block]); // 2
                at += block;
            }
            while at + single <= width {
                accumulate::<T, S, 1>(s, depth, a, |k| r(k, at, single), &mut c[at..at + single]);
                at += single;
            }
            if at < width {
                let mut sum = T::splat(s, T::ZERO);
                for k in 0..depth {
                    sum = T::multiply_add(s, T::splat(s, a(k)), T::load_partial(s, r(k, at, width - at)), sum);
                }
                T::store_partial(s, &mut c[at..], sum);
            }
        }
    }
}

/// `c = Σ_k a(k)·r(k)`, for N registers.
#[inline(always)]
fn accumulate<'a, T: Lanes, S: Simd, const N: usize>(
    s: S,
    depth: usize,
    a: impl Fn(usize) -> T,
    r: impl Fn(usize) -> &'a [T],
    c: &mut [T],
) {
    let mut sums = [T::splat(s, T::ZERO); N];
    for k in 0..depth {
        let factor = T::splat(s, a(k));
        let (registers, _) = T::registers::<S>(r(k));
        for (sum, &r) in sums.iter_mut().zip(registers) {
            *sum = T::multiply_add(s, factor, r, *sum);
        }
    }
    let (registers, _) = T::registers_mut::<S>(c);
    registers.iter_mut().zip(sums).for_each(|(c, sum)| *c = sum);
}
