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
    /// Whether the type's range holds the value, as every type's holds infinities and NaN.
    ///
    /// ```
    /// use vocabulary::Scalar;
    /// assert!(!f32::can_hold(1e39) && f32::can_hold(f64::INFINITY) && f64::can_hold(1e39));
    /// ```
    fn can_hold(_value: f64) -> bool {
        true
    }
}

impl Scalar for f32 {
    fn can_hold(value: f64) -> bool {
        !value.is_finite() || value.abs() <= f64::from(Self::MAX)
    }
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
