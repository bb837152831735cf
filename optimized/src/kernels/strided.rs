//! Functions of the difference and their gradients where input and target are broadcast against each other.
//!
//! The plain loop goes over every index of the broadcast shape and finds, for each operand, the element it reads. We depart
//! from it:
//! 1. neighbouring dimensions along which both operands advance alike are joined, once; the last of the joined ones is a
//!    *run*, in which each operand either advances by one element or stands still, so that nothing is looked up in it;
//! 2. a run's gradients go through a small buffer, from which they are written, added up element by element, or summed,
//!    whichever the operand's broadcasting asks for; nothing is broadcast in memory;
//! 3. sums over copies are carried in f64, in a number of parts that the shapes alone decide on, added in their order.

use super::difference::{Difference, Slope};
use super::elementwise::{BLOCK, TASK};
use crate::counters;
use crate::memory::Output;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

/// Elements of a run that go through the buffer at once.
const BUFFER: usize = 256;

/// At most so many f64 sums are kept beyond one for each element: 8 MiB.
const SUMS: usize = 1 << 20;

/// At most so many parts are summed apart.
const PARTS: usize = 16;

/// A dimension of the broadcast shape, and how far each operand advances along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    size: usize,
    steps: [usize; 2],
}

/// Two operands broadcast against each other to `len` elements, which is not 0.
pub struct Broadcast {
    /// The joined dimensions before the run, the first outermost.
    outer: Vec<Axis>,
    /// The run.
    run: Axis,
    /// The number of elements of the broadcast shape.
    pub len: usize,
    /// The number of elements of each operand.
    sizes: [usize; 2],
}

impl Broadcast {
    /// Of operands of these shapes, broadcast to `shape`; their sizes are 1 or those of `shape`, aligned at the end.
    pub fn new(shape: &[usize], operands: [&[usize]; 2]) -> Self {
        let steps = operands.map(|operand| steps(shape.len(), operand));
        let mut axes: Vec<Axis> = Vec::with_capacity(shape.len());
        for (i, &size) in shape.iter().enumerate().rev() {
            let axis = Axis { size, steps: [steps[0][i], steps[1][i]] };
            match axes.last_mut() {
                _ if size == 1 => {}
                Some(inner) if [0, 1].iter().all(|&k| axis.steps[k] == inner.steps[k] * inner.size) => {
                    inner.size *= size; // 1
                }
                _ => axes.push(axis),
            }
        }
        axes.reverse();
        let run = axes.pop().unwrap_or(Axis { size: 1, steps: [0, 0] });
        let len = shape.iter().product();
        Self { outer: axes, run, len, sizes: operands.map(|operand| operand.iter().product()) }
    }

    /// Whether every element of the operand is read once, in order.
    fn is_dense(&self, operand: usize) -> bool {
        self.sizes[operand] == self.len
    }

    /// Calls `f` with each run, or part of one, of at most `most` elements in `range`: its range among the broadcast
    /// elements, and where each operand stands at its start.
    #[inline(always)]
    fn for_each_run(&self, range: Range<usize>, most: usize, mut f: impl FnMut(Range<usize>, [usize; 2])) {
        let mut index = vec![0; self.outer.len()];
        let mut rest = range.start / self.run.size;
        for (i, axis) in index.iter_mut().zip(&self.outer).rev() {
            *i = rest % axis.size;
            rest /= axis.size;
        }
        let mut bases = [0, 1].map(|k| index.iter().zip(&self.outer).map(|(i, axis)| i * axis.steps[k]).sum::<usize>());
        let mut within = range.start % self.run.size;
        let mut at = range.start;
        while at < range.end {
            let len = (self.run.size - within).min(range.end - at).min(most);
            f(at..at + len, [0, 1].map(|k| bases[k] + within * self.run.steps[k]));
            at += len;
            within += len;
            if within == self.run.size {
                within = 0;
                for (i, axis) in index.iter_mut().zip(&self.outer).rev() {
                    *i += 1;
                    (0..2).for_each(|k| bases[k] += axis.steps[k]);
                    if *i < axis.size {
                        break;
                    }
                    (0..2).for_each(|k| bases[k] -= axis.size * axis.steps[k]);
                    *i = 0;
                }
            }
        }
    }
}

impl Broadcast {
    /// Copies what the second operand has for the elements of `range`.
    #[inline(always)]
    pub fn copy_second<T: Copy>(&self, second: &[T], range: Range<usize>, copies: &mut [T]) {
        let (first, step) = (range.start, self.run.steps[1]);
        self.for_each_run(range, usize::MAX, |range, [_, start]| {
            let copies = &mut copies[range.start - first..range.end - first];
            match step {
                0 => copies.fill(second[start]),
                _ => copies.copy_from_slice(&second[start..start + copies.len()]),
            }
        });
    }
}

/// How far a contiguous operand advances along each dimension of the broadcast shape.
fn steps(rank: usize, operand: &[usize]) -> Vec<usize> {
    let mut steps = vec![0; rank];
    let mut step = 1;
    for (slot, &size) in steps.iter_mut().rev().zip(operand.iter().rev()) {
        if size != 1 {
            *slot = step;
        }
        step *= size;
    }
    steps
}

/// An operand along a run.
#[derive(Clone, Copy)]
enum Run<'a, T> {
    Each(&'a [T]),
    All(T),
}

impl<'a, T: Lanes> Run<'a, T> {
    #[inline(always)]
    fn new(elements: &'a [T], start: usize, step: usize, len: usize) -> Self {
        if step == 0 { Self::All(elements[start]) } else { Self::Each(&elements[start..start + len]) }
    }
}

/// `buffer[i] = x[i] − t[i]`.
#[inline(always)]
fn differences<T: Lanes>(buffer: &mut [T], x: Run<'_, T>, t: Run<'_, T>) {
    match (x, t) {
        (Run::Each(x), Run::Each(t)) => {
            for (d, (&x, &t)) in buffer.iter_mut().zip(x.iter().zip(t)) {
                *d = x - t;
            }
        }
        (Run::Each(x), Run::All(t)) => {
            for (d, &x) in buffer.iter_mut().zip(x) {
                *d = x - t;
            }
        }
        (Run::All(x), Run::Each(t)) => {
            for (d, &t) in buffer.iter_mut().zip(t) {
                *d = x - t;
            }
        }
        (Run::All(x), Run::All(t)) => buffer.fill(x - t),
    }
}

/// Σ f(element), in eight sums of the elements' own type.
#[inline(always)]
pub fn sum_of<T: Lanes>(elements: &[T], f: impl Fn(T) -> T) -> f64 {
    let mut sums = [T::ZERO; 8];
    let (eights, rest) = elements.as_chunks::<8>();
    for eight in eights {
        for (sum, &x) in sums.iter_mut().zip(eight) {
            *sum += f(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f(x);
    }
    sums.iter().map(|sum| sum.widen()).sum()
}

struct Work<'a, T> {
    broadcast: &'a Broadcast,
    x: &'a [T],
    t: &'a [T],
    range: Range<usize>,
}

impl<T: Lanes> Work<'_, T> {
    /// Calls `f` with the differences of each run, in order, their range, and where each operand stands at its start.
    #[inline(always)]
    fn for_each_buffer(&self, mut f: impl FnMut(&mut [T], Range<usize>, [usize; 2])) {
        let mut buffer = [T::ZERO; BUFFER];
        let steps = self.broadcast.run.steps;
        self.broadcast.for_each_run(self.range.clone(), BUFFER, |range, starts| {
            let buffer = &mut buffer[..range.len()];
            let x = Run::new(self.x, starts[0], steps[0], range.len());
            let t = Run::new(self.t, starts[1], steps[1], range.len());
            differences(buffer, x, t); // 2
            f(buffer, range, starts);
        });
    }
}

/// The term of each element.
pub fn terms<T: Lanes, D: Difference>(
    of: D,
    (isa, threads): (Isa, Threads),
    broadcast: &Broadcast,
    (x, t): (&[T], &[T]),
    mut output: Output<'_, T>,
) {
    threads::for_each(threads, output.blocks(TASK).enumerate(), |(task, output)| {
        let mut start = task * TASK;
        for output in output.split(BLOCK) {
            let range = start..start + output.len();
            start = range.end;
            simd::run(isa, Terms { of, work: Work { broadcast, x, t, range }, output: output.open() });
        }
    });
}

struct Terms<'a, T, D> {
    of: D,
    work: Work<'a, T>,
    output: &'a mut [T],
}

impl<T: Lanes, D: Difference> Kernel for Terms<'_, T, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(D::COUNTERS[1], Isa::of::<S>());
        let start = self.work.range.start;
        self.work.for_each_buffer(|differences, range, _| {
            let output = &mut self.output[range.start - start..range.end - start];
            output.iter_mut().zip(differences).for_each(|(y, d)| *y = self.of.term(*d));
        });
    }
}

/// The sum of the terms.
pub fn sum<T: Lanes, D: Difference>(
    of: D,
    (isa, threads): (Isa, Threads),
    broadcast: &Broadcast,
    (x, t): (&[T], &[T]),
) -> f64 {
    // The broadcast shape may have far more elements than the operands: no more sums than fit in a corner of memory.
    let size = TASK.max(broadcast.len.div_ceil(SUMS));
    let mut sums = vec![0.0; broadcast.len.div_ceil(size)];
    threads::for_each(threads, sums.iter_mut().enumerate(), |(task, sum)| {
        let range = task * size..broadcast.len.min((task + 1).saturating_mul(size));
        *sum = simd::run(isa, Sum { of, work: Work { broadcast, x, t, range } });
    });
    sums.iter().sum() // 3
}

struct Sum<'a, T, D> {
    of: D,
    work: Work<'a, T>,
}

impl<T: Lanes, D: Difference> Kernel for Sum<'_, T, D> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        counters::record(D::COUNTERS[1], Isa::of::<S>());
        let mut total = 0.0;
        self.work.for_each_buffer(|differences, _, _| total += sum_of(differences, |d| self.of.term(d)));
        total
    }
}

/// The gradients of input and target, in the shapes of each.
pub fn gradients<T: Lanes, D: Difference>(
    of: D,
    (isa, threads): (Isa, Threads),
    broadcast: &Broadcast,
    (x, t): (&[T], &[T]),
    slope: Slope<'_, T>,
    outputs: [&mut [T]; 2],
) {
    let summed: usize = (0..2).filter(|&k| !broadcast.is_dense(k)).map(|k| broadcast.sizes[k]).sum();
    let parts = (SUMS / summed.max(1)).min(broadcast.len / TASK).clamp(1, PARTS); // 3
    let size = broadcast.len.div_ceil(parts);
    let parts = broadcast.len.div_ceil(size);

    let [dx, dt] = outputs;
    let mut sums =
        [dx.len(), dt.len()].map(|len| if len == broadcast.len { Vec::new() } else { vec![0.0; parts * len] });
    {
        let [x_sums, t_sums] = &mut sums;
        let dx = sinks(dx, broadcast.is_dense(0), x_sums, (parts, size), false);
        let dt = sinks(dt, broadcast.is_dense(1), t_sums, (parts, size), true);
        let tasks: Vec<_> = dx.into_iter().zip(dt).enumerate().collect();
        threads::for_each(threads, tasks.into_iter(), |(part, (dx, dt))| {
            let range = part * size..broadcast.len.min((part + 1) * size);
            simd::run(isa, Gradients { of, work: Work { broadcast, x, t, range }, slope, sinks: [dx, dt] });
        });
    }
    let [x_sums, t_sums] = sums;
    join(dx, &x_sums);
    join(dt, &t_sums);
}

/// Where a part's gradients go.
enum Sink<'a, T> {
    /// Each to an element of its own: those of the part.
    Dense(&'a mut [T], Sign),
    /// Added to the sum of the element that was broadcast.
    Sums(&'a mut [f64], Sign),
}

/// A target's gradient is minus the input's.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Plus,
    Minus,
}

fn sinks<'a, T: Lanes>(
    output: &'a mut [T],
    dense: bool,
    sums: &'a mut [f64],
    (parts, size): (usize, usize),
    minus: bool,
) -> Vec<Sink<'a, T>> {
    let sign = if minus { Sign::Minus } else { Sign::Plus };
    if dense {
        output.chunks_mut(size).map(|part| Sink::Dense(part, sign)).collect()
    } else {
        sums.chunks_mut((sums.len() / parts).max(1)).map(|part| Sink::Sums(part, sign)).collect()
    }
}

/// Adds the parts' sums, in their order.
fn join<T: Lanes>(output: &mut [T], sums: &[f64]) {
    let len = output.len();
    if !sums.is_empty() {
        for (i, y) in output.iter_mut().enumerate() {
            *y = T::narrow(sums.iter().skip(i).step_by(len).sum());
        }
    }
}

struct Gradients<'a, T, D> {
    of: D,
    work: Work<'a, T>,
    slope: Slope<'a, T>,
    sinks: [Sink<'a, T>; 2],
}

impl<T: Lanes, D: Difference> Kernel for Gradients<'_, T, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        counters::record(D::COUNTERS[1], Isa::of::<S>());
        let start = self.work.range.start;
        let steps = self.work.broadcast.run.steps;
        self.work.for_each_buffer(|buffer, range, starts| {
            match self.slope.part(range.start, range.len()) {
                Slope::Each(g) => {
                    for (v, &g) in buffer.iter_mut().zip(g) {
                        *v = T::narrow(D::SCALE) * self.of.direction(*v) * g;
                    }
                }
                Slope::All(factor) => {
                    for v in &mut *buffer {
                        *v = factor * self.of.direction(*v);
                    }
                }
                Slope::Apart { c, g } => {
                    for v in &mut *buffer {
                        *v = c * self.of.direction(*v) * g;
                    }
                }
            }
            let part = range.start - start..range.end - start;
            for ((sink, at), step) in self.sinks.iter_mut().zip(starts).zip(steps) {
                match sink {
                    Sink::Dense(output, Sign::Plus) => output[part.clone()].copy_from_slice(buffer),
                    Sink::Dense(output, Sign::Minus) => {
                        output[part.clone()].iter_mut().zip(&*buffer).for_each(|(y, v)| *y = -*v);
                    }
                    Sink::Sums(sums, sign) => {
                        let sign = if *sign == Sign::Plus { 1.0 } else { -1.0 };
                        if step == 0 {
                            sums[at] += sign * sum_of(buffer, |v| v);
                        } else {
                            let sums = &mut sums[at..at + buffer.len()];
                            sums.iter_mut().zip(&*buffer).for_each(|(sum, v)| *sum += sign * v.widen());
                        }
                    }
                }
            }
        });
    }
}
