//! One register of elements, and what can be done with all its lanes at once: the part of pulp that the kernels use, under
//! the same names for `f32` and `f64`.

use super::{Simd, beyond_pulp};
use crate::memory::Recycled;
use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
use std::slice;

/// No instruction set has registers of more elements.
pub const MOST_LANES: usize = 16;

/// The largest integer that [`Lanes::count`] tells.
pub const MOST_COUNT: usize = (1 << 22) - 1;

/// The registers that fill a slice of uninitialised memory, and the elements that are left over.
pub type UninitRegisters<'a, T, S> = (&'a mut [MaybeUninit<<T as Lanes>::Register<S>>], &'a mut [MaybeUninit<T>]);

/// An element type, and the registers that hold several.
pub trait Lanes:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + From<u8>
    + bytemuck::Pod
    + Recycled
    + 'static
{
    /// As many elements as a register of the instruction set holds.
    type Register<S: Simd>: bytemuck::Pod + Send + Sync;

    const ZERO: Self;
    const HALF: Self;
    const ONE: Self;
    const TWO: Self;
    /// The smallest normal number.
    const SMALLEST_NORMAL: Self;
    const MAX: Self;

    fn lanes<S: Simd>() -> usize;

    /// In double precision.
    fn widen(self) -> f64;
    /// The nearest number of this type.
    fn narrow(wide: f64) -> Self;
    fn magnitude(self) -> Self;
    fn is_nan(self) -> bool;

    /// The registers that fill a slice, and the elements that are left over.
    fn registers<S: Simd>(slice: &[Self]) -> (&[Self::Register<S>], &[Self]);
    fn registers_mut<S: Simd>(slice: &mut [Self]) -> (&mut [Self::Register<S>], &mut [Self]);
    fn uninit_registers_mut<S: Simd>(slice: &mut [MaybeUninit<Self>]) -> UninitRegisters<'_, Self, S>;
    /// A register whose first lanes are the slice's elements (fewer than it has lanes), the others 0.
    fn load_partial<S: Simd>(s: S, slice: &[Self]) -> Self::Register<S>;
    fn store_partial<S: Simd>(s: S, slice: &mut [Self], x: Self::Register<S>);

    fn splat<S: Simd>(s: S, x: Self) -> Self::Register<S>;
    fn negated<S: Simd>(s: S, x: Self::Register<S>) -> Self::Register<S>;
    fn plus<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    fn minus<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    fn times<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    fn over<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// a·b + c: rounded once where the instruction set has a fused multiply-add, twice where it has not.
    fn multiply_add<S: Simd>(
        s: S,
        a: Self::Register<S>,
        b: Self::Register<S>,
        c: Self::Register<S>,
    ) -> Self::Register<S>;
    /// `then` in the lanes of the pair (a, b) where a < b (so not where either is NaN), `otherwise` in the others.
    fn where_less<S: Simd>(
        s: S,
        pair: (Self::Register<S>, Self::Register<S>),
        then: Self::Register<S>,
        otherwise: Self::Register<S>,
    ) -> Self::Register<S>;
    /// `then` in the lanes of the pair (a, b) where a ≤ b (so not where either is NaN), `otherwise` in the others.
    fn where_less_or_equal<S: Simd>(
        s: S,
        pair: (Self::Register<S>, Self::Register<S>),
        then: Self::Register<S>,
        otherwise: Self::Register<S>,
    ) -> Self::Register<S>;
    /// `then` in the lanes of the pair (a, b) where a = b, 0 in the others.
    fn where_equal<S: Simd>(
        s: S,
        pair: (Self::Register<S>, Self::Register<S>),
        then: Self::Register<S>,
    ) -> Self::Register<S>;
    /// a where a > b, b elsewhere, and so where either is NaN.
    fn larger<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// a where a < b, b elsewhere, and so where either is NaN.
    fn smaller<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// |x|.
    fn absolute<S: Simd>(s: S, x: Self::Register<S>) -> Self::Register<S>;
    /// Whether any lane is NaN.
    fn any_nan<S: Simd>(s: S, x: Self::Register<S>) -> bool;
    /// The sum of all lanes.
    fn sum<S: Simd>(s: S, x: Self::Register<S>) -> Self;

    /// Lanes 0, 2, 4 … of a, and then those of b.
    fn even<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// Lanes 1, 3, 5 … of a, and then those of b.
    fn odd<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// Lane 0 of a, lane 0 of b, lane 1 of a …, in two registers.
    fn in_turn<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> [Self::Register<S>; 2];
    /// 0, 1, 2 …
    #[inline(always)]
    fn counting<S: Simd>(s: S) -> Self::Register<S> {
        let mut counting = Self::splat(s, Self::ZERO);
        let lanes = bytemuck::cast_slice_mut::<_, Self>(slice::from_mut(&mut counting));
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = Self::narrow(i as f64);
        }
        counting
    }

    /// The integer that a number is, of 0 to [`MOST_COUNT`].
    fn count(self) -> u32;

    /// A register of whole numbers, of as many bytes.
    #[inline(always)]
    fn load_bytes<S: Simd>(s: S, bytes: &[u8]) -> Self::Register<S> {
        let mut numbers = Self::splat(s, Self::ZERO);
        // pulp cannot convert; the compiler makes one conversion of these.
        let lanes = bytemuck::cast_slice_mut::<_, Self>(slice::from_mut(&mut numbers));
        lanes.iter_mut().zip(bytes).for_each(|(number, byte)| *number = Self::from(*byte));
        numbers
    }

    /// A register of f64, of as many elements.
    fn load_wide<S: Simd>(s: S, elements: &[Self]) -> S::f64s;

    /// A number so large that its neighbours lie 1 apart: x + `ROUNDING` − `ROUNDING` is x, rounded to an integer n. The low
    /// bits of n + `ROUNDING` are the biased exponent of 2ⁿ⁻¹.
    const ROUNDING: Self;
    /// 2ⁿ⁻¹ of n + `ROUNDING`; infinity where n − 1 is one more than the largest exponent.
    fn half_power_of_two<S: Simd>(s: S, shifted: Self::Register<S>) -> Self::Register<S>;
    /// Two normal numbers whose product is 2ⁿ, of n + `ROUNDING`. Two, since one alone could not hold the power of a result
    /// that is subnormal, nor that of one just below the largest number.
    fn powers_of_two<S: Simd>(s: S, shifted: Self::Register<S>) -> (Self::Register<S>, Self::Register<S>);
    /// k and m with x = m·2ᵏ, m in [√½, √2), of a positive normal number.
    fn power_and_rest<S: Simd>(s: S, x: Self::Register<S>) -> (Self::Register<S>, Self::Register<S>);
}

impl Lanes for f32 {
    type Register<S: Simd> = S::f32s;

    const ZERO: Self = 0.0;
    const HALF: Self = 0.5;
    const ONE: Self = 1.0;
    const TWO: Self = 2.0;
    const SMALLEST_NORMAL: Self = Self::MIN_POSITIVE;
    const MAX: Self = Self::MAX;
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
    fn where_equal<S: Simd>(s: S, (a, b): (S::f32s, S::f32s), then: S::f32s) -> S::f32s {
        s.select_f32s(s.equal_f32s(a, b), then, s.splat_f32s(0.0))
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
    fn any_nan<S: Simd>(s: S, x: S::f32s) -> bool {
        // Whether there is one, and not which: that instruction sets count from different ends.
        s.first_true_m32s(s.not_m32s(s.equal_f32s(x, x))) < S::F32_LANES
    }
    #[inline(always)]
    fn sum<S: Simd>(s: S, x: S::f32s) -> Self {
        s.reduce_sum_f32s(x)
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
    fn in_turn<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        beyond_pulp::in_turn_f32(s, a, b)
    }
    #[inline(always)]
    fn count(self) -> u32 {
        // From 2²³ on, neighbours lie 1 apart: the integer stands in the low bits. A conversion would look for numbers that are none.
        (self + 8_388_608.0).to_bits() & 0x007F_FFFF
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

impl Lanes for f64 {
    type Register<S: Simd> = S::f64s;

    const ZERO: Self = 0.0;
    const HALF: Self = 0.5;
    const ONE: Self = 1.0;
    const TWO: Self = 2.0;
    const SMALLEST_NORMAL: Self = Self::MIN_POSITIVE;
    const MAX: Self = Self::MAX;
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
    fn where_equal<S: Simd>(s: S, (a, b): (S::f64s, S::f64s), then: S::f64s) -> S::f64s {
        s.select_f64s(s.equal_f64s(a, b), then, s.splat_f64s(0.0))
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
    fn any_nan<S: Simd>(s: S, x: S::f64s) -> bool {
        s.first_true_m64s(s.not_m64s(s.equal_f64s(x, x))) < S::F64_LANES
    }
    #[inline(always)]
    fn sum<S: Simd>(s: S, x: S::f64s) -> Self {
        s.reduce_sum_f64s(x)
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
    fn in_turn<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> [S::f64s; 2] {
        beyond_pulp::in_turn_f64(s, a, b)
    }
    #[inline(always)]
    fn count(self) -> u32 {
        (self + 4_503_599_627_370_496.0).to_bits() as u32
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
        // pulp has no shifts of 64-bit lanes, so the lanes are shifted one by one, which the compiler joins.
        let mut bits = s.transmute_u64s_f64s(shifted);
        bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut bits)).iter_mut().for_each(|lane| *lane <<= 52);
        s.transmute_f64s_u64s(bits)
    }
    #[inline(always)]
    fn powers_of_two<S: Simd>(s: S, shifted: S::f64s) -> (S::f64s, S::f64s) {
        // As for f32; but pulp has no shifts of 64-bit lanes, so the lanes are shifted one by one, which the compiler joins.
        let offset = (Self::ROUNDING.to_bits()).wrapping_sub(2046);
        let exponents = s.sub_u64s(s.transmute_u64s_f64s(shifted), s.splat_u64s(offset));
        let mut low = exponents;
        bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut low)).iter_mut().for_each(|lane| *lane >>= 1);
        let mut high = s.sub_u64s(exponents, low);
        bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut low)).iter_mut().for_each(|lane| *lane <<= 52);
        bytemuck::cast_slice_mut::<_, u64>(slice::from_mut(&mut high)).iter_mut().for_each(|lane| *lane <<= 52);
        (s.transmute_f64s_u64s(low), s.transmute_f64s_u64s(high))
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
