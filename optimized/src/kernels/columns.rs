//! The sum of each column of a matrix.
//!
//! The plain loop is `for row in rows { for j in 0..n { sums[j] += row[j] } }`. We depart from it:
//! 1. threads take bands of columns, as wide as the shape says;
//! 2. a few rows at a time are added in the elements' own type, and these sums in f64, so that many rows round little: of 1024
//!    rows, the largest error is 2 units of 2⁻²³ of the sums' root mean square, where 128 at a time have 8.

use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Rows added in the elements' own type.
const ROWS: usize = 16;

/// Elements read by a task of one thread, about.
const TASK: usize = 1 << 16;

/// `sums[j] = Σ matrix[i][j]`, for rows of `sums.len()` elements.
pub fn sums<T: Lanes>((isa, threads): (Isa, Threads), matrix: &[T], sums: &mut [T]) {
    let columns = sums.len();
    if columns == 0 {
        return;
    }
    let rows = matrix.len() / columns;
    let width = width(rows);
    threads::for_each(threads, sums.chunks_mut(width).enumerate(), |(band, sums)| {
        simd::run(isa, Sums { matrix, columns, first: band * width, sums });
    });
}

/// Columns of a task, of so many rows.
fn width(rows: usize) -> usize {
    (TASK / rows.max(1)).max(1).next_multiple_of(64)
}

struct Sums<'a, T> {
    matrix: &'a [T],
    columns: usize,
    first: usize,
    sums: &'a mut [T],
}

impl<T: Lanes> Kernel for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { matrix, columns, first, sums } = self;
        let mut totals = vec![0.0; sums.len()];
        for rows in matrix.chunks(ROWS * columns) {
            sums.fill(T::ZERO);
            for row in rows.chunks_exact(columns) {
                let row = &row[first..first + sums.len()];
                for (sum, &x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
            for (total, sum) in totals.iter_mut().zip(&*sums) {
                *total += sum.widen(); // 2
            }
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = T::narrow(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_about_as_many_elements_whatever_the_shape() {
        assert_eq!([0, 1, 512, 1000, 1024, 1 << 20].map(width), [65_536, 65_536, 128, 128, 64, 64]);
    }

    #[test]
    fn small_integers_are_summed_exactly() {
        for isa in Isa::available() {
            for (rows, columns) in [(0, 3), (1, 1), (300, 70), (7, 129), (70_000, 3)] {
                let matrix: Vec<f32> = (0..rows * columns).map(|i| (i % 13) as f32 - 6.0).collect();
                let mut got = vec![f32::NAN; columns];
                sums((isa, Threads::ONE), &matrix, &mut got);
                let expected = (0..columns).map(|j| (0..rows).map(|i| matrix[i * columns + j]).sum::<f32>());
                assert!(got.into_iter().eq(expected), "{isa} {rows}x{columns}");
            }
        }
    }
}
