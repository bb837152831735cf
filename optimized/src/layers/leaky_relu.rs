//! LeakyReLU: one kernel, elementwise.

use super::shared::elementwise::elementwise_layer;
use crate::kernels::activations::Leaky;

elementwise_layer! {
    /// Each element where it is positive, and a small multiple of it where it is not.
    ///
    /// With a = `negative_slope`:
    ///
    /// ```math
    /// y = \begin{cases} x & x > 0 \\ a\,x & \text{otherwise} \end{cases}
    /// \frac{\partial L}{\partial x} = \begin{cases} g & x > 0 \\ a\,g & \text{otherwise} \end{cases}
    /// ```
    ///
    /// At x = 0 the derivative is a, as in PyTorch; at NaN, too. With `inplace`, PyTorch has overwritten the input and asks y for its
    /// sign, so that backward refuses a negative a.
    ///
    /// Shapes: any; the output has the input's.
    ///
    /// Source: [torch.nn.LeakyReLU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.LeakyReLU.html).
    ///
    /// ```
    /// use optimized::{LeakyReLU, LeakyReLUOptions, Tensor};
    /// let mut layer = LeakyReLU::new(LeakyReLUOptions::new().negative_slope(0.5))?;
    /// let pass = layer.forward_pass(&Tensor::from_vec(&[3], vec![-2.0, 0.0, 3.0])?)?;
    /// assert_eq!(pass.output.as_slice(), [-1.0, 0.0, 3.0]);
    /// let gradients = layer.backward(&pass, &Tensor::full(&[3], 4.0)?)?;
    /// assert_eq!(gradients.input.as_slice(), [2.0, 2.0, 4.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct LeakyReLU, LeakyReLUPass, LeakyReLUOptions, LeakyReLUGradients;
    forward(options, T) = Leaky { slope: T::narrow(options.negative_slope) };
    backward(options) = Leaky { slope: T::narrow(options.negative_slope) };
    keeps_input = true, kept(options, input, output) = if options.inplace { output } else { input };
    check(options, T) = options.check_forward::<T>(), options.check_backward();
}
