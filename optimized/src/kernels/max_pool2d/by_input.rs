//! Backward, of windows of two rows and two columns that lie side by side over a small input, of which a pass remembers nothing: to find
//! their largest again takes less than to have written down where they stand.
//!
//! The plain loop is `for each window: dx[its largest] = g`, and 0 elsewhere. We depart from it in that nothing branches on which of the
//! four elements is the largest, as nobody could foresee that, but for windows whose sum is NaN, which go by the plain loop of the way
//! forward. Rows are too short for registers.

use super::{Problem, by_tiles};
use crate::counters::{self, Counter};
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::hint::select_unpredictable;

/// Inputs of more elements are none of these, nor are those of rows that go by taps. 3x8x8 f32 takes 0.28 µs forward and 0.24 back on one
/// thread of Zen 4, 0.36 and 0.26 by places; 64x8x8 1.7 and 3.2, and 3.8 and 1.7; 64x14x14 no less in all.
const MOST: usize = 1 << 12;

/// Whether the windows over an input of so many elements are such ones.
pub fn suits(problem: &Problem, len: usize) -> bool {
    len <= MOST && problem.is_tiled() && !by_tiles::suits(problem)
}

/// Each element's gradient is that of the window over it, where it is its largest, and 0 elsewhere.
pub fn backward<T: Lanes>(problem: &Problem, isa: Isa, (g, x): (&[T], &[T]), mut dx: Output<'_, T>) {
    let all = dx.blocks(MOST);
    threads::for_each(Threads::ONE, all, |dx| simd::run(isa, Windows { problem, g, x, dx }));
}

/// All windows.
struct Windows<'a, T> {
    problem: &'a Problem,
    g: &'a [T],
    x: &'a [T],
    dx: Block<'a, T>,
}

impl<T: Lanes> Kernel for Windows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { problem, mut g, x, dx } = self;
        let ([height, width], area) = (&problem.axes, problem.area());
        let dx = dx.open();
        dx.fill(T::ZERO);
        for (x, dx) in x.chunks_exact(area).zip(dx.chunks_exact_mut(area)) {
            for a in 0..height.windows {
                let of_row = g.split_off(..width.windows).unwrap_or_default();
                let (upper, lower) = x[2 * a * width.size..][..2 * width.size].split_at(width.size);
                let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
                for (b, (g, (upper, lower))) in of_row.iter().zip(pairs).enumerate() {
                    let largest = |pair: &[T; 2]| select_unpredictable(pair[1] > pair[0], (pair[1], 1), (pair[0], 0));
                    let (first, second) = (largest(upper), largest(lower));
                    let mut place = select_unpredictable(second.0 > first.0, width.size + second.1, first.1);
                    if ((upper[0] + upper[1]) + (lower[0] + lower[1])).is_nan() {
                        let [i, j] = problem.largest(x, [a, b]).1.unwrap_or_default();
                        place = i * width.size + j;
                    }
                    dx[2 * (a * width.size + b) + place] = *g + T::ZERO;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::windows::Axis;
    use vocabulary::PaddingMode;

    #[test]
    fn small_inputs_of_short_rows_suit_where_windows_lie_side_by_side() {
        let of = |size: usize, windows: usize, start: i64| {
            let axis = Axis { size, kernel: 2, stride: 2, dilation: 1, start, windows, mode: PaddingMode::Zeros };
            Problem { axes: [axis; 2] }
        };
        let suit = |size, windows, start, len| suits(&of(size, windows, start), len);
        assert!(suit(8, 4, 0, 4096) && suit(15, 7, 0, 225) && suit(2, 1, 0, 4));
        // Larger, with longer rows, with windows over the edge, and padded.
        assert!(!suit(8, 4, 0, 4097) && !suit(16, 8, 0, 256) && !suit(15, 8, 0, 225) && !suit(8, 5, 1, 64));
    }
}
