//! `torch.nn.MSELoss(size_average=None, reduce=None, reduction='mean')`.

use crate::Tensor;
use crate::reduction::loss_options;

loss_options! {
    /// Arguments of `torch.nn.MSELoss`.
    ///
    /// ```
    /// use vocabulary::{MSELossOptions, Reduction};
    /// let options = MSELossOptions::new().reduction(Reduction::Sum);
    /// assert_eq!(options.effective_reduction(), Reduction::Sum);
    /// assert_eq!(options.reduce(Some(false)).effective_reduction(), Reduction::None);
    /// ```
    pub struct MSELossOptions {}
    arguments MSELossArguments, "MSELossArguments";
}

/// What `MSELoss`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct MSELossGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the target's shape.
    pub target: Tensor<T>,
}
