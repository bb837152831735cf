//! The transforms of weights, and of their gradients.

use super::PLACES;
use super::columns::{of_sums, of_weight};
use crate::simd::{Kernel, Lanes, MOST_LANES, Simd};

/// The weights of a group, as they lie in memory.
#[derive(Clone, Copy)]
pub struct Weights<'a, T> {
    pub w: &'a [T],
    /// The distances between the taps of two output and two input channels.
    pub steps: (usize, usize),
    /// Whether taps are taken in the opposite order, as the input's gradient has them.
    pub turned: bool,
}

impl<'a, T: Lanes> Weights<'a, T> {
    /// The transform of an output channel's weights, to be run: of each place, all `inputs`.
    pub fn transform<'r>(self, output: usize, inputs: usize, row: &'r mut [T]) -> ToRow<'a, 'r, T> {
        ToRow { weights: self, output, inputs, row }
    }
}

/// `row[4i + j][c] = (G·w·Gᵀ)[i][j]`.
pub struct ToRow<'a, 'r, T> {
    weights: Weights<'a, T>,
    output: usize,
    inputs: usize,
    row: &'r mut [T],
}

impl<T: Lanes> Kernel for ToRow<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { weights: Weights { w, steps, turned }, output, inputs, row } = self;
        let w = &w[output * steps.0..];
        for first in (0..inputs).step_by(MOST_LANES) {
            let mut taps = [[T::ZERO; MOST_LANES]; 9];
            let count = MOST_LANES.min(inputs - first);
            for lane in 0..count {
                let w = &w[(first + lane) * steps.1..][..9];
                for (tap, taps) in taps.iter_mut().enumerate() {
                    taps[lane] = w[if turned { 8 - tap } else { tap }];
                }
            }
            let mut places = [[T::ZERO; MOST_LANES]; PLACES];
            for lane in 0..MOST_LANES {
                let columns: [[T; 4]; 3] = std::array::from_fn(|j| of_weight([0, 3, 6].map(|i| taps[i + j][lane])));
                for i in 0..4 {
                    let place = of_weight([0, 1, 2].map(|j| columns[j][i]));
                    (0..4).for_each(|j| places[4 * i + j][lane] = place[j]);
                }
            }
            for (i, place) in places.iter().enumerate() {
                row[i * inputs + first..][..count].copy_from_slice(&place[..count]);
            }
        }
    }
}

/// `dw[c][3i + j] = (Gᵀ·u·G)[i][j]`, of the sums u of an output channel, which has all input channels of a place side by side.
pub struct FromRow<'a, T> {
    pub sums: &'a [T],
    pub dw: &'a mut [T],
}

impl<T: Lanes> Kernel for FromRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sums, dw } = self;
        let inputs = dw.len() / 9;
        for (i, dw) in dw.chunks_mut(9 * MOST_LANES).enumerate() {
            let mut places = [[T::ZERO; MOST_LANES]; PLACES];
            let count = dw.len() / 9;
            for (place, lanes) in places.iter_mut().enumerate() {
                lanes[..count].copy_from_slice(&sums[place * inputs + i * MOST_LANES..][..count]);
            }
            let mut taps = [[T::ZERO; 9]; MOST_LANES];
            for (lane, taps) in taps.iter_mut().enumerate() {
                let columns: [[T; 3]; 4] = std::array::from_fn(|j| of_sums([0, 4, 8, 12].map(|i| places[i + j][lane])));
                for i in 0..3 {
                    taps[3 * i..][..3].copy_from_slice(&of_sums([0, 1, 2, 3].map(|j| columns[j][i])));
                }
            }
            dw.copy_from_slice(&taps.as_flattened()[..dw.len()]);
        }
    }
}
