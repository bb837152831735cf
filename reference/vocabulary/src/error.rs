//! One error type: what a layer refuses, in the user's language.

use std::fmt;

/// A refusal: it names the layer, the argument under PyTorch's name, what was expected and what came.
///
/// ```
/// use vocabulary::{Error, LinearOptions};
/// let error = LinearOptions::new(3, 2).check_input(&[8, 4]).unwrap_err();
/// assert_eq!(error.to_string(), "Linear: input has shape [8, 4], expected [*, 3] (in_features = 3)");
/// assert_eq!((error.layer(), error.argument()), ("Linear", "input"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    layer: String,
    argument: String,
    got: String,
    expected: String,
}

/// A `Result` whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A refusal by `layer` of `argument`, which `got` ("is −1", "has shape [2, 3]") where `expected` was due.
    pub fn new(
        layer: impl fmt::Display,
        argument: impl fmt::Display,
        got: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self(Box::new(Parts {
            layer: layer.to_string(),
            argument: argument.to_string(),
            got: got.to_string(),
            expected: expected.to_string(),
        }))
    }

    /// A refusal of a tensor for its shape.
    pub fn shape(layer: &str, argument: &str, got: &[usize], expected: impl fmt::Display) -> Self {
        Self::new(layer, argument, format_args!("has shape {got:?}"), expected)
    }

    /// A refusal of a tensor or option that is missing.
    pub fn missing(layer: &str, argument: &str, expected: impl fmt::Display) -> Self {
        Self::new(layer, argument, "is missing", expected)
    }

    /// A refusal of a size whose elements cannot be counted or stored.
    pub fn too_large(layer: &str, argument: &str, shape: &[usize]) -> Self {
        Self::shape(layer, argument, shape, "a size that fits in memory")
    }

    /// The same refusal, as that of `argument` by `layer`: what a tensor cannot hold, the layer that asked for it refuses.
    ///
    /// ```
    /// use vocabulary::Tensor;
    /// let error = Tensor::full(&[usize::MAX], 0.0).unwrap_err().of("Linear", "weight");
    /// assert!(error.to_string().starts_with("Linear: weight has shape [18446744073709551615], expected"));
    /// ```
    pub fn of(mut self, layer: &str, argument: &str) -> Self {
        self.0.layer = layer.to_owned();
        self.0.argument = argument.to_owned();
        self
    }

    /// The layer that refuses, by its torch.nn class name.
    pub fn layer(&self) -> &str {
        &self.0.layer
    }

    /// The refused argument, under PyTorch's name.
    pub fn argument(&self) -> &str {
        &self.0.argument
    }

    /// What was expected.
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// What came instead.
    pub fn got(&self) -> &str {
        &self.0.got
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { layer, argument, got, expected } = &*self.0;
        write!(f, "{layer}: {argument} {got}, expected {expected}")
    }
}

impl std::error::Error for Error {}
