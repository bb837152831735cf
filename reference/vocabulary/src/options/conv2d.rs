//! `torch.nn.Conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
//! padding_mode='zeros')`.

use super::{check_bias, require_shape};
use crate::{Error, Padding, PaddingMode, Pair, Result, Tensor};

const LAYER: &str = "Conv2d";

/// Arguments of `torch.nn.Conv2d`.
///
/// ```
/// use vocabulary::{Conv2dOptions, Padding, Pair};
/// let options = Conv2dOptions::new(3, 16, 3).stride((2, 1)).padding(1).bias(false);
/// assert_eq!((options.stride, options.padding), (Pair(2, 1), Padding::Explicit([1, 1])));
/// assert_eq!(options.weight_shape(), [16, 3, 3, 3]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Conv2dOptions {
    /// C of an input [N, C, H, W].
    pub in_channels: usize,
    /// The number of output channels.
    pub out_channels: usize,
    /// The kernel's height and width.
    pub kernel_size: Pair,
    /// How far apart neighbouring windows start.
    #[cfg_attr(feature = "serde", serde(default = "default::ones"))]
    pub stride: Pair,
    /// How much the input is padded at each end.
    #[cfg_attr(feature = "serde", serde(default = "default::no_padding"))]
    pub padding: Padding,
    /// How far apart neighbouring taps of the kernel lie.
    #[cfg_attr(feature = "serde", serde(default = "default::ones"))]
    pub dilation: Pair,
    /// Into how many groups the channels fall, each convolved by itself.
    #[cfg_attr(feature = "serde", serde(default = "default::one"))]
    pub groups: usize,
    /// Whether a bias is added.
    #[cfg_attr(feature = "serde", serde(default = "super::yes"))]
    pub bias: bool,
    /// What the padding holds.
    #[cfg_attr(feature = "serde", serde(default))]
    pub padding_mode: PaddingMode,
}

mod default {
    use crate::{Padding, Pair};

    pub fn one() -> usize {
        1
    }
    pub fn ones() -> Pair {
        Pair(1, 1)
    }
    pub fn no_padding() -> Padding {
        Padding::Explicit([0, 0])
    }
}

impl Conv2dOptions {
    /// PyTorch's defaults: stride 1, no padding, no dilation, one group, a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<Pair>) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel_size: kernel_size.into(),
            stride: default::ones(),
            padding: default::no_padding(),
            dilation: default::ones(),
            groups: default::one(),
            bias: true,
            padding_mode: PaddingMode::Zeros,
        }
    }

    /// Sets how far apart neighbouring windows start.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Sets how much the input is padded: `1`, `(1, 2)`, `Padding::Same` or `Padding::Valid`.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Sets how far apart neighbouring taps of the kernel lie.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Sets into how many groups the channels fall.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Sets whether a bias is added.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets what the padding holds.
    pub fn padding_mode(mut self, padding_mode: PaddingMode) -> Self {
        self.padding_mode = padding_mode;
        self
    }

    /// The weight's shape: [out_channels, in_channels / groups, kernel height, kernel width].
    pub fn weight_shape(&self) -> [usize; 4] {
        let Pair(height, width) = self.kernel_size;
        [self.out_channels, self.in_channels / self.groups.max(1), height, width]
    }

    /// Checks the options among themselves.
    ///
    /// # Errors
    /// Names the option that PyTorch would refuse at construction or in every call.
    pub fn check(&self) -> Result<()> {
        const MOST: u64 = i64::MAX as u64;
        for (argument, size) in [("groups", self.groups), ("out_channels", self.out_channels)] {
            if size == 0 {
                return Err(Error::new(LAYER, argument, "is 0", "a positive number"));
            }
        }
        for (argument, channels) in [("in_channels", self.in_channels), ("out_channels", self.out_channels)] {
            if channels % self.groups != 0 {
                let expected = format!("a multiple of groups = {}", self.groups);
                return Err(Error::new(LAYER, argument, format_args!("is {channels}"), expected));
            }
        }
        let positive = [("kernel_size", self.kernel_size), ("stride", self.stride), ("dilation", self.dilation)];
        for (argument, sizes) in positive {
            sizes.require_positive(LAYER, argument)?;
            sizes.require_at_most(LAYER, argument, MOST)?;
        }
        match self.padding {
            Padding::Explicit(padding) if self.padding_mode == PaddingMode::Zeros && padding.iter().any(|&p| p < 0) => {
                let expected = "sizes that are not negative, where zeros are padded";
                Err(Error::new(LAYER, "padding", format_args!("is {padding:?}"), expected))
            }
            Padding::Same if self.stride != Pair(1, 1) => {
                let got = format!("is {:?}", self.stride.axes());
                Err(Error::new(LAYER, "stride", got, "1, as padding is \"same\""))
            }
            _ => Ok(()),
        }
    }

    /// Checks the parameters' shapes, and that a bias is given exactly where the options ask for one.
    ///
    /// # Errors
    /// Names `weight` or `bias`, with the shape that was expected.
    pub fn check_parameters(&self, weight: &[usize], bias: Option<&[usize]>) -> Result<()> {
        require_shape(LAYER, "weight", weight, &self.weight_shape())?;
        check_bias(LAYER, self.bias, bias, self.out_channels)
    }

    /// Checks an input's shape: [N, C, H, W] or [C, H, W], its channels, and that the kernel fits into what is padded.
    ///
    /// # Errors
    /// As [`Conv2dOptions::check`]; names `input` and what it is too small for.
    pub fn check_input(&self, input: &[usize]) -> Result<()> {
        self.check()?;
        let c = self.in_channels;
        let refuse = |expected: &dyn std::fmt::Display| Err(Error::shape(LAYER, "input", input, expected));
        let (3 | 4) = input.len() else {
            return refuse(&format_args!("[N, {c}, H, W] or [{c}, H, W] (in_channels = {c})"));
        };
        let [channels, ref image @ ..] = input[input.len() - 3..] else { return refuse(&"an image") };
        if channels != c {
            return refuse(&format_args!("[N, {c}, H, W] or [{c}, H, W] (in_channels = {c})"));
        }
        let mode = self.padding_mode;
        // PyTorch mirrors and repeats nothing where there are no channels.
        if c == 0 && matches!(mode, PaddingMode::Reflect | PaddingMode::Replicate) {
            return refuse(&"a channel at least, to be padded otherwise than by zeros");
        }
        for (axis, &size) in image.iter().enumerate() {
            let taps = self.kernel_size.axes()[axis] as i128;
            let reach = self.dilation.axes()[axis] as i128 * (taps - 1) + 1;
            // In all, and at that end where it is more.
            let (padding, larger) = match self.padding {
                Padding::Explicit(axes) => (2 * i128::from(axes[axis]), i128::from(axes[axis])),
                Padding::Valid => (0, 0),
                Padding::Same => (reach - 1, reach / 2),
            };
            let padded = size as i128 + padding;
            if padded < reach {
                return refuse(&format_args!("an image that the kernel fits into ({reach} along axis {axis}, padded)"));
            }
            if padded > i128::from(i64::MAX) {
                return refuse(&format_args!("an image and a padding ({padding} along axis {axis}) of 64 bits"));
            }
            let most = match mode {
                // Zeros alone make no image, unless there is no image at all.
                PaddingMode::Zeros => (size > 0 || c == 0 || input[0] == 0).then_some(i128::MAX),
                PaddingMode::Reflect => size.checked_sub(1).map(|most| most as i128),
                PaddingMode::Circular => Some(size as i128),
                PaddingMode::Replicate => (size > 0).then_some(i128::MAX),
            };
            if most.is_none_or(|most| larger > most) {
                return refuse(&format_args!("an image as large as its padding ({larger} along axis {axis})"));
            }
        }
        Ok(())
    }
}

/// What `Conv2d`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2dGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// [out_channels, in_channels / groups, kernel height, kernel width].
    pub weight: Tensor<T>,
    /// `[out_channels]`, where the layer has a bias.
    pub bias: Option<Tensor<T>>,
}
