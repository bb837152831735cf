//! The transforms of tiles, of the input and of the output's gradient. Numbers are those of the departures that the parent file
//! lists.

use super::COUNTER;
use super::columns::{load, of_gradient, of_input, store};
use super::grid::{Run, line, phase};
use crate::counters;
use crate::kernels::windows::Axis;
use crate::simd::{Isa, Kernel, Lanes, MOST_LANES, Simd};

/// Where the transforms of tiles lie: of each of the places of a tile, panels of `span` tiles.
#[derive(Clone, Copy)]
pub struct Layout {
    pub span: usize,
    /// The distances between panels, channels and places.
    pub panel: usize,
    pub channel: usize,
    pub place: usize,
}

/// The transforms of some channels' tiles, some runs of them: Bᵀ·d·B of 4x4 elements or, of a `GRADIENT`, A·g·Aᵀ of 2x2.
pub struct ToTiles<'a, T, const GRADIENT: bool> {
    /// What is read along height and width.
    pub axes: &'a [Axis; 2],
    /// From the first image and channel on, and the distance between images.
    pub x: &'a [T],
    pub image: usize,
    pub channels: usize,
    pub runs: &'a [Run],
    pub layout: Layout,
    /// Memory for the phases of a run.
    pub phases: &'a mut [T],
    pub transformed: &'a mut [T],
}

impl<T: Lanes, const GRADIENT: bool> Kernel for ToTiles<'_, T, GRADIENT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { axes, x, image, channels, runs, layout, phases, transformed } = self;
        let (area, lanes) = (axes[0].size * axes[1].size, T::lanes::<S>());
        for c in 0..channels {
            for run in runs {
                let pitch = run.columns.len() + 1;
                let size = phase((run.rows.len(), run.columns.len()));
                split::<T>(axes, &x[run.image * image + c * area..][..area], run, phases, size);
                let [a, b, c_, d] = [0, 1, 2, 3].map(|phase| &phases[phase * size..][..size]);
                for segment in run.segments(layout.span) {
                    for done in (0..segment.count).step_by(lanes) {
                        let at = segment.row * pitch + segment.column + done;
                        let columns = if GRADIENT {
                            let first = of_gradient::<T, S>(s, [load::<T, S>(a, at), load::<T, S>(c_, at)]);
                            let second = of_gradient::<T, S>(s, [load::<T, S>(b, at), load::<T, S>(d, at)]);
                            [first, second, first, second]
                        } else {
                            [
                                of_input::<T, S>(s, read::<T, S>([a, c_], at, pitch)),
                                of_input::<T, S>(s, read::<T, S>([b, d], at, pitch)),
                                of_input::<T, S>(s, read::<T, S>([a, c_], at + 1, pitch)),
                                of_input::<T, S>(s, read::<T, S>([b, d], at + 1, pitch)),
                            ]
                        };
                        let tile = segment.at + done;
                        let at = tile / layout.span * layout.panel + c * layout.channel + tile % layout.span;
                        // A whole register may write beyond the segment what the next one overwrites, but not beyond
                        // its panel's row.
                        let whole = tile % layout.span + lanes <= layout.span;
                        let count = if whole { lanes } else { segment.count - done };
                        let [a, b, c, d] = columns;
                        for i in 0..4 {
                            let row = if GRADIENT {
                                of_gradient::<T, S>(s, [a[i], b[i]])
                            } else {
                                of_input::<T, S>(s, [a[i], b[i], c[i], d[i]])
                            };
                            for (j, value) in row.into_iter().enumerate() {
                                let at = (4 * i + j) * layout.place + at;
                                store::<T, S>(s, &mut transformed[at..][..count], value);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Four elements of a column, which two phases have in turn.
#[inline(always)]
fn read<T: Lanes, S: Simd>([even, odd]: [&[T]; 2], at: usize, pitch: usize) -> [T::Register<S>; 4] {
    let next = at + pitch;
    [load::<T, S>(even, at), load::<T, S>(odd, at), load::<T, S>(even, next), load::<T, S>(odd, next)]
}

/// Splits what a run reads of a channel into its phases (2): even and odd rows, and of each even and odd elements.
#[inline(always)]
fn split<T: Lanes>([height, width]: &[Axis; 2], x: &[T], run: &Run, phases: &mut [T], size: usize) {
    let pitch = run.columns.len() + 1;
    let (phases, buffer) = phases.split_at_mut(4 * size);
    let buffer = &mut buffer[..line(run.columns.len())];
    // Places beyond what any window reads, which odd sizes have in their last tile, count as zeros.
    let [down, across] = [height, width].map(|axis| axis.windows + 2);
    let reach = 2 * run.columns.start..across.min(2 * run.columns.end + 2);
    for row in 0..2 * run.rows.len() + 2 {
        let place = 2 * run.rows.start + row;
        match (place < down).then(|| height.source(place, 0)).flatten() {
            Some(h) => {
                width.read(&x[h * width.size..][..width.size], 0, reach.clone(), &mut buffer[..reach.len()]);
                buffer[reach.len()..2 * pitch].fill(T::ZERO);
            }
            None => buffer[..2 * pitch].fill(T::ZERO),
        }
        let (even, odd) = phases[row % 2 * 2 * size..][..2 * size].split_at_mut(size);
        let at = row / 2 * pitch;
        let (chunks, _) = buffer.as_chunks::<{ 2 * MOST_LANES }>();
        for (i, chunk) in chunks.iter().enumerate() {
            // What is written beyond the row is overwritten by the next.
            let at = at + i * MOST_LANES;
            let count = MOST_LANES.min(size - at);
            let (even, odd) = (&mut even[at..][..count], &mut odd[at..][..count]);
            even.iter_mut().zip(odd).zip(chunk.as_chunks::<2>().0).for_each(|((even, odd), [a, b])| {
                (*even, *odd) = (*a, *b);
            });
        }
    }
}
