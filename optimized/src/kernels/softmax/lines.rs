//! Lines of neighbouring elements: departure 1.

use super::Lines;
use crate::counters::{self, Counter};
use crate::kernels::elementwise::{Zip, Zipped};
use crate::math::{Exp, registers};
use crate::memory::{Block, Output};
use crate::simd::{self, Group, Isa, Kernel, LONG, Lanes, MOST_LANES, SHORT, Simd};
use crate::threads::{self, Threads};

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

/// Elements of a line in place that are copied together: whole groups, at any instruction set, so that sums are those of a line apart.
const COPIED: usize = 2 * LONG * MOST_LANES;

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

/// The largest of these: of lanes, and of elements that are left over, of which NaN counts for nothing.
#[inline(always)]
pub fn largest_of<T: Exp, S: Simd>(s: S, (lanes, tail): (T::Register<S>, &[T])) -> T {
    let mut largest = T::largest(s, lanes);
    for x in tail {
        if largest < *x {
            largest = *x;
        }
    }
    largest
}

/// The largest of some elements; −∞ of none, and of NaN.
#[inline(always)]
fn largest<T: Exp, S: Simd>(s: S, x: &[T]) -> T {
    largest_of::<T, S>(s, larger_lanes::<T, S>(s, x, -T::INFINITY))
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
    let ((x, x_tail), (y, y_tail)) = (T::registers::<S>(x), T::registers_mut::<S>(y));
    let ((x_groups, x_rest), (y_groups, y_rest)) = (x.as_chunks::<LONG>(), y.as_chunks_mut::<LONG>());
    for (x, y) in x_groups.iter().zip(y_groups) {
        *y = registers::exp_without_overflow(Group::<T, S, LONG>::new(s, *x) - m).registers();
        for (i, y) in y.iter().enumerate() {
            sums[i % 4] = T::plus(s, sums[i % 4], *y);
        }
    }
    let ((x_fours, x_rest), (y_fours, y_rest)) = (x_rest.as_chunks::<SHORT>(), y_rest.as_chunks_mut::<SHORT>());
    for (x, y) in x_fours.iter().zip(y_fours) {
        *y = registers::exp_without_overflow(Group::<T, S, SHORT>::new(s, *x) - m).registers();
        for (sum, y) in sums.iter_mut().zip(&*y) {
            *sum = T::plus(s, *sum, *y);
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        *y = registers::exp_without_overflow(Group::one(s, *x) - m).register();
        sums[0] = T::plus(s, sums[0], *y);
    }
    if !x_tail.is_empty() {
        let power = registers::exp_without_overflow(Group::one(s, T::load_partial(s, x_tail)) - m).register();
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
            dx.fill(s, Zipped::new(Gradient { dot: dot::<T, S>(s, y, g) }, y, g));
        }
    }
}

/// y·(g − dot).
#[derive(Clone, Copy)]
struct Gradient<T> {
    dot: T,
}

impl<T: Lanes> Zip<T> for Gradient<T> {
    const COUNTER: Counter = Counter::SoftmaxLines;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, y: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        y * (g - self.dot)
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
