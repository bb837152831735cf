//! One output for each element, or pair of elements.
//!
//! The plain loop is `for i in 0..n { y[i] = f(x[i]) }`. We depart from it:
//! 1. registers instead of elements, four at a time, which hides the latency of long functions;
//! 2. the elements that do not fill a register are one masked register more, so no length is slow;
//! 3. blocks of [`BLOCK`] elements, which stay in the first-level cache between being opened and being written;
//! 4. tasks of [`TASK`] elements, which threads take one after the other.

use crate::counters::{self, Counter};
use crate::memory::Block;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Elements opened and written together: 16 KiB of f32, a third of the smallest first-level cache for the two operands.
pub const BLOCK: usize = 4096;

/// Elements of a task of one thread: at least 4 µs of work, the time in which another thread wakes up.
pub const TASK: usize = 8 * BLOCK;

/// A function of an element.
pub trait Map<T: Lanes>: Copy + Sync {
    const COUNTER: Counter;
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S>;
}

/// A function of two elements.
pub trait Zip<T: Lanes>: Copy + Sync {
    const COUNTER: Counter;
    fn apply<S: Simd>(self, s: S, a: T::Register<S>, b: T::Register<S>) -> T::Register<S>;
}

/// `output[i] = f(input[i])`; the output's memory comes in blocks of [`TASK`] elements.
pub fn map<'a, T: Lanes>(
    f: impl Map<T>,
    (isa, threads): (Isa, Threads),
    input: &[T],
    output: impl ExactSizeIterator<Item = Block<'a, T>> + Send,
) {
    threads::for_each(threads, output.zip(input.chunks(TASK)), |(output, input)| {
        for (output, input) in output.split(BLOCK).zip(input.chunks(BLOCK)) {
            simd::run(isa, MapSlices { f, input, output: output.open() });
        }
    });
}

/// `elements[i] = f(elements[i])`.
pub fn map_in_place<T: Lanes>(f: impl Map<T>, (isa, threads): (Isa, Threads), elements: &mut [T]) {
    threads::for_each(threads, elements.chunks_mut(TASK), |elements| {
        simd::run(isa, MapInPlace { f, elements });
    });
}

/// `output[i] = f(a[i], b[i])`; the output's memory comes in blocks of [`TASK`] elements.
pub fn zip<'a, T: Lanes>(
    f: impl Zip<T>,
    (isa, threads): (Isa, Threads),
    (a, b): (&[T], &[T]),
    output: impl ExactSizeIterator<Item = Block<'a, T>> + Send,
) {
    threads::for_each(threads, output.zip(a.chunks(TASK).zip(b.chunks(TASK))), |(output, (a, b))| {
        for (output, (a, b)) in output.split(BLOCK).zip(a.chunks(BLOCK).zip(b.chunks(BLOCK))) {
            simd::run(isa, ZipSlices { f, a, b, output: output.open() });
        }
    });
}

struct MapSlices<'a, T, F> {
    f: F,
    input: &'a [T],
    output: &'a mut [T],
}

impl<T: Lanes, F: Map<T>> Kernel for MapSlices<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(F::COUNTER, Isa::of::<S>());
        debug_assert_eq!(self.input.len(), self.output.len());
        let f = self.f;
        let (x, x_tail) = T::registers::<S>(self.input);
        let (y, y_tail) = T::registers_mut::<S>(self.output);
        let ((x_fours, x_rest), (y_fours, y_rest)) = (x.as_chunks::<4>(), y.as_chunks_mut::<4>());
        for (x, y) in x_fours.iter().zip(y_fours) {
            *y = [f.apply(s, x[0]), f.apply(s, x[1]), f.apply(s, x[2]), f.apply(s, x[3])]; // 1
        }
        for (x, y) in x_rest.iter().zip(y_rest) {
            *y = f.apply(s, *x);
        }
        if !x_tail.is_empty() {
            T::store_partial(s, y_tail, f.apply(s, T::load_partial(s, x_tail))); // 2
        }
    }
}

struct MapInPlace<'a, T, F> {
    f: F,
    elements: &'a mut [T],
}

impl<T: Lanes, F: Map<T>> Kernel for MapInPlace<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(F::COUNTER, Isa::of::<S>());
        let f = self.f;
        let (x, tail) = T::registers_mut::<S>(self.elements);
        let (fours, rest) = x.as_chunks_mut::<4>();
        for x in fours {
            *x = [f.apply(s, x[0]), f.apply(s, x[1]), f.apply(s, x[2]), f.apply(s, x[3])]; // 1
        }
        for x in rest {
            *x = f.apply(s, *x);
        }
        if !tail.is_empty() {
            let y = f.apply(s, T::load_partial(s, tail));
            T::store_partial(s, tail, y); // 2
        }
    }
}

struct ZipSlices<'a, T, F> {
    f: F,
    a: &'a [T],
    b: &'a [T],
    output: &'a mut [T],
}

impl<T: Lanes, F: Zip<T>> Kernel for ZipSlices<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(F::COUNTER, Isa::of::<S>());
        debug_assert!(self.a.len() == self.output.len() && self.b.len() == self.output.len());
        let f = self.f;
        let ((a, a_tail), (b, b_tail)) = (T::registers::<S>(self.a), T::registers::<S>(self.b));
        let (y, y_tail) = T::registers_mut::<S>(self.output);
        for ((a, b), y) in a.iter().zip(b).zip(y) {
            *y = f.apply(s, *a, *b); // 1
        }
        if !a_tail.is_empty() {
            let y = f.apply(s, T::load_partial(s, a_tail), T::load_partial(s, b_tail));
            T::store_partial(s, y_tail, y); // 2
        }
    }
}

/// `x < 0 ? 0 : x`, so that relu(−0) = −0 and relu(NaN) = NaN.
#[derive(Clone, Copy)]
pub struct PositivePart;

impl<T: Lanes> Map<T> for PositivePart {
    const COUNTER: Counter = Counter::ReLU;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S> {
        let zero = T::splat(s, T::ZERO);
        T::where_less(s, (x, zero), zero, x)
    }
}

/// `y <= 0 ? 0 : g`, so that g passes where y is NaN.
#[derive(Clone, Copy)]
pub struct PositivePartBackward;

impl<T: Lanes> Zip<T> for PositivePartBackward {
    const COUNTER: Counter = Counter::ReLU;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, y: T::Register<S>, g: T::Register<S>) -> T::Register<S> {
        let zero = T::splat(s, T::ZERO);
        T::where_less_or_equal(s, (y, zero), zero, g)
    }
}
