//! Windows of two rows and two columns that lie side by side.
//!
//! The plain loop is that of all windows. Here the four elements of each are held against each other in registers, and nothing is kept
//! of rows, as no other window reads them. Memory is then read in two places at once, which the machine does not foresee: what is read
//! next is asked for ahead.

use super::super::Mark;
use super::part::{LARGE, Part};
use super::reading::{Best, two};
use crate::simd::{Lanes, Simd, prefetch_all};

/// Bytes by which memory is asked for ahead. 8x64x112x112 f32 takes 0.49 ms on one thread of Zen 5, 0.55 with 8 KiB, and 1.22 where
/// nothing is asked for.
const AHEAD: usize = 1 << 14;

impl<T: Lanes> Part<'_, T> {
    /// The windows; of marks there are none, or as many.
    #[inline(always)]
    pub(super) fn write_tiles<S: Simd, M: Mark, const MARKS: bool>(&self, s: S, y: &mut [T], marks: &mut [M]) {
        let (lanes, n, row_of_x) = (T::lanes::<S>(), self.windows.len(), self.problem.axes[1].size);
        let [of_i, of_j] = M::steps(self.problem);
        let ahead = (size_of_val(self.x) >= LARGE).then_some(AHEAD / size_of::<T>());
        for row in 0..self.rows {
            let mut sum = T::splat(s, T::ZERO);
            let window = [self.a + row, self.windows.start];
            let mut top = self.channel + 2 * (window[0] * row_of_x + window[1]);
            let mut start = self.problem.start(window);
            if let Some(by) = ahead {
                for next in [top + by, top + by + row_of_x] {
                    let next = self.x.get(next..).unwrap_or_default();
                    prefetch_all(&next[..(2 * n).min(next.len())]);
                }
            }
            let of_marks = if MARKS { row * n..(row + 1) * n } else { 0..0 };
            // Lanes beyond the last window fall into the next row, which is written later.
            let mut marks_of_row = &mut marks[of_marks.start..];
            let mut y_of_row = &mut y[row * n..];
            for _ in 0..n.div_ceil(lanes) {
                let (upper, lower) = (two::<T, S>(s, self.x, top), two::<T, S>(s, self.x, top + row_of_x));
                let (x, zero) = (T::even(s, upper[0], upper[1]), T::splat(s, T::ZERO));
                let mut best = Best::<T, S> { x, number: zero, sum: T::plus(s, sum, x) };
                best.hold::<MARKS>(s, T::odd(s, upper[0], upper[1]), of_j);
                best.hold::<MARKS>(s, T::even(s, lower[0], lower[1]), of_i);
                best.hold::<MARKS>(s, T::odd(s, lower[0], lower[1]), of_i + of_j);
                sum = best.sum;
                match y_of_row.split_off_mut(..lanes) {
                    Some(to) => T::registers_mut::<S>(to).0[0] = best.x,
                    None => T::store_partial(s, y_of_row, best.x),
                }
                if MARKS {
                    match marks_of_row.split_off_mut(..lanes) {
                        Some(to) => M::write::<T, S>(s, start, best.number, to),
                        None => M::write::<T, S>(s, start, best.number, marks_of_row),
                    }
                    start += 2 * lanes as i64;
                }
                top += 2 * lanes;
            }
            if T::any_nan(s, sum) {
                self.write_plainly(row..row + 1, &mut y[row * n..][..n], &mut marks[of_marks]);
            }
        }
    }
}
