//! Tanh: one kernel, elementwise.

use super::shared::elementwise::elementwise_layer;
use crate::math;

elementwise_layer! {
    /// The hyperbolic tangent of each element.
    ///
    /// ```math
    /// y = \tanh(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}
    /// \frac{\partial L}{\partial x} = g\,(1 - y^2)
    /// ```
    ///
    /// tanh(±∞) = ±1 and tanh(−0) = −0.
    ///
    /// Shapes: any; the output has the input's.
    ///
    /// Source: [torch.nn.Tanh](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Tanh.html).
    ///
    /// ```
    /// use optimized::{Tanh, TanhOptions, Tensor};
    /// let mut tanh = Tanh::new(TanhOptions::new())?;
    /// let pass = tanh.forward_pass(&Tensor::from_vec(&[3], vec![f32::NEG_INFINITY, 0.0, 1.0])?)?;
    /// assert_eq!(pass.output.as_slice()[..2], [-1.0, 0.0]);
    /// assert!((pass.output[[2]] - 0.761_594_2).abs() < 1e-6);
    /// let gradients = tanh.backward(&pass, &Tensor::full(&[3], 3.0)?)?;
    /// assert_eq!(gradients.input.as_slice()[..2], [0.0, 3.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct Tanh, TanhPass, TanhOptions, TanhGradients;
    forward(_options, T) = math::Tanh;
    backward(_options) = math::TanhBackward;
    keeps_input = false, kept(_options, _input, output) = output;
}
