//! GRU.

use super::shared::recurrent;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, device=None, dtype=None";

recurrent::in_both!(GRU, GRUOptions, 3);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let extra = Just(json!({}));
    recurrent::cases("GRU", 3, extra, dtype)
}
