//! What is kept of rows of the input: departure 1.

use super::Plan;
use super::reading::bound;
use crate::kernels::windows::Axis;
use crate::simd::{Lanes, Simd};
use std::ops::Range;

/// Windows side by side, and the registers that they make.
pub(super) struct Side {
    pub(super) windows: Range<usize>,
    pub(super) registers: usize,
    /// The registers of which all windows read inside the input at every tap along the width.
    pub(super) inside: Range<usize>,
    /// What these read of a row: from which place on, and how many elements. Lanes beyond the last window read on, of the next row
    /// or channel: nobody looks at their best, and where they spoil the sum, it costs time alone.
    pub(super) reach: (i64, usize),
    /// Whether the limits of the other registers' lanes are known.
    pub(super) limits: bool,
}

impl Side {
    #[inline(always)]
    fn new<T: Lanes, S: Simd>(width: &Axis, windows: Range<usize>) -> Self {
        let (lanes, registers) = (T::lanes::<S>(), windows.len().div_ceil(T::lanes::<S>()));
        let inside = width.inside(0, &windows).start..width.inside(width.kernel - 1, &windows).end;
        let from = (inside.start - windows.start).div_ceil(lanes);
        let to = if inside.end == windows.end { registers } else { inside.end.saturating_sub(windows.start) / lanes };
        let (inside, reach) = if from < to {
            let len = (to - from) * width.stride * lanes + width.span();
            (from..to, (width.place(windows.start + from * lanes, 0), len))
        } else {
            (0..0, (0, 0))
        };
        let limits = (registers - inside.len()).saturating_mul(width.kernel) <= LIMITS && width.stride <= 2;
        Self { reach, windows, registers, inside, limits }
    }
}

/// Registers of limits that are kept at most: those of two registers of windows of 16 taps.
pub(super) const LIMITS: usize = 32;

/// What is kept of rows of the input.
pub(super) struct Kept<'a, T: Lanes, S: Simd> {
    /// Of each row the largest of every window's taps along the width, and, last, the sums of what was read.
    pub(super) largest: &'a mut [T::Register<S>],
    /// The numbers of the largest's taps; NaN where they are not known. Behind all rows' there are those of the windows themselves.
    pub(super) numbers: &'a mut [T::Register<S>],
    /// Of the registers of which some window reads outside, tap after tap: −∞ in the lanes of those windows, ∞ in others.
    pub(super) limits: &'a mut [T::Register<S>],
    /// Registers of a row.
    pub(super) registers: usize,
    pub(super) rows: usize,
    /// The windows that the limits are of.
    pub(super) side: Side,
}

impl<'a, T: Lanes, S: Simd> Kept<'a, T, S> {
    #[inline(always)]
    pub(super) fn new(plan: &Plan, with_marks: bool, memory: &'a mut [T]) -> Self {
        let [of_largest, of_numbers, _] = plan.memory(with_marks);
        let (largest, rest) = memory.split_at_mut(of_largest);
        let (numbers, limits) = rest.split_at_mut(of_numbers);
        Self {
            largest: T::registers_mut::<S>(largest).0,
            numbers: T::registers_mut::<S>(numbers).0,
            limits: T::registers_mut::<S>(limits).0,
            registers: plan.width / T::lanes::<S>(),
            rows: plan.rows,
            side: Side { windows: 0..0, registers: 0, inside: 0..0, reach: (0, 0), limits: false },
        }
    }

    /// Makes ready for windows side by side.
    #[inline(always)]
    pub(super) fn stand(&mut self, s: S, width: &Axis, windows: &Range<usize>) {
        if self.side.windows == *windows {
            return;
        }
        self.side = Side::new::<T, S>(width, windows.clone());
        if self.side.limits {
            let (lanes, step) = (T::lanes::<S>(), bound::<T, S>(s, width.stride as i64));
            let distance = T::times(s, T::counting(s), step);
            let [all, none] = [f64::INFINITY, f64::NEG_INFINITY].map(T::narrow);
            let mut at = 0;
            for k in (0..self.side.inside.start).chain(self.side.inside.end..self.side.registers) {
                for j in 0..width.kernel {
                    // Lanes before and after the row are told by their distance from the first, as far as there are lanes.
                    let place = width.place(windows.start + k * lanes, j);
                    let (all, none) = (T::splat(s, all), T::splat(s, none));
                    let limit = T::where_less(s, (distance, bound::<T, S>(s, -place)), none, all);
                    let after = bound::<T, S>(s, width.size as i64 - place);
                    self.limits[at] = T::where_less(s, (distance, after), limit, none);
                    at += 1;
                }
            }
        }
    }

    /// The sums of what was read of a row.
    #[inline(always)]
    pub(super) fn sum(&self, row: usize) -> T::Register<S> {
        self.largest[row * (self.registers + 1) + self.registers]
    }
}
