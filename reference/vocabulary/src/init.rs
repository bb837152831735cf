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
    Tensor::from_fn(shape, |_| T::from_f64(bound * (2.0 * unit(rng) - 1.0)))
}

/// A tensor of independent draws from the standard normal distribution, by the method of Box and Muller; two words a draw.
///
/// # Errors
/// Where the elements of `shape` cannot be counted or stored.
///
/// ```
/// use rand::{SeedableRng, rngs::SmallRng};
/// let weight = vocabulary::init::normal::<f64>(&[100, 10], &mut SmallRng::seed_from_u64(0))?;
/// let variance = weight.as_slice().iter().map(|w| w * w).sum::<f64>() / 1000.0;
/// assert!((variance - 1.0).abs() < 0.2);
/// # Ok::<(), vocabulary::Error>(())
/// ```
pub fn normal<T: Scalar>(shape: &[usize], rng: &mut (impl Rng + ?Sized)) -> Result<Tensor<T>> {
    Tensor::from_fn(shape, |_| {
        // 1 − u lies in (0, 1], where the logarithm is finite.
        let (radius, angle) = ((-2.0 * (1.0 - unit(rng)).ln()).sqrt(), std::f64::consts::TAU * unit(rng));
        T::from_f64(radius * angle.cos())
    })
}

/// The factors of dropout: 0 with this probability, or else 1/(1 − probability); one word a draw.
///
/// # Errors
/// Where the elements of `shape` cannot be counted or stored.
///
/// ```
/// use rand::{SeedableRng, rngs::SmallRng};
/// let mask = vocabulary::init::dropout_mask::<f32>(&[64], 0.5, &mut SmallRng::seed_from_u64(0))?;
/// assert!(mask.as_slice().iter().all(|&keep| keep == 0.0 || keep == 2.0));
/// # Ok::<(), vocabulary::Error>(())
/// ```
pub fn dropout_mask<T: Scalar>(shape: &[usize], probability: f64, rng: &mut (impl Rng + ?Sized)) -> Result<Tensor<T>> {
    Tensor::from_fn(shape, |_| T::from_f64(if unit(rng) < probability { 0.0 } else { 1.0 / (1.0 - probability) }))
}

/// The upper 53 bits of a word, as a multiple of 2⁻⁵³ in [0, 1).
fn unit(rng: &mut (impl Rng + ?Sized)) -> f64 {
    (rng.next_u64() >> 11) as f64 * (0.5 * f64::EPSILON)
}
