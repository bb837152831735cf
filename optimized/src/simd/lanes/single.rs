//! f32.

use super::{Lanes, MOST_LANES, UninitRegisters};
use crate::simd::{Simd, beyond_pulp, look_up};
use std::mem::MaybeUninit;
use std::slice;

impl Lanes for f32 {
    type Register<S: Simd> = S::f32s;

    const ZERO: Self = 0.0;
    const HALF: Self = 0.5;
    const ONE: Self = 1.0;
    const TWO: Self = 2.0;
    const SMALLEST_NORMAL: Self = Self::MIN_POSITIVE;
    const MAX: Self = Self::MAX;
    const ROUNDING_TO_SIXTEENTHS: Self = 786_432.0;
    const ROUNDING: Self = 12_582_912.0 + 126.0;

    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        S::F32_LANES
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn narrow(wide: f64) -> Self {
        wide as Self
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn registers<S: Simd>(slice: &[Self]) -> (&[S::f32s], &[Self]) {
        S::as_simd_f32s(slice)
    }
    #[inline(always)]
    fn registers_mut<S: Simd>(slice: &mut [Self]) -> (&mut [S::f32s], &mut [Self]) {
        S::as_mut_simd_f32s(slice)
    }
    #[inline(always)]
    fn uninit_registers_mut<S: Simd>(slice: &mut [MaybeUninit<Self>]) -> UninitRegisters<'_, Self, S> {
        S::as_uninit_mut_simd_f32s(slice)
    }
    #[inline(always)]
    fn load_partial<S: Simd>(s: S, slice: &[Self]) -> S::f32s {
        s.partial_load_f32s(slice)
    }
    #[inline(always)]
    fn store_partial<S: Simd>(s: S, slice: &mut [Self], x: S::f32s) {
        s.partial_store_f32s(slice, x);
    }

    #[inline(always)]
    fn splat<S: Simd>(s: S, x: Self) -> S::f32s {
        s.splat_f32s(x)
    }
    #[inline(always)]
    fn negated<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        s.neg_f32s(x)
    }
    #[inline(always)]
    fn plus<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        s.add_f32s(a, b)
    }
    #[inline(always)]
    fn minus<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        s.sub_f32s(a, b)
    }
    #[inline(always)]
    fn times<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        s.mul_f32s(a, b)
    }
    #[inline(always)]
    fn over<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        s.div_f32s(a, b)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(s: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        s.mul_add_e_f32s(a, b, c)
    }
    #[inline(always)]
    fn where_less<S: Simd>(s: S, (a, b): (S::f32s, S::f32s), then: S::f32s, otherwise: S::f32s) -> S::f32s {
        s.select_f32s(s.less_than_f32s(a, b), then, otherwise)
    }
    #[inline(always)]
    fn where_less_or_equal<S: Simd>(s: S, (a, b): (S::f32s, S::f32s), then: S::f32s, otherwise: S::f32s) -> S::f32s {
        s.select_f32s(s.less_than_or_equal_f32s(a, b), then, otherwise)
    }
    #[inline(always)]
    fn plus_where<S: Simd>(s: S, sum: S::f32s, bytes: (&[u8], u8), x: S::f32s) -> S::f32s {
        beyond_pulp::plus_where_f32(s, sum, bytes, x)
    }
    #[inline(always)]
    fn larger<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        beyond_pulp::larger_f32(s, a, b)
    }
    #[inline(always)]
    fn smaller<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        beyond_pulp::smaller_f32(s, a, b)
    }
    #[inline(always)]
    fn absolute<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        s.abs_f32s(x)
    }
    #[inline(always)]
    fn any_less<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> bool {
        s.first_true_m32s(s.less_than_f32s(a, b)) < S::F32_LANES
    }
    #[inline(always)]
    fn any_nan<S: Simd>(s: S, x: S::f32s) -> bool {
        // Whether there is one, and not which: that instruction sets count from different ends.
        s.first_true_m32s(s.not_m32s(s.equal_f32s(x, x))) < S::F32_LANES
    }
    #[inline(always)]
    fn sum<S: Simd>(s: S, x: S::f32s) -> Self {
        s.reduce_sum_f32s(x)
    }
    #[inline(always)]
    fn largest<S: Simd>(s: S, x: S::f32s) -> Self {
        s.reduce_max_f32s(x)
    }
    #[inline(always)]
    fn even<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        beyond_pulp::every_second_f32::<S, 0>(s, a, b)
    }
    #[inline(always)]
    fn odd<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
        beyond_pulp::every_second_f32::<S, 1>(s, a, b)
    }
    #[inline(always)]
    fn one_further<S: Simd>(s: S, before: S::f32s, x: S::f32s) -> S::f32s {
        beyond_pulp::one_further_f32(s, before, x)
    }
    #[inline(always)]
    fn in_turn<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        beyond_pulp::in_turn_f32(s, a, b)
    }
    #[inline(always)]
    fn count(self) -> u32 {
        // From 2²³ on, neighbours lie 1 apart: the integer stands in the low bits. A conversion would look for numbers that are none.
        (self + 8_388_608.0).to_bits() & 0x007F_FFFF
    }
    #[inline(always)]
    fn bytes<S: Simd>(s: S, numbers: S::f32s) -> [u8; MOST_LANES] {
        beyond_pulp::bytes_of_f32(s, numbers)
    }
    #[inline(always)]
    fn load_wide<S: Simd>(s: S, elements: &[Self]) -> S::f64s {
        let mut wide = s.splat_f64s(0.0);
        // pulp cannot convert; the compiler makes one conversion of these.
        let lanes = bytemuck::cast_slice_mut::<_, f64>(slice::from_mut(&mut wide));
        lanes.iter_mut().zip(elements).for_each(|(wide, x)| *wide = x.widen());
        wide
    }
    #[inline(always)]
    fn half_power_of_two<S: Simd>(s: S, shifted: S::f32s) -> S::f32s {
        s.transmute_f32s_u32s(s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(shifted), s.splat_u32s(23)))
    }
    #[inline(always)]
    fn look_up<S: Simd>(s: S, table: &[Self; 16], places: S::f32s) -> S::f32s {
        look_up::look_up_f32(s, table, places)
    }
    #[inline(always)]
    fn raised_by_sixteenths<S: Simd>(s: S, y: S::f32s, shifted: S::f32s) -> S::f32s {
        let raise = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(shifted), s.splat_u32s(19));
        s.transmute_f32s_u32s(s.add_u32s(s.transmute_u32s_f32s(y), raise))
    }
    #[inline(always)]
    fn powers_of_two<S: Simd>(s: S, shifted: S::f32s) -> (S::f32s, S::f32s) {
        // n + 254 is positive; its halves, rounded down and up, are the two biased exponents.
        let offset = (Self::ROUNDING.to_bits()).wrapping_sub(254);
        let exponents = s.sub_u32s(s.transmute_u32s_f32s(shifted), s.splat_u32s(offset));
        let low = s.wrapping_dyn_shr_u32s(exponents, s.splat_u32s(1));
        let high = s.sub_u32s(exponents, low);
        let power = |exponent| s.transmute_f32s_u32s(s.wrapping_dyn_shl_u32s(exponent, s.splat_u32s(23)));
        (power(low), power(high))
    }
    #[inline(always)]
    fn times_power_of_floor<S: Simd>(s: S, y: S::f32s, x: S::f32s) -> S::f32s {
        beyond_pulp::times_power_of_floor_f32(s, y, x)
    }
    #[inline(always)]
    fn power_and_rest<S: Simd>(s: S, x: S::f32s) -> (S::f32s, S::f32s) {
        let (one, root) = (1.0_f32.to_bits(), std::f32::consts::FRAC_1_SQRT_2.to_bits());
        // From √½ on, the exponent is one larger.
        let raised = s.add_u32s(s.transmute_u32s_f32s(x), s.splat_u32s(one - root));
        // k + 127 in the low bits of 2²³.
        let exponent = s.or_u32s(s.wrapping_dyn_shr_u32s(raised, s.splat_u32s(23)), s.splat_u32s(0x4B00_0000));
        let k = s.sub_f32s(s.transmute_f32s_u32s(exponent), s.splat_f32s(8_388_608.0 + 127.0));
        let mantissa = s.and_u32s(raised, s.splat_u32s(0x007F_FFFF));
        (k, s.transmute_f32s_u32s(s.add_u32s(mantissa, s.splat_u32s(root))))
    }
}
