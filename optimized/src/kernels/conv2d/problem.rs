//! The sizes of a convolution.

use crate::kernels::windows::Axis;
use std::ops::Range;
use vocabulary::{Conv2dOptions, Padding, PaddingMode};

/// An axis of an input of `size` elements, which the options accept.
fn axis(options: &Conv2dOptions, axis: usize, size: usize) -> Axis {
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
    Axis { size, kernel, stride, dilation, start, windows, mode: options.padding_mode }
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
            axes: [axis(options, 0, size(2)), axis(options, 1, size(1))],
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

    /// Elements of a channel of the output, of all images; as many as can be counted, of an output that cannot be stored.
    pub fn outputs_of_a_channel(&self) -> usize {
        self.axes.iter().fold(self.images, |product, axis| product.saturating_mul(axis.windows))
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

    /// The convolution of the output's gradient that gives the input's, where windows start at every element, and zeros
    /// are padded.
    pub fn turned(&self) -> Option<Self> {
        let literal = |axis: &Axis| axis.stride == 1 && axis.mode == PaddingMode::Zeros;
        let turned = |axis: Axis| Axis {
            size: axis.windows,
            start: (axis.dilation * (axis.kernel - 1)) as i64 - axis.start,
            windows: axis.size,
            ..axis
        };
        let turned = Self { inputs: self.outputs, outputs: self.inputs, axes: self.axes.map(turned), ..*self };
        self.axes.iter().all(literal).then_some(turned)
    }

    /// Cuts a range of positions, those of all images one after the other, where rows of the output end: calls `f` with
    /// the image, the row, its windows, and how many positions came before.
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

    #[test]
    fn what_is_turned_twice_is_as_it_was() {
        let options = Conv2dOptions::new(6, 4, (2, 3)).padding((1, 4)).dilation((3, 1)).groups(2);
        let problem = Problem::new(&options, &[5, 6, 8, 9]);
        let once = problem.turned().unwrap();
        assert_eq!((once.inputs, once.outputs, once.axes.map(|axis| axis.start)), (2, 3, [2, -2]));
        let (again, sizes) = (once.turned().unwrap(), |axis: Axis| (axis.size, axis.windows, axis.start));
        assert_eq!((again.inputs, again.axes.map(sizes)), (3, problem.axes.map(sizes)));
        for other in [options.clone().stride((1, 2)), options.padding(1).padding_mode(PaddingMode::Replicate)] {
            assert!(Problem::new(&other, &[5, 6, 8, 9]).turned().is_none());
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
