//! MSELoss.

use super::shared::losses;
use super::{Stop, applicable};
use crate::case_file::Case;
use crate::task::Task;
use crate::tensors::{DType, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::Real;
use vocabulary::{Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "size_average=None, reduce=None, reduction='mean'";

pub(super) use losses::additional_numbers;

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    let ready = |_: &mut reference::MSELoss, _: &Tensor<T>, _: &Tensor<T>| Ok::<_, vocabulary::Error>(());
    losses::run!(reference::MSELoss, vocabulary::MSELossOptions, task, ready)
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    let ready = |layer: &mut optimized::MSELoss, input: &Tensor<T>, target: &Tensor<T>| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input.shape(), target.shape())?)
    };
    losses::run!(optimized::MSELoss, vocabulary::MSELossOptions, task, ready)
}

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    losses::broadcast_cases("MSELoss", dtype)
}
