//! GRU.

use super::shared::recurrent::{of_options, recurrent_layer};
use crate::kernels::recurrent::Gated;

recurrent_layer! {
    /// A recurrent layer of gated units, of one or several layers in one or both directions.
    ///
    /// At each step, from the hidden state h (at first `hx` or 0) and the input x, with ⊙ element by element:
    ///
    /// ```math
    /// r = \sigma(W_{ir}\,x + b_{ir} + W_{hr}\,h + b_{hr}) \tag{1}
    /// z = \sigma(W_{iz}\,x + b_{iz} + W_{hz}\,h + b_{hz}) \tag{2}
    /// n = \tanh(W_{in}\,x + b_{in} + r \odot (W_{hn}\,h + b_{hn})) \tag{3}
    /// h' = (1 - z) \odot n + z \odot h \tag{4}
    /// ```
    ///
    /// PyTorch resets after the matrix product, as (3) does. The paper resets before it:
    ///
    /// ```math
    /// n = \tanh(W_{in}\,x + b_{in} + W_{hn}\,(r \odot h) + b_{hn})
    /// ```
    ///
    /// which gives other numbers from the same parameters. The input of a further layer is the output of the layer below,
    /// multiplied in training by 0 with the probability `dropout` and else by 1/(1 − `dropout`). The reverse direction goes from
    /// the last step to the first. Backward, with dh' from the output and from the next step, and q = W_hn·h + b_hn:
    ///
    /// ```math
    /// dz = dh' \odot (h - n), \qquad dn = dh' \odot (1 - z) \tag{5}
    /// da_n = dn\,(1 - n^2), \qquad dr = da_n \odot q \tag{6}
    /// da_r = dr\,r\,(1 - r), \qquad da_z = dz\,z\,(1 - z) \tag{7}
    /// d(W_i x + b_i) = (da_r, da_z, da_n), \qquad d(W_h h + b_h) = (da_r, da_z, r \odot da_n) \tag{8}
    /// dh = z \odot dh' + W_h^\top\,d(W_h h + b_h), \qquad dx = W_i^\top\,d(W_i x + b_i) \tag{9}
    /// ```
    ///
    /// and each weight's gradient is the sum over the steps of (8) times xᵀ or hᵀ, each bias's that of (8). Where dh' is not
    /// finite, dn of (5) is dh' − dh' ⊙ z, as in PyTorch.
    ///
    /// Shapes: input [L, I], [L, N, I] or, with `batch_first`, [N, L, I]; hx and h_n [D·num_layers, H] or
    /// [D·num_layers, N, H]; output as the input, with D·H features. The parameters are those of
    /// [`RecurrentParameters`], with three gates in the order r, z, n.
    ///
    /// Source: [torch.nn.GRU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.GRU.html); Cho et al.,
    /// [Learning Phrase Representations using RNN Encoder–Decoder](https://arxiv.org/abs/1406.1078).
    ///
    /// ```
    /// use optimized::{GRU, GRUOptions, Tensor};
    /// use rand::{SeedableRng, rngs::SmallRng};
    /// let mut rng = SmallRng::seed_from_u64(0);
    /// let mut gru = GRU::<f32>::init(GRUOptions::new(10, 20).num_layers(2), &mut rng)?;
    /// let shapes = |output: &Tensor<f32>, h_n: &Tensor<f32>| (output.shape().to_vec(), h_n.shape().to_vec());
    /// let y = gru.forward(&Tensor::full(&[5, 10], 0.5)?, None)?; // one sequence of five steps
    /// assert_eq!(shapes(&y.output, &y.h_n), (vec![5, 20], vec![2, 20]));
    /// let y = gru.forward(&Tensor::full(&[5, 3, 10], 0.5)?, None)?; // three sequences, time first
    /// assert_eq!(shapes(&y.output, &y.h_n), (vec![5, 3, 20], vec![2, 3, 20]));
    /// let pass = gru.forward_pass(&Tensor::full(&[5, 3, 10], 0.5)?, Some(&Tensor::full(&[2, 3, 20], 0.1)?))?;
    /// let gradients = gru.backward(&pass, &Tensor::full(&[5, 3, 20], 1.0)?, Some(&Tensor::full(&[2, 3, 20], 1.0)?))?;
    /// assert_eq!(gradients.parameters[0].weight_hh.shape(), [60, 20]);
    /// let batch_first = GRU::<f32>::init(GRUOptions::new(10, 20).batch_first(true), &mut rng)?;
    /// let y = batch_first.forward(&Tensor::full(&[3, 5, 10], 0.5)?, None)?; // three sequences, batch first
    /// assert_eq!(shapes(&y.output, &y.h_n), (vec![3, 5, 20], vec![1, 3, 20]));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub struct GRU, GRUPass, GRUOptions;
}

impl Recurrent for GRUOptions {
    of_options!("GRU", gates 3);

    fn forward<T: Float>(
        &self,
        stack: &Stack<'_, T>,
        call: &Call<'_, T>,
        outputs: (&mut [T], &mut [T]),
        keep: bool,
    ) -> Result<Run<T>> {
        stack.forward(Gated, call, outputs, keep)
    }

    fn backward<T: Float>(
        &self,
        stack: &Stack<'_, T>,
        call: &Call<'_, T>,
        run: &Run<T>,
        of_outputs: (&Tensor<T>, Option<&Tensor<T>>),
        gradients: &mut RecurrentGradients<T>,
    ) -> Result<()> {
        stack.backward(Gated, call, run, of_outputs, gradients)
    }
}
