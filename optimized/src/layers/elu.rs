//! ELU: one kernel, elementwise.

use super::shared::elementwise::elementwise_layer;
use crate::kernels::activations::{ExponentialLinear, ExponentialLinearBackward};

elementwise_layer! {
    /// Each element where it is positive, and an exponential that tends to −α where it is not.
    ///
    /// ```math
    /// y = \begin{cases} \alpha\,(e^x - 1) & x < 0 \\ x & \text{otherwise} \end{cases}
    /// \frac{\partial L}{\partial x} = \begin{cases} \alpha\,e^x g & x \le 0 \\ g & \text{otherwise} \end{cases}
    /// \frac{\partial L}{\partial x} = \begin{cases} (y + \alpha)\,g & y \le 0 \\ g & \text{otherwise} \end{cases}
    ///    \qquad (\text{inplace})
    /// ```
    ///
    /// At x = 0 the derivative is α, as in PyTorch; at NaN it is 1, as in PyTorch where that does not compute whole vectors, in
    /// which it makes NaN of it. With `inplace`, PyTorch has overwritten the input and takes the last formula, which
    /// loses all digits where y is close to −α, and refuses a negative α in backward.
    ///
    /// Shapes: any; the output has the input's.
    ///
    /// Source: [torch.nn.ELU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.ELU.html).
    ///
    /// ```
    /// use optimized::{ELU, ELUOptions, Tensor};
    /// let mut elu = ELU::new(ELUOptions::new().alpha(2.0))?;
    /// let pass = elu.forward_pass(&Tensor::from_vec(&[3], vec![f64::NEG_INFINITY, 0.0, 3.0])?)?;
    /// assert_eq!(pass.output.as_slice(), [-2.0, 0.0, 3.0]);
    /// let gradients = elu.backward(&pass, &Tensor::full(&[3], 4.0)?)?;
    /// assert_eq!(gradients.input.as_slice(), [0.0, 8.0, 4.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct ELU, ELUPass, ELUOptions, ELUGradients;
    forward(options, T) = ExponentialLinear { alpha: T::narrow(options.alpha) };
    backward(options) = ExponentialLinearBackward { alpha: T::narrow(options.alpha), from_output: options.inplace };
    keeps_input = true, kept(options, input, output) = if options.inplace { output } else { input };
    check(options, T) = options.check_forward::<T>(), options.check_backward();
}
