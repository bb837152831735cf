//! ReLU: one kernel, elementwise.

use super::shared::elementwise::elementwise_layer;
use crate::kernels::activations::{PositivePart, PositivePartBackward};

elementwise_layer! {
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
    pub struct ReLU, ReLUPass, ReLUOptions, ReLUGradients;
    forward(_options, T) = PositivePart;
    backward(_options) = PositivePartBackward;
    keeps_input = false, kept(_options, _input, output) = output;
}
