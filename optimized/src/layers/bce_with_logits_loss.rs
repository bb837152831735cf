//! BCEWithLogitsLoss: one pass over input, target and weights.

use super::shared::entropy_loss::Loss;
use crate::kernels::entropy::OfLogits;
use crate::{Choice, Execution, Float, execution};
use vocabulary::{BCEWithLogitsLossGradients, BCEWithLogitsLossOptions, Result, StateDict, Tensor};

const LAYER: &str = "BCEWithLogitsLoss";

/// The binary cross-entropy of logits with targets: a sigmoid and a `BCELoss` in one, which does not overflow.
///
/// For each of the n elements, with the logit x, the target t, the weight w and the positive weight p (1 where there are none):
///
/// ```math
/// \ell = w\,\bigl[p\,t\,s(-x) + (1 - t)\,s(x)\bigr], \qquad
///    s(a) = \ln(1 + e^a) = \max(a, 0) + \ln(1 + e^{-|a|})
/// L = \tfrac{1}{n}\sum \ell \;(\text{mean}), \qquad L = \sum \ell \;(\text{sum}), \qquad \ell \;(\text{none})
/// \frac{\partial L}{\partial x} = \kappa\,w\,\bigl[(p\,t + 1 - t)\,\sigma(x) - p\,t\bigr], \qquad
///    \frac{\partial L}{\partial t} = \kappa\,w\,\bigl[p\,s(-x) - s(x)\bigr]
/// ```
///
/// where κ is `grad_output`, or `grad_output`/n for the mean; without p, ∂L/∂t is −κ·w·x. PyTorch writes ℓ as
/// (1 − t)·x + (1 + (p − 1)·t)·s(−x), which loses the digits of a small loss of a large negative logit; of numbers that
/// are not finite it is taken, so that they make of it what they do there. The mean of no elements
/// is NaN.
///
/// Shapes: input and target equal; the weights broadcast to them; output [] or, for `Reduction::None`, the input's shape.
///
/// Source: [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.BCEWithLogitsLoss.html).
///
/// ```
/// use optimized::{BCEWithLogitsLoss, BCEWithLogitsLossOptions, Reduction, Tensor};
/// let mut loss = BCEWithLogitsLoss::new(BCEWithLogitsLossOptions::new().reduction(Reduction::None))?;
/// let input = Tensor::from_vec(&[3], vec![0.0, 200.0, -200.0])?;
/// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[3], vec![1.0, 0.0, 1.0])?)?;
/// assert_eq!(pass.output.as_slice(), [std::f64::consts::LN_2, 200.0, 200.0]);
/// let gradients = loss.backward(&pass, &Tensor::full(&[3], 2.0)?)?;
/// assert_eq!(gradients.input.as_slice(), [-1.0, 2.0, -2.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BCEWithLogitsLoss<T> {
    options: BCEWithLogitsLossOptions,
    weight: Option<Tensor<T>>,
    pos_weight: Option<Tensor<T>>,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct BCEWithLogitsLossPass<T> {
    /// [], or the input's shape for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: Tensor<T>,
}

impl<T: Float> BCEWithLogitsLoss<T> {
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
        Ok(Self { options, weight, pos_weight, execution: Execution::default() })
    }

    /// A loss with the weights of a state dictionary, as far as it holds them: `weight` and `pos_weight`.
    ///
    /// # Errors
    /// Where one is of another type, or there is another tensor.
    pub fn from_state_dict(options: BCEWithLogitsLossOptions, state: &StateDict) -> Result<Self> {
        state.check_names(LAYER, &["weight", "pos_weight"])?;
        let given = |name| state.tensor_if(state.get(name).is_some(), LAYER, name);
        Self::with_weights(options, given("weight")?, given("pos_weight")?)
    }

    /// The weights under PyTorch's names, as far as there are any.
    pub fn state_dict(&self) -> StateDict {
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

    fn calls(&self) -> Loss<'_, T, OfLogits> {
        Loss {
            layer: LAYER,
            of: OfLogits,
            reduction: self.options.effective_reduction(),
            execution: &self.execution,
            weight: self.weight.as_ref(),
            pos_weight: self.pos_weight.as_ref(),
        }
    }

    /// The algorithms for operands of these shapes: one, which accepts everything.
    ///
    /// # Errors
    /// As [`BCEWithLogitsLoss::output_shape`].
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
        Ok(())
    }

    /// The loss.
    ///
    /// # Errors
    /// Where the target does not have the input's shape, or a weight does not broadcast to it.
    pub fn forward(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        self.check(input, target)?;
        self.calls().forward(input, target)
    }

    /// [`BCEWithLogitsLoss::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`BCEWithLogitsLoss::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{BCEWithLogitsLoss, BCEWithLogitsLossOptions, Tensor};
    /// let mut output = Tensor::scalar(f64::NAN);
    /// let loss = BCEWithLogitsLoss::new(BCEWithLogitsLossOptions::new())?;
    /// loss.forward_into(&Tensor::full(&[3], 0.0)?, &Tensor::full(&[3], 1.0)?, &mut output)?;
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
    /// As [`BCEWithLogitsLoss::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<BCEWithLogitsLossPass<T>> {
        Ok(BCEWithLogitsLossPass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
    }

    /// The gradients of input and target.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, or a gradient cannot be stored.
    pub fn backward(
        &self,
        pass: &BCEWithLogitsLossPass<T>,
        grad_output: &Tensor<T>,
    ) -> Result<BCEWithLogitsLossGradients<T>> {
        let [input, target] = self.calls().backward(&pass.input, &pass.target, grad_output)?;
        Ok(BCEWithLogitsLossGradients { input, target })
    }

    /// The gradient of the input alone, which is that of [`BCEWithLogitsLoss::backward`]: a target that is data has no use for one.
    ///
    /// # Errors
    /// As [`BCEWithLogitsLoss::backward`].
    ///
    /// ```
    /// use optimized::{BCEWithLogitsLoss, BCEWithLogitsLossOptions, Tensor};
    /// let mut loss = BCEWithLogitsLoss::new(BCEWithLogitsLossOptions::new())?;
    /// let pass = loss.forward_pass(&Tensor::full(&[2], -1.5_f32)?, &Tensor::full(&[2], 1.0)?)?;
    /// let g = Tensor::scalar(1.0);
    /// assert_eq!(loss.backward_input(&pass, &g)?, loss.backward(&pass, &g)?.input);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_input(&self, pass: &BCEWithLogitsLossPass<T>, grad_output: &Tensor<T>) -> Result<Tensor<T>> {
        self.calls().backward_input(&pass.input, &pass.target, grad_output)
    }

    /// [`BCEWithLogitsLoss::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`BCEWithLogitsLoss::backward`], and where a gradient does not have the input's shape; then nothing is written.
    ///
    /// ```
    /// use optimized::{BCEWithLogitsLoss, BCEWithLogitsLossOptions, Tensor};
    /// let mut loss = BCEWithLogitsLoss::new(BCEWithLogitsLossOptions::new())?;
    /// let pass = loss.forward_pass(&Tensor::full(&[2], 0.25_f32)?, &Tensor::full(&[2], 1.0)?)?;
    /// let mut gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
    /// loss.backward_into(&pass, &Tensor::scalar(3.0), &mut gradients)?;
    /// assert_eq!(gradients, loss.backward(&pass, &Tensor::scalar(3.0))?);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &BCEWithLogitsLossPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut BCEWithLogitsLossGradients<T>,
    ) -> Result<()> {
        let BCEWithLogitsLossGradients { input, target } = gradients;
        self.calls().backward_into(&pass.input, &pass.target, grad_output, [input, target])
    }
}
