//! What a classification loss is held against.

use crate::{Integer, Tensor};

/// The target of a `CrossEntropyLoss`: the class of each item, or the probability of every class.
///
/// Tensors of `i32` and `i64` are classes, tensors of numbers are probabilities; references to both convert by themselves.
///
/// ```
/// use vocabulary::{CrossEntropyTarget, Tensor};
/// let classes: CrossEntropyTarget<f32> = (&Tensor::from_vec(&[2], vec![0_i64, 3])?).into();
/// assert!(matches!(classes, CrossEntropyTarget::Classes(_)));
/// let probabilities: CrossEntropyTarget<f32> = (&Tensor::from_vec(&[1, 2], vec![0.25, 0.75])?).into();
/// assert_eq!(probabilities.shape(), [1, 2]);
/// # Ok::<(), vocabulary::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum CrossEntropyTarget<T> {
    /// In the input's shape without its classes.
    Classes(Tensor<i64>),
    /// In the input's shape.
    Probabilities(Tensor<T>),
}

impl<T> CrossEntropyTarget<T> {
    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Classes(classes) => classes.shape(),
            Self::Probabilities(probabilities) => probabilities.shape(),
        }
    }
}

impl<T> From<&Self> for CrossEntropyTarget<T> {
    fn from(target: &Self) -> Self {
        match target {
            Self::Classes(classes) => Self::Classes(classes.clone()),
            Self::Probabilities(probabilities) => Self::Probabilities(probabilities.clone()),
        }
    }
}

impl<T> From<&Tensor<i64>> for CrossEntropyTarget<T> {
    fn from(classes: &Tensor<i64>) -> Self {
        Self::Classes(classes.clone())
    }
}

impl<T> From<&Tensor<i32>> for CrossEntropyTarget<T> {
    fn from(classes: &Tensor<i32>) -> Self {
        Self::Classes(classes.map(Integer::to_i64))
    }
}

impl From<&Tensor<f32>> for CrossEntropyTarget<f32> {
    fn from(probabilities: &Tensor<f32>) -> Self {
        Self::Probabilities(probabilities.clone())
    }
}

impl From<&Tensor<f64>> for CrossEntropyTarget<f64> {
    fn from(probabilities: &Tensor<f64>) -> Self {
        Self::Probabilities(probabilities.clone())
    }
}
