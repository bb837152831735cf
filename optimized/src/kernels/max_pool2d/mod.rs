//! The largest element of each window.
//!
//! The plain loop is `for each window, for i, for j: if x is the first, or x > best, or x is NaN { best = x }`, over the elements
//! inside the input ([`Problem::largest`]). We depart from it:
//! 1. the largest of the taps along the width is found once for each row of the input, and windows of several rows take the largest of
//!    those: the first of equals is the same, since rows come first. Windows of 2x2 that lie side by side keep nothing
//!    (`forward/tiles.rs`), nor do those of three columns that start two apart (`forward/threes.rs`);
//! 2. windows side by side in a row take a lane each, but for those of thousands of rows, or of places millions apart, and for a last
//!    one of three columns that a register would be for alone (`forward/last.rs`);
//! 3. lanes of windows that read outside the input hold −∞ against it. A window of which nothing is larger than that is looked at
//!    again by the plain loop: only its place is not known;
//! 4. nothing asks whether x is NaN. What is read is added up beside: where the sum is NaN, be it of infinities of both signs, all
//!    windows of the row, or of the rows that are found at once, or the one that is found alone, are computed again by the plain loop;
//! 5. where the best stand is remembered only where it is asked for, as the number of the tap or the distance from the start of the
//!    window; in lanes, numbers are floating-point ones, which these choose among as among elements;
//! 6. backward, of windows that are small and start two columns apart, each element asks those over it whether it was
//!    their largest, of windows of 2x2 side by side the one over it ([`backward_by_taps`]); of others, gradients are added up in the
//!    first-level cache ([`backward_by_places`]). Both write them from there: past all caches, where there are so many that they would
//!    not hold them. Of windows of 2x2 over short rows of a small input nothing is remembered ([`backward_by_input`]);
//! 7. windows of f64 of 2x2 side by side are found there, too, and written past the caches where these would not hold them beside the
//!    input;
//! 8. threads take some windows, and backward some elements, that the shapes alone decide on.

mod by_input;
mod by_places;
mod by_taps;
mod by_tiles;
mod forward;
mod marks;

pub use by_input::backward as backward_by_input;
pub use by_places::backward as backward_by_places;
pub use forward::{forward, forward_with_marks};
pub use marks::Mark;

use super::windows::Axis;
use crate::memory::Output;
use crate::simd::{Isa, LINE, Lanes};
use crate::threads::Threads;

/// Elements that a task of one thread reads, forward, or writes, backward: 5 to 20 µs of work.
const TASK: usize = 1 << 16;

/// Bytes of gradients, or of windows, that are found before they are written past the caches: few, as memory goes on taking those before
/// while the next are found. Gradients of 2x2 windows of 8x64x112x112 f32 take 0.61 ms on one thread of Zen 5, 0.60 by 2 KiB, 0.71 by 8 and
/// 0.75 by 16.
const BYTES_OF_A_PART: usize = 1 << 12;

/// The same where fewer are no whole cache lines: half of what the smallest first-level cache holds.
const MOST_BYTES_OF_A_PART: usize = 1 << 14;

/// Channels of an input, one after the other, and the windows over each.
#[derive(Debug, Clone, Copy)]
pub struct Problem {
    /// Along height and width.
    pub axes: [Axis; 2],
}

impl Problem {
    /// Elements of a channel of the input.
    fn area(&self) -> usize {
        self.axes[0].size * self.axes[1].size
    }

    /// Whether windows have two rows and two columns, and lie side by side.
    fn is_tiled(&self) -> bool {
        let is_tiled = |axis: &Axis| (axis.kernel, axis.stride, axis.dilation, axis.start) == (2, 2, 1, 0);
        self.axes.iter().all(|axis| is_tiled(axis) && 2 * axis.windows <= axis.size)
    }

    /// Whether a pass is to remember taps, and not places.
    pub fn remembers_taps(&self) -> bool {
        by_tiles::suits(self) || by_taps::suits(self)
    }

    /// Whether a pass over an input of so many elements is to remember nothing but it.
    pub fn remembers_input(&self, len: usize) -> bool {
        by_input::suits(self, len)
    }

    /// The largest element of a window of a channel, and its tap; −∞ and none where it has no element.
    #[inline(always)]
    fn largest<T: Lanes>(&self, channel: &[T], [a, b]: [usize; 2]) -> (T, Option<[usize; 2]>) {
        let [height, width] = &self.axes;
        let mut best = (T::narrow(f64::NEG_INFINITY), None);
        for i in height.taps_inside(&(a..a + 1)) {
            for j in width.taps_inside(&(b..b + 1)) {
                let x = channel[height.place(a, i) as usize * width.size + width.place(b, j) as usize];
                if best.1.is_none() || best.0 < x || x.is_nan() {
                    best = (x, Some([i, j]));
                }
            }
        }
        best
    }
}

/// Rows of `size` elements that are found before they are written: as many as fit into `part` elements, in whole cache lines, since no
/// others are written past the caches; where fewer are none, as many as fit into `most`; at least one.
fn rows_of_a_part<T>(size: usize, [part, most]: [usize; 2]) -> usize {
    match rows_of_lines::<T>(size) {
        lines if lines <= most / size => (part / size / lines).max(1) * lines,
        _ => (most / size).max(1),
    }
}

/// The fewest rows of `size` elements that are whole cache lines.
fn rows_of_lines<T>(size: usize) -> usize {
    LINE >> (size * size_of::<T>()).trailing_zeros().min(LINE.trailing_zeros())
}

/// Gradients, where a pass remembers taps.
pub fn backward_by_taps<T: Lanes>(
    problem: &Problem,
    kernel: (Isa, Threads),
    operands: (&[T], &[u8]),
    dx: Output<'_, T>,
) {
    match by_tiles::suits(problem) {
        true => by_tiles::backward(problem, kernel, operands, dx),
        false => by_taps::backward(problem, kernel, operands, dx),
    }
}

#[cfg(test)]
mod tests {
    use super::{rows_of_a_part, rows_of_lines};

    #[test]
    fn lines_are_whole_after_as_few_rows_as_may_be() {
        assert_eq!([1, 2, 12, 16, 56, 96].map(rows_of_lines::<f32>), [16, 8, 4, 1, 2, 1]);
        assert_eq!([1, 2, 12, 16, 56, 96].map(rows_of_lines::<f64>), [8, 4, 2, 1, 1, 1]);
    }

    #[test]
    fn parts_are_whole_lines_where_so_many_rows_fit() {
        assert_eq!([56, 112, 113, 300].map(|size| rows_of_a_part::<f32>(size, [4096, 4096])), [72, 36, 32, 12]);
        assert_eq!([56, 112, 113, 250].map(|size| rows_of_a_part::<f32>(size, [1024, 4096])), [18, 9, 16, 8]);
        assert_eq!([1, 28, 113].map(|size| rows_of_a_part::<f64>(size, [2048, 2048])), [2048, 72, 16]);
        // Sixteen rows would be whole lines.
        assert_eq!([999, 5000].map(|size| rows_of_a_part::<f32>(size, [4096, 4096])), [4, 1]);
        assert_eq!([257, 5000].map(|size| rows_of_a_part::<f32>(size, [1024, 4096])), [15, 1]);
    }
}
