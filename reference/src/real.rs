//! The numbers that every formula is written over.

use num_dual::{Dual64, DualNum};
use std::ops::{Add, Div, Mul, Neg, Sub};
use vocabulary::Scalar;

/// The answer to a comparison of two [`Real`]s.
///
/// Plain numbers answer `True` or `False`; a number that knows itself only to within a bound may have to say `Either`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It holds.
    True,
    /// It does not hold; so also where NaN is compared.
    False,
    /// The numbers lie closer than their bounds: both branches count as right.
    Either,
}

impl From<bool> for Condition {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A number that formulas are written over: `f32` and `f64` compute them, [`Dual`] differentiates them exactly,
/// and a type that carries an error bound beside its value judges other implementations of them.
///
/// ```
/// use reference::{Dual, Real};
/// fn square<T: Real>(x: T) -> T {
///     x * x
/// }
/// assert_eq!(square(3.0_f32), 9.0);
/// assert_eq!(square(Dual::new(3.0, 1.0)).derivative(), 6.0); // d(x²)/dx at 3
/// ```
pub trait Real:
    Scalar
    + PartialEq
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// The type in which statistics are carried: the wider of this type and `f64`.
    type Wide: Real<Wide = Self::Wide>;

    /// The same number in the wider type.
    fn widen(self) -> Self::Wide;
    /// The nearest number of this type.
    fn narrow(wide: Self::Wide) -> Self;

    /// x − μ for a mean μ in the wider type, rounded once.
    fn centred_about(self, mean: Self::Wide) -> Self {
        Self::narrow(self.widen() - mean)
    }

    /// eˣ.
    fn exp(self) -> Self;
    /// eˣ − 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// ln(1 + x), accurate near 0.
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// xʸ for a constant y.
    fn powf(self, exponent: f64) -> Self;

    /// Whether `self < other`.
    fn less(self, other: Self) -> Condition;
    /// Whether `self ≤ other`.
    fn less_or_equal(self, other: Self) -> Condition;
    /// `then` where the condition holds, `otherwise` where it does not.
    fn select(condition: Condition, then: Self, otherwise: Self) -> Self;

    /// `self − other` as a number of its own, rounded before anything else is done with it: what cancels, cancels first.
    fn difference(self, other: Self) -> Self {
        self - other
    }

    /// The same number written in another way, which other implementations use; [`Real`]s compute the first way. A number
    /// that bounds such an implementation has to admit both.
    fn or_written(self, _other: impl FnOnce() -> Self) -> Self {
        self
    }

    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> Condition {
        self.to_f64().is_finite().into()
    }

    /// The same number, where PyTorch gives NaN in some places and the number in others.
    fn or_nan(self) -> Self {
        self
    }

    /// |x|.
    fn abs(self) -> Self {
        Self::select(self.less(Self::zero()), -self, self)
    }
    /// 1 above 0, −1 below; 0 at 0 and, as in PyTorch, at NaN.
    fn sign(self) -> Self {
        let negative = Self::select(self.less(Self::zero()), -Self::one(), Self::zero());
        Self::select(Self::zero().less(self), Self::one(), negative)
    }
    /// The smaller of two numbers; the second where either is NaN.
    fn minimum(a: Self, b: Self) -> Self {
        Self::select(a.less(b), a, b)
    }
    /// The larger of two numbers; the second where either is NaN.
    fn maximum(a: Self, b: Self) -> Self {
        Self::select(b.less(a), a, b)
    }
    /// 0.
    fn zero() -> Self {
        Self::from_f64(0.0)
    }
    /// 1.
    fn one() -> Self {
        Self::from_f64(1.0)
    }
    /// A number of things.
    fn from_count(count: usize) -> Self {
        Self::from_f64(count as f64)
    }
    /// The sum of the terms, from the first to the last.
    fn sum(terms: impl Iterator<Item = Self>) -> Self {
        terms.fold(Self::zero(), |sum, term| sum + term)
    }
}

macro_rules! float {
    ($type:ident) => {
        impl Real for $type {
            type Wide = f64;

            fn widen(self) -> f64 {
                f64::from(self)
            }
            fn narrow(wide: f64) -> Self {
                wide as Self
            }
            fn exp(self) -> Self {
                $type::exp(self)
            }
            fn exp_m1(self) -> Self {
                $type::exp_m1(self)
            }
            fn ln(self) -> Self {
                $type::ln(self)
            }
            fn ln_1p(self) -> Self {
                $type::ln_1p(self)
            }
            fn tanh(self) -> Self {
                $type::tanh(self)
            }
            fn abs(self) -> Self {
                $type::abs(self)
            }
            fn sqrt(self) -> Self {
                $type::sqrt(self)
            }
            fn powf(self, exponent: f64) -> Self {
                $type::powf(self, exponent as Self)
            }
            fn less(self, other: Self) -> Condition {
                (self < other).into()
            }
            fn less_or_equal(self, other: Self) -> Condition {
                (self <= other).into()
            }
            fn select(condition: Condition, then: Self, otherwise: Self) -> Self {
                if condition == Condition::True { then } else { otherwise }
            }
        }
    };
}
float!(f32);
float!(f64);

/// A dual number as an element of tensors: `x + x'ε` with ε² = 0. Comparisons are by value.
///
/// It wraps [`num_dual::Dual64`] because a tensor's elements must be [`Scalar`]s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual(pub Dual64);

impl Dual {
    /// The number `value + derivative·ε`.
    pub fn new(value: f64, derivative: f64) -> Self {
        Self(Dual64::new(value, derivative))
    }

    /// The derivative.
    pub fn derivative(self) -> f64 {
        self.0.eps
    }
}

impl Scalar for Dual {
    fn from_f64(value: f64) -> Self {
        Self::new(value, 0.0)
    }
    fn to_f64(self) -> f64 {
        self.0.re
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

macro_rules! dual_operator {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Dual {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
    )*};
}
dual_operator!(Add add, Sub sub, Mul mul, Div div);

impl Real for Dual {
    type Wide = Self;

    fn widen(self) -> Self {
        self
    }
    fn narrow(wide: Self) -> Self {
        wide
    }
    fn exp(self) -> Self {
        Self(self.0.exp())
    }
    fn exp_m1(self) -> Self {
        Self(self.0.exp_m1())
    }
    fn ln(self) -> Self {
        Self(self.0.ln())
    }
    fn ln_1p(self) -> Self {
        Self(self.0.ln_1p())
    }
    fn tanh(self) -> Self {
        Self(self.0.tanh())
    }
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    fn powf(self, exponent: f64) -> Self {
        Self(self.0.powf(exponent))
    }
    fn less(self, other: Self) -> Condition {
        (self.0.re < other.0.re).into()
    }
    fn less_or_equal(self, other: Self) -> Condition {
        (self.0.re <= other.0.re).into()
    }
    fn select(condition: Condition, then: Self, otherwise: Self) -> Self {
        if condition == Condition::True { then } else { otherwise }
    }
}
