//! ReLU: one kernel, elementwise.

use super::{overwrite, require_output_shape};
use crate::kernels::elementwise::{self, PositivePart, PositivePartBackward};
use crate::memory::{Output, fresh};
use crate::{Choice, Execution, Float, execution};
use vocabulary::{Gradients, Layer, ReLUGradients, ReLUOptions, Result, Saved, Tensor};

const LAYER: &str = "ReLU";

/// The positive part of each element.
///
/// ```math
/// y = \begin{cases} 0 & x < 0 \\ x & \text{otherwise} \end{cases}
/// ```
///
/// Backward, ∂L/∂x is 0 where y ≤ 0, and `grad_output` elsewhere. At x = 0 the derivative is 0, as in PyTorch;
/// relu(−0) = −0; relu(NaN) = NaN, and there the derivative is 1.
///
/// Shapes: any; the output has the input's.
///
/// Source: [torch.nn.ReLU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.ReLU.html).
///
/// ```
/// use optimized::{ReLU, ReLUOptions, Tensor};
/// let mut relu = ReLU::new(ReLUOptions::new())?;
/// let pass = relu.forward_pass(&Tensor::from_vec(&[3], vec![-1.0, 0.0, 2.0])?)?;
/// assert_eq!(pass.output.as_slice(), [0.0, 0.0, 2.0]);
/// let gradients = relu.backward(&pass, &Tensor::from_vec(&[3], vec![5.0, 6.0, 7.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [0.0, 0.0, 7.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReLU {
    options: ReLUOptions,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct ReLUPass<T> {
    /// In the input's shape.
    pub output: Tensor<T>,
}

impl ReLU {
    /// A layer with the given options.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: ReLUOptions) -> Result<Self> {
        Ok(Self { options, execution: Execution::default() })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &ReLUOptions {
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

    /// The positive part of each element.
    ///
    /// # Errors
    /// Where the output cannot be stored.
    pub fn forward<T: Float>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let mut output = fresh(LAYER, input.shape())?;
        elementwise::map(PositivePart, self.execution.kernel(), input.as_slice(), Output::Fresh(&mut output));
        output.tensor(input.shape())
    }

    /// [`ReLU::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// Where `output` does not have the input's shape.
    ///
    /// ```
    /// use optimized::{ReLU, ReLUOptions, Tensor};
    /// let mut y = Tensor::full(&[2], f32::NAN)?;
    /// ReLU::new(ReLUOptions::new())?.forward_into(&Tensor::from_vec(&[2], vec![-1.0, 2.0])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [0.0, 2.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into<T: Float>(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let output = overwrite(LAYER, output, input.shape())?;
        elementwise::map(PositivePart, self.execution.kernel(), input.as_slice(), Output::Given(output));
        Ok(())
    }

    /// [`ReLU::forward`], written over the input.
    ///
    /// # Errors
    /// None.
    ///
    /// ```
    /// use optimized::{ReLU, ReLUOptions, Tensor};
    /// let mut x = Tensor::from_vec(&[2], vec![-1.0_f32, 2.0])?;
    /// ReLU::new(ReLUOptions::new())?.forward_in_place(&mut x)?;
    /// assert_eq!(x.as_slice(), [0.0, 2.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_in_place<T: Float>(&self, input: &mut Tensor<T>) -> Result<()> {
        elementwise::map_in_place(PositivePart, self.execution.kernel(), input.as_mut_slice());
        Ok(())
    }

    /// The output, and what backward needs.
    ///
    /// # Errors
    /// As [`ReLU::forward`].
    pub fn forward_pass<T: Float>(&mut self, input: &Tensor<T>) -> Result<ReLUPass<T>> {
        Ok(ReLUPass { output: self.forward(input)? })
    }

    /// The gradient of the input.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Float>(&self, pass: &ReLUPass<T>, grad_output: &Tensor<T>) -> Result<ReLUGradients<T>> {
        require_output_shape(LAYER, grad_output, pass.output.shape())?;
        let mut input = fresh(LAYER, pass.output.shape())?;
        let operands = (pass.output.as_slice(), grad_output.as_slice());
        elementwise::zip(PositivePartBackward, self.execution.kernel(), operands, Output::Fresh(&mut input));
        Ok(ReLUGradients { input: input.tensor(pass.output.shape())? })
    }
}

impl<T: Float> Layer<T> for ReLU {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        ReLU::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        ReLU::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = ReLU::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let ReLUGradients { input } = ReLU::backward(self, saved.get(LAYER)?, grad_output)?;
        Ok(Gradients { input, parameters: Vec::new() })
    }
}
