//! ELU, transcribed: the equation of the torch.nn.ELU page.

use crate::elementwise::elementwise_layer;

elementwise_layer! {
    /// Each element where it is positive, and an exponential that tends to −α where it is not.
    ///
    /// ```math
    /// y = \begin{cases} \alpha\,(e^x - 1) & x < 0 \\ x & \text{otherwise} \end{cases} \tag{1}
    /// \frac{\partial L}{\partial x} = \begin{cases} \alpha\,e^x g & x \le 0 \\ g & \text{otherwise} \end{cases} \tag{2}
    /// \frac{\partial L}{\partial x} = \begin{cases} (y + \alpha)\,g & y \le 0 \\ g & \text{otherwise} \end{cases}
    ///    \qquad (\text{inplace}) \tag{3}
    /// ```
    ///
    /// At x = 0 the derivative is α, as in PyTorch; at NaN it is 1, as in PyTorch where that does not compute whole vectors, in
    /// which it makes NaN of it. With `inplace`, PyTorch has overwritten the input and takes (3), which
    /// loses all digits where y is close to −α, and refuses a negative α in backward.
    ///
    /// Shapes: any; the output has the input's.
    ///
    /// Source: [torch.nn.ELU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.ELU.html).
    ///
    /// ```
    /// use reference::{ELU, ELUOptions, Tensor};
    /// let mut elu = ELU::new(ELUOptions::new().alpha(2.0))?;
    /// let pass = elu.forward_pass(&Tensor::from_vec(&[3], vec![f64::NEG_INFINITY, 0.0, 3.0])?)?;
    /// assert_eq!(pass.output.as_slice(), [-2.0, 0.0, 3.0]);
    /// let gradients = elu.backward(&pass, &Tensor::full(&[3], 4.0)?)?;
    /// assert_eq!(gradients.input.as_slice(), [0.0, 8.0, 4.0]);
    /// # Ok::<(), reference::Error>(())
    /// ```
    pub struct ELU, ELUPass, ELUOptions, ELUGradients;
    forward(options, x) = T::select(x.less(T::zero()), T::from_f64(options.alpha) * x.exp_m1(), x); // (1)
    backward(options, x, y, g) = {
        let alpha = T::from_f64(options.alpha);
        match options.inplace {
            _ if x.to_f64().is_nan() => g.or_nan(),
            false => T::select(x.less_or_equal(T::zero()), g * alpha * x.exp(), g), // (2)
            true => T::select(y.less_or_equal(T::zero()), g * (y + alpha), g), // (3)
        }
    };
    check(options, T) = options.check_forward::<T>(), options.check_backward();
}
