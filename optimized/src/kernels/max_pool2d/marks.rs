//! What is remembered of where a window's largest element stands.

use super::Problem;
use crate::simd::{Lanes, Simd};
use bytemuck::cast_slice;

/// A place, or a tap.
pub trait Mark: Copy + Send + Sync + 'static {
    /// Of a window without any element.
    const NONE: Self;

    /// How far the numbers of taps lie apart, along the height and along the width.
    fn steps(problem: &Problem) -> [usize; 2];

    /// The mark of a tap's number, of a window that starts at a place of the channel.
    fn new(start: i64, number: i64) -> Self;

    /// The marks of a register's first lanes, of windows that start two columns apart, the first of them at a place of the channel.
    #[inline(always)]
    fn write<T: Lanes, S: Simd>(_: S, start: i64, numbers: T::Register<S>, marks: &mut [Self]) {
        for (i, (mark, number)) in marks.iter_mut().zip(cast_slice::<_, T>(&[numbers])).enumerate() {
            *mark = Self::new(start + 2 * i as i64, i64::from(number.count()));
        }
    }

    /// The mark of a tap of a window.
    #[inline(always)]
    fn of_tap(problem: &Problem, [a, b]: [usize; 2], tap: Option<[usize; 2]>) -> Self {
        let [of_i, of_j] = Self::steps(problem);
        tap.map_or(Self::NONE, |[i, j]| Self::new(problem.start([a, b]), (i * of_i + j * of_j) as i64))
    }
}

/// The place h·W + w in the channel; −1 where there is none.
impl Mark for i64 {
    const NONE: Self = -1;

    #[inline(always)]
    fn steps(problem: &Problem) -> [usize; 2] {
        let [height, width] = &problem.axes;
        [height.dilation.saturating_mul(width.size), width.dilation]
    }
    #[inline(always)]
    fn new(start: i64, number: i64) -> Self {
        start + number
    }
}

/// The tap, counted row by row, of a window of fewer than 255 taps; 255 where there is none.
impl Mark for u8 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
    fn steps(problem: &Problem) -> [usize; 2] {
        [problem.axes[1].kernel, 1]
    }
    #[inline(always)]
    fn new(_: i64, number: i64) -> Self {
        number as Self
    }
    #[inline(always)]
    fn write<T: Lanes, S: Simd>(s: S, _: i64, numbers: T::Register<S>, marks: &mut [Self]) {
        let (bytes, lanes) = (T::bytes(s, numbers), T::lanes::<S>());
        match marks.get_mut(..lanes) {
            Some(marks) => marks.copy_from_slice(&bytes[..lanes]),
            None => marks.iter_mut().zip(bytes).for_each(|(mark, byte)| *mark = byte),
        }
    }
}

impl Problem {
    /// Where a window starts, counted from the channel's first element; that may lie outside.
    #[inline(always)]
    pub(super) fn start(&self, [a, b]: [usize; 2]) -> i64 {
        let [height, width] = &self.axes;
        height.place(a, 0) * width.size as i64 + width.place(b, 0)
    }
}
