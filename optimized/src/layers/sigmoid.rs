//! Sigmoid: one kernel, elementwise.

use super::{overwrite, require_output_shape};
use crate::kernels::elementwise;
use crate::math;
use crate::memory::{Output, fresh};
use crate::{Choice, Execution, Float, execution};
use vocabulary::{Gradients, Layer, Result, Saved, SigmoidGradients, SigmoidOptions, Tensor};

const LAYER: &str = "Sigmoid";

/// The logistic function of each element.
///
/// ```math
/// \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad \frac{\partial L}{\partial x} = g\,(1 - \sigma(x))\,\sigma(x)
/// ```
///
/// where g is `grad_output`. The exponential is [`math::exp`](crate::math::exp)'s, with its stated error.
///
/// Shapes: any; the output has the input's.
///
/// Source: [torch.nn.Sigmoid](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Sigmoid.html).
///
/// ```
/// use optimized::{Sigmoid, SigmoidOptions, Tensor};
/// let mut sigmoid = Sigmoid::new(SigmoidOptions::new())?;
/// let pass = sigmoid.forward_pass(&Tensor::from_vec(&[3], vec![f32::NEG_INFINITY, 0.0, f32::INFINITY])?)?;
/// assert_eq!(pass.output.as_slice(), [0.0, 0.5, 1.0]);
/// let gradients = sigmoid.backward(&pass, &Tensor::full(&[3], 8.0)?)?;
/// assert_eq!(gradients.input.as_slice(), [0.0, 2.0, 0.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sigmoid {
    options: SigmoidOptions,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct SigmoidPass<T> {
    /// In the input's shape.
    pub output: Tensor<T>,
}

impl Sigmoid {
    /// A layer with the given options.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: SigmoidOptions) -> Result<Self> {
        Ok(Self { options, execution: Execution::default() })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &SigmoidOptions {
        &self.options
    }

    /// How the layer is run.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Sets how the layer is run.
    ///
    /// # Errors
    /// Where the machine lacks the instruction set, or the layer has no such algorithm.
    pub fn set_execution(&mut self, execution: Execution) -> Result<()> {
        execution.check(LAYER)?;
        self.execution = execution;
        Ok(())
    }

    /// The algorithms for an input of `input_shape`: one, which accepts everything.
    ///
    /// # Errors
    /// None.
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        self.output_shape(input_shape)?;
        Ok(execution::only(LAYER))
    }

    /// The output's shape: the input's.
    ///
    /// # Errors
    /// None.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    /// The logistic function of each element.
    ///
    /// # Errors
    /// Where the output cannot be stored.
    pub fn forward<T: Float>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let mut output = fresh(LAYER, input.shape())?;
        elementwise::map(math::Sigmoid, self.execution.kernel(), input.as_slice(), Output::Fresh(&mut output));
        output.tensor(input.shape())
    }

    /// [`Sigmoid::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// Where `output` does not have the input's shape.
    ///
    /// ```
    /// use optimized::{Sigmoid, SigmoidOptions, Tensor};
    /// let mut y = Tensor::full(&[2], f32::NAN)?;
    /// Sigmoid::new(SigmoidOptions::new())?.forward_into(&Tensor::from_vec(&[2], vec![0.0, f32::INFINITY])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [0.5, 1.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into<T: Float>(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let output = overwrite(LAYER, output, input.shape())?;
        elementwise::map(math::Sigmoid, self.execution.kernel(), input.as_slice(), Output::Given(output));
        Ok(())
    }

    /// [`Sigmoid::forward`], written over the input.
    ///
    /// # Errors
    /// None.
    ///
    /// ```
    /// use optimized::{Sigmoid, SigmoidOptions, Tensor};
    /// let mut x = Tensor::from_vec(&[2], vec![0.0, f32::INFINITY])?;
    /// Sigmoid::new(SigmoidOptions::new())?.forward_in_place(&mut x)?;
    /// assert_eq!(x.as_slice(), [0.5, 1.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_in_place<T: Float>(&self, input: &mut Tensor<T>) -> Result<()> {
        elementwise::map_in_place(math::Sigmoid, self.execution.kernel(), input.as_mut_slice());
        Ok(())
    }

    /// The output, and what backward needs.
    ///
    /// # Errors
    /// As [`Sigmoid::forward`].
    pub fn forward_pass<T: Float>(&mut self, input: &Tensor<T>) -> Result<SigmoidPass<T>> {
        Ok(SigmoidPass { output: self.forward(input)? })
    }

    /// The gradient of the input.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Float>(&self, pass: &SigmoidPass<T>, grad_output: &Tensor<T>) -> Result<SigmoidGradients<T>> {
        require_output_shape(LAYER, grad_output, pass.output.shape())?;
        let mut input = fresh(LAYER, pass.output.shape())?;
        let operands = (pass.output.as_slice(), grad_output.as_slice());
        elementwise::zip(math::SigmoidBackward, self.execution.kernel(), operands, Output::Fresh(&mut input));
        Ok(SigmoidGradients { input: input.tensor(pass.output.shape())? })
    }
}

impl<T: Float> Layer<T> for Sigmoid {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Sigmoid::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        Sigmoid::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = Sigmoid::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let SigmoidGradients { input } = Sigmoid::backward(self, saved.get(LAYER)?, grad_output)?;
        Ok(Gradients { input, parameters: Vec::new() })
    }
}
