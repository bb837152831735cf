//! Backward, of windows whose places are known: some elements of the gradient at a time, which gradients are added up in.

use super::{Problem, TASK};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Elements whose gradients are added up together: 16 KiB of f32, half of the smallest first-level cache, and 32 of f64.
const PART: usize = 4096;

/// Each element's gradient is the sum of those of the outputs that it is the largest of.
pub fn backward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, places): (&[T], &[i64]),
    mut dx: Output<'_, T>,
) {
    let [height, width] = &problem.axes;
    let outputs = Outputs { problem, g, places };
    // Each part looks at all windows that start so near before it that they may reach it. Where that is more than a part itself, a
    // channel is one part, wherever it lies.
    if height.span().saturating_mul(width.size) > PART {
        let channels = dx.blocks(problem.area()).enumerate();
        threads::for_each(threads, channels, |(channel, dx)| simd::run(isa, Channel { outputs, channel, dx }));
    } else {
        threads::for_each(threads, dx.blocks(TASK).enumerate(), |(task, dx)| {
            let size = PART.min(dx.len());
            scratch(size, |sums| simd::run(isa, Elements { outputs, first: task * TASK, dx, sums }));
        });
    }
}

/// The gradients of the outputs, and the places of the elements that they go to.
#[derive(Clone, Copy)]
struct Outputs<'a, T> {
    problem: &'a Problem,
    g: &'a [T],
    places: &'a [i64],
}

impl<T: Lanes> Outputs<'_, T> {
    /// The sums of a channel's elements from q on.
    #[inline(always)]
    fn add_up(&self, channel: usize, q: usize, sums: &mut [T]) {
        let [height, width] = &self.problem.axes;
        sums.fill(T::ZERO);
        let last = q + sums.len() - 1;
        let rows = height.reaching(&(q / width.size..last / width.size + 1));
        let columns = match q / width.size == last / width.size {
            true => width.reaching(&(q % width.size..last % width.size + 1)),
            false => 0..width.windows,
        };
        for row in rows {
            let first = (channel * height.windows + row) * width.windows + columns.start;
            let (g, places) = (&self.g[first..][..columns.len()], &self.places[first..][..columns.len()]);
            for (g, place) in g.iter().zip(places) {
                // Of a window without any element it is −1, and before all.
                if let Some(sum) = sums.get_mut((*place as usize).wrapping_sub(q)) {
                    *sum += *g;
                }
            }
        }
    }
}

/// Some elements of the input, of one channel or several.
struct Elements<'a, T> {
    outputs: Outputs<'a, T>,
    first: usize,
    dx: Block<'a, T>,
    /// Memory for those that are added up together.
    sums: &'a mut [T],
}

impl<T: Lanes> Kernel for Elements<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { outputs, first, dx, sums } = self;
        let (area, row) = (outputs.problem.area(), outputs.problem.axes[1].size);
        let mut next = first;
        for dx in dx.split(sums.len()) {
            let sums = &mut sums[..dx.len()];
            let mut rest = &mut *sums;
            while !rest.is_empty() {
                let q = next % area;
                // Of a row that is longer than a part, no more than its end.
                let end = if row > PART { row - q % row } else { area - q };
                let n = end.min(rest.len());
                outputs.add_up(next / area, q, rest.split_off_mut(..n).unwrap_or_default());
                next += n;
            }
            dx.fill(s, Split::new(sums)); // 6
        }
    }
}

/// A channel of the input.
struct Channel<'a, T> {
    outputs: Outputs<'a, T>,
    channel: usize,
    dx: Block<'a, T>,
}

impl<T: Lanes> Kernel for Channel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        self.outputs.add_up(self.channel, 0, self.dx.open());
    }
}
