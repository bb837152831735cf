//! `torch.nn.Linear(in_features, out_features, bias=True)`.

use super::{check_bias, require_shape};
use crate::{Error, Result, Tensor};

const LAYER: &str = "Linear";

/// Arguments of `torch.nn.Linear`.
///
/// ```
/// use vocabulary::LinearOptions;
/// let options = LinearOptions::new(3, 16).bias(false);
/// assert_eq!((options.in_features, options.out_features, options.bias), (3, 16, false));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct LinearOptions {
    /// Size of the input's last dimension.
    pub in_features: usize,
    /// Size of the output's last dimension.
    pub out_features: usize,
    /// Whether a bias is added.
    #[cfg_attr(feature = "serde", serde(default = "super::yes"))]
    pub bias: bool,
}

impl LinearOptions {
    /// PyTorch's defaults: a bias is added.
    pub fn new(in_features: usize, out_features: usize) -> Self {
        Self { in_features, out_features, bias: true }
    }

    /// Sets whether a bias is added.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// The weight's shape: [out_features, in_features].
    pub fn weight_shape(&self) -> [usize; 2] {
        [self.out_features, self.in_features]
    }

    /// Checks the parameters' shapes, and that a bias is given exactly where the options ask for one.
    ///
    /// # Errors
    /// Names `weight` or `bias`, with the shape that was expected.
    pub fn check_parameters(&self, weight: &[usize], bias: Option<&[usize]>) -> Result<()> {
        require_shape(LAYER, "weight", weight, &self.weight_shape())?;
        check_bias(LAYER, self.bias, bias, self.out_features)
    }

    /// Checks an input's shape: [*, in_features], with any number of leading dimensions.
    ///
    /// # Errors
    /// Names `input`, where it has no dimension or its last differs from `in_features`.
    pub fn check_input(&self, input: &[usize]) -> Result<()> {
        match input.last() {
            Some(&last) if last == self.in_features => Ok(()),
            _ => {
                Err(Error::shape(LAYER, "input", input, format_args!("[*, {0}] (in_features = {0})", self.in_features)))
            }
        }
    }
}

/// What `Linear`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearGradients<T> {
    /// [*, in_features], in the input's shape.
    pub input: Tensor<T>,
    /// [out_features, in_features].
    pub weight: Tensor<T>,
    /// `[out_features]`, where the layer has a bias.
    pub bias: Option<Tensor<T>>,
}
