//! Forward: some registers of windows at a time.

use super::{Problem, TASK};
use crate::counters::{self, Counter};
use crate::kernels::windows::Axis;
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, MOST_LANES, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

/// No distance from the start of a window.
const NOWHERE: u32 = u32::MAX;

/// Registers of windows that are computed together, row after row of what they read: so many that memory is read in the order in
/// which it lies. Two rows of 112 f64 at once, a register of each at a time, take three times as long.
const REGISTERS: usize = 8;

/// Windows of a task are a multiple of it where they are a part of a row, so that registers are full at any instruction set.
const TOGETHER: usize = REGISTERS * MOST_LANES;

/// Windows whose memory is opened together.
const OPENED: usize = 4096;

/// Windows of a task: those of whole rows, or of a part of one.
fn windows_of_a_task(problem: &Problem) -> usize {
    let [height, width] = &problem.axes;
    let taps = height.kernel.min(height.size) * width.kernel.min(width.size);
    let windows = (TASK / taps).max(TOGETHER);
    let whole = if windows < width.windows { TOGETHER } else { width.windows };
    windows / whole * whole
}

/// The largest element of each window.
pub fn forward<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), x: &[T], mut y: Output<'_, T>) {
    let size = windows_of_a_task(problem);
    threads::for_each(threads, y.blocks(size).enumerate(), |(task, y)| {
        simd::run(isa, Windows { problem, x, first: task * size, y, places: None });
    });
}

/// The largest element of each window, and its place in its channel; −1 where a window has no element.
pub fn forward_with_places<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    x: &[T],
    (mut y, places): (Output<'_, T>, &mut [i64]),
) {
    let size = windows_of_a_task(problem);
    threads::for_each(threads, y.blocks(size).zip(places.chunks_mut(size)).enumerate(), |(task, (y, places))| {
        simd::run(isa, Windows { problem, x, first: task * size, y, places: Some(places) }); // 4
    });
}

/// Some windows, those of a row after those of the one above, and those of a channel after those of the one before.
struct Windows<'a, T> {
    problem: &'a Problem,
    x: &'a [T],
    first: usize,
    y: Block<'a, T>,
    places: Option<&'a mut [i64]>,
}

impl<T: Lanes> Kernel for Windows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { problem, x, first, y, places } = self;
        let [height, width] = &problem.axes;
        let mut places = places.unwrap_or_default();
        // Distances within a window are counted in 32 bits; and of windows that start far apart, taps would be many that only some
        // of a register's have.
        let reach = height.span().saturating_mul(width.size).saturating_add(width.span());
        let by_registers = reach < NOWHERE as usize && width.stride <= width.size;
        let (row, mut b) = (first / width.windows, first % width.windows);
        let (mut channel, mut a) = (row / height.windows * problem.area(), row % height.windows);
        let mut best = Registers::<T, S>::new(s);
        let mut side = Side::new::<T, S>(width, 0..0);
        for y in y.split(OPENED) {
            let mut y = y.open();
            while !y.is_empty() {
                let n = (width.windows - b).min(y.len()).min(REGISTERS * T::lanes::<S>());
                let of_y = y.split_off_mut(..n).unwrap_or_default();
                let of_places = places.split_off_mut(..n.min(places.len())).unwrap_or_default();
                let row = Row { problem, x, channel, a };
                if n == 1 || !by_registers {
                    row.write_plainly(b, of_y, of_places);
                } else {
                    if side.windows != (b..b + n) {
                        side = Side::new::<T, S>(width, b..b + n);
                    }
                    match of_places.is_empty() {
                        true => row.write::<S, false>(s, &side, (of_y, of_places), &mut best),
                        false => row.write::<S, true>(s, &side, (of_y, of_places), &mut best),
                    }
                }
                b += n;
                if b == width.windows {
                    (b, a) = (0, a + 1);
                }
                if a == height.windows {
                    (channel, a) = (channel + problem.area(), 0);
                }
            }
        }
    }
}

/// Windows side by side, and the registers that they make.
struct Side {
    windows: Range<usize>,
    registers: usize,
    /// The registers of which all windows read inside the input at every tap along the width.
    inside: Range<usize>,
    /// What these read of a row: from which place on, and how many elements. Lanes beyond the last window read on, of the next row
    /// or channel: nobody looks at their best, and where they spoil the sum, it costs time alone.
    reach: (i64, usize),
}

impl Side {
    #[inline(always)]
    fn new<T: Lanes, S: Simd>(width: &Axis, windows: Range<usize>) -> Self {
        let (lanes, registers) = (T::lanes::<S>(), windows.len().div_ceil(T::lanes::<S>()));
        let inside = width.inside(0, &windows).start..width.inside(width.kernel - 1, &windows).end;
        let from = (inside.start - windows.start).div_ceil(lanes);
        let to = if inside.end == windows.end { registers } else { inside.end.saturating_sub(windows.start) / lanes };
        let inside = from..to.max(from);
        let len = inside.len() * width.stride * lanes + width.span();
        Self { reach: (width.place(windows.start + from * lanes, 0), len), windows, registers, inside }
    }
}

/// A row of windows.
struct Row<'a, T> {
    problem: &'a Problem,
    x: &'a [T],
    /// Where the channel starts in x.
    channel: usize,
    a: usize,
}

impl<T: Lanes> Row<'_, T> {
    /// The windows from b on, one by one; seldom, so that no instruction set has a copy of its own.
    fn write_plainly(&self, b: usize, y: &mut [T], places: &mut [i64]) {
        for (k, y) in y.iter_mut().enumerate() {
            let (largest, place) = self.largest(b + k);
            *y = largest;
            if let Some(to) = places.get_mut(k) {
                *to = place;
            }
        }
    }

    fn largest(&self, b: usize) -> (T, i64) {
        self.problem.largest(&self.x[self.channel..][..self.problem.area()], [self.a, b])
    }

    /// The windows of some registers; of places there are none, or as many.
    #[inline(always)]
    fn write<S: Simd, const PLACES: bool>(
        &self,
        s: S,
        side: &Side,
        (y, places): (&mut [T], &mut [i64]),
        best: &mut Registers<T, S>,
    ) {
        best.begin::<PLACES>(s, side.registers);
        let mut sum = T::splat(s, T::ZERO);
        for i in self.problem.axes[0].taps_inside(&(self.a..self.a + 1)) {
            sum = T::plus(s, sum, self.hold_row::<S, PLACES>(s, i, side, best)); // 1
        }
        if T::any_nan(s, sum) {
            return self.write_plainly(side.windows.start, y, places); // 3
        }
        let (registers, rest) = T::registers_mut::<S>(y);
        for (y, largest) in registers.iter_mut().zip(&best.largest) {
            *y = *largest;
        }
        if !rest.is_empty() {
            T::store_partial(s, rest, best.largest[registers.len()]);
        }
        if PLACES {
            self.write_places(side.windows.start, bytemuck::cast_slice(&best.distances), places);
        }
    }

    /// Holds what the windows read at tap i along the height against their best so far; gives the sums of it.
    #[inline(always)]
    fn hold_row<S: Simd, const PLACES: bool>(
        &self,
        s: S,
        i: usize,
        side: &Side,
        best: &mut Registers<T, S>,
    ) -> T::Register<S> {
        let ([height, width], lanes) = (&self.problem.axes, T::lanes::<S>());
        let row = self.channel + height.place(self.a, i) as usize * width.size;
        let distance = i * height.dilation * width.size;
        let mut sum = T::splat(s, T::ZERO);
        let (from, to) = match part(self.x, row as i64 + side.reach.0, side.reach.1) {
            Some(x) => {
                let best = (&mut *best, side.inside.clone());
                sum = match (width.kernel, width.stride, width.dilation) {
                    (2, 2, 1) => hold_inside::<T, S, PLACES, 2, 2>(s, x, width, distance, best),
                    (3, 2, 1) => hold_inside::<T, S, PLACES, 3, 2>(s, x, width, distance, best),
                    (3, 1, 1) => hold_inside::<T, S, PLACES, 3, 1>(s, x, width, distance, best),
                    _ => hold_inside::<T, S, PLACES, 0, 0>(s, x, width, distance, best),
                };
                (side.inside.start, side.inside.end)
            }
            None => (side.registers, side.registers),
        };
        for k in (0..from).chain(to..side.registers) {
            let first = side.windows.start + k * lanes;
            let windows = first..side.windows.end.min(first + lanes);
            let mut so_far = best.get::<PLACES>(s, k);
            for j in width.taps_inside(&windows) {
                let x = read::<T, S>(s, (self.x, row), width, (windows.clone(), j));
                so_far.hold::<PLACES>(s, x, distance + j * width.dilation);
            }
            sum = T::plus(s, sum, so_far.sum);
            best.set::<PLACES>(k, so_far);
        }
        sum
    }

    /// The places of windows from b on, of the distances from their starts.
    #[inline(always)]
    fn write_places(&self, b: usize, distances: &[T], places: &mut [i64]) {
        let [height, width] = &self.problem.axes;
        let mut start = height.place(self.a, 0) * width.size as i64 + width.place(b, 0);
        let mut nowhere = false;
        for (place, distance) in places.iter_mut().zip(distances) {
            *place = start + i64::from(distance.count());
            nowhere |= distance.count() == NOWHERE;
            start += width.stride as i64;
        }
        if nowhere {
            for (k, (place, distance)) in places.iter_mut().zip(distances).enumerate() {
                if distance.count() == NOWHERE {
                    *place = self.largest(b + k).1; // 2
                }
            }
        }
    }
}

/// The best so far of some registers of windows. A register that lies in two cache lines would take several times as long to load
/// after it was stored.
#[repr(align(64))]
struct Registers<T: Lanes, S: Simd> {
    largest: [T::Register<S>; REGISTERS],
    /// How far the largest are from the starts of their windows.
    distances: [T::Register<S>; REGISTERS],
}

impl<T: Lanes, S: Simd> Registers<T, S> {
    #[inline(always)]
    fn new(s: S) -> Self {
        Self { largest: [T::splat(s, T::ZERO); REGISTERS], distances: [T::splat(s, T::ZERO); REGISTERS] }
    }

    /// Nothing, in the first `n`.
    #[inline(always)]
    fn begin<const PLACES: bool>(&mut self, s: S, n: usize) {
        let (nothing, nowhere) = (T::splat(s, T::narrow(f64::NEG_INFINITY)), T::splat(s, T::of_count(NOWHERE)));
        for k in 0..n {
            self.largest[k] = nothing;
            if PLACES {
                self.distances[k] = nowhere;
            }
        }
    }

    #[inline(always)]
    fn get<const PLACES: bool>(&self, s: S, k: usize) -> Best<T, S> {
        let (zero, x) = (T::splat(s, T::ZERO), self.largest[k]);
        Best { x, distance: if PLACES { self.distances[k] } else { zero }, sum: zero }
    }

    #[inline(always)]
    fn set<const PLACES: bool>(&mut self, k: usize, best: Best<T, S>) {
        self.largest[k] = best.x;
        if PLACES {
            self.distances[k] = best.distance;
        }
    }
}

/// The best so far of a register of windows.
struct Best<T: Lanes, S: Simd> {
    x: T::Register<S>,
    distance: T::Register<S>,
    /// The sums of what is held against them: NaN, where something is NaN.
    sum: T::Register<S>,
}

impl<T: Lanes, S: Simd> Best<T, S> {
    /// Holds x against them: where it is larger, it takes their place.
    #[inline(always)]
    fn hold<const PLACES: bool>(&mut self, s: S, x: T::Register<S>, distance: usize) {
        if PLACES {
            let distance = T::splat(s, T::of_count(distance as u32));
            self.distance = T::where_less(s, (self.x, x), distance, self.distance);
        }
        self.x = T::larger(s, x, self.x);
        self.sum = T::plus(s, self.sum, x);
    }

    /// The same of all taps of a row, of which all lanes read inside the input: the first lane from the start of x on.
    #[inline(always)]
    fn hold_taps<const PLACES: bool>(
        &mut self,
        s: S,
        x: &[T],
        [kernel, stride, dilation]: [usize; 3],
        distance: usize,
    ) {
        let lanes = T::lanes::<S>();
        let mut tap = 0;
        if (stride, dilation) == (2, 1) {
            while tap + 1 < kernel {
                let registers = T::registers::<S>(&x[tap..][..2 * lanes]).0;
                self.hold::<PLACES>(s, T::even(s, registers[0], registers[1]), distance + tap);
                self.hold::<PLACES>(s, T::odd(s, registers[0], registers[1]), distance + tap + 1);
                tap += 2;
            }
        }
        while tap < kernel {
            let x = every::<T, S>(s, &x[tap * dilation..][..stride * lanes], stride);
            self.hold::<PLACES>(s, x, distance + tap * dilation);
            tap += 1;
        }
    }
}

/// Holds what windows read inside a row of the input at all taps, the first lane of the first register from the start of x on, against
/// the best of these registers; gives the sums of it. `KERNEL` and `STRIDE` are the width's, of dilation 1, where the compiler is to
/// know them, and 0 elsewhere.
#[inline(always)]
fn hold_inside<T: Lanes, S: Simd, const PLACES: bool, const KERNEL: usize, const STRIDE: usize>(
    s: S,
    x: &[T],
    width: &Axis,
    distance: usize,
    (best, registers): (&mut Registers<T, S>, Range<usize>),
) -> T::Register<S> {
    let sizes = if KERNEL > 0 { [KERNEL, STRIDE, 1] } else { [width.kernel, width.stride, width.dilation] };
    let [kernel, stride, dilation] = sizes;
    let (step, span) = (stride * T::lanes::<S>(), (kernel - 1) * dilation);
    let mut sum = T::splat(s, T::ZERO);
    let mut start = 0;
    for k in registers {
        let mut so_far = best.get::<PLACES>(s, k);
        so_far.hold_taps::<PLACES>(s, &x[start..][..step + span], sizes, distance);
        sum = T::plus(s, sum, so_far.sum);
        best.set::<PLACES>(k, so_far);
        start += step;
    }
    sum
}

/// The `len` elements from `start` on, where all are there.
#[inline(always)]
fn part<T>(x: &[T], start: i64, len: usize) -> Option<&[T]> {
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

/// What windows, no more than a register has lanes, read at a tap along the width, in the row of the input that begins at `row` in x;
/// −∞ where they read outside.
#[inline(always)]
fn read<T: Lanes, S: Simd>(
    s: S,
    (x, row): (&[T], usize),
    width: &Axis,
    (windows, tap): (Range<usize>, usize),
) -> T::Register<S> {
    let (lanes, nothing) = (T::lanes::<S>(), T::narrow(f64::NEG_INFINITY));
    let at = width.place(windows.start, tap);
    if width.stride <= 2
        && let Some(x) = part(x, row as i64 + at, width.stride * lanes)
    {
        // Lanes before and after the row are told by their distance from the first, as far as there are lanes.
        let (x, nothing) = (every::<T, S>(s, x, width.stride), T::splat(s, nothing));
        let distance = T::times(s, T::counting(s), bound::<T, S>(s, width.stride as i64));
        let x = T::where_less(s, (distance, bound::<T, S>(s, -at)), nothing, x); // 2
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
fn bound<T: Lanes, S: Simd>(s: S, distance: i64) -> T::Register<S> {
    T::splat(s, T::narrow(distance.clamp(0, 4 * MOST_LANES as i64) as f64))
}
