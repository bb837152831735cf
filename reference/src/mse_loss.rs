//! MSELoss, transcribed: the equations of the torch.nn.MSELoss page, with its broadcasting.

use crate::{Real, check_grad_output};
use vocabulary::{Error, MSELossGradients, MSELossOptions, Reduction, Result, Tensor};

const LAYER: &str = "MSELoss";

/// The squared difference of input and target, each element alone or joined.
///
/// Input and target are broadcast against each other to one shape of n elements; then
///
/// $$ \ell_k = (x_k - t_k)^2 \tag{1} $$
/// $$ L = \tfrac{1}{n}\sum_k \ell_k \;(\text{mean}), \qquad L = \sum_k \ell_k \;(\text{sum}), \qquad
///    \ell \;(\text{none}) \tag{2} $$
/// $$ \frac{\partial}{\partial x_k} = c\,(x_k - t_k)\,g_k, \qquad
///    \frac{\partial}{\partial t_k} = -\frac{\partial}{\partial x_k}, \qquad
///    c = \tfrac{2}{n} \;(\text{mean}) \text{ or } 2 \tag{3} $$
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
#[derive(Debug, Clone)]
pub struct MSELoss {
    options: MSELossOptions,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct MSELossPass<T> {
    /// [], or the broadcast shape for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: Tensor<T>,
}

impl MSELoss {
    /// A loss with the given options.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: MSELossOptions) -> Result<Self> {
        Ok(Self { options })
    }

    /// The options that the loss was built with.
    pub fn options(&self) -> &MSELossOptions {
        &self.options
    }

    /// The output's shape: [], or the broadcast shape for `Reduction::None`.
    ///
    /// # Errors
    /// Where input and target cannot be broadcast against each other.
    pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
        let broadcast = broadcast_shape(input_shape, target_shape)?;
        Ok(if self.options.effective_reduction() == Reduction::None { broadcast } else { Vec::new() })
    }

    /// Equations (1) and (2).
    ///
    /// # Errors
    /// Where input and target cannot be broadcast against each other.
    pub fn forward<T: Real>(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        let shape = broadcast_shape(input.shape(), target.shape())?;
        let terms = Tensor::from_fn(&shape, |k| {
            let difference = input.as_slice()[source(input, k)] - target.as_slice()[source(target, k)];
            difference * difference // (1)
        });
        let terms = terms.map_err(|error| error.of(LAYER, "output"))?;
        let sum = || T::sum(terms.as_slice().iter().copied());
        Ok(match self.options.effective_reduction() {
            Reduction::None => terms,
            Reduction::Sum => Tensor::scalar(sum()), // (2)
            Reduction::Mean => Tensor::scalar(sum() / T::from_count(terms.len())), // (2)
        })
    }

    /// Equations (1) and (2), and what backward needs.
    ///
    /// # Errors
    /// As [`MSELoss::forward`].
    pub fn forward_pass<T: Real>(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<MSELossPass<T>> {
        Ok(MSELossPass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
    }

    /// Equation (3).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Real>(&self, pass: &MSELossPass<T>, grad_output: &Tensor<T>) -> Result<MSELossGradients<T>> {
        check_grad_output(LAYER, grad_output, &pass.output)?;
        let shape = broadcast_shape(pass.input.shape(), pass.target.shape())?;
        let n: usize = shape.iter().product();
        let c = match self.options.effective_reduction() {
            Reduction::Mean => T::from_f64(2.0) / T::from_count(n),
            Reduction::Sum | Reduction::None => T::from_f64(2.0),
        };
        let (x, t, g) = (pass.input.as_slice(), pass.target.as_slice(), grad_output.as_slice());
        let mut dx = Tensor::full(pass.input.shape(), T::zero())?;
        let mut dt = Tensor::full(pass.target.shape(), T::zero())?;
        Tensor::from_fn(&shape, |k| {
            let difference = x[source(&pass.input, k)] - t[source(&pass.target, k)];
            let gradient = c * difference * g[source(grad_output, k)]; // (3)
            add(&mut dx, source(&pass.input, k), gradient);
            add(&mut dt, source(&pass.target, k), -gradient);
        })?;
        Ok(MSELossGradients { input: dx, target: dt })
    }
}

/// The shape that both are broadcast to: sizes aligned at the last dimension, each pair equal or one of them 1.
fn broadcast_shape(input: &[usize], target: &[usize]) -> Result<Vec<usize>> {
    let rank = input.len().max(target.len());
    let size = |shape: &[usize], from_last: usize| shape.iter().rev().nth(from_last).copied().unwrap_or(1);
    let sizes = (0..rank).rev().map(|axis| match (size(input, axis), size(target, axis)) {
        (1, n) | (n, 1) => Some(n),
        (m, n) => (m == n).then_some(n),
    });
    sizes.collect::<Option<Vec<usize>>>().ok_or_else(|| {
        Error::shape(LAYER, "target", target, format_args!("a shape that broadcasts against the input's, {input:?}"))
    })
}

/// Where, among a tensor's elements, the one stands that index `k` of the broadcast shape reads.
fn source<T>(tensor: &Tensor<T>, k: &[usize]) -> usize {
    let shape = tensor.shape();
    let k = &k[k.len().saturating_sub(shape.len())..];
    shape.iter().zip(k).fold(0, |offset, (&size, &index)| offset * size + if size == 1 { 0 } else { index })
}

fn add<T: Real>(sums: &mut Tensor<T>, offset: usize, term: T) {
    let sum = &mut sums.as_mut_slice()[offset];
    *sum = *sum + term;
}
