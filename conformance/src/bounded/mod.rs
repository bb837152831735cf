//! A number that knows how far any right implementation may be from it.
//!
//! A [`Bounded`] carries a value, computed in double precision, and a bound e: whatever arithmetic the current
//! [`Declaration`] allows — any order and any blocking of sums, fused or separate multiplications and additions, subnormals
//! kept or flushed — its result lies within e of the value. Running the reference's own formulas over it derives the
//! tolerance of every output and gradient; nothing is tuned.
//!
//! With u the unit roundoff of the type under test, v = 2⁻⁵³ that of the value's own computation (so that for `f64` each
//! rounding counts twice), η the smallest normal number and γ(n) = n·u/(1 − n·u):
//!
//! * Sums are lazy: + and − merge value, bound, Σ|terms| and the number n of terms. The first operation that is none closes
//!   the sum: e += (γ(n−1) + γᵥ(n−1))·(Σ|terms| + e) + n·η. This holds for every order of addition: Higham, *Accuracy and
//!   Stability of Numerical Algorithms*, 2nd ed., §4.2. A sum of two terms is one rounding, e += (u + v)·(|a + b| + e).
//! * A product: e = |a|e_b + |b|e_a + e_a·e_b + (u + v)(|ab| + …) + η. A quotient: e = (e_a + |q|e_b)/(|b| − e_b) + …,
//!   infinite where b's bound reaches 0.
//! * A function within k ulps: e = e_x·sup|f'| over [x − e_x, x + e_x] + 2k(u + v)(|f| + …) + η.
//! * What is exact costs nothing. A number that is a multiple of 2^g and less than 2^(g + digits) is a number of the type; so
//!   a sum of multiples of 2^g whose Σ|terms| stays below that is exact in every order, and products likewise. The exact lane
//!   — tolerance 0, at any size — is where this makes the bound 0.
//! * Where the value, or a partial sum in some order, may overflow, the bound is infinite: nothing is known. Where a value
//!   overflows whatever the rounding, it is ±inf and known; infinities and NaN of the input propagate and are known.
//! * A comparison closer than its bounds answers [`Condition::Either`], and selection by it covers both branches.
//!
//! Beside the bound stands a *likely* bound: the same, but that sums of n ≥ 64 terms count 8·√n·u·Σ|terms|. Exceeding it is
//! no fault, but worth a look: errors of roundings grow like √n unless they conspire (Higham and Mary, "A new approach to
//! probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019).

mod context;
mod declaration;

pub use context::{Branches, under};
pub use declaration::{Arithmetic, Centring, Declaration, UNIT_64};

use context::{arithmetic, branch, declaration};
use reference::{Condition, Real};
use std::ops::{Add, Div, Mul, Neg, Sub};
use vocabulary::Scalar;

/// From so many terms on, a sum has a likely bound of its own; and the factor λ of that bound.
const LIKELY_FROM: f64 = 64.0;
const LAMBDA: f64 = 8.0;

/// The grain of a number of which no more is known than its bound.
const NO_GRAIN: i32 = i32::MIN;
/// The grain of 0, a multiple of every power of two.
const ANY_GRAIN: i32 = i32::MAX;

/// A value with a rigorous bound on the distance of any right implementation; see the module's page.
///
/// `WIDE` numbers are those that carry statistics, in the accumulators that the declaration names.
///
/// ```
/// use conformance::{DType, bounded::{Bounded, Declaration, under}};
/// use vocabulary::Scalar;
/// let (sum, _) = under(DType::F32, Declaration::LITERAL, || {
///     let x = Bounded::<false>::from_f64(0.5);
///     (0..1000).fold(Bounded::from_f64(0.0), |sum, _| sum + x * x).closed()
/// });
/// assert_eq!((sum.value(), sum.bound()), (250.0, 0.0)); // exact in every order
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Bounded<const WIDE: bool = false> {
    value: f64,
    bound: f64,
    likely: f64,
    /// Σ|terms| of the pending sum, its finite terms alone.
    magnitude: f64,
    /// The number of terms of the pending sum; 1 where nothing is pending.
    terms: f64,
    /// An exponent g such that the value is exactly right and a multiple of 2^g, or [`NO_GRAIN`].
    grain: i32,
}

/// The largest g such that x is a multiple of 2^g.
fn grain_of(x: f64) -> i32 {
    if x == 0.0 || !x.is_finite() {
        return ANY_GRAIN;
    }
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let significand = (bits & ((1 << 52) - 1)) | if exponent == 0 { 0 } else { 1 << 52 };
    exponent.max(1) - 1075 + significand.trailing_zeros() as i32
}

/// 2^exponent, or infinity where that is too large; the exponent is that of a normal number.
fn power_of_two(exponent: i32) -> f64 {
    match u64::try_from(exponent.saturating_add(1023)) {
        Ok(biased) if biased < 2047 => f64::from_bits(biased << 52),
        Ok(_) => f64::INFINITY,
        Err(_) => 0.0,
    }
}

/// Whether every multiple of 2^grain up to `magnitude` is a number of the type, and a normal one unless it is 0.
fn representable(arithmetic: &Arithmetic, magnitude: f64, grain: i32) -> bool {
    match grain {
        NO_GRAIN => false,
        ANY_GRAIN => true,
        g if g < arithmetic.smallest_exponent => false,
        g => magnitude < power_of_two(g.saturating_add(arithmetic.digits)) && magnitude <= arithmetic.largest,
    }
}

impl<const WIDE: bool> Bounded<WIDE> {
    /// A number that every implementation has exactly.
    pub fn exact(value: f64) -> Self {
        Self::closed_at(value, 0.0, 0.0, grain_of(value))
    }

    fn closed_at(value: f64, bound: f64, likely: f64, grain: i32) -> Self {
        let magnitude = if value.is_finite() { value.abs() } else { 0.0 };
        Self { value, bound, likely, magnitude, terms: 1.0, grain }
    }

    fn unknown(value: f64) -> Self {
        Self::closed_at(value, f64::INFINITY, f64::INFINITY, NO_GRAIN)
    }

    /// The value. It is exact only as far as the bound says.
    pub fn value(self) -> f64 {
        self.value
    }

    /// The bound of a closed number: see [`Bounded::closed`].
    pub fn bound(self) -> f64 {
        self.bound
    }

    /// The likely bound of a closed number: see [`Bounded::closed`].
    pub fn likely(self) -> f64 {
        self.likely
    }

    fn is_exact(self) -> bool {
        self.bound == 0.0 && self.terms == 1.0
    }

    /// Whether this is an infinity because a finite number lies beyond the largest of the type.
    fn has_overflowed(self) -> bool {
        self.value.is_infinite() && self.bound == 0.0 && self.grain == NO_GRAIN
    }

    fn is_exactly(self, value: f64) -> bool {
        self.is_exact() && self.value == value
    }

    fn arithmetic() -> Arithmetic {
        arithmetic(WIDE)
    }

    /// The number with its pending sum rounded, in the arithmetic of the run that this is called in.
    pub fn closed(self) -> Self {
        if self.terms <= 1.0 {
            return self;
        }
        let arithmetic = Self::arithmetic();
        let n = self.terms;
        if !self.value.is_finite() {
            let certain = self.magnitude < arithmetic.largest && self.bound == 0.0;
            return if certain { Self::closed_at(self.value, 0.0, 0.0, self.grain) } else { Self::unknown(self.value) };
        }
        if self.bound == 0.0 && representable(&arithmetic, self.magnitude, self.grain) {
            return Self::closed_at(self.value, 0.0, 0.0, self.grain);
        }
        let magnitude = self.magnitude + self.bound;
        let own = Arithmetic::gamma(UNIT_64, n - 1.0) * magnitude + n * arithmetic.smallest;
        let rounding = if n == 2.0 && declaration().pairs_round_once {
            arithmetic.unit * (self.value.abs() + self.bound)
        } else {
            Arithmetic::gamma(arithmetic.unit, n - 1.0) * magnitude
        };
        let likely =
            if n < LIKELY_FROM { rounding } else { rounding.min(LAMBDA * n.sqrt() * arithmetic.unit * magnitude) };
        let (bound, likely) = (self.bound + rounding + own, self.likely + likely + own);
        if magnitude + bound > arithmetic.largest {
            return Self::unknown(self.value);
        }
        Self::closed_at(self.value, bound, likely, NO_GRAIN)
    }

    /// A result that is rounded once: `bound` and `likely` are what its operands brought, `roundings` how often u counts.
    fn rounded(value: f64, bound: f64, likely: f64, grain: i32, roundings: f64) -> Self {
        let arithmetic = Self::arithmetic();
        if bound == 0.0 && value.is_finite() && representable(&arithmetic, value.abs(), grain) {
            return Self::closed_at(value, 0.0, 0.0, grain);
        }
        let local = |brought: f64| {
            brought + roundings * (arithmetic.unit + UNIT_64) * (value.abs() + brought) + arithmetic.smallest
        };
        let (bound, likely) = (local(bound), local(likely));
        if value.abs() - bound > arithmetic.largest || value.is_infinite() {
            return Self::closed_at(f64::INFINITY.copysign(value), 0.0, 0.0, NO_GRAIN);
        }
        if value.is_nan() || value.abs() + bound > arithmetic.largest {
            return Self::unknown(value);
        }
        Self::closed_at(value, bound, likely, NO_GRAIN)
    }

    /// A function of one argument within the declared ulps, where `steepest(x, e)` bounds |f'| over [x − e, x + e].
    fn function(self, f: impl Fn(f64) -> f64, steepest: impl Fn(f64, f64) -> f64) -> Self {
        let x = self.closed();
        let value = f(x.value);
        if x.bound == f64::INFINITY {
            return Self::unknown(value);
        }
        if x.is_exact() && value.is_infinite() && x.value.is_finite() && x.value != 0.0 {
            return Self::closed_at(value, 0.0, 0.0, NO_GRAIN); // an overflow even of double precision
        }
        // Limits at ±inf, NaN and poles.
        if x.is_exact() && (!x.value.is_finite() || !value.is_finite()) {
            return Self::exact(value);
        }
        let brought = |e: f64| if e == 0.0 { 0.0 } else { e * steepest(x.value, e) };
        let (bound, likely) = (brought(x.bound), brought(x.likely));
        if !bound.is_finite() {
            return Self::unknown(value);
        }
        Self::rounded(value, bound, likely, NO_GRAIN, 2.0 * declaration().function_ulps)
    }

    fn compare(self, other: Self, holds: impl Fn(f64, f64) -> bool) -> Condition {
        let (a, b) = (self.closed(), other.closed());
        let reach = a.bound + b.bound;
        let (answer, ambiguous) = match holds(a.value, b.value) {
            _ if reach > 0.0 && (reach.is_infinite() || (a.value - b.value).abs() <= reach) => {
                (Condition::Either, true)
            }
            holds => (holds.into(), false),
        };
        // The hash follows the value's own branch, so that an ambiguous one counts as a change only where it changes.
        branch(u64::from(holds(a.value, b.value)), ambiguous);
        answer
    }
}

impl<const WIDE: bool> Scalar for Bounded<WIDE> {
    /// An option: an implementation may hold it in the type it computes in, so what that rounds away is bounded.
    fn from_f64(value: f64) -> Self {
        let narrow = arithmetic(false);
        let rounding =
            if narrow.unit > UNIT_64 && value.is_finite() { (value - f64::from(value as f32)).abs() } else { 0.0 };
        let grain = if rounding == 0.0 { grain_of(value) } else { NO_GRAIN };
        Self::closed_at(value, rounding, rounding, grain)
    }
    fn to_f64(self) -> f64 {
        self.value
    }
}

/// Equal in value, whatever the bounds.
impl<const WIDE: bool> PartialEq for Bounded<WIDE> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<const WIDE: bool> Neg for Bounded<WIDE> {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

impl<const WIDE: bool> Add for Bounded<WIDE> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        if other.is_exactly(0.0) {
            return self;
        }
        if self.is_exactly(0.0) {
            return other;
        }
        let value = self.value + other.value;
        let overflows = !value.is_finite() && self.value.is_finite() && other.value.is_finite();
        // What an infinity or a NaN is added to does not matter, unless it is unknown itself.
        let merge = |a: f64, b: f64| match value.is_finite() {
            _ if overflows => f64::INFINITY,
            true => a + b,
            false if a.is_infinite() || b.is_infinite() => f64::INFINITY,
            false => 0.0,
        };
        Self {
            value,
            bound: merge(self.bound, other.bound),
            likely: merge(self.likely, other.likely),
            magnitude: self.magnitude + other.magnitude,
            terms: self.terms + other.terms,
            grain: self.grain.min(other.grain),
        }
    }
}

impl<const WIDE: bool> Sub for Bounded<WIDE> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl<const WIDE: bool> Mul for Bounded<WIDE> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        for (unit, factor) in [(self, other), (other, self)] {
            if unit.is_exactly(1.0) || unit.is_exactly(-1.0) {
                return if unit.value < 0.0 { -factor } else { factor };
            }
        }
        let (a, b) = (self.closed(), other.closed());
        let value = a.value * b.value;
        if a.bound == f64::INFINITY || b.bound == f64::INFINITY {
            return Self::unknown(value);
        }
        if !a.value.is_finite() || !b.value.is_finite() {
            // inf·b is certain only where b's sign is.
            let certain = |x: Self| x.bound == 0.0 || x.value.abs() > x.bound;
            return if certain(a) && certain(b) { Self::exact(value) } else { Self::unknown(value) };
        }
        let grain = match (a.grain, b.grain) {
            (NO_GRAIN, _) | (_, NO_GRAIN) => NO_GRAIN,
            (ANY_GRAIN, _) | (_, ANY_GRAIN) => ANY_GRAIN,
            (g, h) => g.saturating_add(h),
        };
        let brought = |ea: f64, eb: f64| a.value.abs() * eb + b.value.abs() * ea + ea * eb;
        Self::rounded(value, brought(a.bound, b.bound), brought(a.likely, b.likely), grain, 1.0)
    }
}

impl<const WIDE: bool> Div for Bounded<WIDE> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        if other.is_exactly(1.0) {
            return self;
        }
        let (a, b) = (self.closed(), other.closed());
        let value = a.value / b.value;
        if a.bound == f64::INFINITY || b.bound == f64::INFINITY || (b.bound > 0.0 && b.value.abs() <= b.bound) {
            return Self::unknown(value);
        }
        if a.value.is_finite() && b.has_overflowed() {
            // What lies beyond the largest number divides to less than this.
            let quotient = (a.value.abs() + a.bound) / Self::arithmetic().largest;
            return Self::rounded(0.0, quotient, quotient, NO_GRAIN, 1.0);
        }
        if !a.value.is_finite() || !b.value.is_finite() || b.value == 0.0 {
            // A zero divisor gives the dividend's sign to an infinity, or NaN where that is 0, too.
            let certain = a.bound == 0.0 || a.value.abs() > a.bound || !b.value.is_finite();
            return if certain { Self::exact(value) } else { Self::unknown(value) };
        }
        let by_power_of_two = b.is_exact() && b.value.abs() == f64::powi(2.0, grain_of(b.value));
        let grain = match a.grain {
            NO_GRAIN | ANY_GRAIN => a.grain,
            g if by_power_of_two => g.saturating_sub(grain_of(b.value)),
            _ => NO_GRAIN,
        };
        let brought = |ea: f64, eb: f64| (ea + value.abs() * eb) / (b.value.abs() - eb);
        let roundings = declaration().quotient_roundings;
        Self::rounded(value, brought(a.bound, b.bound), brought(a.likely, b.likely), grain, roundings)
    }
}

impl<const WIDE: bool> Real for Bounded<WIDE> {
    type Wide = Bounded<true>;

    fn widen(self) -> Bounded<true> {
        let Self { value, bound, likely, grain, .. } = self.closed();
        Bounded::closed_at(value, bound, likely, grain)
    }

    fn narrow(wide: Bounded<true>) -> Self {
        let Bounded { value, bound, likely, grain, .. } = wide.closed();
        if WIDE {
            return Self::closed_at(value, bound, likely, grain);
        }
        match (value.is_finite(), bound == 0.0) {
            (false, true) => Self::exact(value),
            (true, _) if bound.is_finite() => Self::rounded(value, bound, likely, grain, 1.0),
            _ => Self::unknown(value),
        }
    }

    fn centred_about(self, mean: Bounded<true>) -> Self {
        let (narrow, declaration) = (arithmetic(false), declaration());
        let (x, mean) = (self.closed(), mean.closed());
        let difference = (x.widen() - mean).closed();
        let Bounded { value, bound, likely, grain, .. } = difference;
        let magnitude = x.value.abs() + mean.value.abs() + x.bound + mean.bound;
        let literal = WIDE || declaration.centring == Centring::Once || !value.is_finite() || !bound.is_finite();
        // Where μ itself is a number of the type, and every multiple of its grain up to |x| + |μ| is one, a split mean is exact.
        let split_exactly =
            declaration.centring == Centring::Split && bound == 0.0 && representable(&narrow, magnitude, grain);
        if literal || split_exactly {
            return Self::narrow(difference);
        }
        let (more, roundings) = match declaration.centring {
            Centring::Products => (4.0 * narrow.unit * magnitude, 1.0),
            _ => (2.0 * narrow.unit * narrow.unit * magnitude, 2.0 * (1.0 + 4.0 * narrow.unit)),
        };
        Self::rounded(value, bound + more, likely + more, NO_GRAIN, roundings)
    }

    fn exp(self) -> Self {
        self.function(f64::exp, |x, e| (x + e).exp())
    }
    fn exp_m1(self) -> Self {
        self.function(f64::exp_m1, |x, e| (x + e).exp())
    }
    fn ln(self) -> Self {
        self.function(f64::ln, |x, e| if x > e { 1.0 / (x - e) } else { f64::INFINITY })
    }
    fn ln_1p(self) -> Self {
        self.function(f64::ln_1p, |x, e| if 1.0 + x > e { 1.0 / (1.0 + x - e) } else { f64::INFINITY })
    }
    fn tanh(self) -> Self {
        // sech² at the point of the interval that is nearest to 0.
        self.function(f64::tanh, |x, e| 1.0 - (x.abs() - e).max(0.0).tanh().powi(2))
    }
    fn sqrt(self) -> Self {
        let x = self.closed();
        let value = x.value.sqrt();
        if x.bound == f64::INFINITY || (x.bound > 0.0 && x.value.abs() <= x.bound && x.value < 0.0) {
            return Self::unknown(value);
        }
        if !value.is_finite() || (x.value == 0.0 && x.is_exact()) {
            return Self::exact(value);
        }
        // √x − √(x − e) = e/(√x + √(x − e)), the larger of the two sides; a square root of what may be negative is not known.
        if x.bound > x.value {
            return Self::unknown(value);
        }
        let brought = |e: f64| e / (value + (x.value - e).max(0.0).sqrt());
        Self::rounded(value, brought(x.bound), brought(x.likely), NO_GRAIN, 1.0)
    }
    fn powf(self, exponent: f64) -> Self {
        let slope = |x: f64| (exponent * x.powf(exponent - 1.0)).abs();
        self.function(|x| x.powf(exponent), |x, e| if x > e { slope(x - e).max(slope(x + e)) } else { f64::INFINITY })
    }

    fn less(self, other: Self) -> Condition {
        self.compare(other, |a, b| a < b)
    }
    fn less_or_equal(self, other: Self) -> Condition {
        self.compare(other, |a, b| a <= b)
    }
    fn select(condition: Condition, then: Self, otherwise: Self) -> Self {
        match condition {
            Condition::True => then,
            Condition::False => otherwise,
            Condition::Either => {
                let (a, b) = (then.closed(), otherwise.closed());
                if !(a.value - b.value).is_finite() {
                    return Self::unknown(a.value);
                }
                let apart = (a.value - b.value).abs();
                let (bound, likely) = (a.bound.max(apart + b.bound), a.likely.max(apart + b.likely));
                Self::closed_at(a.value, bound, likely, NO_GRAIN)
            }
        }
    }
}
