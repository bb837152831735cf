//! BatchNorm2d: two passes over each channel, then one that writes.

use super::{overwrite, require_output_shape, require_room, require_room_if_due, zeros};
use crate::kernels::norm::{self, Affine, Backward, Input, Moments, Planes, Way};
use crate::memory::{Output, fresh};
use crate::{Choice, Execution, Float};
use vocabulary::{
    BatchNorm2dGradients, BatchNorm2dOptions, BatchNorm2dState, Error, Gradients, Layer, Result, Saved, StateDict,
    Tensor,
};

const LAYER: &str = "BatchNorm2d";

/// Normalisation of each channel over batch, height and width.
///
/// For each channel c, over its n = N·H·W values x:
///
/// ```math
/// \mu = \tfrac{1}{n}\sum x, \qquad \sigma^2 = \tfrac{1}{n}\sum (x - \mu)^2, \qquad r = 1/\sqrt{\sigma^2 + \varepsilon}
/// \hat x = (x - \mu)\,r, \qquad y = \gamma\,\hat x + \beta
/// \mu_{run} \leftarrow (1 - m)\,\mu_{run} + m\,\mu, \qquad
///    \sigma^2_{run} \leftarrow (1 - m)\,\sigma^2_{run} + m\,\tfrac{n}{n-1}\,\sigma^2
/// ```
///
/// In evaluation, where running statistics are kept, they take the place of μ and σ². m is `momentum`, or 1/t at the
/// t-th batch where `momentum` is `None`. Backward, with g = ∂L/∂y,
///
/// ```math
/// \frac{\partial L}{\partial \beta} = \sum g, \qquad \frac{\partial L}{\partial \gamma} = \sum g\,\hat x
/// \frac{\partial L}{\partial x} = \gamma\,r\,(g - \tfrac{1}{n}\sum g - \hat x\,\tfrac{1}{n}\sum g\,\hat x), \quad
///    \text{or } \gamma\,r\,g \text{ where running statistics are used.}
/// ```
///
/// Statistics and sums are carried in `f64`, and the variance about the mean is a pass of its own.
///
/// Shapes: input and output [N, C, H, W]; weight γ, bias β and the running statistics `[C]`.
///
/// Source: [torch.nn.BatchNorm2d](https://docs.pytorch.org/docs/2.15/generated/torch.nn.BatchNorm2d.html);
/// Ioffe and Szegedy, [Batch Normalization](https://arxiv.org/abs/1502.03167).
///
/// ```
/// use optimized::{BatchNorm2d, BatchNorm2dOptions, Tensor};
/// let mut norm = BatchNorm2d::<f64>::new(BatchNorm2dOptions::new(1).eps(1e-9))?;
/// let pass = norm.forward_pass(&Tensor::from_vec(&[2, 1, 1, 2], vec![1.0, 3.0, 1.0, 3.0])?)?;
/// assert!((pass.output[[0, 0, 0, 1]] - 1.0).abs() < 1e-8);
/// assert!((norm.state().running_mean.as_ref().unwrap()[[0]] - 0.2).abs() < 1e-15); // 0.9·0 + 0.1·2
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchNorm2d<T> {
    options: BatchNorm2dOptions,
    state: BatchNorm2dState<T>,
    training: bool,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct BatchNorm2dPass<T> {
    /// [N, C, H, W].
    pub output: Tensor<T>,
    input: Tensor<T>,
    weight: Option<Tensor<T>>,
    moments: Vec<Moments>,
    batch_statistics: bool,
}

impl<T> BatchNorm2dPass<T> {
    /// Those that have gradients. An input without elements may be of any channels.
    fn channels(&self) -> usize {
        self.weight.as_ref().map_or(planes(self.input.shape()).channels, Tensor::len)
    }
}

impl<T: Float> BatchNorm2d<T> {
    /// A layer in training, with PyTorch's initial values: γ = 1, β = 0, running mean 0 and running variance 1.
    ///
    /// # Errors
    /// Where the parameters cannot be stored.
    pub fn new(options: BatchNorm2dOptions) -> Result<Self> {
        let filled = |name, due: bool, value: T| match due {
            true => Tensor::full(&[options.num_features], value).map(Some).map_err(|error| error.of(LAYER, name)),
            false => Ok(None),
        };
        let tracked = options.track_running_stats;
        let state = BatchNorm2dState {
            weight: filled("weight", options.has_weight(), T::ONE)?,
            bias: filled("bias", options.has_bias(), T::ZERO)?,
            running_mean: filled("running_mean", tracked, T::ZERO)?,
            running_var: filled("running_var", tracked, T::ONE)?,
            num_batches_tracked: tracked.then_some(0),
        };
        Self::with_parameters(options, state)
    }

    /// A layer in training, with given parameters and buffers.
    ///
    /// # Errors
    /// Where one is missing, superfluous or of another shape.
    pub fn with_parameters(options: BatchNorm2dOptions, state: BatchNorm2dState<T>) -> Result<Self> {
        options.check_state(&state)?;
        Ok(Self { options, state, training: true, execution: Execution::default() })
    }

    /// A layer in training, with the parameters and buffers of a state dictionary: `weight`, `bias`, `running_mean`,
    /// `running_var` and `num_batches_tracked`, as far as the options ask for them.
    ///
    /// # Errors
    /// Where one is missing, unknown, or of another shape or type.
    pub fn from_state_dict(options: BatchNorm2dOptions, state: &StateDict) -> Result<Self> {
        let (affine, bias, tracked) = (options.has_weight(), options.has_bias(), options.track_running_stats);
        let mut known = Vec::new();
        known.extend(affine.then_some("weight"));
        known.extend(bias.then_some("bias"));
        known.extend(tracked.then_some(["running_mean", "running_var", "num_batches_tracked"]).into_iter().flatten());
        state.check_names(LAYER, &known)?;
        let num_batches_tracked = match state.tensor_if::<i64>(tracked, LAYER, "num_batches_tracked")? {
            Some(count) if count.rank() > 0 => {
                return Err(Error::shape(LAYER, "num_batches_tracked", count.shape(), "[]"));
            }
            count => count.and_then(|count| count.as_slice().first().copied()),
        };
        let state = BatchNorm2dState {
            weight: state.tensor_if(affine, LAYER, "weight")?,
            bias: state.tensor_if(bias, LAYER, "bias")?,
            running_mean: state.tensor_if(tracked, LAYER, "running_mean")?,
            running_var: state.tensor_if(tracked, LAYER, "running_var")?,
            num_batches_tracked,
        };
        Self::with_parameters(options, state)
    }

    /// The parameters and buffers under PyTorch's names.
    pub fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        let mut insert = |name: &str, tensor: &Option<Tensor<T>>| {
            if let Some(tensor) = tensor {
                state.insert(name, T::wrap(tensor.clone()));
            }
        };
        insert("weight", &self.state.weight);
        insert("bias", &self.state.bias);
        insert("running_mean", &self.state.running_mean);
        insert("running_var", &self.state.running_var);
        if let Some(count) = self.state.num_batches_tracked {
            state.insert("num_batches_tracked", Tensor::scalar(count));
        }
        state
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &BatchNorm2dOptions {
        &self.options
    }

    /// The parameters and buffers.
    pub fn state(&self) -> &BatchNorm2dState<T> {
        &self.state
    }

    /// From now on, normalise by the batch's own statistics, and let `forward_pass` update the running ones.
    pub fn train(&mut self) {
        self.training = true;
    }

    /// From now on, normalise by the running statistics, where they are kept.
    pub fn eval(&mut self) {
        self.training = false;
    }

    /// Whether the layer is in training.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// How the layer is run.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Sets how the layer is run.
    ///
    /// # Errors
    /// Where the machine lacks the instruction set, or the layer has no such algorithm.
    pub fn set_execution(&mut self, execution: Execution) -> Result<()> {
        execution.check(LAYER)?;
        self.execution = execution;
        Ok(())
    }

    /// The algorithms for an input of `input_shape`, in the order of preference, and why some of them refuse it. A forced
    /// algorithm makes no difference here.
    ///
    /// `by_channel` and `by_pass` give the same results, to the last bit; by running statistics there is but one pass, so
    /// `by_channel` refuses.
    ///
    /// # Errors
    /// As [`BatchNorm2d::output_shape`].
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        self.output_shape(input_shape)?;
        let own = self.uses_batch_statistics();
        Ok(order(planes(input_shape)).iter().map(|&name| Choice { name, refusal: refusal(name, own) }).collect())
    }

    /// How an input is normalised by its own statistics, or by the running ones.
    fn way(&self, planes: Planes, own: bool) -> Result<Way> {
        let algorithm = self.execution.choose(LAYER, order(planes), |name| refusal(name, own))?;
        Ok(if algorithm == "by_channel" { Way::ByChannel } else { Way::ByPass })
    }

    /// Whether the batch's own statistics are used: in training, and where no running ones are kept.
    fn uses_batch_statistics(&self) -> bool {
        self.training || !self.options.track_running_stats
    }

    /// The output's shape: the input's.
    ///
    /// # Errors
    /// Where the input is not [N, num_features, H, W], or has one value a channel while batch statistics are used.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.check_input(input_shape, self.uses_batch_statistics())?;
        Ok(input_shape.to_vec())
    }

    /// The normalised input; leaves the running statistics as they are.
    ///
    /// # Errors
    /// Where the input is not [N, num_features, H, W], has one value a channel while batch statistics are used, or the
    /// output cannot be stored.
    pub fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        self.normalise(input).map(|(output, _)| output)
    }

    /// [`BatchNorm2d::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`BatchNorm2d::forward`], and where `output` does not have the input's shape.
    ///
    /// ```
    /// use optimized::{BatchNorm2d, BatchNorm2dOptions, Tensor};
    /// let norm = BatchNorm2d::new(BatchNorm2dOptions::new(1).eps(3.0))?;
    /// let mut y = Tensor::full(&[1, 1, 1, 2], f32::NAN)?;
    /// norm.forward_into(&Tensor::from_vec(&[1, 1, 1, 2], vec![-1.0, 1.0])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [-0.5, 0.5]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let shape = self.output_shape(input.shape())?;
        let output = overwrite(LAYER, output, &shape)?;
        self.normalise_into(input, &mut Output::Given(output))?;
        Ok(())
    }

    /// [`BatchNorm2d::forward`] by the running statistics, written over the input.
    ///
    /// # Errors
    /// Where the batch's own statistics are used, in training or as no running ones are kept; where the input is not
    /// [N, num_features, H, W]; or where the forced algorithm refuses.
    ///
    /// ```
    /// use optimized::{BatchNorm2d, BatchNorm2dOptions, Tensor};
    /// let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(1).eps(3.0))?;
    /// let mut x = Tensor::full(&[1, 1, 1, 2], 5.0_f32)?;
    /// assert!(norm.forward_in_place(&mut x).is_err());
    /// norm.eval();
    /// norm.forward_in_place(&mut x)?;
    /// assert_eq!(x.as_slice(), [2.5, 2.5]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_in_place(&self, input: &mut Tensor<T>) -> Result<()> {
        self.output_shape(input.shape())?;
        let Some(moments) = self.running_moments() else {
            let expected = "evaluation by running statistics, where the input may be overwritten";
            return Err(Error::new(LAYER, "input", "is to be normalised by its own statistics", expected));
        };
        let planes = planes(input.shape());
        self.way(planes, false)?;
        let affine = self.affine(&self.state.weight);
        let elements = input.as_mut_slice();
        self.execution.run(|kernel| norm::normalise_in_place(kernel, planes, affine, &moments, elements));
        Ok(())
    }

    fn normalise(&self, input: &Tensor<T>) -> Result<(Tensor<T>, Vec<Moments>)> {
        let shape = self.output_shape(input.shape())?;
        let mut output = fresh(LAYER, "output", &shape)?;
        let moments = self.normalise_into(input, &mut Output::Fresh(&mut output))?;
        Ok((output.tensor(&shape)?, moments))
    }

    fn normalise_into(&self, input: &Tensor<T>, output: &mut Output<'_, T>) -> Result<Vec<Moments>> {
        let affine = self.affine(&self.state.weight);
        let input = Input { planes: planes(input.shape()), x: input.as_slice() };
        let way = self.way(input.planes, self.uses_batch_statistics())?;
        match self.running_moments() {
            Some(moments) => {
                self.execution.run(|kernel| norm::normalise_by(kernel, input, affine, &moments, output));
                Ok(moments)
            }
            None => Ok(self.execution.run(|kernel| norm::normalise_by_own(way, kernel, input, affine, output))),
        }
    }

    /// The running statistics, where they are used.
    fn running_moments(&self) -> Option<Vec<Moments>> {
        let (means, variances) = (self.state.running_mean.as_ref()?, self.state.running_var.as_ref()?);
        let running = means.as_slice().iter().zip(variances.as_slice());
        let moments = running.map(|(mean, variance)| Moments { mean: mean.widen(), variance: variance.widen() });
        (!self.training).then(|| moments.collect())
    }

    fn affine<'a>(&'a self, weight: &'a Option<Tensor<T>>) -> Affine<'a, T> {
        let slice = |tensor: &'a Option<Tensor<T>>| tensor.as_ref().map(Tensor::as_slice);
        Affine { eps: self.options.eps, weight: slice(weight), bias: slice(&self.state.bias) }
    }

    /// The normalised input, and what backward needs; in training, the running statistics move.
    ///
    /// # Errors
    /// As [`BatchNorm2d::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>) -> Result<BatchNorm2dPass<T>> {
        let (output, moments) = self.normalise(input)?;
        if self.training {
            self.update_running_statistics(&moments, input)?;
        }
        let batch_statistics = self.uses_batch_statistics();
        Ok(BatchNorm2dPass {
            output,
            input: input.clone(),
            weight: self.state.weight.clone(),
            moments,
            batch_statistics,
        })
    }

    /// A batch without values moves only the count of batches.
    fn update_running_statistics(&mut self, moments: &[Moments], input: &Tensor<T>) -> Result<()> {
        let BatchNorm2dState { running_mean, running_var, num_batches_tracked, .. } = &mut self.state;
        let (Some(means), Some(variances), Some(count)) = (running_mean, running_var, num_batches_tracked) else {
            return Ok(());
        };
        *count = self.options.next_count(*count)?;
        if input.is_empty() {
            return Ok(());
        }
        let momentum = self.options.momentum.unwrap_or_else(|| 1.0 / *count as f64);
        let (n, kept) = (planes(input.shape()).values() as f64, 1.0 - momentum);
        let moved = |running: T, batch: f64| T::narrow(kept * running.widen() + momentum * batch);
        for (mean, moments) in means.as_mut_slice().iter_mut().zip(moments) {
            *mean = moved(*mean, moments.mean);
        }
        for (variance, moments) in variances.as_mut_slice().iter_mut().zip(moments) {
            *variance = moved(*variance, n / (n - 1.0) * moments.variance);
        }
        Ok(())
    }

    /// The gradients, with the weight as it was in the pass.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, a gradient cannot be stored, or the forced algorithm refuses.
    pub fn backward(&self, pass: &BatchNorm2dPass<T>, grad_output: &Tensor<T>) -> Result<BatchNorm2dGradients<T>> {
        let (backward, way) = self.backward_way(pass, grad_output)?;
        let (shape, channels) = (pass.input.shape(), [pass.channels()]);
        let mut input = fresh(LAYER, "grad_input", shape)?;
        let due = |argument, due: bool| due.then(|| zeros(LAYER, argument, &channels)).transpose();
        let mut weight = due("grad_weight", self.options.has_weight())?;
        let mut bias = due("grad_bias", self.options.has_bias())?;
        self.run_backward(backward, way, Output::Fresh(&mut input), [&mut bias, &mut weight]);
        Ok(BatchNorm2dGradients { input: input.tensor(shape)?, weight, bias })
    }

    /// [`BatchNorm2d::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`BatchNorm2d::backward`], and where a gradient has another shape, is missing or superfluous; then nothing is written.
    ///
    /// ```
    /// use optimized::{BatchNorm2d, BatchNorm2dOptions, Tensor};
    /// let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(1).eps(3.0))?;
    /// let pass = norm.forward_pass(&Tensor::from_vec(&[1, 1, 1, 2], vec![-1.0, 1.0])?)?;
    /// let mut gradients = norm.backward(&pass, &Tensor::full(&[1, 1, 1, 2], 1.0)?)?;
    /// norm.backward_into(&pass, &Tensor::from_vec(&[1, 1, 1, 2], vec![0.0, 4.0])?, &mut gradients)?;
    /// assert_eq!((gradients.weight, gradients.bias), (Some(Tensor::full(&[1], 2.0)?), Some(Tensor::full(&[1], 4.0)?)));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &BatchNorm2dPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut BatchNorm2dGradients<T>,
    ) -> Result<()> {
        let (backward, way) = self.backward_way(pass, grad_output)?;
        let BatchNorm2dGradients { input, weight, bias } = gradients;
        let channels = [pass.channels()];
        let due = |due: bool| due.then_some(&channels[..]);
        require_room(LAYER, "grad_input", input, pass.input.shape())?;
        require_room_if_due(LAYER, "grad_weight", weight.as_ref(), due(self.options.has_weight()))?;
        require_room_if_due(LAYER, "grad_bias", bias.as_ref(), due(self.options.has_bias()))?;
        self.run_backward(backward, way, Output::Given(input.as_mut_slice()), [bias, weight]);
        Ok(())
    }

    fn backward_way<'a>(
        &'a self,
        pass: &'a BatchNorm2dPass<T>,
        grad_output: &'a Tensor<T>,
    ) -> Result<(Backward<'a, T>, Way)> {
        let shape = pass.input.shape();
        require_output_shape(LAYER, grad_output, shape)?;
        let backward = Backward {
            input: Input { planes: planes(shape), x: pass.input.as_slice() },
            g: grad_output.as_slice(),
            affine: self.affine(&pass.weight),
            moments: &pass.moments,
            own: pass.batch_statistics,
        };
        let way = self.way(backward.input.planes, pass.batch_statistics)?;
        Ok((backward, way))
    }

    /// Writes the gradient of the input, and the sums Σg and Σg·x̂, where they are gradients: those of bias and weight.
    fn run_backward(
        &self,
        backward: Backward<'_, T>,
        way: Way,
        mut input: Output<'_, T>,
        of_sums: [&mut Option<Tensor<T>>; 2],
    ) {
        let sums = self.execution.run(|kernel| backward.run(way, kernel, &mut input));
        for (which, gradient) in of_sums.into_iter().enumerate() {
            let elements = gradient.as_mut().map_or(&mut [][..], Tensor::as_mut_slice);
            for (channel, element) in elements.iter_mut().enumerate() {
                // An input without elements has no sums.
                *element = sums.get(channel).map_or(T::ZERO, |sums| T::narrow(sums[which]));
            }
        }
    }
}

/// The algorithms, in the order of preference.
fn order(planes: Planes) -> &'static [&'static str] {
    if planes.suit_channels() { &["by_channel", "by_pass"] } else { &["by_pass", "by_channel"] }
}

fn refusal(algorithm: &str, own_statistics: bool) -> Option<String> {
    (algorithm == "by_channel" && !own_statistics)
        .then(|| "by_channel computes statistics, and these are given".to_owned())
}

/// The planes of an input [N, C, H, W], whose shape has been checked.
fn planes(shape: &[usize]) -> Planes {
    let size = |axis: usize| shape.get(axis).copied().unwrap_or(0);
    Planes { images: size(0), channels: size(1), area: size(2).saturating_mul(size(3)) }
}

impl<T: Float> Layer<T> for BatchNorm2d<T> {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        BatchNorm2d::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        BatchNorm2d::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = BatchNorm2d::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let BatchNorm2dGradients { input, weight, bias } = BatchNorm2d::backward(self, saved.get(LAYER)?, grad_output)?;
        let mut parameters = Vec::new();
        parameters.extend(weight.map(|weight| ("weight".into(), weight)));
        parameters.extend(bias.map(|bias| ("bias".into(), bias)));
        Ok(Gradients { input, parameters })
    }
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
        if let Some(weight) = &self.state.weight {
            visit("weight", weight);
        }
        if let Some(bias) = &self.state.bias {
            visit("bias", bias);
        }
    }
    fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
        if let Some(weight) = &mut self.state.weight {
            visit("weight", weight.as_mut_slice());
        }
        if let Some(bias) = &mut self.state.bias {
            visit("bias", bias.as_mut_slice());
        }
    }
    fn set_training(&mut self, training: bool) {
        self.training = training;
    }
}
