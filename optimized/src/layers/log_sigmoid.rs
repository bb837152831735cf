//! LogSigmoid: one kernel, elementwise.

use super::shared::elementwise::elementwise_layer;
use crate::kernels::activations;

elementwise_layer! {
    /// The logarithm of the logistic function of each element.
    ///
    /// ```math
    /// y = \ln\frac{1}{1 + e^{-x}} = \min(x, 0) - \ln(1 + e^{-|x|})
    /// \frac{\partial L}{\partial x} = g\,\sigma(-x), \qquad
    ///    \sigma(-x) = \frac{1}{1 + z} \;(x < 0) \text{ or } \frac{z}{1 + z}, \qquad z = e^{-|x|}
    /// ```
    ///
    /// Both hold over the whole range: y = x where x is far below 0, and y = −e^(−x) where it is far above.
    ///
    /// Shapes: any; the output has the input's.
    ///
    /// Source: [torch.nn.LogSigmoid](https://docs.pytorch.org/docs/2.15/generated/torch.nn.LogSigmoid.html).
    ///
    /// ```
    /// use optimized::{LogSigmoid, LogSigmoidOptions, Tensor};
    /// let mut layer = LogSigmoid::new(LogSigmoidOptions::new())?;
    /// let pass = layer.forward_pass(&Tensor::from_vec(&[3], vec![-1e4_f32, 0.0, 1e4])?)?;
    /// assert_eq!(pass.output.as_slice(), [-1e4, -std::f32::consts::LN_2, 0.0]);
    /// let gradients = layer.backward(&pass, &Tensor::full(&[3], 8.0)?)?;
    /// assert_eq!(gradients.input.as_slice(), [8.0, 4.0, 0.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct LogSigmoid, LogSigmoidPass, LogSigmoidOptions, LogSigmoidGradients;
    forward(_options, T) = activations::LogSigmoid;
    backward(_options) = activations::LogSigmoidBackward;
    keeps_input = true, kept(_options, input, _output) = input;
}
