//! `torch.nn.ELU(alpha=1.0, inplace=False)`.

use crate::{Error, Result, Scalar};

/// Arguments of `torch.nn.ELU`.
///
/// ```
/// use vocabulary::ELUOptions;
/// assert_eq!(ELUOptions::new().alpha, 1.0);
/// assert_eq!(ELUOptions::new().alpha(0.2).alpha, 0.2);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields, default))]
pub struct ELUOptions {
    /// α: the negative part tends to −α.
    #[cfg_attr(feature = "serde", serde(with = "super::float"))]
    pub alpha: f64,
    /// Whether PyTorch would overwrite its input. Here `forward` leaves its input as it is, whatever this says: in Rust
    /// ownership decides. But as in PyTorch, backward then works from the output alone, and so needs `alpha` ≥ 0.
    pub inplace: bool,
}

impl Default for ELUOptions {
    fn default() -> Self {
        Self { alpha: 1.0, inplace: false }
    }
}

impl ELUOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `alpha`.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets `inplace`.
    pub fn inplace(mut self, inplace: bool) -> Self {
        self.inplace = inplace;
        self
    }

    /// Checks that the type that the layer computes in can hold `alpha`.
    ///
    /// # Errors
    /// Names `alpha`, where it is finite and larger than the type's largest number.
    pub fn check_forward<T: Scalar>(&self) -> Result<()> {
        if T::can_hold(self.alpha) {
            return Ok(());
        }
        let got = format!("is {}", self.alpha);
        Err(Error::new("ELU", "alpha", got, "a number that the type it computes in can hold"))
    }

    /// Checks that backward can tell from the output on which side of 0 the input was, where that is all there is.
    ///
    /// # Errors
    /// Names `alpha`, where it is negative or NaN and `inplace` is set.
    pub fn check_backward(&self) -> Result<()> {
        match self.inplace && (self.alpha < 0.0 || self.alpha.is_nan()) {
            false => Ok(()),
            true => {
                let got = format!("is {}", self.alpha);
                Err(Error::new("ELU", "alpha", got, "a number that is not negative (inplace = true, backward)"))
            }
        }
    }
}

super::input_gradients!("What `ELU`'s backward gives.", ELUGradients);
