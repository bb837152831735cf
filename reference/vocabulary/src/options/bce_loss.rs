//! `torch.nn.BCELoss(weight=None, size_average=None, reduce=None, reduction='mean')`.

use crate::Tensor;
use crate::reduction::loss_options;

loss_options! {
    /// Arguments of `torch.nn.BCELoss`.
    ///
    /// ```
    /// use vocabulary::{BCELossOptions, Reduction};
    /// let options = BCELossOptions::new().reduction(Reduction::Sum);
    /// assert_eq!(options.effective_reduction(), Reduction::Sum);
    /// assert_eq!(options.reduce(Some(false)).effective_reduction(), Reduction::None);
    /// ```
    pub struct BCELossOptions {}
    arguments BCELossArguments, "BCELossArguments";
}

/// What `BCELoss`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct BCELossGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the target's shape.
    pub target: Tensor<T>,
}
