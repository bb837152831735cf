//! Backward: a few rows of the gradient at a time.

use super::{Problem, TASK};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Elements whose gradients are added up together: 16 KiB of f32, which stay in the first-level cache.
const PART: usize = 4096;

/// Elements of whole channels, of whole rows of one, or of a part of a row: `most` at most where a row has more, and otherwise as many
/// rows as that has, and as many channels.
fn elements(problem: &Problem, most: usize) -> usize {
    let (area, row) = (problem.area(), problem.axes[1].size);
    let whole = if area <= most { area } else { row };
    if whole <= most { most / whole * whole } else { most }
}

/// Each element's gradient is the sum of those of the outputs that it is the largest of.
pub fn backward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, places): (&[T], &[i64]),
    mut dx: Output<'_, T>,
) {
    let size = elements(problem, TASK);
    threads::for_each(threads, dx.blocks(size).enumerate(), |(task, dx)| {
        let most = elements(problem, PART).min(dx.len());
        scratch(most, |sums| simd::run(isa, Elements { problem, g, places, first: task * size, dx, sums }));
    });
}

/// Some elements of the input.
struct Elements<'a, T> {
    problem: &'a Problem,
    g: &'a [T],
    places: &'a [i64],
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
        let Self { problem, g, places, mut first, mut dx, sums } = self;
        let [height, width] = &problem.axes;
        let area = problem.area();
        while dx.len() > 0 {
            let (channel, q) = (first / area, first % area);
            let n = sums.len().min(area - q).min(dx.len());
            let sums = &mut sums[..n];
            sums.fill(T::ZERO);
            // The windows that reach some of the elements; of a part of a row, only these of each row of windows.
            let last = q + n - 1;
            let rows = height.reaching(&(q / width.size..last / width.size + 1));
            let columns = match q / width.size == last / width.size {
                true => width.reaching(&(q % width.size..last % width.size + 1)),
                false => 0..width.windows,
            };
            for row in rows {
                let windows = (channel * height.windows + row) * width.windows + columns.start;
                let (g, places) = (&g[windows..][..columns.len()], &places[windows..][..columns.len()]);
                for (g, place) in g.iter().zip(places) {
                    // Of a window without any element it is −1, and before all.
                    if let Some(sum) = sums.get_mut((*place as usize).wrapping_sub(q)) {
                        *sum += *g;
                    }
                }
            }
            let (part, after) = dx.split_at(n);
            part.fill(s, Split::new(sums)); // 5
            (first, dx) = (first + n, after);
        }
    }
}
