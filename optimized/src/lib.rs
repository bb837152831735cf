//! The layers of torch.nn, fast: the names and signatures of `reference`, vectorised and in parallel.
//!
//! A user changes `use reference::Linear` to `use optimized::Linear`, and nothing else. Beyond that, every layer has
//! `forward_into` and `backward_into`, which write into tensors of the caller's; activations have `forward_in_place` and
//! `backward_in_place`, and Softmax and BatchNorm2d the former; and [`Execution`] chooses the threads, the instruction set and, by
//! name, the algorithm of each layer, and the [`Workspace`] that keeps memory from call to call. L1Loss, MSELoss, BCELoss and
//! BCEWithLogitsLoss have `backward_input`, which leaves out the gradient of a target that is data. The memory of results is
//! kept when they are dropped, as the [`Recycler`] is told. Results do not depend on the number of threads, nor on where memory comes
//! from, to the last bit; and many threads may call a layer at once.
//!
//! ```
//! use optimized::{Linear, LinearOptions, Tensor};
//! use rand::{SeedableRng, rngs::SmallRng};
//!
//! let mut linear = Linear::<f32>::init(LinearOptions::new(3, 2), &mut SmallRng::seed_from_u64(0))?;
//! let pass = linear.forward_pass(&Tensor::full(&[4, 3], 1.0)?)?;
//! assert_eq!(pass.output.shape(), [4, 2]);
//! let gradients = linear.backward(&pass, &Tensor::full(&[4, 2], 1.0)?)?;
//! assert_eq!(gradients.weight.shape(), [2, 3]);
//! # Ok::<(), optimized::Error>(())
//! ```
#![deny(unsafe_code)]

pub mod counters;
mod execution;
mod float;
mod kernels;
mod layers;
pub mod math;
mod memory;
mod simd;
#[cfg(test)]
mod tests;
mod threads;

pub use execution::{Choice, Execution, algorithms};
pub use float::Float;
pub use layers::{
    BCELoss, BCELossPass, BCEWithLogitsLoss, BCEWithLogitsLossPass, BatchNorm2d, BatchNorm2dPass, Conv2d, Conv2dPass,
    CrossEntropyLoss, CrossEntropyLossPass, ELU, ELUPass, Embedding, EmbeddingPass, GRU, GRUPass, L1Loss, L1LossPass,
    LeakyReLU, LeakyReLUPass, Linear, LinearPass, LogSigmoid, LogSigmoidPass, MSELoss, MSELossPass, MaxPool2d,
    MaxPool2dPass, RNN, RNNPass, ReLU, ReLUPass, Sigmoid, SigmoidPass, Softmax, SoftmaxPass, Tanh, TanhPass,
};
pub use memory::{Recycler, Workspace};
pub use simd::Isa;
pub use threads::Threads;
pub use vocabulary::*;

/// The layers that `reference` has and this crate does not have yet.
pub const STILL_TO_COME: &[&str] = &[];
