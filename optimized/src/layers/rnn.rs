//! RNN.

use super::shared::recurrent::{of_options, recurrent_layer};
use crate::kernels::recurrent::{RELU, TANH};
use vocabulary::Nonlinearity;

recurrent_layer! {
    /// A recurrent layer after Elman, of one or several layers in one or both directions.
    ///
    /// At each step t, with h₀ = `hx` or 0 and f = tanh or relu (`nonlinearity`):
    ///
    /// ```math
    /// h_t = f(W_{ih}\,x_t + b_{ih} + W_{hh}\,h_{t-1} + b_{hh}) \tag{1}
    /// ```
    ///
    /// The input x of a further layer is the output of the layer below, multiplied in training by 0 with the probability
    /// `dropout` and else by 1/(1 − `dropout`). The reverse direction goes from the last step to the first. Backward, with
    /// dh_t = ∂L/∂h_t from the output at t and from step t + 1:
    ///
    /// ```math
    /// da_t = dh_t\,f', \qquad f' = 1 - h_t^2 \;(\tanh) \text{ or } 0 \text{ where } h_t \le 0, \text{ else } 1
    ///    \;(\text{relu}) \tag{2}
    /// dW_{ih} = \sum_t da_t\,x_t^\top, \quad dW_{hh} = \sum_t da_t\,h_{t-1}^\top, \quad db = \sum_t da_t \tag{3}
    /// dx_t = W_{ih}^\top\,da_t, \qquad dh_{t-1} = W_{hh}^\top\,da_t \tag{4}
    /// ```
    ///
    /// relu(NaN) is NaN, and there f' is 1.
    ///
    /// Shapes: input [L, I], [L, N, I] or, with `batch_first`, [N, L, I]; hx and h_n [D·num_layers, H] or
    /// [D·num_layers, N, H]; output as the input, with D·H features. The parameters are those of
    /// [`RecurrentParameters`], with one gate.
    ///
    /// Source: [torch.nn.RNN](https://docs.pytorch.org/docs/2.15/generated/torch.nn.RNN.html).
    ///
    /// ```
    /// use optimized::{RNN, RNNOptions, Tensor};
    /// use rand::{SeedableRng, rngs::SmallRng};
    /// let options = RNNOptions::new(10, 20).num_layers(2).bidirectional(true);
    /// let mut rnn = RNN::<f32>::init(options, &mut SmallRng::seed_from_u64(0))?;
    /// let (input, hx) = (Tensor::full(&[5, 3, 10], 0.5)?, Tensor::full(&[4, 3, 20], 0.1)?);
    /// let pass = rnn.forward_pass(&input, Some(&hx))?;
    /// assert_eq!((pass.output.shape(), pass.h_n.shape()), (&[5, 3, 40][..], &[4, 3, 20][..]));
    /// let gradients = rnn.backward(&pass, &Tensor::full(&[5, 3, 40], 1.0)?, None)?;
    /// assert_eq!((gradients.input.shape(), gradients.hx.shape()), (input.shape(), hx.shape()));
    /// assert_eq!(gradients.parameters[2].weight_ih.shape(), [20, 40]); // layer 1, forward
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct RNN, RNNPass, RNNOptions;
}

impl Recurrent for RNNOptions {
    of_options!("RNN", gates 1);

    fn forward<T: Float>(
        &self,
        stack: &Stack<'_, T>,
        call: &Call<'_, T>,
        outputs: (&mut [T], &mut [T]),
        keep: bool,
    ) -> Result<Run<T>> {
        match self.nonlinearity {
            Nonlinearity::Tanh => stack.forward(TANH, call, outputs, keep),
            Nonlinearity::Relu => stack.forward(RELU, call, outputs, keep),
        }
    }

    fn backward<T: Float>(
        &self,
        stack: &Stack<'_, T>,
        call: &Call<'_, T>,
        run: &Run<T>,
        of_outputs: (&Tensor<T>, Option<&Tensor<T>>),
        gradients: &mut RecurrentGradients<T>,
    ) -> Result<()> {
        match self.nonlinearity {
            Nonlinearity::Tanh => stack.backward(TANH, call, run, of_outputs, gradients),
            Nonlinearity::Relu => stack.backward(RELU, call, run, of_outputs, gradients),
        }
    }
}
