//! Forward: some rows of windows at a time.

use super::{Mark, Problem, TASK};
use crate::counters::{self, Counter};
use crate::kernels::windows::Axis;
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, MOST_COUNT, MOST_LANES, Simd, prefetch};
use crate::threads::{self, Threads};
use std::ops::Range;

/// Windows of a task are a multiple of it where they are a part of a row, so that registers are full at any instruction set.
const TOGETHER: usize = 8 * MOST_LANES;

/// Windows whose memory is opened together, where they are not those of one row.
const OPENED: usize = 4096;

/// Windows whose rows of the input are kept together, where there are so many in a row or more rows than one: 4 KiB of f32 for each
/// row of the input that a row of windows reads first.
const KEPT: usize = 512;

/// Of inputs of so many bytes, what is read next is asked for ahead.
const AHEAD: usize = 1 << 22;
const AHEAD_ELEMENTS: usize = 2048;

/// The most rows of the input that a row of windows may read: 1 MiB of f32 and as much of numbers.
const MOST_ROWS: usize = 1024;

/// How a problem is gone about.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Windows of a task: those of whole rows, or of a part of one.
    windows: usize,
    /// Windows whose memory is opened together.
    opened: usize,
    /// Rows of windows whose rows of the input are kept together.
    together: usize,
    /// Rows of the input that these are.
    rows: usize,
    /// Windows of a row, or of a part of one, in whole registers of any instruction set.
    width: usize,
    /// Whether windows take a lane each.
    by_lanes: bool,
}

impl Plan {
    fn of<M: Mark>(problem: &Problem) -> Self {
        let [height, width] = &problem.axes;
        let taps = [height, width].map(|axis| axis.kernel.min(axis.size));
        let windows = (TASK / (taps[1] * height.stride.min(taps[0]) + taps[0])).max(TOGETHER);
        let whole = if windows < width.windows { TOGETHER } else { width.windows };
        let windows = windows / whole * whole;
        let of_a_row = width.windows.min(windows).next_multiple_of(MOST_LANES);
        // Rows of windows that read others than their neighbours' rows keep nothing for these.
        let alone = height.dilation > 1 || height.stride > height.kernel || whole < width.windows;
        let together = if alone { 1 } else { (KEPT / of_a_row).clamp(1, height.windows) };
        // Numbers are whole in lanes up to that; and of windows that start far apart, taps would be many that only some of a
        // register's have.
        let [of_i, of_j] = M::steps(problem);
        let number = |axis: &Axis, step| (axis.kernel - 1).saturating_mul(step);
        let counts = number(height, of_i).saturating_add(number(width, of_j)) <= MOST_COUNT;
        Self {
            windows,
            opened: if whole == width.windows { (OPENED / whole).max(1) * whole } else { OPENED },
            together,
            rows: (together - 1) * height.stride + height.kernel.min(MOST_ROWS),
            width: of_a_row,
            by_lanes: counts && height.kernel <= MOST_ROWS && width.stride <= width.size && width.windows > 1,
        }
    }

    /// Elements of what is kept of rows, of their numbers, and of the limits of lanes.
    fn memory(&self, with_marks: bool) -> [usize; 3] {
        match (self.by_lanes, with_marks) {
            (false, _) => [0; 3],
            (true, false) => [self.rows * (self.width + MOST_LANES), 0, LIMITS * MOST_LANES],
            (true, true) => {
                [self.rows * (self.width + MOST_LANES), (self.rows + 1) * self.width, LIMITS * MOST_LANES]
            }
        }
    }
}

/// The largest element of each window.
pub fn forward<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), x: &[T], mut y: Output<'_, T>) {
    let plan = Plan::of::<u8>(problem);
    threads::for_each(threads, y.blocks(plan.windows).enumerate(), |(task, y)| {
        scratch(plan.memory(false).iter().sum(), |memory| {
            let windows = Windows::<T, u8> { problem, plan, x, first: task * plan.windows, y, marks: None, memory };
            simd::run(isa, windows);
        });
    });
}

/// The largest element of each window, and a mark of where it stands.
pub fn forward_with_marks<T: Lanes, M: Mark>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    x: &[T],
    (mut y, marks): (Output<'_, T>, &mut [M]),
) {
    let plan = Plan::of::<M>(problem);
    let tasks = y.blocks(plan.windows).zip(marks.chunks_mut(plan.windows)).enumerate();
    threads::for_each(threads, tasks, |(task, (y, marks))| {
        scratch(plan.memory(true).iter().sum(), |memory| {
            let first = task * plan.windows;
            simd::run(isa, Windows { problem, plan, x, first, y, marks: Some(marks), memory }); // 5
        });
    });
}

/// Some windows, those of a row after those of the one above, and those of a channel after those of the one before.
struct Windows<'a, T, M> {
    problem: &'a Problem,
    plan: Plan,
    x: &'a [T],
    first: usize,
    y: Block<'a, T>,
    marks: Option<&'a mut [M]>,
    /// As much as the plan says.
    memory: &'a mut [T],
}

impl<T: Lanes, M: Mark> Kernel for Windows<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { problem, plan, x, first, y, marks, memory } = self;
        let [height, width] = &problem.axes;
        let with_marks = marks.is_some();
        let mut marks = marks.unwrap_or_default();
        let (row, mut b) = (first / width.windows, first % width.windows);
        let (mut channel, mut a) = (row / height.windows * problem.area(), row % height.windows);
        let mut kept = Kept::<T, S>::new(&plan, with_marks, memory);
        for y in y.split(plan.opened) {
            let mut y = y.open();
            while !y.is_empty() {
                // Some whole rows, or a part of one.
                let n = (width.windows - b).min(y.len());
                let rows = if n == width.windows { plan.together.min(height.windows - a).min(y.len() / n) } else { 1 };
                let of_y = y.split_off_mut(..rows * n).unwrap_or_default();
                let of_marks = marks.split_off_mut(..(rows * n).min(marks.len())).unwrap_or_default();
                let part = Part { problem, x, channel, a, rows, windows: b..b + n };
                match (n == 1 || !plan.by_lanes, with_marks) {
                    (true, _) => part.write_plainly(0..rows, of_y, of_marks),
                    (_, false) => part.write::<S, M, false>(s, &mut kept, of_y, of_marks),
                    (_, true) => part.write::<S, M, true>(s, &mut kept, of_y, of_marks),
                }
                b = (b + n) % width.windows;
                a += if b == 0 { rows } else { 0 };
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
    /// Whether the limits of the other registers' lanes are known.
    limits: bool,
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
        let limits = (registers - inside.len()).saturating_mul(width.kernel) <= LIMITS && width.stride <= 2;
        Self { reach: (width.place(windows.start + from * lanes, 0), len), windows, registers, inside, limits }
    }

}

/// Registers of limits that are kept at most: those of two registers of windows of 16 taps.
const LIMITS: usize = 32;

/// What is kept of rows of the input: departure 1.
struct Kept<'a, T: Lanes, S: Simd> {
    /// Of each row the largest of every window's taps along the width, and, last, the sums of what was read.
    largest: &'a mut [T::Register<S>],
    /// The numbers of the largest's taps; NaN where they are not known. Behind all rows' there are those of the windows themselves.
    numbers: &'a mut [T::Register<S>],
    /// Of the registers of which some window reads outside, tap after tap: −∞ in the lanes of those windows, ∞ in others.
    limits: &'a mut [T::Register<S>],
    /// Registers of a row.
    registers: usize,
    rows: usize,
    /// The windows that the limits are of.
    side: Side,
}

impl<'a, T: Lanes, S: Simd> Kept<'a, T, S> {
    #[inline(always)]
    fn new(plan: &Plan, with_marks: bool, memory: &'a mut [T]) -> Self {
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
    fn stand(&mut self, s: S, width: &Axis, windows: &Range<usize>) {
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
    fn sum(&self, row: usize) -> T::Register<S> {
        self.largest[row * (self.registers + 1) + self.registers]
    }
}

/// Windows of some rows, or of a part of one.
struct Part<'a, T> {
    problem: &'a Problem,
    x: &'a [T],
    /// Where the channel starts in x.
    channel: usize,
    /// The first row of windows.
    a: usize,
    rows: usize,
    windows: Range<usize>,
}

impl<T: Lanes> Part<'_, T> {
    /// The windows of some rows, one by one; seldom, so that no instruction set has a copy of its own.
    fn write_plainly<M: Mark>(&self, rows: Range<usize>, y: &mut [T], marks: &mut [M]) {
        let windows = rows.flat_map(|row| self.windows.clone().map(move |b| [self.a + row, b]));
        for (k, (y, window)) in y.iter_mut().zip(windows).enumerate() {
            let (largest, tap) = self.largest(window);
            *y = largest;
            if let Some(to) = marks.get_mut(k) {
                *to = M::of_tap(self.problem, window, tap);
            }
        }
    }

    fn largest(&self, window: [usize; 2]) -> (T, Option<[usize; 2]>) {
        self.problem.largest(&self.x[self.channel..][..self.problem.area()], window)
    }

    /// The windows; of marks there are none, or as many.
    #[inline(always)]
    fn write<S: Simd, M: Mark, const MARKS: bool>(
        &self,
        s: S,
        kept: &mut Kept<'_, T, S>,
        y: &mut [T],
        marks: &mut [M],
    ) {
        let [height, width] = &self.problem.axes;
        let [of_i, of_j] = M::steps(self.problem);
        kept.stand(s, width, &self.windows);
        // Of a row of windows alone, those of its taps; of several, all between the first tap and the last.
        let last = self.a + self.rows - 1;
        let (first_tap, last_taps) = (height.taps_inside(&(self.a..self.a + 1)), height.taps_inside(&(last..last + 1)));
        if first_tap.is_empty() || last_taps.is_empty() {
            return self.write_plainly(0..self.rows, y, marks);
        }
        let first = height.place(self.a, first_tap.start) as usize;
        let rows = (height.place(last, last_taps.end - 1) as usize - first) / height.dilation + 1;
        let sizes = [width.kernel, width.stride, width.dilation];
        let sum = match sizes {
            [2, 2, 1] => self.keep_rows::<S, MARKS, 2, 2>(s, (first, rows), of_j, kept),
            [3, 2, 1] => self.keep_rows::<S, MARKS, 3, 2>(s, (first, rows), of_j, kept),
            [3, 1, 1] => self.keep_rows::<S, MARKS, 3, 1>(s, (first, rows), of_j, kept),
            _ => self.keep_rows::<S, MARKS, 0, 0>(s, (first, rows), of_j, kept),
        };
        let (spoiled, n) = (T::any_nan(s, sum), self.windows.len());
        for row in 0..self.rows {
            let a = self.a + row;
            let taps = height.taps_inside(&(a..a + 1));
            let from = (height.place(a, taps.start) as usize - first) / height.dilation;
            let of_marks = if MARKS { row * n..(row + 1) * n } else { 0..0 };
            if spoiled {
                let mut sum = T::splat(s, T::ZERO);
                for row in from..from + taps.len() {
                    sum = T::plus(s, sum, kept.sum(row));
                }
                if T::any_nan(s, sum) {
                    self.write_plainly(row..row + 1, &mut y[row * n..][..n], &mut marks[of_marks]); // 4
                    continue;
                }
            }
            // Lanes beyond the last window fall into the next row, which is written later.
            let y = &mut y[row * n..];
            match taps.len() {
                2 => hold_rows::<T, S, MARKS, 2>(s, (from, &taps), of_i, (y, n), kept),
                3 => hold_rows::<T, S, MARKS, 3>(s, (from, &taps), of_i, (y, n), kept),
                _ => hold_rows::<T, S, MARKS, 0>(s, (from, &taps), of_i, (y, n), kept),
            }
            if MARKS {
                let numbers = &kept.numbers[kept.rows * kept.registers..];
                self.write_marks(a, bytemuck::cast_slice(numbers), &mut marks[of_marks]);
            }
        }
    }

    /// Keeps the largest of what windows read of some rows of the input, the first of them and how many; gives the sums of it.
    /// `KERNEL` and `STRIDE` are the width's, of dilation 1, where the compiler is to know them, and 0 elsewhere.
    #[inline(always)]
    fn keep_rows<S: Simd, const MARKS: bool, const KERNEL: usize, const STRIDE: usize>(
        &self,
        s: S,
        (first, rows): (usize, usize),
        step: usize,
        kept: &mut Kept<'_, T, S>,
    ) -> T::Register<S> {
        let [height, width] = &self.problem.axes;
        let sizes = if KERNEL > 0 { [KERNEL, STRIDE, 1] } else { [width.kernel, width.stride, width.dilation] };
        let (side, registers) = (&kept.side, kept.registers);
        let start = self.channel + first * width.size;
        let to_next = height.dilation * width.size;
        // Where the last of the rows is read inside x, all are, and so is where the first begins.
        let all = part(self.x, start as i64 + side.reach.0, (rows - 1) * to_next + side.reach.1);
        let outside = side.inside.len() < side.registers || all.is_none();
        let ahead = (size_of_val(self.x) >= AHEAD).then_some(rows.max(AHEAD_ELEMENTS / width.size) * width.size);
        let mut of_all = T::splat(s, T::ZERO);
        for r in 0..rows {
            if let Some(by) = ahead {
                // While it computes, it need not wait for what the next rows of windows read.
                let next = self.x.get(start + r * to_next + by..).unwrap_or_default();
                for line in next[..width.size.min(next.len())].chunks(64 / size_of::<T>()) {
                    prefetch(s, &line[0]);
                }
            }
            let largest = &mut kept.largest[r * (registers + 1)..][..registers + 1];
            let numbers = &mut kept.numbers[if MARKS { r * registers..(r + 1) * registers } else { 0..0 }];
            let mut sum = T::splat(s, T::ZERO);
            if let Some(all) = all {
                let numbers = &mut numbers[if MARKS { side.inside.clone() } else { 0..0 }];
                let best = (&mut largest[side.inside.clone()], numbers);
                sum = keep_inside::<T, S, MARKS>(s, &all[r * to_next..][..side.reach.1], sizes, step, best);
            }
            if outside {
                let inside = if all.is_some() { side.inside.clone() } else { 0..0 };
                let (row, best) = (start + r * to_next, (largest.as_mut(), numbers));
                let others = self.keep_outside::<S, MARKS>(s, row, (sizes, step), (side, inside, kept.limits), best);
                sum = T::plus(s, sum, others);
            }
            largest[registers] = sum;
            of_all = T::plus(s, of_all, sum);
        }
        of_all
    }

    /// Keeps the largest of what windows read of the row of the input that begins at `row` in x, but for the registers that are known to
    /// read inside it; gives the sums of it.
    #[inline(always)]
    fn keep_outside<S: Simd, const MARKS: bool>(
        &self,
        s: S,
        row: usize,
        ([kernel, stride, dilation], step): ([usize; 3], usize),
        (side, inside, limits): (&Side, Range<usize>, &[T::Register<S>]),
        (largest, numbers): (&mut [T::Register<S>], &mut [T::Register<S>]),
    ) -> T::Register<S> {
        let (width, lanes) = (&self.problem.axes[1], T::lanes::<S>());
        let mut sum = T::splat(s, T::ZERO);
        let limits = (side.limits && inside == side.inside).then_some(limits);
        for (e, k) in (0..inside.start).chain(inside.end..side.registers).enumerate() {
            let first = side.windows.start + k * lanes;
            let mut best = Best::<T, S>::nothing(s);
            let place = row as i64 + width.place(first, 0);
            match (limits, part(self.x, place, stride * lanes + (kernel - 1) * dilation)) {
                (Some(limits), Some(x)) => {
                    for tap in 0..kernel {
                        let x = tap_of::<T, S>(s, x, [stride, dilation], tap);
                        // −∞ where windows read outside.
                        best.hold::<MARKS>(s, T::smaller(s, limits[e * kernel + tap], x), tap * step); // 3
                    }
                }
                _ => {
                    let windows = first..side.windows.end.min(first + lanes);
                    for j in width.taps_inside(&windows) {
                        let x = read::<T, S>(s, (self.x, row), width, (windows.clone(), j));
                        best.hold::<MARKS>(s, x, j * step);
                    }
                }
            }
            sum = T::plus(s, sum, best.sum);
            largest[k] = best.x;
            if MARKS {
                numbers[k] = best.number;
            }
        }
        sum
    }

    /// The marks of a row of windows, of the numbers of their taps.
    #[inline(always)]
    fn write_marks<M: Mark>(&self, a: usize, numbers: &[T], marks: &mut [M]) {
        let b = self.windows.start;
        let (mut start, stride) = (self.problem.start([a, b]), self.problem.axes[1].stride as i64);
        let mut nowhere = false;
        for (mark, number) in marks.iter_mut().zip(numbers) {
            *mark = M::new(start, i64::from(number.count()));
            nowhere |= number.is_nan();
            start += stride;
        }
        if nowhere {
            for (k, (mark, number)) in marks.iter_mut().zip(numbers).enumerate() {
                if number.is_nan() {
                    *mark = M::of_tap(self.problem, [a, b + k], self.largest([a, b + k]).1); // 3
                }
            }
        }
    }
}

/// Writes the largest of rows that are kept, the first of them and the taps that it and those behind it are read at, of n windows;
/// what is behind these may be overwritten. `ROWS` is the number of rows, or 0 where the compiler is not to know it; `step` is how far
/// the numbers of two taps along the height lie apart.
#[inline(always)]
fn hold_rows<T: Lanes, S: Simd, const MARKS: bool, const ROWS: usize>(
    s: S,
    (from, taps): (usize, &Range<usize>),
    step: usize,
    (y, n): (&mut [T], usize),
    kept: &mut Kept<'_, T, S>,
) {
    let (rows, lanes) = (if ROWS > 0 { ROWS } else { taps.len() }, T::lanes::<S>());
    let number = |t: usize| T::narrow(((taps.start + t) * step) as f64);
    let pitch = kept.registers + 1;
    let largest = &kept.largest[from * pitch..(from + rows) * pitch];
    let (of_rows, of_windows) = kept.numbers.split_at_mut(if MARKS { kept.rows * kept.registers } else { 0 });
    let of_rows = if MARKS { &of_rows[from * kept.registers..(from + rows) * kept.registers] } else { &[] };
    let mut y = y;
    for k in 0..n.div_ceil(lanes) {
        let mut best = largest[k];
        let mut best_number = best;
        if MARKS {
            best_number = T::plus(s, of_rows[k], T::splat(s, number(0)));
        }
        for t in 1..rows {
            let x = largest[t * pitch + k];
            if MARKS {
                let its = T::plus(s, of_rows[t * kept.registers + k], T::splat(s, number(t)));
                best_number = T::where_less(s, (best, x), its, best_number);
            }
            best = T::larger(s, x, best);
        }
        if MARKS {
            of_windows[k] = best_number;
        }
        match y.split_off_mut(..lanes) {
            Some(to) => T::registers_mut::<S>(to).0[0] = best,
            None => T::store_partial(s, y, best),
        }
    }
}

/// The best so far of a register of windows.
struct Best<T: Lanes, S: Simd> {
    x: T::Register<S>,
    number: T::Register<S>,
    /// The sums of what is held against them: NaN, where something is NaN.
    sum: T::Register<S>,
}

impl<T: Lanes, S: Simd> Best<T, S> {
    #[inline(always)]
    fn nothing(s: S) -> Self {
        let of = |number| T::splat(s, T::narrow(number));
        Self { x: of(f64::NEG_INFINITY), number: of(f64::NAN), sum: of(0.0) }
    }

    /// Holds x against them: where it is larger, it takes their place.
    #[inline(always)]
    fn hold<const MARKS: bool>(&mut self, s: S, x: T::Register<S>, number: usize) {
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
fn keep_inside<T: Lanes, S: Simd, const MARKS: bool>(
    s: S,
    x: &[T],
    [kernel, stride, dilation]: [usize; 3],
    step: usize,
    (largest, numbers): (&mut [T::Register<S>], &mut [T::Register<S>]),
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
fn tap_of<T: Lanes, S: Simd>(s: S, x: &[T], [stride, dilation]: [usize; 2], tap: usize) -> T::Register<S> {
    if (stride, dilation, tap % 2) == (2, 1, 1) {
        // Of the registers whose even lanes the tap before has read.
        let registers = T::registers::<S>(&x[tap - 1..][..2 * T::lanes::<S>()]).0;
        return T::odd(s, registers[0], registers[1]);
    }
    every::<T, S>(s, &x[tap * dilation..][..stride * T::lanes::<S>()], stride)
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
fn bound<T: Lanes, S: Simd>(s: S, distance: i64) -> T::Register<S> {
    T::splat(s, T::narrow(distance.clamp(0, 4 * MOST_LANES as i64) as f64))
}
