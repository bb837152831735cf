//! Which tiles there are, and in which order.

use super::super::Problem;
use super::BLOCK;
use crate::kernels::packed::FEW_TILES;
use crate::simd::MOST_LANES;
use std::ops::Range;

/// A task has so many tiles at least, where there are as many: few enough to be many tasks, enough to fill blocks.
const TASK: usize = 3 * BLOCK;

/// Images of more tiles across are read row by row, as a block takes in few of their rows.
const NARROW: usize = 32;

/// The tiles of a convolution's outputs, two by two.
pub struct Grid<'a> {
    pub problem: &'a Problem,
    /// Tiles along height and width.
    pub tiles: [usize; 2],
    /// Rows of tiles of a task, all unless it has one image alone.
    rows: usize,
    /// Images of a task.
    images: usize,
}

/// What a thread computes at a time: rows of tiles of some images, and of some channels of a group.
pub struct Task<'a, T> {
    pub group: usize,
    /// The first image.
    pub image: usize,
    /// The rows of tiles of each image.
    pub rows: Range<usize>,
    across: usize,
    images: usize,
    /// Their outputs, for each image a slice for each channel.
    pub outputs: Vec<&'a mut [T]>,
}

impl<T> Task<'_, T> {
    /// The number of tiles.
    pub fn tiles(&self) -> usize {
        self.images * self.rows.len() * self.across
    }

    /// The number of output channels.
    pub fn channels(&self) -> usize {
        self.outputs.len() / self.images
    }
}

/// Tiles of a block that are read together: some rows of tiles of an image, whole ones unless it is one row alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The image, counted from the first that has tiles.
    pub image: usize,
    /// Rows of tiles.
    pub rows: Range<usize>,
    /// The tiles of each of the rows that are read.
    pub columns: Range<usize>,
    /// Of the first row, how many of them are not in the block; and how many tiles are.
    pub skipped: usize,
    pub count: usize,
    /// How many tiles of the block come before.
    pub at: usize,
}

/// Neighbours of one row of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The row, counted from the run's first, and the first tile, counted from the run's first column.
    pub row: usize,
    pub column: usize,
    /// How many tiles.
    pub count: usize,
    /// How many tiles of the block come before.
    pub at: usize,
}

impl Run {
    /// Its segments, none of which reaches over a multiple of `span` tiles of the block.
    pub fn segments(&self, span: usize) -> impl Iterator<Item = Segment> + '_ {
        let mut done = 0;
        std::iter::from_fn(move || {
            let (place, at) = (self.skipped + done, self.at + done);
            let (row, column) = (place / self.columns.len(), place % self.columns.len());
            let count = (self.columns.len() - column).min(self.count - done).min(span - at % span);
            done += count;
            (count > 0).then_some(Segment { row, column, count, at })
        })
    }
}

impl<'a> Grid<'a> {
    pub fn new(problem: &'a Problem) -> Self {
        let tiles = problem.axes.map(|axis| axis.windows.div_ceil(2));
        let [down, across] = tiles;
        let of_an_image = down * across;
        let images = TASK.div_ceil(of_an_image).min(problem.images);
        // Where there are few images, each is cut into bands of rows.
        let bands = (of_an_image / TASK).min(FEW_TILES.div_ceil(problem.images)).max(1);
        let rows = if images > 1 { down } else { down.div_ceil(bands) };
        Self { problem, tiles, rows, images }
    }

    /// The tasks for some channels of a group.
    pub fn tasks<'t, T>(&self, y: &'t mut [T], (group, channels): (usize, Range<usize>)) -> Vec<Task<'t, T>> {
        let Self { problem, tiles: [down, across], rows, images } = *self;
        let bands = down.div_ceil(rows);
        let mut tasks = Vec::new();
        for first in (0..problem.images).step_by(images) {
            let images = images.min(problem.images - first);
            tasks.extend((0..bands).map(|band| {
                let rows = band * rows..down.min((band + 1) * rows);
                Task { group, image: first, rows, across, images, outputs: Vec::new() }
            }));
        }
        let planes = y.chunks_mut(problem.positions()).enumerate();
        for (plane, y) in planes {
            let (image, channel) =
                (plane / (problem.groups * problem.outputs), plane % (problem.groups * problem.outputs));
            let channel = channel.checked_sub(group * problem.outputs);
            if channel.is_some_and(|channel| channels.contains(&channel)) {
                let bands_of_y = y.chunks_mut(2 * rows * problem.axes[1].windows);
                let first = image / images * bands;
                tasks[first..].iter_mut().zip(bands_of_y).for_each(|(task, y)| task.outputs.push(y));
            }
        }
        tasks
    }

    /// A block of tiles by runs, where each image has the tiles of some rows.
    pub fn runs(&self, of_image: &Range<usize>, block: Range<usize>) -> Vec<Run> {
        let (across, rows) = (self.tiles[1], of_image.len());
        let mut runs = Vec::new();
        let mut tile = block.start;
        while tile < block.end {
            let (image, row, column) = (tile / across / rows, tile / across % rows, tile % across);
            let ends = if across > NARROW { row + 1 } else { rows };
            let count = ((ends - row) * across - column).min(block.end - tile);
            let last = row + (column + count).div_ceil(across);
            let (columns, skipped) = match last - row {
                1 => (column..column + count, 0),
                _ => (0..across, column),
            };
            let rows = of_image.start + row..of_image.start + last;
            runs.push(Run { image, rows, columns, skipped, count, at: tile - block.start });
            tile += count;
        }
        runs
    }

    /// Elements of memory for the four phases of a run of a block of so many tiles, and for a line of what it reads.
    pub fn phases(&self, block: usize) -> usize {
        // A run has at most two rows that a block does not fill, and none is wider than a block, unless it is narrow.
        let width = if self.tiles[1] > NARROW { self.tiles[1].min(block) } else { self.tiles[1] };
        let rows = if self.tiles[1] > NARROW { 1 } else { (block.div_ceil(self.tiles[1]) + 1).min(self.tiles[0]) };
        4 * phase((rows, width)) + line(width)
    }
}

/// Elements of memory for a phase of some rows and columns of tiles, which registers may be read beyond.
pub fn phase((rows, columns): (usize, usize)) -> usize {
    (rows + 1) * (columns + 1) + 2 * MOST_LANES
}

/// Elements of memory for what a row of so many tiles reads of a line, in pairs that fill registers.
pub fn line(columns: usize) -> usize {
    2 * (columns + 1).next_multiple_of(MOST_LANES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    /// Problems whose tiles are few or many, in narrow and wide images, of one group and of two.
    fn problems() -> Vec<Problem> {
        let of = |images, [height, width]: [usize; 2], groups| {
            let options = Conv2dOptions::new(2 * groups, 3 * groups, 3).groups(groups).padding(1);
            Problem::new(&options, &[images, 2 * groups, height, width])
        };
        vec![
            of(1, [1, 1], 1),
            of(9, [7, 9], 2),
            of(8, [14, 14], 1),
            of(3, [56, 56], 1),
            of(1, [50, 301], 2),
            of(200, [1, 2], 1),
            of(1, [1, 5000], 1),
        ]
    }

    #[test]
    fn every_output_belongs_to_one_task() {
        for problem in problems() {
            let grid = Grid::new(&problem);
            let mut y = vec![0; problem.images * problem.groups * problem.outputs * problem.positions()];
            for group in 0..problem.groups {
                for channels in [0..1, 1..3] {
                    for task in grid.tasks(&mut y, (group, channels.clone())) {
                        assert_eq!((task.group, task.channels()), (group, channels.len()));
                        let rows = problem.axes[0].windows.min(2 * task.rows.end) - 2 * task.rows.start;
                        assert!(task.outputs.iter().all(|y| y.len() == rows * problem.axes[1].windows));
                        task.outputs.into_iter().flatten().for_each(|y| *y += 1);
                    }
                }
            }
            assert!(y.iter().all(|&y| y == 1), "{problem:?}");
        }
    }

    /// Runs, and their segments, have the tiles of a task in order, each once.
    #[test]
    fn blocks_have_every_tile_once() {
        for problem in problems() {
            let grid = Grid::new(&problem);
            let mut y = vec![0; problem.images * problem.groups * problem.outputs * problem.positions()];
            for task in grid.tasks(&mut y, (0, 0..3)) {
                let mut seen = Vec::new();
                for first in (0..task.tiles()).step_by(BLOCK) {
                    let block = first..task.tiles().min(first + BLOCK);
                    let mut at = 0;
                    for run in grid.runs(&task.rows, block.clone()) {
                        let (rows, columns) = (run.rows.len(), run.columns.len());
                        assert!(
                            4 * phase((rows, columns)) + line(columns) <= grid.phases(BLOCK),
                            "{problem:?}: {run:?}"
                        );
                        for segment in run.segments(16) {
                            assert_eq!(segment.at, at);
                            assert!(segment.at / 16 == (segment.at + segment.count - 1) / 16);
                            at += segment.count;
                            let column = run.columns.start + segment.column;
                            let tiles = (column..column + segment.count)
                                .map(|column| [run.image, run.rows.start + segment.row, column]);
                            seen.extend(tiles);
                        }
                    }
                    assert_eq!(at, block.len());
                }
                let images = task.tiles() / task.rows.len() / grid.tiles[1];
                let tiles = (0..images).flat_map(|image| task.rows.clone().map(move |row| (image, row)));
                let due = tiles.flat_map(|(image, row)| (0..grid.tiles[1]).map(move |column| [image, row, column]));
                assert!(due.eq(seen), "{problem:?}");
            }
        }
    }

    #[test]
    fn tasks_are_many_or_have_tiles_enough() {
        let count = |problem: Problem| {
            let mut y = vec![0; problem.images * problem.outputs * problem.positions()];
            Grid::new(&problem).tasks(&mut y, (0, 0..3)).len()
        };
        let of = |images, side| Problem::new(&Conv2dOptions::new(3, 3, 3).padding(1), &[images, 3, side, side]);
        assert_eq!(
            [of(8, 56), of(1, 56), of(8, 14), of(1, 14), of(1, 224), of(64, 7)].map(count),
            [16, 4, 2, 1, 16, 6]
        );
    }
}
