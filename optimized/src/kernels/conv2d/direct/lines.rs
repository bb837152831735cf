//! What the windows of a row of the output read, line by line.

use super::super::Problem;
use crate::simd::{Lanes, MOST_LANES};
use std::ops::Range;

/// The lines that a row of the output reads: one for each row of the kernel and channel of the group, with the windows of
/// all taps in it.
pub struct Lines<'a, T> {
    problem: &'a Problem,
    windows: Range<usize>,
    memory: &'a mut [T],
    layout: Layout,
    /// The row of the input that each slot holds lines of; `Some(None)`: zeros.
    held: Vec<Option<Option<usize>>>,
    /// Where the windows of each term begin in memory: channel by channel, tap by tap.
    places: Vec<usize>,
}

/// Where the windows of each tap begin in a line.
///
/// Taps whose distance is a multiple of the stride read the same elements, some windows apart: they are of one *phase*, and
/// share a part of the line. At a stride of 2, the parts hold the even and the odd elements of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    /// Phases: the taps j, j + `phases`, j + 2·`phases` and so on are of one.
    phases: usize,
    /// How many windows those lie apart.
    shift: usize,
    /// The distance between the parts.
    part: usize,
}

impl Layout {
    /// Of so many windows. Where sharing would take more room, each tap has its own part.
    fn new(problem: &Problem, windows: usize) -> Self {
        let width = &problem.axes[1];
        let divisor = greatest_common_divisor(width.stride, width.dilation);
        let (shift, phases) = (width.dilation / divisor, (width.stride / divisor).min(width.kernel));
        let shared = Self { phases, shift, part: windows + (width.kernel.div_ceil(phases) - 1) * shift };
        let own = Self { phases: width.kernel, shift: 0, part: windows };
        if shared.len() < own.len() { shared } else { own }
    }

    fn len(&self) -> usize {
        self.phases * self.part
    }

    /// Where the windows of a tap begin.
    fn place(&self, tap: usize) -> usize {
        tap % self.phases * self.part + tap / self.phases * self.shift
    }

    /// How many windows beyond those of its first tap a phase has, of so many taps.
    fn beyond(&self, phase: usize, taps: usize) -> usize {
        (taps - 1 - phase) / self.phases * self.shift
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The memory that lines of so many windows take.
pub fn memory(problem: &Problem, windows: usize) -> usize {
    problem.axes[0].kernel * problem.inputs * Layout::new(problem, windows).len() + MOST_LANES
}

impl<'a, T: Lanes> Lines<'a, T> {
    /// Lines of some windows, in memory of the length that [`memory`] says.
    pub fn new(problem: &'a Problem, windows: Range<usize>, memory: &'a mut [T]) -> Self {
        let layout = Layout::new(problem, windows.len());
        let held = vec![None; problem.axes[0].kernel];
        Self { problem, windows, memory, layout, held, places: vec![0; problem.depth()] }
    }

    /// Has lines of another image, or of other channels, read.
    pub fn forget(&mut self) {
        self.held.fill(None);
    }

    /// Reads the lines of row `a` of the output, as far as they are not there yet, from the channels of the group; gives
    /// the memory that the lines are in, and where the windows of each term begin in it.
    #[inline(always)]
    pub fn of_row(&mut self, x: &[T], a: usize) -> (&[T], &[usize]) {
        let Self { problem, windows, memory, layout, held, places } = self;
        let [height, width] = &problem.axes;
        let (inputs, area, len) = (problem.inputs, problem.area(), layout.len());
        for i in 0..height.kernel {
            // Where taps of later rows meet those of earlier ones, a row of the input has the same slot for both.
            let turn = if height.stride % height.dilation == 0 { a * (height.stride / height.dilation) } else { 0 };
            let slot = (turn + i) % height.kernel;
            let source = height.source(a, i);
            let lines = &mut memory[slot * inputs * len..][..inputs * len];
            if held[slot] != Some(source) {
                held[slot] = Some(source);
                match source {
                    Some(h) => {
                        for (line, x) in lines.chunks_mut(len).zip(x.chunks(area)) {
                            let row = &x[h * width.size..][..width.size];
                            for (phase, part) in line.chunks_mut(layout.part).enumerate() {
                                let windows = windows.start..windows.end + layout.beyond(phase, width.kernel);
                                width.read(row, phase, windows.clone(), &mut part[..windows.len()]);
                            }
                        }
                    }
                    None => lines.fill(T::ZERO),
                }
            }
            for c in 0..inputs {
                let places = &mut places[(c * height.kernel + i) * width.kernel..][..width.kernel];
                let first = (slot * inputs + c) * len;
                places.iter_mut().enumerate().for_each(|(j, place)| *place = first + layout.place(j));
            }
        }
        (memory, places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::{Conv2dOptions, PaddingMode};

    /// The lines of each row of the output hold what its windows read, whatever rows were read before.
    #[test]
    fn lines_hold_what_windows_read() {
        for mode in [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Circular] {
            for (stride, dilation, kernel) in [
                (1, 1, 3),
                (1, 2, 2),
                (2, 1, 3),
                (2, 2, 3),
                (3, 2, 2),
                (1, 6, 2),
                (4, 1, 1),
                (2, 3, 2),
                (3, 1, 4),
                (2, 3, 3),
            ] {
                let options =
                    Conv2dOptions::new(2, 1, kernel).stride(stride).dilation(dilation).padding(2).padding_mode(mode);
                let problem = Problem::new(&options, &[2, 9, 7]);
                let x: Vec<f32> = (1..=126).map(|x| x as f32).collect();
                let [height, width] = &problem.axes;
                for windows in [0..width.windows, 1..width.windows.div_ceil(2)] {
                    let mut lines = vec![f32::NAN; memory(&problem, windows.len())];
                    let mut lines = Lines::new(&problem, windows.clone(), &mut lines);
                    for a in 0..height.windows {
                        let (lines, places) = lines.of_row(&x, a);
                        for (k, place) in places.iter().enumerate() {
                            let (c, i, j) = (k / problem.taps(), k / kernel % kernel, k % kernel);
                            for (at, b) in windows.clone().enumerate() {
                                let source = height.source(a, i).zip(width.source(b, j));
                                let due = source.map_or(0.0, |(h, w)| x[c * 63 + h * 7 + w]);
                                assert_eq!(lines[place + at], due, "{options:?}, row {a}, window {b}, term {k}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn taps_of_a_phase_share_their_elements_where_that_is_shorter() {
        let of = |kernel: usize, stride: usize, dilation: usize| {
            let options = Conv2dOptions::new(1, 1, kernel).stride(stride).dilation(dilation);
            Layout::new(&Problem::new(&options, &[1, 500, 500]), 20)
        };
        let due = |phases, shift, part| Layout { phases, shift, part };
        assert_eq!([of(3, 1, 1), of(3, 1, 19)], [due(1, 1, 22), due(1, 19, 58)]);
        assert_eq!([of(3, 1, 20), of(3, 1, 21), of(3, 2, 15)], [due(3, 0, 20); 3]);
        assert_eq!([of(7, 2, 1), of(7, 2, 2), of(7, 4, 6)], [due(2, 1, 23), due(1, 1, 26), due(2, 3, 29)]);
        assert_eq!([of(3, 5, 1), of(2, 7, 60)], [due(3, 0, 20), due(2, 0, 20)]);
        let seven = of(7, 2, 1);
        assert_eq!([0, 1, 2, 6].map(|tap| seven.place(tap)), [0, 23, 1, 3]);
        assert_eq!([0, 1].map(|phase| seven.beyond(phase, 7)), [3, 2]);
    }
}
