//! MSELoss, transcribed: the equations of the torch.nn.MSELoss page, with its broadcasting.

use crate::difference_loss::difference_loss;

difference_loss! {
    /// The squared difference of input and target, each element alone or joined.
    ///
    /// Input and target are broadcast against each other to one shape of n elements; then
    ///
    /// ```math
    /// \ell_k = (x_k - t_k)^2 \tag{1}
    /// L = \tfrac{1}{n}\sum_k \ell_k \;(\text{mean}), \qquad L = \sum_k \ell_k \;(\text{sum}), \qquad
    ///    \ell \;(\text{none}) \tag{2}
    /// \frac{\partial}{\partial x_k} = c\,(x_k - t_k)\,g_k, \qquad
    ///    \frac{\partial}{\partial t_k} = -\frac{\partial}{\partial x_k}, \qquad
    ///    c = \tfrac{2}{n} \;(\text{mean}) \text{ or } 2 \tag{3}
    /// ```
    ///
    /// and the gradient of an element that was broadcast is the sum over its copies. The mean of no elements is NaN.
    ///
    /// Shapes: input and target broadcastable against each other, aligned at their last dimensions; output [] or, for
    /// `Reduction::None`, the broadcast shape.
    ///
    /// Source: [torch.nn.MSELoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.MSELoss.html).
    ///
    /// ```
    /// use reference::{MSELoss, MSELossOptions, Tensor};
    /// let mut loss = MSELoss::new(MSELossOptions::new())?;
    /// let input = Tensor::from_vec(&[2], vec![1.0, 4.0])?;
    /// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[2], vec![0.0, 2.0])?)?;
    /// assert_eq!(pass.output.as_slice(), [2.5]);
    /// let gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
    /// assert_eq!(gradients.input.as_slice(), [1.0, 2.0]);
    /// assert_eq!(gradients.target.as_slice(), [-1.0, -2.0]);
    /// # Ok::<(), reference::Error>(())
    /// ```
    pub struct MSELoss, MSELossPass, MSELossOptions, MSELossGradients;
    term(d) = d * d; // (1)
    slope(d, c) = c * d /* (3) */, scale 2.0;
}
