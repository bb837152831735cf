//! One file a layer: its constructor's arguments under PyTorch's names, order and defaults; what it refuses; and the names
//! of what its backward gives.

/// A layer's gradients where it has one input and no parameters.
macro_rules! input_gradients {
    ($doc:literal, $gradients:ident) => {
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $gradients<T> {
            /// In the input's shape.
            pub input: crate::Tensor<T>,
        }
    };
}
use input_gradients;

mod batch_norm2d;
mod bce_loss;
mod bce_with_logits_loss;
mod conv2d;
mod cross_entropy_loss;
mod elu;
mod embedding;
mod gru;
mod l1_loss;
mod leaky_relu;
mod linear;
mod log_sigmoid;
mod max_pool2d;
mod mse_loss;
mod relu;
mod rnn;
mod sigmoid;
mod softmax;
mod tanh;

pub use batch_norm2d::{BatchNorm2dGradients, BatchNorm2dOptions, BatchNorm2dState};
pub use bce_loss::{BCELossGradients, BCELossOptions};
pub use bce_with_logits_loss::{BCEWithLogitsLossGradients, BCEWithLogitsLossOptions};
pub use conv2d::{Conv2dGradients, Conv2dOptions};
pub use cross_entropy_loss::{CrossEntropyLossGradients, CrossEntropyLossOptions};
pub use elu::{ELUGradients, ELUOptions};
pub use embedding::{EmbeddingGradient, EmbeddingGradients, EmbeddingOptions};
pub use gru::GRUOptions;
pub use l1_loss::{L1LossGradients, L1LossOptions};
pub use leaky_relu::{LeakyReLUGradients, LeakyReLUOptions};
pub use linear::{LinearGradients, LinearOptions};
pub use log_sigmoid::{LogSigmoidGradients, LogSigmoidOptions};
pub use max_pool2d::{MaxPool2dGradients, MaxPool2dOptions};
pub use mse_loss::{MSELossGradients, MSELossOptions};
pub use relu::{ReLUGradients, ReLUOptions};
pub use rnn::{Nonlinearity, RNNOptions};
pub use sigmoid::{SigmoidGradients, SigmoidOptions};
pub use softmax::{SoftmaxGradients, SoftmaxOptions};
pub use tanh::{TanhGradients, TanhOptions};

/// Refuses a tensor that does not have exactly the shape `expected`.
pub(crate) fn require_shape(layer: &str, argument: &str, got: &[usize], expected: &[usize]) -> crate::Result<()> {
    if got == expected { Ok(()) } else { Err(crate::Error::shape(layer, argument, got, format_args!("{expected:?}"))) }
}

/// Checks that a bias is given exactly where `due`, with one number for each of `size` outputs.
fn check_bias(layer: &str, due: bool, bias: Option<&[usize]>, size: usize) -> crate::Result<()> {
    match (due, bias) {
        (true, Some(shape)) => require_shape(layer, "bias", shape, &[size]),
        (true, None) => Err(crate::Error::missing(layer, "bias", format_args!("[{size}] (bias = true)"))),
        (false, Some(shape)) => Err(crate::Error::shape(layer, "bias", shape, "none (bias = false)")),
        (false, None) => Ok(()),
    }
}

/// The default of PyTorch's flags that are on.
#[cfg(feature = "serde")]
pub(crate) fn yes() -> bool {
    true
}

/// A keyword argument that, where it is given, may not be null.
#[cfg(feature = "serde")]
pub(crate) fn given<'de, D: serde::Deserializer<'de>, T: Argument>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::read(deserializer).map(Some)
}

/// The type of a keyword argument.
#[cfg(feature = "serde")]
pub(crate) trait Argument: Sized {
    fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

#[cfg(feature = "serde")]
impl Argument for i64 {
    fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

#[cfg(feature = "serde")]
impl Argument for f64 {
    fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        float::deserialize(deserializer)
    }
}

#[cfg(feature = "serde")]
pub(crate) mod float {
    //! Floats of a case file: JSON numbers, integers among them, and the strings "inf", "-inf" and "nan".

    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *value {
            v if v.is_nan() => serializer.serialize_str("nan"),
            f64::INFINITY => serializer.serialize_str("inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-inf"),
            v => serializer.serialize_f64(v),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        deserializer.deserialize_any(FloatVisitor)
    }

    struct FloatVisitor;

    impl de::Visitor<'_> for FloatVisitor {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, \"inf\", \"-inf\" or \"nan\"")
        }
        fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }
        fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
            Ok(value as f64)
        }
        fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
            Ok(value as f64)
        }
        fn visit_str<E: de::Error>(self, value: &str) -> Result<f64, E> {
            match value {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                "nan" => Ok(f64::NAN),
                other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
            }
        }
    }

    pub mod optional {
        //! The same, or null.

        use super::FloatVisitor;
        use serde::{Deserializer, Serializer, de};
        use std::fmt;

        pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => super::serialize(value, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
            deserializer.deserialize_option(OptionalVisitor)
        }

        struct OptionalVisitor;

        impl<'de> de::Visitor<'de> for OptionalVisitor {
            type Value = Option<f64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"inf\", \"-inf\", \"nan\" or null")
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_any(FloatVisitor).map(Some)
            }
        }
    }
}
