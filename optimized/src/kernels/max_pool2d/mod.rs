//! The largest element of each window.
//!
//! The plain loop is `for each window, for i, for j: if x is the first, or x > best, or x is NaN { best = x }`, over the elements
//! inside the input ([`Problem::largest`]). We depart from it:
//! 1. windows side by side in a row take a lane each, some registers at a time, row after row of what they read, so that memory is
//!    read in the order in which it lies;
//! 2. lanes of windows that read outside the input hold −∞ against it. A window of which nothing is larger than that is looked at
//!    again by the plain loop: only its place is not known;
//! 3. nothing asks whether x is NaN. What is read is added up beside: where the sum is NaN, be it of infinities of both signs, all
//!    windows that it is of are computed again by the plain loop;
//! 4. where the best stand is remembered only where it is asked for, as the distance from the start of the window;
//! 5. backward, gradients of some elements at a time are added up in the first-level cache, and written from there: past all caches,
//!    where there are so many that they would not hold them;
//! 6. threads take some windows, and backward some elements, that the shapes alone decide on.

mod backward;
mod forward;

pub use backward::backward;
pub use forward::{forward, forward_with_places};

use super::windows::Axis;
use crate::simd::Lanes;

/// Elements that a task of one thread reads, forward, or writes, backward: 10 to 20 µs of work.
const TASK: usize = 1 << 16;

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

    /// The largest element of a window of a channel, and its place there; −∞ and −1 where it has none.
    #[inline(always)]
    fn largest<T: Lanes>(&self, channel: &[T], [a, b]: [usize; 2]) -> (T, i64) {
        let [height, width] = &self.axes;
        let mut best = (T::narrow(f64::NEG_INFINITY), -1);
        for i in height.taps_inside(&(a..a + 1)) {
            for j in width.taps_inside(&(b..b + 1)) {
                let place = height.place(a, i) as usize * width.size + width.place(b, j) as usize;
                let x = channel[place];
                if best.1 < 0 || best.0 < x || x.is_nan() {
                    best = (x, place as i64);
                }
            }
        }
        best
    }
}
