//! L1Loss.

use super::shared::losses;
use crate::case_file::Case;
use crate::task::Task;
use crate::tensors::{DType, Named};
use proptest::prelude::*;
use reference::Real;
use vocabulary::{Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "size_average=None, reduce=None, reduction='mean'";

pub(super) use losses::additional_numbers;

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    let ready = |_: &mut reference::L1Loss, _: &Tensor<T>, _: &Tensor<T>| Ok::<_, vocabulary::Error>(());
    losses::run!(reference::L1Loss, vocabulary::L1LossOptions, task, ready)
}

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    losses::broadcast_cases("L1Loss", dtype)
}
