//! Exponentials of lines that sum to 1, and their gradients.
//!
//! The plain loops are, for each line x, `m = max x`, `y[i] = exp(x[i] − m)`, `sum += y[i]`, `y[i] /= sum`; and backward
//! `dot += g[i]·y[i]`, `dx[i] = y[i]·(g[i] − dot)`. We depart from them:
//! 1. *lines*, where a line's elements are neighbours: registers of one line, four sums at a time; a line goes through all of its
//!    loops before the next one starts, so that all but the first find it in cache;
//! 2. *columns*, where they are not: as many lines side by side as make some registers, each with its own maximum and sum in a
//!    lane, so that memory is read in the order in which it lies;
//! 3. of large tensors, a task takes many columns, so that what lies together is read together; what the second loop reads again
//!    is then in the last cache, if in none before;
//! 4. the maximum passes over NaN: e^(NaN − m), and so the sum and the line, is NaN whatever m is;
//! 5. threads take lines, or strips of columns, that the shape alone decides on.

use super::elementwise::FUNCTION_TASK;
use super::tiles::{Tile, tiles};
use crate::counters::{self, Counter};
use crate::math::{Exp, registers};
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, MOST_LANES, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

/// How lines lie in memory: `outer` times, `length` rows of `inner` neighbouring elements, one of each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    pub outer: usize,
    pub length: usize,
    pub inner: usize,
}

impl Lines {
    /// The lines along `axis` of a tensor; the one element of a tensor without dimensions is a line of its own.
    pub fn along(axis: Option<usize>, shape: &[usize]) -> Self {
        let Some(axis) = axis else { return Self { outer: 1, length: 1, inner: 1 } };
        // A shape that is only asked about may be of any size.
        let product = |sizes: &[usize]| sizes.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
        Self { outer: product(&shape[..axis]), length: shape[axis], inner: product(&shape[axis + 1..]) }
    }

    /// Whether there are no elements.
    pub fn are_empty(&self) -> bool {
        self.outer == 0 || self.length == 0 || self.inner == 0
    }

    /// Lines of a task, where their elements are neighbours.
    pub fn lines_a_task(&self) -> usize {
        (FUNCTION_TASK / self.length.max(1)).max(1)
    }

    /// Columns of a task.
    pub fn columns_a_task(&self) -> usize {
        let elements = self.outer.saturating_mul(self.length).saturating_mul(self.inner) / LARGE_TASKS;
        let elements = elements.clamp(FUNCTION_TASK, MOST_OF_A_TASK);
        (elements / self.length.max(1)).clamp(STRIP, MOST_COLUMNS).next_multiple_of(STRIP)
    }

    /// Columns of the widest task: no more than there are.
    fn most_columns(&self) -> usize {
        self.columns_a_task().min(self.inner)
    }
}

/// Columns of a task are a multiple of it: several cache lines of each row.
pub const STRIP: usize = 64;

/// Columns of a task at most: their maxima and sums, 128 KiB of f32, stay in the second-level cache beside its rows.
const MOST_COLUMNS: usize = 1 << 14;

/// Into about so many tasks, a tensor of many columns is cut.
const LARGE_TASKS: usize = 16;

/// Elements of such a task at most, 1 MiB of f32: [8, 21, 128, 128] backward, 33 MiB in all, takes 2.7 ms by tasks of 688 KiB, and
/// 3.8 by tasks of 128.
const MOST_OF_A_TASK: usize = 1 << 18;

/// y of each line whose elements are neighbours.
pub fn forward_lines<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, x: &[T], mut y: Output<'_, T>) {
    let size = lines.length * lines.lines_a_task();
    threads::for_each(threads, y.blocks(size).zip(x.chunks(size)), |(y, x)| {
        simd::run(isa, ForwardLines { length: lines.length, x, y });
    });
}

struct ForwardLines<'a, T> {
    length: usize,
    x: &'a [T],
    y: Block<'a, T>,
}

impl<T: Exp> Kernel for ForwardLines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxLines, Isa::of::<S>());
        for (x, y) in self.x.chunks(self.length).zip(self.y.split(self.length)) {
            let y = y.open();
            let sum = exponentials::<T, S>(s, x, largest::<T, S>(s, x), y);
            divide::<T, S>(s, y, sum);
        }
    }
}

/// y of each line whose elements are neighbours, written over it.
pub fn forward_lines_in_place<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, elements: &mut [T]) {
    let size = lines.length * lines.lines_a_task();
    threads::for_each(threads, elements.chunks_mut(size), |elements| {
        simd::run(isa, LinesInPlace { length: lines.length, elements });
    });
}

struct LinesInPlace<'a, T> {
    length: usize,
    elements: &'a mut [T],
}

/// Elements of a line in place that are copied together: whole registers, four at a time, at any instruction set.
const COPIED: usize = 4 * (4 * MOST_LANES);

impl<T: Exp> Kernel for LinesInPlace<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxLines, Isa::of::<S>());
        for line in self.elements.chunks_mut(self.length) {
            let (largest, mut sums) = (largest::<T, S>(s, line), [T::splat(s, T::ZERO); 4]);
            for y in line.chunks_mut(COPIED) {
                let mut x = [T::ZERO; COPIED];
                let x = &mut x[..y.len()];
                x.copy_from_slice(y);
                add_exponentials::<T, S>(s, x, largest, y, &mut sums);
            }
            divide::<T, S>(s, line, total::<T, S>(s, sums));
        }
    }
}

/// The larger, lane by lane, of m and of the elements that fill registers, and the elements that are left over; NaN counts for nothing.
#[inline(always)]
pub fn larger_lanes<T: Exp, S: Simd>(s: S, x: &[T], m: T) -> (T::Register<S>, &[T]) {
    let (registers, tail) = T::registers::<S>(x);
    let (fours, rest) = registers.as_chunks::<4>();
    let mut most = [T::splat(s, m); 4];
    for x in fours {
        for i in 0..4 {
            most[i] = T::larger(s, x[i], most[i]);
        }
    }
    for x in rest {
        most[0] = T::larger(s, *x, most[0]);
    }
    let [mut all, others @ ..] = most;
    for most in others {
        all = T::larger(s, most, all);
    }
    (all, tail)
}

/// The largest of some elements; −∞ of none, and of NaN.
#[inline(always)]
pub fn largest<T: Exp, S: Simd>(s: S, x: &[T]) -> T {
    let (all, tail) = larger_lanes::<T, S>(s, x, -T::INFINITY);
    let mut lanes = [-T::INFINITY; MOST_LANES];
    T::registers_mut::<S>(&mut lanes[..T::lanes::<S>()]).0[0] = all;
    let mut largest = -T::INFINITY;
    for x in lanes.iter().chain(tail) {
        if largest < *x {
            largest = *x;
        }
    }
    largest
}

/// y = e^(x − m), and its sum.
#[inline(always)]
pub fn exponentials<T: Exp, S: Simd>(s: S, x: &[T], m: T, y: &mut [T]) -> T {
    let mut sums = [T::splat(s, T::ZERO); 4]; // 1
    add_exponentials::<T, S>(s, x, m, y, &mut sums);
    total::<T, S>(s, sums)
}

/// y = e^(x − m), each added to one of four sums.
#[inline(always)]
fn add_exponentials<T: Exp, S: Simd>(s: S, x: &[T], m: T, y: &mut [T], sums: &mut [T::Register<S>; 4]) {
    let m = T::splat(s, m);
    let ((x, x_tail), (y, y_tail)) = (T::registers::<S>(x), T::registers_mut::<S>(y));
    let ((x_fours, x_rest), (y_fours, y_rest)) = (x.as_chunks::<4>(), y.as_chunks_mut::<4>());
    for (x, y) in x_fours.iter().zip(y_fours) {
        for i in 0..4 {
            y[i] = registers::exp_without_overflow::<T, S>(s, T::minus(s, x[i], m));
            sums[i] = T::plus(s, sums[i], y[i]);
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        *y = registers::exp_without_overflow::<T, S>(s, T::minus(s, *x, m));
        sums[0] = T::plus(s, sums[0], *y);
    }
    if !x_tail.is_empty() {
        let power = registers::exp_without_overflow::<T, S>(s, T::minus(s, T::load_partial(s, x_tail), m));
        T::store_partial(s, y_tail, power);
        sums[1] = T::plus(s, sums[1], T::load_partial(s, y_tail));
    }
}

#[inline(always)]
fn total<T: Lanes, S: Simd>(s: S, sums: [T::Register<S>; 4]) -> T {
    T::sum(s, T::plus(s, T::plus(s, sums[0], sums[1]), T::plus(s, sums[2], sums[3])))
}

#[inline(always)]
fn divide<T: Lanes, S: Simd>(s: S, y: &mut [T], sum: T) {
    let sum = T::splat(s, sum);
    let (y, tail) = T::registers_mut::<S>(y);
    for y in y {
        *y = T::over(s, *y, sum);
    }
    if !tail.is_empty() {
        let y = T::over(s, T::load_partial(s, tail), sum);
        T::store_partial(s, tail, y);
    }
}

/// dx of each line whose elements are neighbours.
pub fn backward_lines<T: Lanes>(
    (isa, threads): (Isa, Threads),
    lines: Lines,
    (y, g): (&[T], &[T]),
    mut dx: Output<'_, T>,
) {
    let size = lines.length * lines.lines_a_task();
    threads::for_each(threads, dx.blocks(size).zip(y.chunks(size).zip(g.chunks(size))), |(dx, (y, g))| {
        simd::run(isa, BackwardLines { length: lines.length, y, g, dx });
    });
}

struct BackwardLines<'a, T> {
    length: usize,
    y: &'a [T],
    g: &'a [T],
    dx: Block<'a, T>,
}

impl<T: Lanes> Kernel for BackwardLines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxLines, Isa::of::<S>());
        let operands = self.y.chunks(self.length).zip(self.g.chunks(self.length));
        for ((y, g), dx) in operands.zip(self.dx.split(self.length)) {
            let dot = T::splat(s, dot::<T, S>(s, y, g));
            let dx = dx.open();
            let (dx, dx_tail) = T::registers_mut::<S>(dx);
            let ((y, y_tail), (g, g_tail)) = (T::registers::<S>(y), T::registers::<S>(g));
            for (dx, (y, g)) in dx.iter_mut().zip(y.iter().zip(g)) {
                *dx = T::times(s, *y, T::minus(s, *g, dot));
            }
            if !dx_tail.is_empty() {
                let difference = T::minus(s, T::load_partial(s, g_tail), dot);
                T::store_partial(s, dx_tail, T::times(s, T::load_partial(s, y_tail), difference));
            }
        }
    }
}

/// Σ a·b.
#[inline(always)]
fn dot<T: Lanes, S: Simd>(s: S, a: &[T], b: &[T]) -> T {
    let ((a, a_tail), (b, b_tail)) = (T::registers::<S>(a), T::registers::<S>(b));
    let ((a_fours, a_rest), (b_fours, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [T::splat(s, T::ZERO); 4]; // 1
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = T::multiply_add(s, a[i], b[i], sums[i]);
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        sums[0] = T::multiply_add(s, *a, *b, sums[0]);
    }
    if !a_tail.is_empty() {
        sums[1] = T::multiply_add(s, T::load_partial(s, a_tail), T::load_partial(s, b_tail), sums[1]);
    }
    T::sum(s, T::plus(s, T::plus(s, sums[0], sums[1]), T::plus(s, sums[2], sums[3])))
}

/// y of each line, of lines side by side.
pub fn forward_columns<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, x: &[T], y: &mut [T]) {
    let tiles = tiles(y, lines.inner, (lines.length, lines.columns_a_task())); // 5
    threads::for_each(threads, tiles.into_iter(), |y| {
        scratch(2 * lines.most_columns(), |memory| simd::run(isa, ForwardColumns { lines, x: Some(x), y, memory }));
    });
}

/// y of each line, of lines side by side, written over it.
pub fn forward_columns_in_place<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, elements: &mut [T]) {
    let tiles = tiles(elements, lines.inner, (lines.length, lines.columns_a_task())); // 5
    threads::for_each(threads, tiles.into_iter(), |y| {
        scratch(2 * lines.most_columns(), |memory| simd::run(isa, ForwardColumns { lines, x: None, y, memory }));
    });
}

struct ForwardColumns<'a, T> {
    lines: Lines,
    /// Where it does not lie where y is to be.
    x: Option<&'a [T]>,
    y: Tile<'a, T>,
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

/// Where the elements that belong to a tile's rows lie in a tensor of its shape.
pub struct Places {
    start: usize,
    inner: usize,
    width: usize,
}

impl Places {
    pub fn of<T>(lines: Lines, tile: &Tile<'_, T>) -> Self {
        Self { start: tile.row * lines.inner + tile.column, inner: lines.inner, width: tile.width() }
    }

    pub fn of_row(&self, row: usize) -> Range<usize> {
        let start = self.start + row * self.inner;
        start..start + self.width
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
        *y = registers::exp_without_overflow::<T, S>(s, T::minus(s, x, m[i]));
        sums[i] = T::plus(s, sums[i], *y);
    }
    if !y_tail.is_empty() {
        let x = T::load_partial(s, x.map_or(&*y_tail, |(_, tail)| tail));
        let power = registers::exp_without_overflow::<T, S>(s, T::minus(s, x, T::load_partial(s, m_tail)));
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

/// x = eˣ, of x that do not overflow.
#[inline(always)]
pub fn exp_in_place<T: Exp, S: Simd>(s: S, x: &mut [T]) {
    let (x, tail) = T::registers_mut::<S>(x);
    for x in x {
        *x = registers::exp_without_overflow::<T, S>(s, *x);
    }
    if !tail.is_empty() {
        let y = registers::exp_without_overflow::<T, S>(s, T::load_partial(s, tail));
        T::store_partial(s, tail, y);
    }
}

/// dx of each line, of lines side by side.
pub fn backward_columns<T: Lanes>((isa, threads): (Isa, Threads), lines: Lines, (y, g): (&[T], &[T]), dx: &mut [T]) {
    let tiles = tiles(dx, lines.inner, (lines.length, lines.columns_a_task())); // 5
    threads::for_each(threads, tiles.into_iter(), |dx| {
        scratch(lines.most_columns(), |memory| simd::run(isa, BackwardColumns { lines, y, g, dx, memory }));
    });
}

struct BackwardColumns<'a, T> {
    lines: Lines,
    y: &'a [T],
    g: &'a [T],
    dx: Tile<'a, T>,
    memory: &'a mut [T],
}

impl<T: Lanes> Kernel for BackwardColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::SoftmaxColumns, Isa::of::<S>());
        let Self { lines, y, g, dx, memory } = self;
        let (width, places) = (dx.width(), Places::of(lines, &dx));
        let dots = &mut memory[..width];
        dots.fill(T::ZERO); // 2
        for row in 0..lines.length {
            add_products(dots, &y[places.of_row(row)], &g[places.of_row(row)]);
        }
        for (row, dx) in dx.rows.into_iter().enumerate() {
            deviations(dx, (&y[places.of_row(row)], &g[places.of_row(row)]), dots);
        }
    }
}

/// Adds products to their sums.
#[inline(always)]
fn add_products<T: Lanes>(dots: &mut [T], y: &[T], g: &[T]) {
    for (dot, (y, g)) in dots.iter_mut().zip(y.iter().zip(g)) {
        *dot += *g * *y;
    }
}

/// dx = y·(g − dot).
#[inline(always)]
fn deviations<T: Lanes>(dx: &mut [T], (y, g): (&[T], &[T]), dots: &[T]) {
    for (dx, ((y, g), dot)) in dx.iter_mut().zip(y.iter().zip(g).zip(dots)) {
        *dx = *y * (*g - *dot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of columns in any number, whose largest elements stand in the first row, in the last, or nowhere near 0.
    #[test]
    fn columns_are_what_the_formula_says() {
        for isa in Isa::available() {
            for inner in 1..=3 * MOST_LANES + 1 {
                let lines = Lines { outer: 2, length: 4, inner };
                let apart = |row: usize, column: usize| [300.0, -300.0, 0.0, -100.0][(row + column) % 4];
                let of = |i: usize| {
                    let (row, column) = (i / inner % 4, i % inner);
                    let far = if column % 3 == 0 { apart(row, column) } else { 7.0 * column as f64 - 100.0 };
                    far + (i * 37 % 19) as f64 / 4.0
                };
                let x: Vec<f32> = (0..8 * inner).map(|i| of(i) as f32).collect();
                let mut y = vec![f32::NAN; x.len()];
                forward_columns((isa, Threads::ONE), lines, &x, &mut y);
                for (i, y) in y.iter().enumerate() {
                    let column =
                        || (0..4).map(|row| f64::from(x[i / (4 * inner) * 4 * inner + row * inner + i % inner]));
                    let most = column().fold(f64::NEG_INFINITY, f64::max);
                    let due = (f64::from(x[i]) - most).exp() / column().map(|x| (x - most).exp()).sum::<f64>();
                    assert!((f64::from(*y) - due).abs() <= 1e-6 * due + 1e-37, "{isa}, {inner} columns: {y} for {due}");
                }
                let mut in_place = x;
                forward_columns_in_place((isa, Threads::ONE), lines, &mut in_place);
                assert!(in_place == y, "{isa}, {inner} columns");
            }
        }
    }

    #[test]
    fn large_tensors_go_by_wide_tasks() {
        let columns = |outer, length, inner| Lines { outer, length, inner }.columns_a_task();
        assert_eq!([columns(1, 1000, 64), columns(1, 100, 1000), columns(1, 33_000, 5)], [64, 384, 64]);
        assert_eq!([columns(8, 21, 16_384), columns(80, 21, 16_384)], [8192, 12_544]);
        assert_eq!([columns(1, 2, 1 << 22), columns(1, 0, 3), columns(usize::MAX, 2, 2)], [MOST_COLUMNS; 3]);
    }
}
