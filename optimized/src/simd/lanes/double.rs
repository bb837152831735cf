//! f64.

use super::{Lanes, MOST_LANES, UninitRegisters};
use crate::simd::{Simd, beyond_pulp, look_up};
use std::mem::MaybeUninit;
use std::slice;

impl Lanes for f64 {
    type Register<S: Simd> = S::f64s;

    const ZERO: Self = 0.0;
    const HALF: Self = 0.5;
    const ONE: Self = 1.0;
    const TWO: Self = 2.0;
    const SMALLEST_NORMAL: Self = Self::MIN_POSITIVE;
    const MAX: Self = Self::MAX;
    const ROUNDING_TO_SIXTEENTHS: Self = 422_212_465_065_984.0;
    const ROUNDING: Self = 6_755_399_441_055_744.0 + 1022.0;

    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        S::F64_LANES
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(wide: f64) -> Self {
        wide
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
    fn registers<S: Simd>(slice: &[Self]) -> (&[S::f64s], &[Self]) {
        S::as_simd_f64s(slice)
    }
    #[inline(always)]
    fn registers_mut<S: Simd>(slice: &mut [Self]) -> (&mut [S::f64s], &mut [Self]) {
        S::as_mut_simd_f64s(slice)
    }
    #[inline(always)]
    fn uninit_registers_mut<S: Simd>(slice: &mut [MaybeUninit<Self>]) -> UninitRegisters<'_, Self, S> {
        S::as_uninit_mut_simd_f64s(slice)
    }
    #[inline(always)]
    fn load_partial<S: Simd>(s: S, slice: &[Self]) -> S::f64s {
        s.partial_load_f64s(slice)
    }
    #[inline(always)]
    fn store_partial<S: Simd>(s: S, slice: &mut [Self], x: S::f64s) {
        s.partial_store_f64s(slice, x);
    }

    #[inline(always)]
    fn splat<S: Simd>(s: S, x: Self) -> S::f64s {
        s.splat_f64s(x)
    }
    #[inline(always)]
    fn negated<S: Simd>(s: S, x: S::f64s) -> S::f64s {
        s.neg_f64s(x)
    }
    #[inline(always)]
    fn plus<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        s.add_f64s(a, b)
    }
    #[inline(always)]
    fn minus<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        s.sub_f64s(a, b)
    }
    #[inline(always)]
    fn times<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        s.mul_f64s(a, b)
    }
    #[inline(always)]
    fn over<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        s.div_f64s(a, b)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(s: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        s.mul_add_e_f64s(a, b, c)
    }
    #[inline(always)]
    fn where_less<S: Simd>(s: S, (a, b): (S::f64s, S::f64s), then: S::f64s, otherwise: S::f64s) -> S::f64s {
        s.select_f64s(s.less_than_f64s(a, b), then, otherwise)
    }
    #[inline(always)]
    fn where_less_or_equal<S: Simd>(s: S, (a, b): (S::f64s, S::f64s), then: S::f64s, otherwise: S::f64s) -> S::f64s {
        s.select_f64s(s.less_than_or_equal_f64s(a, b), then, otherwise)
    }
    #[inline(always)]
    fn plus_where<S: Simd>(s: S, sum: S::f64s, bytes: (&[u8], u8), x: S::f64s) -> S::f64s {
        beyond_pulp::plus_where_f64(s, sum, bytes, x)
    }
    #[inline(always)]
    fn larger<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        beyond_pulp::larger_f64(s, a, b)
    }
    #[inline(always)]
    fn smaller<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        beyond_pulp::smaller_f64(s, a, b)
    }
    #[inline(always)]
    fn absolute<S: Simd>(s: S, x: S::f64s) -> S::f64s {
        s.abs_f64s(x)
    }
    #[inline(always)]
    fn any_less<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> bool {
        s.first_true_m64s(s.less_than_f64s(a, b)) < S::F64_LANES
    }
    #[inline(always)]
    fn any_nan<S: Simd>(s: S, x: S::f64s) -> bool {
        s.first_true_m64s(s.not_m64s(s.equal_f64s(x, x))) < S::F64_LANES
    }
    #[inline(always)]
    fn sum<S: Simd>(s: S, x: S::f64s) -> Self {
        s.reduce_sum_f64s(x)
    }
    #[inline(always)]
    fn largest<S: Simd>(s: S, x: S::f64s) -> Self {
        s.reduce_max_f64s(x)
    }
    #[inline(always)]
    fn even<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        beyond_pulp::every_second_f64::<S, 0>(s, a, b)
    }
    #[inline(always)]
    fn odd<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
        beyond_pulp::every_second_f64::<S, 1>(s, a, b)
    }
    #[inline(always)]
    fn one_further<S: Simd>(s: S, before: S::f64s, x: S::f64s) -> S::f64s {
        beyond_pulp::one_further_f64(s, before, x)
    }
    #[inline(always)]
    fn in_turn<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> [S::f64s; 2] {
        beyond_pulp::in_turn_f64(s, a, b)
    }
    #[inline(always)]
    fn count(self) -> u32 {
        (self + 4_503_599_627_370_496.0).to_bits() as u32
    }
    #[inline(always)]
    fn bytes<S: Simd>(s: S, numbers: S::f64s) -> [u8; MOST_LANES] {
        beyond_pulp::bytes_of_f64(s, numbers)
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
    fn half_power_of_two<S: Simd>(s: S, shifted: S::f64s) -> S::f64s {
        s.transmute_f64s_u64s(shifted_left::<S, 52>(s.transmute_u64s_f64s(shifted)))
    }
    #[inline(always)]
    fn look_up<S: Simd>(s: S, table: &[Self; 16], places: S::f64s) -> S::f64s {
        look_up::look_up_f64(s, table, places)
    }
    #[inline(always)]
    fn raised_by_sixteenths<S: Simd>(s: S, y: S::f64s, shifted: S::f64s) -> S::f64s {
        let raise = shifted_left::<S, 48>(s.transmute_u64s_f64s(shifted));
        s.transmute_f64s_u64s(s.add_u64s(s.transmute_u64s_f64s(y), raise))
    }
    #[inline(always)]
    fn powers_of_two<S: Simd>(s: S, shifted: S::f64s) -> (S::f64s, S::f64s) {
        // As for f32.
        let offset = (Self::ROUNDING.to_bits()).wrapping_sub(2046);
        let exponents = s.sub_u64s(s.transmute_u64s_f64s(shifted), s.splat_u64s(offset));
        let mut low = exponents;
        bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut low)).iter_mut().for_each(|lane| *lane >>= 1);
        let high = s.sub_u64s(exponents, low);
        let power = |exponent| s.transmute_f64s_u64s(shifted_left::<S, 52>(exponent));
        (power(low), power(high))
    }
    #[inline(always)]
    fn times_power_of_floor<S: Simd>(s: S, y: S::f64s, x: S::f64s) -> S::f64s {
        beyond_pulp::times_power_of_floor_f64(s, y, x)
    }
    #[inline(always)]
    fn power_and_rest<S: Simd>(s: S, x: S::f64s) -> (S::f64s, S::f64s) {
        // As for f32, lane by lane.
        let (one, root) = (1.0_f64.to_bits(), std::f64::consts::FRAC_1_SQRT_2.to_bits());
        let mut exponent = s.add_u64s(s.transmute_u64s_f64s(x), s.splat_u64s(one - root));
        let mantissa = s.and_u64s(exponent, s.splat_u64s(0x000F_FFFF_FFFF_FFFF));
        bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut exponent)).iter_mut().for_each(|lane| *lane >>= 52);
        let exponent = s.or_u64s(exponent, s.splat_u64s(0x4330_0000_0000_0000));
        let k = s.sub_f64s(s.transmute_f64s_u64s(exponent), s.splat_f64s(4_503_599_627_370_496.0 + 1023.0));
        (k, s.transmute_f64s_u64s(s.add_u64s(mantissa, s.splat_u64s(root))))
    }
}

/// pulp has no shifts of 64-bit lanes, so the lanes are shifted one by one, which the compiler joins.
#[inline(always)]
fn shifted_left<S: Simd, const BITS: u32>(mut lanes: S::u64s) -> S::u64s {
    bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut lanes)).iter_mut().for_each(|lane| *lane <<= BITS);
    lanes
}
