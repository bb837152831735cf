//! Whether all numbers are probabilities.
//!
//! The plain loop is `x.iter().all(|x| 0.0 <= x && x <= 1.0)`. It ends at the first that is none, and so looks at one after the other:
//! of 65,536 elements of BCELoss, which holds its operands to that, it took as long as the loss itself on Zen 5. Here a block is looked at whole.

use super::elementwise::{BLOCK, TASK};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether all elements are in 0..=1, and so none NaN.
pub fn are_probabilities<T: Lanes>((isa, threads): (Isa, Threads), x: &[T]) -> bool {
    let all = AtomicBool::new(true);
    threads::for_each(threads, x.chunks(TASK), |x| {
        if !simd::run(isa, Are(x)) {
            all.store(false, Ordering::Relaxed);
        }
    });
    all.into_inner()
}

struct Are<'a, T>(&'a [T]);

impl<T: Lanes> Kernel for Are<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        for block in self.0.chunks(BLOCK) {
            let mut all = true;
            for x in block {
                all &= (T::ZERO <= *x) & (*x <= T::ONE);
            }
            if !all {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_none_is_found_wherever_it_stands() {
        for isa in Isa::available() {
            let mut x = vec![0.5_f32; TASK + BLOCK + 77];
            (x[0], x[1]) = (1.0, -0.0);
            assert!(
                are_probabilities((isa, Threads::default()), &x) && are_probabilities::<f32>((isa, Threads::ONE), &[])
            );
            for place in [0, 7, BLOCK - 1, BLOCK, TASK - 1, TASK, TASK + BLOCK + 76] {
                for other in [f32::NAN, f32::INFINITY, -1e-30, 1.0 + f32::EPSILON] {
                    let was = std::mem::replace(&mut x[place], other);
                    assert!(!are_probabilities((isa, Threads::default()), &x), "{isa}: {other} at {place}");
                    x[place] = was;
                }
            }
        }
    }
}
