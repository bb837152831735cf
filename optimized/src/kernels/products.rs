//! Products of matrices by whichever of [`dot`] and [`packed`] is the faster for their size.

use super::packed::Matrix;
use super::{dot, packed};
use crate::counters::Counter;
use crate::simd::{Isa, Lanes};
use crate::threads::{Threads, worth_their_waking};

/// A product, or two.
#[derive(Clone, Copy)]
pub enum Direction {
    Forward,
    Backward,
}

/// Up to so many rows, forward and backward, dot products are the fastest: with 1024 inputs and outputs, four rows take
/// 0.26 ms and 0.46, where packing takes 0.31 and 0.78; at eight rows, 0.46 and 0.73, where it takes 0.28 and 0.82.
const ROWS_OF_DOT: [usize; 2] = [4, 8];

/// Up to so many multiply-adds as well: with 16 of each, 0.6 µs and 0.7, where packing takes 0.7 and 0.9.
const WORK_OF_DOT: usize = 1 << 12;

/// Whether dot products are the faster for so many rows and multiply-adds.
pub fn by_dots(rows: usize, work: usize, direction: Direction) -> bool {
    rows <= ROWS_OF_DOT[direction as usize] || work <= WORK_OF_DOT
}

/// The multiply-adds that `len` sums of `depth` terms take.
fn work(len: usize, depth: usize) -> usize {
    len.saturating_mul(depth)
}

/// `y = x·wᵀ + bias`, for rows of `depth` elements in x and w, of a kernel that counts as `counter`.
pub fn forward<T: Lanes>(
    counter: Counter,
    (isa, threads): (Isa, Threads),
    operands: (&[T], &[T], Option<&[T]>),
    depth: usize,
    (y, columns): (&mut [T], usize),
) {
    let (rows, work) = (y.len() / columns.max(1), work(y.len(), depth));
    let kernel = (isa, worth_their_waking(threads, work));
    match by_dots(rows, work, Direction::Forward) || depth > packed::LONGEST_ROW {
        true => dot::forward(counter, kernel, operands, depth, (y, columns)),
        false => packed::forward(counter, kernel, operands, depth, (y, columns)),
    }
}

/// `c = a·r`, for rows of `columns` elements in r and c, for which `rows` says how many there are of the outputs that gradients
/// go back from.
pub fn backward<T: Lanes>(
    counter: Counter,
    (isa, threads): (Isa, Threads),
    a: Matrix<'_, T>,
    (r, depth): (&[T], usize),
    (c, columns): (&mut [T], usize),
    rows: usize,
) {
    let work = work(c.len(), depth);
    let kernel = (isa, worth_their_waking(threads, work));
    let left = match a {
        Matrix::Rows(elements, step) => Some(dot::Left { elements, steps: (step, 1) }),
        Matrix::Columns(elements, step) => Some(dot::Left { elements, steps: (1, step) }),
        Matrix::Made(_) => None,
    };
    match left.filter(|_| by_dots(rows, work, Direction::Backward)) {
        Some(left) => dot::product(counter, kernel, left, (r, depth), (c, columns)),
        None => packed::product(counter, kernel, a, r, depth, (c, columns)),
    }
}
