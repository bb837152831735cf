//! How losses join their terms, and what each term has of the gradient.

use crate::Real;
use crate::broadcast::at;
use vocabulary::{Reduction, Tensor};

/// Equation (2) of every loss but CrossEntropyLoss, whose mean has a divisor of its own.
pub(crate) fn reduced<T: Real>(reduction: Reduction, terms: Tensor<T>) -> Tensor<T> {
    let sum = || T::sum(terms.as_slice().iter().copied());
    match reduction {
        Reduction::None => terms,
        Reduction::Sum => Tensor::scalar(sum()),
        Reduction::Mean => Tensor::scalar(sum() / T::from_count(terms.len())),
    }
}

/// κ·w of the term k of n: its share of the gradient of the loss.
pub(crate) fn share<T: Real>(
    reduction: Reduction,
    grad_output: &Tensor<T>,
    weight: Option<&Tensor<T>>,
    k: &[usize],
    n: usize,
) -> T {
    let g = at(grad_output, k);
    let g = weight.map_or(g, |weight| g * at(weight, k));
    if reduction == Reduction::Mean { g / T::from_count(n) } else { g }
}
