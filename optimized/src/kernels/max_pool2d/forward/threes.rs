//! Windows of three columns that start two apart.
//!
//! The plain loop is that of all windows. Here every row is read once for a row of windows, or for two that share it, two registers side
//! by side at a time: the second column of windows are their even lanes, the third their odd lanes, and the first column is the third of
//! the window before. Windows take the largest of those of rows, the first of equals being the same. What is read next is asked for ahead.
//! A last window that a register would be for alone takes none (`last.rs`).

use super::super::{Mark, Problem};
use super::part::{LARGE, Part};
use super::reading::two;
use crate::simd::{Lanes, Simd, prefetch};
use std::array;

/// Bytes by which memory is asked for ahead, register by register. 3x3 and the taps over 8x64x112x112 f32 take 0.90 ms on one thread of
/// Zen 5, 0.93 with 16 KiB, 0.97 with 32, 0.99 with 4, and 1.6 where nothing is asked for.
const AHEAD: usize = 1 << 13;

/// The rows of the tallest windows.
const TALLEST: usize = 3;

/// Whether windows are such ones, of few rows, and read no more than a column before the input. No row is to be read by more than two
/// rows of windows, as half of them or all are read anew for each.
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
        let lanes = T::lanes::<S>();
        let alone = n % lanes == 1;
        let across = Across::<T, S>::of(s, self, alone);
        // Rows of windows that read inside at all taps: what most do.
        let inside = height.inside(height.kernel - 1, &height.inside(0, &(self.a..self.a + self.rows)));
        // Two rows of windows, of which the first ends where the second begins. Of f64 without marks, memory takes longer than what is
        // saved, and two rows at once make it slower: 1.65 ms of 8x64x112x112 on one thread of Zen 5, otherwise 1.45.
        let shares = (MARKS || size_of::<T>() < size_of::<f64>())
            && (height.kernel, height.stride, height.dilation) == (TALLEST, 2, 1);
        let pitch = height.dilation * width.size;
        let mut row = 0;
        while row < self.rows {
            let a = self.a + row;
            let taps = if inside.contains(&a) { 0..height.kernel } else { height.taps_inside(&(a..a + 1)) };
            let over = if shares && inside.start <= a && a + 1 < inside.end { 2 } else { 1 };
            // Where there is no tap, nobody looks at it.
            let start = self.channel + height.place(a, taps.start).max(0) as usize * width.size;
            let of_marks = if MARKS { row * n..(row + over) * n } else { 0..0 };
            // Lanes beyond the last window fall into the next row, which is written later.
            let (y, marks) = (&mut y[row * n..], &mut marks[of_marks.start..]);
            let (first, to) = ((a, taps.start), (&mut *y, &mut *marks));
            let [sum, least] = match (over, taps.len()) {
                (2, _) => self.write_rows::<S, M, MARKS, 5, 2>(s, &across, first, (start, pitch), to),
                (_, 3) => self.write_rows::<S, M, MARKS, 3, 1>(s, &across, first, (start, pitch), to),
                (_, 2) => self.write_rows::<S, M, MARKS, 2, 1>(s, &across, first, (start, pitch), to),
                (_, 1) => self.write_rows::<S, M, MARKS, 1, 1>(s, &across, first, (start, pitch), to),
                _ => [T::splat(s, T::narrow(f64::NAN)); 2],
            };
            let marks = &mut marks[..of_marks.len()];
            if T::any_nan(s, sum) {
                self.write_plainly(row..row + over, &mut y[..over * n], marks);
            } else if MARKS && T::any_less(s, least, T::splat(s, -T::MAX)) {
                for (below, (y, marks)) in y.chunks(n).zip(marks.chunks_mut(n)).enumerate() {
                    self.mark_nothing(a + below, y, marks);
                }
            }
            row += over;
        }
        if alone {
            self.write_last::<M, MARKS>(&inside, y, marks);
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

    /// The windows of row a that take a lane, of `ROWS` rows of the input, which are read from tap `first` on: the first of these begins
    /// at `start` in x, and they lie `pitch` elements apart; or, where `OVER` is 2, those of the next row, too, which begin two rows
    /// further down. Gives the sums of what they read, and the least of what they are.
    #[inline(always)]
    fn write_rows<S: Simd, M: Mark, const MARKS: bool, const ROWS: usize, const OVER: usize>(
        &self,
        s: S,
        across: &Across<T, S>,
        (a, first): (usize, usize),
        (start, pitch): (usize, usize),
        (y, marks): (&mut [T], &mut [M]),
    ) -> [T::Register<S>; 2] {
        let (lanes, n) = (T::lanes::<S>(), self.windows.len());
        let [of_i, of_j] = M::steps(self.problem);
        let rows: [usize; ROWS] = array::from_fn(|t| start + t * pitch);
        let mut reading = Reading::<T, S, ROWS> {
            before: [T::splat(s, T::narrow(f64::NEG_INFINITY)); ROWS],
            sum: T::splat(s, T::ZERO),
            least: T::splat(s, T::MAX),
            numbers: [first * of_i, of_i, of_j],
        };
        if across.second_column > across.first_column {
            for (before, row) in reading.before.iter_mut().zip(rows) {
                *before = T::splat(s, self.x[row + across.first_column]);
                reading.sum = T::plus(s, reading.sum, *before);
            }
        }
        let starts: [i64; OVER] = array::from_fn(|over| self.problem.start([a + over, self.windows.start]));
        // Registers that are read whole inside x and the row: to ask for each costs up to a tenth.
        let room = self.x.len().saturating_sub(rows[ROWS - 1] + across.second_column) / (2 * lanes);
        let whole = across.whole.min(room);
        let zero = T::splat(s, T::ZERO);
        let (mut pairs, mut begun) = ([[zero; 2]; ROWS], [Largest::<T, S> { x: zero, number: zero }; OVER]);
        for k in 0..across.registers {
            let from = across.second_column + 2 * k * lanes;
            if let Some(by) = across.ahead {
                // The last rows, of which the next windows read as many that these do not. (The stride of two rows of windows is 2, and
                // the loop up to a fifth slower where the compiler does not know it.)
                let others = if OVER > 1 { 2 * OVER } else { self.problem.axes[0].stride };
                for row in &rows[ROWS.saturating_sub(others)..] {
                    if let Some(next) = self.x.get(row + from + by..row + from + by + 2 * lanes) {
                        prefetch(&next[0]);
                        prefetch(&next[lanes]);
                    }
                }
            }
            let best = if k < whole {
                for (pair, row) in pairs.iter_mut().zip(rows) {
                    let x = T::registers::<S>(&self.x[row + from..][..2 * lanes]).0;
                    *pair = [x[0], x[1]];
                }
                reading.best::<MARKS, OVER>(s, &pairs, None)
            } else {
                for (pair, row) in pairs.iter_mut().zip(rows) {
                    *pair = two(s, self.x, row + from);
                }
                let limits = if k < across.whole { None } else { across.limits };
                reading.best::<MARKS, OVER>(s, &pairs, limits)
            };
            for (over, best) in best.iter().enumerate() {
                best.write::<M, MARKS>(s, (over * n, k), starts[over], (&mut *y, &mut *marks));
            }
            if k == 0 {
                begun = best;
            }
        }
        // Lanes beyond the first row's last window have fallen into the second row, which had begun. (Where the first row's last register
        // is written in part instead, windows with their taps take 1.4 times as long.)
        for (over, best) in begun.iter().enumerate().skip(1) {
            best.write::<M, MARKS>(s, (over * n, 0), starts[over], (&mut *y, &mut *marks));
        }
        [reading.sum, reading.least]
    }
}

/// Windows side by side that take a lane each.
struct Across<T: Lanes, S: Simd> {
    /// The registers that they make.
    registers: usize,
    /// How many of them read inside the row alone, as far as there are windows.
    whole: usize,
    /// The columns that the first window reads; where it begins before the input, both are the input's first.
    first_column: usize,
    second_column: usize,
    /// Elements by which what is read next is asked for ahead, if it is.
    ahead: Option<usize>,
    /// Where the last window reads beyond the row: −∞ in its lane, ∞ in others, of third columns; and whether of second ones, too.
    limits: Option<(T::Register<S>, bool)>,
}

impl<T: Lanes, S: Simd> Across<T, S> {
    #[inline(always)]
    fn of(s: S, part: &Part<'_, T>, but_the_last: bool) -> Self {
        let (width, windows) =
            (&part.problem.axes[1], part.windows.start..part.windows.end - usize::from(but_the_last));
        let ahead = (size_of_val(part.x) >= LARGE).then_some(AHEAD / size_of::<T>());
        let (lanes, last) = (T::lanes::<S>(), windows.end - 1);
        let registers = windows.len().div_ceil(lanes);
        let [first_column, second_column] = [0, 1].map(|tap| width.place(windows.start, tap).max(0) as usize);
        let is_inside = |tap| width.place(last, tap) < width.size as i64;
        if is_inside(2) {
            return Self { registers, whole: registers, first_column, second_column, ahead, limits: None };
        }
        let [all, none] = [f64::INFINITY, f64::NEG_INFINITY].map(|limit| T::splat(s, T::narrow(limit)));
        let (counting, lane) = (T::counting(s), T::splat(s, T::narrow(((windows.len() - 1) % lanes) as f64)));
        let limit = T::where_less(s, (lane, counting), all, T::where_less(s, (counting, lane), all, none));
        let limits = Some((limit, !is_inside(1)));
        Self { registers, whole: registers - 1, first_column, second_column, ahead, limits }
    }
}

/// The largest of windows, and the numbers of their taps.
#[derive(Clone, Copy)]
struct Largest<T: Lanes, S: Simd> {
    x: T::Register<S>,
    number: T::Register<S>,
}

impl<T: Lanes, S: Simd> Largest<T, S> {
    /// Writes the k-th register of a row that begins at `from`, and whose first window starts at a place of the channel.
    #[inline(always)]
    fn write<M: Mark, const MARKS: bool>(
        &self,
        s: S,
        (from, k): (usize, usize),
        start: i64,
        (y, marks): (&mut [T], &mut [M]),
    ) {
        let lanes = T::lanes::<S>();
        let at = from + k * lanes;
        match y.get_mut(at..at + lanes) {
            Some(to) => T::registers_mut::<S>(to).0[0] = self.x,
            None => T::store_partial(s, &mut y[at..], self.x),
        }
        if MARKS {
            let len = lanes.min(marks.len() - at);
            M::write::<T, S>(s, start + (2 * k * lanes) as i64, self.number, &mut marks[at..][..len]);
        }
    }

    /// Where x is larger, it takes their place.
    #[inline(always)]
    fn take_larger<const MARKS: bool>(&mut self, s: S, x: T::Register<S>, number: T::Register<S>) {
        if MARKS {
            self.number = T::where_less(s, (self.x, x), number, self.number);
        }
        self.x = T::larger(s, x, self.x);
    }
}

/// What has been read of some rows.
struct Reading<T: Lanes, S: Simd, const ROWS: usize> {
    /// The third columns of the windows before: the last of them is the first column of the next window.
    before: [T::Register<S>; ROWS],
    /// The sums of all that was read.
    sum: T::Register<S>,
    /// The least of windows, and of lanes beyond the last.
    least: T::Register<S>,
    /// The number of the first tap, and how far apart those of two rows are, and of two columns.
    numbers: [usize; 3],
}

impl<T: Lanes, S: Simd, const ROWS: usize> Reading<T, S, ROWS> {
    /// The largest of windows of one row or two, whose second and third columns are in turn in these registers of each row. Of windows of
    /// −∞ alone, the numbers are any.
    #[inline(always)]
    fn best<const MARKS: bool, const OVER: usize>(
        &mut self,
        s: S,
        pairs: &[[T::Register<S>; 2]; ROWS],
        limits: Option<(T::Register<S>, bool)>,
    ) -> [Largest<T, S>; OVER] {
        let [first, of_i, of_j] = self.numbers;
        let number = |number: usize| T::narrow(number as f64);
        let nothing = Largest { x: T::splat(s, T::ZERO), number: T::splat(s, T::ZERO) };
        // Two by two, as one sum after the other would be waited for.
        let mut sums = [nothing.x; ROWS];
        for (sum, [p, q]) in sums.iter_mut().zip(pairs.iter().copied()) {
            *sum = T::plus(s, p, q);
        }
        let mut of_all = nothing.x;
        let (twos, one) = sums.as_chunks::<2>();
        for [a, b] in twos {
            of_all = T::plus(s, of_all, T::plus(s, *a, *b));
        }
        for a in one {
            of_all = T::plus(s, of_all, *a);
        }
        self.sum = T::plus(s, self.sum, of_all);
        let mut of_rows = [nothing; ROWS];
        for (t, (of_row, [p, q])) in of_rows.iter_mut().zip(pairs.iter().copied()).enumerate() {
            let (mut second, mut third) = (T::even(s, p, q), T::odd(s, p, q));
            if let Some((limit, of_second)) = limits {
                third = T::smaller(s, limit, third);
                if of_second {
                    second = T::smaller(s, limit, second);
                }
            }
            of_row.x = T::one_further(s, self.before[t], third);
            of_row.take_larger::<MARKS>(s, second, T::splat(s, number(of_j)));
            of_row.take_larger::<MARKS>(s, third, T::splat(s, number(2 * of_j)));
            self.before[t] = third;
        }
        let mut best = [nothing; OVER];
        for (over, best) in best.iter_mut().enumerate() {
            let of_rows = &of_rows[2 * over..ROWS - 2 * (OVER - 1 - over)];
            for (t, of_row) in of_rows.iter().enumerate() {
                let of_tap = T::plus(s, of_row.number, T::splat(s, number(first + t * of_i)));
                if t == 0 {
                    *best = Largest { x: of_row.x, number: of_tap };
                } else {
                    best.take_larger::<MARKS>(s, of_row.x, of_tap);
                }
            }
        }
        for best in &best {
            self.least = T::smaller(s, best.x, self.least);
        }
        best
    }
}
