//! Sigmoid, transcribed: the equation of the torch.nn.Sigmoid page.

use crate::{Real, check_grad_output};
use vocabulary::{Gradients, Layer, Result, Saved, SigmoidGradients, SigmoidOptions, Tensor};

const LAYER: &str = "Sigmoid";

/// The logistic function of each element.
///
/// $$ \sigma(x) = \frac{1}{1 + e^{-x}} \tag{1} $$
/// $$ \frac{\partial L}{\partial x} = g\,(1 - \sigma(x))\,\sigma(x) \tag{2} $$
///
/// Shapes: any; the output has the input's.
///
/// Source: [torch.nn.Sigmoid](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Sigmoid.html).
///
/// ```
/// use reference::{Sigmoid, SigmoidOptions, Tensor};
/// let mut sigmoid = Sigmoid::new(SigmoidOptions::new())?;
/// let pass = sigmoid.forward_pass(&Tensor::from_vec(&[3], vec![f32::NEG_INFINITY, 0.0, f32::INFINITY])?)?;
/// assert_eq!(pass.output.as_slice(), [0.0, 0.5, 1.0]);
/// let gradients = sigmoid.backward(&pass, &Tensor::full(&[3], 8.0)?)?;
/// assert_eq!(gradients.input.as_slice(), [0.0, 2.0, 0.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sigmoid {
    options: SigmoidOptions,
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
        Ok(Self { options })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &SigmoidOptions {
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
        Ok(input.map(|x| T::one() / (T::one() + (-x).exp()))) // (1)
    }

    /// Equation (1), and what backward needs.
    ///
    /// # Errors
    /// None.
    pub fn forward_pass<T: Real>(&mut self, input: &Tensor<T>) -> Result<SigmoidPass<T>> {
        Ok(SigmoidPass { output: self.forward(input)? })
    }

    /// Equation (2).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Real>(&self, pass: &SigmoidPass<T>, grad_output: &Tensor<T>) -> Result<SigmoidGradients<T>> {
        check_grad_output(LAYER, grad_output, &pass.output)?;
        let pairs = pass.output.as_slice().iter().zip(grad_output.as_slice());
        let dx = pairs.map(|(&y, &g)| g * (T::one() - y) * y); // (2)
        Ok(SigmoidGradients { input: Tensor::from_vec(pass.output.shape(), dx.collect())? })
    }
}

impl<T: Real> Layer<T> for Sigmoid {
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
