//! Windows of three columns that start two apart.
//!
//! The plain loop is that of all windows. Here every row is read once for a row of windows, two registers side by side at a time: the
//! second column of windows are their even lanes, the third their odd lanes, and the first column is the third of the window before.
//! What is read next is asked for ahead.

use super::super::{Mark, Problem};
use super::part::{LARGE, Part};
use super::reading::{Best, two};
use crate::kernels::windows::Axis;
use crate::simd::{Lanes, Simd, prefetch_all};
use std::ops::Range;

/// Bytes by which memory is asked for ahead. 3x3 over 8x64x112x112 f32 takes 1.0 ms on one thread of Zen 5, as with 8 and 32 KiB, 1.2
/// with 4, and 1.7 where nothing is asked for.
const AHEAD: usize = 1 << 14;

/// The rows of the tallest windows.
const TALLEST: usize = 3;

/// Whether windows are such ones, of few rows, and read no more than a column before the input. No row is to be read by more than two
/// rows of windows, as it is held against others anew for each.
pub(super) fn suits(problem: &Problem) -> bool {
    let [height, width] = &problem.axes;
    height.kernel <= TALLEST.min(height.stride.saturating_mul(2))
        && (width.kernel, width.stride, width.dilation) == (3, 2, 1)
        && width.start <= 1
}

impl<T: Lanes> Part<'_, T> {
    /// The windows, of which there are two or more; of marks there are none, or as many.
    #[inline(always)]
    pub(super) fn write_threes<S: Simd, M: Mark, const MARKS: bool>(&self, s: S, y: &mut [T], marks: &mut [M]) {
        let ([height, width], n) = (&self.problem.axes, self.windows.len());
        let across = Across::<T, S>::of(s, width, &self.windows);
        let ahead = (size_of_val(self.x) >= LARGE).then_some(AHEAD / size_of::<T>());
        for row in 0..self.rows {
            let a = self.a + row;
            let taps = height.taps_inside(&(a..a + 1));
            // Where there are fewer, nobody looks at the others.
            let rows = [0, 1, 2].map(|t| {
                let tap = (taps.start + t).min(taps.end.saturating_sub(1));
                self.channel + height.place(a, tap).max(0) as usize * width.size
            });
            if let Some(by) = ahead {
                // The last rows, of which the next windows read as many that these do not.
                for next in &rows[taps.len().saturating_sub(height.stride)..taps.len()] {
                    let next = self.x.get(next + across.second_column + by..).unwrap_or_default();
                    prefetch_all(&next[..(2 * n).min(next.len())]);
                }
            }
            let of_marks = if MARKS { row * n..(row + 1) * n } else { 0..0 };
            // Lanes beyond the last window fall into the next row, which is written later.
            let (y, marks) = (&mut y[row * n..], &mut marks[of_marks.start..]);
            let (first, to) = ((a, taps.start), (&mut *y, &mut *marks));
            let sums = match taps.len() {
                3 => self.write_row::<S, M, MARKS, 3>(s, &across, first, rows, to),
                2 => self.write_row::<S, M, MARKS, 2>(s, &across, first, [rows[0], rows[1]], to),
                1 => self.write_row::<S, M, MARKS, 1>(s, &across, first, [rows[0]], to),
                _ => [T::splat(s, T::narrow(f64::NAN)); 2],
            };
            let marks = &mut marks[..of_marks.len()];
            if T::any_nan(s, sums[0]) {
                self.write_plainly(row..row + 1, &mut y[..n], marks);
            } else if MARKS && T::any_nan(s, sums[1]) {
                self.mark_nothing(a, &y[..n], marks);
            }
        }
    }

    /// Marks the windows of row a of which nothing is larger than −∞.
    fn mark_nothing<M: Mark>(&self, a: usize, y: &[T], marks: &mut [M]) {
        for (b, (y, mark)) in self.windows.clone().zip(y.iter().zip(marks)) {
            if *y == T::narrow(f64::NEG_INFINITY) {
                *mark = M::of_tap(self.problem, [a, b], self.largest([a, b]).1);
            }
        }
    }

    /// The windows of row a, of `ROWS` rows of the input, which begin at `rows` in x and are read from tap `first` on; gives the sums of
    /// what they read, and those of the numbers of their largest, which are NaN where one is not known.
    #[inline(always)]
    fn write_row<S: Simd, M: Mark, const MARKS: bool, const ROWS: usize>(
        &self,
        s: S,
        across: &Across<T, S>,
        (a, first): (usize, usize),
        rows: [usize; ROWS],
        (y, marks): (&mut [T], &mut [M]),
    ) -> [T::Register<S>; 2] {
        let lanes = T::lanes::<S>();
        let [of_i, of_j] = M::steps(self.problem);
        let mut reading = Reading::<T, S, ROWS> {
            before: [T::splat(s, T::narrow(f64::NEG_INFINITY)); ROWS],
            sum: T::splat(s, T::ZERO),
            sum_of_numbers: T::splat(s, T::ZERO),
            numbers: [first * of_i, of_i, of_j],
        };
        if across.second_column > across.first_column {
            for (before, row) in reading.before.iter_mut().zip(rows) {
                *before = T::splat(s, self.x[row + across.first_column]);
                reading.sum = T::plus(s, reading.sum, *before);
            }
        }
        let start = self.problem.start([a, self.windows.start]);
        // Registers that are whole, wherever they are read and written.
        let room = self.x.len().saturating_sub(rows[ROWS - 1] + across.second_column) / (2 * lanes);
        let whole = across.whole.min(room).min(y.len() / lanes);
        for (k, y) in T::registers_mut::<S>(&mut y[..whole * lanes]).0.iter_mut().enumerate() {
            let mut best = Best::nothing(s);
            for (t, row) in rows.iter().enumerate() {
                let x = &self.x[row + across.second_column + 2 * k * lanes..][..2 * lanes];
                let pair = [T::registers::<S>(x).0[0], T::registers::<S>(x).0[1]];
                reading.hold::<MARKS>(s, t, pair, None, &mut best);
            }
            *y = best.x;
            if MARKS {
                reading.sum_of_numbers = T::plus(s, reading.sum_of_numbers, best.number);
                M::write::<T, S>(s, start + (2 * k * lanes) as i64, best.number, &mut marks[k * lanes..][..lanes]);
            }
        }
        // And the others.
        for k in whole..across.registers {
            let limits = if k < across.whole { None } else { across.limits.as_ref() };
            let mut best = Best::nothing(s);
            for (t, row) in rows.iter().enumerate() {
                let pair = two(s, self.x, row + across.second_column + 2 * k * lanes);
                reading.hold::<MARKS>(s, t, pair, limits, &mut best);
            }
            let y = &mut y[k * lanes..];
            match y.get_mut(..lanes) {
                Some(to) => T::registers_mut::<S>(to).0[0] = best.x,
                None => T::store_partial(s, y, best.x),
            }
            if MARKS {
                reading.sum_of_numbers = T::plus(s, reading.sum_of_numbers, best.number);
                let marks = &mut marks[k * lanes..];
                let n = lanes.min(marks.len());
                M::write::<T, S>(s, start + (2 * k * lanes) as i64, best.number, &mut marks[..n]);
            }
        }
        [reading.sum, reading.sum_of_numbers]
    }
}

/// Windows side by side.
struct Across<T: Lanes, S: Simd> {
    /// The registers that they make.
    registers: usize,
    /// How many of them read inside the row alone, as far as there are windows.
    whole: usize,
    /// The columns that the first window reads; where it begins before the input, both are the input's first.
    first_column: usize,
    second_column: usize,
    /// Where the last window reads beyond the row: −∞ in its lane where that is outside, of second columns and of third ones; ∞ in
    /// others.
    limits: Option<[T::Register<S>; 2]>,
}

impl<T: Lanes, S: Simd> Across<T, S> {
    #[inline(always)]
    fn of(s: S, width: &Axis, windows: &Range<usize>) -> Self {
        let (lanes, last) = (T::lanes::<S>(), windows.end - 1);
        let registers = windows.len().div_ceil(lanes);
        let [first_column, second_column] = [0, 1].map(|tap| width.place(windows.start, tap).max(0) as usize);
        let is_inside = |tap| width.place(last, tap) < width.size as i64;
        if is_inside(2) {
            return Self { registers, whole: registers, first_column, second_column, limits: None };
        }
        let [all, none] = [f64::INFINITY, f64::NEG_INFINITY].map(|limit| T::splat(s, T::narrow(limit)));
        let (counting, lane) = (T::counting(s), T::splat(s, T::narrow(((windows.len() - 1) % lanes) as f64)));
        let limit = T::where_less(s, (lane, counting), all, T::where_less(s, (counting, lane), all, none));
        let limits = Some([if is_inside(1) { all } else { limit }, limit]);
        Self { registers, whole: registers - 1, first_column, second_column, limits }
    }
}

/// What has been read of some rows.
struct Reading<T: Lanes, S: Simd, const ROWS: usize> {
    /// The third columns of the windows before: the last of them is the first column of the next window.
    before: [T::Register<S>; ROWS],
    /// The sums of all that was read.
    sum: T::Register<S>,
    sum_of_numbers: T::Register<S>,
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
