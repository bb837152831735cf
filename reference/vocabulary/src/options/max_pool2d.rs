//! `torch.nn.MaxPool2d(kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False)`.

use crate::{Error, Pair, Result, Tensor};

const LAYER: &str = "MaxPool2d";

/// Arguments of `torch.nn.MaxPool2d`.
///
/// ```
/// use vocabulary::{MaxPool2dOptions, Pair};
/// let options = MaxPool2dOptions::new((3, 2)).padding((1, 0)).return_indices(true);
/// assert_eq!(options.effective_stride(), Pair(3, 2));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct MaxPool2dOptions {
    /// The window's height and width.
    pub kernel_size: Pair,
    /// How far apart neighbouring windows start; `kernel_size` where it is not given.
    #[cfg_attr(feature = "serde", serde(default))]
    pub stride: Option<Pair>,
    /// How much −∞ is padded at each end; at most half the window.
    #[cfg_attr(feature = "serde", serde(default = "default::zeros"))]
    pub padding: Pair,
    /// How far apart neighbouring elements of a window lie.
    #[cfg_attr(feature = "serde", serde(default = "default::ones"))]
    pub dilation: Pair,
    /// Whether the places of the maxima are wanted, too.
    #[cfg_attr(feature = "serde", serde(default))]
    pub return_indices: bool,
    /// Whether a last window that leaves the padded input counts, as long as it starts inside the input or its first padding.
    #[cfg_attr(feature = "serde", serde(default))]
    pub ceil_mode: bool,
}

mod default {
    use crate::Pair;

    pub fn zeros() -> Pair {
        Pair(0, 0)
    }
    pub fn ones() -> Pair {
        Pair(1, 1)
    }
}

impl MaxPool2dOptions {
    /// PyTorch's defaults: windows beside each other, no padding, no dilation.
    pub fn new(kernel_size: impl Into<Pair>) -> Self {
        Self {
            kernel_size: kernel_size.into(),
            stride: None,
            padding: default::zeros(),
            dilation: default::ones(),
            return_indices: false,
            ceil_mode: false,
        }
    }

    /// Sets how far apart neighbouring windows start.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = Some(stride.into());
        self
    }

    /// Sets how much −∞ is padded at each end.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Sets how far apart neighbouring elements of a window lie.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Sets whether the places of the maxima are wanted, too.
    pub fn return_indices(mut self, return_indices: bool) -> Self {
        self.return_indices = return_indices;
        self
    }

    /// Sets whether a last window that leaves the padded input counts.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// The stride in force: `kernel_size` where none is given.
    pub fn effective_stride(&self) -> Pair {
        self.stride.unwrap_or(self.kernel_size)
    }

    /// Checks the options among themselves.
    ///
    /// # Errors
    /// Names the option that PyTorch refuses: sizes of 0 or of more than 31 bits, a padding of more than half the window.
    pub fn check(&self) -> Result<()> {
        let positive =
            [("kernel_size", self.kernel_size), ("stride", self.effective_stride()), ("dilation", self.dilation)];
        for (argument, sizes) in positive {
            sizes.require_positive(LAYER, argument)?;
            sizes.require_at_most(LAYER, argument, i32::MAX as u64)?;
        }
        for (padding, kernel) in self.padding.axes().into_iter().zip(self.kernel_size.axes()) {
            if padding > kernel / 2 {
                let expected = format!("at most half the window, {}", kernel / 2);
                return Err(Error::new(LAYER, "padding", format_args!("is {padding}"), expected));
            }
        }
        Ok(())
    }

    /// Checks an input's shape: [N, C, H, W] or [C, H, W], nothing of it empty but N, and a window that fits.
    ///
    /// # Errors
    /// As [`MaxPool2dOptions::check`]; names `input` and what it is too small for.
    pub fn check_input(&self, input: &[usize]) -> Result<()> {
        self.check()?;
        let refuse = |expected: &dyn std::fmt::Display| Err(Error::shape(LAYER, "input", input, expected));
        let (3 | 4) = input.len() else { return refuse(&"[N, C, H, W] or [C, H, W]") };
        if input[input.len() - 3..].contains(&0) {
            return refuse(&"[N, C, H, W] or [C, H, W], none of C, H and W being 0");
        }
        for (axis, &size) in input[input.len() - 2..].iter().enumerate() {
            let padded = size as u128 + 2 * self.padding.axes()[axis] as u128;
            let reach = self.dilation.axes()[axis] as u128 * (self.kernel_size.axes()[axis] as u128 - 1) + 1;
            let slack = if self.ceil_mode { self.effective_stride().axes()[axis] as u128 - 1 } else { 0 };
            if padded + slack < reach {
                return refuse(&format_args!("an image that a window fits into ({reach} along axis {axis}, padded)"));
            }
        }
        Ok(())
    }
}

/// What `MaxPool2d`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2dGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
}
