//! The words that both crates of layers speak: tensors, options under PyTorch's names with PyTorch's defaults, their
//! validation, errors, state dictionaries and the [`Layer`] trait. No formula, not even of an output's shape, lives here:
//! each crate of layers writes its own, so that comparing the two means something.
//!
//! Features: `serde` reads and writes options as PyTorch's keyword arguments; `safetensors` reads and writes
//! [`StateDict`]s as files.
#![forbid(unsafe_code)]

mod display;
mod error;
pub mod init;
mod layer;
mod options;
mod reduction;
mod scalar;
mod state_dict;
mod tensor;

pub use error::{Error, Result};
pub use layer::{Gradients, Layer, Saved};
pub use options::*;
pub use reduction::Reduction;
pub use scalar::Scalar;
pub use state_dict::{StateDict, StateElement, StateTensor};
pub use tensor::Tensor;
