//! The layers of torch.nn, each formula transcribed literally: to be read and believed.
//!
//! One layer is one file. Equations are numbered in the layer's doc comment, and the line that transcribes an equation cites
//! its number. There is no blocking, no SIMD and nothing reused; `optimized` has the same names and signatures, and is fast.
//! Every formula is written once over [`Real`], and so runs as `f32`, as `f64`, and as [`Dual`] numbers, which
//! differentiate it exactly.
//!
//! ```
//! use reference::{Linear, LinearOptions, Tensor};
//! use rand::{SeedableRng, rngs::SmallRng};
//!
//! let mut linear = Linear::<f32>::init(LinearOptions::new(3, 2), &mut SmallRng::seed_from_u64(0))?;
//! let pass = linear.forward_pass(&Tensor::full(&[4, 3], 1.0)?)?;
//! assert_eq!(pass.output.shape(), [4, 2]);
//! let gradients = linear.backward(&pass, &Tensor::full(&[4, 2], 1.0)?)?;
//! assert_eq!(gradients.weight.shape(), [2, 3]);
//! # Ok::<(), reference::Error>(())
//! ```
#![forbid(unsafe_code)]

mod batch_norm2d;
mod bce_loss;
mod bce_with_logits_loss;
mod broadcast;
mod conv2d;
mod cross_entropy_loss;
mod difference_loss;
mod elementwise;
mod elu;
mod embedding;
mod gru;
mod l1_loss;
mod leaky_relu;
mod linear;
mod lines;
mod log_sigmoid;
mod losses;
mod max_pool2d;
mod mse_loss;
mod real;
mod recurrent;
mod relu;
mod rnn;
mod sigmoid;
mod softmax;
mod tanh;

pub use batch_norm2d::{BatchNorm2d, BatchNorm2dPass};
pub use bce_loss::{BCELoss, BCELossPass};
pub use bce_with_logits_loss::{BCEWithLogitsLoss, BCEWithLogitsLossPass};
pub use conv2d::{Conv2d, Conv2dPass};
pub use cross_entropy_loss::{CrossEntropyLoss, CrossEntropyLossPass};
pub use elu::{ELU, ELUPass};
pub use embedding::{Embedding, EmbeddingPass};
pub use gru::{GRU, GRUPass};
pub use l1_loss::{L1Loss, L1LossPass};
pub use leaky_relu::{LeakyReLU, LeakyReLUPass};
pub use linear::{Linear, LinearPass};
pub use log_sigmoid::{LogSigmoid, LogSigmoidPass};
pub use max_pool2d::{MaxPool2d, MaxPool2dPass};
pub use mse_loss::{MSELoss, MSELossPass};
pub use real::{Condition, Dual, Real};
pub use relu::{ReLU, ReLUPass};
pub use rnn::{RNN, RNNPass};
pub use sigmoid::{Sigmoid, SigmoidPass};
pub use softmax::{Softmax, SoftmaxPass};
pub use tanh::{Tanh, TanhPass};
pub use vocabulary::*;

/// The indices of a shape, in row-major order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut place: usize| {
        let mut index = vec![0; shape.len()];
        for (i, size) in index.iter_mut().zip(&shape).rev() {
            (*i, place) = (place % size, place / size);
        }
        index
    })
}

/// Refuses a `grad_output` that does not have the output's shape, which the layer works out anew: what a pass shows, its owner may
/// change, and it may be another layer's.
fn check_grad_output<T>(layer: &str, grad_output: &Tensor<T>, output_shape: Result<Vec<usize>>) -> Result<()> {
    let output_shape = output_shape.map_err(|error| error.of(layer, "pass"))?;
    if grad_output.shape() == output_shape {
        return Ok(());
    }
    let expected = format!("{output_shape:?}, the output's");
    Err(Error::shape(layer, "grad_output", grad_output.shape(), expected))
}
