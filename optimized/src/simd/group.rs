//! Several registers that take each step of a function together.
//!
//! The plain way is a function of one register after the other. But the steps of an exponential wait for one another, some four cycles
//! each, and a machine looks only so far ahead for others that need not: of registers that take turns step by step, the next is always
//! near. tanh of 65,536 f32 takes 21 µs by groups of eight on one thread of Zen 5, 28 one register after the other; in `f64` 55 and 76.

use super::{Lanes, Simd};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Registers that take each step of a long function together. On Zen 5, half as much is gained in groups of 4, and nothing in groups of 16.
pub const LONG: usize = 8;

/// The same of a short function, and of one of so many numbers at a time that eight registers of each are more than a machine has:
/// BCELoss's two logarithms take 1.1 times as long by eight there.
pub const SHORT: usize = 4;

/// N registers. Operators and methods are those of [`Lanes`], of each register; a number stands for registers that are full of it.
#[derive(Clone, Copy)]
pub struct Group<T: Lanes, S: Simd, const N: usize> {
    s: S,
    registers: [T::Register<S>; N],
}

impl<T: Lanes, S: Simd, const N: usize> Group<T, S, N> {
    #[inline(always)]
    pub fn new(s: S, registers: [T::Register<S>; N]) -> Self {
        Self { s, registers }
    }

    /// As many registers that are full of a number.
    #[inline(always)]
    pub fn full(self, x: T) -> Self {
        Self { s: self.s, registers: [T::splat(self.s, x); N] }
    }

    #[inline(always)]
    pub fn simd(self) -> S {
        self.s
    }

    #[inline(always)]
    pub fn registers(self) -> [T::Register<S>; N] {
        self.registers
    }

    /// [`Lanes::look_up`] at places that these lanes tell.
    #[inline(always)]
    pub fn look_up(self, table: &[T; 16]) -> Self {
        let mut to = self;
        for i in 0..N {
            to.registers[i] = T::look_up(self.s, table, self.registers[i]);
        }
        to
    }

    /// k and m of [`Lanes::power_and_rest`].
    #[inline(always)]
    pub fn power_and_rest(self) -> (Self, Self) {
        let (mut power, mut rest) = (self, self);
        for i in 0..N {
            (power.registers[i], rest.registers[i]) = T::power_and_rest(self.s, self.registers[i]);
        }
        (power, rest)
    }
}

impl<T: Lanes, S: Simd> Group<T, S, 1> {
    /// Of one register.
    #[inline(always)]
    pub fn one(s: S, register: T::Register<S>) -> Self {
        Self { s, registers: [register] }
    }

    /// Its register.
    #[inline(always)]
    pub fn register(self) -> T::Register<S> {
        let [register] = self.registers;
        register
    }
}

/// A group, or a number.
pub trait Operand<T: Lanes, S: Simd, const N: usize>: Copy {
    /// The register at a place of the group.
    fn at(self, s: S, i: usize) -> T::Register<S>;
}

impl<T: Lanes, S: Simd, const N: usize> Operand<T, S, N> for Group<T, S, N> {
    #[inline(always)]
    fn at(self, _: S, i: usize) -> T::Register<S> {
        self.registers[i]
    }
}

impl<T: Lanes, S: Simd, const N: usize> Operand<T, S, N> for T {
    #[inline(always)]
    fn at(self, s: S, _: usize) -> T::Register<S> {
        T::splat(s, self)
    }
}

/// Methods of a group that are functions of [`Lanes`], register by register: of the group itself, and of operands in turn.
macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident($($operand:ident),*) = $function:ident($($argument:tt),*);)*) => {
        impl<T: Lanes, S: Simd, const N: usize> Group<T, S, N> {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub fn $method(self, $($operand: impl Operand<T, S, N>),*) -> Self {
                    let mut to = self;
                    for i in 0..N {
                        to.registers[i] = T::$function(self.s, $(methods!(@ self i $argument)),*);
                    }
                    to
                }
            )*
        }
    };
    (@ $self:ident $i:ident ($a:ident, $b:ident)) => { (methods!(@ $self $i $a), methods!(@ $self $i $b)) };
    (@ $self:ident $i:ident this) => { $self.registers[$i] };
    (@ $self:ident $i:ident $operand:ident) => { $operand.at($self.s, $i) };
}

methods! {
    /// self·b + c, see [`Lanes::multiply_add`].
    multiply_add(b, c) = multiply_add(this, b, c);
    /// self where it is larger than b, b elsewhere, and so where either is NaN.
    larger(b) = larger(this, b);
    /// self, or b where self is smaller; self where either is NaN.
    at_least(b) = larger(b, this);
    /// self, or b where self is larger; self where either is NaN.
    at_most(b) = smaller(b, this);
    /// |self|.
    absolute() = absolute(this);
    /// `then` where self < b, `otherwise` elsewhere, and so where either is NaN.
    where_less(b, then, otherwise) = where_less((this, b), then, otherwise);
    /// `then` where self ≤ b, `otherwise` elsewhere, and so where either is NaN.
    where_less_or_equal(b, then, otherwise) = where_less_or_equal((this, b), then, otherwise);
    /// [`Lanes::half_power_of_two`].
    half_power_of_two() = half_power_of_two(this);
    /// [`Lanes::raised_by_sixteenths`].
    raised_by_sixteenths(shifted) = raised_by_sixteenths(this, shifted);
    /// [`Lanes::times_power_of_two`].
    times_power_of_two(shifted) = times_power_of_two(this, shifted);
    /// [`Lanes::times_power_of_floor`].
    times_power_of_floor(x) = times_power_of_floor(this, x);
}

/// Operators that are functions of [`Lanes`], register by register.
macro_rules! operators {
    ($($operator:ident, $method:ident = $function:ident;)*) => {$(
        impl<T: Lanes, S: Simd, B: Operand<T, S, N>, const N: usize> $operator<B> for Group<T, S, N> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, b: B) -> Self {
                let mut to = self;
                for i in 0..N {
                    to.registers[i] = T::$function(self.s, self.registers[i], b.at(self.s, i));
                }
                to
            }
        }
    )*};
}

operators! {
    Add, add = plus;
    Sub, sub = minus;
    Mul, mul = times;
    Div, div = over;
}

impl<T: Lanes, S: Simd, const N: usize> Neg for Group<T, S, N> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        let mut to = self;
        for i in 0..N {
            to.registers[i] = T::negated(self.s, self.registers[i]);
        }
        to
    }
}
