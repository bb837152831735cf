//! Windows of some rows, or of a part of one.

use super::super::{Mark, Problem};
use super::kept::{Kept, Side};
use super::reading::{Best, Rows, keep_inside, part, read, tap_of};
use crate::simd::{Lanes, Simd, prefetch_all};
use std::ops::Range;

/// Of inputs of so many bytes, what is read next is asked for ahead.
pub(super) const LARGE: usize = 1 << 22;

/// Elements by which it is asked for ahead, where a part reads fewer. 3x3 s2 windows and their places over 8x64x112x112 f64 took 2.9 ms
/// on one thread of Zen 5, 3.4 where nothing was asked for; of f32, which its last-level cache holds, 1.58 and 1.47. (These have a way of
/// their own since.)
const AHEAD: usize = 2048;

/// Windows of some rows, or of a part of one.
pub(super) struct Part<'a, T> {
    pub(super) problem: &'a Problem,
    pub(super) x: &'a [T],
    /// Where the channel starts in x.
    pub(super) channel: usize,
    /// The first row of windows.
    pub(super) a: usize,
    pub(super) rows: usize,
    pub(super) windows: Range<usize>,
}

impl<T: Lanes> Part<'_, T> {
    /// The windows of some rows, one by one; seldom, so that no instruction set has a copy of its own.
    pub(super) fn write_plainly<M: Mark>(&self, rows: Range<usize>, y: &mut [T], marks: &mut [M]) {
        let windows = rows.flat_map(|row| self.windows.clone().map(move |b| [self.a + row, b]));
        for (k, (y, window)) in y.iter_mut().zip(windows).enumerate() {
            let (largest, tap) = self.largest(window);
            *y = largest;
            if let Some(to) = marks.get_mut(k) {
                *to = M::of_tap(self.problem, window, tap);
            }
        }
    }

    pub(super) fn largest(&self, window: [usize; 2]) -> (T, Option<[usize; 2]>) {
        self.problem.largest(&self.x[self.channel..][..self.problem.area()], window)
    }

    /// The windows; of marks there are none, or as many.
    #[inline(always)]
    pub(super) fn write<S: Simd, M: Mark, const MARKS: bool>(
        &self,
        s: S,
        kept: &mut Kept<'_, T, S>,
        y: &mut [T],
        marks: &mut [M],
    ) {
        let [height, width] = &self.problem.axes;
        let [of_i, of_j] = M::steps(self.problem);
        kept.stand(s, width, &self.windows);
        // Of a row of windows alone, those of its taps; of several, all between the first tap and the last.
        let last = self.a + self.rows - 1;
        let (first_tap, last_taps) = (height.taps_inside(&(self.a..self.a + 1)), height.taps_inside(&(last..last + 1)));
        if first_tap.is_empty() || last_taps.is_empty() {
            return self.write_plainly(0..self.rows, y, marks);
        }
        let first = height.place(self.a, first_tap.start) as usize;
        let rows = (height.place(last, last_taps.end - 1) as usize - first) / height.dilation + 1;
        let sizes = [width.kernel, width.stride, width.dilation];
        let sum = match sizes {
            [2, 2, 1] => self.keep_rows::<S, MARKS, 2, 2>(s, (first, rows), of_j, kept),
            [3, 2, 1] => self.keep_rows::<S, MARKS, 3, 2>(s, (first, rows), of_j, kept),
            [3, 1, 1] => self.keep_rows::<S, MARKS, 3, 1>(s, (first, rows), of_j, kept),
            _ => self.keep_rows::<S, MARKS, 0, 0>(s, (first, rows), of_j, kept),
        };
        let (spoiled, n) = (T::any_nan(s, sum), self.windows.len());
        for row in 0..self.rows {
            let a = self.a + row;
            let taps = height.taps_inside(&(a..a + 1));
            let from = (height.place(a, taps.start) as usize - first) / height.dilation;
            let of_marks = if MARKS { row * n..(row + 1) * n } else { 0..0 };
            if spoiled {
                let mut sum = T::splat(s, T::ZERO);
                for row in from..from + taps.len() {
                    sum = T::plus(s, sum, kept.sum(row));
                }
                if T::any_nan(s, sum) {
                    self.write_plainly(row..row + 1, &mut y[row * n..][..n], &mut marks[of_marks]); // 4
                    continue;
                }
            }
            // Lanes beyond the last window fall into the next row, which is written later.
            let y = &mut y[row * n..];
            match taps.len() {
                2 => hold_rows::<T, S, MARKS, 2>(s, (from, &taps), of_i, (y, n), kept),
                3 => hold_rows::<T, S, MARKS, 3>(s, (from, &taps), of_i, (y, n), kept),
                _ => hold_rows::<T, S, MARKS, 0>(s, (from, &taps), of_i, (y, n), kept),
            }
            if MARKS {
                let numbers = &kept.numbers[kept.rows * kept.registers..];
                self.write_marks(a, bytemuck::cast_slice(numbers), &mut marks[of_marks]);
            }
        }
    }

    /// Keeps the largest of what windows read of some rows of the input, the first of them and how many; gives the sums of it.
    /// `KERNEL` and `STRIDE` are the width's, of dilation 1, where the compiler is to know them, and 0 elsewhere.
    #[inline(always)]
    fn keep_rows<S: Simd, const MARKS: bool, const KERNEL: usize, const STRIDE: usize>(
        &self,
        s: S,
        (first, rows): (usize, usize),
        step: usize,
        kept: &mut Kept<'_, T, S>,
    ) -> T::Register<S> {
        let [height, width] = &self.problem.axes;
        let sizes = if KERNEL > 0 { [KERNEL, STRIDE, 1] } else { [width.kernel, width.stride, width.dilation] };
        let (side, registers) = (&kept.side, kept.registers);
        let start = self.channel + first * width.size;
        let to_next = height.dilation * width.size;
        // Registers read inside x: of the last rows perhaps not, since lanes beyond the last window read on.
        let from = start.wrapping_add_signed(side.reach.0 as isize);
        let within = self.x.len().checked_sub(from + side.reach.1).map_or(0, |rest| rows.min(rest / to_next + 1));
        let ahead = (size_of_val(self.x) >= LARGE).then_some(rows.max(AHEAD / width.size) * width.size);
        let of_windows = width.size.min(self.windows.len() * width.stride + width.span());
        let mut of_all = T::splat(s, T::ZERO);
        for r in 0..rows {
            if let Some(by) = ahead {
                // While it computes, it need not wait for what the next rows of windows read.
                let next =
                    self.x.get(start + r * to_next + self.windows.start * width.stride + by..).unwrap_or_default();
                prefetch_all(&next[..of_windows.min(next.len())]);
            }
            let largest = &mut kept.largest[r * (registers + 1)..][..registers + 1];
            let numbers = &mut kept.numbers[if MARKS { r * registers..(r + 1) * registers } else { 0..0 }];
            let mut sum = T::splat(s, T::ZERO);
            let inside = if r < within { side.inside.clone() } else { 0..0 };
            if r < within {
                let x = &self.x[from + r * to_next..][..side.reach.1];
                let best = (&mut largest[inside.clone()], &mut numbers[if MARKS { inside.clone() } else { 0..0 }]);
                sum = keep_inside::<T, S, MARKS>(s, x, sizes, step, best);
            }
            if inside.len() < side.registers {
                let (row, best) = (start + r * to_next, (&mut *largest, numbers));
                let others = self.keep_outside::<S, MARKS>(s, row, (sizes, step), (side, inside, kept.limits), best);
                sum = T::plus(s, sum, others);
            }
            largest[registers] = sum;
            of_all = T::plus(s, of_all, sum);
        }
        of_all
    }

    /// Keeps the largest of what windows read of the row of the input that begins at `row` in x, but for the registers that are known to
    /// read inside it; gives the sums of it.
    #[inline(always)]
    fn keep_outside<S: Simd, const MARKS: bool>(
        &self,
        s: S,
        row: usize,
        ([kernel, stride, dilation], step): ([usize; 3], usize),
        (side, inside, limits): (&Side, Range<usize>, &[T::Register<S>]),
        (largest, numbers): Rows<'_, T, S>,
    ) -> T::Register<S> {
        let (width, lanes) = (&self.problem.axes[1], T::lanes::<S>());
        let mut sum = T::splat(s, T::ZERO);
        let limits = (side.limits && inside == side.inside).then_some(limits);
        for (e, k) in (0..inside.start).chain(inside.end..side.registers).enumerate() {
            let first = side.windows.start + k * lanes;
            let mut best = Best::<T, S>::nothing(s);
            let place = row as i64 + width.place(first, 0);
            match (limits, part(self.x, place, stride * lanes + (kernel - 1) * dilation)) {
                (Some(limits), Some(x)) => {
                    for tap in 0..kernel {
                        let x = tap_of::<T, S>(s, x, [stride, dilation], tap);
                        // −∞ where windows read outside.
                        best.hold::<MARKS>(s, T::smaller(s, limits[e * kernel + tap], x), tap * step); // 3
                    }
                }
                _ => {
                    let windows = first..side.windows.end.min(first + lanes);
                    for j in width.taps_inside(&windows) {
                        let x = read::<T, S>(s, (self.x, row), width, (windows.clone(), j));
                        best.hold::<MARKS>(s, x, j * step);
                    }
                }
            }
            sum = T::plus(s, sum, best.sum);
            largest[k] = best.x;
            if MARKS {
                numbers[k] = best.number;
            }
        }
        sum
    }

    /// The marks of a row of windows, of the numbers of their taps.
    #[inline(always)]
    fn write_marks<M: Mark>(&self, a: usize, numbers: &[T], marks: &mut [M]) {
        let b = self.windows.start;
        let (mut start, stride) = (self.problem.start([a, b]), self.problem.axes[1].stride as i64);
        let mut nowhere = false;
        for (mark, number) in marks.iter_mut().zip(numbers) {
            *mark = M::new(start, i64::from(number.count()));
            nowhere |= number.is_nan();
            start += stride;
        }
        if nowhere {
            for (k, (mark, number)) in marks.iter_mut().zip(numbers).enumerate() {
                if number.is_nan() {
                    *mark = M::of_tap(self.problem, [a, b + k], self.largest([a, b + k]).1); // 3
                }
            }
        }
    }
}

/// Writes the largest of rows that are kept, the first of them and the taps that it and those behind it are read at, of n windows;
/// what is behind these may be overwritten. `ROWS` is the number of rows, or 0 where the compiler is not to know it; `step` is how far
/// the numbers of two taps along the height lie apart.
#[inline(always)]
fn hold_rows<T: Lanes, S: Simd, const MARKS: bool, const ROWS: usize>(
    s: S,
    (from, taps): (usize, &Range<usize>),
    step: usize,
    (y, n): (&mut [T], usize),
    kept: &mut Kept<'_, T, S>,
) {
    let (rows, lanes) = (if ROWS > 0 { ROWS } else { taps.len() }, T::lanes::<S>());
    let number = |t: usize| T::narrow(((taps.start + t) * step) as f64);
    let pitch = kept.registers + 1;
    let largest = &kept.largest[from * pitch..(from + rows) * pitch];
    let (of_rows, of_windows) = kept.numbers.split_at_mut(if MARKS { kept.rows * kept.registers } else { 0 });
    let of_rows = if MARKS { &of_rows[from * kept.registers..(from + rows) * kept.registers] } else { &[] };
    let mut y = y;
    for k in 0..n.div_ceil(lanes) {
        let mut best = largest[k];
        let mut best_number = best;
        if MARKS {
            best_number = T::plus(s, of_rows[k], T::splat(s, number(0)));
        }
        for t in 1..rows {
            let x = largest[t * pitch + k];
            if MARKS {
                let its = T::plus(s, of_rows[t * kept.registers + k], T::splat(s, number(t)));
                best_number = T::where_less(s, (best, x), its, best_number);
            }
            best = T::larger(s, x, best);
        }
        if MARKS {
            of_windows[k] = best_number;
        }
        match y.split_off_mut(..lanes) {
            Some(to) => T::registers_mut::<S>(to).0[0] = best,
            None => T::store_partial(s, y, best),
        }
    }
}
