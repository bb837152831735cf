//! Softmax.

use super::shared::elementwise;
use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::tensors::{DType, Group};
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "dim=None";

elementwise::in_both!(Softmax, SoftmaxOptions);

/// Every dimension, from either end, and PyTorch's implicit choice.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    (generators::shape(), generators::kind(), any::<prop::sample::Index>())
        .prop_dependent(move |(shape, kind, choice)| {
            let rank = shape.len().max(1) as i64;
            let choice = choice.index(2 * rank as usize + 1) as i64 - rank;
            let options = if choice == rank { json!({"dim": null}) } else { json!({"dim": choice}) };
            let tensors = vec![(Group::In, "input", shape.clone()), (Group::GradOut, "output", shape)];
            generators::fill(generators::case("Softmax", options), dtype, kind, tensors)
        })
        .boxed()
}
