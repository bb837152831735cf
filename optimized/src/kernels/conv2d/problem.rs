//! Where the windows of a convolution lie.
//!
//! All padding modes go through [`Axis::source`], which says what a window reads at a tap. Of each tap, the windows that read
//! inside the input are neighbours ([`Axis::inside`]): these are copied, and the function is asked about the others alone.

use crate::simd::Lanes;
use std::ops::Range;
use vocabulary::{Conv2dOptions, Padding, PaddingMode};

/// Windows and taps along one axis.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// Elements of the input.
    pub size: usize,
    /// Taps.
    pub kernel: usize,
    /// How far apart windows start.
    pub stride: usize,
    /// How far apart taps lie.
    pub dilation: usize,
    /// Elements padded before the input; cropped, where it is negative.
    start: i64,
    /// Windows, and so elements of the output.
    pub windows: usize,
    mode: PaddingMode,
}

impl Axis {
    /// An axis of an input of `size` elements, which the options accept.
    pub fn new(options: &Conv2dOptions, axis: usize, size: usize) -> Self {
        let of = |sizes: vocabulary::Pair| sizes.axes()[axis];
        let (kernel, stride, dilation) = (of(options.kernel_size), of(options.stride), of(options.dilation));
        let reach = dilation as i128 * (kernel as i128 - 1);
        let (start, end) = match options.padding {
            Padding::Explicit(padding) => (i128::from(padding[axis]), i128::from(padding[axis])),
            Padding::Valid => (0, 0),
            Padding::Same => (reach / 2, reach - reach / 2),
        };
        let windows = (size as i128 + start + end - reach - 1) / stride as i128 + 1;
        let windows = usize::try_from(windows).unwrap_or(usize::MAX);
        // What was checked has 64 bits: the padded size, and so what is padded or cropped.
        let start = i64::try_from(start).unwrap_or(i64::MAX);
        Self { size, kernel, stride, dilation, start, windows, mode: options.padding_mode }
    }

    /// Where `window` reads at `tap`, counted from the first element of the input, which may lie outside.
    #[inline(always)]
    fn place(&self, window: usize, tap: usize) -> i64 {
        (window * self.stride + tap * self.dilation) as i64 - self.start
    }

    /// The element that `window` reads at `tap`; none is a padded zero.
    #[inline(always)]
    pub fn source(&self, window: usize, tap: usize) -> Option<usize> {
        let (place, last) = (self.place(window, tap), self.size as i64 - 1);
        if (0..=last).contains(&place) {
            return Some(place as usize);
        }
        let place = match self.mode {
            PaddingMode::Zeros => return None,
            PaddingMode::Replicate => place.clamp(0, last),
            PaddingMode::Circular => place.rem_euclid(last + 1),
            PaddingMode::Reflect if place < 0 => -place,
            PaddingMode::Reflect => 2 * last - place,
        };
        Some(place as usize)
    }

    /// Those of the windows whose `tap` reads inside the input.
    #[inline(always)]
    pub fn inside(&self, tap: usize, windows: &Range<usize>) -> Range<usize> {
        let first = self.place(0, tap);
        // The first window that reads the place 0 or a later one, and the first that reads beyond the input.
        let from = |place: i64| match usize::try_from(place - first) {
            Ok(distance) if self.stride == 1 => distance,
            Ok(distance) => distance.div_ceil(self.stride),
            Err(_) => 0,
        };
        let start = from(0).clamp(windows.start, windows.end);
        start..from(self.size as i64).clamp(start, windows.end)
    }

    /// Writes what `windows` read at `tap` in a row of the input.
    #[inline(always)]
    pub fn read<T: Lanes>(&self, row: &[T], tap: usize, windows: Range<usize>, to: &mut [T]) {
        let inside = self.inside(tap, &windows);
        let edge = |window| self.source(window, tap).map_or(T::ZERO, |place| row[place]);
        let (before, rest) = to.split_at_mut(inside.start - windows.start);
        let (within, after) = rest.split_at_mut(inside.len());
        (windows.start..inside.start).zip(before).for_each(|(window, to)| *to = edge(window));
        if !inside.is_empty() {
            let from = &row[self.place(inside.start, tap) as usize..];
            match self.stride {
                1 => within.copy_from_slice(&from[..inside.len()]),
                stride => within.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = *x),
            }
        }
        (inside.end..windows.end).zip(after).for_each(|(window, to)| *to = edge(window));
    }

    /// Adds `weight` times what belongs to `windows` at `tap` to the elements of a row that they read.
    #[inline(always)]
    pub fn add<T: Lanes>(&self, row: &mut [T], tap: usize, windows: Range<usize>, weight: T, from: &[T]) {
        let inside = self.inside(tap, &windows);
        let edges = (windows.start..inside.start).chain(inside.end..windows.end);
        for window in edges {
            if let Some(place) = self.source(window, tap) {
                row[place] += weight * from[window - windows.start];
            }
        }
        if !inside.is_empty() {
            let within = &from[inside.start - windows.start..][..inside.len()];
            let row = &mut row[self.place(inside.start, tap) as usize..];
            match self.stride {
                1 => row[..within.len()].iter_mut().zip(within).for_each(|(x, g)| *x += weight * *g),
                stride => row.iter_mut().step_by(stride).zip(within).for_each(|(x, g)| *x += weight * *g),
            }
        }
    }
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Problem {
    /// N, 1 where there is no batch.
    pub images: usize,
    /// Groups of channels.
    pub groups: usize,
    /// Input channels of a group.
    pub inputs: usize,
    /// Output channels of a group.
    pub outputs: usize,
    /// Along height and width.
    pub axes: [Axis; 2],
}

impl Problem {
    /// Of an input that the options accept.
    pub fn new(options: &Conv2dOptions, input: &[usize]) -> Self {
        let size = |from_last: usize| input.len().checked_sub(from_last).map_or(1, |axis| input[axis]);
        Self {
            images: size(4),
            groups: options.groups,
            inputs: options.in_channels / options.groups,
            outputs: options.out_channels / options.groups,
            axes: [Axis::new(options, 0, size(2)), Axis::new(options, 1, size(1))],
        }
    }

    /// Elements of a channel of the input.
    pub fn area(&self) -> usize {
        self.axes[0].size * self.axes[1].size
    }

    /// Elements of a channel of the output.
    pub fn positions(&self) -> usize {
        self.axes[0].windows * self.axes[1].windows
    }

    /// Taps of a channel.
    pub fn taps(&self) -> usize {
        self.axes[0].kernel * self.axes[1].kernel
    }

    /// Whether each window reads one element, and each element is read by one window, in order.
    pub fn is_pointwise(&self) -> bool {
        let once = |axis: &Axis| axis.kernel == 1 && axis.start == 0 && axis.windows == axis.size;
        self.axes.iter().all(once)
    }

    /// The terms of an output.
    pub fn depth(&self) -> usize {
        self.inputs * self.taps()
    }

    /// Multiply-adds of forward, or of either gradient.
    pub fn work(&self) -> usize {
        let sizes = [self.inputs, self.taps(), self.outputs, self.groups, self.images, self.axes[1].windows];
        sizes.into_iter().fold(self.axes[0].windows, usize::saturating_mul)
    }

    /// Cuts a range of positions, those of all images one after the other, where rows of the output end: calls `f` with the image,
    /// the row, its windows, and how many positions came before.
    #[inline(always)]
    pub fn for_each_row(&self, positions: Range<usize>, mut f: impl FnMut(usize, usize, Range<usize>, usize)) {
        let (rows, windows) = (self.axes[0].windows, self.axes[1].windows);
        let (mut row, mut window) = (positions.start / windows, positions.start % windows);
        let (mut image, mut done) = (row / rows, 0);
        row %= rows;
        while done < positions.len() {
            let end = windows.min(window + positions.len() - done);
            f(image, row, window..end, done);
            done += end - window;
            window = 0;
            row += 1;
            if row == rows {
                (image, row) = (image + 1, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> Vec<Axis> {
        let mut axes = Vec::new();
        for mode in [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular] {
            for (size, kernel, stride, dilation, padding) in
                [(5, 3, 1, 1, 1), (7, 2, 3, 2, 2), (4, 4, 2, 1, 3), (9, 1, 4, 1, 0), (6, 3, 1, 3, 5), (8, 2, 1, 1, -2)]
            {
                let mut options = Conv2dOptions::new(1, 1, kernel).stride(stride).dilation(dilation).padding_mode(mode);
                options.padding = Padding::Explicit([padding; 2]);
                if options.check_input(&[1, size, size]).is_ok() {
                    axes.push(Axis::new(&options, 0, size));
                }
            }
        }
        assert_eq!(axes.len(), 23);
        axes
    }

    #[test]
    fn inside_are_the_windows_that_read_the_input_itself() {
        for axis in axes() {
            for tap in 0..axis.kernel {
                for windows in [0..axis.windows, 1..axis.windows, 0..axis.windows.div_ceil(2)] {
                    let inside = axis.inside(tap, &windows);
                    for window in windows {
                        let within = (0..axis.size as i64).contains(&axis.place(window, tap));
                        assert_eq!(inside.contains(&window), within, "{axis:?}: window {window}, tap {tap}");
                    }
                }
            }
        }
    }

    /// Reading and adding are each other's transposes, and read what [`Axis::source`] says.
    #[test]
    fn what_is_read_is_what_the_source_says() {
        for axis in axes() {
            let row: Vec<f64> = (1..=axis.size).map(|x| x as f64).collect();
            for tap in 0..axis.kernel {
                let mut read = vec![f64::NAN; axis.windows];
                axis.read(&row, tap, 0..axis.windows, &mut read);
                let mut sums = vec![0.0; axis.size];
                let ones = vec![1.0; axis.windows];
                axis.add(&mut sums, tap, 0..axis.windows, 2.0, &ones);
                let mut due = vec![0.0; axis.size];
                for (window, read) in read.into_iter().enumerate() {
                    let source = axis.source(window, tap);
                    assert_eq!(read, source.map_or(0.0, |place| row[place]), "{axis:?}");
                    source.into_iter().for_each(|place| due[place] += 2.0);
                }
                assert_eq!(sums, due, "{axis:?}");
            }
        }
    }

    #[test]
    fn positions_are_cut_where_rows_and_images_end() {
        let problem = Problem::new(&Conv2dOptions::new(1, 1, 1), &[2, 1, 2, 3]);
        let mut cut = Vec::new();
        problem.for_each_row(1..11, |image, row, windows, done| cut.push((image, row, windows, done)));
        assert_eq!(cut, [(0, 0, 1..3, 0), (0, 1, 0..3, 2), (1, 0, 0..3, 5), (1, 1, 0..2, 8)]);
        problem.for_each_row(3..3, |_, _, _, _| panic!("nothing is left"));
    }
}
