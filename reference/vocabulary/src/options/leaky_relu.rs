//! `torch.nn.LeakyReLU(negative_slope=0.01, inplace=False)`.

use crate::{Error, Result, Scalar};

/// Arguments of `torch.nn.LeakyReLU`.
///
/// ```
/// use vocabulary::LeakyReLUOptions;
/// assert_eq!(LeakyReLUOptions::new().negative_slope, 0.01);
/// assert_eq!(LeakyReLUOptions::new().negative_slope(0.2).negative_slope, 0.2);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct LeakyReLUOptions {
    /// The slope of the negative part.
    #[cfg_attr(feature = "serde", serde(with = "super::float"))]
    pub negative_slope: f64,
    /// Whether PyTorch would overwrite its input. Here `forward` leaves its input as it is, whatever this says: in Rust
    /// ownership decides. But as in PyTorch, backward then works from the output alone, and so needs `negative_slope` ≥ 0.
    pub inplace: bool,
}

impl Default for LeakyReLUOptions {
    fn default() -> Self {
        Self { negative_slope: 0.01, inplace: false }
    }
}

impl LeakyReLUOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `negative_slope`.
    pub fn negative_slope(mut self, negative_slope: f64) -> Self {
        self.negative_slope = negative_slope;
        self
    }

    /// Sets `inplace`.
    pub fn inplace(mut self, inplace: bool) -> Self {
        self.inplace = inplace;
        self
    }

    /// Checks that the type that the layer computes in can hold `negative_slope`.
    ///
    /// # Errors
    /// Names `negative_slope`, where it is finite and larger than the type's largest number.
    pub fn check_forward<T: Scalar>(&self) -> Result<()> {
        if T::can_hold(self.negative_slope) {
            return Ok(());
        }
        let got = format!("is {}", self.negative_slope);
        Err(Error::new("LeakyReLU", "negative_slope", got, "a number that the type it computes in can hold"))
    }

    /// Checks that backward can tell from the output on which side of 0 the input was, where that is all there is.
    ///
    /// # Errors
    /// Names `negative_slope`, where it is negative or NaN and `inplace` is set.
    pub fn check_backward(&self) -> Result<()> {
        match self.inplace && (self.negative_slope < 0.0 || self.negative_slope.is_nan()) {
            false => Ok(()),
            true => {
                let got = format!("is {}", self.negative_slope);
                Err(Error::new(
                    "LeakyReLU",
                    "negative_slope",
                    got,
                    "a number that is not negative (inplace = true, backward)",
                ))
            }
        }
    }
}

super::input_gradients!("What `LeakyReLU`'s backward gives.", LeakyReLUGradients);
