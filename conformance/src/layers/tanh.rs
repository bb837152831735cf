//! Tanh.

use super::shared::elementwise;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "";

elementwise::in_both!(Tanh, TanhOptions);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    elementwise::cases("Tanh", Just(json!({})), dtype)
}
