//! Tables of sixteen numbers, looked up lane by lane.
//!
//! The plain loop is `y[i] = table[places[i] % 16]`, and so it is but by AVX-512, which holds a table in one register, of `f64` in two,
//! and looks all lanes up by one instruction. No kernel looks anything up elsewhere, where it does not pay.

use super::Simd;
#[cfg(target_arch = "x86_64")]
use bytemuck::cast;
use bytemuck::cast_slice_mut;
#[cfg(target_arch = "x86_64")]
use std::any::Any;
use std::slice::from_mut;

/// The elements of a table at the places that the low four bits of lanes tell.
#[inline(always)]
pub(super) fn look_up_f32<S: Simd>(s: S, table: &[f32; 16], places: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        return cast(v4.avx512f._mm512_permutexvar_ps(cast(places), cast(*table)));
    }
    let _ = s;
    let mut found = places;
    for lane in cast_slice_mut::<_, u32>(from_mut(&mut found)) {
        *lane = table[*lane as usize % 16].to_bits();
    }
    found
}

/// The same.
#[inline(always)]
pub(super) fn look_up_f64<S: Simd>(s: S, table: &[f64; 16], places: S::f64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = (&s as &dyn Any).downcast_ref::<pulp::x86::V4>() {
        let [first, second]: [[f64; 8]; 2] = cast(*table);
        return cast(v4.avx512f._mm512_permutex2var_pd(cast(first), cast(places), cast(second)));
    }
    let _ = s;
    let mut found = places;
    for lane in cast_slice_mut::<_, u64>(from_mut(&mut found)) {
        *lane = table[*lane as usize % 16].to_bits();
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::simd::{self, Isa, Kernel, Lanes, Simd};
    use bytemuck::cast_slice;

    struct Sixteenths<'a, T>(&'a [T], &'a [T; 16], &'a mut Vec<[T; 4]>);

    impl<T: Lanes> Kernel for Sixteenths<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) {
            for x in T::registers::<S>(self.0).0 {
                let rounding = T::splat(s, T::ROUNDING_TO_SIXTEENTHS);
                let shifted = T::plus(s, *x, rounding);
                let (n, found) = ([T::minus(s, shifted, rounding)], [T::look_up(s, self.1, shifted)]);
                let one = T::splat(s, T::ONE);
                let power = [T::times_power_of_floor(s, one, n[0])];
                let raised = [T::raised_by_sixteenths(s, one, shifted)];
                let [n, found, power, raised] = [&n, &found, &power, &raised].map(|lanes| cast_slice::<_, T>(lanes));
                self.2.extend((0..n.len()).map(|i| [n[i], found[i], power[i], raised[i]]));
            }
        }
    }

    fn sixteenths<T: Lanes>(least: i32, most: i32) {
        let numbers: Vec<T> = (16 * least..16 * most).map(|n| T::narrow(f64::from(n) / 16.0)).collect();
        let table: [T; 16] = std::array::from_fn(|i| T::narrow(i as f64 + 0.5));
        for isa in Isa::available() {
            let mut got = Vec::new();
            // A little more or less is rounded off.
            let near: Vec<T> =
                numbers.iter().map(|x| T::narrow(x.widen() + x.widen().rem_euclid(0.05) - 0.025)).collect();
            simd::run(isa, Sixteenths(&near, &table, &mut got));
            assert_eq!(got.len(), numbers.len());
            // `powi` divides by 2ⁿ, which is infinite where 2⁻ⁿ is subnormal.
            let power = |n: i32| 2_f64.powi(n / 2) * 2_f64.powi(n - n / 2);
            for (x, got) in numbers.iter().zip(got) {
                let sixteenth = (x.widen() * 16.0).rem_euclid(16.0) as usize;
                let power = power(x.widen().floor() as i32);
                let due = [*x, table[sixteenth], T::narrow(power), T::narrow(power * (1.0 + sixteenth as f64 / 16.0))];
                // No number has other exponents.
                let compared = if (T::SMALLEST_NORMAL.widen()..=T::MAX.widen()).contains(&power) { 4 } else { 3 };
                assert!(got[..compared] == due[..compared], "{isa}, {x:?}: {got:?} for {due:?}");
            }
        }
    }

    /// Of every exponent, subnormal results and infinity among them.
    #[test]
    fn sixteenths_are_told_from_whole_numbers() {
        sixteenths::<f32>(-151, 129);
        sixteenths::<f64>(-1075, 1024);
    }
}
