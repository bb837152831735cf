//! GRU, transcribed: the equations of the torch.nn.GRU page, step by step.

use crate::Real;
use crate::recurrent::{Cell, StepGradients, affine, recurrent_layer};
use vocabulary::{RecurrentParameters, Tensor};

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
    /// and each weight's gradient is the sum over the steps of (8) times xᵀ or hᵀ, each bias's that of (8): the products with
    /// weights and inputs are (A) and (B) of `recurrent`, where all recurrent layers take them. PyTorch writes (4) as
    /// (h − n) ⊙ z + n, and dn of (5) as dh' − dh' ⊙ z, which makes NaN of an infinite dh', and is taken there.
    ///
    /// Shapes: input [L, I], [L, N, I] or, with `batch_first`, [N, L, I]; hx and h_n [D·num_layers, H] or
    /// [D·num_layers, N, H]; output as the input, with D·H features. The parameters are those of
    /// [`RecurrentParameters`], with three gates in the order r, z, n.
    ///
    /// Source: [torch.nn.GRU](https://docs.pytorch.org/docs/2.15/generated/torch.nn.GRU.html); Cho et al.,
    /// [Learning Phrase Representations using RNN Encoder–Decoder](https://arxiv.org/abs/1406.1078).
    ///
    /// ```
    /// use reference::{GRU, GRUOptions, Tensor};
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
    /// # Ok::<(), reference::Error>(())
    /// ```
    pub struct GRU, GRUPass, GRUOptions;
    cell(_options) = GRUCell, GRUCell;
}

/// One step.
#[derive(Debug, Clone, Copy)]
struct GRUCell;

/// What an element of a step keeps.
#[derive(Debug, Clone, Copy)]
struct Gates<T> {
    r: T,
    z: T,
    n: T,
    /// W_hn·h + b_hn, before it is reset.
    q: T,
}

fn sigmoid<T: Real>(a: T) -> T {
    T::one() / (T::one() + (-a).exp())
}

impl<T: Real> Cell<T> for GRUCell {
    type Kept = Vec<Gates<T>>;

    fn step(&self, parameters: &RecurrentParameters<T>, x: &[T], h: &[T]) -> (Vec<T>, Vec<Gates<T>>) {
        let RecurrentParameters { weight_ih, weight_hh, bias_ih, bias_hh } = parameters;
        let of_input = affine(weight_ih, x, bias_ih.as_ref());
        let of_hidden = affine(weight_hh, h, bias_hh.as_ref());
        let size = h.len();
        let element = |k: usize| {
            let r = sigmoid(of_input[k] + of_hidden[k]); // (1)
            let z = sigmoid(of_input[size + k] + of_hidden[size + k]); // (2)
            let q = of_hidden[2 * size + k];
            let n = (of_input[2 * size + k] + r * q).tanh(); // (3)
            let next = (T::one() - z) * n + z * h[k]; // (4)
            (next.or_written(|| (h[k] - n) * z + n), Gates { r, z, n, q })
        };
        (0..size).map(element).unzip()
    }

    fn step_back(&self, kept: &Vec<Gates<T>>, h: &[T], gradient: &[T]) -> StepGradients<T> {
        let size = h.len();
        let zeros = || vec![T::zero(); 3 * size];
        let (mut input_sums, mut hidden_sums, mut hidden) = (zeros(), zeros(), Vec::with_capacity(size));
        for (k, &Gates { r, z, n, q }) in kept.iter().enumerate() {
            let dz = gradient[k] * (h[k] - n); // (5)
            let as_pytorch_writes_it = || gradient[k] - gradient[k] * z;
            let literal = (gradient[k] * (T::one() - z)).or_written(as_pytorch_writes_it); // (5)
            let dn = T::select(gradient[k].is_finite(), literal, as_pytorch_writes_it());
            let da_n = dn * (T::one() - n * n); // (6)
            let dr = da_n * q; // (6)
            let da_r = dr * (T::one() - r) * r; // (7)
            let da_z = dz * (T::one() - z) * z; // (7)
            for (gate, (of_input, of_hidden)) in [(da_r, da_r), (da_z, da_z), (da_n, r * da_n)].into_iter().enumerate()
            {
                input_sums[gate * size + k] = of_input; // (8)
                hidden_sums[gate * size + k] = of_hidden; // (8)
            }
            hidden.push(z * gradient[k]); // (9)
        }
        StepGradients { input_sums, hidden_sums, hidden }
    }
}
