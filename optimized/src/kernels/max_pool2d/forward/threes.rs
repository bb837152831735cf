//! Windows of three columns that start two apart.
//!
//! The plain loop is that of all windows. Here every row is read once for a row of windows, two registers side by side at a time: the
//! second column of windows are their even lanes, the third their odd lanes, and the first column is the third of the window before.
//! What is read next is asked for ahead.

use super::super::{Mark, Problem};
use super::part::{LARGE, Part};
use super::reading::{Best, two};
use crate::kernels::windows::Axis;
use crate::simd::{Lanes, Simd, prefetch};
use std::ops::Range;

/// Bytes by which memory is asked for ahead. 3x3 over 8x64x112x112 f32 takes 1.0 ms on one thread of Zen 5, as with 8 and 32 KiB, 1.2
/// with 4, and 1.7 where nothing is asked for.
const AHEAD: usize = 1 << 14;

/// The most rows of a window.
const ROWS: usize = 3;

/// Whether windows are such ones, of few rows, and read no more than a column before the input.
pub(super) fn suits(problem: &Problem) -> bool {
    let [height, width] = &problem.axes;
    height.kernel <= ROWS && (width.kernel, width.stride, width.dilation) == (3, 2, 1) && width.start <= 1
}

impl<T: Lanes> Part<'_, T> {
    /// The windows, of which there are two or more; of marks there are none, or as many.
    #[inline(always)]
    pub(super) fn write_threes<S: Simd, M: Mark, const MARKS: bool>(&self, s: S, y: &mut [T], marks: &mut [M]) {
        let ([height, width], n) = (&self.problem.axes, self.windows.len());
        let side = Side::<T, S>::of(s, width, &self.windows);
        let ahead = (size_of_val(self.x) >= LARGE).then_some(AHEAD / size_of::<T>());
        let new = height.stride.min(height.kernel);
        for row in 0..self.rows {
            let a = self.a + row;
            let taps = height.taps_inside(&(a..a + 1));
            let rows = [0, 1, 2].map(|t| {
                // Where there are fewer, nobody looks.
                self.channel + height.place(a, (taps.start + t).min(height.kernel - 1)).max(0) as usize * width.size
            });
            if let Some(by) = ahead {
                // As many rows as the next windows read that these do not.
                for next in &rows[taps.len().saturating_sub(new)..taps.len()] {
                    let next = self.x.get(next + by..).unwrap_or_default();
                    let next = &next[..(2 * n).min(next.len())];
                    next.chunks(64 / size_of::<T>()).for_each(|line| prefetch(&line[0]));
                }
            }
            let of_marks = if MARKS { row * n..(row + 1) * n } else { 0..0 };
            // Lanes beyond the last window fall into the next row, which is written later.
            let to = (&mut y[row * n..], &mut marks[of_marks.start..]);
            let which = (a, taps.start);
            let sum = match taps.len() {
                3 => self.write_row::<S, M, MARKS, 3>(s, &side, which, rows, to),
                2 => self.write_row::<S, M, MARKS, 2>(s, &side, which, [rows[0], rows[1]], to),
                1 => self.write_row::<S, M, MARKS, 1>(s, &side, which, [rows[0]], to),
                _ => T::splat(s, T::narrow(f64::NAN)),
            };
            if T::any_nan(s, sum) {
                self.write_plainly(row..row + 1, &mut y[row * n..][..n], &mut marks[of_marks]);
            }
        }
    }

    /// The windows of row a, of `ROWS` rows of the input, which begin at `rows` in x and are read from tap `first` on; gives the sums of
    /// what they read, which are NaN, too, where the place of a window's largest is not known.
    #[inline(always)]
    fn write_row<S: Simd, M: Mark, const MARKS: bool, const ROWS: usize>(
        &self,
        s: S,
        side: &Side<T, S>,
        (a, first): (usize, usize),
        rows: [usize; ROWS],
        (y, marks): (&mut [T], &mut [M]),
    ) -> T::Register<S> {
        let lanes = T::lanes::<S>();
        let [of_i, of_j] = M::steps(self.problem);
        let mut reading = Reading::<T, S, ROWS> {
            before: [T::splat(s, T::narrow(f64::NEG_INFINITY)); ROWS],
            sum: T::splat(s, T::ZERO),
            numbers: [first * of_i, of_i, of_j],
        };
        if side.from > side.before {
            for (before, row) in reading.before.iter_mut().zip(rows) {
                *before = T::splat(s, self.x[row + side.before]);
                reading.sum = T::plus(s, reading.sum, *before);
            }
        }
        let start = self.problem.start([a, self.windows.start]);
        // Registers that are whole, wherever they are read and written.
        let elements = 2 * lanes * side.whole;
        let is_there = rows[ROWS - 1] + side.from + elements <= self.x.len() && elements <= 2 * y.len();
        let whole = if is_there { side.whole } else { 0 };
        for (k, y) in T::registers_mut::<S>(&mut y[..whole * lanes]).0.iter_mut().enumerate() {
            let mut best = Best::nothing(s);
            for (t, row) in rows.iter().enumerate() {
                let x = &self.x[row + side.from + 2 * k * lanes..][..2 * lanes];
                let pair = [T::registers::<S>(x).0[0], T::registers::<S>(x).0[1]];
                reading.hold::<MARKS>(s, t, pair, None, &mut best);
            }
            *y = best.x;
            if MARKS {
                reading.sum = T::plus(s, reading.sum, best.number);
                M::write::<T, S>(s, start + (2 * k * lanes) as i64, best.number, &mut marks[k * lanes..][..lanes]);
            }
        }
        // And the others.
        for k in whole..side.registers {
            let limits = if k < side.whole { None } else { side.limits.as_ref() };
            let mut best = Best::nothing(s);
            for (t, row) in rows.iter().enumerate() {
                let pair = two(s, self.x, row + side.from + 2 * k * lanes);
                reading.hold::<MARKS>(s, t, pair, limits, &mut best);
            }
            let y = &mut y[k * lanes..];
            match y.get_mut(..lanes) {
                Some(to) => T::registers_mut::<S>(to).0[0] = best.x,
                None => T::store_partial(s, y, best.x),
            }
            if MARKS {
                reading.sum = T::plus(s, reading.sum, best.number);
                let marks = &mut marks[k * lanes..];
                let n = lanes.min(marks.len());
                M::write::<T, S>(s, start + (2 * k * lanes) as i64, best.number, &mut marks[..n]);
            }
        }
        reading.sum
    }
}

/// Windows side by side, and the registers that they make.
struct Side<T: Lanes, S: Simd> {
    registers: usize,
    /// How many of them read inside the row alone, as far as there are windows.
    whole: usize,
    /// The column that the first window reads first, and second; both are the input's first where it reads one before that.
    before: usize,
    from: usize,
    /// Where the last window reads beyond the row: −∞ in its lane where that is outside, of second columns and of third ones; ∞ in others.
    limits: Option<[T::Register<S>; 2]>,
}

impl<T: Lanes, S: Simd> Side<T, S> {
    #[inline(always)]
    fn of(s: S, width: &Axis, windows: &Range<usize>) -> Self {
        let (lanes, last) = (T::lanes::<S>(), windows.end - 1);
        let registers = windows.len().div_ceil(lanes);
        let [before, from] = [0, 1].map(|tap| width.place(windows.start, tap).max(0) as usize);
        let is_inside = |tap| width.place(last, tap) < width.size as i64;
        if is_inside(2) {
            return Self { registers, whole: registers, before, from, limits: None };
        }
        let [all, none] = [f64::INFINITY, f64::NEG_INFINITY].map(|limit| T::splat(s, T::narrow(limit)));
        let (counting, lane) = (T::counting(s), T::splat(s, T::narrow(((windows.len() - 1) % lanes) as f64)));
        let limit = T::where_less(s, (lane, counting), all, T::where_less(s, (counting, lane), all, none));
        let limits = Some([if is_inside(1) { all } else { limit }, limit]);
        Self { registers, whole: registers - 1, before, from, limits }
    }
}

/// What has been read of some rows.
struct Reading<T: Lanes, S: Simd, const ROWS: usize> {
    /// The third columns of the windows before: the last of them is the first column of the next window.
    before: [T::Register<S>; ROWS],
    /// The sums of all that was read, and of the numbers of the largest.
    sum: T::Register<S>,
    /// The number of the first tap, and how far apart those of two rows are, and of two columns.
    numbers: [usize; 3],
}

impl<T: Lanes, S: Simd, const ROWS: usize> Reading<T, S, ROWS> {
    /// Holds what windows read of row t against them, where their second and third columns are in turn.
    #[inline(always)]
    fn hold<const MARKS: bool>(
        &mut self,
        s: S,
        t: usize,
        [p, q]: [T::Register<S>; 2],
        limits: Option<&[T::Register<S>; 2]>,
        best: &mut Best<T, S>,
    ) {
        let [first, of_i, of_j] = self.numbers;
        self.sum = T::plus(s, self.sum, T::plus(s, p, q));
        let (mut second, mut third) = (T::even(s, p, q), T::odd(s, p, q));
        if let Some(limits) = limits {
            (second, third) = (T::smaller(s, limits[0], second), T::smaller(s, limits[1], third));
        }
        let number = first + t * of_i;
        best.take_larger::<MARKS>(s, T::one_further(s, self.before[t], third), number);
        best.take_larger::<MARKS>(s, second, number + of_j);
        best.take_larger::<MARKS>(s, third, number + 2 * of_j);
        self.before[t] = third;
    }
}
