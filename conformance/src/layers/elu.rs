//! ELU.

use super::shared::elementwise;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "alpha=1.0, inplace=False";

elementwise::in_both!(ELU, ELUOptions);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    // In place, a negative α is refused in backward.
    let alpha = prop_oneof![3 => Just(1.0), 1 => Just(0.0), 3 => -3.0..3.0];
    let options = (alpha, any::<bool>()).prop_map(
        |(alpha, inplace): (f64, bool)| json!({"alpha": if inplace { alpha.abs() } else { alpha }, "inplace": inplace}),
    );
    elementwise::cases("ELU", options, dtype)
}
