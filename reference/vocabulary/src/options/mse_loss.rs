//! `torch.nn.MSELoss(size_average=None, reduce=None, reduction='mean')`.

use crate::{Reduction, Tensor};

/// Arguments of `torch.nn.MSELoss`.
///
/// ```
/// use vocabulary::{MSELossOptions, Reduction};
/// let options = MSELossOptions::new().reduction(Reduction::Sum);
/// assert_eq!(options.effective_reduction(), Reduction::Sum);
/// assert_eq!(options.reduce(Some(false)).effective_reduction(), Reduction::None);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::reduction::ReductionArguments"))]
pub struct MSELossOptions {
    /// Deprecated in PyTorch: see [`Reduction::with_legacy`].
    pub size_average: Option<bool>,
    /// Deprecated in PyTorch: see [`Reduction::with_legacy`].
    pub reduce: Option<bool>,
    /// How the terms are joined.
    pub reduction: Reduction,
}

impl MSELossOptions {
    /// PyTorch's defaults: the mean.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the deprecated `size_average`.
    pub fn size_average(mut self, size_average: Option<bool>) -> Self {
        self.size_average = size_average;
        self
    }

    /// Sets the deprecated `reduce`.
    pub fn reduce(mut self, reduce: Option<bool>) -> Self {
        self.reduce = reduce;
        self
    }

    /// Sets how the terms are joined.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The reduction in force, the deprecated arguments considered.
    pub fn effective_reduction(&self) -> Reduction {
        self.reduction.with_legacy(self.size_average, self.reduce)
    }
}

#[cfg(feature = "serde")]
impl TryFrom<crate::reduction::ReductionArguments> for MSELossOptions {
    type Error = String;

    fn try_from(arguments: crate::reduction::ReductionArguments) -> Result<Self, String> {
        let reduction = arguments.reduction()?;
        Ok(Self { size_average: arguments.size_average, reduce: arguments.reduce, reduction })
    }
}

/// What `MSELoss`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct MSELossGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the target's shape.
    pub target: Tensor<T>,
}
