//! A number with its derivative, over any [`Real`]: over [`crate::bounded::Bounded`], a derivative that knows its bound.

use crate::bounded::Bounded;
use reference::{Condition, Real};
use std::ops::{Add, Div, Mul, Neg, Sub};
use vocabulary::Scalar;

/// x + x'ε with ε² = 0, both parts bounded.
///
/// [`reference::Dual`] gives the derivative that is checked; this gives the distance by which rounding may have moved it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tangent<const WIDE: bool = false> {
    value: Bounded<WIDE>,
    derivative: Bounded<WIDE>,
}

impl<const WIDE: bool> Tangent<WIDE> {
    /// A number that depends on the coordinate with slope 1.
    pub fn coordinate(value: f64) -> Self {
        Self { value: Bounded::exact(value), derivative: Bounded::exact(1.0) }
    }

    /// The derivative, settled.
    pub fn derivative(self) -> Bounded<WIDE> {
        self.derivative.settled()
    }

    /// f(x) + f'(x)·x'ε.
    fn chain(self, value: Bounded<WIDE>, slope: Bounded<WIDE>) -> Self {
        Self { value, derivative: slope * self.derivative }
    }
}

impl<const WIDE: bool> Scalar for Tangent<WIDE> {
    fn from_f64(value: f64) -> Self {
        Self { value: Bounded::from_f64(value), derivative: Bounded::exact(0.0) }
    }
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
}

impl<const WIDE: bool> Neg for Tangent<WIDE> {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, derivative: -self.derivative }
    }
}

impl<const WIDE: bool> Add for Tangent<WIDE> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, derivative: self.derivative + other.derivative }
    }
}

impl<const WIDE: bool> Sub for Tangent<WIDE> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl<const WIDE: bool> Mul for Tangent<WIDE> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let derivative = self.derivative * other.value + self.value * other.derivative;
        Self { value: self.value * other.value, derivative }
    }
}

impl<const WIDE: bool> Div for Tangent<WIDE> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value;
        Self { value: quotient, derivative: (self.derivative - quotient * other.derivative) / other.value }
    }
}

impl<const WIDE: bool> Real for Tangent<WIDE> {
    type Wide = Tangent<true>;

    fn widen(self) -> Tangent<true> {
        Tangent { value: self.value.widen(), derivative: self.derivative.widen() }
    }
    fn narrow(wide: Tangent<true>) -> Self {
        Self { value: Bounded::narrow(wide.value), derivative: Bounded::narrow(wide.derivative) }
    }
    fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value)
    }
    fn exp_m1(self) -> Self {
        self.chain(self.value.exp_m1(), self.value.exp())
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), Bounded::one() / self.value)
    }
    fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), Bounded::one() / (Bounded::one() + self.value))
    }
    fn tanh(self) -> Self {
        let value = self.value.tanh();
        self.chain(value, Bounded::one() - value * value)
    }
    fn sqrt(self) -> Self {
        let value = self.value.sqrt();
        self.chain(value, Bounded::one() / (Bounded::from_f64(2.0) * value))
    }
    fn powf(self, exponent: f64) -> Self {
        let slope = Bounded::from_f64(exponent) * self.value.powf(exponent - 1.0);
        self.chain(self.value.powf(exponent), slope)
    }
    fn less(self, other: Self) -> Condition {
        self.value.less(other.value)
    }
    fn less_or_equal(self, other: Self) -> Condition {
        self.value.less_or_equal(other.value)
    }
    fn select(condition: Condition, then: Self, otherwise: Self) -> Self {
        Self {
            value: Bounded::select(condition, then.value, otherwise.value),
            derivative: Bounded::select(condition, then.derivative, otherwise.derivative),
        }
    }
}
