//! The last window of rows, where a register would be for it alone.
//!
//! The plain loop is that of all windows, from one row of windows to the next. Here rows of windows that read as many rows of the input
//! follow each other, so that the compiler knows how many, and which element is the largest is chosen without a branch. Nothing asks
//! whether an element is NaN: where the sum of a window's is, it is found again by the plain loop.

use super::super::Mark;
use super::part::Part;
use crate::simd::Lanes;
use std::array;
use std::ops::Range;

impl<T: Lanes> Part<'_, T> {
    /// Writes the last window of each row that reads a row of the input; of marks there are none, or as many as windows. They have up to
    /// three rows, three columns side by side, and windows before them; `inside` are the rows of windows that read inside the input at all
    /// taps along the height. No instruction set has a copy of its own, and what finds the others is not made longer by it.
    #[inline(never)]
    pub(super) fn write_last<M: Mark, const MARKS: bool>(&self, inside: &Range<usize>, y: &mut [T], marks: &mut [M]) {
        let width = &self.problem.axes[1];
        // Behind other windows, none begins before the input.
        match width.size - width.place(self.windows.end - 1, 0) as usize {
            1 => self.write_last_of::<M, MARKS, 1>(inside, y, marks),
            2 => self.write_last_of::<M, MARKS, 2>(inside, y, marks),
            _ => self.write_last_of::<M, MARKS, 3>(inside, y, marks),
        }
    }

    /// The same, of so many columns inside the input.
    #[inline(always)]
    fn write_last_of<M: Mark, const MARKS: bool, const COLUMNS: usize>(
        &self,
        inside: &Range<usize>,
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
            let (first, to) = (taps.start, (&mut *y, &mut *marks));
            match taps.len() {
                3 => self.write_last_in::<M, MARKS, COLUMNS, 3>(rows, first, to),
                2 => self.write_last_in::<M, MARKS, COLUMNS, 2>(rows, first, to),
                1 => self.write_last_in::<M, MARKS, COLUMNS, 1>(rows, first, to),
                _ => {} // the plain loop has found all windows of the row
            }
        }
    }

    /// The same, in some rows, whose windows read as many rows of the input from a tap on.
    #[inline(always)]
    fn write_last_in<M: Mark, const MARKS: bool, const COLUMNS: usize, const ROWS: usize>(
        &self,
        rows: Range<usize>,
        first: usize,
        (y, marks): (&mut [T], &mut [M]),
    ) {
        let ([height, width], n, b) = (&self.problem.axes, self.windows.len(), self.windows.end - 1);
        let [of_i, of_j] = M::steps(self.problem);
        let (pitch, step) = (height.dilation * width.size, height.stride * width.size);
        let start = height.place(self.a + rows.start, first) as usize * width.size + width.place(b, 0) as usize;
        let mut x = &self.x[self.channel + start..];
        for row in rows {
            let (window, to) = ([self.a + row, b], row * n + n - 1);
            let lines: [_; ROWS] = array::from_fn(|t| x[t * pitch..].first_chunk::<COLUMNS>().expect("inside the row"));
            let (mut best, mut number, mut sum) = (lines[0][0], first * of_i, T::ZERO);
            for (t, line) in lines.iter().enumerate() {
                for (j, x) in line.iter().enumerate() {
                    if MARKS {
                        number = if best < *x { (first + t) * of_i + j * of_j } else { number };
                    }
                    best = if best < *x { *x } else { best };
                    sum += *x;
                }
            }
            let mut mark = MARKS.then(|| M::new(self.problem.start(window), number as i64));
            if sum.is_nan() {
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
