//! One output for each element, or pair of elements.
//!
//! The plain loop is `for i in 0..n { y[i] = f(x[i]) }`. We depart from it:
//! 1. registers instead of elements, four at a time, or eight of a long function, which take each step together: [`Group`];
//! 2. the elements that do not fill a register are one masked register more, so no length is slow;
//! 3. tasks that threads take one after the other, of so many elements that each is worth waking another thread for, or of fewer where
//!    all are not worth that, for threads that are awake ([`LIGHT`]).

use crate::counters::{self, Counter};
use crate::memory::{Block, Output, Source};
use crate::simd::{self, Group, Isa, Kernel, LONG, Lanes, SHORT, Simd, prefetch};
use crate::threads::{self, Threads};

/// Elements opened and written together: 16 KiB of f32, a third of the smallest first-level cache for the two operands.
pub const BLOCK: usize = 4096;

/// Elements of a task of one thread, where each takes but a load and a store: 12 µs of work. Waking another thread takes 10 to
/// 20 µs, so that two such tasks gain nothing yet, and lose nothing.
pub const TASK: usize = 1 << 17;

/// Fewer bytes of elements of such tasks are light work: ReLU of 2 MiB f32 takes 48 µs on one thread of Zen 4, and 45 to 60 on two of
/// which one has to be woken for it; of 1 MiB 24, and 30 to 39.
const LIGHT: usize = 1 << 21;

/// Elements of a task of light work: ReLU of 64 Ki f32 takes 3.3 µs on two threads that are awake, and 5.1 on one.
const LIGHT_TASK: usize = 1 << 15;

/// How many of some elements a task has, and whether they are light work; `task` is how many it has where they are not.
fn of_tasks<T>(task: usize, elements: &[T]) -> (usize, bool) {
    if task == TASK && size_of_val(elements) < LIGHT { (LIGHT_TASK, true) } else { (task, false) }
}

/// Elements of a task where a function of each is computed: 12 µs of work, too.
pub const FUNCTION_TASK: usize = 1 << 15;

/// Groups by which a long function's operand is asked for ahead: it computes for so long that the machine does not look ahead itself.
/// sigmoid of 16M f32 takes 3.3 ms so on one thread of Zen 5, and 4.1 otherwise.
const AHEAD: usize = 8;

/// A function of an element.
pub trait Map<T: Lanes>: Copy + Sync {
    const COUNTER: Counter;
    const TASK: usize = TASK;
    /// Registers that are computed together: [`SHORT`] or [`LONG`].
    const GROUP: usize = SHORT;
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N>;
}

/// A function of two elements.
pub trait Zip<T: Lanes>: Copy + Sync {
    const COUNTER: Counter;
    const TASK: usize = TASK;
    /// As [`Map::GROUP`].
    const GROUP: usize = SHORT;
    fn apply<S: Simd, const N: usize>(self, a: Group<T, S, N>, b: Group<T, S, N>) -> Group<T, S, N>;
}

/// `output[i] = f(input[i])`.
pub fn map<T: Lanes, F: Map<T>>(f: F, (isa, threads): (Isa, Threads), input: &[T], mut output: Output<'_, T>) {
    let (task, is_light) = of_tasks(F::TASK, input);
    let tasks = output.blocks(task).zip(input.chunks(task));
    threads::for_each_of(is_light, threads, tasks, |(output, input)| simd::run(isa, MapSlices { f, input, output }));
}

/// `elements[i] = f(elements[i])`.
pub fn map_in_place<T: Lanes, F: Map<T>>(f: F, (isa, threads): (Isa, Threads), elements: &mut [T]) {
    let (task, is_light) = of_tasks(F::TASK, elements);
    threads::for_each_of(is_light, threads, elements.chunks_mut(task), |elements| {
        simd::run(isa, MapInPlace { f, elements });
    });
}

/// `output[i] = f(a[i], b[i])`.
pub fn zip<T: Lanes, F: Zip<T>>(f: F, (isa, threads): (Isa, Threads), (a, b): (&[T], &[T]), mut output: Output<'_, T>) {
    let (task, is_light) = of_tasks(F::TASK, a);
    let tasks = output.blocks(task).zip(a.chunks(task).zip(b.chunks(task)));
    threads::for_each_of(is_light, threads, tasks, |(output, (a, b))| simd::run(isa, ZipSlices { f, a, b, output }));
}

/// `elements[i] = f(a[i], elements[i])`.
pub fn zip_in_place<T: Lanes, F: Zip<T>>(f: F, (isa, threads): (Isa, Threads), a: &[T], elements: &mut [T]) {
    let (task, is_light) = of_tasks(F::TASK, a);
    threads::for_each_of(is_light, threads, elements.chunks_mut(task).zip(a.chunks(task)), |(elements, a)| {
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

    /// Asks for the registers of the i-th group of n.
    #[inline(always)]
    fn ask_for(&self, i: usize, n: usize) {
        for register in self.registers.get(i * n..(i + 1) * n).unwrap_or_default() {
            prefetch(register);
        }
    }
}

impl<T: Lanes, S: Simd> Source<T, S> for Split<'_, T, S> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        Group::new(s, self.registers.as_chunks::<N>().0[i])
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        Group::one(s, T::load_partial(s, self.rest))
    }
}

/// The same number everywhere.
#[derive(Clone, Copy)]
pub struct Equal<T>(pub T);

impl<T: Lanes, S: Simd> Source<T, S> for Equal<T> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, _: usize) -> Group<T, S, N> {
        Group::new(s, [T::splat(s, self.0); N])
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        Group::one(s, T::splat(s, self.0))
    }
}

/// f of each register of x.
#[derive(Clone, Copy)]
pub struct Mapped<F, X> {
    pub f: F,
    pub x: X,
}

impl<T: Lanes, S: Simd, F: Map<T>> Source<T, S> for Mapped<F, Split<'_, T, S>> {
    const GROUP: usize = F::GROUP;

    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        if F::GROUP == LONG && N == LONG {
            self.x.ask_for(i + AHEAD, N);
        }
        self.f.apply(self.x.group(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        self.f.apply(self.x.rest(s))
    }
}

/// f of each pair of registers of a and b.
pub struct Zipped<F, A, B> {
    f: F,
    a: A,
    b: B,
}

impl<'a, F, T: Lanes, S: Simd> Zipped<F, Split<'a, T, S>, Split<'a, T, S>> {
    #[inline(always)]
    pub fn new(f: F, a: &'a [T], b: &'a [T]) -> Self {
        Self { f, a: Split::new(a), b: Split::new(b) }
    }
}

impl<T: Lanes, S: Simd, F: Zip<T>, A: Source<T, S>, B: Source<T, S>> Source<T, S> for Zipped<F, A, B> {
    const GROUP: usize = F::GROUP;

    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        self.f.apply(self.a.group(s, i), self.b.group(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        self.f.apply(self.a.rest(s), self.b.rest(s))
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
        map_registers(s, self.f, self.elements);
    }
}

/// `elements[i] = f(elements[i])`, within a kernel.
#[inline(always)]
pub fn map_registers<T: Lanes, S: Simd, F: Map<T>>(s: S, f: F, elements: &mut [T]) {
    const { assert!(F::GROUP == LONG || F::GROUP == SHORT) };
    match F::GROUP {
        LONG => map_groups::<T, S, LONG>(s, f, elements),
        _ => map_groups::<T, S, SHORT>(s, f, elements),
    }
}

#[inline(always)]
fn map_groups<T: Lanes, S: Simd, const N: usize>(s: S, f: impl Map<T>, elements: &mut [T]) {
    let (x, tail) = T::registers_mut::<S>(elements);
    let (groups, rest) = x.as_chunks_mut::<N>();
    for x in groups {
        *x = f.apply(Group::new(s, *x)).registers(); // 1
    }
    for x in rest {
        *x = f.apply(Group::one(s, *x)).register();
    }
    if !tail.is_empty() {
        let y = f.apply(Group::one(s, T::load_partial(s, tail)));
        T::store_partial(s, tail, y.register()); // 2
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
        self.output.fill(s, Zipped::new(self.f, self.a, self.b));
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
        zip_registers(s, self.f, self.a, self.elements);
    }
}

/// `elements[i] = f(a[i], elements[i])`, within a kernel.
#[inline(always)]
pub fn zip_registers<T: Lanes, S: Simd, F: Zip<T>>(s: S, f: F, a: &[T], elements: &mut [T]) {
    const { assert!(F::GROUP == LONG || F::GROUP == SHORT) };
    match F::GROUP {
        LONG => zip_groups::<T, S, LONG>(s, f, a, elements),
        _ => zip_groups::<T, S, SHORT>(s, f, a, elements),
    }
}

#[inline(always)]
fn zip_groups<T: Lanes, S: Simd, const N: usize>(s: S, f: impl Zip<T>, a: &[T], elements: &mut [T]) {
    let ((a, a_tail), (b, b_tail)) = (T::registers::<S>(a), T::registers_mut::<S>(elements));
    let ((a_groups, a_rest), (b_groups, b_rest)) = (a.as_chunks::<N>(), b.as_chunks_mut::<N>());
    for (a, b) in a_groups.iter().zip(b_groups) {
        *b = f.apply(Group::new(s, *a), Group::new(s, *b)).registers(); // 1
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        *b = f.apply(Group::one(s, *a), Group::one(s, *b)).register();
    }
    if !b_tail.is_empty() {
        let (a, b) = (Group::one(s, T::load_partial(s, a_tail)), Group::one(s, T::load_partial(s, b_tail)));
        T::store_partial(s, b_tail, f.apply(a, b).register()); // 2
    }
}
