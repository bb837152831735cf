//! ReLU.

use super::shared::elementwise;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "inplace=False";

elementwise::in_both!(ReLU, ReLUOptions);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let options = any::<bool>().prop_map(|inplace| json!({"inplace": inplace}));
    elementwise::cases("ReLU", options, dtype)
}
