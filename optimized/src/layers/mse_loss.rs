//! MSELoss: one pass over operands of one shape, runs of broadcast ones.

use super::shared::difference_loss::difference_loss;
use crate::kernels::difference::Squared;

difference_loss! {
    /// The squared difference of input and target, each element alone or joined.
    ///
    /// Input and target are broadcast against each other to one shape of n elements; then
    ///
    /// ```math
    /// \ell_k = (x_k - t_k)^2, \qquad
    ///    L = \tfrac{1}{n}\sum_k \ell_k \;(\text{mean}), \quad L = \sum_k \ell_k \;(\text{sum}), \quad \ell \;(\text{none})
    /// \frac{\partial}{\partial x_k} = c\,(x_k - t_k)\,g_k, \qquad
    ///    \frac{\partial}{\partial t_k} = -\frac{\partial}{\partial x_k}, \qquad
    ///    c = \tfrac{2}{n} \;(\text{mean}) \text{ or } 2
    /// ```
    ///
    /// and the gradient of an element that was broadcast is the sum over its copies. The mean of no elements is NaN. Sums are
    /// added in short stretches of the elements' own type, and these in `f64`.
    ///
    /// Shapes: input and target broadcastable against each other, aligned at their last dimensions; output [] or, for
    /// `Reduction::None`, the broadcast shape.
    ///
    /// Source: [torch.nn.MSELoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.MSELoss.html).
    ///
    /// ```
    /// use optimized::{MSELoss, MSELossOptions, Tensor};
    /// let mut loss = MSELoss::new(MSELossOptions::new())?;
    /// let input = Tensor::from_vec(&[2], vec![1.0, 4.0])?;
    /// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[2], vec![0.0, 2.0])?)?;
    /// assert_eq!(pass.output.as_slice(), [2.5]);
    /// let gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
    /// assert_eq!(gradients.input.as_slice(), [1.0, 2.0]);
    /// assert_eq!(gradients.target.as_slice(), [-1.0, -2.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct MSELoss, MSELossPass, MSELossOptions, MSELossGradients;
    difference = Squared;
}
