//! BCEWithLogitsLoss, transcribed: the equations of the torch.nn.BCEWithLogitsLoss page.

use crate::broadcast::{at, check_broadcast};
use crate::losses::{reduced, share};
use crate::{Real, check_grad_output};
use vocabulary::{
    BCEWithLogitsLossGradients, BCEWithLogitsLossOptions, Error, Reduction, Result, StateDict, StateElement, Tensor,
};

const LAYER: &str = "BCEWithLogitsLoss";

/// The binary cross-entropy of logits with targets: a sigmoid and a `BCELoss` in one, which does not overflow.
///
/// For each of the n elements, with the logit x, the target t, the weight w and the positive weight p (1 where there are none):
///
/// ```math
/// \ell = w\,\bigl[p\,t\,s(-x) + (1 - t)\,s(x)\bigr], \qquad
///    s(a) = \ln(1 + e^a) = \max(a, 0) + \ln(1 + e^{-|a|}) \tag{1}
/// L = \tfrac{1}{n}\sum \ell \;(\text{mean}), \qquad L = \sum \ell \;(\text{sum}), \qquad \ell \;(\text{none}) \tag{2}
/// \frac{\partial L}{\partial x} = \kappa\,w\,\bigl[(p\,t + 1 - t)\,\sigma(x) - p\,t\bigr], \qquad
///    \frac{\partial L}{\partial t} = \kappa\,w\,\bigl[p\,s(-x) - s(x)\bigr] \tag{3}
/// ```
///
/// where κ is `grad_output`, or `grad_output`/n for the mean; without p, ∂L/∂t is −κ·w·x. PyTorch writes (1) as
/// (1 − t)·x + (1 + (p − 1)·t)·s(−x), which loses the digits of a small loss of a large negative logit; of numbers that
/// are not finite it is taken, so that they make of it what they do there. The mean of no elements
/// is NaN.
///
/// Shapes: input and target equal; the weights broadcast to them; output [] or, for `Reduction::None`, the input's shape.
///
/// Source: [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.BCEWithLogitsLoss.html).
///
/// ```
/// use reference::{BCEWithLogitsLoss, BCEWithLogitsLossOptions, Reduction, Tensor};
/// let mut loss = BCEWithLogitsLoss::new(BCEWithLogitsLossOptions::new().reduction(Reduction::None))?;
/// let input = Tensor::from_vec(&[3], vec![0.0, 200.0, -200.0])?;
/// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[3], vec![1.0, 0.0, 1.0])?)?;
/// assert_eq!(pass.output.as_slice(), [std::f64::consts::LN_2, 200.0, 200.0]);
/// let gradients = loss.backward(&pass, &Tensor::full(&[3], 2.0)?)?;
/// assert_eq!(gradients.input.as_slice(), [-1.0, 2.0, -2.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BCEWithLogitsLoss<T> {
    options: BCEWithLogitsLossOptions,
    weight: Option<Tensor<T>>,
    pos_weight: Option<Tensor<T>>,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct BCEWithLogitsLossPass<T> {
    /// [], or the input's shape for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: Tensor<T>,
}

impl<T: Real> BCEWithLogitsLoss<T> {
    /// A loss without weights.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: BCEWithLogitsLossOptions) -> Result<Self> {
        Self::with_weights(options, None, None)
    }

    /// A loss with a weight for each element, and one for the positive part of each.
    ///
    /// # Errors
    /// None: whether a weight fits shows when the loss is called.
    pub fn with_weights(
        options: BCEWithLogitsLossOptions,
        weight: Option<Tensor<T>>,
        pos_weight: Option<Tensor<T>>,
    ) -> Result<Self> {
        Ok(Self { options, weight, pos_weight })
    }

    /// A loss with the weights of a state dictionary, as far as it holds them: `weight` and `pos_weight`.
    ///
    /// # Errors
    /// Where one is of another type, or there is another tensor.
    pub fn from_state_dict(options: BCEWithLogitsLossOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        state.check_names(LAYER, &["weight", "pos_weight"])?;
        let given = |name| state.tensor_if(state.get(name).is_some(), LAYER, name);
        Self::with_weights(options, given("weight")?, given("pos_weight")?)
    }

    /// The weights under PyTorch's names, as far as there are any.
    pub fn state_dict(&self) -> StateDict
    where
        T: StateElement,
    {
        let mut state = StateDict::new();
        self.weight.iter().for_each(|weight| state.insert("weight", T::wrap(weight.clone())));
        self.pos_weight.iter().for_each(|weight| state.insert("pos_weight", T::wrap(weight.clone())));
        state
    }

    /// The options that the loss was built with.
    pub fn options(&self) -> &BCEWithLogitsLossOptions {
        &self.options
    }

    /// What multiplies each loss, where there is one.
    pub fn weight(&self) -> Option<&Tensor<T>> {
        self.weight.as_ref()
    }

    /// What multiplies the positive part of each loss, where there is one.
    pub fn pos_weight(&self) -> Option<&Tensor<T>> {
        self.pos_weight.as_ref()
    }

    /// The output's shape: [], or the input's for `Reduction::None`.
    ///
    /// # Errors
    /// Where the target does not have the input's shape, or a weight does not broadcast to it.
    pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
        self.check(input_shape, target_shape)?;
        Ok(if self.options.effective_reduction() == Reduction::None { input_shape.to_vec() } else { Vec::new() })
    }

    fn check(&self, input: &[usize], target: &[usize]) -> Result<()> {
        if input != target {
            return Err(Error::shape(LAYER, "target", target, format_args!("{input:?}, the input's")));
        }
        if let Some(weight) = &self.weight {
            check_broadcast(LAYER, "weight", weight.shape(), input)?;
        }
        if let Some(weight) = &self.pos_weight {
            check_broadcast(LAYER, "pos_weight", weight.shape(), input)?;
        }
        Ok(())
    }

    /// Equations (1) and (2).
    ///
    /// # Errors
    /// Where the target does not have the input's shape, or a weight does not broadcast to it.
    pub fn forward(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        self.check(input.shape(), target.shape())?;
        let terms = Tensor::from_fn(input.shape(), |k| {
            let (x, t) = (at(input, k), at(target, k));
            let p = self.pos_weight.as_ref().map(|weight| at(weight, k));
            let positive = p.map_or(t, |p| p * t);
            let as_pytorch_writes_it = || {
                let weight = p.map_or(T::one(), |p| (p - T::one()) * t + T::one());
                (T::one() - t) * x - weight * (T::minimum(x, T::zero()) - (-x.abs()).exp().ln_1p())
            };
            let finite = [Some(x), Some(t), p].into_iter().flatten().all(|number| number.to_f64().is_finite());
            let term = if finite {
                let literal = positive * softplus(-x) + (T::one() - t) * softplus(x); // (1)
                literal.or_written(as_pytorch_writes_it)
            } else {
                as_pytorch_writes_it() // what infinities make of it
            };
            self.weight.as_ref().map_or(term, |weight| term * at(weight, k))
        })?;
        Ok(reduced(self.options.effective_reduction(), terms)) // (2)
    }

    /// Equations (1) and (2), and what backward needs.
    ///
    /// # Errors
    /// As [`BCEWithLogitsLoss::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<BCEWithLogitsLossPass<T>> {
        Ok(BCEWithLogitsLossPass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
    }

    /// Equation (3).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward(
        &self,
        pass: &BCEWithLogitsLossPass<T>,
        grad_output: &Tensor<T>,
    ) -> Result<BCEWithLogitsLossGradients<T>> {
        check_grad_output(LAYER, grad_output, self.output_shape(pass.input.shape(), pass.target.shape()))?;
        let BCEWithLogitsLossPass { input, target, .. } = pass;
        let (reduction, n) = (self.options.effective_reduction(), input.len());
        let share = |k: &[usize]| share(reduction, grad_output, self.weight.as_ref(), k, n);
        let of_input = Tensor::from_fn(input.shape(), |k| {
            let (x, t) = (at(input, k), at(target, k));
            let sigmoid = T::one() / (T::one() + (-x).exp());
            let slope = match &self.pos_weight {
                Some(weight) => {
                    let positive = at(weight, k) * t;
                    (positive + T::one() - t) * sigmoid - positive // (3)
                }
                None => sigmoid - t, // (3)
            };
            share(k) * slope
        })?;
        let of_target = Tensor::from_fn(target.shape(), |k| {
            let x = at(input, k);
            let slope = match &self.pos_weight {
                Some(weight) => at(weight, k) * softplus(-x) - softplus(x), // (3)
                None => -x,                                                 // (3)
            };
            share(k) * slope
        })?;
        Ok(BCEWithLogitsLossGradients { input: of_input, target: of_target })
    }
}

/// s(a) of equation (1).
fn softplus<T: Real>(a: T) -> T {
    T::maximum(a, T::zero()) + (-a.abs()).exp().ln_1p()
}
