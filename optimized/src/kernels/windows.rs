//! Where windows lie along an axis, and what they read.
//!
//! All padding modes go through [`Axis::source`], which says what a window reads at a tap. Of each tap, the windows that
//! read inside the input are neighbours ([`Axis::inside`]): these are copied, and the function is asked about the others
//! alone.

use crate::simd::Lanes;
use std::ops::Range;
use vocabulary::PaddingMode;

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
    pub start: i64,
    /// Windows, and so elements of the output.
    pub windows: usize,
    /// What is padded.
    pub mode: PaddingMode,
}

impl Axis {
    /// Where `window` reads at `tap`, counted from the first element of the input, which may lie outside.
    #[inline(always)]
    pub fn place(&self, window: usize, tap: usize) -> i64 {
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

    /// The taps at which one of the windows, of which there is one at least, may read inside the input; all that do are
    /// among them.
    #[inline(always)]
    pub fn taps_inside(&self, windows: &Range<usize>) -> Range<usize> {
        if self.place(windows.start, 0) >= 0 && self.place(windows.end - 1, self.kernel - 1) < self.size as i64 {
            return 0..self.kernel; // what most do, without a division
        }
        // The first tap at which a window that starts there reads a place that is not negative.
        let first = |start: i64| usize::try_from(-start).map_or(0, |distance| distance.div_ceil(self.dilation));
        let from = first(self.place(windows.end - 1, 0)).min(self.kernel);
        from..first(self.place(windows.start, 0) - self.size as i64).clamp(from, self.kernel)
    }

    /// How far the last tap of a window lies from its first.
    #[inline(always)]
    pub fn span(&self) -> usize {
        (self.kernel - 1).saturating_mul(self.dilation)
    }

    /// The windows that may read one of the elements, of which there is one at least; all that do are among them.
    #[inline(always)]
    pub fn reaching(&self, elements: &Range<usize>) -> Range<usize> {
        // The first window that starts at a place, or later: `start` places beyond the input's first.
        let from =
            |place: i64| usize::try_from(place.saturating_add(self.start)).map_or(0, |at| at.div_ceil(self.stride));
        let end = from(elements.end as i64).min(self.windows);
        from((elements.start as i64).saturating_sub_unsigned(self.span() as u64)).min(end)..end
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Axes of every mode, padded and cropped.
    fn axes() -> Vec<Axis> {
        let mut axes = Vec::new();
        for mode in [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular] {
            for (size, kernel, stride, dilation, start) in
                [(5, 3, 1, 1, 1), (7, 2, 3, 2, 2), (4, 4, 2, 1, 3), (9, 1, 4, 1, 0), (6, 3, 1, 3, 5), (8, 2, 1, 1, -2)]
            {
                let windows = (size as i64 + 2 * start - dilation * (kernel - 1) - 1) / stride + 1;
                let [kernel, stride, dilation, windows] = [kernel, stride, dilation, windows].map(|x| x as usize);
                axes.push(Axis { size, kernel, stride, dilation, start, windows, mode });
            }
        }
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

    #[test]
    fn taps_inside_are_those_that_a_window_reads_the_input_at() {
        for axis in axes() {
            for window in 0..axis.windows {
                let inside = axis.taps_inside(&(window..window + 1));
                for tap in 0..axis.kernel {
                    let within = (0..axis.size as i64).contains(&axis.place(window, tap));
                    assert_eq!(inside.contains(&tap), within, "{axis:?}: window {window}, tap {tap}");
                    assert!(!within || axis.taps_inside(&(0..axis.windows)).contains(&tap), "{axis:?}: tap {tap}");
                }
            }
        }
    }

    #[test]
    fn reaching_are_the_windows_that_start_before_and_end_behind() {
        for axis in axes() {
            for elements in [0..1, 0..axis.size, axis.size - 1..axis.size, axis.size / 2..axis.size / 2 + 1] {
                let reaching = axis.reaching(&elements);
                for window in 0..axis.windows {
                    let (first, last) = (axis.place(window, 0), axis.place(window, axis.kernel - 1));
                    let reaches = first < elements.end as i64 && last >= elements.start as i64;
                    assert_eq!(reaching.contains(&window), reaches, "{axis:?}: window {window}, {elements:?}");
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
}
