//! What windows read of a row of the input, and the largest of it.

use crate::kernels::windows::Axis;
use crate::simd::{Lanes, MOST_LANES, Simd};
use std::ops::Range;

/// The largest of a row, and the numbers of their taps.
pub(super) type Rows<'a, T, S> = (&'a mut [<T as Lanes>::Register<S>], &'a mut [<T as Lanes>::Register<S>]);

/// The best so far of a register of windows.
pub(super) struct Best<T: Lanes, S: Simd> {
    pub(super) x: T::Register<S>,
    pub(super) number: T::Register<S>,
    /// The sums of what is held against them: NaN, where something is NaN.
    pub(super) sum: T::Register<S>,
}

impl<T: Lanes, S: Simd> Best<T, S> {
    #[inline(always)]
    pub(super) fn nothing(s: S) -> Self {
        let of = |number| T::splat(s, T::narrow(number));
        Self { x: of(f64::NEG_INFINITY), number: of(f64::NAN), sum: of(0.0) }
    }

    /// Holds x against them, where it takes their place if it is larger, and adds it up.
    #[inline(always)]
    pub(super) fn hold<const MARKS: bool>(&mut self, s: S, x: T::Register<S>, number: usize) {
        if MARKS {
            let number = T::splat(s, T::narrow(number as f64));
            self.number = T::where_less(s, (self.x, x), number, self.number);
        }
        self.x = T::larger(s, x, self.x);
        self.sum = T::plus(s, self.sum, x);
    }
}

/// Keeps the largest of what windows read inside a row of the input at all taps, the first lane of the first register from the start
/// of x on; gives the sums of it.
#[inline(always)]
pub(super) fn keep_inside<T: Lanes, S: Simd, const MARKS: bool>(
    s: S,
    x: &[T],
    [kernel, stride, dilation]: [usize; 3],
    step: usize,
    (largest, numbers): Rows<'_, T, S>,
) -> T::Register<S> {
    let (of_register, span) = (stride * T::lanes::<S>(), (kernel - 1) * dilation);
    let mut sum = T::splat(s, T::ZERO);
    let mut start = 0;
    for (k, largest) in largest.iter_mut().enumerate() {
        let x = &x[start..][..of_register + span];
        let first = tap_of::<T, S>(s, x, [stride, dilation], 0);
        let mut best = Best::<T, S> { x: first, number: T::splat(s, T::ZERO), sum: first };
        for tap in 1..kernel {
            best.hold::<MARKS>(s, tap_of::<T, S>(s, x, [stride, dilation], tap), tap * step);
        }
        sum = T::plus(s, sum, best.sum);
        *largest = best.x;
        if MARKS {
            numbers[k] = best.number;
        }
        start += of_register;
    }
    sum
}

/// What the windows of a register read at a tap, the first of them from the start of x on.
#[inline(always)]
pub(super) fn tap_of<T: Lanes, S: Simd>(s: S, x: &[T], [stride, dilation]: [usize; 2], tap: usize) -> T::Register<S> {
    if (stride, dilation, tap % 2) == (2, 1, 1) {
        // Of the registers whose even lanes the tap before has read.
        let registers = T::registers::<S>(&x[tap - 1..][..2 * T::lanes::<S>()]).0;
        return T::odd(s, registers[0], registers[1]);
    }
    every::<T, S>(s, &x[tap * dilation..][..stride * T::lanes::<S>()], stride)
}

/// The `len` elements from `start` on, where all are there.
#[inline(always)]
pub(super) fn part<T>(x: &[T], start: i64, len: usize) -> Option<&[T]> {
    x.get(usize::try_from(start).ok()?..)?.get(..len)
}

/// Every `stride`-th element: there are so many times as many as lanes.
#[inline(always)]
fn every<T: Lanes, S: Simd>(s: S, x: &[T], stride: usize) -> T::Register<S> {
    let registers = T::registers::<S>(x).0;
    match stride {
        1 => registers[0],
        2 => T::even(s, registers[0], registers[1]),
        _ => {
            let mut elements = [T::ZERO; MOST_LANES];
            for (to, x) in elements.iter_mut().zip(x.chunks(stride)) {
                *to = x[0];
            }
            T::registers::<S>(&elements[..T::lanes::<S>()]).0[0]
        }
    }
}

/// The first elements, as many as a register has lanes, or all.
#[inline(always)]
pub(super) fn first_of<T: Lanes, S: Simd>(s: S, x: &[T]) -> T::Register<S> {
    match x.get(..T::lanes::<S>()) {
        Some(x) => T::registers::<S>(x).0[0],
        None => T::load_partial(s, x),
    }
}

/// Two registers from a place on; at the end of x, zeros behind it.
#[inline(always)]
pub(super) fn two<T: Lanes, S: Simd>(s: S, x: &[T], from: usize) -> [T::Register<S>; 2] {
    let lanes = T::lanes::<S>();
    match x.get(from..from + 2 * lanes) {
        Some(x) => [T::registers::<S>(x).0[0], T::registers::<S>(x).0[1]],
        None => {
            let [a, b] = [from, from + lanes].map(|from| x.get(from..).unwrap_or_default());
            [first_of::<T, S>(s, a), first_of::<T, S>(s, b)]
        }
    }
}

/// What windows, no more than a register has lanes, read at a tap along the width, in the row of the input that begins at `row` in x;
/// −∞ where they read outside.
#[inline(always)]
pub(super) fn read<T: Lanes, S: Simd>(
    s: S,
    (x, row): (&[T], usize),
    width: &Axis,
    (windows, tap): (Range<usize>, usize),
) -> T::Register<S> {
    let (lanes, nothing) = (T::lanes::<S>(), T::narrow(f64::NEG_INFINITY));
    let at = width.place(windows.start, tap);
    if width.stride <= 2
        && let Some(x) = usize::try_from(row as i64 + at).ok().and_then(|from| x.get(from..))
    {
        // Lanes before and after the row are told by their distance from the first, as far as there are lanes.
        let registers = [0, lanes].map(|from| x.get(from..).unwrap_or_default());
        let [a, b] = [first_of::<T, S>(s, registers[0]), first_of::<T, S>(s, registers[1])];
        let x = if width.stride == 2 { T::even(s, a, b) } else { a };
        let (nothing, step) = (T::splat(s, nothing), bound::<T, S>(s, width.stride as i64));
        let distance = T::times(s, T::counting(s), step);
        let x = T::where_less(s, (distance, bound::<T, S>(s, -at)), nothing, x); // 3
        return T::where_less(s, (distance, bound::<T, S>(s, width.size as i64 - at)), x, nothing);
    }
    let mut elements = [nothing; MOST_LANES];
    let inside = width.inside(tap, &windows);
    if !inside.is_empty() {
        let x = &x[row..][..width.size][width.place(inside.start, tap) as usize..];
        let to = &mut elements[inside.start - windows.start..inside.end - windows.start];
        for (to, x) in to.iter_mut().zip(x.chunks(width.stride)) {
            *to = x[0];
        }
    }
    T::registers::<S>(&elements[..lanes]).0[0]
}

/// A distance from the first lane, or one beyond all lanes where it is larger than any of theirs.
#[inline(always)]
pub(super) fn bound<T: Lanes, S: Simd>(s: S, distance: i64) -> T::Register<S> {
    T::splat(s, T::narrow(distance.clamp(0, 4 * MOST_LANES as i64) as f64))
}
