//! Broadcasting: shapes aligned at their last dimensions, sizes of 1 repeated.

use crate::Real;
use vocabulary::{Error, Result, Tensor};

/// The shape that both are broadcast to: each pair of sizes equal, or one of them 1.
pub(crate) fn broadcast_shape(layer: &str, argument: &str, input: &[usize], other: &[usize]) -> Result<Vec<usize>> {
    let rank = input.len().max(other.len());
    let size = |shape: &[usize], from_last: usize| shape.iter().rev().nth(from_last).copied().unwrap_or(1);
    let sizes = (0..rank).rev().map(|axis| match (size(input, axis), size(other, axis)) {
        (1, n) | (n, 1) => Some(n),
        (m, n) => (m == n).then_some(n),
    });
    sizes.collect::<Option<Vec<usize>>>().ok_or_else(|| {
        let expected = format!("a shape that broadcasts against the input's, {input:?}");
        Error::shape(layer, argument, other, expected)
    })
}

/// Refuses a shape that does not broadcast to exactly `to`.
pub(crate) fn check_broadcast(layer: &str, argument: &str, shape: &[usize], to: &[usize]) -> Result<()> {
    match broadcast_shape(layer, argument, to, shape)? == to {
        true => Ok(()),
        false => {
            Err(Error::shape(layer, argument, shape, format_args!("a shape that broadcasts to the input's, {to:?}")))
        }
    }
}

/// The element of a tensor that index `k` of the broadcast shape reads.
pub(crate) fn at<T: Copy>(tensor: &Tensor<T>, k: &[usize]) -> T {
    tensor.as_slice()[source(tensor, k)]
}

/// Adds to the element of a tensor that index `k` of the broadcast shape reads: an element that was repeated has the sum of
/// its copies' gradients.
pub(crate) fn add<T: Real>(sums: &mut Tensor<T>, k: &[usize], term: T) {
    let place = source(sums, k);
    let sum = &mut sums.as_mut_slice()[place];
    *sum = *sum + term;
}

/// Where that element stands.
fn source<T>(tensor: &Tensor<T>, k: &[usize]) -> usize {
    let shape = tensor.shape();
    let k = &k[k.len().saturating_sub(shape.len())..];
    shape.iter().zip(k).fold(0, |offset, (&size, &index)| offset * size + if size == 1 { 0 } else { index })
}
