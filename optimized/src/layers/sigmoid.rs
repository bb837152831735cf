//! Sigmoid: one kernel, elementwise.

use super::shared::elementwise::elementwise_layer;
use crate::math;

elementwise_layer! {
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
    pub struct Sigmoid, SigmoidPass, SigmoidOptions, SigmoidGradients;
    forward(_options, T) = math::Sigmoid;
    backward(_options) = math::SigmoidBackward;
    keeps_input = false, kept(_options, _input, output) = output;
}
