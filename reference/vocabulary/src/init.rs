//! Random tensors for initialising parameters, from any `rand` generator.

use crate::{Result, Scalar, Tensor};
use rand::Rng;

/// A tensor of independent draws from the uniform distribution on [−`bound`, `bound`).
///
/// Draws are made in double precision, one 64-bit word each, in row-major order, so that two crates which ask for the same
/// shapes in the same order from the same generator hold the same values.
///
/// # Errors
/// Where the elements of `shape` cannot be counted or stored.
///
/// ```
/// use rand::{SeedableRng, rngs::SmallRng};
/// let mut rng = SmallRng::seed_from_u64(0);
/// let weight = vocabulary::init::uniform::<f32>(&[16, 3], 0.5, &mut rng)?;
/// assert!(weight.as_slice().iter().all(|w| w.abs() <= 0.5));
/// # Ok::<(), vocabulary::Error>(())
/// ```
pub fn uniform<T: Scalar>(shape: &[usize], bound: f64, rng: &mut (impl Rng + ?Sized)) -> Result<Tensor<T>> {
    Tensor::from_fn(shape, |_| {
        // The upper 53 bits, as a multiple of 2⁻⁵³ in [0, 1).
        let unit = (rng.next_u64() >> 11) as f64 * (0.5 * f64::EPSILON);
        T::from_f64(bound * (2.0 * unit - 1.0))
    })
}
