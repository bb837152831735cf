//! What every implementation declares of its arithmetic, in one table, with the reason for each line.

use crate::bounded::{Centring, Declaration, Functions, UNIT_64};
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
    /// Formulas other than the literal ones.
    pub formulas: &'static str,
    /// Why this is so, and why it is enough.
    pub reason: &'static str,
    declaration: fn(DType) -> Declaration,
}

impl Declared {
    /// What is declared in a type.
    pub fn declaration(&self, dtype: DType) -> Declaration {
        (self.declaration)(dtype)
    }

    /// What sums are carried in, those of statistics apart, where the line is about that type.
    pub fn accumulators(&self, dtype: DType) -> String {
        let wide = self.declaration(dtype).wide_unit;
        let statistics = if wide == UNIT_64 { "f64" } else { "f32" };
        format!("sums in {dtype}, statistics in {statistics}")
    }

    /// The largest errors of the elementary functions, in ulps.
    pub fn functions(&self, dtype: DType) -> String {
        let Functions { exp, exp_m1, ln, ln_1p, tanh, powf } = self.declaration(dtype).functions;
        format!("exp {exp}, exp_m1 {exp_m1}, ln {ln}, ln_1p {ln_1p}, tanh {tanh}, powf {powf} ulps")
    }

    /// The types that the line is about.
    pub fn dtypes(&self) -> Vec<DType> {
        self.dtype.map_or(vec![DType::F32, DType::F64], |dtype| vec![dtype])
    }
}

/// The name in the table of whoever is not in it: PyTorch, and what `compare` judges.
pub const ANYONE: &str = "anyone";

const LITERAL: &str = "the literal ones";

/// The table; where two lines are about a call, the first one counts.
pub const TABLE: &[Declared] = &[
    Declared {
        implementation: "reference",
        layer: None,
        dtype: None,
        formulas: LITERAL,
        reason: "the bound is its own formula's; functions are the system's library's, whose errors function_errors.tsv has, \
                 in f32 of all 2³² inputs",
        declaration: |_| Declaration::LITERAL,
    },
    Declared {
        implementation: "optimized",
        layer: Some("BatchNorm2d"),
        dtype: Some(DType::F32),
        formulas: "x − μ as (x − hi) − lo",
        reason: "lanes of f32 have no f64 to subtract a mean in f64; hi and lo are its two halves, and Centring::Split has the bound",
        declaration: |_| Declaration { centring: Centring::Split, ..Declaration::LITERAL },
    },
    Declared {
        implementation: "optimized",
        layer: Some("Conv2d"),
        dtype: None,
        formulas: "Winograd's F(2x2, 3x3), where that is the algorithm",
        reason: "its roundings are bounded by running that formula itself (winograd.rs); with any other algorithm, nothing is declared",
        declaration: |_| Declaration { winograd: true, ..Declaration::LITERAL },
    },
    Declared {
        implementation: "optimized",
        layer: None,
        dtype: None,
        formulas: LITERAL,
        reason: "any order and blocking of sums is in the bound already; functions are optimized::math's, or better (of lines of neighbours, \
                 CrossEntropyLoss's ln is the system's in f64), whose errors function_errors.tsv has, in f32 of all 2³² inputs; but the powers \
                 that CrossEntropyLoss sums are wrong by up to 1.1 ulps, less than what any power may be",
        declaration: |dtype| Declaration { functions: Functions::optimized(dtype), ..Declaration::LITERAL },
    },
    Declared {
        implementation: ANYONE,
        layer: None,
        dtype: None,
        formulas: "those that PyTorch, and others like it on a CPU, are known to use: scale and shift worked out beforehand, quotients and products \
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
    of(implementation).or_else(|| of(ANYONE)).map_or(Declaration::foreign(dtype), |line| line.declaration(dtype))
}
