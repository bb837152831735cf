//! Products of matrices, straight from memory: for one row, or a few, where packing would cost more than it saves.
//!
//! The plain loop is `y[b][o] = Σ_i x[b][i]·w[o][i] + bias[o]`, and for the gradients `c[m][n] = Σ_k a(m, k)·r[k][n]`. We
//! depart from it:
//! 1. forward: several rows of w at once against a register of x or two, or one row against eight, each product with accumulators of
//!    its own, so that x is loaded once for all rows, and no sum waits for the one before;
//! 2. backward: four rows of c by a few registers stay in registers while k runs, so that c is written once, and r is loaded
//!    once for four rows;
//! 3. of sums of many terms, a few terms at a time are added to whole rows of c, which the first-level cache holds, so that r is read
//!    in the order in which it lies;
//! 4. threads take tiles of the output that its shape decides on.

use super::tiles::{Tile, tiles};
use crate::counters::{self, Counter};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Sums of more terms are made a few terms at a time. With 1024 inputs and outputs, backward of one row takes 0.16 ms so, and 0.38
/// where all sums stay in registers.
const MOST_IN_REGISTERS: usize = 16;

/// So many terms at a time.
const TERMS: usize = 4;

/// Rows of w of fewer elements are read eight at once, others by four; but where w has as many bytes as `LARGE`, all are read by eight,
/// since the more is asked of main memory at once, the sooner it comes. With one row of x, on one thread of Zen 4, 64x64 f32 takes 0.36 µs
/// by four and 0.33 by eight, 1024x1024 51 and 59, and 4096x4096 2.4 to 2.7 ms and 2.3 to 2.5.
const LONG: usize = 128;

/// See [`LONG`].
const LARGE: usize = 1 << 23;

/// Multiply-adds of a task of one thread, about: 10 µs.
const TASK: usize = 1 << 18;

/// The tiles of a product of `columns` columns, each element of which takes `depth` multiply-adds.
fn tile_size(rows: usize, columns: usize, depth: usize) -> (usize, usize) {
    let height = rows.clamp(1, 64);
    let width = (TASK / depth.max(1) / height).max(1);
    (height, width.next_multiple_of(64).min(columns.max(1)))
}

/// `y = x·wᵀ + bias`, of rows of `depth` elements in x and w; counted as a run of `counter`.
pub fn forward<T: Lanes>(
    counter: Counter,
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    depth: usize,
    (y, columns): (&mut [T], usize),
) {
    let size = tile_size(y.len() / columns.max(1), columns, depth);
    let tiles = tiles(y, columns, size); // 4
    threads::for_each(threads, tiles.into_iter(), |tile| simd::run(isa, Dots { counter, x, w, bias, depth, tile }));
}

struct Dots<'a, T> {
    counter: Counter,
    x: &'a [T],
    w: &'a [T],
    bias: Option<&'a [T]>,
    depth: usize,
    tile: Tile<&'a mut [T]>,
}

impl<T: Lanes> Kernel for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(self.counter, Isa::of::<S>());
        let Self { x, w, bias, depth, mut tile, .. } = self;
        let (row, column, width) = (tile.row, tile.column, tile.width());
        let x_row = |b: usize| &x[(row + b) * depth..(row + b + 1) * depth];
        let w_row = |o: usize| &w[(column + o) * depth..(column + o + 1) * depth];
        let bias = |o: usize, product| bias.map_or(product, |bias| product + bias[column + o]);
        let by_eights = depth < LONG || size_of_val(w) >= LARGE;
        let (eights, fours) = (if by_eights { width / 8 * 8 } else { 0 }, width / 4 * 4);
        for (b, y) in tile.rows.iter_mut().enumerate() {
            let x = x_row(b);
            // 1
            for o in (0..eights).step_by(8) {
                let products = products::<T, S, 8, 1>(s, x, std::array::from_fn(|i| w_row(o + i)));
                for i in 0..8 {
                    y[o + i] = bias(o + i, products[i]);
                }
            }
            for o in (eights..fours).step_by(4) {
                let products = products::<T, S, 4, 2>(s, x, std::array::from_fn(|i| w_row(o + i)));
                for i in 0..4 {
                    y[o + i] = bias(o + i, products[i]);
                }
            }
            for o in fours..width {
                let [product] = products::<T, S, 1, 8>(s, x, [w_row(o)]);
                y[o] = bias(o, product);
            }
        }
    }
}

/// The dot products of x and each row of w, of R rows and N registers at a time.
#[inline(always)]
fn products<T: Lanes, S: Simd, const R: usize, const N: usize>(s: S, x: &[T], w: [&[T]; R]) -> [T; R] {
    let (x, x_tail) = T::registers::<S>(x);
    let (x, x_rest) = x.as_chunks::<N>();
    let mut rows = [(x, x_rest, x_tail); R];
    for (row, w) in rows.iter_mut().zip(w) {
        let (registers, tail) = T::registers::<S>(w);
        let (registers, rest) = registers.as_chunks::<N>();
        *row = (registers, rest, tail);
    }
    let mut sums = [[T::splat(s, T::ZERO); N]; R];
    for (i, x) in x.iter().enumerate() {
        for r in 0..R {
            for n in 0..N {
                sums[r][n] = T::multiply_add(s, x[n], rows[r].0[i][n], sums[r][n]);
            }
        }
    }
    for (i, x) in x_rest.iter().enumerate() {
        for r in 0..R {
            sums[r][0] = T::multiply_add(s, *x, rows[r].1[i], sums[r][0]);
        }
    }
    if !x_tail.is_empty() {
        let x = T::load_partial(s, x_tail);
        for r in 0..R {
            sums[r][0] = T::multiply_add(s, x, T::load_partial(s, rows[r].2), sums[r][0]);
        }
    }
    let mut products = [T::ZERO; R];
    for r in 0..R {
        for n in 1..N {
            sums[r][0] = T::plus(s, sums[r][0], sums[r][n]);
        }
        products[r] = T::sum(s, sums[r][0]);
    }
    products
}

/// A left factor read element by element: a(m, k) = elements[m·steps.0 + k·steps.1].
#[derive(Clone, Copy)]
pub struct Left<'a, T> {
    pub elements: &'a [T],
    pub steps: (usize, usize),
}

impl<T: Lanes> Left<'_, T> {
    #[inline(always)]
    fn at(&self, m: usize, k: usize) -> T {
        self.elements[m * self.steps.0 + k * self.steps.1]
    }
}

/// `c = a·r`, for rows of `columns` elements in r and c, `depth` of them in r; counted as a run of `counter`.
pub fn product<T: Lanes>(
    counter: Counter,
    (isa, threads): (Isa, Threads),
    a: Left<'_, T>,
    (r, depth): (&[T], usize),
    (c, columns): (&mut [T], usize),
) {
    let size = tile_size(c.len() / columns.max(1), columns, depth);
    let tiles = tiles(c, columns, size); // 4
    threads::for_each(threads, tiles.into_iter(), |tile| {
        simd::run(isa, Product { counter, a, r, depth, columns, tile })
    });
}

struct Product<'a, T> {
    counter: Counter,
    a: Left<'a, T>,
    r: &'a [T],
    depth: usize,
    columns: usize,
    tile: Tile<&'a mut [T]>,
}

impl<T: Lanes> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(self.counter, Isa::of::<S>());
        let Self { a, r, depth, columns, tile, .. } = self;
        let Tile { row, column, mut rows } = tile;
        let r = Right { elements: r, columns, first: column, depth };
        let at = |m: usize| Left { elements: &a.elements[((row + m) * a.steps.0).min(a.elements.len())..], ..a };
        if depth > MOST_IN_REGISTERS {
            for c in &mut rows {
                c.fill(T::ZERO);
            }
            for k in (0..depth).step_by(TERMS) {
                for (m, c) in rows.iter_mut().enumerate() {
                    match depth - k {
                        ..TERMS => {
                            for k in k..depth {
                                r.add_terms::<S, 1>(s, at(m), k, c);
                            }
                        }
                        _ => r.add_terms::<S, TERMS>(s, at(m), k, c), // 3
                    }
                }
            }
            return;
        }
        let (fours, rest) = rows.as_chunks_mut::<4>();
        let whole = 4 * fours.len();
        for (i, c) in fours.iter_mut().enumerate() {
            r.rows::<S, 4>(s, at(4 * i), c);
        }
        for (i, c) in rest.iter_mut().enumerate() {
            r.rows::<S, 1>(s, at(whole + i), std::array::from_mut(c));
        }
    }
}

/// Some columns of r.
#[derive(Clone, Copy)]
struct Right<'a, T> {
    elements: &'a [T],
    columns: usize,
    first: usize,
    depth: usize,
}

impl<T: Lanes> Right<'_, T> {
    /// M rows of c, from as many of a.
    #[inline(always)]
    fn rows<S: Simd, const M: usize>(self, s: S, a: Left<'_, T>, c: &mut [&mut [T]; M]) {
        let width = c[0].len();
        let single = T::lanes::<S>();
        let mut at = 0;
        while at + 4 * single <= width {
            self.registers::<S, M, 4>(s, a, c, at); // 2
            at += 4 * single;
        }
        while at + single <= width {
            self.registers::<S, M, 1>(s, a, c, at);
            at += single;
        }
        if at < width {
            let mut sums = [T::splat(s, T::ZERO); M];
            for k in 0..self.depth {
                let r = T::load_partial(s, self.part(k, at, width - at));
                for (m, sum) in sums.iter_mut().enumerate() {
                    *sum = T::multiply_add(s, T::splat(s, a.at(m, k)), r, *sum);
                }
            }
            for m in 0..M {
                T::store_partial(s, &mut c[m][at..], sums[m]);
            }
        }
    }

    /// M rows and N registers of c.
    #[inline(always)]
    fn registers<S: Simd, const M: usize, const N: usize>(
        self,
        s: S,
        a: Left<'_, T>,
        c: &mut [&mut [T]; M],
        at: usize,
    ) {
        let len = N * T::lanes::<S>();
        let mut sums = [[T::splat(s, T::ZERO); N]; M];
        for k in 0..self.depth {
            let r = &T::registers::<S>(self.part(k, at, len)).0[..N];
            for (m, sums) in sums.iter_mut().enumerate() {
                let a = T::splat(s, a.at(m, k));
                for (sum, &r) in sums.iter_mut().zip(r) {
                    *sum = T::multiply_add(s, a, r, *sum);
                }
            }
        }
        for m in 0..M {
            let (c, _) = T::registers_mut::<S>(&mut c[m][at..at + len]);
            c[..N].copy_from_slice(&sums[m]);
        }
    }

    /// Adds the products of N terms from `k` on to a row of c.
    #[inline(always)]
    fn add_terms<S: Simd, const N: usize>(self, s: S, a: Left<'_, T>, k: usize, c: &mut [T]) {
        let width = c.len();
        let (c, c_tail) = T::registers_mut::<S>(c);
        let (mut factors, mut terms, mut tails) = ([T::splat(s, T::ZERO); N], [&[][..]; N], [&[][..]; N]);
        for n in 0..N {
            factors[n] = T::splat(s, a.at(0, k + n));
            (terms[n], tails[n]) = T::registers::<S>(self.part(k + n, 0, width));
            terms[n] = &terms[n][..c.len()];
        }
        for (i, c) in c.iter_mut().enumerate() {
            let mut sum = *c;
            for n in 0..N {
                sum = T::multiply_add(s, factors[n], terms[n][i], sum);
            }
            *c = sum;
        }
        if !c_tail.is_empty() {
            let mut sum = T::load_partial(s, c_tail);
            for n in 0..N {
                sum = T::multiply_add(s, factors[n], T::load_partial(s, tails[n]), sum);
            }
            T::store_partial(s, c_tail, sum);
        }
    }

    #[inline(always)]
    fn part(&self, k: usize, from: usize, len: usize) -> &[T] {
        &self.elements[k * self.columns + self.first + from..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::tile_size;

    #[test]
    fn a_task_takes_about_as_long_whatever_the_shape() {
        assert_eq!(tile_size(1, 4096, 1024), (1, 256));
        assert_eq!(tile_size(8, 4096, 256), (8, 128));
        assert_eq!(tile_size(8, 4096, 300), (8, 128));
        assert_eq!(tile_size(200, 4096, 16), (64, 256));
        assert_eq!(tile_size(200, 100, 1 << 20), (64, 64));
        assert_eq!(tile_size(4, 10, 10), (4, 10));
        assert_eq!(tile_size(0, 0, 0), (1, 1));
    }
}
