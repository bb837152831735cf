//! Indices and classes.

/// An integer type that indices and class targets may have, as in PyTorch: `i32` and `i64`.
///
/// ```
/// use vocabulary::Integer;
/// assert_eq!((7_i32.to_i64(), (-1_i64).to_i64()), (7, -1));
/// ```
pub trait Integer: Copy + Send + Sync + 'static {
    /// The same integer in 64 bits.
    fn to_i64(self) -> i64;
}

impl Integer for i32 {
    fn to_i64(self) -> i64 {
        i64::from(self)
    }
}

impl Integer for i64 {
    fn to_i64(self) -> i64 {
        self
    }
}
