//! What every element type of a layer can do, whatever it carries beside its value.

use std::fmt::Debug;

/// A number that a layer can be built over: `f32`, `f64`, or a type that carries more than a value, such as a dual number.
///
/// ```
/// use vocabulary::Scalar;
/// assert_eq!(f32::from_f64(0.1), 0.1_f32);
/// assert_eq!(0.5_f32.to_f64(), 0.5);
/// ```
pub trait Scalar: Copy + Debug + Send + Sync + 'static {
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The value, in double precision.
    fn to_f64(self) -> f64;
}

impl Scalar for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}
