//! What formulas do with bounded numbers: the operations of [`Real`], each with the rule that the parent's page states.

use super::context::{arithmetic, declaration};
use super::{ANY_GRAIN, Bounded, CENTRED, Centring, LITTLE, NO_GRAIN, UNIT_64, certain_sign, grain_of, representable};
use reference::{Condition, Real};
use std::ops::{Add, Div, Mul, Neg, Sub};
use vocabulary::Scalar;

impl<const WIDE: bool> Scalar for Bounded<WIDE> {
    /// An option: an implementation may hold it in the type it computes in, so what that rounds away is bounded.
    fn from_f64(value: f64) -> Self {
        let narrow = arithmetic(false);
        let rounding = (value - f64::from(value as f32)).abs();
        // Beyond the type's largest number it is as good as infinite, or carried in double precision.
        let rounding = if narrow.unit > UNIT_64 && rounding.is_finite() { rounding } else { 0.0 };
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
            products: 0,
            scale: self.scale + other.scale,
            count: self.count + other.count,
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
        if a.is_certainly_nan() || b.is_certainly_nan() {
            return Self::exact(f64::NAN);
        }
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
        if (a.is_exactly(0.0) || b.is_exactly(0.0)) && a.overflow == 0 && b.overflow == 0 {
            return Self::exact(value).of_product(a, b);
        }
        let brought = |ea: f64, eb: f64| a.value.abs() * eb + b.value.abs() * ea + ea * eb;
        let before = a.products.saturating_add(b.products);
        let roundings = if declaration().products_in_any_order { 1.0 + f64::from(before) } else { 1.0 };
        let product = Self::rounded(value, brought(a.bound, b.bound), brought(a.likely, b.likely), grain, roundings);
        // What is exact altogether is exact in every order.
        let product = Self { products: if product.is_exact() { before.saturating_add(1) } else { 0 }, ..product };
        // Factors of certain signs have a product of a certain sign, however it is rounded.
        let product = product.one_sided([
            a.sides[0] * b.sides[0] + a.sides[1] * b.sides[1],
            a.sides[0] * b.sides[1] + a.sides[1] * b.sides[0],
        ]);
        product.of_product(a, b).or_infinity_of(a, b)
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
        if a.is_certainly_nan() || b.is_certainly_nan() {
            return Self::exact(f64::NAN);
        }
        if a.bound == f64::INFINITY || b.bound == f64::INFINITY || (b.bound > 0.0 && b.value.abs() <= b.bound) {
            return Self::unknown(value);
        }
        if b.overflow != 0 {
            if a.overflow != 0 || !a.value.is_finite() {
                return Self::unknown(value);
            }
            // By an infinity, or by what is not far from the largest number at least: from 0 to twice this.
            let quotient = (a.value.abs() + a.bound) / (b.value.abs() - b.bound).min(Self::arithmetic().largest);
            // Of the sign of either.
            return Self::rounded(0.0_f64.copysign(value), quotient, quotient, NO_GRAIN, 1.0).of_terms(1.0, quotient);
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
        quotient.of_quotient(a, b).or_infinity_of(a, b)
    }
}

impl<const WIDE: bool> Real for Bounded<WIDE> {
    type Wide = Bounded<true>;

    fn widen(self) -> Bounded<true> {
        let Self { value, bound, likely, sides, terms, grain, overflow, products, scale, count } = self.closed();
        Bounded { value, bound, likely, sides, terms, grain, overflow, products, scale, count }
    }

    fn narrow(wide: Bounded<true>) -> Self {
        let Bounded { value, bound, likely, sides, terms, grain, overflow, products, scale, count } = wide.closed();
        let same = Self { value, bound, likely, sides, terms, grain, overflow, products, scale, count };
        if WIDE || bound == f64::INFINITY || !value.is_finite() {
            return same;
        }
        let narrow = Self::rounded(value, bound, likely, grain, 1.0).of_terms(count, scale);
        if overflow == 0 { narrow } else { narrow.or_infinity(overflow) }
    }

    fn centred_about(self, mean: Bounded<true>) -> Self {
        let (narrow, declaration) = (arithmetic(false), declaration());
        let (x, mean) = (self.closed(), mean.closed());
        let difference = (x.widen() - mean).closed();
        let Bounded { value, bound, likely, grain, overflow, .. } = difference;
        // Centring is where values begin: what cancels in it is hardly a measure of them.
        let scale = value.abs() + CENTRED * (x.value.abs() + mean.value.abs());
        let difference = difference.of_terms(2.0, scale);
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
        Self::rounded(value, bound + more, likely + more, NO_GRAIN, roundings).of_terms(2.0, scale)
    }

    fn exp(self) -> Self {
        self.function(|k| k.exp, f64::exp, |x, e| (x + e).exp())
    }
    fn exp_m1(self) -> Self {
        self.function(|k| k.exp_m1, f64::exp_m1, |x, e| (x + e).exp())
    }
    fn ln(self) -> Self {
        self.function(|k| k.ln, f64::ln, |x, e| if x > e { 1.0 / (x - e) } else { f64::INFINITY })
    }
    fn ln_1p(self) -> Self {
        self.function(|k| k.ln_1p, f64::ln_1p, |x, e| if 1.0 + x > e { 1.0 / (1.0 + x - e) } else { f64::INFINITY })
    }
    fn tanh(self) -> Self {
        // sech² at the point of the interval that is nearest to 0.
        self.function(|k| k.tanh, f64::tanh, |x, e| 1.0 - (x.abs() - e).max(0.0).tanh().powi(2))
    }
    fn sqrt(self) -> Self {
        let x = self.closed();
        let value = x.value.sqrt();
        if x.is_certainly_nan() {
            return x;
        }
        // A square root of what may be negative is not known.
        let never_negative = x.sides[1] == 0.0;
        if x.bound == f64::INFINITY || (x.bound > 0.0 && x.value.abs() <= x.bound && !never_negative) {
            return Self::unknown(value);
        }
        if x.overflow < 0 || x.overflow > 0 && !value.is_finite() {
            return Self::unknown(value);
        }
        if !value.is_finite() || (x.value == 0.0 && x.is_exact()) {
            return Self::exact(value);
        }
        // √x − √(x − e) = e/(√x + √(x − e)), the larger of the two sides, unless x − e lies below 0.
        let brought = |e: f64| match e > x.value {
            true => value.max((x.value + e).sqrt() - value),
            false => e / (value + (x.value - e).sqrt()),
        };
        let root = Self::rounded(value, brought(x.bound), brought(x.likely), NO_GRAIN, 1.0).one_sided([1.0, 0.0]);
        if x.overflow == 0 { root } else { root.or_infinity(1) }
    }
    /// An exponent that is no number of the type is rounded to one: x^(y + δ) = x^y·(1 + δ·ln x + …), |δ| ≤ u·|y|.
    fn powf(self, exponent: f64) -> Self {
        let (x, narrow) = (self.closed(), arithmetic(false));
        let slope = |x: f64| (exponent * x.powf(exponent - 1.0)).abs();
        let power = self.function(
            |k| k.powf,
            |x| x.powf(exponent),
            |x, e| if x > e { slope(x - e).max(slope(x + e)) } else { f64::INFINITY },
        );
        let of_the_type = narrow.unit <= UNIT_64 || f64::from(exponent as f32) == exponent;
        let logarithm = (x.value - x.bound).ln().abs().max((x.value + x.bound).ln().abs());
        let share = logarithm * (exponent * narrow.unit).abs();
        if of_the_type || power.is_exact() || !power.bound.is_finite() {
            return power;
        }
        // e^s − 1 ≤ 2s as long as s ≤ 1.
        if share.is_nan() || share > 1.0 {
            return Self::unknown(power.value);
        }
        let more = 2.0 * share * power.value.abs();
        Self { bound: power.bound + more, likely: power.likely + more, ..power }
    }
    /// Rounded once under every declaration: see [`Real::difference`].
    fn difference(self, other: Self) -> Self {
        let (a, b) = (self.closed(), other.closed());
        let pair = a + -b;
        let difference = pair.closed();
        let exact = difference.is_exact() || !pair.value.is_finite() || !difference.bound.is_finite();
        if exact || difference.overflow != 0 {
            return difference;
        }
        let Self { count, scale, .. } = difference;
        Self::rounded(pair.value, pair.bound, pair.likely, NO_GRAIN, 1.0).of_terms(count, scale)
    }
    /// However uncertain the sign, ||a| − |b|| ≤ |a − b|.
    fn abs(self) -> Self {
        let _ = self.less(Self::zero());
        let closed = self.closed();
        // −0, too, has the magnitude 0.
        (if closed.value.is_sign_negative() { -closed } else { closed }).one_sided([1.0, 0.0])
    }
    /// Both forms are of one number, so they lie within both their bounds of each other. Where they do not, or are of different
    /// classes, one of them is written down wrong: then the first stands alone, lest the distance between them excuse it.
    fn or_written(self, other: impl FnOnce() -> Self) -> Self {
        if !declaration().other_forms {
            return self;
        }
        let (a, b) = (self.closed(), other().closed());
        let alike = a.value == b.value || a.value.is_nan() && b.value.is_nan();
        let both_finite = a.value.is_finite() && b.value.is_finite();
        let at_odds = if both_finite { (a.value - b.value).abs() > a.bound + b.bound } else { !alike };
        if at_odds || alike && a.is_exact() && b.is_exact() { a } else { Self::select(Condition::Either, a, b) }
    }

    fn is_finite(self) -> Condition {
        let closed = self.closed();
        match closed.value.is_finite() {
            false => Condition::False,
            true if closed.overflow != 0 || closed.bound == f64::INFINITY => Condition::Either,
            true => Condition::True,
        }
    }

    fn or_nan(self) -> Self {
        if declaration().other_forms { Self::unknown(f64::NAN) } else { self }
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
                Self::closed_at(a.value, bound, likely, NO_GRAIN).of_terms(a.count.max(b.count), a.scale.max(b.scale))
            }
        }
    }
}
