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
    /// The length of a line.
    len: usize,
    /// How far apart the windows of neighbouring taps begin in a line.
    step: usize,
    /// The row of the input that each slot holds lines of; `Some(None)`: zeros.
    held: Vec<Option<Option<usize>>>,
    /// Where the windows of each term begin in memory: channel by channel, tap by tap.
    places: Vec<usize>,
}

/// The length of a line of so many windows, and the distance between neighbouring taps in it. Windows that start at every
/// place share their elements, unless taps lie far apart.
fn layout(problem: &Problem, windows: usize) -> (usize, usize) {
    let width = &problem.axes[1];
    let reach = (width.kernel - 1).saturating_mul(width.dilation);
    match width.stride {
        1 if reach <= (width.kernel - 1) * windows => (windows + reach, width.dilation),
        _ => (width.kernel * windows, windows),
    }
}

/// The memory that lines of so many windows take.
pub fn memory(problem: &Problem, windows: usize) -> usize {
    problem.axes[0].kernel * problem.inputs * layout(problem, windows).0 + MOST_LANES
}

impl<'a, T: Lanes> Lines<'a, T> {
    /// Lines of some windows, in memory of the length that [`memory`] says.
    pub fn new(problem: &'a Problem, windows: Range<usize>, memory: &'a mut [T]) -> Self {
        let (len, step) = layout(problem, windows.len());
        let held = vec![None; problem.axes[0].kernel];
        Self { problem, windows, memory, len, step, held, places: vec![0; problem.depth()] }
    }

    /// Has lines of another image, or of other channels, read.
    pub fn forget(&mut self) {
        self.held.fill(None);
    }

    /// Reads the lines of row `a` of the output, as far as they are not there yet, from the channels of the group; gives
    /// the memory that the lines are in, and where the windows of each term begin in it.
    #[inline(always)]
    pub fn of_row(&mut self, x: &[T], a: usize) -> (&[T], &[usize]) {
        let [height, width] = &self.problem.axes;
        let (inputs, area) = (self.problem.inputs, self.problem.area());
        for i in 0..height.kernel {
            // Where taps of later rows meet those of earlier ones, a row of the input has the same slot for both.
            let turn = if height.stride % height.dilation == 0 { a * (height.stride / height.dilation) } else { 0 };
            let slot = (turn + i) % height.kernel;
            let source = height.source(a, i);
            let lines = &mut self.memory[slot * inputs * self.len..][..inputs * self.len];
            if self.held[slot] != Some(source) {
                self.held[slot] = Some(source);
                match source {
                    Some(h) => {
                        for (line, x) in lines.chunks_mut(self.len).zip(x.chunks(area)) {
                            let row = &x[h * width.size..][..width.size];
                            if self.step < self.windows.len() {
                                let windows = self.windows.start..self.windows.start + self.len;
                                width.read(row, 0, windows, line);
                            } else {
                                for (j, line) in line.chunks_mut(self.windows.len()).enumerate() {
                                    width.read(row, j, self.windows.clone(), line);
                                }
                            }
                        }
                    }
                    None => lines.fill(T::ZERO),
                }
            }
            for c in 0..inputs {
                let places = &mut self.places[(c * height.kernel + i) * width.kernel..][..width.kernel];
                let first = (slot * inputs + c) * self.len;
                places.iter_mut().enumerate().for_each(|(j, place)| *place = first + j * self.step);
            }
        }
        (self.memory, &self.places)
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
            for (stride, dilation, kernel) in
                [(1, 1, 3), (1, 2, 2), (2, 1, 3), (2, 2, 3), (3, 2, 2), (1, 6, 2), (4, 1, 1)]
            {
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
    fn windows_share_their_elements_where_that_is_shorter() {
        let of = |stride: usize, dilation: usize| {
            let options = Conv2dOptions::new(1, 1, 3).stride(stride).dilation(dilation);
            layout(&Problem::new(&options, &[1, 500, 500]), 20)
        };
        assert_eq!([of(1, 1), of(1, 19), of(1, 20), of(1, 21)], [(22, 1), (58, 19), (60, 20), (60, 20)]);
        assert_eq!([of(2, 1), of(2, 50)], [(60, 20); 2]);
    }
}
