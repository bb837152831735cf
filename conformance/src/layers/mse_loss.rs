//! MSELoss.

use super::shared::losses;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "size_average=None, reduce=None, reduction='mean'";

losses::in_both!(MSELoss, MSELossOptions);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    losses::broadcast_cases("MSELoss", dtype)
}
