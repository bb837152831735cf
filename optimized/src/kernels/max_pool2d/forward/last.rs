//! The last window of rows, where a register would be for it alone.
//!
//! The plain loop is that of all windows, from one row of windows to the next. Here those that read as many rows of the input follow each
//! other, so that the compiler knows their taps, and which element is the largest is chosen without a branch. Nothing asks whether an
//! element is NaN: where the sum of a window's is, it is found again by the plain loop.

use super::super::Mark;
use super::part::Part;
use crate::simd::Lanes;
use std::array;
use std::ops::Range;

impl<T: Lanes> Part<'_, T> {
    /// Writes the last window of each row, of which some read inside the input at all taps along the height; of marks there are none, or
    /// as many as windows. They have up to three rows and three columns, side by side. No instruction set has a copy of its own, and what finds the others is not made longer by it.
    #[inline(never)]
    pub(super) fn write_last<M: Mark, const MARKS: bool>(&self, inside: &Range<usize>, y: &mut [T], marks: &mut [M]) {
        let b = self.windows.end - 1;
        let taps = self.problem.axes[1].taps_inside(&(b..b + 1));
        match taps.len() {
            3 => self.write_column::<M, MARKS, 3>(inside, taps.start, y, marks),
            2 => self.write_column::<M, MARKS, 2>(inside, taps.start, y, marks),
            _ => self.write_column::<M, MARKS, 1>(inside, taps.start, y, marks),
        }
    }

    /// The same, of windows that read so many columns inside the input, from a tap on.
    #[inline(always)]
    fn write_column<M: Mark, const MARKS: bool, const COLUMNS: usize>(
        &self,
        inside: &Range<usize>,
        tap: usize,
        y: &mut [T],
        marks: &mut [M],
    ) {
        let height = &self.problem.axes[0];
        let mut row = 0;
        while row < self.rows {
            let a = self.a + row;
            let (taps, rows) = match inside.contains(&a) {
                true => (0..height.kernel, row..inside.end - self.a),
                false => (height.taps_inside(&(a..a + 1)), row..row + 1),
            };
            row = rows.end;
            let (first, to) = ([taps.start, tap], (&mut *y, &mut *marks));
            match taps.len() {
                3 => self.write_windows::<M, MARKS, COLUMNS, 3>(rows, first, to),
                2 => self.write_windows::<M, MARKS, COLUMNS, 2>(rows, first, to),
                1 => self.write_windows::<M, MARKS, COLUMNS, 1>(rows, first, to),
                _ => self.write_windows::<M, MARKS, COLUMNS, 0>(rows, first, to),
            }
        }
    }

    /// The same, of some rows, whose windows read as many rows of the input, from a tap on; of none, they are found by the plain loop.
    #[inline(always)]
    fn write_windows<M: Mark, const MARKS: bool, const COLUMNS: usize, const ROWS: usize>(
        &self,
        rows: Range<usize>,
        [i, j]: [usize; 2],
        (y, marks): (&mut [T], &mut [M]),
    ) {
        let ([height, width], n, b) = (&self.problem.axes, self.windows.len(), self.windows.end - 1);
        let [of_i, of_j] = M::steps(self.problem);
        let (pitch, step) = (height.dilation * width.size, height.stride * width.size);
        let start = (height.place(self.a + rows.start, i) * width.size as i64 + width.place(b, j)).max(0);
        let mut x = &self.x[self.channel + start as usize..];
        for row in rows {
            let (window, to) = ([self.a + row, b], row * n + n - 1);
            let lines: [_; ROWS] = array::from_fn(|t| x[t * pitch..].first_chunk::<COLUMNS>().expect("inside the row"));
            let (mut best, mut tap, mut sum) = (lines.first().map_or(T::narrow(f64::NAN), |line| line[0]), 0, T::ZERO);
            for (t, line) in lines.iter().enumerate() {
                for (u, x) in line.iter().enumerate() {
                    if MARKS {
                        tap = if best < *x { t * of_i + u * of_j } else { tap };
                    }
                    best = if best < *x { *x } else { best };
                    sum += *x;
                }
            }
            let mut mark = MARKS.then(|| M::new(self.problem.start(window), (i * of_i + j * of_j + tap) as i64));
            if ROWS == 0 || sum.is_nan() {
                let (largest, tap) = self.largest(window);
                best = largest;
                mark = MARKS.then(|| M::of_tap(self.problem, window, tap));
            }
            y[to] = best;
            if let Some(mark) = mark {
                marks[to] = mark;
            }
            x = x.get(step..).unwrap_or_default();
        }
    }
}
