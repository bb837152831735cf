//! BCELoss, transcribed: the equations of the torch.nn.BCELoss page.

use crate::broadcast::{at, check_broadcast};
use crate::losses::{reduced, share};
use crate::{Real, check_grad_output};
use vocabulary::{BCELossGradients, BCELossOptions, Error, Reduction, Result, StateDict, StateElement, Tensor};

const LAYER: &str = "BCELoss";

/// The binary cross-entropy of probabilities with targets.
///
/// For each of the n elements, with the probability x, the target t and the weight w (1 where there is none):
///
/// ```math
/// \ell = -w\,\bigl[t\,\max(\ln x, -100) + (1 - t)\,\max(\ln(1 - x), -100)\bigr] \tag{1}
/// L = \tfrac{1}{n}\sum \ell \;(\text{mean}), \qquad L = \sum \ell \;(\text{sum}), \qquad \ell \;(\text{none}) \tag{2}
/// \frac{\partial L}{\partial x} = \kappa\,w\,\frac{x - t}{\max(x\,(1 - x),\,10^{-12})}, \qquad
///    \frac{\partial L}{\partial t} = \kappa\,w\,(\ln(1 - x) - \ln x) \tag{3}
/// ```
///
/// where κ is `grad_output`, or `grad_output`/n for the mean. The logarithms of (1) end at −100, so that no loss is infinite;
/// those of ∂L/∂t do not, as in PyTorch, whose 10⁻¹² is a number of single precision in both types. The mean of no elements is
/// NaN.
///
/// Shapes: input and target equal; the weight broadcasts to them; output [] or, for `Reduction::None`, the input's shape.
///
/// Source: [torch.nn.BCELoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.BCELoss.html).
///
/// ```
/// use reference::{BCELoss, BCELossOptions, Tensor};
/// let mut loss = BCELoss::new(BCELossOptions::new())?;
/// let input = Tensor::from_vec(&[2], vec![0.5, 0.0])?;
/// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[2], vec![1.0, 1.0])?)?;
/// assert_eq!(pass.output.as_slice(), [(std::f64::consts::LN_2 + 100.0) / 2.0]);
/// let gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
/// assert_eq!(gradients.input[[0]], -1.0);
/// assert!(loss.forward(&Tensor::scalar(1.5), &Tensor::scalar(1.0)).is_err());
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BCELoss<T> {
    options: BCELossOptions,
    weight: Option<Tensor<T>>,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct BCELossPass<T> {
    /// [], or the input's shape for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: Tensor<T>,
}

impl<T: Real> BCELoss<T> {
    /// A loss without weights.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: BCELossOptions) -> Result<Self> {
        Self::with_weight(options, None)
    }

    /// A loss with a weight for each element.
    ///
    /// # Errors
    /// None: whether a weight fits shows when the loss is called.
    pub fn with_weight(options: BCELossOptions, weight: Option<Tensor<T>>) -> Result<Self> {
        Ok(Self { options, weight })
    }

    /// A loss with the weights of a state dictionary, as far as it holds them: `weight`.
    ///
    /// # Errors
    /// Where one is of another type, or there is another tensor.
    pub fn from_state_dict(options: BCELossOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        state.check_names(LAYER, &["weight"])?;
        let given = |name| state.tensor_if(state.get(name).is_some(), LAYER, name);
        Self::with_weight(options, given("weight")?)
    }

    /// The weights under PyTorch's names, as far as there are any.
    pub fn state_dict(&self) -> StateDict
    where
        T: StateElement,
    {
        let mut state = StateDict::new();
        self.weight.iter().for_each(|weight| state.insert("weight", T::wrap(weight.clone())));
        state
    }

    /// The options that the loss was built with.
    pub fn options(&self) -> &BCELossOptions {
        &self.options
    }

    /// What multiplies each loss, where there is one.
    pub fn weight(&self) -> Option<&Tensor<T>> {
        self.weight.as_ref()
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
        Ok(())
    }

    /// Equations (1) and (2).
    ///
    /// # Errors
    /// Where the target does not have the input's shape, a weight does not broadcast to it, or an element of input or target
    /// lies outside [0, 1] or is NaN.
    pub fn forward(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        self.check(input.shape(), target.shape())?;
        for (argument, tensor) in [("input", input), ("target", target)] {
            let outside = |x: &&T| !(0.0..=1.0).contains(&x.to_f64());
            if let Some(x) = tensor.as_slice().iter().find(outside) {
                return Err(Error::new(LAYER, argument, format_args!("holds {}", x.to_f64()), "numbers in 0..=1"));
            }
        }
        let clamped = |log: T| T::maximum(log, T::from_f64(-100.0));
        let terms = Tensor::from_fn(input.shape(), |k| {
            let (x, t) = (at(input, k), at(target, k));
            let term = t * clamped(x.ln()) + (T::one() - t) * clamped((-x).ln_1p()); // (1)
            match &self.weight {
                Some(weight) => -term * at(weight, k),
                None => -term,
            }
        })?;
        Ok(reduced(self.options.effective_reduction(), terms)) // (2)
    }

    /// Equations (1) and (2), and what backward needs.
    ///
    /// # Errors
    /// As [`BCELoss::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<BCELossPass<T>> {
        Ok(BCELossPass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
    }

    /// Equation (3).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward(&self, pass: &BCELossPass<T>, grad_output: &Tensor<T>) -> Result<BCELossGradients<T>> {
        check_grad_output(LAYER, grad_output, self.output_shape(pass.input.shape(), pass.target.shape()))?;
        let BCELossPass { input, target, .. } = pass;
        let least = T::from_f64(f64::from(1e-12_f32));
        let (reduction, n) = (self.options.effective_reduction(), input.len());
        let share = |k: &[usize]| share(reduction, grad_output, self.weight.as_ref(), k, n);
        let of_input = Tensor::from_fn(input.shape(), |k| {
            let (x, t) = (at(input, k), at(target, k));
            share(k) * (x - t) / T::maximum((T::one() - x) * x, least) // (3)
        })?;
        let of_target = Tensor::from_fn(target.shape(), |k| {
            let x = at(input, k);
            share(k) * ((-x).ln_1p() - x.ln()) // (3)
        })?;
        Ok(BCELossGradients { input: of_input, target: of_target })
    }
}
