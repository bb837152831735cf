//! A matrix cut into tiles that threads write at the same time.

use crate::memory::Block;
use crate::simd::Lanes;

/// Memory that is cut into pieces.
pub trait Cut: Sized {
    /// The number of elements.
    fn len(&self) -> usize;
    /// Pieces of `size` elements, one after the other (the last may be smaller).
    fn cut(self, size: usize) -> impl Iterator<Item = Self>;
}

impl<T> Cut for &mut [T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    fn cut(self, size: usize) -> impl Iterator<Item = Self> {
        self.chunks_mut(size)
    }
}

impl<T: Lanes> Cut for Block<'_, T> {
    fn len(&self) -> usize {
        self.len()
    }
    fn cut(self, size: usize) -> impl Iterator<Item = Self> {
        self.split(size)
    }
}

/// A rectangle of a row-major matrix.
pub struct Tile<R> {
    /// The first row.
    pub row: usize,
    /// The first column.
    pub column: usize,
    /// The part of each row that lies in the tile.
    pub rows: Vec<R>,
}

impl<R: Cut> Tile<R> {
    /// The number of columns.
    pub fn width(&self) -> usize {
        self.rows.first().map_or(0, Cut::len)
    }
}

/// The tiles of a matrix with rows of `columns` elements, each of at most `height` by `width`, row by row.
pub fn tiles<R: Cut>(matrix: R, columns: usize, (height, width): (usize, usize)) -> Vec<Tile<R>> {
    if columns == 0 {
        return Vec::new();
    }
    let across = columns.div_ceil(width);
    let mut tiles = Vec::with_capacity((matrix.len() / columns).div_ceil(height) * across);
    for (band, rows) in matrix.cut(height * columns).enumerate() {
        let first = tiles.len();
        let count = rows.len() / columns;
        tiles.extend((0..across).map(|i| Tile {
            row: band * height,
            column: i * width,
            rows: Vec::with_capacity(count),
        }));
        for row in rows.cut(columns) {
            for (tile, part) in tiles[first..].iter_mut().zip(row.cut(width)) {
                tile.rows.push(part);
            }
        }
    }
    tiles
}

/// The parts of a slice, each with the number of its chunk of `chunk` elements and its own in there; of at most `part`
/// elements, which do not reach over the end of a chunk. Neither is 0, and the chunks are whole.
pub fn parts<T>(slice: &mut [T], chunk: usize, part: usize) -> Parts<'_, T> {
    debug_assert!(slice.len().is_multiple_of(chunk));
    Parts { rest: slice, chunk, part, at: 0 }
}

/// See [`parts`].
pub struct Parts<'a, T> {
    rest: &'a mut [T],
    chunk: usize,
    part: usize,
    at: usize,
}

impl<'a, T> Iterator for Parts<'a, T> {
    type Item = (usize, usize, &'a mut [T]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (chunk, within) = (self.at / self.chunk, self.at % self.chunk);
        let len = self.part.min(self.chunk - within);
        let (part, rest) = std::mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        self.at += len;
        Some((chunk, within / self.part, part))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let end = self.at + self.rest.len();
        let of = |at: usize| at / self.chunk * self.chunk.div_ceil(self.part) + (at % self.chunk).div_ceil(self.part);
        let left = of(end) - of(self.at);
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Parts<'_, T> {}

#[cfg(test)]
mod tests {
    use super::{parts, tiles};

    #[test]
    fn parts_cover_the_slice_once_and_are_counted() {
        for (chunks, chunk, part) in [(3, 7, 3), (2, 4, 4), (1, 5, 9), (4, 6, 1), (0, 3, 2)] {
            let mut slice = vec![0; chunks * chunk];
            let mut all = parts(&mut slice, chunk, part);
            let mut left = chunks * chunk.div_ceil(part);
            assert_eq!(all.len(), left);
            while let Some((i, j, elements)) = all.next() {
                left -= 1;
                assert_eq!(all.len(), left);
                elements.iter_mut().enumerate().for_each(|(k, x)| *x = 100 * i + j * part + k + 1);
            }
            let expected = (0..chunks).flat_map(|i| (0..chunk).map(move |j| 100 * i + j + 1));
            assert!(slice.into_iter().eq(expected));
        }
    }

    #[test]
    fn tiles_cover_the_matrix_once() {
        let mut matrix = vec![0; 5 * 7];
        for tile in tiles(&mut matrix[..], 7, (2, 3)) {
            let (row, column) = (tile.row, tile.column);
            for (i, part) in tile.rows.into_iter().enumerate() {
                for (j, x) in part.iter_mut().enumerate() {
                    *x += 100 * (row + i) + column + j + 1;
                }
            }
        }
        let expected = (0..5).flat_map(|i| (0..7).map(move |j| 100 * i + j + 1));
        assert!(matrix.into_iter().eq(expected));
        assert!(tiles::<&mut [f32]>(&mut [], 0, (2, 3)).is_empty());
    }
}
