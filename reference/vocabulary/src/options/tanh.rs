//! `torch.nn.Tanh()`.

/// Arguments of `torch.nn.Tanh`: none.
///
/// ```
/// assert_eq!(vocabulary::TanhOptions::new(), vocabulary::TanhOptions::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct TanhOptions {}

impl TanhOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

super::input_gradients!("What `Tanh`'s backward gives.", TanhGradients);
