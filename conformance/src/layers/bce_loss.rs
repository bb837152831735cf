//! BCELoss.

use super::shared::losses;
use super::{Stop, applicable};
use crate::case_file::Case;
use crate::task::Task;
use crate::tensors::{DType, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::Real;
use vocabulary::{BCELossOptions, Result};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "weight=None, size_average=None, reduce=None, reduction='mean'";

/// The arguments that are tensors, and so stand in the state.
const WEIGHTS: &[&str] = &["weight"];

pub(super) use losses::additional_numbers;

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    let options: BCELossOptions = task.options_beside_tensors(WEIGHTS)?;
    task.check_names(&["input", "target"], WEIGHTS, &["output"])?;
    let mut layer = reference::BCELoss::with_weight(options, task.state("weight")?)?;
    let (input, target) = (task.input("input")?, task.input("target")?);
    losses::call!(task, layer, input, target)
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    let options: BCELossOptions = task.options_beside_tensors(WEIGHTS)?;
    task.check_names(&["input", "target"], WEIGHTS, &["output"])?;
    let mut layer = optimized::BCELoss::with_weight(options, task.state("weight")?)?;
    let (input, target) = (task.input("input")?, task.input("target")?);
    layer.set_execution(execution.clone())?;
    applicable(execution, &layer.choices(input.shape(), target.shape())?)?;
    losses::call!(task, layer, input, target)
}

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    losses::weighted_cases("BCELoss", WEIGHTS, &["input", "target"], dtype)
}
