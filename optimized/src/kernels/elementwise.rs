//! One output for each element, or pair of elements.
//!
//! The plain loop is `for i in 0..n { y[i] = f(x[i]) }`. We depart from it:
//! 1. registers instead of elements, four at a time;
//! 2. the elements that do not fill a register are one masked register more, so no length is slow;
//! 3. tasks of so many elements that each is worth waking another thread for, which threads take one after the other.

use crate::counters::{self, Counter};
use crate::memory::{Block, Output, Source};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Elements opened and written together: 16 KiB of f32, a third of the smallest first-level cache for the two operands.
pub const BLOCK: usize = 4096;

/// Elements of a task of one thread, where each takes but a load and a store: 12 µs of work. Waking another thread takes 10 to
/// 20 µs, so that two such tasks gain nothing yet, and lose nothing.
pub const TASK: usize = 1 << 17;

/// Elements of a task where a function of each is computed: 12 µs of work, too.
pub const FUNCTION_TASK: usize = 1 << 15;

/// A function of an element.
pub trait Map<T: Lanes>: Copy + Sync {
    const COUNTER: Counter;
    const TASK: usize = TASK;
    fn apply<S: Simd>(self, s: S, x: T::Register<S>) -> T::Register<S>;
}

/// A function of two elements.
pub trait Zip<T: Lanes>: Copy + Sync {
    const COUNTER: Counter;
    fn apply<S: Simd>(self, s: S, a: T::Register<S>, b: T::Register<S>) -> T::Register<S>;
}

/// `output[i] = f(input[i])`.
pub fn map<T: Lanes, F: Map<T>>(f: F, (isa, threads): (Isa, Threads), input: &[T], mut output: Output<'_, T>) {
    threads::for_each(threads, output.blocks(F::TASK).zip(input.chunks(F::TASK)), |(output, input)| {
        simd::run(isa, MapSlices { f, input, output });
    });
}

/// `elements[i] = f(elements[i])`.
pub fn map_in_place<T: Lanes, F: Map<T>>(f: F, (isa, threads): (Isa, Threads), elements: &mut [T]) {
    threads::for_each(threads, elements.chunks_mut(F::TASK), |elements| {
        simd::run(isa, MapInPlace { f, elements });
    });
}

/// `output[i] = f(a[i], b[i])`.
pub fn zip<T: Lanes>(f: impl Zip<T>, (isa, threads): (Isa, Threads), (a, b): (&[T], &[T]), mut output: Output<'_, T>) {
    threads::for_each(threads, output.blocks(TASK).zip(a.chunks(TASK).zip(b.chunks(TASK))), |(output, (a, b))| {
        simd::run(isa, ZipSlices { f, a, b, output });
    });
}

/// `elements[i] = f(a[i], elements[i])`.
pub fn zip_in_place<T: Lanes>(f: impl Zip<T>, (isa, threads): (Isa, Threads), a: &[T], elements: &mut [T]) {
    threads::for_each(threads, elements.chunks_mut(TASK).zip(a.chunks(TASK)), |(elements, a)| {
        simd::run(isa, ZipInPlace { f, a, elements });
    });
}

struct MapSlices<'a, T, F> {
    f: F,
    input: &'a [T],
    output: Block<'a, T>,
}

impl<T: Lanes, F: Map<T>> Kernel for MapSlices<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(F::COUNTER, Isa::of::<S>());
        debug_assert_eq!(self.input.len(), self.output.len());
        self.output.fill(s, Mapped { f: self.f, x: Split::new(self.input) });
    }
}

/// A slice in registers: departures 1 and 2.
#[derive(Clone, Copy)]
pub struct Split<'a, T: Lanes, S: Simd> {
    registers: &'a [T::Register<S>],
    rest: &'a [T],
}

impl<'a, T: Lanes, S: Simd> Split<'a, T, S> {
    #[inline(always)]
    pub fn new(slice: &'a [T]) -> Self {
        let (registers, rest) = T::registers::<S>(slice);
        Self { registers, rest }
    }
}

impl<T: Lanes, S: Simd> Source<T, S> for Split<'_, T, S> {
    #[inline(always)]
    fn four(&self, _: S, i: usize) -> [T::Register<S>; 4] {
        self.registers.as_chunks::<4>().0[i]
    }
    #[inline(always)]
    fn register(&self, _: S, i: usize) -> T::Register<S> {
        self.registers[i]
    }
    #[inline(always)]
    fn rest(&self, s: S) -> T::Register<S> {
        T::load_partial(s, self.rest)
    }
}

/// The same register everywhere.
#[derive(Clone, Copy)]
pub struct Equal<R>(pub R);

impl<T: Lanes, S: Simd> Source<T, S> for Equal<T::Register<S>> {
    #[inline(always)]
    fn four(&self, _: S, _: usize) -> [T::Register<S>; 4] {
        [self.0; 4]
    }
    #[inline(always)]
    fn register(&self, _: S, _: usize) -> T::Register<S> {
        self.0
    }
    #[inline(always)]
    fn rest(&self, _: S) -> T::Register<S> {
        self.0
    }
}

/// f of each register of x.
#[derive(Clone, Copy)]
pub struct Mapped<F, X> {
    pub f: F,
    pub x: X,
}

impl<T: Lanes, S: Simd, F: Map<T>, X: Source<T, S>> Source<T, S> for Mapped<F, X> {
    #[inline(always)]
    fn four(&self, s: S, i: usize) -> [T::Register<S>; 4] {
        let (f, x) = (self.f, self.x.four(s, i));
        [f.apply(s, x[0]), f.apply(s, x[1]), f.apply(s, x[2]), f.apply(s, x[3])]
    }
    #[inline(always)]
    fn register(&self, s: S, i: usize) -> T::Register<S> {
        self.f.apply(s, self.x.register(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> T::Register<S> {
        self.f.apply(s, self.x.rest(s))
    }
}

/// f of each pair of registers of a and b.
struct Zipped<F, A, B> {
    f: F,
    a: A,
    b: B,
}

impl<T: Lanes, S: Simd, F: Zip<T>, A: Source<T, S>, B: Source<T, S>> Source<T, S> for Zipped<F, A, B> {
    #[inline(always)]
    fn four(&self, s: S, i: usize) -> [T::Register<S>; 4] {
        let (f, a, b) = (self.f, self.a.four(s, i), self.b.four(s, i));
        [f.apply(s, a[0], b[0]), f.apply(s, a[1], b[1]), f.apply(s, a[2], b[2]), f.apply(s, a[3], b[3])]
    }
    #[inline(always)]
    fn register(&self, s: S, i: usize) -> T::Register<S> {
        self.f.apply(s, self.a.register(s, i), self.b.register(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> T::Register<S> {
        self.f.apply(s, self.a.rest(s), self.b.rest(s))
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
    output: Block<'a, T>,
}

impl<T: Lanes, F: Zip<T>> Kernel for ZipSlices<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(F::COUNTER, Isa::of::<S>());
        debug_assert!(self.a.len() == self.output.len() && self.b.len() == self.output.len());
        self.output.fill(s, Zipped { f: self.f, a: Split::new(self.a), b: Split::new(self.b) });
    }
}

struct ZipInPlace<'a, T, F> {
    f: F,
    a: &'a [T],
    elements: &'a mut [T],
}

impl<T: Lanes, F: Zip<T>> Kernel for ZipInPlace<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(F::COUNTER, Isa::of::<S>());
        debug_assert_eq!(self.a.len(), self.elements.len());
        let f = self.f;
        let ((a, a_tail), (b, b_tail)) = (T::registers::<S>(self.a), T::registers_mut::<S>(self.elements));
        let ((a_fours, a_rest), (b_fours, b_rest)) = (a.as_chunks::<4>(), b.as_chunks_mut::<4>());
        for (a, b) in a_fours.iter().zip(b_fours) {
            let [a0, a1, a2, a3] = *a;
            *b = [f.apply(s, a0, b[0]), f.apply(s, a1, b[1]), f.apply(s, a2, b[2]), f.apply(s, a3, b[3])]; // 1
        }
        for (a, b) in a_rest.iter().zip(b_rest) {
            *b = f.apply(s, *a, *b);
        }
        if !b_tail.is_empty() {
            let y = f.apply(s, T::load_partial(s, a_tail), T::load_partial(s, b_tail));
            T::store_partial(s, b_tail, y); // 2
        }
    }
}
