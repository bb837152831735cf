//! eˣ.
//!
//! The plain loop is `for x in xs { y = x.exp() }`, a call for each element. We depart from it:
//! 1. n = round(x/ln 2) and r = x − n·ln 2, so that eˣ = 2ⁿ·eʳ with |r| ≤ ½ln 2. Adding a large constant rounds, and leaves
//!    n in the low bits, ready to become an exponent: no instruction that only some machines have.
//! 2. ln 2 is held in two parts; the first is so short that n times it is exact, with or without a fused multiply-add.
//! 3. eʳ = 1 + r + r²·p(r), p near-minimax (its error is below 0.01 ulp); 1 + r is rounded, and what that drops is kept, so
//!    that only the last addition rounds at the scale of the result.
//! 4. 2ⁿ is multiplied by one instruction of AVX-512, elsewhere in two factors, so that results grow subnormal gradually, and the
//!    largest are reached.
//! 5. No lane branches: results beyond the range are chosen at the end, by comparisons that leave NaN as it is, or come of a nearer x.
//! 6. AVX-512 looks sixteen powers up in registers, so that n is one of whole sixteenths, |r| ≤ ln 2/32, and p short. What rounding
//!    drops of the powers is added to eʳ − 1, so that again only the last addition rounds at the scale of the result. But for
//!    subnormal results the error is below 0.6 ulps: half a unit, and a tenth of what is computed of growth below 2⁻⁵ in 24 bits. Softmax
//!    takes 0.8 of the time so on Zen 5. (Sigmoid, tanh and eˣ − 1 are of whole n.)

use super::{apply, polynomial, sixteenths};
use crate::Float;
use crate::counters::Counter;
use crate::kernels::elementwise::{FUNCTION_TASK, Map};
use crate::simd::{Group, Isa, LONG, Lanes, Simd};
use vocabulary::Result;

/// The largest error of [`exp`] in `f32`, in units in the last place of the exact result, at any instruction set: proven over
/// all 2³² inputs by `cargo run --release -p conformance --example function_errors`, which finds 0.7762 (in the subnormal results).
pub const EXP_ULPS_F32: f64 = 0.78;

/// The largest error of [`exp`] in `f64`, in units in the last place of the exact result, at any instruction set: measured
/// on a million inputs, against arithmetic of 140 bits, by `cargo run --release -p conformance --example function_errors`, which
/// finds 0.8034.
pub const EXP_ULPS_F64: f64 = 0.9;

/// Constants of the method, for each element type.
pub trait Exp: Lanes {
    const LOG2_E: Self;
    /// The leading bits of ln 2: so few that n times it is exact, n being whole.
    const LN_2_HIGH: Self;
    /// The rest.
    const LN_2_LOW: Self;
    /// p, the highest power first.
    const COEFFICIENTS: &'static [Self];
    /// The same for |r| ≤ ln 2/32.
    const SHORT: &'static [Self];
    /// 2^(j/16), rounded, and what that drops, in parts of it.
    const SIXTEENTHS: &'static [Self; 16];
    const LOST: &'static [Self; 16];
    /// Half the powers, less j sixteenths of an exponent.
    const HALVES: &'static [Self; 16];
    /// Above it, eˣ overflows.
    const HIGHEST: Self;
    /// Below it, eˣ is 0.
    const LOWEST: Self;
    const INFINITY: Self;
    /// Below it, 1 + eˣ is 1, by far; and eˣ is a normal number.
    const NEGLIGIBLE: Self;
    /// So far below 0 that eˣ − 1 is −1.
    const MINUS_ONE_BELOW: Self;
    /// Above `HIGHEST`; n is the exponent of infinity there, plus 1.
    const BEYOND: Self;
}

impl Exp for f32 {
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LN_2_HIGH: Self = 0.693_145_75; // 16 bits; |n| ≤ 150 has 8
    const LN_2_LOW: Self = 1.428_606_8e-6;
    const COEFFICIENTS: &'static [Self] =
        &[1.989_103e-4, 1.393_368_6e-3, 8.333_31e-3, 4.166_646_3e-2, 1.666_666_7e-1, 0.5];
    const SHORT: &'static [Self] = &[0.166_670_58, 0.500_016_2];
    const SIXTEENTHS: &'static [Self; 16] = &sixteenths::SINGLE_POWERS;
    const LOST: &'static [Self; 16] = &sixteenths::SINGLE_LOST;
    const HALVES: &'static [Self; 16] = &sixteenths::SINGLE_HALVES;
    const HIGHEST: Self = 88.722_84; // (2¹²⁸ − 2¹⁰³)'s logarithm, rounded up
    const LOWEST: Self = -103.972_08; // 2⁻¹⁵⁰'s, rounded up
    const INFINITY: Self = Self::INFINITY;
    const NEGLIGIBLE: Self = -80.0;
    const MINUS_ONE_BELOW: Self = -20.0;
    const BEYOND: Self = 89.415_985; // 129·ln 2
}

impl Exp for f64 {
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const LN_2_HIGH: Self = 0.693_147_180_559_890_3; // 42 bits; |n| ≤ 1075 has 11
    const LN_2_LOW: Self = 5.497_923_018_708_371e-14;
    const COEFFICIENTS: &'static [Self] = &[
        2.091_471_734_171_637_8e-9,
        2.510_525_953_844_849_4e-8,
        2.755_727_357_010_214e-7,
        2.755_725_529_796_964_3e-6,
        2.480_158_732_560_532_4e-5,
        1.984_126_987_490_126e-4,
        1.388_888_888_888_373e-3,
        8.333_333_333_326_112e-3,
        4.166_666_666_666_667e-2,
        1.666_666_666_666_667e-1,
        0.5,
    ];
    const SHORT: &'static [Self] = &[
        1.388_912_921_917_732_4e-3,
        8.333_472_062_038_745e-3,
        4.166_666_665_964_317e-2,
        1.666_666_666_441_336_3e-1,
        5.000_000_000_000_006e-1,
    ];
    const SIXTEENTHS: &'static [Self; 16] = &sixteenths::POWERS;
    const LOST: &'static [Self; 16] = &sixteenths::LOST;
    const HALVES: &'static [Self; 16] = &sixteenths::HALVES;
    const HIGHEST: Self = 709.782_712_893_384; // the logarithm of the largest number
    const LOWEST: Self = -745.133_219_101_941_2; // 2⁻¹⁰⁷⁵'s
    const INFINITY: Self = Self::INFINITY;
    const NEGLIGIBLE: Self = -700.0;
    const MINUS_ONE_BELOW: Self = -40.0;
    const BEYOND: Self = 710.475_860_073_943_9; // 1025·ln 2
}

/// x = n·ln 2 + r, |r| ≤ ½ln 2, of each lane whose n has 10 bits (f32) or 13; NaN of NaN.
pub(super) struct Reduced<G> {
    /// n + `ROUNDING`.
    pub shifted: G,
    /// r, rounded.
    pub r: G,
    /// What that drops.
    pub dropped: G,
}

#[inline(always)]
pub(super) fn reduced<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Reduced<Group<T, S, N>> {
    let shifted = x.multiply_add(T::LOG2_E, T::ROUNDING); // 1
    let n = shifted - T::ROUNDING;
    let exact = n.multiply_add(-T::LN_2_HIGH, x); // 2
    let r = n.multiply_add(-T::LN_2_LOW, exact);
    let dropped = n.multiply_add(-T::LN_2_LOW, exact - r);
    Reduced { shifted, r, dropped }
}

/// r²·p(r), so that eʳ = 1 + r + r²·p(r).
#[inline(always)]
pub(super) fn beyond_first_order<T: Exp, S: Simd, const N: usize>(r: Group<T, S, N>) -> Group<T, S, N> {
    r * r * polynomial(T::COEFFICIENTS, r)
}

/// y and n + `ROUNDING`, where eˣ = y·2ⁿ, of each lane whose n has 10 bits (f32) or 13; NaN of NaN.
#[inline(always)]
fn power<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> (Group<T, S, N>, Group<T, S, N>) {
    let Reduced { shifted, r, .. } = reduced(x);
    let p = polynomial(T::COEFFICIENTS, r);
    let sum = r + T::ONE; // 3
    let dropped = r - (sum - T::ONE);
    (sum + (r * r).multiply_add(p, dropped), shifted)
}

/// eˣ of each lane whose x is at least `NEGLIGIBLE`; NaN of NaN.
#[inline(always)]
pub(super) fn exp_of_not_negligible<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    // Beyond this bound, n − 1 is the exponent of infinity; far beyond it, it would not fit.
    let (y, shifted) = power(x.at_most(T::BEYOND));
    (y + y) * shifted.half_power_of_two()
}

/// eˣ of each lane, for any x.
#[inline(always)]
pub fn exp_of_any<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    x.full(T::HIGHEST).where_less(x, T::INFINITY, exp_without_overflow(x))
}

/// The same of each lane whose x is not above `HIGHEST`, such as one that a maximum was subtracted from; NaN of NaN.
#[inline(always)]
pub fn exp_without_overflow<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    if Isa::of::<S>() == Isa::V4 {
        let BySixteenths { n, r, places } = by_sixteenths(x.at_least(T::LOWEST - T::ONE)); // 5, 6
        let power = places.look_up(T::SIXTEENTHS);
        let growth = (r * r).multiply_add(polynomial(T::SHORT, r), r + places.look_up(T::LOST));
        return power.multiply_add(growth, power).times_power_of_floor(n); // 4
    }
    let (y, shifted) = power(x);
    x.where_less(T::LOWEST, T::ZERO, y.times_power_of_two(shifted)) // 4, 5
}

/// ½eˣ of each lane whose x is not above `HIGHEST`, but of those below `NEGLIGIBLE`, ½e^`NEGLIGIBLE`: for sums where neither counts.
/// NaN of NaN. What rounding drops is not kept, four steps less than 3, one by AVX-512: the largest error is 0.99 ulps in `f32` there,
/// 0.84 by others, 1.1 where there is no fused multiply-add, and that of e⁰, the largest power of a sum, is none. In `f64` it is 1 ulp
/// of what the system's eˣ gives.
#[inline(always)]
pub fn half_exp_of_sums<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> Group<T, S, N> {
    let x = x.at_least(T::NEGLIGIBLE);
    if Isa::of::<S>() == Isa::V4 {
        let BySixteenths { r, places, .. } = by_sixteenths(x);
        let power = places.look_up(T::HALVES).raised_by_sixteenths(places);
        let growth = (r * r).multiply_add(polynomial(T::SHORT, r), r);
        return power.multiply_add(growth, power);
    }
    let Reduced { shifted, r, .. } = reduced(x);
    let y = polynomial(T::COEFFICIENTS, r).multiply_add(r, T::ONE).multiply_add(r, T::ONE);
    y * shifted.half_power_of_two()
}

/// x = n·ln 2 + r, n of whole sixteenths, |r| ≤ ln 2/32, of each lane whose eˣ is a number or little smaller than any; NaN of NaN. It
/// needs a fused multiply-add: n times the first part of ln 2 has more bits than a number, but x less that has not.
struct BySixteenths<G> {
    n: G,
    /// r, rounded, which drops next to nothing of eʳ.
    r: G,
    /// n + `ROUNDING_TO_SIXTEENTHS`.
    places: G,
}

#[inline(always)]
fn by_sixteenths<T: Exp, S: Simd, const N: usize>(x: Group<T, S, N>) -> BySixteenths<Group<T, S, N>> {
    let places = x.multiply_add(T::LOG2_E, T::ROUNDING_TO_SIXTEENTHS);
    let n = places - T::ROUNDING_TO_SIXTEENTHS;
    let r = n.multiply_add(-T::LN_2_LOW, n.multiply_add(-T::LN_2_HIGH, x));
    BySixteenths { n, r, places }
}

#[derive(Clone, Copy)]
struct EveryExp;

impl<T: Exp> Map<T> for EveryExp {
    const COUNTER: Counter = Counter::Exp;
    const TASK: usize = FUNCTION_TASK;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        exp_of_any(x)
    }
}

/// eˣ of each element, with an error of at most [`EXP_ULPS_F32`] or [`EXP_ULPS_F64`].
///
/// e^NaN is NaN, e^∞ = ∞ and e^−∞ = 0; results below the smallest normal number are subnormal, and rounded twice.
///
/// # Errors
/// Where the machine lacks `isa`, or `output` is not as long as `input`.
///
/// ```
/// use optimized::{Isa, math};
/// let mut y = [0.0_f32; 3];
/// math::exp(Isa::best(), &[0.0, f32::NEG_INFINITY, f32::INFINITY], &mut y)?;
/// assert_eq!(y, [1.0, 0.0, f32::INFINITY]);
/// # Ok::<(), optimized::Error>(())
/// ```
pub fn exp<T: Float>(isa: Isa, input: &[T], output: &mut [T]) -> Result<()> {
    apply("exp", EveryExp, isa, input, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Kernel};

    /// ½eˣ, of as many elements as registers hold.
    struct Halves<'a, T>(&'a [T], &'a mut [T]);

    impl<T: Exp> Kernel for Halves<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            let (x, y) = (T::registers::<S>(self.0).0, T::registers_mut::<S>(self.1).0);
            for (x, y) in x.as_chunks::<2>().0.iter().zip(y.as_chunks_mut::<2>().0) {
                *y = half_exp_of_sums(Group::<T, S, 2>::new(s, *x)).registers();
            }
        }
    }

    /// The largest errors of 2·½eˣ over x from 0 down to −80: in units in the last place, and in units of roundoff of the power.
    fn largest_errors<T: Exp>(isa: Isa, digits: i32) -> [f64; 2] {
        let x: Vec<T> = (0..1 << 18).map(|i| T::narrow(-80.0 / f64::from(1 << 18) * f64::from(i))).collect();
        let mut y = vec![T::ZERO; x.len()];
        simd::run(isa, Halves(&x, &mut y));
        assert!(y[0] == T::HALF, "{isa}: e⁰");
        let mut largest = [0.0_f64; 2];
        for (x, y) in x.iter().zip(&y) {
            let exact = x.widen().exp();
            let error = (2.0 * y.widen() - exact).abs();
            let last_place = 2_f64.powi(exact.log2().floor() as i32 - digits);
            largest = [largest[0].max(error / last_place), largest[1].max(error / (exact * 2_f64.powi(-1 - digits)))];
        }
        largest
    }

    /// What is exact here is wrong by half a unit itself in `f64`.
    #[test]
    fn exponentials_of_sums_are_as_exact_as_stated() {
        for isa in Isa::available() {
            let [single, double] = [largest_errors::<f32>(isa, 23), largest_errors::<f64>(isa, 52)];
            let stated = match isa {
                Isa::Scalar => 1.1,
                Isa::V4 => 0.99,
                _ => 0.84,
            };
            assert!(single[0] <= stated && double[0] <= stated + 0.5, "{isa}: {single:?}, {double:?}");
            // As much as conformance holds powers to.
            assert!(single[1] <= 2.0 && double[1] <= 2.5, "{isa}: {single:?}, {double:?}");
        }
    }
}
