//! `torch.nn.BCEWithLogitsLoss(weight=None, size_average=None, reduce=None, reduction='mean', pos_weight=None)`.

use crate::Tensor;
use crate::reduction::loss_options;

loss_options! {
    /// Arguments of `torch.nn.BCEWithLogitsLoss`.
    ///
    /// ```
    /// use vocabulary::{BCEWithLogitsLossOptions, Reduction};
    /// let options = BCEWithLogitsLossOptions::new().reduction(Reduction::Sum);
    /// assert_eq!(options.effective_reduction(), Reduction::Sum);
    /// assert_eq!(options.reduce(Some(false)).effective_reduction(), Reduction::None);
    /// ```
    pub struct BCEWithLogitsLossOptions {}
    arguments BCEWithLogitsLossArguments, "BCEWithLogitsLossArguments";
}

/// What `BCEWithLogitsLoss`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct BCEWithLogitsLossGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the target's shape.
    pub target: Tensor<T>,
}
