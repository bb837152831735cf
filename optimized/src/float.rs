//! The numbers that the layers compute with.

use crate::kernels::gemm::Gemm;
use crate::math::{HyperbolicTangent, Ln};
use vocabulary::{Scalar, StateElement};

/// An element type of the layers: `f32` or `f64`.
///
/// It is sealed: kernels are written for these two.
///
/// ```
/// use optimized::{Float, ReLU, ReLUOptions, Result, Tensor};
/// fn positive_part<T: Float>(x: &Tensor<T>) -> Result<Tensor<T>> {
///     ReLU::new(ReLUOptions::new())?.forward(x)
/// }
/// assert_eq!(positive_part(&Tensor::from_vec(&[2], vec![-1.0_f32, 2.0])?)?.as_slice(), [0.0, 2.0]);
/// assert_eq!(positive_part(&Tensor::from_vec(&[2], vec![-1.0_f64, 2.0])?)?.as_slice(), [0.0, 2.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
pub trait Float: Scalar + StateElement + Ln + HyperbolicTangent + Gemm {}

impl Float for f32 {}
impl Float for f64 {}
