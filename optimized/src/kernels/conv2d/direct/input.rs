//! The gradient of the input.

use super::super::Problem;
use super::COUNTER;
use crate::counters;
use crate::kernels::windows::Axis;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

/// Elements of a task, where channels are smaller.
const TASK: usize = 1 << 12;

/// The input's gradient, into zeros.
pub fn backward_input<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), (g, w): (&[T], &[T]), dx: &mut [T]) {
    let area = problem.area();
    let planes = (TASK / area).max(1);
    threads::for_each(threads, dx.chunks_mut(planes * area).enumerate(), |(task, dx)| {
        simd::run(isa, Planes { problem, first: task * planes, g, w, dx }); // 5
    });
}

/// Some channels, those of an image after those of the one before.
struct Planes<'a, T> {
    problem: &'a Problem,
    first: usize,
    g: &'a [T],
    w: &'a [T],
    dx: &'a mut [T],
}

impl<T: Lanes> Kernel for Planes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { problem, first, g, w, dx } = self;
        let ([height, width], outputs) = (&problem.axes, problem.outputs);
        let (positions, depth, taps) = (problem.positions(), problem.depth(), problem.taps());
        for (plane, dx) in (first..).zip(dx.chunks_mut(problem.area())) {
            let (group, c) = (plane / problem.inputs, plane % problem.inputs);
            let w = &w[group % problem.groups * outputs * depth + c * taps..];
            let channels = g[group * outputs * positions..].chunks(positions).take(outputs);
            for (w, g) in w.chunks(depth).zip(channels) {
                for (a, g) in g.chunks(width.windows).enumerate() {
                    for (i, w) in w[..taps].chunks(width.kernel).enumerate() {
                        let Some(h) = height.source(a, i) else { continue };
                        let row = &mut dx[h * width.size..][..width.size];
                        let (threes, rest) = w.as_chunks::<3>();
                        for (k, w) in threes.iter().enumerate() {
                            add(s, width, row, 3 * k, w, g);
                        }
                        for (k, w) in rest.iter().enumerate() {
                            add(s, width, row, 3 * threes.len() + k, &[*w], g);
                        }
                    }
                }
            }
        }
    }
}

/// Adds the products of a row of the output's gradient with J neighbouring taps, from `tap` on, to what their windows read.
#[inline(always)]
fn add<T: Lanes, S: Simd, const J: usize>(s: S, width: &Axis, row: &mut [T], tap: usize, w: &[T; J], g: &[T]) {
    let common = common(width, tap..tap + J);
    // Of each tap, the windows that read there.
    let windows: [_; J] = std::array::from_fn(|j| {
        let first = (common.start as i64 - width.place(0, tap + j)) as usize;
        first..first + common.len()
    });
    if !common.is_empty() {
        let (sums, last) = T::registers_mut::<S>(&mut row[common.clone()]);
        let g: [_; J] = std::array::from_fn(|j| T::registers::<S>(&g[windows[j].clone()]));
        for (q, sum) in sums.iter_mut().enumerate() {
            for j in 0..J {
                *sum = T::multiply_add(s, T::splat(s, w[j]), g[j].0[q], *sum); // 3
            }
        }
        if !last.is_empty() {
            let mut sum = T::load_partial(s, last);
            for j in 0..J {
                sum = T::multiply_add(s, T::splat(s, w[j]), T::load_partial(s, g[j].1), sum);
            }
            T::store_partial(s, last, sum);
        }
    }
    for j in 0..J {
        let [before, after] = match common.is_empty() {
            true => [0..width.windows, 0..0],
            false => [0..windows[j].start, windows[j].end..width.windows],
        };
        for part in [before, after] {
            width.add(row, tap + j, part.clone(), w[j], &g[part]);
        }
    }
}

/// The elements of a row that windows read inside the input at all of these taps, where windows start at every element; else none.
#[inline(always)]
fn common(width: &Axis, taps: Range<usize>) -> Range<usize> {
    if width.stride > 1 {
        return 0..0;
    }
    let read = taps.map(|tap| {
        let inside = width.inside(tap, &(0..width.windows));
        [inside.start, inside.end].map(|window| width.place(window, tap).max(0) as usize)
    });
    let [start, end] = read.fold([0, width.size], |[start, end], [from, to]| [start.max(from), end.min(to)]);
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    #[test]
    fn taps_have_the_elements_between_the_edges_in_common() {
        let of = |options: Conv2dOptions, taps: Range<usize>| common(&Problem::new(&options, &[1, 9, 9]).axes[1], taps);
        let three = Conv2dOptions::new(1, 1, 3);
        assert_eq!(of(three.clone(), 0..3), 2..7);
        assert_eq!(of(three.clone(), 1..2), 1..8);
        assert_eq!(of(three.clone().padding(1), 0..3), 1..8);
        assert_eq!(of(three.clone().padding(2), 0..3), 0..9);
        assert_eq!(of(three.clone().padding(4).dilation(4), 0..3), 4..5);
        assert!(of(three.clone().padding(8).dilation(10), 0..2).is_empty());
        assert!(of(three.stride(2), 0..1).is_empty());
    }
}
