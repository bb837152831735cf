//! L1Loss: one pass over operands of one shape, runs of broadcast ones.

use super::shared::difference_loss::difference_loss;
use crate::kernels::difference::Absolute;

difference_loss! {
    /// The distance of input and target, each element alone or joined.
    ///
    /// Input and target are broadcast against each other to one shape of n elements; then
    ///
    /// ```math
    /// \ell_k = |x_k - t_k|
    /// L = \tfrac{1}{n}\sum_k \ell_k \;(\text{mean}), \qquad L = \sum_k \ell_k \;(\text{sum}), \qquad
    ///    \ell \;(\text{none})
    /// \frac{\partial}{\partial x_k} = \operatorname{sign}(x_k - t_k)\,c\,g_k, \qquad
    ///    \frac{\partial}{\partial t_k} = -\frac{\partial}{\partial x_k}, \qquad
    ///    c = \tfrac{1}{n} \;(\text{mean}) \text{ or } 1
    /// ```
    ///
    /// and the gradient of an element that was broadcast is the sum over its copies. Where x = t the sign is 0, and so it is, as in
    /// PyTorch, where x − t is NaN: the gradient is then 0·c·g. The mean of no elements is NaN.
    ///
    /// Shapes: input and target broadcastable against each other, aligned at their last dimensions; output [] or, for
    /// `Reduction::None`, the broadcast shape.
    ///
    /// Source: [torch.nn.L1Loss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.L1Loss.html).
    ///
    /// ```
    /// use optimized::{L1Loss, L1LossOptions, Tensor};
    /// let mut loss = L1Loss::new(L1LossOptions::new())?;
    /// let input = Tensor::from_fn(&[3, 5], |i| (i[0] * 5 + i[1]) as f64)?;
    /// let target = Tensor::full(&[3, 5], 7.0)?;
    /// let pass = loss.forward_pass(&input, &target)?;
    /// assert_eq!(pass.output.as_slice(), [56.0 / 15.0]);
    /// let gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
    /// assert_eq!(gradients.input[[0, 0]], -1.0 / 15.0);
    /// assert_eq!(gradients.input[[1, 2]], 0.0);
    /// assert_eq!(gradients.target[[2, 4]], -1.0 / 15.0);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct L1Loss, L1LossPass, L1LossOptions, L1LossGradients;
    difference = Absolute;
}
