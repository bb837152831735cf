//! Lines side by side: departure 2.

use super::{Lines, Places};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::kernels::tiles::{Cut, Tile, tiles};
use crate::math::{Exp, registers};
use crate::memory::{Block, Source, past_caches, scratch};
use crate::simd::{self, Group, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// y of each line.
pub fn forward_columns<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, x: &[T], y: &mut [T]) {
    let tiles = tiles(y, lines.inner, (lines.length, lines.columns_a_task())); // 5
    threads::for_each(threads, tiles.into_iter(), |y| {
        scratch(2 * y.width(), |memory| simd::run(isa, ForwardColumns { lines, x: Some(x), y, memory }));
    });
}

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
    for (i, y) in y.iter_mut().enumerate() {
        let x = x.map_or(*y, |(x, _)| x[i]);
        *y = registers::exp_without_overflow(Group::<T, S, 1>::one(s, x) - Group::one(s, m[i])).register();
        sums[i] = T::plus(s, sums[i], *y);
    }
    if !y_tail.is_empty() {
        let x = T::load_partial(s, x.map_or(&*y_tail, |(_, tail)| tail));
        let (x, m): (Group<T, S, 1>, _) = (Group::one(s, x), Group::one(s, T::load_partial(s, m_tail)));
        let power = registers::exp_without_overflow(x - m).register();
        T::store_partial(s, y_tail, power);
        let sum = T::plus(s, T::load_partial(s, sums_tail), power);
        T::store_partial(s, sums_tail, sum);
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
