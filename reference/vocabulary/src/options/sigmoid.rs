//! `torch.nn.Sigmoid()`.

use crate::Tensor;

/// Arguments of `torch.nn.Sigmoid`: none.
///
/// ```
/// assert_eq!(vocabulary::SigmoidOptions::new(), vocabulary::SigmoidOptions::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct SigmoidOptions {}

impl SigmoidOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What `Sigmoid`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct SigmoidGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
}
