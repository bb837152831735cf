//! The largest element of each window.
//!
//! The plain loop is `for each window, for i, for j: if x > best or x is NaN { best = x }`, over the elements inside the
//! input. We depart from it:
//! 1. a row of windows at a time: tap by tap, in the order of the plain loop, each window's best is held against what it
//!    reads, and the windows that read inside the input are neighbours, the same in every row; the compiler makes vectors of
//!    it, at strides of 1 and 2 at least;
//! 2. where the best stand is remembered only where it is asked for;
//! 3. threads take some rows of windows, and backward some channels, that the shapes alone decide on.

use super::windows::Axis;
use crate::counters::{self, Counter};
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

/// Elements read by a task of one thread, about: 20 µs of work.
const TASK: usize = 1 << 16;

/// The same where places are remembered, too: 10 µs of work, as 1 to 2 ns are taken by each.
const TASK_WITH_PLACES: usize = 1 << 13;

/// Windows of a row that are computed together: with their places, 24 KiB of f32.
const BLOCK: usize = 2048;

/// Channels of an input, one after the other, and the windows over each.
#[derive(Debug, Clone, Copy)]
pub struct Problem {
    /// Along height and width.
    pub axes: [Axis; 2],
}

impl Problem {
    /// Elements of a channel of the input.
    fn area(&self) -> usize {
        self.axes[0].size * self.axes[1].size
    }

    /// Elements of a channel of the output.
    fn positions(&self) -> usize {
        self.axes[0].windows * self.axes[1].windows
    }

    /// Rows of windows of a task.
    fn rows(&self, task: usize) -> usize {
        let [height, width] = &self.axes;
        let taps = height.kernel.min(height.size) * width.kernel.min(width.size);
        (task / width.windows.saturating_mul(taps)).max(1)
    }
}

/// The largest element of each window.
pub fn forward<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), x: &[T], mut y: Output<'_, T>) {
    let rows = problem.rows(TASK);
    threads::for_each(threads, y.blocks(rows * problem.axes[1].windows).enumerate(), |(task, y)| {
        simd::run(isa, Rows { problem, x, first: task * rows, y, places: None });
    });
}

/// The largest element of each window, and its place in its channel; −1 where a window has no element.
pub fn forward_with_places<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    x: &[T],
    (mut y, places): (Output<'_, T>, &mut [i64]),
) {
    let rows = problem.rows(TASK_WITH_PLACES);
    let size = rows * problem.axes[1].windows;
    threads::for_each(threads, y.blocks(size).zip(places.chunks_mut(size)).enumerate(), |(task, (y, places))| {
        simd::run(isa, Rows { problem, x, first: task * rows, y, places: Some(places) }); // 2
    });
}

/// Some rows of windows, those of a channel after those of the one before.
struct Rows<'a, T> {
    problem: &'a Problem,
    x: &'a [T],
    first: usize,
    y: Block<'a, T>,
    places: Option<&'a mut [i64]>,
}

impl<T: Lanes> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let Self { problem, x, first, y, places } = self;
        let ([height, width], area) = (&problem.axes, problem.area());
        let mut places = places.map(|places| places.chunks_mut(width.windows));
        let (mut reaches, mut reaches_of) = (Vec::new(), 0..0);
        for (row, y) in (first..).zip(y.split(width.windows)) {
            let (x, a) = (&x[row / height.windows * area..][..area], row % height.windows);
            let mut places = places.as_mut().and_then(Iterator::next);
            let mut start = 0;
            for y in y.split(BLOCK) {
                let y = y.open();
                y.fill(T::narrow(f64::NEG_INFINITY));
                let windows = start..start + y.len();
                let mut places = places.as_mut().map(|places| &mut places[windows.clone()]);
                if let Some(places) = &mut places {
                    places.fill(-1);
                }
                if reaches_of != windows {
                    reaches_of = windows.clone();
                    set_reaches(&mut reaches, width, &windows); // 1
                }
                for i in height.taps_inside(&(a..a + 1)) {
                    let h = height.place(a, i) as usize;
                    let x = &x[h * width.size..][..width.size];
                    for Reach { from, part } in &reaches {
                        let y = &mut y[part.clone()];
                        match &mut places {
                            None => hold(y, &x[*from..], width.stride),
                            Some(places) => {
                                let first = (h * width.size + from) as i64;
                                hold_with_places((y, &mut places[part.clone()]), (&x[*from..], first), width.stride);
                            }
                        }
                    }
                }
                start = windows.end;
            }
        }
    }
}

/// What some windows read along a row of the input at a tap: the first element of it, and those of the windows that read inside.
struct Reach {
    from: usize,
    part: Range<usize>,
}

/// The reaches of windows at all taps, in order.
#[inline(always)]
fn set_reaches(reaches: &mut Vec<Reach>, width: &Axis, windows: &Range<usize>) {
    let of_tap = |tap| {
        let inside = width.inside(tap, windows);
        let part = inside.start - windows.start..inside.end - windows.start;
        (!inside.is_empty()).then(|| Reach { from: width.place(inside.start, tap) as usize, part })
    };
    reaches.clear();
    reaches.extend(width.taps_inside(windows).filter_map(of_tap));
}

/// Holds every `stride`-th element against the best so far.
#[inline(always)]
fn hold<T: Lanes>(best: &mut [T], x: &[T], stride: usize) {
    let step = |best: &mut T, x: T| *best = if larger(*best, x) { x } else { *best };
    match stride {
        1 => best.iter_mut().zip(x).for_each(|(best, x)| step(best, *x)), // 1
        2 => {
            let (pairs, rest) = x[..(2 * best.len()).min(x.len())].as_chunks::<2>();
            best.iter_mut().zip(pairs).for_each(|(best, pair)| step(best, pair[0]));
            if let (Some(best), [x]) = (best.get_mut(pairs.len()), rest) {
                step(best, *x);
            }
        }
        _ => best.iter_mut().zip(x.iter().step_by(stride)).for_each(|(best, x)| step(best, *x)),
    }
}

/// The same, with the place of the best; `first` is that of the first element.
#[inline(always)]
fn hold_with_places<T: Lanes>((best, places): (&mut [T], &mut [i64]), (x, first): (&[T], i64), stride: usize) {
    // Counted by itself: no vectors are made of a range that is zipped.
    let mut at = first;
    let mut step = |best: &mut T, place: &mut i64, x: T| {
        let taken = larger(*best, x) | (*place < 0);
        *best = if taken { x } else { *best };
        *place = if taken { at } else { *place };
        at += stride as i64;
    };
    match stride {
        1 => best.iter_mut().zip(places).zip(x).for_each(|((best, place), x)| step(best, place, *x)), // 1
        2 => {
            let (pairs, rest) = x[..(2 * best.len()).min(x.len())].as_chunks::<2>();
            best.iter_mut().zip(&mut *places).zip(pairs).for_each(|((best, place), x)| step(best, place, x[0]));
            if let (Some(best), Some(place), [x]) = (best.get_mut(pairs.len()), places.get_mut(pairs.len()), rest) {
                step(best, place, *x);
            }
        }
        _ => {
            let bests = best.iter_mut().zip(places);
            bests.zip(x.iter().step_by(stride)).for_each(|((best, place), x)| step(best, place, *x));
        }
    }
}

/// Whether x takes the place of the best so far: NaN does, of whatever.
#[inline(always)]
#[allow(clippy::eq_op)]
fn larger<T: Lanes>(best: T, x: T) -> bool {
    (best < x) | (x != x)
}

/// Each element's gradient is the sum of those of the outputs that it is the largest of.
pub fn backward<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, places): (&[T], &[i64]),
    mut dx: Output<'_, T>,
) {
    let (area, positions) = (problem.area(), problem.positions());
    let channels = (TASK / area.max(positions)).max(1);
    let outputs = g.chunks(channels * positions).zip(places.chunks(channels * positions));
    threads::for_each(threads, dx.blocks(channels * area).zip(outputs), |(dx, (g, places))| {
        simd::run(isa, Channels { area, positions, g, places, dx });
    });
}

/// Some channels.
struct Channels<'a, T> {
    area: usize,
    positions: usize,
    g: &'a [T],
    places: &'a [i64],
    dx: Block<'a, T>,
}

impl<T: Lanes> Kernel for Channels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(Counter::MaxPool2d, Isa::of::<S>());
        let channels = self.g.chunks(self.positions).zip(self.places.chunks(self.positions));
        for (dx, (g, places)) in self.dx.open().chunks_mut(self.area).zip(channels) {
            dx.fill(T::ZERO);
            for (g, place) in g.iter().zip(places) {
                if let Ok(place) = usize::try_from(*place) {
                    dx[place] += *g;
                }
            }
        }
    }
}
