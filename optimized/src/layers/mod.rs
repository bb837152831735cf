//! The layers: each checks its arguments, describes its problem, chooses a kernel and runs it.

mod batch_norm2d;
mod bce_loss;
mod bce_with_logits_loss;
mod conv2d;
mod cross_entropy_loss;
mod elu;
mod embedding;
mod gru;
mod l1_loss;
mod leaky_relu;
mod linear;
mod log_sigmoid;
mod max_pool2d;
mod mse_loss;
mod relu;
mod rnn;
mod shared;
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
pub use relu::{ReLU, ReLUPass};
pub use rnn::{RNN, RNNPass};
pub use sigmoid::{Sigmoid, SigmoidPass};
pub use softmax::{Softmax, SoftmaxPass};
pub use tanh::{Tanh, TanhPass};

use crate::memory::zeros;
use crate::simd::Lanes;
use crate::threads::worth_their_waking;
use crate::{Error, Result, Tensor};

/// Refuses a gradient whose shape is not that of the output it belongs to.
fn require_output_shape<T>(layer: &str, grad_output: &Tensor<T>, output: &[usize]) -> Result<()> {
    match grad_output.shape() == output {
        true => Ok(()),
        false => Err(Error::shape(layer, "grad_output", grad_output.shape(), format_args!("{output:?}, the output's"))),
    }
}

/// Refuses a tensor of the caller's that cannot take a result of `shape`; `argument` is what the error calls it.
fn require_room<T>(layer: &str, argument: &str, tensor: &Tensor<T>, shape: &[usize]) -> Result<()> {
    match tensor.shape() == shape {
        true => Ok(()),
        false => Err(Error::shape(layer, argument, tensor.shape(), format_args!("{shape:?}"))),
    }
}

/// The same of a tensor that is there only where a result is: where there is a `shape`.
fn require_room_if_due<T>(
    layer: &str,
    argument: &str,
    tensor: Option<&Tensor<T>>,
    shape: Option<&[usize]>,
) -> Result<()> {
    match (tensor, shape) {
        (Some(tensor), Some(shape)) => require_room(layer, argument, tensor, shape),
        (None, Some(shape)) => Err(Error::missing(layer, argument, format_args!("{shape:?}"))),
        (Some(tensor), None) => {
            Err(Error::shape(layer, argument, tensor.shape(), "none, as there is no such gradient"))
        }
        (None, None) => Ok(()),
    }
}

/// The elements of the caller's tensor, which has to be of exactly `shape`; they are to be overwritten.
fn overwrite<'a, T: Lanes>(layer: &str, output: &'a mut Tensor<T>, shape: &[usize]) -> Result<&'a mut [T]> {
    require_room(layer, "output", output, shape)?;
    Ok(output.as_mut_slice())
}

/// The elements of a tensor of the caller's, which become zeros.
fn zeroed<T: Lanes>(tensor: &mut Tensor<T>) -> &mut [T] {
    let elements = tensor.as_mut_slice();
    elements.fill(T::ZERO);
    elements
}
