//! LeakyReLU.

use super::shared::elementwise;
use crate::case_file::Case;
use crate::tensors::DType;
use proptest::prelude::*;
use serde_json::json;

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "negative_slope=0.01, inplace=False";

elementwise::in_both!(LeakyReLU, LeakyReLUOptions);

pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    // In place, a negative slope is refused in backward.
    let slope = prop_oneof![3 => Just(0.01), 1 => Just(0.0), 3 => -2.0..2.0];
    let options = (slope, any::<bool>()).prop_map(|(slope, inplace): (f64, bool)| {
        json!({"negative_slope": if inplace { slope.abs() } else { slope }, "inplace": inplace})
    });
    elementwise::cases("LeakyReLU", options, dtype)
}
