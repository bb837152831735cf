//! Lines side by side: departure 2.

use super::{Lines, Places, STRIP};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::kernels::tiles::{Cut, Tile, tiles};
use crate::math::{Exp, registers};
use crate::memory::{Block, Source, past_caches, scratch};
use crate::simd::{self, Group, Isa, Kernel, Lanes, SHORT, Simd, prefetch_all};
use crate::threads::{self, Threads};
use std::iter;

/// y of each line.
pub fn forward_columns<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, x: &[T], y: &mut [T]) {
    let size @ (length, width) = (lines.length, lines.columns_a_task()); // 5
    let y = match length.checked_mul(width).is_some_and(|powers| powers <= MOST_POWERS) {
        true => past_caches(y, x.len()), // 3
        false => Err(y),
    };
    match y {
        Ok(y) => threads::for_each(threads, tiles(y, lines.inner, size).into_iter(), |y| {
            scratch((lines.length + 2) * y.width().min(TOGETHER), |memory| {
                simd::run(isa, PastCaches { lines, x, y, memory })
            });
        }),
        Err(y) => threads::for_each(threads, tiles(y, lines.inner, size).into_iter(), |y| {
            scratch(2 * y.width(), |memory| simd::run(isa, ForwardColumns { lines, x: Some(x), y, memory }));
        }),
    }
}

/// Elements at most of a task whose powers are kept until they are divided: 1 MiB of f32. [1, 1000, 64, 64], whose tasks have as many,
/// takes 1.6 ms so on one thread of Zen 5 and 2.3 where powers stand in y, of `f64` 3.3 and 5.3.
const MOST_POWERS: usize = 1 << 18;

/// Columns of a part, which goes through all loops before the next does, where y is written past the caches: whole cache lines.
/// [28, 21, 128, 128] of `f64` takes 5.6 ms so on one thread of Zen 5, 5.8 by 128 or 512 columns.
const TOGETHER: usize = 4 * STRIP;

/// y of each line, written over it.
pub fn forward_columns_in_place<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, elements: &mut [T]) {
    let tiles = tiles(elements, lines.inner, (lines.length, lines.columns_a_task())); // 5
    threads::for_each(threads, tiles.into_iter(), |y| {
        scratch(2 * y.width(), |memory| simd::run(isa, ForwardColumns { lines, x: None, y, memory }));
    });
}

struct ForwardColumns<'a, T> {
    lines: Lines,
    /// Where it does not lie where y is to be.
    x: Option<&'a [T]>,
    y: Tile<&'a mut [T]>,
    memory: &'a mut [T],
}

impl<T: Exp> Kernel for ForwardColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxColumns, Isa::of::<S>());
        let Self { lines, x, y, memory } = self;
        let (width, places) = (y.width(), Places::of(lines, &y));
        let (most, rest) = memory.split_at_mut(width);
        let sums = &mut rest[..width];
        most.fill(-T::INFINITY); // 2
        sums.fill(T::ZERO);
        let mut rows = y.rows;
        for (row, y) in rows.iter().enumerate() {
            raise(most, x.map_or(&**y, |x| &x[places.of_row(row)]));
        }
        for (row, y) in rows.iter_mut().enumerate() {
            add_powers(s, sums, x.map(|x| &x[places.of_row(row)]), y, most);
        }
        for y in rows {
            divide_each(y, sums);
        }
    }
}

/// y of each line, where it is written once, from powers that stand in scratch memory, one part of the columns after the other: memory
/// takes a part while the next is computed, and is asked for what stands behind a part in its rows, the next part or the next task's.
/// [8, 21, 128, 128] of `f64` takes 1.5 ms so on one thread of Zen 5, 2.0 where a task is one part and nothing is asked for, and 2.8 where
/// powers stand in y; [8, 21, 127, 127], of rows that are not whole lines and so not written past the caches, 2.1, 2.4 and 2.9.
struct PastCaches<'a, T> {
    lines: Lines,
    x: &'a [T],
    y: Tile<Block<'a, T>>,
    memory: &'a mut [T],
}

impl<T: Exp> Kernel for PastCaches<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxColumns, Isa::of::<S>());
        let Self { lines, x, y, memory } = self;
        let (width, places) = (y.width(), Places::of(lines, &y));
        let mut rows: Vec<_> = y.rows.into_iter().map(|row| row.split(TOGETHER)).collect();
        for first in (0..width).step_by(TOGETHER) {
            let n = TOGETHER.min(width - first);
            let (most, rest) = memory.split_at_mut(n);
            let (sums, powers) = rest.split_at_mut(n);
            let powers = &mut powers[..lines.length * n];
            most.fill(-T::INFINITY); // 2
            sums.fill(T::ZERO);
            for row in 0..lines.length {
                raise(most, &x[places.of_row(row)][first..][..n]);
            }
            for (row, powers) in powers.chunks_mut(n).enumerate() {
                let (x, next) = x[places.of_row(row).start + first..].split_at(n);
                let next = next.chunks(STRIP).chain(iter::repeat(&[][..]));
                let sums = sums.chunks_mut(STRIP).zip(most.chunks(STRIP));
                for (((x, powers), (sums, most)), next) in
                    x.chunks(STRIP).zip(powers.chunks_mut(STRIP)).zip(sums).zip(next)
                {
                    prefetch_all(next);
                    add_powers(s, sums, Some(x), powers, most);
                }
            }
            for (y, powers) in rows.iter_mut().filter_map(Iterator::next).zip(powers.chunks(n)) {
                y.fill(s, Quotients { powers: Split::new(powers), sums: Split::new(sums) });
            }
        }
        debug_assert!(rows.iter_mut().all(|row| row.next().is_none()));
    }
}

/// dx of each line.
pub fn backward_columns<T: Lanes>(kernel: (Isa, Threads), lines: Lines, (y, g): (&[T], &[T]), dx: &mut [T]) {
    match past_caches(dx, y.len() + g.len()) {
        Ok(block) => backward(kernel, lines, (y, g), block),
        Err(dx) => backward(kernel, lines, (y, g), dx),
    }
}

fn backward<'a, T: Lanes, R: Cut + Into<Block<'a, T>> + Send>(
    (isa, threads): (Isa, Threads),
    lines: Lines,
    (y, g): (&[T], &[T]),
    dx: R,
) {
    let tiles = tiles(dx, lines.inner, (lines.length, lines.columns_a_task())); // 5
    threads::for_each(threads, tiles.into_iter(), |dx| {
        scratch(dx.width(), |dots| simd::run(isa, BackwardColumns { lines, y, g, dx, dots }));
    });
}

struct BackwardColumns<'a, T, R> {
    lines: Lines,
    y: &'a [T],
    g: &'a [T],
    dx: Tile<R>,
    dots: &'a mut [T],
}

impl<'a, T: Lanes, R: Cut + Into<Block<'a, T>>> Kernel for BackwardColumns<'_, T, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxColumns, Isa::of::<S>());
        let Self { lines, y, g, dx, dots } = self;
        let places = Places::of(lines, &dx);
        dots.fill(T::ZERO);
        for row in 0..lines.length {
            add_products(dots, &y[places.of_row(row)], &g[places.of_row(row)]);
        }
        for (row, dx) in dx.rows.into_iter().enumerate() {
            let (y, g) = (Split::new(&y[places.of_row(row)]), Split::new(&g[places.of_row(row)]));
            dx.into().fill(s, Gradients { y, g, dots: Split::new(dots) });
        }
    }
}

/// Raises maxima to these elements.
#[inline(always)]
pub fn raise<T: Lanes>(most: &mut [T], x: &[T]) {
    for (most, x) in most.iter_mut().zip(x) {
        *most = if *most < *x { *x } else { *most };
    }
}

/// y = e^(x − m), added to the sums; x is y, where none is given.
#[inline(always)]
fn add_powers<T: Exp, S: Simd>(s: S, sums: &mut [T], x: Option<&[T]>, y: &mut [T], m: &[T]) {
    let x = x.map(T::registers::<S>);
    let ((y, y_tail), (m, m_tail)) = (T::registers_mut::<S>(y), T::registers::<S>(m));
    let (sums, sums_tail) = T::registers_mut::<S>(sums);
    let grouped = y.len() / SHORT * SHORT; // 6
    let (of_groups, of_rest) = x.map(|(x, _)| x.split_at(grouped)).unzip();
    let ((y, y_rest), (m, m_rest)) = (y.split_at_mut(grouped), m.split_at(grouped));
    let (sums, sums_rest) = sums.split_at_mut(grouped);
    add_powers_by::<T, S, SHORT>(s, sums, of_groups, y, m);
    add_powers_by::<T, S, 1>(s, sums_rest, of_rest, y_rest, m_rest);
    if !y_tail.is_empty() {
        let x = T::load_partial(s, x.map_or(&*y_tail, |(_, tail)| tail));
        let (x, m): (Group<T, S, 1>, _) = (Group::one(s, x), Group::one(s, T::load_partial(s, m_tail)));
        let power = registers::exp_without_overflow(x - m).register();
        T::store_partial(s, y_tail, power);
        let sum = T::plus(s, T::load_partial(s, sums_tail), power);
        T::store_partial(s, sums_tail, sum);
    }
}

/// The same of registers, N at a time.
#[inline(always)]
fn add_powers_by<T: Exp, S: Simd, const N: usize>(
    s: S,
    sums: &mut [T::Register<S>],
    x: Option<&[T::Register<S>]>,
    y: &mut [T::Register<S>],
    m: &[T::Register<S>],
) {
    let (x, y, m) = (x.map(|x| x.as_chunks::<N>().0), y.as_chunks_mut::<N>().0, m.as_chunks::<N>().0);
    for (i, (y, sums)) in y.iter_mut().zip(sums.as_chunks_mut::<N>().0).enumerate() {
        let x = x.map_or(*y, |x| x[i]);
        let powers = registers::exp_without_overflow(Group::<T, S, N>::new(s, x) - Group::new(s, m[i]));
        *y = powers.registers();
        *sums = (Group::new(s, *sums) + powers).registers();
    }
}

/// Divides elements by their sums.
#[inline(always)]
fn divide_each<T: Lanes>(y: &mut [T], sums: &[T]) {
    for (y, sum) in y.iter_mut().zip(sums) {
        *y = *y / *sum;
    }
}

/// Adds products to their sums.
#[inline(always)]
fn add_products<T: Lanes>(dots: &mut [T], y: &[T], g: &[T]) {
    for (dot, (y, g)) in dots.iter_mut().zip(y.iter().zip(g)) {
        *dot += *g * *y;
    }
}

/// y·(g − dot).
struct Gradients<Y> {
    y: Y,
    g: Y,
    dots: Y,
}

impl<T: Lanes, S: Simd, Y: Source<T, S>> Source<T, S> for Gradients<Y> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        self.y.group(s, i) * (self.g.group(s, i) - self.dots.group(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        self.y.rest(s) * (self.g.rest(s) - self.dots.rest(s))
    }
}

/// powers/sums.
struct Quotients<P> {
    powers: P,
    sums: P,
}

impl<T: Lanes, S: Simd, P: Source<T, S>> Source<T, S> for Quotients<P> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        self.powers.group(s, i) / self.sums.group(s, i)
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        self.powers.rest(s) / self.sums.rest(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many columns, lines and parts there are, y is to the last bit what it is in place.
    fn parts_are_columns_in_place<T: Exp + PartialEq>() {
        for isa in Isa::available() {
            for (length, width) in [(1, 2048), (2, 2048), (5, 2048), (3, 320)] {
                for inner in [1, 2, 63, 64, 65, 255, 256, 257, 320, 511, 513, 700] {
                    let lines = Lines { outer: 2, length, inner };
                    let x: Vec<T> = (0..2 * length * inner).map(|i| T::narrow((i * 37 % 101) as f64 / 8.0)).collect();
                    let mut due = x.clone();
                    forward_columns_in_place((isa, Threads::ONE), lines, &mut due);
                    let mut got = vec![T::narrow(f64::NAN); x.len()];
                    for y in tiles(Block::from(&mut got[..]), inner, (length, width)) {
                        let mut memory = vec![T::narrow(f64::NAN); (length + 2) * y.width().min(TOGETHER)];
                        simd::run(isa, PastCaches { lines, x: &x, y, memory: &mut memory });
                    }
                    assert!(got == due, "{isa}, {length} rows of {inner} columns by {width}");
                }
            }
        }
    }

    #[test]
    fn parts_of_columns_are_those_in_place() {
        parts_are_columns_in_place::<f32>();
        parts_are_columns_in_place::<f64>();
    }
}
