//! BatchNorm2d, transcribed: the equations of the torch.nn.BatchNorm2d page. Two passes over each channel: first the mean,
//! then the variance about it.

use crate::{Real, check_grad_output};
use vocabulary::{
    BatchNorm2dGradients, BatchNorm2dOptions, BatchNorm2dState, Error, Gradients, Layer, Result, Saved, StateDict,
    StateElement, Tensor,
};

const LAYER: &str = "BatchNorm2d";

/// Normalisation of each channel over batch, height and width.
///
/// For each channel c, over its n = N·H·W values x:
///
/// ```math
/// \mu = \tfrac{1}{n}\sum x \tag{1}
/// \sigma^2 = \tfrac{1}{n}\sum (x - \mu)^2 \tag{2}
/// r = 1/\sqrt{\sigma^2 + \varepsilon} \tag{3}
/// \hat x = (x - \mu)\,r \tag{4}
/// y = \gamma\,\hat x + \beta \tag{5}
/// \mu_{run} \leftarrow (1 - m)\,\mu_{run} + m\,\mu \tag{6}
/// \sigma^2_{run} \leftarrow (1 - m)\,\sigma^2_{run} + m\,\tfrac{n}{n-1}\,\sigma^2 \tag{7}
/// ```
///
/// In evaluation, where running statistics are kept, they take the place of (1) and (2). m is `momentum`, or 1/t at the
/// t-th batch where `momentum` is `None`. Backward, with g = ∂L/∂y and, where batch statistics are used,
///
/// ```math
/// \frac{\partial L}{\partial \beta} = \sum g \tag{8}
/// \frac{\partial L}{\partial \gamma} = \sum g\,\hat x \tag{9}
/// \frac{\partial L}{\partial x} = \gamma\,r\,(g - \tfrac{1}{n}\sum g - \hat x\,\tfrac{1}{n}\sum g\,\hat x) \tag{10}
/// \frac{\partial L}{\partial x} = \gamma\,r\,g \quad\text{where running statistics are used} \tag{11}
/// ```
///
/// Statistics and sums are carried in [`Real::Wide`] and x − μ is rounded once, so that an `f32` channel whose mean is a
/// million times its deviation is normalised as exactly as any other.
///
/// Shapes: input and output [N, C, H, W]; weight γ, bias β and the running statistics `[C]`.
///
/// Source: [torch.nn.BatchNorm2d](https://docs.pytorch.org/docs/2.15/generated/torch.nn.BatchNorm2d.html);
/// Ioffe and Szegedy, [Batch Normalization](https://arxiv.org/abs/1502.03167).
///
/// ```
/// use reference::{BatchNorm2d, BatchNorm2dOptions, Tensor};
/// let mut norm = BatchNorm2d::<f64>::new(BatchNorm2dOptions::new(1).eps(1e-9))?;
/// let pass = norm.forward_pass(&Tensor::from_vec(&[2, 1, 1, 2], vec![1.0, 3.0, 1.0, 3.0])?)?;
/// assert!((pass.output[[0, 0, 0, 1]] - 1.0).abs() < 1e-8);
/// assert!((norm.state().running_mean.as_ref().unwrap()[[0]] - 0.2).abs() < 1e-15); // 0.9·0 + 0.1·2
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchNorm2d<T> {
    options: BatchNorm2dOptions,
    state: BatchNorm2dState<T>,
    training: bool,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct BatchNorm2dPass<T: Real> {
    /// [N, C, H, W].
    pub output: Tensor<T>,
    input: Tensor<T>,
    weight: Option<Tensor<T>>,
    statistics: Vec<Statistics<T>>,
    batch_statistics: bool,
}

/// A channel's mean μ and biased variance σ².
#[derive(Debug, Clone, Copy)]
struct Statistics<T: Real> {
    mean: T::Wide,
    variance: T::Wide,
}

impl<T: Real> BatchNorm2d<T> {
    /// A layer in training, with PyTorch's initial values: γ = 1, β = 0, running mean 0 and running variance 1.
    ///
    /// # Errors
    /// Where the parameters cannot be stored.
    pub fn new(options: BatchNorm2dOptions) -> Result<Self> {
        let full = |name, due: bool, value| {
            let full = || Tensor::full(&[options.num_features], value).map_err(|error| error.of(LAYER, name));
            due.then(full).transpose()
        };
        let state = BatchNorm2dState {
            weight: full("weight", options.has_weight(), T::one())?,
            bias: full("bias", options.has_bias(), T::zero())?,
            running_mean: full("running_mean", options.track_running_stats, T::zero())?,
            running_var: full("running_var", options.track_running_stats, T::one())?,
            num_batches_tracked: options.track_running_stats.then_some(0),
        };
        Self::with_parameters(options, state)
    }

    /// A layer in training, with given parameters and buffers.
    ///
    /// # Errors
    /// Where one is missing, superfluous or of another shape.
    pub fn with_parameters(options: BatchNorm2dOptions, state: BatchNorm2dState<T>) -> Result<Self> {
        options.check_state(&state)?;
        Ok(Self { options, state, training: true })
    }

    /// A layer in training, with the parameters and buffers of a state dictionary: `weight`, `bias`, `running_mean`,
    /// `running_var` and `num_batches_tracked`, as far as the options ask for them.
    ///
    /// # Errors
    /// Where one is missing, unknown, or of another shape or type.
    pub fn from_state_dict(options: BatchNorm2dOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        let tracked = options.track_running_stats;
        let due = [
            ("weight", options.has_weight()),
            ("bias", options.has_bias()),
            ("running_mean", tracked),
            ("running_var", tracked),
            ("num_batches_tracked", tracked),
        ];
        let known: Vec<&str> = due.iter().filter(|(_, due)| *due).map(|(name, _)| *name).collect();
        state.check_names(LAYER, &known)?;
        let [weight, bias, running_mean, running_var, _] = due.map(|(name, due)| state.tensor_if(due, LAYER, name));
        let num_batches_tracked = state.tensor_if::<i64>(tracked, LAYER, "num_batches_tracked")?;
        if let Some(count) = num_batches_tracked.as_ref().filter(|count| !count.shape().is_empty()) {
            return Err(Error::shape(LAYER, "num_batches_tracked", count.shape(), "[]"));
        }
        let state = BatchNorm2dState {
            weight: weight?,
            bias: bias?,
            running_mean: running_mean?,
            running_var: running_var?,
            num_batches_tracked: num_batches_tracked.map(|count| count.as_slice()[0]),
        };
        Self::with_parameters(options, state)
    }

    /// The parameters and buffers under PyTorch's names.
    pub fn state_dict(&self) -> StateDict
    where
        T: StateElement,
    {
        let mut state = StateDict::new();
        let BatchNorm2dState { weight, bias, running_mean, running_var, num_batches_tracked } = self.state.clone();
        let tensors =
            [("weight", weight), ("bias", bias), ("running_mean", running_mean), ("running_var", running_var)];
        for (name, tensor) in tensors {
            tensor.into_iter().for_each(|tensor| state.insert(name, T::wrap(tensor)));
        }
        num_batches_tracked.into_iter().for_each(|n| state.insert("num_batches_tracked", Tensor::scalar(n)));
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

    /// Equations (1) to (5); leaves the running statistics as they are.
    ///
    /// # Errors
    /// Where the input is not [N, num_features, H, W], or has one value a channel while batch statistics are used.
    pub fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let shape = self.output_shape(input.shape())?;
        let statistics = self.statistics(input);
        let inverse_deviations: Vec<T> = statistics.iter().map(|s| self.inverse_deviation(s)).collect();
        Tensor::from_fn(&shape, |index| {
            let c = index[1];
            let x = input.as_slice()[offset(input, index)];
            let normalised = x.centred_about(statistics[c].mean) * inverse_deviations[c]; // (4)
            match (&self.state.weight, &self.state.bias) {
                (Some(weight), Some(bias)) => weight[[c]] * normalised + bias[[c]], // (5)
                (Some(weight), None) => weight[[c]] * normalised,
                _ => normalised,
            }
        })
    }

    /// Equations (1) to (7), and what backward needs; (6) and (7) in training only.
    ///
    /// # Errors
    /// As [`BatchNorm2d::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>) -> Result<BatchNorm2dPass<T>> {
        let output = self.forward(input)?;
        let statistics = self.statistics(input);
        if self.training {
            self.update_running_statistics(&statistics, input)?;
        }
        Ok(BatchNorm2dPass {
            output,
            input: input.clone(),
            weight: self.state.weight.clone(),
            statistics,
            batch_statistics: self.uses_batch_statistics(),
        })
    }

    /// Equations (8) to (11), with the weight as it was in the pass.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward(&self, pass: &BatchNorm2dPass<T>, grad_output: &Tensor<T>) -> Result<BatchNorm2dGradients<T>> {
        check_grad_output(LAYER, grad_output, Ok(pass.input.shape().to_vec()))?;
        let channels = match (pass.input.is_empty(), &pass.weight) {
            (false, _) => pass.input.shape()[1],
            (true, weight) => weight.as_ref().map_or(0, Tensor::len),
        };
        let n = <T::Wide as Real>::from_count(values_a_channel(pass.input.shape()));
        let inverse_deviations: Vec<T> = pass.statistics.iter().map(|s| self.inverse_deviation(s)).collect();
        let normalised = Tensor::from_fn(pass.input.shape(), |index| {
            let x = pass.input.as_slice()[offset(&pass.input, index)];
            x.centred_about(pass.statistics[index[1]].mean) * inverse_deviations[index[1]] // (4)
        })?;

        let mut sum_g = vec![T::Wide::zero(); channels];
        let mut sum_gx = vec![T::Wide::zero(); channels];
        Tensor::from_fn(pass.input.shape(), |index| {
            let (c, k) = (index[1], offset(&pass.input, index));
            let g = grad_output.as_slice()[k].widen();
            sum_g[c] = sum_g[c] + g; // (8)
            sum_gx[c] = sum_gx[c] + g * normalised.as_slice()[k].widen(); // (9)
        })?;

        let input = Tensor::from_fn(pass.input.shape(), |index| {
            let (c, k) = (index[1], offset(&pass.input, index));
            let g = grad_output.as_slice()[k];
            let gradient = if pass.batch_statistics {
                let projection = normalised.as_slice()[k] * T::narrow(sum_gx[c] / n);
                (g - T::narrow(sum_g[c] / n) - projection) * inverse_deviations[c] // (10)
            } else {
                g * inverse_deviations[c] // (11)
            };
            match &pass.weight {
                Some(weight) => weight[[c]] * gradient,
                None => gradient,
            }
        })?;
        let narrow = |due: bool, sums: Vec<T::Wide>| {
            let narrow = || Tensor::from_vec(&[channels], sums.into_iter().map(T::narrow).collect());
            due.then(narrow).transpose()
        };
        Ok(BatchNorm2dGradients {
            input,
            weight: narrow(self.options.has_weight(), sum_gx)?,
            bias: narrow(self.options.has_bias(), sum_g)?,
        })
    }

    /// μ and σ² of each channel: the batch's own (none of a batch without values), or the running ones.
    fn statistics(&self, input: &Tensor<T>) -> Vec<Statistics<T>> {
        if !self.uses_batch_statistics() {
            let (mean, variance) = (running(&self.state.running_mean), running(&self.state.running_var));
            return mean.zip(variance).map(|(&m, &v)| Statistics { mean: m.widen(), variance: v.widen() }).collect();
        }
        if input.is_empty() {
            return Vec::new();
        }
        let n = <T::Wide as Real>::from_count(values_a_channel(input.shape()));
        let statistics_of = |c: usize| {
            let values = || channel(input, c).map(|x| x.widen());
            let mean = T::Wide::sum(values()) / n; // (1)
            let squares = values().map(|x| {
                let difference = x - mean;
                difference * difference
            });
            Statistics { mean, variance: T::Wide::sum(squares) / n } // (2)
        };
        (0..input.shape()[1]).map(statistics_of).collect()
    }

    /// Equation (3).
    fn inverse_deviation(&self, statistics: &Statistics<T>) -> T {
        let epsilon = <T::Wide as vocabulary::Scalar>::from_f64(self.options.eps);
        T::narrow(T::Wide::one() / (statistics.variance + epsilon).sqrt()) // (3)
    }

    /// Equations (6) and (7). A batch without values moves only the count of batches.
    fn update_running_statistics(&mut self, statistics: &[Statistics<T>], input: &Tensor<T>) -> Result<()> {
        let state = &mut self.state;
        let (Some(count), Some(means), Some(variances)) =
            (&mut state.num_batches_tracked, &mut state.running_mean, &mut state.running_var)
        else {
            return Ok(());
        };
        *count = self.options.next_count(*count)?;
        if input.is_empty() {
            return Ok(());
        }
        let values = values_a_channel(input.shape());
        let wide = <T::Wide as vocabulary::Scalar>::from_f64;
        let momentum = match self.options.momentum {
            Some(momentum) => wide(momentum),
            None => T::Wide::one() / wide(*count as f64),
        };
        let kept = T::Wide::one() - momentum;
        let unbiased = <T::Wide as Real>::from_count(values) / <T::Wide as Real>::from_count(values - 1);
        let running = means.as_mut_slice().iter_mut().zip(variances.as_mut_slice());
        for ((mean, variance), batch) in running.zip(statistics) {
            *mean = T::narrow(kept * mean.widen() + momentum * batch.mean); // (6)
            *variance = T::narrow(kept * variance.widen() + momentum * (unbiased * batch.variance)); // (7)
        }
        Ok(())
    }
}

/// The number of values in each channel of an input [N, C, H, W].
fn values_a_channel(shape: &[usize]) -> usize {
    shape[0] * shape[2] * shape[3]
}

/// The values of channel `c`, image by image.
fn channel<T: Real>(input: &Tensor<T>, c: usize) -> impl Iterator<Item = T> {
    let (channels, area) = (input.shape()[1], input.shape()[2] * input.shape()[3]);
    let images = (0..input.shape()[0]).map(move |n| (n * channels + c) * area);
    images.flat_map(move |start| input.as_slice()[start..start + area].iter().copied())
}

/// Where the element [n, c, h, w] stands.
fn offset<T>(tensor: &Tensor<T>, index: &[usize]) -> usize {
    tensor.shape().iter().zip(index).fold(0, |offset, (size, i)| offset * size + i)
}

fn running<T>(buffer: &Option<Tensor<T>>) -> impl Iterator<Item = &T> {
    buffer.iter().flat_map(|buffer| buffer.as_slice())
}

impl<T: Real> Layer<T> for BatchNorm2d<T> {
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
        let gradients = BatchNorm2d::backward(self, saved.get(LAYER)?, grad_output)?;
        let parameters = [("weight", gradients.weight), ("bias", gradients.bias)];
        let given = parameters.into_iter().filter_map(|(name, tensor)| tensor.map(|tensor| (name.into(), tensor)));
        Ok(Gradients { input: gradients.input, parameters: given.collect() })
    }
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
        self.state.weight.iter().for_each(|weight| visit("weight", weight));
        self.state.bias.iter().for_each(|bias| visit("bias", bias));
    }
    fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
        self.state.weight.iter_mut().for_each(|weight| visit("weight", weight.as_mut_slice()));
        self.state.bias.iter_mut().for_each(|bias| visit("bias", bias.as_mut_slice()));
    }
    fn set_training(&mut self, training: bool) {
        self.training = training;
    }
}
