//! Powers of two whose exponents are sixteenths.
//!
//! The plain loop is `power[i] = 2^(n[i]/16 - 1)`, a call for each. Here the sixteen fractions are looked up, and whole exponents added to
//! the bits of what is found: by AVX-512 in registers, two instructions and a shift. Elsewhere lanes are looked up in memory, which no
//! kernel asks for, as it pays by AVX-512 alone.

use super::Simd;
#[cfg(target_arch = "x86_64")]
use bytemuck::cast;
use bytemuck::cast_slice_mut;
#[cfg(target_arch = "x86_64")]
use std::any::Any;
use std::slice::from_mut;

/// 2^(j/16), rounded.
const SIXTEENTHS: [f64; 16] = [
    1.0,
    1.0442737824274138,
    1.0905077326652577,
    1.1387886347566916,
    1.189207115002721,
    1.241857812073484,
    1.2968395546510096,
    1.3542555469368927,
    std::f64::consts::SQRT_2,
    1.4768261459394993,
    1.5422108254079407,
    1.6104903319492543,
    1.681792830507429,
    1.7562521603732995,
    1.8340080864093424,
    1.9152065613971474,
];

/// What is added to the bits of n + [`Lanes::ROUNDING_OF_SIXTEENTHS`](super::Lanes::ROUNDING_OF_SIXTEENTHS), shifted so that sixteen of
/// them are one of the exponent: the bits of the power of j sixteenths, less those of j and of the exponent of 1.
const POWERS_F32: [u32; 16] = {
    let mut powers = [0; 16];
    let mut j = 0;
    while j < 16 {
        powers[j] = (SIXTEENTHS[j] as f32).to_bits().wrapping_sub(1_f32.to_bits() + ((j as u32) << 19));
        j += 1;
    }
    powers
};

/// The same.
const POWERS_F64: [u64; 16] = {
    let mut powers = [0; 16];
    let mut j = 0;
    while j < 16 {
        powers[j] = SIXTEENTHS[j].to_bits().wrapping_sub(1_f64.to_bits() + ((j as u64) << 48));
        j += 1;
    }
    powers
};

/// 2ⁿᐟ¹⁶⁻¹ of n + [`Lanes::ROUNDING_OF_SIXTEENTHS`](super::Lanes::ROUNDING_OF_SIXTEENTHS).
#[inline(always)]
pub(super) fn half_power_f32<S: Simd>(s: S, shifted: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let exponents = v4.avx512f._mm512_slli_epi32::<19>(cast(shifted));
        let powers = v4.avx512f._mm512_permutexvar_epi32(cast(shifted), cast(POWERS_F32));
        return cast(v4.avx512f._mm512_add_epi32(exponents, powers));
    }
    let _ = s;
    let mut powers = shifted;
    for bits in cast_slice_mut::<_, u32>(from_mut(&mut powers)) {
        *bits = (*bits << 19).wrapping_add(POWERS_F32[*bits as usize % 16]);
    }
    powers
}

/// The same.
#[inline(always)]
pub(super) fn half_power_f64<S: Simd>(s: S, shifted: S::f64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let [first, second]: [[u64; 8]; 2] = cast(POWERS_F64);
        let exponents = v4.avx512f._mm512_slli_epi64::<48>(cast(shifted));
        let powers = v4.avx512f._mm512_permutex2var_epi64(cast(first), cast(shifted), cast(second));
        return cast(v4.avx512f._mm512_add_epi64(exponents, powers));
    }
    let _ = s;
    let mut powers = shifted;
    for bits in cast_slice_mut::<_, u64>(from_mut(&mut powers)) {
        *bits = (*bits << 48).wrapping_add(POWERS_F64[*bits as usize % 16]);
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::SIXTEENTHS;
    use crate::simd::{self, Isa, Kernel, Lanes, Simd};
    use std::f64;

    struct HalfPowers<'a, T>(&'a [T], &'a mut [T]);

    impl<T: Lanes> Kernel for HalfPowers<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            let (n, powers) = (T::registers::<S>(self.0).0, T::registers_mut::<S>(self.1).0);
            for (n, power) in n.iter().zip(powers) {
                *power = T::half_power_of_sixteenths(s, T::plus(s, *n, T::splat(s, T::ROUNDING_OF_SIXTEENTHS)));
            }
        }
    }

    fn powers_are_exact_but_for_rounding<T: Lanes>(least: i32, count: usize) {
        let n: Vec<i32> = (least..).take(count).collect();
        let numbers: Vec<T> = n.iter().map(|n| T::narrow(f64::from(*n))).collect();
        for isa in Isa::available() {
            let mut powers = vec![T::ZERO; count];
            simd::run(isa, HalfPowers(&numbers, &mut powers));
            for (n, power) in n.iter().zip(&powers) {
                let exact = SIXTEENTHS[n.rem_euclid(16) as usize] * 2_f64.powi(n.div_euclid(16) - 1);
                assert!(*power == T::narrow(exact), "{isa}, {n}: {power:?}");
            }
        }
    }

    /// Of e^`NEGLIGIBLE` to that of the largest x, and beyond.
    #[test]
    fn powers_of_sixteenths_are_those_of_the_table() {
        powers_are_exact_but_for_rounding::<f32>(-1983, 4032);
        powers_are_exact_but_for_rounding::<f64>(-16319, 32704);
    }

    /// The eighth powers of the table are powers of √2, in two parts each.
    #[test]
    fn the_table_is_rounded_to_the_nearest() {
        let root = f64::consts::SQRT_2;
        // √2 to twice the precision, from what its square lacks of 2.
        let low = (-root).mul_add(root, 2.0) / (2.0 * root);
        for (j, power) in SIXTEENTHS.iter().enumerate() {
            // The relative error of power⁸ is eight times that of the power.
            let (mut high, mut rest) = (*power, 0.0);
            for _ in 0..3 {
                let square = high * high;
                (high, rest) = (square, high.mul_add(high, -square) + 2.0 * high * rest);
            }
            let whole = 2_f64.powi(j as i32 / 2);
            let (due, due_rest) = if j % 2 == 0 { (whole, 0.0) } else { (root * whole, low * whole) };
            let error = ((high - due) + (rest - due_rest)) / due / 8.0;
            assert!(error.abs() * power <= 0.5005 * f64::EPSILON, "{j}: {:e} units", error * power / f64::EPSILON);
        }
    }
}
