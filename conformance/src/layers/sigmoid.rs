//! Sigmoid.

use super::shared::elementwise;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "";

elementwise::in_both!(Sigmoid, SigmoidOptions);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    elementwise::cases("Sigmoid", Just(json!({})), dtype)
}
