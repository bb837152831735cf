//! `torch.nn.LogSigmoid()`.

/// Arguments of `torch.nn.LogSigmoid`: none.
///
/// ```
/// assert_eq!(vocabulary::LogSigmoidOptions::new(), vocabulary::LogSigmoidOptions::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct LogSigmoidOptions {}

impl LogSigmoidOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

super::input_gradients!("What `LogSigmoid`'s backward gives.", LogSigmoidGradients);
