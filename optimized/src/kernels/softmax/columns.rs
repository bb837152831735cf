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

/// Powers at most that a task keeps until they are divided: 1 MiB of f32. As many are kept of [1, 1000, 64, 64], which takes 1.5 ms so on
/// Zen 5 and 2.3 where they stand in y, of `f64` 3.7 and 5.3.
const MOST_POWERS: usize = 1 << 18;

/// Columns that go through all loops before the next do, where y is written past the caches. [28, 21, 128, 128] of `f64` takes 5.6 ms so on
/// one thread of Zen 5, 5.8 by 128 or 512 columns.
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

/// y of each line, where it is written once, from powers that stand in scratch memory: some columns go through all loops before the next
/// do, so that memory takes the ones while the others are computed, and is asked for these meanwhile. [8, 21, 128, 128] of `f64` takes
/// 1.5 ms so on one thread of Zen 5, 2.0 where a task's columns go together and nothing is asked for, and 2.8 where powers stand in y.
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
        let mut rows = Vec::with_capacity(y.rows.len());
        rows.extend(y.rows.into_iter().map(|row| row.split(TOGETHER)));
        for first in (0..width).step_by(TOGETHER) {
            let some = TOGETHER.min(width - first);
            let (most, rest) = memory.split_at_mut(some);
            let (sums, powers) = rest.split_at_mut(some);
            most.fill(-T::INFINITY); // 2
            sums.fill(T::ZERO);
            for row in 0..lines.length {
                raise(most, &x[places.of_row(row)][first..][..some]);
            }
            for (row, powers) in powers.chunks_mut(some).take(lines.length).enumerate() {
                let (x, next) = x[places.of_row(row).start + first..].split_at(some);
                let next = next.chunks(STRIP).chain(iter::repeat(&[][..]));
                let strips = x.chunks(STRIP).zip(powers.chunks_mut(STRIP));
                for ((((x, powers), sums), most), next) in
                    strips.zip(sums.chunks_mut(STRIP)).zip(most.chunks(STRIP)).zip(next)
                {
                    prefetch_all(next);
                    add_powers(s, sums, Some(x), powers, most);
                }
            }
            for (y, powers) in rows.iter_mut().zip(powers.chunks(some)) {
                if let Some(y) = y.next() {
                    y.fill(s, Quotients { powers: Split::new(powers), sums: Split::new(sums) });
                }
            }
        }
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
