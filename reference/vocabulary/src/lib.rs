//! The words that both crates of layers speak: tensors, options under PyTorch's names with PyTorch's defaults, their
//! validation, errors, state dictionaries and the [`Layer`] trait. No formula, not even of an output's shape, lives here:
//! each crate of layers writes its own, so that comparing the two means something.
//!
//! Features: `serde` reads and writes options as PyTorch's keyword arguments; `safetensors` reads and writes
//! [`StateDict`]s as files.
#![forbid(unsafe_code)]

mod class_target;
mod display;
mod error;
mod geometry;
pub mod init;
mod integer;
mod layer;
mod options;
mod recurrent;
mod reduction;
mod scalar;
mod shape;
mod state_dict;
mod storage;
mod tensor;

pub use class_target::CrossEntropyTarget;
pub use error::{Error, Result};
pub use geometry::{Padding, PaddingMode, Pair};
pub use integer::Integer;
pub use layer::{Gradients, Layer, Saved};
pub use options::*;
pub use recurrent::{RecurrentGradients, RecurrentOutput, RecurrentParameters, SequenceLayout};
pub use reduction::Reduction;
pub use scalar::Scalar;
pub use state_dict::{StateDict, StateElement, StateTensor};
pub use tensor::Tensor;
