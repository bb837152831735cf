//! `torch.nn.L1Loss(size_average=None, reduce=None, reduction='mean')`.

use crate::Tensor;
use crate::reduction::loss_options;

loss_options! {
    /// Arguments of `torch.nn.L1Loss`.
    ///
    /// ```
    /// use vocabulary::{L1LossOptions, Reduction};
    /// let options = L1LossOptions::new().reduction(Reduction::Sum);
    /// assert_eq!(options.effective_reduction(), Reduction::Sum);
    /// assert_eq!(options.reduce(Some(false)).effective_reduction(), Reduction::None);
    /// ```
    pub struct L1LossOptions {}
    arguments L1LossArguments, "L1LossArguments";
}

/// What `L1Loss`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct L1LossGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the target's shape.
    pub target: Tensor<T>,
}
