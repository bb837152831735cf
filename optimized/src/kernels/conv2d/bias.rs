//! The gradient of the bias: the sum of each channel of the output's gradient.
//!
//! The plain loop is `for n { for o { for p { db[o] += g[n][o][p] } } }`. We depart from it:
//! 1. a channel at a time, which threads take as many of as the shape says;
//! 2. a channel of an image in parts, each in eight sums of the elements' own type, and all of these in f64, so that many
//!    images round little.

use super::Problem;
use crate::kernels::strided::sum_of;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Elements added in their own type.
const PIECE: usize = 1 << 8;

/// Elements read by a task of one thread, about.
const TASK: usize = 1 << 16;

/// `db[o] = Σ_n Σ_p g[n][o][p]`.
pub fn gradient<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), g: &[T], db: &mut [T]) {
    let positions = problem.positions();
    let channels = (TASK / positions.saturating_mul(problem.images).max(1)).max(1);
    threads::for_each(threads, db.chunks_mut(channels).enumerate(), |(task, db)| {
        let step = problem.groups * problem.outputs * positions;
        simd::run(isa, Sums { g: &g[task * channels * positions..], step, positions, db });
    });
}

struct Sums<'a, T> {
    g: &'a [T],
    step: usize,
    positions: usize,
    db: &'a mut [T],
}

impl<T: Lanes> Kernel for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (o, db) in self.db.iter_mut().enumerate() {
            let images = self.g.chunks(self.step).map(|g| &g[o * self.positions..][..self.positions]);
            let mut total = 0.0;
            for channel in images {
                for piece in channel.chunks(PIECE) {
                    total += sum_of(piece, |g| g); // 2
                }
            }
            *db = T::narrow(total);
        }
    }
}
