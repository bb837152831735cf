//! What every layer with one input and one output can do, so that lists of layers, optimizers and state dictionaries need
//! to know no more.

use crate::{Error, Result, Tensor};
use std::any::Any;
use std::borrow::Cow;

/// What a pass keeps for its backward, its type known only to the layer that made it.
///
/// ```
/// use vocabulary::Saved;
/// let saved = Saved::new(3_usize);
/// assert_eq!(saved.get::<usize>("ReLU")?, &3);
/// assert!(saved.get::<u8>("ReLU").is_err());
/// # Ok::<(), vocabulary::Error>(())
/// ```
pub struct Saved(Box<dyn Any + Send + Sync>);

impl Saved {
    /// Wraps a pass.
    pub fn new(pass: impl Any + Send + Sync) -> Self {
        Self(Box::new(pass))
    }

    /// The pass inside.
    ///
    /// # Errors
    /// Where `layer` did not make this pass.
    pub fn get<P: Any>(&self, layer: &str) -> Result<&P> {
        self.0
            .downcast_ref()
            .ok_or_else(|| Error::new(layer, "pass", "was made by another kind of layer", "a pass of this layer"))
    }
}

/// The gradients of one backward: of the input, and of each parameter under its name in the state dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients<T> {
    /// The gradient of the layer's input, in the input's shape.
    pub input: Tensor<T>,
    /// The gradients of the parameters, in the order in which the layer visits them.
    pub parameters: Vec<(Cow<'static, str>, Tensor<T>)>,
}

/// A layer with one input and one output, as lists of layers, optimizers and state dictionaries see it.
///
/// The layers' own methods say the same with their own types (`pass.output`, `gradients.weight`).
///
/// ```
/// use vocabulary::{Layer, Result, Tensor};
/// fn apply(layers: &[Box<dyn Layer<f32>>], input: &Tensor<f32>) -> Result<Tensor<f32>> {
///     layers.iter().try_fold(input.clone(), |x, layer| layer.forward(&x))
/// }
/// let input = Tensor::from_vec(&[2], vec![1.0, 2.0])?;
/// assert_eq!(apply(&[], &input)?, input);
/// # Ok::<(), vocabulary::Error>(())
/// ```
pub trait Layer<T>: Send + Sync {
    /// The torch.nn class name.
    fn name(&self) -> &'static str;

    /// The shape of the output for an input of `input_shape`.
    ///
    /// # Errors
    /// Where the layer refuses such an input.
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>>;

    /// The output; changes nothing and keeps nothing.
    ///
    /// # Errors
    /// Where the layer refuses the input.
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>>;

    /// A training step's forward: the output, and what backward needs. It may update buffers.
    ///
    /// # Errors
    /// Where the layer refuses the input.
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)>;

    /// The gradients of Σ output·`grad_output` for the input and every parameter.
    ///
    /// # Errors
    /// Where the pass is another layer's, or `grad_output` does not have the output's shape.
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>>;

    /// Shows each parameter with its name in the state dictionary.
    fn visit_parameters(&self, _visit: &mut dyn FnMut(&str, &Tensor<T>)) {}

    /// Lends each parameter's elements for updating, with its name and in the order of [`Layer::visit_parameters`].
    fn visit_parameters_mut(&mut self, _visit: &mut dyn FnMut(&str, &mut [T])) {}

    /// Chooses between training (`true`) and evaluation; layers that act alike in both ignore it.
    fn set_training(&mut self, _training: bool) {}
}
