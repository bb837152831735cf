//! One register of elements, and what can be done with all its lanes at once: the part of pulp that the kernels use, under
//! the same names for `f32` and `f64`.

mod double;
mod single;

use super::Simd;
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
    /// A register whose first lanes are the slice's elements (fewer than it has lanes), the others those of `others`.
    #[inline(always)]
    fn load_partial_over<S: Simd>(s: S, slice: &[Self], others: Self::Register<S>) -> Self::Register<S> {
        let len = Self::splat(s, Self::narrow(slice.len() as f64));
        Self::where_less(s, (Self::counting(s), len), Self::load_partial(s, slice), others)
    }
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
    /// sum + x in the lanes whose byte, of as many, is the one given; sum in the others, or sum + 0.
    fn plus_where<S: Simd>(s: S, sum: Self::Register<S>, bytes: (&[u8], u8), x: Self::Register<S>)
    -> Self::Register<S>;
    /// a where a > b, b elsewhere, and so where either is NaN.
    fn larger<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// a where a < b, b elsewhere, and so where either is NaN.
    fn smaller<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// |x|.
    fn absolute<S: Simd>(s: S, x: Self::Register<S>) -> Self::Register<S>;
    /// Whether a < b in any lane.
    fn any_less<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> bool;
    /// Whether any lane is NaN.
    fn any_nan<S: Simd>(s: S, x: Self::Register<S>) -> bool;
    /// The sum of all lanes.
    fn sum<S: Simd>(s: S, x: Self::Register<S>) -> Self;
    /// The largest of all lanes, of which none is NaN.
    fn largest<S: Simd>(s: S, x: Self::Register<S>) -> Self;

    /// Lanes 0, 2, 4 … of a, and then those of b.
    fn even<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// Lanes 1, 3, 5 … of a, and then those of b.
    fn odd<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// The last lane of `before`, and then those of x but its last.
    fn one_further<S: Simd>(s: S, before: Self::Register<S>, x: Self::Register<S>) -> Self::Register<S>;
    /// Lane 0 of a, lane 0 of b, lane 1 of a …, in two registers.
    fn in_turn<S: Simd>(s: S, a: Self::Register<S>, b: Self::Register<S>) -> [Self::Register<S>; 2];
    /// Turns over a square of as many registers as they have lanes: lane i of register j comes to lane j of register i.
    #[inline(always)]
    fn turn_over<S: Simd, const LANES: usize>(s: S, square: &mut [Self::Register<S>; LANES]) {
        debug_assert_eq!(LANES, Self::lanes::<S>());
        // Registers of the one half and of the other in turn, as often as that takes each element to its place.
        for _ in 0..LANES.ilog2() {
            let from = *square;
            for i in 0..LANES / 2 {
                [square[2 * i], square[2 * i + 1]] = Self::in_turn(s, from[i], from[i + LANES / 2]);
            }
        }
    }
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

    /// Whole numbers of 0 to 255 as bytes, one a lane; what is behind these is 0.
    fn bytes<S: Simd>(s: S, numbers: Self::Register<S>) -> [u8; MOST_LANES];

    /// A register of f64, of as many elements.
    fn load_wide<S: Simd>(s: S, elements: &[Self]) -> S::f64s;

    /// A number so large that its neighbours lie 1 apart: x + `ROUNDING` − `ROUNDING` is x, rounded to an integer n. The low
    /// bits of n + `ROUNDING` are the biased exponent of 2ⁿ⁻¹.
    const ROUNDING: Self;
    /// 2ⁿ⁻¹ of n + `ROUNDING`; infinity where n − 1 is one more than the largest exponent.
    fn half_power_of_two<S: Simd>(s: S, shifted: Self::Register<S>) -> Self::Register<S>;
    /// The same of sixteenths: x + `ROUNDING_TO_SIXTEENTHS` − `ROUNDING_TO_SIXTEENTHS` is x, rounded to n/16, and the low four bits of
    /// n/16 + `ROUNDING_TO_SIXTEENTHS` tell which sixteenth above ⌊n/16⌋.
    const ROUNDING_TO_SIXTEENTHS: Self;
    /// The elements of a table at the places that the low four bits of lanes tell.
    fn look_up<S: Simd>(s: S, table: &[Self; 16], places: Self::Register<S>) -> Self::Register<S>;
    /// y, to whose bits n sixteenths of one of the exponent are added, of n/16 + `ROUNDING_TO_SIXTEENTHS`.
    fn raised_by_sixteenths<S: Simd>(s: S, y: Self::Register<S>, shifted: Self::Register<S>) -> Self::Register<S>;
    /// Two normal numbers whose product is 2ⁿ, of n + `ROUNDING`. Two, since one alone could not hold the power of a result
    /// that is subnormal, nor that of one just below the largest number.
    fn powers_of_two<S: Simd>(s: S, shifted: Self::Register<S>) -> (Self::Register<S>, Self::Register<S>);
    /// y·2ⁿ of n + `ROUNDING`.
    #[inline(always)]
    fn times_power_of_two<S: Simd>(s: S, y: Self::Register<S>, shifted: Self::Register<S>) -> Self::Register<S> {
        let (a, b) = Self::powers_of_two(s, shifted);
        Self::times(s, Self::times(s, y, a), b)
    }
    /// y·2ⁿ, n being ⌊x⌋ of whole sixteenths x.
    fn times_power_of_floor<S: Simd>(s: S, y: Self::Register<S>, x: Self::Register<S>) -> Self::Register<S>;
    /// k and m with x = m·2ᵏ, m in [√½, √2), of a positive normal number.
    fn power_and_rest<S: Simd>(s: S, x: Self::Register<S>) -> (Self::Register<S>, Self::Register<S>);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Largest<'a, T>(&'a [T]);

    impl<T: Lanes> crate::simd::Kernel for Largest<'_, T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) -> Vec<T> {
            let mut largest = Vec::new();
            for register in T::registers::<S>(self.0).0 {
                largest.push(T::largest(s, *register));
            }
            largest
        }
    }

    /// Wherever it stands.
    fn largest_lanes<T: Lanes>() {
        for isa in crate::simd::Isa::available() {
            for place in 0..MOST_LANES {
                let mut x = [T::narrow(-3.0); MOST_LANES];
                x[place] = T::narrow(-2.0);
                let largest = crate::simd::run(isa, Largest(&x));
                let lanes = MOST_LANES / largest.len();
                for (i, largest) in largest.iter().enumerate() {
                    let due = if place / lanes == i { -2.0 } else { -3.0 };
                    assert!(largest.widen() == due, "{isa}: {largest:?} of lane {place}");
                }
            }
        }
    }

    #[test]
    fn the_largest_lane_is_found_wherever_it_stands() {
        largest_lanes::<f32>();
        largest_lanes::<f64>();
    }

    struct Over<'a, T>(&'a [T], T);

    impl<T: Lanes> crate::simd::Kernel for Over<'_, T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) -> Vec<T> {
            let slice = &self.0[..self.0.len().min(T::lanes::<S>() - 1)];
            bytemuck::cast_slice(&[T::load_partial_over(s, slice, T::splat(s, self.1))]).to_vec()
        }
    }

    fn lanes_beyond_a_slice<T: Lanes>() {
        let others = T::narrow(f64::NEG_INFINITY);
        for isa in crate::simd::Isa::available() {
            for len in 0..MOST_LANES {
                let slice: Vec<T> = (0..len).map(|i| T::narrow(i as f64)).collect();
                let lanes = crate::simd::run(isa, Over(&slice, others));
                let len = len.min(lanes.len() - 1);
                assert!(lanes[..len] == slice[..len] && lanes[len..].iter().all(|x| *x == others), "{isa}: {lanes:?}");
            }
        }
    }

    #[test]
    fn lanes_beyond_a_slice_are_the_others() {
        lanes_beyond_a_slice::<f32>();
        lanes_beyond_a_slice::<f64>();
    }

    #[test]
    fn counts_are_told_up_to_the_largest() {
        for count in [0, 1, 2, 254, 255, 70_001, MOST_COUNT - 1, MOST_COUNT] {
            assert_eq!(
                (f32::narrow(count as f64).count(), f64::narrow(count as f64).count()),
                (count as u32, count as u32)
            );
        }
    }
}
