//! What every implementation declares of its arithmetic, in one table, with the reason for each line.

use crate::bounded::{Centring, Declaration};
use crate::tensors::DType;

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// The implementation's name; [`ANYONE`] for whoever is not listed.
    pub implementation: &'static str,
    /// The layer that the line is about; `None` for all that have no line of their own.
    pub layer: Option<&'static str>,
    /// The type that the line is about; `None` for both.
    pub dtype: Option<DType>,
    /// What sums are carried in.
    pub accumulators: &'static str,
    /// The largest errors of the elementary functions, in ulps.
    pub functions: &'static str,
    /// Formulas other than the literal ones.
    pub formulas: &'static str,
    /// Why this is so, and why it is enough.
    pub reason: &'static str,
    declaration: fn(DType) -> Declaration,
}

/// The name in the table of whoever is not in it: PyTorch, and what `compare` judges.
pub const ANYONE: &str = "anyone";

const OWN_TYPE: &str = "the type; statistics (means, variances, norms of them) in f64";
const SYSTEM: &str = "tanh 2.3, ln_1p 1.4, others 1";
const LITERAL: &str = "the literal ones";

/// The table; where two lines are about a call, the first one counts.
pub const TABLE: &[Declared] = &[
    Declared {
        implementation: "reference",
        layer: None,
        dtype: None,
        accumulators: OWN_TYPE,
        functions: SYSTEM,
        formulas: LITERAL,
        reason: "the bound is its own formula's; functions are the system's library's, whose errors function_errors.tsv has, \
                 in f32 of all 2³² inputs",
        declaration: |_| Declaration::LITERAL,
    },
    Declared {
        implementation: "optimized",
        layer: Some("BatchNorm2d"),
        dtype: Some(DType::F32),
        accumulators: OWN_TYPE,
        functions: SYSTEM,
        formulas: "x − μ as (x − hi) − lo",
        reason: "lanes of f32 have no f64 to subtract a mean in f64; hi and lo are its two halves, and Centring::Split has the bound",
        declaration: |_| Declaration { centring: Centring::Split, ..Declaration::LITERAL },
    },
    Declared {
        implementation: "optimized",
        layer: None,
        dtype: None,
        accumulators: OWN_TYPE,
        functions: SYSTEM,
        formulas: LITERAL,
        reason: "any order and blocking of sums is in the bound already; its exp is within 0.78 ulps in f32 and 0.9 in f64 \
                 (function_errors.tsv), less than what the bound has",
        declaration: |_| Declaration::LITERAL,
    },
    Declared {
        implementation: ANYONE,
        layer: None,
        dtype: None,
        accumulators: "the type",
        functions: "4",
        formulas: "every one that implementations are known to use: scale and shift worked out beforehand, quotients and products \
                   in any order, the second forms of Real::or_written",
        reason: "nothing is known of it; 4 ulps is the largest that numpy, CUDA and the usual mathematical libraries state",
        declaration: Declaration::foreign,
    },
];

/// What an implementation declares of a layer in a type.
///
/// ```
/// use conformance::{DType, Declaration, declarations::declared};
/// assert_eq!(declared("reference", "Linear", DType::F32), Declaration::LITERAL);
/// assert_eq!(declared("numpy", "Linear", DType::F64), Declaration::foreign(DType::F64));
/// ```
pub fn declared(implementation: &str, layer: &str, dtype: DType) -> Declaration {
    let of = |name: &str| {
        TABLE.iter().find(|line| {
            let about = line.layer.is_none_or(|known| known == layer) && line.dtype.is_none_or(|known| known == dtype);
            line.implementation == name && about
        })
    };
    of(implementation).or_else(|| of(ANYONE)).map_or(Declaration::foreign(dtype), |line| (line.declaration)(dtype))
}
