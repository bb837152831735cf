//! Sigmoid, transcribed: the equation of the torch.nn.Sigmoid page.

use crate::elementwise::elementwise_layer;

elementwise_layer! {
    /// The logistic function of each element.
    ///
    /// ```math
    /// \sigma(x) = \frac{1}{1 + e^{-x}} \tag{1}
    /// \frac{\partial L}{\partial x} = g\,(1 - \sigma(x))\,\sigma(x) \tag{2}
    /// ```
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
    pub struct Sigmoid, SigmoidPass, SigmoidOptions, SigmoidGradients;
    forward(_options, x) = T::one() / (T::one() + (-x).exp()); // (1)
    backward(_options, _x, y, g) = g * (T::one() - y) * y; // (2)
}
