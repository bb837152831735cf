//! ReLU, transcribed: the equation of the torch.nn.ReLU page.

use crate::{Real, check_grad_output};
use vocabulary::{Gradients, Layer, ReLUGradients, ReLUOptions, Result, Saved, Tensor};

const LAYER: &str = "ReLU";

/// The positive part of each element.
///
/// $$ y = \begin{cases} 0 & x < 0 \\ x & \text{otherwise} \end{cases} \tag{1} $$
/// $$ \frac{\partial L}{\partial x} = \begin{cases} 0 & y \le 0 \\ g & \text{otherwise} \end{cases} \tag{2} $$
///
/// At x = 0 the derivative is 0, as in PyTorch; relu(−0) = −0; relu(NaN) = NaN, and there the derivative is 1.
///
/// Shapes: any; the output has the input's.
///
/// Source: [torch.nn.ReLU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.ReLU.html).
///
/// ```
/// use reference::{ReLU, ReLUOptions, Tensor};
/// let mut relu = ReLU::new(ReLUOptions::new())?;
/// let pass = relu.forward_pass(&Tensor::from_vec(&[3], vec![-1.0, 0.0, 2.0])?)?;
/// assert_eq!(pass.output.as_slice(), [0.0, 0.0, 2.0]);
/// let gradients = relu.backward(&pass, &Tensor::from_vec(&[3], vec![5.0, 6.0, 7.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [0.0, 0.0, 7.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReLU {
    options: ReLUOptions,
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
        Ok(Self { options })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &ReLUOptions {
        &self.options
    }

    /// The output's shape: the input's.
    ///
    /// # Errors
    /// None.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    /// Equation (1).
    ///
    /// # Errors
    /// None.
    pub fn forward<T: Real>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(input.map(|x| T::select(x.less(T::zero()), T::zero(), x))) // (1)
    }

    /// Equation (1), and what backward needs.
    ///
    /// # Errors
    /// None.
    pub fn forward_pass<T: Real>(&mut self, input: &Tensor<T>) -> Result<ReLUPass<T>> {
        Ok(ReLUPass { output: self.forward(input)? })
    }

    /// Equation (2).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Real>(&self, pass: &ReLUPass<T>, grad_output: &Tensor<T>) -> Result<ReLUGradients<T>> {
        check_grad_output(LAYER, grad_output, &pass.output)?;
        let pairs = pass.output.as_slice().iter().zip(grad_output.as_slice());
        let dx = pairs.map(|(&y, &g)| T::select(y.less_or_equal(T::zero()), T::zero(), g)); // (2)
        Ok(ReLUGradients { input: Tensor::from_vec(pass.output.shape(), dx.collect())? })
    }
}

impl<T: Real> Layer<T> for ReLU {
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
