//! BCELoss: one pass over input, target and weight.

use super::shared::entropy_loss::Loss;
use crate::kernels::entropy::OfProbabilities;
use crate::kernels::probabilities::are_probabilities;
use crate::{Choice, Execution, Float, execution};
use vocabulary::{BCELossGradients, BCELossOptions, Error, Result, StateDict, Tensor};

const LAYER: &str = "BCELoss";

/// The binary cross-entropy of probabilities with targets.
///
/// For each of the n elements, with the probability x, the target t and the weight w (1 where there is none):
///
/// ```math
/// \ell = -w\,\bigl[t\,\max(\ln x, -100) + (1 - t)\,\max(\ln(1 - x), -100)\bigr]
/// L = \tfrac{1}{n}\sum \ell \;(\text{mean}), \qquad L = \sum \ell \;(\text{sum}), \qquad \ell \;(\text{none})
/// \frac{\partial L}{\partial x} = \kappa\,w\,\frac{x - t}{\max(x\,(1 - x),\,10^{-12})}, \qquad
///    \frac{\partial L}{\partial t} = \kappa\,w\,(\ln(1 - x) - \ln x)
/// ```
///
/// where κ is `grad_output`, or `grad_output`/n for the mean. The logarithms of ℓ end at −100, so that no loss is infinite;
/// those of ∂L/∂t do not, as in PyTorch, whose 10⁻¹² is a number of single precision in both types. The mean of no elements is
/// NaN.
///
/// Shapes: input and target equal; the weight broadcasts to them; output [] or, for `Reduction::None`, the input's shape.
///
/// Source: [torch.nn.BCELoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.BCELoss.html).
///
/// ```
/// use optimized::{BCELoss, BCELossOptions, Tensor};
/// let mut loss = BCELoss::new(BCELossOptions::new())?;
/// let input = Tensor::from_vec(&[2], vec![0.5, 0.0])?;
/// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[2], vec![1.0, 1.0])?)?;
/// assert_eq!(pass.output.as_slice(), [(std::f64::consts::LN_2 + 100.0) / 2.0]);
/// let gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
/// assert_eq!(gradients.input[[0]], -1.0);
/// assert!(loss.forward(&Tensor::scalar(1.5), &Tensor::scalar(1.0)).is_err());
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BCELoss<T> {
    options: BCELossOptions,
    weight: Option<Tensor<T>>,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct BCELossPass<T> {
    /// [], or the input's shape for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: Tensor<T>,
}

impl<T: Float> BCELoss<T> {
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
        Ok(Self { options, weight, execution: Execution::default() })
    }

    /// A loss with the weights of a state dictionary, as far as it holds them: `weight`.
    ///
    /// # Errors
    /// Where one is of another type, or there is another tensor.
    pub fn from_state_dict(options: BCELossOptions, state: &StateDict) -> Result<Self> {
        state.check_names(LAYER, &["weight"])?;
        let given = |name| state.tensor_if(state.get(name).is_some(), LAYER, name);
        Self::with_weight(options, given("weight")?)
    }

    /// The weights under PyTorch's names, as far as there are any.
    pub fn state_dict(&self) -> StateDict {
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

    /// How the loss is run.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Sets how the loss is run.
    ///
    /// # Errors
    /// Where the machine lacks the instruction set, or the loss has no such algorithm.
    pub fn set_execution(&mut self, execution: Execution) -> Result<()> {
        execution.check(LAYER)?;
        self.execution = execution;
        Ok(())
    }

    fn calls(&self) -> Loss<'_, T, OfProbabilities> {
        Loss {
            layer: LAYER,
            of: OfProbabilities,
            reduction: self.options.effective_reduction(),
            execution: &self.execution,
            weight: self.weight.as_ref(),
            pos_weight: None,
        }
    }

    /// The algorithms for operands of these shapes: one, which accepts everything.
    ///
    /// # Errors
    /// As [`BCELoss::output_shape`].
    pub fn choices(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<Choice>> {
        self.output_shape(input_shape, target_shape)?;
        Ok(execution::only(LAYER))
    }

    /// The output's shape: [], or the input's for `Reduction::None`.
    ///
    /// # Errors
    /// Where the target does not have the input's shape, or a weight does not broadcast to it.
    pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
        self.calls().output_shape(input_shape, target_shape)
    }

    fn check(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<()> {
        self.output_shape(input.shape(), target.shape())?;
        for (argument, tensor) in [("input", input), ("target", target)] {
            let x = tensor.as_slice();
            let outside = |x: &&T| !(T::ZERO..=T::ONE).contains(*x);
            let are_probabilities = self.execution.run(|kernel| are_probabilities(kernel, x));
            if !are_probabilities && let Some(x) = x.iter().find(outside) {
                return Err(Error::new(LAYER, argument, format_args!("holds {}", x.widen()), "numbers in 0..=1"));
            }
        }
        Ok(())
    }

    /// The loss.
    ///
    /// # Errors
    /// Where the target does not have the input's shape, a weight does not broadcast to it, or an element of input or target
    /// lies outside [0, 1] or is NaN.
    pub fn forward(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        self.check(input, target)?;
        self.calls().forward(input, target)
    }

    /// [`BCELoss::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`BCELoss::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{BCELoss, BCELossOptions, Tensor};
    /// let mut output = Tensor::scalar(f64::NAN);
    /// let loss = BCELoss::new(BCELossOptions::new())?;
    /// loss.forward_into(&Tensor::full(&[3], 0.5)?, &Tensor::full(&[3], 1.0)?, &mut output)?;
    /// assert!((output.as_slice()[0] - std::f64::consts::LN_2).abs() < 1e-15);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into(&self, input: &Tensor<T>, target: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        self.check(input, target)?;
        self.calls().forward_into(input, target, output)
    }

    /// The loss, and what backward needs.
    ///
    /// # Errors
    /// As [`BCELoss::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<BCELossPass<T>> {
        Ok(BCELossPass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
    }

    /// The gradients of input and target.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, or a gradient cannot be stored.
    pub fn backward(&self, pass: &BCELossPass<T>, grad_output: &Tensor<T>) -> Result<BCELossGradients<T>> {
        let [input, target] = self.calls().backward(&pass.input, &pass.target, grad_output)?;
        Ok(BCELossGradients { input, target })
    }

    /// The gradient of the input alone, which is that of [`BCELoss::backward`]: a target that is data has no use for one.
    ///
    /// # Errors
    /// As [`BCELoss::backward`].
    ///
    /// ```
    /// use optimized::{BCELoss, BCELossOptions, Tensor};
    /// let mut loss = BCELoss::new(BCELossOptions::new())?;
    /// let pass = loss.forward_pass(&Tensor::full(&[2], 0.25_f32)?, &Tensor::full(&[2], 1.0)?)?;
    /// let g = Tensor::scalar(1.0);
    /// assert_eq!(loss.backward_input(&pass, &g)?, loss.backward(&pass, &g)?.input);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_input(&self, pass: &BCELossPass<T>, grad_output: &Tensor<T>) -> Result<Tensor<T>> {
        self.calls().backward_input(&pass.input, &pass.target, grad_output)
    }

    /// [`BCELoss::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`BCELoss::backward`], and where a gradient does not have the input's shape; then nothing is written.
    ///
    /// ```
    /// use optimized::{BCELoss, BCELossOptions, Tensor};
    /// let mut loss = BCELoss::new(BCELossOptions::new())?;
    /// let pass = loss.forward_pass(&Tensor::full(&[2], 0.25_f32)?, &Tensor::full(&[2], 1.0)?)?;
    /// let mut gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
    /// loss.backward_into(&pass, &Tensor::scalar(3.0), &mut gradients)?;
    /// assert_eq!(gradients, loss.backward(&pass, &Tensor::scalar(3.0))?);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &BCELossPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut BCELossGradients<T>,
    ) -> Result<()> {
        let BCELossGradients { input, target } = gradients;
        self.calls().backward_into(&pass.input, &pass.target, grad_output, [input, target])
    }
}
