//! Forward: some rows of windows at a time.

mod kept;
mod last;
mod part;
mod reading;
mod threes;
mod tiles;

use super::{BYTES_OF_A_PART, MOST_BYTES_OF_A_PART, Mark, Problem, TASK, rows_of_a_part, rows_of_lines};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::Split;
use crate::kernels::windows::Axis;
use crate::memory::{Block, Output, scratch};
use crate::simd::{self, Isa, Kernel, Lanes, MOST_COUNT, MOST_LANES, Simd, streams};
use crate::threads::{self, Threads};
use kept::{Kept, LIMITS};
use part::Part;

/// Windows of a task are a multiple of it where they are a part of a row, so that registers are full at any instruction set.
const TOGETHER: usize = 8 * MOST_LANES;

/// Windows whose memory is opened together, where they are not those of one row.
const OPENED: usize = 4096;

/// Windows whose rows of the input are kept together, in as many rows of windows as these are, or in one: 2 KiB of f32 for each row
/// of the input that a row of windows does not share with the next. 3x3 s2 over 8x112x112 f32 took 16 µs, with 64 of them 26, with
/// 1024 as long, and beyond the caches longer. (These have a way of their own since.)
const KEPT: usize = 512;

/// The most taps along the height of windows that take a lane each: a task keeps 4.5 MiB of f32 for so many, and 4 of numbers.
const MOST_ROWS: usize = 1 << 13;

/// How a problem is gone about.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Windows of a task: those of whole rows, or of a part of one; whole parts of those that are streamed.
    windows: usize,
    /// Windows whose memory is opened together.
    opened: usize,
    /// Windows that are found before they are written past the caches; 0 where they are not.
    streamed: usize,
    /// Rows of windows whose rows of the input are kept together.
    together: usize,
    /// Rows of the input that these are.
    rows: usize,
    /// Windows of a row, or of a part of one, in whole registers of any instruction set.
    width: usize,
    way: Way,
}

/// How windows side by side are gone about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// One by one.
    Plainly,
    /// A lane each, nothing being kept of rows: windows of 2x2 that lie side by side.
    Tiles,
    /// The same: windows of up to three rows and of three columns, which start two columns apart.
    Threes,
    /// A lane each, of what is kept of rows.
    Kept,
}

impl Plan {
    fn of<T, M: Mark>(problem: &Problem) -> Self {
        let [height, width] = &problem.axes;
        let taps = [height, width].map(|axis| axis.kernel.min(axis.size));
        let windows = (TASK / (taps[1] * height.stride.min(taps[0]) + taps[0])).max(TOGETHER);
        let whole = if windows < width.windows { TOGETHER } else { width.windows };
        let windows = windows / whole * whole;
        let of_a_row = width.windows.min(windows).next_multiple_of(MOST_LANES);
        // Rows of windows that read others than their neighbours' rows keep nothing for these.
        let alone = height.dilation > 1 || height.stride > height.kernel || whole < width.windows;
        let together = if alone { 1 } else { (KEPT / of_a_row).clamp(1, windows / whole) };
        // Numbers are whole in lanes up to that; and of windows that start far apart, taps would be many that only some of a
        // register's have.
        let [of_i, of_j] = M::steps(problem);
        let number = |axis: &Axis, step| (axis.kernel - 1).saturating_mul(step);
        let counts = number(height, of_i).saturating_add(number(width, of_j)) <= MOST_COUNT;
        let way = match counts && height.kernel <= MOST_ROWS && width.stride <= width.size && width.windows > 1 {
            false => Way::Plainly,
            true if problem.is_tiled() => Way::Tiles,
            true if threes::suits(problem) => Way::Threes,
            true => Way::Kept,
        };
        let streamed = if way == Way::Tiles { streamed::<T>(whole, windows) } else { 0 };
        Self {
            windows: windows.checked_div(streamed).map_or(windows, |parts| parts * streamed),
            streamed,
            opened: if whole == width.windows { (OPENED / whole).max(1) * whole } else { OPENED },
            together,
            rows: ((together - 1) * height.stride + height.kernel.min(MOST_ROWS)).min(height.size),
            width: of_a_row,
            way,
        }
    }

    /// How many windows are found before they are written: a part, where a task's are written past the caches, and otherwise none.
    fn found<T: Lanes>(&self, isa: Isa, y: &Block<'_, T>) -> usize {
        if y.is_streamed() && streams(isa) { self.streamed } else { 0 }
    }

    /// Elements of what is kept of rows, of their numbers, and of the limits of lanes.
    fn memory(&self, with_marks: bool) -> [usize; 3] {
        match (self.way == Way::Kept, with_marks) {
            (false, _) => [0; 3],
            (true, false) => [self.rows * (self.width + MOST_LANES), 0, LIMITS * MOST_LANES],
            (true, true) => [self.rows * (self.width + MOST_LANES), (self.rows + 1) * self.width, LIMITS * MOST_LANES],
        }
    }
}

/// Windows of 2x2 side by side that are found before they are written past the caches: rows of `whole` that are whole cache lines, no more
/// than a task's; none where there are no such, and none of f32. 8x64x112x112 f64 takes 1.21 ms so on one thread of Zen 5, and 1.53
/// otherwise, on two 0.84 and 1.09; f32 takes a tenth longer so on one thread, and as long on two. 3x3 s2 took a twentieth longer, by an
/// earlier version of theirs.
fn streamed<T>(whole: usize, task: usize) -> usize {
    if size_of::<T>() < size_of::<f64>() {
        return 0;
    }
    let bytes = [BYTES_OF_A_PART, MOST_BYTES_OF_A_PART];
    let rows = rows_of_a_part::<T>(whole, bytes.map(|bytes| bytes / size_of::<T>()));
    let suits = rows.is_multiple_of(rows_of_lines::<T>(whole)) && rows * whole <= task;
    if suits { rows * whole } else { 0 }
}

/// The largest element of each window.
pub fn forward<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), x: &[T], mut y: Output<'_, T>) {
    let plan = Plan::of::<T, u8>(problem);
    threads::for_each(threads, y.blocks_beside(x.len(), plan.windows).enumerate(), |(task, y)| {
        scratch(plan.found(isa, &y) + plan.memory(false).iter().sum::<usize>(), |memory| {
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
    let plan = Plan::of::<T, M>(problem);
    let tasks = y.blocks_beside(x.len(), plan.windows).zip(marks.chunks_mut(plan.windows)).enumerate();
    threads::for_each(threads, tasks, |(task, (y, marks))| {
        scratch(plan.found(isa, &y) + plan.memory(true).iter().sum::<usize>(), |memory| {
            let first = task * plan.windows;
            simd::run(isa, Windows { problem, plan, x, first, y, marks: Some(marks), memory }); // 5
        });
    });
}

/// Writes elements to a block of as many. A call of its own, since all that it is made of would make those of small inputs longer.
struct Fill<'a, T>(Block<'a, T>, &'a [T]);

impl<T: Lanes> Kernel for Fill<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        self.0.fill(s, Split::new(self.1));
    }
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
        let streamed = plan.found(Isa::of::<S>(), &y);
        let (found, memory) = memory.split_at_mut(streamed);
        let mut kept = Kept::<T, S>::new(&plan, with_marks, memory);
        for y in y.split(if streamed > 0 { streamed } else { plan.opened }) {
            let len = y.len();
            let (mut y, block) = if streamed > 0 { (&mut found[..len], Some(y)) } else { (y.open(), None) };
            while !y.is_empty() {
                // Some whole rows, or a part of one.
                let n = (width.windows - b).min(y.len());
                let together = if plan.way == Way::Kept { plan.together } else { height.windows };
                let rows = if n == width.windows { together.min(height.windows - a).min(y.len() / n) } else { 1 };
                let of_y = y.split_off_mut(..rows * n).unwrap_or_default();
                let of_marks = marks.split_off_mut(..(rows * n).min(marks.len())).unwrap_or_default();
                let part = Part { problem, x, channel, a, rows, windows: b..b + n };
                match (if n == 1 { Way::Plainly } else { plan.way }, with_marks) {
                    (Way::Plainly, _) => part.write_plainly(0..rows, of_y, of_marks),
                    (Way::Tiles, false) => part.write_tiles::<S, M, false>(s, of_y, of_marks),
                    (Way::Tiles, true) => part.write_tiles::<S, M, true>(s, of_y, of_marks),
                    (Way::Threes, false) => part.write_threes::<S, M, false>(s, of_y, of_marks),
                    (Way::Threes, true) => part.write_threes::<S, M, true>(s, of_y, of_marks),
                    (Way::Kept, false) => part.write::<S, M, false>(s, &mut kept, of_y, of_marks),
                    (Way::Kept, true) => part.write::<S, M, true>(s, &mut kept, of_y, of_marks),
                }
                b = (b + n) % width.windows;
                a += if b == 0 { rows } else { 0 };
                if a == height.windows {
                    (channel, a) = (channel + problem.area(), 0);
                }
            }
            if let Some(block) = block {
                simd::run(Isa::of::<S>(), Fill(block, &found[..len])); // 7
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::PaddingMode;

    fn streamed_of<T: Lanes>(kernel: usize, columns: usize) -> usize {
        let axis = |size: usize| {
            let windows = (size - kernel) / 2 + 1;
            Axis { size, kernel, stride: 2, dilation: 1, start: 0, windows, mode: PaddingMode::Zeros }
        };
        let plan = Plan::of::<T, u8>(&Problem { axes: [axis(8), axis(columns)] });
        assert!(plan.streamed == 0 || plan.windows.is_multiple_of(plan.streamed));
        plan.streamed
    }

    #[test]
    fn windows_of_f64_are_streamed_by_whole_lines() {
        assert_eq!([128, 302, 27, 4102].map(|columns| streamed_of::<f64>(2, columns)), [512, 1208, 416, 0]);
        assert_eq!(([128, 302].map(|columns| streamed_of::<f32>(2, columns)), streamed_of::<f64>(3, 128)), ([0; 2], 0));
    }
}
