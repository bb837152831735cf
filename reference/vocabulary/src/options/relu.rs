//! `torch.nn.ReLU(inplace=False)`.

/// Arguments of `torch.nn.ReLU`.
///
/// ```
/// assert!(!vocabulary::ReLUOptions::new().inplace);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct ReLUOptions {
    /// Whether PyTorch would overwrite its input. Here `forward` leaves its input as it is, whatever this says: in Rust
    /// ownership decides. The values are the same.
    pub inplace: bool,
}

impl ReLUOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `inplace`.
    pub fn inplace(mut self, inplace: bool) -> Self {
        self.inplace = inplace;
        self
    }
}

super::input_gradients!("What `ReLU`'s backward gives.", ReLUGradients);
