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
//! * Signs that are certain stay so: numbers of one sign do not round to a sum of the other, nor do factors to a product of it.
//!   So the root of a sum of squares is known even where the sum is lost below η.
//! * A function within k ulps, each its own: e = e_x·sup|f'| over [x − e_x, x + e_x] + 2k(u + v)(|f| + …) + η.
//! * What is exact costs nothing. A number that is a multiple of 2^g and less than 2^(g + digits) is a number of the type; so
//!   a sum of multiples of 2^g whose Σ|terms| stays below that is exact in every order, and products likewise. The exact lane
//!   — tolerance 0, at any size — is where this makes the bound 0.
//! * A number beyond the largest of the type keeps its value, and a mark that it may be ±inf instead: an implementation that
//!   rounds it has the infinity; one that fuses it into what follows, or carries it in a wider type, has the value. What
//!   follows has to admit both, or else nothing is known (the bound is infinite). Only where the final result itself is
//!   beyond the largest number is it ±inf for certain ([`Bounded::settled`]). Where partial sums may overflow to either
//!   side, nothing is known. Infinities and NaN of the input propagate, and are known: NaN whatever it meets, an infinity as long
//!   as the sign of what it is multiplied by is certain.
//! * A comparison closer than its bounds answers [`Condition::Either`], and selection by it covers both branches.
//!
//! Beside the bound stands a *likely* bound: the same, but that sums of n ≥ 64 terms count 8·√n·u·Σ|terms|. Exceeding it is
//! no fault, but worth a look: errors of roundings grow like √n unless they conspire (Higham and Mary, "A new approach to
//! probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019).

mod context;
mod declaration;
mod operations;

pub use context::{Branches, under};
pub use declaration::{Arithmetic, Centring, Declaration, Functions, UNIT_64};

use context::{arithmetic, branch, declaration};
use reference::Condition;

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
    /// How many multiplications the value, exact so far, has come from.
    products: u8,
    /// The magnitude of the terms that the value is what remains of, through all that followed.
    scale: f64,
    /// How many terms these are.
    count: f64,
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
        Self {
            value,
            bound,
            likely,
            sides,
            terms: 1.0,
            grain,
            overflow: 0,
            products: 0,
            scale: value.abs(),
            count: 1.0,
        }
    }

    fn unknown(value: f64) -> Self {
        Self::closed_at(value, f64::INFINITY, f64::INFINITY, NO_GRAIN)
    }

    /// The number without what its bound reaches on a side where nothing can be.
    fn one_sided(self, sides: [f64; 2]) -> Self {
        let side = |side: usize| if sides[side] == 0.0 { 0.0 } else { self.sides[side] };
        Self { sides: [side(0), side(1)], ..self }
    }

    /// A product as what remains of its factors' terms: whichever of them, at the other factor's size, come to more.
    fn of_product(self, a: Self, b: Self) -> Self {
        let (of_a, of_b) = (a.scale * b.value.abs(), b.scale * a.value.abs());
        if of_a >= of_b { self.of_terms(a.count, of_a) } else { self.of_terms(b.count, of_b) }
    }

    /// A quotient likewise.
    fn of_quotient(self, a: Self, b: Self) -> Self {
        let (of_a, of_b) = (a.scale / b.value.abs(), b.scale * (self.value / b.value).abs());
        if of_a >= of_b { self.of_terms(a.count, of_a) } else { self.of_terms(b.count, of_b) }
    }

    /// The number as what remains of so many terms of that magnitude in all.
    fn of_terms(self, count: f64, scale: f64) -> Self {
        Self { scale, count, ..self }
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

    /// The mean magnitude of a term of what the value remains of: of the products of a product of matrices, for one.
    pub fn mean_term(self) -> f64 {
        self.scale / self.count
    }

    fn is_exact(self) -> bool {
        self.bound == 0.0 && self.terms == 1.0 && self.overflow == 0
    }

    /// Whether it is NaN in every implementation, so that all that it meets is, too.
    fn is_certainly_nan(self) -> bool {
        self.value.is_nan() && self.is_exact()
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
        // However they are rounded, numbers of one sign do not add up to one of the other.
        let closed_at = |value, bound, likely, grain| Self {
            overflow: self.overflow,
            ..Self::closed_at(value, bound, likely, grain).of_terms(self.count, self.scale).one_sided(self.sides)
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
        // A sum of two numbers is 0 only where one is the other's opposite, and then it is 0 in every arithmetic.
        let opposites = n == 2.0 && self.value == 0.0;
        let exact = opposites || representable(&arithmetic, magnitude, self.grain);
        if self.bound == 0.0 && self.overflow == 0 && exact {
            return closed_at(self.value, 0.0, 0.0, self.grain);
        }
        let own = Arithmetic::gamma(UNIT_64, n - 1.0) * magnitude + n * arithmetic.smallest;
        let additions = if declaration().centring == Centring::Products { n } else { n - 1.0 };
        let rounding = if n == 2.0 && declaration().pairs_round_once {
            arithmetic.unit * (self.value.abs() + self.bound)
        } else {
            Arithmetic::gamma(arithmetic.unit, additions) * magnitude
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
                Self::closed_at(sign * f64::INFINITY, 0.0, 0.0, NO_GRAIN).of_terms(closed.count, closed.scale)
            }
            _ => Self::unknown(closed.value),
        }
    }

    /// The same number, of an implementation that computes it in another way where it would be an infinity.
    pub(crate) fn held_finite(self) -> Self {
        Self { overflow: 0, ..self }
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

    /// A function of one argument within the ulps that `declared` tells, where `steepest(x, e)` bounds |f'| over [x − e, x + e].
    fn function(
        self,
        declared: impl Fn(&Functions) -> f64,
        f: impl Fn(f64) -> f64,
        steepest: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let x = self.closed();
        let value = f(x.value);
        if x.is_certainly_nan() {
            return x;
        }
        if x.bound == f64::INFINITY {
            return Self::unknown(value);
        }
        // Limits at ±inf, NaN and poles; but an overflow even of double precision is none. Poles at 0 and to −inf are all there are.
        let overflows = value == f64::INFINITY && x.value.is_finite() && x.value != 0.0;
        // Where the argument is 0, or 1 to a logarithm, so that the result is 0 or 1, IEC 60559 (annex F of the C standard) has the
        // result exact, its sign included.
        let landmark = x.value == 0.0 && (value == 0.0 || value == 1.0) || x.value == 1.0 && value == 0.0;
        if x.is_exact() && !overflows && (!x.value.is_finite() || !value.is_finite() || landmark) {
            return Self::exact(value);
        }
        if overflows && x.overflow == 0 {
            let aside = x.bound + x.value.abs() * LITTLE;
            let (below, above) = (f(x.value - aside), f(x.value + aside));
            return if below == above { Self::beyond_double(value, below) } else { Self::unknown(value) };
        }
        let brought = |e: f64| if e == 0.0 { 0.0 } else { e * steepest(x.value, e) };
        let (mut bound, mut likely) = (brought(x.bound), brought(x.likely));
        // The value itself comes from the system's library.
        let roundings = 2.0 * declared(&declaration().functions).max(declared(&Functions::SYSTEM));
        // What the argument remains of, the result does, as steep as the function is there.
        let of_argument = steepest(x.value, 0.0) * x.scale;
        let (count, scale) = if of_argument >= value.abs() { (x.count, of_argument) } else { (1.0, value.abs()) };
        if x.overflow == 0 {
            let result = Self::rounded(value, bound, likely, NO_GRAIN, roundings);
            return if scale.is_finite() { result.of_terms(count, scale) } else { result };
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
