//! Backward, of windows of two rows and two columns that lie side by side.
//!
//! The plain loop is `for each window: dx[its largest] = g`, and 0 elsewhere. We depart from it:
//! 1. a row of windows is over two rows of elements, and each of these asks the windows whether theirs stands in it: at the tap of even
//!    columns, or of odd ones. Both answers, in turn, are the row;
//! 2. lanes beyond the last window fall into the next row, which is written later.

use super::{BYTES_OF_A_PART, MOST_BYTES_OF_A_PART, Mark, Problem, TASK, rows_of_a_part};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, MOST_LANES, Simd};
use crate::threads::{self, Threads};

/// Rows of fewer elements go by places, or by the input. 64 rows of 8 f32 take 0.44 µs here on one thread of Zen 5 and 0.31 by places, of 16 0.70 and 0.61,
/// of 28 1.35 and 1.55; the way forward, which remembers taps for these, gains as much at 16.
const LEAST: usize = 16;

/// Rows of more elements go by places, too, which need not find all of one first.
const MOST: usize = 1 << 16;

/// Whether windows are such ones, of rows that are neither too short nor too long.
pub fn suits(problem: &Problem) -> bool {
    problem.is_tiled() && (LEAST..=MOST).contains(&problem.axes[1].size)
}

/// Each element's gradient is that of the window over it, where it stands at the tap given, and 0 elsewhere.
pub fn backward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, taps): (&[T], &[u8]),
    mut dx: Output<'_, T>,
) {
    let size = problem.axes[1].size;
    let together =
        rows_of_a_part::<T>(size, [BYTES_OF_A_PART, MOST_BYTES_OF_A_PART].map(|bytes| bytes / size_of::<T>()));
    let rows = (TASK / size / together).max(1) * together;
    threads::for_each(threads, dx.blocks(rows * size).enumerate(), |(task, dx)| {
        scratch(together * size + 2 * MOST_LANES, |gradients| {
            simd::run(isa, Rows { problem, g, taps, first: task * rows, together, dx, gradients });
        });
    });
}

/// Rows of the gradient, of one channel or several.
struct Rows<'a, T> {
    problem: &'a Problem,
    g: &'a [T],
    taps: &'a [u8],
    first: usize,
    /// Rows that are found before they are written.
    together: usize,
    dx: Block<'a, T>,
    /// Theirs, and two registers more.
    gradients: &'a mut [T],
}

impl<T: Lanes> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { problem, g, taps, first, together, dx, gradients } = self;
        let [height, width] = &problem.axes;
        // The row in its channel, and the first window of the row of windows over it.
        let mut row = first % height.size;
        let mut from = (first / height.size * height.windows + (row / 2).min(height.windows)) * width.windows;
        let (known, n) = (2 * width.windows, width.windows);
        for dx in dx.split(together * width.size) {
            for at in (0..dx.len()).step_by(width.size) {
                let of_row = &mut gradients[at..];
                if row < 2 * height.windows {
                    find_row(s, (&g[from..], &taps[from..]), (row % 2, n), of_row);
                    from += row % 2 * n;
                    for x in &mut of_row[known..width.size] {
                        *x = T::ZERO;
                    }
                } else {
                    of_row[..width.size].fill(T::ZERO);
                }
                row = if row + 1 == height.size { 0 } else { row + 1 };
            }
            let len = dx.len();
            dx.fill(s, Split::new(&gradients[..len]));
        }
    }
}

/// The gradients of a row, the upper of its windows' rows or the lower, from those of n windows and their taps.
#[inline(always)]
fn find_row<T: Lanes, S: Simd>(s: S, (g, taps): (&[T], &[u8]), (row, n): (usize, usize), dx: &mut [T]) {
    let (lanes, registers) = (T::lanes::<S>(), n.div_ceil(T::lanes::<S>()));
    let its = [2 * row, 2 * row + 1].map(|tap| tap as u8);
    let whole = registers.min(g.len() / lanes);
    let operands = g.chunks_exact(lanes).zip(taps.chunks_exact(lanes));
    for (dx, (g, taps)) in dx.chunks_exact_mut(2 * lanes).zip(operands).take(whole) {
        let dx = T::registers_mut::<S>(dx).0;
        [dx[0], dx[1]] = of_windows::<T, S>(s, T::registers::<S>(g).0[0], taps, its); // 1
    }
    if whole < registers {
        let (g, taps) = (&g[whole * lanes..], &taps[whole * lanes..]);
        let mut last = [u8::NONE; MOST_LANES];
        last[..taps.len()].copy_from_slice(taps);
        let dx = T::registers_mut::<S>(&mut dx[2 * whole * lanes..][..2 * lanes]).0;
        [dx[0], dx[1]] = of_windows::<T, S>(s, T::load_partial(s, g), &last[..lanes], its);
    }
}

/// The gradients of elements side by side, from those of a register of windows and their taps.
#[inline(always)]
fn of_windows<T: Lanes, S: Simd>(s: S, g: T::Register<S>, taps: &[u8], its: [u8; 2]) -> [T::Register<S>; 2] {
    // Added to 0, as sums are, which leaves no −0.
    let zero = T::splat(s, T::ZERO);
    T::in_turn(s, T::plus_where(s, zero, (taps, its[0]), g), T::plus_where(s, zero, (taps, its[1]), g))
}
