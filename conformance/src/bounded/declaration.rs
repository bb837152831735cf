//! What an implementation says of its arithmetic, and the arithmetic of the two floating-point types.

use crate::tensors::DType;

/// How x − μ is formed where a layer centres its input about a mean μ that it carries in a wider type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Centring {
    /// In the wider type, then rounded once: |error| ≤ u·|x − μ|.
    Once,
    /// (x − hi) − lo, where hi = fl(μ) and lo = fl(μ − hi).
    ///
    /// With δ₁, δ₂ the roundings of the two subtractions, |error| ≤ |δ₁||x − hi| + |δ₂||(x − hi) − lo| + |μ − hi − lo|. The
    /// last is at most u·|lo| ≤ u²·|μ|. For the first, either x/2 ≤ hi ≤ 2x and δ₁ = 0 (Sterbenz), or
    /// |x − hi| ≥ |hi|/2, whence |lo| ≤ u·|μ| ≤ 2u(1 + u)·|x − hi|, and so |x − hi| ≤ |x − μ|(1 + 3u).
    /// Together |error| ≤ 2u(1 + 4u)·|x − μ| + 2u²(|x| + |μ|).
    Split,
    /// x·a + (β − μ·a), which is what remains of (x − μ)·a where scale and shift are worked out beforehand, μ rounded to the
    /// narrower type: |error| ≤ 4u(|x| + |μ|), before the multiplication by a. The shift is a sum of its own, which costs what it
    /// is added to one more rounding.
    Products,
}

/// What an implementation says of its arithmetic for one layer and type, beside the layer's literal formula.
///
/// A declaration may tighten a bound, and loosens it only as far as the arithmetic it names is known to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Declaration {
    /// The unit roundoff of the accumulators that carry statistics (`reference::Real::Wide`).
    pub wide_unit: f64,
    /// The largest errors of the elementary functions.
    pub functions: Functions,
    /// How x − μ is formed.
    pub centring: Centring,
    /// Whether a sum of two terms is one rounding of the exact sum (u·|a + b|), and not a reordering of more terms
    /// (u·(|a| + |b|)).
    pub pairs_round_once: bool,
    /// How many roundings a quotient counts: 1 where it is formed where the formula has it; one more for each product that
    /// may be formed after its divisor has gone into another factor, as in (a/n)·b for (a·b)/n.
    pub quotient_roundings: f64,
    /// Whether products of several factors may be taken in any order, and not as the formula has them. Then what is exact in one
    /// order, and costs nothing there, may be rounded in another.
    pub products_in_any_order: bool,
    /// Whether a number that the formula writes in two ways ([`reference::Real::or_written`]) may be computed in the second.
    pub other_forms: bool,
    /// Whether Conv2d's windows of 3x3 neighbours may be computed by Winograd's formula (`winograd.rs`), whose roundings are other
    /// ones, and the gradients of input and weight likewise.
    pub winograd: bool,
}

/// The largest error of each elementary function, in ulps of the result.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each is named for its function")]
pub struct Functions {
    pub exp: f64,
    pub exp_m1: f64,
    pub ln: f64,
    pub ln_1p: f64,
    pub tanh: f64,
    pub powf: f64,
}

impl Functions {
    /// The system's mathematical library, as `function_errors.tsv` has it of the GNU C Library (in f32 of all inputs, in f64 of
    /// a million); of powf, whose inputs are too many, as that library's manual states it.
    pub const SYSTEM: Self = Self { exp: 1.0, exp_m1: 1.0, ln: 1.0, ln_1p: 1.4, tanh: 2.3, powf: 1.0 };

    /// [`optimized::math`], as `function_errors.tsv` has it; it has no powf of its own.
    pub fn optimized(dtype: DType) -> Self {
        use optimized::math;
        let of = |single, double| if dtype == DType::F32 { single } else { double };
        Self {
            exp: of(math::EXP_ULPS_F32, math::EXP_ULPS_F64),
            exp_m1: of(math::EXP_M1_ULPS_F32, math::EXP_M1_ULPS_F64),
            ln: of(math::LN_ULPS_F32, math::LN_ULPS_F64),
            ln_1p: of(math::LN_1P_ULPS_F32, math::LN_1P_ULPS_F64),
            tanh: of(math::TANH_ULPS_F32, math::TANH_ULPS_F64),
            powf: Self::SYSTEM.powf,
        }
    }

    /// All of them within so many ulps.
    pub const fn within(ulps: f64) -> Self {
        Self { exp: ulps, exp_m1: ulps, ln: ulps, ln_1p: ulps, tanh: ulps, powf: ulps }
    }
}

impl Declaration {
    /// What nothing is known of: accumulators of the type itself, functions within 4 ulps (the largest that numpy, CUDA and
    /// the usual mathematical libraries state), scale and shift worked out beforehand, every form of a number that implementations
    /// are known to use. PyTorch is judged by this, too.
    pub fn foreign(dtype: DType) -> Self {
        Self {
            wide_unit: Arithmetic::of(dtype).unit,
            functions: Functions::within(4.0),
            centring: Centring::Products,
            pairs_round_once: false,
            quotient_roundings: 3.0,
            products_in_any_order: true,
            other_forms: true,
            winograd: false,
        }
    }

    /// The literal formula, statistics in double precision, and the functions of the system's mathematical library.
    pub const LITERAL: Self = Self {
        wide_unit: UNIT_64,
        functions: Functions::SYSTEM,
        centring: Centring::Once,
        pairs_round_once: true,
        quotient_roundings: 1.0,
        products_in_any_order: false,
        other_forms: false,
        winograd: false,
    };
}

/// The unit roundoff of double precision, 2⁻⁵³.
pub const UNIT_64: f64 = 0.5 * f64::EPSILON;

/// The arithmetic of a floating-point type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// The unit roundoff u: half the distance from 1 to the next number.
    pub unit: f64,
    /// The digits of the significand.
    pub digits: i32,
    /// η: the smallest normal number. Results below it may be flushed to 0.
    pub smallest: f64,
    /// The exponent of η.
    pub smallest_exponent: i32,
    /// The largest finite number.
    pub largest: f64,
}

impl Arithmetic {
    /// Single precision.
    pub const F32: Self = Self {
        unit: 0.5 * f32::EPSILON as f64,
        digits: f32::MANTISSA_DIGITS as i32,
        smallest: f32::MIN_POSITIVE as f64,
        smallest_exponent: f32::MIN_EXP - 1,
        largest: f32::MAX as f64,
    };
    /// Double precision.
    pub const F64: Self = Self {
        unit: UNIT_64,
        digits: f64::MANTISSA_DIGITS as i32,
        smallest: f64::MIN_POSITIVE,
        smallest_exponent: f64::MIN_EXP - 1,
        largest: f64::MAX,
    };

    /// The arithmetic of `dtype`.
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32,
            DType::F64 => Self::F64,
        }
    }

    /// γ(n) = n·u/(1 − n·u), or infinity where n·u ≥ 1.
    pub fn gamma(unit: f64, n: f64) -> f64 {
        if n * unit < 1.0 { n * unit / (1.0 - n * unit) } else { f64::INFINITY }
    }
}
