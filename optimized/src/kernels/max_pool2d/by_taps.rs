//! Backward, of windows whose taps are known: each element asks the windows over it.
//!
//! The plain loop is `for each element, for each window over it, which reads it at tap (i, j): if the window's tap is (i, j) { dx += g }`.
//! We depart from it:
//! 1. windows start two columns apart, and every second element of a row takes a lane: all of these are read at the same taps, by windows
//!    side by side;
//! 2. rows of windows are copied, longer on both sides by taps that are none, so that no lane is outside;
//! 3. gradients are added in the order of the windows, as they are by places.

use super::{Mark, Problem, TASK, rows_of_a_part};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, MOST_LANES, Simd};
use crate::threads::{self, Threads};
use bytemuck::cast_slice_mut;
use std::ops::Range;

/// Elements whose gradients are found before they are written: 8 KiB of f32, beside the windows over them, from a half as much to a little
/// more.
const PART: usize = 2048;

/// The most taps that an element is read at. Where there are more, windows go by places: an addition there cost as much as four
/// comparisons of a register, which were of numbers then.
const TAPS: usize = 4;

/// The least elements of a row, for each two windows of it that are over an element. Of shorter rows, all that is done for one but the
/// computation costs more than going by places, and more than bytes for marks save on the way forward. Both ways together take, of 8
/// channels of 32x32 f32 on one thread of Zen 5, 4.7 µs here and 4.9 by places for 3x3, 6.9 and 7.2 for padded 2x2; of 20x20 3.2 and 2.7
/// for 3x3, of 28x28 5.5 and 5.3 for padded 2x2.
const LEAST: usize = 32;

/// How a problem is gone about.
#[derive(Debug, Clone)]
struct Plan {
    /// Rows of the gradient that are found before they are written.
    rows: usize,
    /// Rows of windows that reach these, at most.
    window_rows: usize,
    /// Taps that are none before the first window of a row.
    before: usize,
    /// Windows of a row, with what is before and behind them: whole registers.
    width: usize,
    /// The taps that read the elements of a row, by its distance from the start of the last row of windows that starts above it or at
    /// it: those of even columns, counted from the first, and then those of odd ones.
    taps: Vec<[Vec<TapOver>; 2]>,
}

/// A tap, and the windows side by side that read elements side by side at it.
#[derive(Debug, Clone, Copy)]
struct TapOver {
    /// How many rows of windows before the last they are.
    row: usize,
    /// How far behind the last row's first window the first of them is.
    at: isize,
    number: u8,
}

/// Whether windows start two columns apart, taps are few enough, and rows neither too short nor too long.
pub fn suits(problem: &Problem) -> bool {
    let [height, width] = &problem.axes;
    let [over_height, over_width] = [height, width].map(|axis| axis.kernel.div_ceil(axis.stride));
    over_height.saturating_mul(over_width) <= TAPS
        && height.kernel.saturating_mul(width.kernel) < usize::from(u8::NONE)
        && (height.dilation, width.dilation) == (1, 1)
        && width.stride == 2
        && width.size.saturating_mul(height.kernel) <= PART
        && width.size >= LEAST * over_width.div_ceil(2)
}

impl Plan {
    fn of<T>(problem: &Problem) -> Self {
        let [height, width] = &problem.axes;
        let (rows, start) = (rows_of_a_part::<T>(width.size, [PART; 2]), width.start as usize);
        let before = (width.kernel - 1).saturating_sub(start) / 2;
        let elements = width.size.div_ceil(2).next_multiple_of(MOST_LANES);
        let mut plan = Self {
            rows,
            window_rows: ((rows + height.span()) / height.stride + 1).min(height.windows),
            before,
            width: (before + elements + start.div_ceil(2)).next_multiple_of(MOST_LANES),
            taps: Vec::new(),
        };
        // Of the taps over an element, the last belongs to the first window: departure 3.
        for distance in 0..height.stride.min(height.kernel) {
            plan.taps.push([0, 1].map(|phase| {
                let over = |i| (0..width.kernel).rev().map(move |j| (i, j));
                let taps = (distance..height.kernel).step_by(height.stride).rev().flat_map(over);
                let of_phase = taps.filter(|(_, j)| (start + phase + *j).is_multiple_of(2));
                let tap_over = |(i, j): (usize, usize)| TapOver {
                    row: (i - distance) / height.stride,
                    at: ((start + phase) as isize - j as isize) / 2
                        - ((i - distance) / height.stride * plan.width) as isize,
                    number: (i * width.kernel + j) as u8,
                };
                of_phase.map(tap_over).collect()
            }));
        }
        plan
    }

    /// Elements of memory for the gradients of a part, and for the gradients and the taps of windows.
    fn memory<T>(&self, problem: &Problem) -> [usize; 3] {
        let of_windows = self.window_rows * self.width + MOST_LANES;
        [
            (self.rows * problem.axes[1].size).next_multiple_of(MOST_LANES),
            of_windows,
            of_windows.div_ceil(size_of::<T>()),
        ]
    }
}

/// Each element's gradient is the sum of those of the outputs that it is the largest of, in each window at the tap given.
pub fn backward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, taps): (&[T], &[u8]),
    mut dx: Output<'_, T>,
) {
    let plan = &Plan::of::<T>(problem);
    let rows = (TASK / problem.axes[1].size / plan.rows).max(1) * plan.rows;
    let tasks = dx.blocks(rows * problem.axes[1].size).enumerate();
    threads::for_each(threads, tasks, |(task, dx)| {
        scratch(plan.memory::<T>(problem).iter().sum(), |memory| {
            simd::run(isa, Rows { problem, plan, g, taps, first: task * rows, dx, memory });
        });
    });
}

/// Rows of the gradient, of one channel or several.
struct Rows<'a, T> {
    problem: &'a Problem,
    plan: &'a Plan,
    g: &'a [T],
    taps: &'a [u8],
    first: usize,
    dx: Block<'a, T>,
    memory: &'a mut [T],
}

impl<T: Lanes> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { problem, plan, g, taps, first, dx, memory } = self;
        let [height, width] = &problem.axes;
        let [of_sums, of_windows, _] = plan.memory::<T>(problem);
        let (sums, windows) = memory.split_at_mut(of_sums);
        let (gradients, numbers) = windows.split_at_mut(of_windows);
        let mut over = Over { problem, plan, first: 0, numbers: cast_slice_mut(numbers), gradients };
        let mut row = first;
        for dx in dx.split(plan.rows * width.size) {
            let (mut at, rows) = (0, dx.len() / width.size);
            while at < rows {
                let (channel, r) = (row / height.size, row % height.size);
                let n = (height.size - r).min(rows - at);
                over.read((g, taps), channel, r..r + n);
                over.add_up(s, r..r + n, &mut sums[at * width.size..][..n * width.size]);
                at += n;
                row += n;
            }
            dx.fill(s, Split::new(&sums[..rows * width.size]));
        }
    }
}

/// The windows over some rows of a channel: departure 2.
struct Over<'a, T> {
    problem: &'a Problem,
    plan: &'a Plan,
    /// The first row of windows.
    first: usize,
    /// The taps at which the largest of windows stand.
    numbers: &'a mut [u8],
    /// The gradients of their outputs.
    gradients: &'a mut [T],
}

impl<T: Lanes> Over<'_, T> {
    /// Reads the windows over some rows.
    #[inline(always)]
    fn read(&mut self, (g, taps): (&[T], &[u8]), channel: usize, rows: Range<usize>) {
        let ([height, width], plan) = (&self.problem.axes, self.plan);
        let windows = height.reaching(&rows);
        self.first = windows.start;
        // What starts behind the last element is over none.
        let n = width.windows.min(plan.width - plan.before);
        let mut at = 0;
        for a in windows {
            let from = (channel * height.windows + a) * width.windows;
            self.numbers[at..][..plan.before].fill(u8::NONE);
            at += plan.before;
            // Whole registers, of what lies behind the row, too: nobody looks at that, and loops without a rest are short.
            let together = n.next_multiple_of(MOST_LANES);
            match (g.get(from..from + together), taps.get(from..from + together)) {
                (Some(g), Some(taps)) => {
                    let gradients = self.gradients[at..][..together].as_chunks_mut::<MOST_LANES>().0;
                    for (to, g) in gradients.iter_mut().zip(g.as_chunks().0) {
                        *to = *g;
                    }
                    let numbers = self.numbers[at..][..together].as_chunks_mut::<MOST_LANES>().0;
                    for (to, taps) in numbers.iter_mut().zip(taps.as_chunks().0) {
                        *to = *taps;
                    }
                }
                _ => {
                    self.gradients[at..][..n].copy_from_slice(&g[from..][..n]);
                    self.numbers[at..][..n].copy_from_slice(&taps[from..][..n]);
                }
            }
            let behind = plan.width - plan.before - n;
            self.numbers[at + n..][..behind].fill(u8::NONE);
            at += n + behind;
        }
    }

    /// The sums of rows that have been read for.
    #[inline(always)]
    fn add_up<S: Simd>(&self, s: S, rows: Range<usize>, sums: &mut [T]) {
        let [height, width] = &self.problem.axes;
        // The last row of windows that starts above a row or at it, if there were so many, and how far above.
        let start =
            |row: usize| ((row + height.start as usize) / height.stride, (row + height.start as usize) % height.stride);
        // Rows that as many windows as there may be are over, and the others.
        let most = (height.kernel - 1) / height.stride;
        let inside = (most * height.stride).saturating_sub(height.start as usize)
            ..(height.windows * height.stride).saturating_sub(height.start as usize);
        let inside = inside.start.clamp(rows.start, rows.end)..inside.end.clamp(rows.start, rows.end);
        for row in rows.clone().filter(|row| !inside.contains(row)) {
            let (last, distance) = start(row);
            let is_there = |tap: &&TapOver| last >= tap.row && last - tap.row < height.windows;
            let some = |phase: usize| -> Vec<_> {
                let taps = self.plan.taps.get(distance).map_or(&[][..], |taps| &taps[phase]);
                taps.iter().filter(is_there).copied().collect()
            };
            let sums = &mut sums[(row - rows.start) * width.size..][..width.size];
            self.add_up_taps::<S>(s, last, &[some(0), some(1)], sums);
        }
        // Of the others, those that are as far from the windows' starts have the same taps.
        for row in inside.clone().take(height.stride) {
            let (last, distance) = start(row);
            let sums = &mut sums[(row - rows.start) * width.size..(inside.end - rows.start) * width.size];
            match self.plan.taps.get(distance) {
                Some(taps) => self.add_up_taps::<S>(s, last, taps, sums),
                None => sums.chunks_mut(height.stride * width.size).for_each(|sums| sums[..width.size].fill(T::ZERO)),
            }
        }
    }

    /// The sums of every `stride`-th row, the first of which is read at these taps.
    #[inline(always)]
    fn add_up_taps<S: Simd>(&self, s: S, last: usize, taps: &[Vec<TapOver>; 2], sums: &mut [T]) {
        match (taps[0].len(), taps[1].len()) {
            (1, 1) => self.add_up_rows::<S, 1, 1>(s, last, taps, sums),
            (1, 2) => self.add_up_rows::<S, 1, 2>(s, last, taps, sums),
            (2, 4) => self.add_up_rows::<S, 2, 4>(s, last, taps, sums),
            _ => self.add_up_rows::<S, ANY, ANY>(s, last, taps, sums),
        }
    }

    /// The same; `EVEN` and `ODD` are the numbers of taps of each phase, or [`ANY`] where the compiler is not to know them.
    #[inline(always)]
    fn add_up_rows<S: Simd, const EVEN: usize, const ODD: usize>(
        &self,
        s: S,
        last: usize,
        [even, odd]: &[Vec<TapOver>; 2],
        sums: &mut [T],
    ) {
        let ([height, width], lanes) = (&self.problem.axes, T::lanes::<S>());
        // Where there is any tap, its window is there, and the sum is that of its place.
        let base = (last * self.plan.width + self.plan.before).wrapping_sub(self.first * self.plan.width);
        let rows = sums.len().div_ceil(height.stride * width.size);
        let len = (rows - 1) * self.plan.width + width.size.div_ceil(2).next_multiple_of(lanes);
        let even = Phase::<T, EVEN>::new(self, base, len, even);
        let odd = Phase::<T, ODD>::new(self, base, len, odd);
        for (q, sums) in sums.chunks_mut(height.stride * width.size).enumerate() {
            let (registers, rest) = T::registers_mut::<S>(&mut sums[..width.size]);
            let mut m = q * self.plan.width;
            let (pairs, last) = registers.as_chunks_mut::<2>();
            for pair in pairs {
                *pair = T::in_turn(s, even.sum(s, m), odd.sum(s, m));
                m += lanes;
            }
            if last.len() + rest.len() > 0 {
                let [a, b] = T::in_turn(s, even.sum(s, m), odd.sum(s, m));
                match last {
                    [last] => {
                        *last = a;
                        T::store_partial(s, rest, b);
                    }
                    _ => T::store_partial(s, rest, a),
                }
            }
        }
    }
}

/// No number of taps that the compiler knows.
const ANY: usize = 0;

/// The numbers that windows have, their gradients, and the tap's own number.
type Known<'a, T> = (&'a [u8], &'a [T], u8);

/// The taps over every second element of a row.
struct Phase<'a, T: Lanes, const TAPS: usize> {
    over: &'a Over<'a, T>,
    base: usize,
    taps: &'a [TapOver],
    /// The same, where there are `TAPS`.
    known: [Known<'a, T>; TAPS],
}

impl<'a, T: Lanes, const TAPS: usize> Phase<'a, T, TAPS> {
    #[inline(always)]
    fn new(over: &'a Over<'a, T>, base: usize, len: usize, taps: &'a [TapOver]) -> Self {
        let mut known = [(&[][..], &[][..], 0); TAPS];
        for (known, tap) in known.iter_mut().zip(taps) {
            let at = base.wrapping_add_signed(tap.at);
            *known = (&over.numbers[at..][..len], &over.gradients[at..][..len], tap.number);
        }
        Self { over, base, taps, known }
    }

    /// The sums of a register of elements; the windows over them begin m places behind those over the first.
    #[inline(always)]
    fn sum<S: Simd>(&self, s: S, m: usize) -> T::Register<S> {
        let (mut sum, lanes) = (T::splat(s, T::ZERO), T::lanes::<S>());
        if TAPS == ANY {
            for tap in self.taps {
                let at = self.base.wrapping_add_signed(tap.at) + m;
                let g = T::registers::<S>(&self.over.gradients[at..][..lanes]).0[0];
                sum = T::plus_where(s, sum, (&self.over.numbers[at..][..lanes], tap.number), g);
            }
        }
        for (numbers, gradients, number) in &self.known {
            let g = T::registers::<S>(&gradients[m..][..lanes]).0[0];
            sum = T::plus_where(s, sum, (&numbers[m..][..lanes], *number), g);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::windows::Axis;
    use vocabulary::PaddingMode;

    /// Whether windows of such kernels and strides over so many columns are gone about so.
    fn suits_of(kernel: [usize; 2], stride: [usize; 2], columns: usize, dilation: [usize; 2]) -> bool {
        let axis = |i: usize, size: usize| Axis {
            size,
            kernel: kernel[i],
            stride: stride[i],
            dilation: dilation[i],
            start: (kernel[i] / 2) as i64,
            windows: (size + kernel[i] / 2 * 2 - kernel[i]) / stride[i] + 1,
            mode: PaddingMode::Zeros,
        };
        suits(&Problem { axes: [axis(0, 31), axis(1, columns)] })
    }

    #[test]
    fn small_windows_two_columns_apart_are_asked_where_rows_are_neither_short_nor_long() {
        for (kernel, least) in [([2, 2], 1), ([3, 3], 1), ([4, 4], 1), ([1, 3], 1), ([3, 1], 1), ([2, 7], 2)] {
            let suits = |columns| suits_of(kernel, [2, 2], columns, [1, 1]);
            assert!(suits(131) && suits(least * LEAST) && !suits(least * LEAST - 1), "{kernel:?}");
            let most = PART / kernel[0];
            assert!(suits(most) && !suits(most + 1), "{kernel:?}");
        }
        // Of these, each is refused for one reason alone.
        let suits = |kernel, stride, dilation| suits_of(kernel, stride, 64, dilation);
        assert!(suits([3, 2], [2, 2], [1, 1]) && !suits([3, 2], [2, 1], [1, 1]) && !suits([3, 3], [2, 3], [1, 1]));
        assert!(suits([3, 3], [3, 2], [1, 1]) && !suits([3, 3], [3, 2], [2, 1]) && !suits([3, 3], [3, 2], [1, 2]));
        assert!(suits([4, 4], [2, 2], [1, 1]) && !suits([5, 4], [2, 2], [1, 1]) && !suits([4, 5], [2, 2], [1, 1]));
        assert!(suits([31, 8], [31, 2], [1, 1]) && !suits([32, 8], [32, 2], [1, 1]), "taps of a byte, but for none");
    }
}
