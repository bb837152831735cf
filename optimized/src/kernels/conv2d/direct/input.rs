//! The gradient of the input.

use super::super::Problem;
use super::COUNTER;
use crate::counters;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

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
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { problem, first, g, w, dx } = self;
        let ([height, width], outputs) = (&problem.axes, problem.outputs);
        let (positions, depth, taps) = (problem.positions(), problem.depth(), problem.taps());
        for (plane, dx) in (first..).zip(dx.chunks_mut(problem.area())) {
            let (groups, c) = (plane / problem.inputs, plane % problem.inputs);
            let w = &w[groups % problem.groups * outputs * depth + c * taps..];
            let channels = g[groups * outputs * positions..].chunks(positions).take(outputs);
            for (w, g) in w.chunks(depth).zip(channels) {
                for (a, g) in g.chunks(width.windows).enumerate() {
                    for (i, w) in w[..taps].chunks(width.kernel).enumerate() {
                        let Some(h) = height.source(a, i) else { continue };
                        let row = &mut dx[h * width.size..][..width.size];
                        for (j, w) in w.iter().enumerate() {
                            width.add(row, j, 0..width.windows, *w, g); // 3
                        }
                    }
                }
            }
        }
    }
}
