//! A number that knows how far any right implementation may be from it.
//!
//! A [`Bounded`] carries a value, computed in double precision, and a bound e: whatever arithmetic the current
//! [`Declaration`] allows — any order and any blocking of sums, fused or separate multiplications and additions, subnormal
//! results kept or flushed — its result lies within e of the value. Running the reference's own formulas over it derives the
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
//! * A number beyond the largest of the type keeps its value, and a mark that it may be ±inf instead: an implementation that
//!   rounds it has the infinity; one that fuses it into what follows, or carries it in a wider type, has the value. What
//!   follows has to admit both, or else nothing is known (the bound is infinite). Only where the final result itself is
//!   beyond the largest number is it ±inf for certain ([`Bounded::settled`]). Where partial sums may overflow to either
//!   side, nothing is known. Infinities and NaN of the input propagate, and are known.
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

/// The share of the terms of x − μ that counts for its scale: 2⁻¹⁴. Where single precision loses the deviations in the mean, it
/// is less than what is lost; where double precision carries the mean, it is far more.
const CENTRED: f64 = 1.0 / (1 << 14) as f64;

/// More than a few operations in double precision round away, as a share of the result.
const LITTLE: f64 = 1e-12;

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
    /// The sums of the positive and of the negative terms of the pending sum, at their largest magnitudes; finite terms alone.
    sides: [f64; 2],
    /// The number of terms of the pending sum; 1 where nothing is pending.
    terms: f64,
    /// An exponent g such that the value is exactly right and a multiple of 2^g, or [`NO_GRAIN`].
    grain: i32,
    /// The sign of the infinity that an implementation may have in place of the value; 0 where it may not.
    overflow: i8,
    /// The magnitude of the terms that the value is what remains of, through all that followed.
    scale: f64,
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

/// +1 or −1, as the number is above or below 0, whatever its rounding; 0 where it may be either, or 0.
fn certain_sign(value: f64, bound: f64) -> i8 {
    match value.abs() > bound {
        true if value > 0.0 => 1,
        true => -1,
        false => 0,
    }
}

impl<const WIDE: bool> Bounded<WIDE> {
    /// A number that every implementation has exactly.
    pub fn exact(value: f64) -> Self {
        Self::closed_at(value, 0.0, 0.0, grain_of(value))
    }

    fn closed_at(value: f64, bound: f64, likely: f64, grain: i32) -> Self {
        let sides = if value.is_finite() { [value, -value].map(|side| (side + bound).max(0.0)) } else { [0.0; 2] };
        Self { value, bound, likely, sides, terms: 1.0, grain, overflow: 0, scale: value.abs() }
    }

    fn unknown(value: f64) -> Self {
        Self::closed_at(value, f64::INFINITY, f64::INFINITY, NO_GRAIN)
    }

    fn with_scale(self, scale: f64) -> Self {
        Self { scale, ..self }
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

    /// The magnitude of what the value remains of: |a| + |b| for a − b, its product with |c| for (a − b)·c. A bound that is small
    /// against it is tight, however small the value.
    pub fn scale(self) -> f64 {
        self.scale
    }

    fn is_exact(self) -> bool {
        self.bound == 0.0 && self.terms == 1.0 && self.overflow == 0
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
        let (n, magnitude) = (self.terms, self.sides[0] + self.sides[1]);
        let closed_at = |value, bound, likely, grain| Self {
            overflow: self.overflow,
            ..Self::closed_at(value, bound, likely, grain).with_scale(self.scale)
        };
        // A partial sum may overflow to the side whose terms alone may; it stays there, unless those of the other may, too.
        let may_overflow = self.sides.map(|side| {
            side * (1.0 + Arithmetic::gamma(arithmetic.unit, n - 1.0)) + n * arithmetic.smallest > arithmetic.largest
        });
        if !self.value.is_finite() {
            // The infinity stays, unless the finite terms may come to its opposite.
            let opposed = f64::from(self.overflow) * self.value < 0.0;
            let certain = may_overflow == [false, false] && self.bound == 0.0 && !opposed;
            return if certain { closed_at(self.value, 0.0, 0.0, self.grain) } else { Self::unknown(self.value) };
        }
        if self.bound == 0.0 && self.overflow == 0 && representable(&arithmetic, magnitude, self.grain) {
            return closed_at(self.value, 0.0, 0.0, self.grain);
        }
        let own = Arithmetic::gamma(UNIT_64, n - 1.0) * magnitude + n * arithmetic.smallest;
        let rounding = if n == 2.0 && declaration().pairs_round_once {
            arithmetic.unit * (self.value.abs() + self.bound)
        } else {
            Arithmetic::gamma(arithmetic.unit, n - 1.0) * magnitude
        };
        let likely =
            if n < LIKELY_FROM { rounding } else { rounding.min(LAMBDA * n.sqrt() * arithmetic.unit * magnitude) };
        let (bound, likely) = (self.bound + rounding + own, self.likely + likely + own);
        let closed = closed_at(self.value, bound, likely, NO_GRAIN);
        match may_overflow {
            [true, true] => Self::unknown(self.value),
            [true, false] => closed.or_infinity(1),
            [false, true] => closed.or_infinity(-1),
            [false, false] => closed,
        }
    }

    /// The number as the result of a layer: closed, and an infinity where it lies beyond the largest number of the type.
    pub fn settled(self) -> Self {
        // Bounds are computed in double precision, too: this is more than what so many operations round away.
        const ROUNDED_UP: f64 = 1.0 + 1e-9;
        let closed = self.closed();
        let closed = Self { bound: closed.bound * ROUNDED_UP, likely: closed.likely * ROUNDED_UP, ..closed };
        let largest = Self::arithmetic().largest;
        match f64::from(closed.overflow) {
            0.0 => closed,
            sign if sign * closed.value - closed.bound > largest => {
                Self::closed_at(sign * f64::INFINITY, 0.0, 0.0, NO_GRAIN).with_scale(closed.scale)
            }
            _ => Self::unknown(closed.value),
        }
    }

    /// The same number, which may also be an infinity of that sign.
    fn or_infinity(self, sign: i8) -> Self {
        match self.overflow {
            0 => Self { overflow: sign, grain: NO_GRAIN, ..self },
            known if known == sign => self,
            _ => Self::unknown(self.value),
        }
    }

    /// The same product or quotient, which may be an infinity where `a` or `b` may; unknown where its sign is not certain.
    fn or_infinity_of(self, a: Self, b: Self) -> Self {
        if a.overflow == 0 && b.overflow == 0 {
            return self;
        }
        let sign = |x: Self| certain_sign(x.value, x.bound);
        let consistent = |x: Self| x.overflow == 0 || x.overflow == sign(x);
        match sign(a) * sign(b) {
            sign if sign != 0 && consistent(a) && consistent(b) => self.or_infinity(sign),
            _ => Self::unknown(self.value),
        }
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
        let rounded = Self::closed_at(value, bound, likely, NO_GRAIN);
        match certain_sign(value, bound) {
            _ if !value.is_finite() || !bound.is_finite() => Self::unknown(value),
            _ if value.abs() + bound <= arithmetic.largest => rounded,
            0 => Self::unknown(value),
            sign => rounded.or_infinity(sign),
        }
    }

    /// A result beyond double precision, too, of finite operands: known where `at_least` is, which is what is left of it when
    /// all that is uncertain, and a little more, is taken away.
    fn beyond_double(value: f64, at_least: f64) -> Self {
        match at_least.is_infinite() && at_least == value {
            true => Self::closed_at(value, 0.0, 0.0, NO_GRAIN).or_infinity(if value > 0.0 { 1 } else { -1 }),
            false => Self::unknown(value),
        }
    }

    /// A function of one argument within the declared ulps, where `steepest(x, e)` bounds |f'| over [x − e, x + e].
    fn function(self, f: impl Fn(f64) -> f64, steepest: impl Fn(f64, f64) -> f64) -> Self {
        let x = self.closed();
        let value = f(x.value);
        if x.bound == f64::INFINITY {
            return Self::unknown(value);
        }
        // Limits at ±inf, NaN and poles; but an overflow even of double precision is none.
        let overflows = value.is_infinite() && x.value.is_finite() && x.value != 0.0;
        if x.is_exact() && !overflows && (!x.value.is_finite() || !value.is_finite()) {
            return Self::exact(value);
        }
        if overflows && x.overflow == 0 {
            let aside = x.bound + x.value.abs() * LITTLE;
            let (below, above) = (f(x.value - aside), f(x.value + aside));
            return if below == above { Self::beyond_double(value, below) } else { Self::unknown(value) };
        }
        let brought = |e: f64| if e == 0.0 { 0.0 } else { e * steepest(x.value, e) };
        let (mut bound, mut likely) = (brought(x.bound), brought(x.likely));
        // The value itself comes from functions within 1 ulp.
        let roundings = 2.0 * declaration().function_ulps.max(1.0);
        if x.overflow == 0 {
            return Self::rounded(value, bound, likely, NO_GRAIN, roundings);
        }
        let limit = f(f64::from(x.overflow) * f64::INFINITY);
        if limit.is_infinite() {
            return Self::rounded(value, bound, likely, NO_GRAIN, roundings).or_infinity(if limit > 0.0 {
                1
            } else {
                -1
            });
        }
        bound += (value - limit).abs();
        likely += (value - limit).abs();
        Self::rounded(value, bound, likely, NO_GRAIN, roundings)
    }

    fn compare(self, other: Self, holds: impl Fn(f64, f64) -> bool) -> Condition {
        let (a, b) = (self.closed(), other.closed());
        let reach = a.bound + b.bound;
        let answer = holds(a.value, b.value);
        let may_be_infinite = |x: Self| if x.overflow == 0 { x.value } else { f64::from(x.overflow) * f64::INFINITY };
        let differs =
            [(may_be_infinite(a), b.value), (a.value, may_be_infinite(b)), (may_be_infinite(a), may_be_infinite(b))]
                .iter()
                .any(|&(a, b)| holds(a, b) != answer);
        let close = reach > 0.0 && (reach.is_infinite() || (a.value - b.value).abs() <= reach);
        let ambiguous = close || differs;
        // The hash follows the value's own branch, so that an ambiguous one counts as a change only where it changes.
        branch(u64::from(answer), ambiguous);
        if ambiguous { Condition::Either } else { answer.into() }
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
        let sides = [self.sides[1], self.sides[0]];
        Self { value: -self.value, sides, overflow: -self.overflow, ..self }
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
        let overflow = if self.overflow == 0 { other.overflow } else { self.overflow };
        // Two infinities that need not be there, or one against a number, may join to anything.
        let opposed = |a: Self, b: Self| {
            let against = b.sides[usize::from(a.overflow > 0)];
            let beyond_double = a.overflow != 0 && a.value.is_infinite();
            a.overflow * b.overflow < 0 || beyond_double && (against > 0.0 || a.value * b.value < 0.0)
        };
        let unknown = overflows || opposed(self, other) || opposed(other, self);
        // What an infinity or a NaN is added to does not matter, unless it is unknown itself.
        let merge = |a: f64, b: f64| match value.is_finite() {
            _ if unknown || a.is_infinite() || b.is_infinite() => f64::INFINITY,
            true => a + b,
            false => 0.0,
        };
        Self {
            value,
            bound: merge(self.bound, other.bound),
            likely: merge(self.likely, other.likely),
            sides: [self.sides[0] + other.sides[0], self.sides[1] + other.sides[1]],
            terms: self.terms + other.terms,
            grain: self.grain.min(other.grain),
            overflow,
            scale: self.scale + other.scale,
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
        let beyond_double = |x: Self| x.overflow != 0 && x.value.is_infinite();
        if beyond_double(a) || beyond_double(b) {
            let factors_in_double = if beyond_double(a) { b } else { a };
            // What the product would be is not known where the other factor is small.
            let certain = factors_in_double.value.abs() - factors_in_double.bound >= 1.0;
            let product = Self::closed_at(value, 0.0, 0.0, NO_GRAIN).or_infinity_of(a, b);
            return if certain { product } else { Self::unknown(value) };
        }
        if !a.value.is_finite() || !b.value.is_finite() {
            // inf·b is certain only where b's sign is.
            let sign = |x: Self| certain_sign(x.value, x.bound);
            let certain =
                |x: Self| if x.overflow == 0 { x.bound == 0.0 || sign(x) != 0 } else { sign(x) == x.overflow };
            return if certain(a) && certain(b) { Self::exact(value) } else { Self::unknown(value) };
        }
        let grain = match (a.grain, b.grain) {
            (NO_GRAIN, _) | (_, NO_GRAIN) => NO_GRAIN,
            (ANY_GRAIN, _) | (_, ANY_GRAIN) => ANY_GRAIN,
            (g, h) => g.saturating_add(h),
        };
        if value.is_infinite() {
            let [least, other] = [a, b].map(|x| (x.value.abs() - x.bound).max(0.0).copysign(x.value));
            return Self::beyond_double(value, least * (1.0 - LITTLE) * other).or_infinity_of(a, b);
        }
        let brought = |ea: f64, eb: f64| a.value.abs() * eb + b.value.abs() * ea + ea * eb;
        let product = Self::rounded(value, brought(a.bound, b.bound), brought(a.likely, b.likely), grain, 1.0);
        product.with_scale(a.scale * b.scale).or_infinity_of(a, b)
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
        if b.overflow != 0 {
            if a.overflow != 0 || !a.value.is_finite() {
                return Self::unknown(value);
            }
            // By an infinity, or by what is not far from the largest number at least: from 0 to twice this.
            let quotient = (a.value.abs() + a.bound) / (b.value.abs() - b.bound).min(Self::arithmetic().largest);
            return Self::rounded(0.0, quotient, quotient, NO_GRAIN, 1.0).with_scale(quotient);
        }
        if a.overflow != 0 && a.value.is_infinite() {
            let product = Self::closed_at(value, 0.0, 0.0, NO_GRAIN).or_infinity_of(a, b);
            return if b.value.abs() + b.bound <= 1.0 { product } else { Self::unknown(value) };
        }
        if a.overflow != 0 && (!b.value.is_finite() || b.value == 0.0) {
            return Self::unknown(value);
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
        if value.is_infinite() {
            let least = (a.value.abs() - a.bound).max(0.0).copysign(a.value) * (1.0 - LITTLE);
            return Self::beyond_double(value, least / (b.value.abs() + b.bound).copysign(b.value))
                .or_infinity_of(a, b);
        }
        let brought = |ea: f64, eb: f64| (ea + value.abs() * eb) / (b.value.abs() - eb);
        let roundings = declaration().quotient_roundings;
        let quotient = Self::rounded(value, brought(a.bound, b.bound), brought(a.likely, b.likely), grain, roundings);
        quotient.with_scale(a.scale / b.value.abs()).or_infinity_of(a, b)
    }
}

impl<const WIDE: bool> Real for Bounded<WIDE> {
    type Wide = Bounded<true>;

    fn widen(self) -> Bounded<true> {
        let Self { value, bound, likely, sides, terms, grain, overflow, scale } = self.closed();
        Bounded { value, bound, likely, sides, terms, grain, overflow, scale }
    }

    fn narrow(wide: Bounded<true>) -> Self {
        let Bounded { value, bound, likely, sides, terms, grain, overflow, scale } = wide.closed();
        let same = Self { value, bound, likely, sides, terms, grain, overflow, scale };
        if WIDE || bound == f64::INFINITY || !value.is_finite() {
            return same;
        }
        let narrow = Self::rounded(value, bound, likely, grain, 1.0).with_scale(scale);
        if overflow == 0 { narrow } else { narrow.or_infinity(overflow) }
    }

    fn centred_about(self, mean: Bounded<true>) -> Self {
        let (narrow, declaration) = (arithmetic(false), declaration());
        let (x, mean) = (self.closed(), mean.closed());
        let difference = (x.widen() - mean).closed();
        let Bounded { value, bound, likely, grain, overflow, .. } = difference;
        // Centring is where values begin: what cancels in it is hardly a measure of them.
        let scale = value.abs() + CENTRED * (x.value.abs() + mean.value.abs());
        let difference = difference.with_scale(scale);
        let magnitude = x.value.abs() + mean.value.abs() + x.bound + mean.bound;
        let literal = WIDE || declaration.centring == Centring::Once || !value.is_finite() || !bound.is_finite();
        // Where μ itself is a number of the type, and every multiple of its grain up to |x| + |μ| is one, a split mean is exact.
        let split_exactly =
            declaration.centring == Centring::Split && bound == 0.0 && representable(&narrow, magnitude, grain);
        if literal || split_exactly {
            return Self::narrow(difference);
        }
        // Products are formed before they cancel: with a scale up to the root of the largest number, they overflow beyond it.
        let products = declaration.centring == Centring::Products;
        let most = if products { narrow.largest.sqrt() } else { narrow.largest };
        if overflow != 0 || magnitude > most {
            return Self::unknown(value);
        }
        let (more, roundings) = match declaration.centring {
            Centring::Products => (4.0 * narrow.unit * magnitude, 1.0),
            _ => (2.0 * narrow.unit * narrow.unit * magnitude, 2.0 * (1.0 + 4.0 * narrow.unit)),
        };
        Self::rounded(value, bound + more, likely + more, NO_GRAIN, roundings).with_scale(scale)
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
        if x.overflow < 0 || x.overflow > 0 && !value.is_finite() {
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
        let root = Self::rounded(value, brought(x.bound), brought(x.likely), NO_GRAIN, 1.0);
        if x.overflow == 0 { root } else { root.or_infinity(1) }
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
                if !(a.value - b.value).is_finite() || a.overflow != 0 || b.overflow != 0 {
                    return Self::unknown(a.value);
                }
                let apart = (a.value - b.value).abs();
                let (bound, likely) = (a.bound.max(apart + b.bound), a.likely.max(apart + b.likely));
                Self::closed_at(a.value, bound, likely, NO_GRAIN).with_scale(a.scale.max(b.scale))
            }
        }
    }
}
