//! One step of all sequences, its gates fused: what is between the products.
//!
//! The plain loop is, for each sequence and each element of its hidden state, what the cell's file has. We depart from it:
//! 1. registers instead of elements; those that do not fill a register are one masked register more;
//! 2. with a single gate, nothing tells the sequences apart, and all of them are one row;
//! 3. tasks of so many sequences that each is worth waking another thread for.

use super::{Cell, StepGradients};
use crate::counters;
use crate::kernels::elementwise::FUNCTION_TASK;
use crate::simd::{self, Group, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// The sequences of a task, of so many elements each.
fn task(elements: usize) -> usize {
    (FUNCTION_TASK / elements.max(1)).max(1)
}

/// The first elements of a slice, which keeps the others.
fn take<'a, T>(slice: &mut &'a [T], len: usize) -> &'a [T] {
    let (first, rest) = slice.split_at(len.min(slice.len()));
    *slice = rest;
    first
}

/// The same, for writing.
fn take_mut<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let len = len.min(slice.len());
    let (first, rest) = std::mem::take(slice).split_at_mut(len);
    *slice = rest;
    first
}

/// The register at `at`, or what is left of the slice.
#[inline(always)]
fn load<T: Lanes, S: Simd>(s: S, slice: &[T], at: usize) -> Group<T, S, 1> {
    let (registers, rest) = T::registers::<S>(slice);
    Group::one(s, if at < registers.len() { registers[at] } else { T::load_partial(s, rest) })
}

#[inline(always)]
fn store<T: Lanes, S: Simd>(slice: &mut [T], at: usize, x: Group<T, S, 1>) {
    let (registers, rest) = T::registers_mut::<S>(slice);
    if at < registers.len() { registers[at] = x.register() } else { T::store_partial(x.simd(), rest, x.register()) }
}

/// The registers at `at` of the N parts of a row.
#[inline(always)]
fn load_parts<T: Lanes, S: Simd, const N: usize>(s: S, row: &[T], size: usize, at: usize) -> [Group<T, S, 1>; N] {
    let mut parts = [Group::one(s, T::splat(s, T::ZERO)); N];
    for (i, part) in parts.iter_mut().enumerate() {
        *part = load(s, &row[i * size..][..size], at);
    }
    parts
}

#[inline(always)]
fn store_parts<T: Lanes, S: Simd, const N: usize>(row: &mut [T], size: usize, at: usize, parts: [Group<T, S, 1>; N]) {
    for (i, part) in parts.into_iter().enumerate() {
        store(&mut row[i * size..][..size], at, part);
    }
}

/// A step forward: rows of `size` elements, or as many for each gate.
pub struct Step<'a, T, C> {
    pub cell: C,
    pub size: usize,
    /// W_ih·x + b_ih, G parts a row.
    pub of_input: &'a [T],
    /// W_hh·h + b_hh, G parts a row.
    pub of_hidden: &'a [T],
    pub before: &'a [T],
    pub after: &'a mut [T],
    /// What backward needs, K parts a row.
    pub kept: &'a mut [T],
}

impl<T: Lanes, C> Step<'_, T, C> {
    /// Runs it, in tasks.
    pub fn run<const G: usize, const K: usize>(mut self, (isa, threads): (Isa, Threads))
    where
        C: Cell<T, G, K>,
    {
        let size = self.size;
        let rows = task(G * size); // 3
        let mut tasks = Vec::with_capacity(self.after.len().div_ceil(rows * size));
        while !self.after.is_empty() {
            let after = take_mut(&mut self.after, rows * size);
            let rows = after.len() / size;
            let step = Step {
                cell: self.cell,
                size: if G == 1 { after.len() } else { size }, // 2
                of_input: take(&mut self.of_input, rows * G * size),
                of_hidden: take(&mut self.of_hidden, rows * G * size),
                before: take(&mut self.before, rows * size),
                after,
                kept: take_mut(&mut self.kept, rows * K * size),
            };
            tasks.push(Fused::<_, G, K>(step));
        }
        threads::for_each(threads, tasks.into_iter(), |task| simd::run(isa, task));
    }
}

/// A task, with the number of gates and of what is kept.
struct Fused<W, const G: usize, const K: usize>(W);

impl<T: Lanes, C: Cell<T, G, K>, const G: usize, const K: usize> Kernel for Fused<Step<'_, T, C>, G, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(C::COUNTER, Isa::of::<S>());
        let Step { cell, size, of_input, of_hidden, before, after, kept } = self.0;
        for (row, after) in after.chunks_exact_mut(size).enumerate() {
            let of_input = &of_input[row * G * size..][..G * size];
            let of_hidden = &of_hidden[row * G * size..][..G * size];
            let before = &before[row * size..][..size];
            let kept = &mut kept[row * K * size..][..K * size];
            for at in 0..size.div_ceil(T::lanes::<S>()) {
                let (a, b) = (load_parts(s, of_input, size, at), load_parts(s, of_hidden, size, at));
                let (next, parts) = cell.step(a, b, load(s, before, at)); // 1
                store(after, at, next);
                store_parts(kept, size, at, parts);
            }
        }
    }
}

/// A step back: rows of `size` elements, or as many for each gate.
pub struct StepBack<'a, T, C> {
    pub cell: C,
    pub size: usize,
    /// What forward kept, K parts a row.
    pub kept: &'a [T],
    pub before: &'a [T],
    pub after: &'a [T],
    /// The gradient of the output at this step.
    pub of_output: &'a [T],
    /// The gradient of the hidden state after the step that went through the next step's W_hh.
    pub through: &'a [T],
    /// The rest of it, which becomes that of the state before.
    pub hidden: &'a mut [T],
    /// Of W_ih·x + b_ih, G parts a row.
    pub input_sums: &'a mut [T],
    /// Of W_hh·h + b_hh, G parts a row; empty where they are the same.
    pub hidden_sums: &'a mut [T],
}

impl<T: Lanes, C> StepBack<'_, T, C> {
    /// Runs it, in tasks.
    pub fn run<const G: usize, const K: usize>(mut self, (isa, threads): (Isa, Threads))
    where
        C: Cell<T, G, K>,
    {
        let size = self.size;
        let rows = task(G * size); // 3
        let mut tasks = Vec::with_capacity(self.hidden.len().div_ceil(rows * size));
        while !self.hidden.is_empty() {
            let hidden = take_mut(&mut self.hidden, rows * size);
            let rows = hidden.len() / size;
            let step = StepBack {
                cell: self.cell,
                size: if G == 1 { hidden.len() } else { size }, // 2
                kept: take(&mut self.kept, rows * K * size),
                before: take(&mut self.before, rows * size),
                after: take(&mut self.after, rows * size),
                of_output: take(&mut self.of_output, rows * size),
                through: take(&mut self.through, rows * size),
                hidden,
                input_sums: take_mut(&mut self.input_sums, rows * G * size),
                hidden_sums: take_mut(&mut self.hidden_sums, rows * G * size),
            };
            tasks.push(Fused::<_, G, K>(step));
        }
        threads::for_each(threads, tasks.into_iter(), |task| simd::run(isa, task));
    }
}

impl<T: Lanes, C: Cell<T, G, K>, const G: usize, const K: usize> Kernel for Fused<StepBack<'_, T, C>, G, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(C::COUNTER, Isa::of::<S>());
        let StepBack { cell, size, kept, before, after, of_output, through, hidden, input_sums, hidden_sums } = self.0;
        for (row, hidden) in hidden.chunks_exact_mut(size).enumerate() {
            let states = row * size..(row + 1) * size;
            let (before, after) = (&before[states.clone()], &after[states.clone()]);
            let (of_output, through) = (&of_output[states.clone()], &through[states]);
            let kept = &kept[row * K * size..][..K * size];
            let sums = row * G * size..(row + 1) * G * size;
            for at in 0..size.div_ceil(T::lanes::<S>()) {
                let gradient = load(s, hidden, at) + load(s, through, at) + load(s, of_output, at);
                let states = (load(s, before, at), load(s, after, at));
                let step: StepGradients<_, G> = cell.step_back(load_parts(s, kept, size, at), states, gradient); // 1
                store(hidden, at, step.hidden);
                store_parts(&mut input_sums[sums.clone()], size, at, step.input_sums);
                if G > 1 {
                    store_parts(&mut hidden_sums[sums.clone()], size, at, step.hidden_sums);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::task;

    #[test]
    fn a_task_has_about_as_many_elements_whatever_the_size() {
        assert_eq!([0, 1, 3, 1 << 15, 1 << 20].map(task), [1 << 15, 1 << 15, 10_922, 1, 1]);
    }
}
