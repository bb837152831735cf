//! `torch.nn.Sigmoid()`.

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

super::input_gradients!("What `Sigmoid`'s backward gives.", SigmoidGradients);
