//! A matrix cut into tiles that threads write at the same time.

/// A rectangle of a row-major matrix.
pub struct Tile<'a, T> {
    /// The first row.
    pub row: usize,
    /// The first column.
    pub column: usize,
    /// The part of each row that lies in the tile.
    pub rows: Vec<&'a mut [T]>,
}

impl<T> Tile<'_, T> {
    /// The number of columns.
    pub fn width(&self) -> usize {
        self.rows.first().map_or(0, |row| row.len())
    }
}

/// The tiles of a matrix with rows of `columns` elements, each of at most `height` by `width`, row by row.
pub fn tiles<T>(matrix: &mut [T], columns: usize, (height, width): (usize, usize)) -> Vec<Tile<'_, T>> {
    if columns == 0 {
        return Vec::new();
    }
    let across = columns.div_ceil(width);
    let mut tiles = Vec::with_capacity((matrix.len() / columns).div_ceil(height) * across);
    for (band, rows) in matrix.chunks_mut(height * columns).enumerate() {
        let first = tiles.len();
        let count = rows.len() / columns;
        tiles.extend((0..across).map(|i| Tile {
            row: band * height,
            column: i * width,
            rows: Vec::with_capacity(count),
        }));
        for row in rows.chunks_mut(columns) {
            for (tile, part) in tiles[first..].iter_mut().zip(row.chunks_mut(width)) {
                tile.rows.push(part);
            }
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::tiles;

    #[test]
    fn tiles_cover_the_matrix_once() {
        let mut matrix = vec![0; 5 * 7];
        for tile in tiles(&mut matrix, 7, (2, 3)) {
            let (row, column) = (tile.row, tile.column);
            for (i, part) in tile.rows.into_iter().enumerate() {
                for (j, x) in part.iter_mut().enumerate() {
                    *x += 100 * (row + i) + column + j + 1;
                }
            }
        }
        let expected = (0..5).flat_map(|i| (0..7).map(move |j| 100 * i + j + 1));
        assert!(matrix.into_iter().eq(expected));
        assert!(tiles::<f32>(&mut [], 0, (2, 3)).is_empty());
    }
}
