//! Outputs by the plain loop, where a tile's are not finite.

use super::super::Problem;
use super::weights::Weights;
use crate::simd::Lanes;

/// Input and weights of a group's channels from `first` on.
#[derive(Clone, Copy)]
pub struct Literal<'a, T> {
    pub problem: &'a Problem,
    pub x: &'a [T],
    pub weights: Weights<'a, T>,
    pub first: usize,
}

impl<T: Lanes> Literal<'_, T> {
    /// The sum that is the output [a, b] of a channel, counted from the first, of an image and group.
    pub fn sum(&self, (image, group): (usize, usize), channel: usize, [a, b]: [usize; 2]) -> T {
        let Self { problem, x, weights, first } = self;
        let ([height, width], area) = (&problem.axes, problem.area());
        let x = &x[(image * problem.groups + group) * problem.inputs * area..];
        let mut sum = T::ZERO;
        for (c, x) in x.chunks(area).take(problem.inputs).enumerate() {
            for tap in 0..problem.taps() {
                let w = weights.tap(first + channel, c, tap);
                match height.source(a, tap / 3).zip(width.source(b, tap % 3)) {
                    Some((h, v)) => sum += w * x[h * width.size + v],
                    None if weights.turned => {} // 4
                    None => sum += w * T::ZERO,
                }
            }
        }
        sum
    }
}
