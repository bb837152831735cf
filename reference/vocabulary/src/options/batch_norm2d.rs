//! `torch.nn.BatchNorm2d(num_features, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, *, bias=True)`.

use super::require_shape;
use crate::{Error, Result, Tensor};

const LAYER: &str = "BatchNorm2d";

/// Arguments of `torch.nn.BatchNorm2d`.
///
/// ```
/// use vocabulary::BatchNorm2dOptions;
/// let options = BatchNorm2dOptions::new(64).eps(1e-3).momentum(None);
/// assert_eq!((options.num_features, options.eps, options.momentum), (64, 1e-3, None));
/// assert!(options.has_weight() && options.has_bias() && options.track_running_stats);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct BatchNorm2dOptions {
    /// C of an input [N, C, H, W].
    pub num_features: usize,
    /// ε, added to the variance inside the root.
    #[cfg_attr(feature = "serde", serde(default = "default::eps", with = "super::float"))]
    pub eps: f64,
    /// The weight of a batch in the running statistics; `None` averages all batches alike.
    #[cfg_attr(feature = "serde", serde(default = "default::momentum", with = "super::float::optional"))]
    pub momentum: Option<f64>,
    /// Whether the layer has a weight (and a bias, unless `bias` says no).
    #[cfg_attr(feature = "serde", serde(default = "super::yes"))]
    pub affine: bool,
    /// Whether running statistics are kept, and used in evaluation.
    #[cfg_attr(feature = "serde", serde(default = "super::yes"))]
    pub track_running_stats: bool,
    /// Whether an affine layer has a bias; keyword-only in PyTorch.
    #[cfg_attr(feature = "serde", serde(default = "super::yes"))]
    pub bias: bool,
}

mod default {
    pub fn eps() -> f64 {
        1e-5
    }
    pub fn momentum() -> Option<f64> {
        Some(0.1)
    }
}

impl BatchNorm2dOptions {
    /// PyTorch's defaults.
    pub fn new(num_features: usize) -> Self {
        Self {
            num_features,
            eps: default::eps(),
            momentum: default::momentum(),
            affine: true,
            track_running_stats: true,
            bias: true,
        }
    }

    /// Sets ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Sets the weight of a batch in the running statistics; `None` averages all batches alike.
    pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = momentum.into();
        self
    }

    /// Sets whether the layer has a weight and a bias.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Sets whether running statistics are kept.
    pub fn track_running_stats(mut self, track_running_stats: bool) -> Self {
        self.track_running_stats = track_running_stats;
        self
    }

    /// Sets whether an affine layer has a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether the layer has a weight.
    pub fn has_weight(&self) -> bool {
        self.affine
    }

    /// Whether the layer has a bias.
    pub fn has_bias(&self) -> bool {
        self.affine && self.bias
    }

    /// Checks that parameters and buffers are given exactly where the options ask for them, each of shape `[num_features]`.
    ///
    /// # Errors
    /// Names the parameter or buffer that is missing, superfluous or of another shape.
    pub fn check_state<T>(&self, state: &BatchNorm2dState<T>) -> Result<()> {
        let per_channel = [
            ("weight", &state.weight, self.has_weight(), "affine"),
            ("bias", &state.bias, self.has_bias(), "affine and bias"),
            ("running_mean", &state.running_mean, self.track_running_stats, "track_running_stats"),
            ("running_var", &state.running_var, self.track_running_stats, "track_running_stats"),
        ];
        for (name, tensor, due, option) in per_channel {
            match (tensor, due) {
                (Some(tensor), true) => require_shape(LAYER, name, tensor.shape(), &[self.num_features])?,
                (None, true) => {
                    return Err(Error::missing(LAYER, name, format_args!("[{}] ({option})", self.num_features)));
                }
                (Some(tensor), false) => {
                    return Err(Error::shape(LAYER, name, tensor.shape(), format_args!("none (not {option})")));
                }
                (None, false) => {}
            }
        }
        match (state.num_batches_tracked, self.track_running_stats) {
            (None, true) => Err(Error::missing(LAYER, "num_batches_tracked", "an integer (track_running_stats)")),
            (Some(n), false) => {
                Err(Error::new(LAYER, "num_batches_tracked", format_args!("is {n}"), "none (not track_running_stats)"))
            }
            _ => Ok(()),
        }
    }

    /// Checks an input's shape, [N, C, H, W] with C = `num_features`, and that the statistics it is normalised by exist.
    ///
    /// `batch_statistics` says whether the batch's own mean and variance are used: in training, and in evaluation without
    /// running statistics. As in PyTorch, C is free where the layer has neither parameters nor running statistics, and
    /// where the input has no elements; and an affine layer without features takes no input at all.
    ///
    /// # Errors
    /// Names `input`, where it does not have four dimensions, has another number of channels, or has a single value a channel
    /// while batch statistics are used (no values at all are accepted); names `eps`, where it is negative, or 0 while batch
    /// statistics are used.
    pub fn check_input(&self, input: &[usize], batch_statistics: bool) -> Result<()> {
        let c = self.num_features;
        let &[n, channels, h, w] = input else {
            return Err(Error::shape(LAYER, "input", input, format_args!("[N, {c}, H, W] (num_features = {c})")));
        };
        if batch_statistics && n.checked_mul(h).and_then(|nh| nh.checked_mul(w)) == Some(1) {
            return Err(Error::shape(
                LAYER,
                "input",
                input,
                "more than one value a channel while batch statistics are used",
            ));
        }
        if batch_statistics && self.eps <= 0.0 {
            return Err(Error::new(
                LAYER,
                "eps",
                format_args!("is {}", self.eps),
                "a positive number while batch statistics are used",
            ));
        }
        if self.eps < 0.0 {
            return Err(Error::new(LAYER, "eps", format_args!("is {}", self.eps), "a number that is not negative"));
        }
        let holds_channels = self.affine || self.track_running_stats;
        if (channels != c && holds_channels && !input.contains(&0)) || (c == 0 && self.affine) {
            return Err(Error::shape(LAYER, "input", input, format_args!("[N, {c}, H, W] (num_features = {c})")));
        }
        Ok(())
    }
}

impl BatchNorm2dOptions {
    /// The count of batches after one more, as PyTorch counts.
    ///
    /// # Errors
    /// Where `momentum` is `None`, so that a batch weighs one over the count, and the count is 0.
    ///
    /// ```
    /// use vocabulary::BatchNorm2dOptions;
    /// assert_eq!(BatchNorm2dOptions::new(1).next_count(4)?, 5);
    /// assert!(BatchNorm2dOptions::new(1).momentum(None).next_count(-1).is_err());
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn next_count(&self, num_batches_tracked: i64) -> Result<i64> {
        match (num_batches_tracked.wrapping_add(1), self.momentum) {
            (0, None) => {
                let got = format!("is {num_batches_tracked}");
                Err(Error::new(LAYER, "num_batches_tracked", got, "a number other than −1 (momentum = None)"))
            }
            (count, _) => Ok(count),
        }
    }
}

/// The parameters and buffers of a `BatchNorm2d`, each of shape `[num_features]` and there only where the options ask for it.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm2dState<T> {
    /// γ.
    pub weight: Option<Tensor<T>>,
    /// β.
    pub bias: Option<Tensor<T>>,
    /// The running mean.
    pub running_mean: Option<Tensor<T>>,
    /// The running variance (unbiased).
    pub running_var: Option<Tensor<T>>,
    /// How many batches the running statistics have seen.
    pub num_batches_tracked: Option<i64>,
}

/// What `BatchNorm2d`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm2dGradients<T> {
    /// [N, C, H, W].
    pub input: Tensor<T>,
    /// `[C]`, where the layer has a weight.
    pub weight: Option<Tensor<T>>,
    /// `[C]`, where the layer has a bias.
    pub bias: Option<Tensor<T>>,
}
