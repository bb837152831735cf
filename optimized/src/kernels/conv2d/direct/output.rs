//! The output.

use super::super::Problem;
use super::lines::{self, Lines};
use super::{BLOCK, COUNTER};
use crate::counters;
use crate::kernels::tiles::parts;
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Output channels of a task: as many as are computed together.
const CHANNELS: usize = 4;

/// The output.
pub fn forward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (x, w, bias): (&[T], &[T], Option<&[T]>),
    y: &mut [T],
) {
    let (depth, positions) = (problem.depth(), problem.positions());
    let image = problem.inputs * problem.area();
    let tasks = parts(y, problem.outputs * positions, CHANNELS * positions); // 5
    threads::for_each(threads, tasks, |(plane, part, y)| {
        let first = plane % problem.groups * problem.outputs + part * CHANNELS;
        let w = &w[first * depth..][..y.len() / positions * depth];
        let (x, bias) = (&x[plane * image..][..image], bias.map(|bias| &bias[first..]));
        scratch(lines::memory(problem, BLOCK.min(problem.axes[1].windows)), |memory| {
            simd::run(isa, Channels { problem, x, w, bias, y, memory });
        });
    });
}

/// Some output channels of an image.
struct Channels<'a, T> {
    problem: &'a Problem,
    /// The input channels of the group.
    x: &'a [T],
    w: &'a [T],
    bias: Option<&'a [T]>,
    y: &'a mut [T],
    memory: &'a mut [T],
}

impl<T: Lanes> Kernel for Channels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { problem, x, w, bias, y, memory } = self;
        let [rows, columns] = problem.axes.map(|axis| axis.windows);
        for start in (0..columns).step_by(BLOCK) {
            let windows = start..columns.min(start + BLOCK);
            let memory = &mut memory[..lines::memory(problem, windows.len())];
            let mut lines = Lines::new(problem, windows.clone(), memory);
            for a in 0..rows {
                let (lines, places) = lines.of_row(x, a); // 1
                let depth = places.len();
                let mut y = y.chunks_mut(rows * columns).map(|y| &mut y[a * columns..][windows.clone()]);
                let terms = |m: usize| (&w[m * depth..][..depth], bias.map_or(T::ZERO, |bias| bias[m]));
                if w.len() == CHANNELS * depth {
                    let y: [&mut [T]; CHANNELS] = std::array::from_fn(|_| y.next().unwrap_or_default());
                    Row { lines, places, terms: std::array::from_fn(terms) }.write(s, y);
                } else {
                    for (m, y) in y.enumerate() {
                        Row { lines, places, terms: [terms(m)] }.write(s, [y]);
                    }
                }
            }
        }
    }
}

/// A row of M output channels, each with its weights and bias.
struct Row<'a, T, const M: usize> {
    lines: &'a [T],
    places: &'a [usize],
    terms: [(&'a [T], T); M],
}

impl<T: Lanes, const M: usize> Row<'_, T, M> {
    #[inline(always)]
    fn write<S: Simd>(&self, s: S, mut y: [&mut [T]; M]) {
        let (width, single) = (y[0].len(), T::lanes::<S>());
        let mut at = 0;
        // As many accumulators as leave room for a line's registers and a weight.
        if M == 1 || S::REGISTER_COUNT >= 32 {
            while at + 4 * single <= width {
                self.registers::<S, 4>(s, &mut y, at);
                at += 4 * single;
            }
        } else {
            while at + 2 * single <= width {
                self.registers::<S, 2>(s, &mut y, at);
                at += 2 * single;
            }
        }
        while at < width {
            self.registers::<S, 1>(s, &mut y, at);
            at += single;
        }
    }

    /// V registers of each channel, the last of which may leave the row.
    #[inline(always)]
    fn registers<S: Simd, const V: usize>(&self, s: S, y: &mut [&mut [T]; M], at: usize) {
        let len = V * T::lanes::<S>();
        // The bias first: last, it would be one more rounding of the whole sum.
        let mut sums = [[T::splat(s, T::ZERO); V]; M];
        for (sums, (_, bias)) in sums.iter_mut().zip(&self.terms) {
            *sums = [T::splat(s, *bias); V];
        }
        for (k, place) in self.places.iter().enumerate() {
            let x = &T::registers::<S>(&self.lines[place + at..][..len]).0[..V];
            for (sums, (weights, _)) in sums.iter_mut().zip(&self.terms) {
                let w = T::splat(s, weights[k]);
                for v in 0..V {
                    sums[v] = T::multiply_add(s, w, x[v], sums[v]); // 2
                }
            }
        }
        for m in 0..M {
            let y = &mut y[m][at..];
            if y.len() >= len {
                let y = T::registers_mut::<S>(&mut y[..len]).0;
                y[..V].copy_from_slice(&sums[m]);
            } else {
                T::store_partial(s, y, sums[m][0]);
            }
        }
    }
}
