//! What pulp has not, or not in one instruction: every second lane of two registers, and these in turn again; lanes one further; the
//! larger and the smaller of two lanes, the second of them where either is NaN; a power of two times a number; lanes as bytes; and sums
//! in the lanes that bytes choose.
//!
//! The plain loops are `for i in 0..lanes { even[i] = pairs[2 * i] }`, with `2 * i + 1` for the odd ones, `pairs[2 * i] = even[i]`,
//! `further[i + 1] = x[i]`, `larger[i] = if a[i] > b[i] { a[i] } else { b[i] }`, with `<` for the smaller, and
//! `if bytes[i] == byte { sum[i] += x[i] }`. The compiler makes single instructions of them only by luck; so these are written out for
//! the instruction sets of x86-64, and the loops are left to the compiler elsewhere.

use super::{Lanes, MOST_LANES, Simd};
#[cfg(target_arch = "x86_64")]
use bytemuck::cast;
use bytemuck::{cast_slice, cast_slice_mut};
#[cfg(target_arch = "x86_64")]
use std::any::Any;
use std::slice::{from_mut, from_ref};

/// Lanes 0, 2, 4 … of a, and then those of b; or, where `ODD` is 1, lanes 1, 3, 5 ….
#[inline(always)]
pub(super) fn every_second_f32<S: Simd, const ODD: usize>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let lanes: [u32; 16] = std::array::from_fn(|i| (2 * i + ODD) as u32);
        return cast(v4.avx512f._mm512_permutex2var_ps(cast(a), cast(lanes), cast(b)));
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        // Halves of registers are shuffled each by itself: their pairs of lanes come out as 0, 2, 1, 3.
        let halves = match ODD {
            0 => v3.avx._mm256_shuffle_ps::<0b10_00_10_00>(cast(a), cast(b)),
            _ => v3.avx._mm256_shuffle_ps::<0b11_01_11_01>(cast(a), cast(b)),
        };
        return cast(v3.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(cast(halves)));
    }
    let _ = s;
    lane_by_lane::<f32, S, ODD>(a, b)
}

/// The same.
#[inline(always)]
pub(super) fn every_second_f64<S: Simd, const ODD: usize>(s: S, a: S::f64s, b: S::f64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let lanes: [u64; 8] = std::array::from_fn(|i| (2 * i + ODD) as u64);
        return cast(v4.avx512f._mm512_permutex2var_pd(cast(a), cast(lanes), cast(b)));
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        let halves = match ODD {
            0 => v3.avx._mm256_unpacklo_pd(cast(a), cast(b)),
            _ => v3.avx._mm256_unpackhi_pd(cast(a), cast(b)),
        };
        return cast(v3.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(halves));
    }
    let _ = s;
    lane_by_lane::<f64, S, ODD>(a, b)
}

/// Lane 0 of a, lane 0 of b, lane 1 of a …: what [`every_second_f32`] takes apart.
#[inline(always)]
pub(super) fn in_turn_f32<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let lanes = |first| -> [u32; 16] { std::array::from_fn(|i| (first + i / 2 + i % 2 * 16) as u32) };
        let take = |first| cast(v4.avx512f._mm512_permutex2var_ps(cast(a), cast(lanes(first)), cast(b)));
        return [take(0), take(8)];
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        // Of each half of the registers, the first lanes in turn, and the last.
        let (first, last) = (v3.avx._mm256_unpacklo_ps(cast(a), cast(b)), v3.avx._mm256_unpackhi_ps(cast(a), cast(b)));
        return [
            cast(v3.avx._mm256_permute2f128_ps::<0x20>(first, last)),
            cast(v3.avx._mm256_permute2f128_ps::<0x31>(first, last)),
        ];
    }
    let _ = s;
    lanes_in_turn::<f32, S>(a, b)
}

/// The same.
#[inline(always)]
pub(super) fn in_turn_f64<S: Simd>(s: S, a: S::f64s, b: S::f64s) -> [S::f64s; 2] {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let lanes = |first| -> [u64; 8] { std::array::from_fn(|i| (first + i / 2 + i % 2 * 8) as u64) };
        let take = |first| cast(v4.avx512f._mm512_permutex2var_pd(cast(a), cast(lanes(first)), cast(b)));
        return [take(0), take(4)];
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        let (first, last) = (v3.avx._mm256_unpacklo_pd(cast(a), cast(b)), v3.avx._mm256_unpackhi_pd(cast(a), cast(b)));
        return [
            cast(v3.avx._mm256_permute2f128_pd::<0x20>(first, last)),
            cast(v3.avx._mm256_permute2f128_pd::<0x31>(first, last)),
        ];
    }
    let _ = s;
    lanes_in_turn::<f64, S>(a, b)
}

/// The last lane of `before`, and then those of x but its last.
#[inline(always)]
pub(super) fn one_further_f32<S: Simd>(s: S, before: S::f32s, x: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        return cast(v4.avx512f._mm512_alignr_epi32::<15>(cast(x), cast(before)));
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        // The last half of what is before, and the first of x: halves of registers are shifted each by itself.
        let halves = v3.avx2._mm256_permute2x128_si256::<0x21>(cast(before), cast(x));
        return cast(v3.avx2._mm256_alignr_epi8::<12>(cast(x), halves));
    }
    let _ = s;
    lanes_one_further::<f32, S>(before, x)
}

/// The same.
#[inline(always)]
pub(super) fn one_further_f64<S: Simd>(s: S, before: S::f64s, x: S::f64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        return cast(v4.avx512f._mm512_alignr_epi64::<7>(cast(x), cast(before)));
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        let halves = v3.avx2._mm256_permute2x128_si256::<0x21>(cast(before), cast(x));
        return cast(v3.avx2._mm256_alignr_epi8::<8>(cast(x), halves));
    }
    let _ = s;
    lanes_one_further::<f64, S>(before, x)
}

/// y·2ⁿ, n being ⌊x⌋ of whole sixteenths x, by one instruction of AVX-512.
#[inline(always)]
pub(super) fn times_power_of_floor_f32<S: Simd>(s: S, y: S::f32s, x: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        return cast(v4.avx512f._mm512_scalef_ps(cast(y), cast(x)));
    }
    // Fifteen sixteenths at most lie above n: less than half is left of them, on either side.
    let n = s.add_f32s(s.sub_f32s(x, s.splat_f32s(15.0 / 32.0)), s.splat_f32s(f32::ROUNDING));
    f32::times_power_of_two(s, y, n)
}

/// The same.
#[inline(always)]
pub(super) fn times_power_of_floor_f64<S: Simd>(s: S, y: S::f64s, x: S::f64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        return cast(v4.avx512f._mm512_scalef_pd(cast(y), cast(x)));
    }
    let n = s.add_f64s(s.sub_f64s(x, s.splat_f64s(15.0 / 32.0)), s.splat_f64s(f64::ROUNDING));
    f64::times_power_of_two(s, y, n)
}

/// Whole numbers as bytes, one a lane.
#[inline(always)]
pub(super) fn bytes_of_f32<S: Simd>(s: S, numbers: S::f32s) -> [u8; MOST_LANES] {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        return cast(v4.avx512f._mm512_cvtepi32_epi8(v4.avx512f._mm512_cvttps_epi32(cast(numbers))));
    }
    let _ = s;
    counts::<f32, S>(numbers)
}

/// The same.
#[inline(always)]
pub(super) fn bytes_of_f64<S: Simd>(s: S, numbers: S::f64s) -> [u8; MOST_LANES] {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        // The other half is 0.
        let integers = v4.avx512f._mm512_zextsi256_si512(v4.avx512f._mm512_cvttpd_epi32(cast(numbers)));
        return cast(v4.avx512f._mm512_cvtepi32_epi8(integers));
    }
    let _ = s;
    counts::<f64, S>(numbers)
}

/// sum + x in the lanes whose byte, of as many, is the one given; sum in the others, or sum + 0, which differ where it is −0.
#[inline(always)]
pub(super) fn plus_where_f32<S: Simd>(s: S, sum: S::f32s, (bytes, byte): (&[u8], u8), x: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let mut lanes = [0; 16];
        lanes.copy_from_slice(bytes);
        let chosen = v4.avx512bw._mm_cmpeq_epi8_mask(cast(lanes), cast([byte; 16]));
        return cast(v4.avx512f._mm512_mask_add_ps(cast(sum), chosen, cast(sum), cast(x)));
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        let mut lanes = [0; 16];
        lanes[..8].copy_from_slice(bytes);
        let lanes = v3.avx2._mm256_cvtepu8_epi32(cast(lanes));
        let chosen = v3.avx2._mm256_cmpeq_epi32(lanes, cast([u32::from(byte); 8]));
        let x = v3.avx._mm256_and_ps(cast(chosen), cast(x));
        return cast(v3.avx._mm256_add_ps(cast(sum), x));
    }
    plus_where::<f32, S>(s, sum, (bytes, byte), x)
}

/// The same.
#[inline(always)]
pub(super) fn plus_where_f64<S: Simd>(s: S, sum: S::f64s, (bytes, byte): (&[u8], u8), x: S::f64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let mut lanes = [0; 16];
        lanes[..8].copy_from_slice(bytes);
        let chosen = v4.avx512bw._mm_cmpeq_epi8_mask(cast(lanes), cast([byte; 16])) as u8;
        return cast(v4.avx512f._mm512_mask_add_pd(cast(sum), chosen, cast(sum), cast(x)));
    } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
        let mut lanes = [0; 16];
        lanes[..4].copy_from_slice(bytes);
        let lanes = v3.avx2._mm256_cvtepu8_epi64(cast(lanes));
        let chosen = v3.avx2._mm256_cmpeq_epi64(lanes, cast([u64::from(byte); 4]));
        let x = v3.avx._mm256_and_pd(cast(chosen), cast(x));
        return cast(v3.avx._mm256_add_pd(cast(sum), x));
    }
    plus_where::<f64, S>(s, sum, (bytes, byte), x)
}

#[inline(always)]
fn plus_where<T: Lanes, S: Simd>(
    s: S,
    sum: T::Register<S>,
    (bytes, byte): (&[u8], u8),
    x: T::Register<S>,
) -> T::Register<S> {
    let mut chosen = T::splat(s, T::ZERO);
    let lanes = cast_slice_mut::<_, T>(from_mut(&mut chosen)).iter_mut().zip(cast_slice::<_, T>(from_ref(&x)));
    for ((lane, x), its) in lanes.zip(bytes) {
        *lane = if *its == byte { *x } else { T::ZERO };
    }
    T::plus(s, sum, chosen)
}

/// Functions that are single instructions on x86-64, and comparisons elsewhere.
macro_rules! extremes {
    ($(#[$doc:meta] $name:ident: $number:ty, $register:ident, $v4:ident, $v3:ident, $is_larger:literal;)*) => {$(
        #[$doc]
        #[inline(always)]
        pub(super) fn $name<S: Simd>(s: S, a: S::$register, b: S::$register) -> S::$register {
            #[cfg(target_arch = "x86_64")]
            if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
                return cast(v4.avx512f.$v4(cast(a), cast(b)));
            } else if let Some(v3) = (&s as &dyn Any).downcast_ref::<pulp::x86::V3>() {
                return cast(v3.avx.$v3(cast(a), cast(b)));
            }
            <$number>::where_less(s, if $is_larger { (b, a) } else { (a, b) }, a, b)
        }
    )*};
}
extremes! {
    /// a where a > b, b elsewhere, and so where either is NaN.
    larger_f32: f32, f32s, _mm512_max_ps, _mm256_max_ps, true;
    /// The same.
    larger_f64: f64, f64s, _mm512_max_pd, _mm256_max_pd, true;
    /// a where a < b, b elsewhere, and so where either is NaN.
    smaller_f32: f32, f32s, _mm512_min_ps, _mm256_min_ps, false;
    /// The same.
    smaller_f64: f64, f64s, _mm512_min_pd, _mm256_min_pd, false;
}

#[inline(always)]
fn counts<T: Lanes, S: Simd>(numbers: T::Register<S>) -> [u8; MOST_LANES] {
    let mut bytes = [0; MOST_LANES];
    for (byte, number) in bytes.iter_mut().zip(cast_slice::<_, T>(&[numbers])) {
        *byte = number.count() as u8;
    }
    bytes
}

#[inline(always)]
fn lane_by_lane<T: Lanes, S: Simd, const ODD: usize>(a: T::Register<S>, b: T::Register<S>) -> T::Register<S> {
    let (mut second, pairs) = (a, [a, b]);
    let pairs = cast_slice::<_, T>(&pairs).chunks_exact(2);
    for (second, pair) in cast_slice_mut::<_, T>(from_mut(&mut second)).iter_mut().zip(pairs) {
        *second = pair[ODD];
    }
    second
}

#[inline(always)]
fn lanes_one_further<T: Lanes, S: Simd>(before: T::Register<S>, x: T::Register<S>) -> T::Register<S> {
    let lanes = T::lanes::<S>();
    let (mut further, both) = (x, [before, x]);
    cast_slice_mut::<_, T>(from_mut(&mut further)).copy_from_slice(&cast_slice(&both)[lanes - 1..][..lanes]);
    further
}

#[inline(always)]
fn lanes_in_turn<T: Lanes, S: Simd>(a: T::Register<S>, b: T::Register<S>) -> [T::Register<S>; 2] {
    let (mut pairs, even, odd) = ([a, b], [a], [b]);
    let lanes = cast_slice::<_, T>(&even).iter().zip(cast_slice::<_, T>(&odd));
    for (pair, (even, odd)) in cast_slice_mut::<_, T>(&mut pairs).chunks_exact_mut(2).zip(lanes) {
        (pair[0], pair[1]) = (*even, *odd);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Isa, Kernel};

    struct Every<'a, T>(&'a [T], [&'a mut Vec<T>; 3]);

    impl<T: Lanes> Kernel for Every<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            let (registers, [even, odd, further]) = (T::registers::<S>(self.0).0, self.1);
            even.extend_from_slice(cast_slice(&[T::even(s, registers[0], registers[1])]));
            odd.extend_from_slice(cast_slice(&[T::odd(s, registers[0], registers[1])]));
            let again = T::in_turn(s, T::even(s, registers[0], registers[1]), T::odd(s, registers[0], registers[1]));
            assert_eq!(cast_slice::<_, T>(&again), cast_slice::<_, T>(&registers[..2]));
            further.extend_from_slice(cast_slice(&[T::one_further(s, registers[0], registers[1])]));
        }
    }

    fn every_second<T: Lanes>() {
        let numbers: Vec<T> = (0..2 * MOST_LANES).map(|i| T::narrow(i as f64)).collect();
        for isa in Isa::available() {
            let [mut even, mut odd, mut further] = [const { Vec::new() }; 3];
            simd::run(isa, Every(&numbers, [&mut even, &mut odd, &mut further]));
            let lanes = even.len();
            assert!(lanes > 0 && odd.len() == lanes);
            for (i, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                assert_eq!((even, odd), (numbers[2 * i], numbers[2 * i + 1]), "{isa}");
            }
            assert_eq!(further, numbers[lanes - 1..][..lanes], "{isa}");
        }
    }

    #[test]
    fn lanes_are_moved_to_where_they_belong() {
        every_second::<f32>();
        every_second::<f64>();
    }

    struct Extremes<'a, T>(&'a [T], &'a [T], [&'a mut Vec<T>; 2]);

    impl<T: Lanes> Kernel for Extremes<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            let [larger, smaller] = self.2;
            for (a, b) in T::registers::<S>(self.0).0.iter().zip(T::registers::<S>(self.1).0) {
                larger.extend_from_slice(cast_slice(&[T::larger(s, *a, *b)]));
                smaller.extend_from_slice(cast_slice(&[T::smaller(s, *a, *b)]));
            }
        }
    }

    fn extremes<T: Lanes>() {
        let numbers = [0.0, -0.0, 1.0, -2.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN].map(T::narrow);
        let pairs: Vec<(T, T)> = numbers.iter().flat_map(|a| numbers.map(|b| (*a, b))).collect();
        let (a, b): (Vec<T>, Vec<T>) = pairs.iter().copied().unzip();
        for isa in Isa::available() {
            let (mut larger, mut smaller) = (Vec::new(), Vec::new());
            simd::run(isa, Extremes(&a, &b, [&mut larger, &mut smaller]));
            assert_eq!([larger.len(), smaller.len()], [pairs.len(); 2]);
            for ((a, b), (larger, smaller)) in pairs.iter().zip(larger.into_iter().zip(smaller)) {
                let due = [if a > b { *a } else { *b }, if a < b { *a } else { *b }];
                let same = cast_slice::<T, u8>(&[larger, smaller]) == cast_slice::<T, u8>(&due);
                assert!(same, "{isa}: {larger:?} and {smaller:?} of {a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn the_second_is_given_back_where_the_first_is_not_beyond_it() {
        extremes::<f32>();
        extremes::<f64>();
    }

    struct PlusWhere<'a, T>(&'a [T], &'a [u8], u8, &'a mut Vec<T>);

    impl<T: Lanes> Kernel for PlusWhere<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            let one = T::splat(s, T::ONE);
            for (x, bytes) in T::registers::<S>(self.0).0.iter().zip(self.1.chunks_exact(T::lanes::<S>())) {
                self.3.extend_from_slice(cast_slice(&[T::plus_where(s, one, (bytes, self.2), *x)]));
            }
        }
    }

    fn plus_where<T: Lanes>() {
        let numbers: Vec<T> =
            (0..2 * MOST_LANES).map(|i| T::narrow(if i == 5 { f64::NAN } else { i as f64 })).collect();
        // The last bit, the first and none tell bytes apart.
        let bytes: Vec<u8> = (0..2 * MOST_LANES).map(|i| [7, 6, 135, 7, 255][i % 5]).collect();
        for isa in Isa::available() {
            for byte in [6, 7, 135, 255, 0] {
                let mut sums = Vec::new();
                simd::run(isa, PlusWhere(&numbers, &bytes, byte, &mut sums));
                assert_eq!(sums.len(), numbers.len());
                for ((sum, x), its) in sums.into_iter().zip(&numbers).zip(&bytes) {
                    let due = if *its == byte { T::ONE + *x } else { T::ONE };
                    assert!(
                        sum == due || sum.is_nan() && due.is_nan(),
                        "{isa}: {sum:?} of {x:?}, where {its} is {byte}"
                    );
                }
            }
        }
    }

    #[test]
    fn sums_are_of_the_lanes_that_their_bytes_choose() {
        plus_where::<f32>();
        plus_where::<f64>();
    }
}
