//! One file a layer: its constructor's arguments under PyTorch's names, order and defaults; what it refuses; and the names
//! of what its backward gives.

mod batch_norm2d;
mod linear;
mod mse_loss;
mod relu;
mod sigmoid;

pub use batch_norm2d::{BatchNorm2dGradients, BatchNorm2dOptions, BatchNorm2dState};
pub use linear::{LinearGradients, LinearOptions};
pub use mse_loss::{MSELossGradients, MSELossOptions};
pub use relu::{ReLUGradients, ReLUOptions};
pub use sigmoid::{SigmoidGradients, SigmoidOptions};

/// Refuses a tensor that does not have exactly the shape `expected`.
pub(crate) fn require_shape(layer: &str, argument: &str, got: &[usize], expected: &[usize]) -> crate::Result<()> {
    if got == expected { Ok(()) } else { Err(crate::Error::shape(layer, argument, got, format_args!("{expected:?}"))) }
}

#[cfg(feature = "serde")]
mod float {
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
