//! Convolutions of images: sums over the channels of a group and the taps of the kernel.
//!
//! The plain loop is `y[n][o][a][b] = bias[o] + Σ_c Σ_i Σ_j w[o][c][i][j]·x[n][c][h(a, i)][w(b, j)]`, where h and w say
//! what a window reads at a tap ([`super::windows`]); backward, each term's gradient goes to its two factors. Each file
//! of this folder is one way to depart from it, forward, to the input's gradient and to the weight's; the bias's gradient
//! is the same for all. [`preference`] says which is taken.

mod bias;
mod direct;
mod im2col;
mod pointwise;
mod preference;
mod problem;
mod unrolled;
mod weight;
mod winograd;

pub use preference::{Direction, order, refusal};
pub use problem::Problem;

use crate::simd::{Isa, Lanes};
use crate::threads::Threads;

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One product of matrices for each image.
    Pointwise,
    /// Straight from lines of the input.
    Direct,
    /// Products of matrices, whose columns are what windows read.
    Im2col,
    /// By fewer products, of transforms of weights and input.
    Winograd,
}

/// A convolution, and how it is run. Its output has at least one element.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    pub problem: Problem,
    pub way: Way,
    pub kernel: (Isa, Threads),
}

impl Convolution {
    /// The output, of an input, a weight and a bias.
    pub fn forward<T: Lanes>(&self, (x, w, bias): (&[T], &[T], Option<&[T]>), y: &mut [T]) {
        let Self { problem, kernel, way } = self;
        match way {
            Way::Pointwise => pointwise::forward(problem, *kernel, (x, w, bias), y),
            Way::Direct => direct::forward(problem, *kernel, (x, w, bias), y),
            Way::Im2col => im2col::forward(problem, *kernel, (x, w, bias), y),
            Way::Winograd => winograd::forward(problem, *kernel, (x, w, bias), y),
        }
    }

    /// The input's gradient, of the output's and a weight, into zeros.
    pub fn backward_input<T: Lanes>(&self, (g, w): (&[T], &[T]), dx: &mut [T]) {
        let Self { problem, kernel, way } = self;
        match way {
            Way::Pointwise => pointwise::backward_input(problem, *kernel, (g, w), dx),
            Way::Direct => direct::backward_input(problem, *kernel, (g, w), dx),
            Way::Im2col => im2col::backward_input(problem, *kernel, (g, w), dx),
            Way::Winograd => winograd::backward_input(problem, *kernel, (g, w), dx),
        }
    }

    /// The weight's gradient, of the output's and an input, into zeros.
    pub fn backward_weight<T: Lanes>(&self, (g, x): (&[T], &[T]), dw: &mut [T]) {
        let Self { problem, kernel, way } = self;
        match way {
            Way::Pointwise => weight::gradient(pointwise::COUNTER, problem, *kernel, (g, x), dw),
            Way::Direct => direct::backward_weight(problem, *kernel, (g, x), dw),
            Way::Im2col => weight::gradient(im2col::COUNTER, problem, *kernel, (g, x), dw),
            Way::Winograd => winograd::backward_weight(problem, *kernel, (g, x), dw),
        }
    }

    /// The bias's gradient, of the output's, into zeros.
    pub fn backward_bias<T: Lanes>(&self, g: &[T], db: &mut [T]) {
        bias::gradient(&self.problem, self.kernel, g, db);
    }
}
