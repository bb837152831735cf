//! `torch.nn.Softmax(dim=None)`.

use crate::{Error, Result};

const LAYER: &str = "Softmax";

/// Arguments of `torch.nn.Softmax`.
///
/// ```
/// use vocabulary::SoftmaxOptions;
/// assert_eq!(SoftmaxOptions::new().dim(-1).axis(3)?, Some(2));
/// assert_eq!(SoftmaxOptions::new().axis(3)?, Some(0)); // PyTorch's implicit choice
/// # Ok::<(), vocabulary::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct SoftmaxOptions {
    /// The dimension along which the outputs sum to 1, counted from the last where it is negative. `None` is PyTorch's
    /// deprecated implicit choice: 0 for an input of 0, 1 or 3 dimensions, 1 for any other.
    pub dim: Option<i64>,
}

impl SoftmaxOptions {
    /// PyTorch's defaults: the implicit choice.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the dimension.
    pub fn dim(mut self, dim: impl Into<Option<i64>>) -> Self {
        self.dim = dim.into();
        self
    }

    /// The dimension in force for an input of `rank` dimensions; `None` where it has none, and is taken as one of size 1.
    ///
    /// # Errors
    /// Names `dim`, where the input does not have it.
    pub fn axis(&self, rank: usize) -> Result<Option<usize>> {
        let implicit = if matches!(rank, 0 | 1 | 3) { 0 } else { 1 };
        let dim = self.dim.unwrap_or(implicit);
        let count = i64::try_from(rank.max(1)).unwrap_or(i64::MAX);
        if !(-count..count).contains(&dim) {
            let expected = format!("in {}..{count} (input of {rank} dimensions)", -count);
            return Err(Error::new(LAYER, "dim", format_args!("is {dim}"), expected));
        }
        Ok((rank > 0).then(|| dim.rem_euclid(count) as usize))
    }
}

super::input_gradients!("What `Softmax`'s backward gives.", SoftmaxGradients);
