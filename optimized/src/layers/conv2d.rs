//! Conv2d: products of matrices; by Winograd's formula, fewer of them; or, for few channels or strided windows, straight from the
//! input.

use super::{overwrite, require_output_shape, require_room, require_room_if_due, worth_their_waking, zeroed, zeros};
use crate::kernels::conv2d::{Convolution, MOST_CHANNELS, MOST_TERMS, Problem, Way, winograd_takes};
use crate::memory::unwritten;
use crate::{Choice, Execution, Float};
use rand::Rng;
use vocabulary::{Conv2dGradients, Conv2dOptions, Error, Gradients, Layer, Result, Saved, StateDict, Tensor, init};

const LAYER: &str = "Conv2d";

/// A cross-correlation of images with a kernel: the kernel is not turned round, as it would be in a convolution.
///
/// With s = `stride`, d = `dilation`, p = what is padded at the start, G = `groups`, and for the output channel o of group
/// γ = ⌊o·G/O⌋, over the group's C/G input channels c and the kernel's taps (i, j):
///
/// ```math
/// y_{noab} = \beta_o + \sum_{c}\sum_{i}\sum_{j}
///    w_{ocij}\;\tilde x_{n,\;\gamma C/G + c,\;a s_h + i d_h - p_h,\;b s_w + j d_w - p_w}
/// ```
///
/// where x̃ is the input and, outside it, what `padding_mode` says:
///
/// ```math
/// \tilde x_k = 0 \;(\text{zeros}), \quad x_{\min(\max(k, 0), S-1)} \;(\text{replicate}), \quad
///    x_{k \bmod S} \;(\text{circular}), \quad x_{|k|} \text{ or } x_{2(S-1)-k} \;(\text{reflect})
/// ```
///
/// for a size S. Backward, each output's gradient g goes to every factor of its sum:
///
/// ```math
/// \frac{\partial L}{\partial x_{ncq}} = \sum_{\text{(o, a, b, i, j) that read } q} w_{ocij}\,g_{noab}
/// \frac{\partial L}{\partial w_{ocij}} = \sum_{n, a, b} \tilde x\,g_{noab}, \qquad
///    \frac{\partial L}{\partial \beta_o} = \sum_{n, a, b} g_{noab}
/// ```
///
/// Padded zeros are real zeros: a weight that is infinite or NaN makes NaN of them. As in PyTorch, a negative padding crops, in
/// every mode but zeros, and an input without channels gives an output without channels, whatever `out_channels` says.
///
/// Shapes: input [N, C, H, W] or [C, H, W]; output [N, O, H', W'] or [O, H', W'], where
/// S' = ⌊(S + p_start + p_end − d(k − 1) − 1)/s⌋ + 1; weight [O, C/G, k_h, k_w]; bias `[O]`.
///
/// Source: [torch.nn.Conv2d](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Conv2d.html).
///
/// ```
/// use optimized::{Conv2d, Conv2dOptions, Tensor};
/// let edges = Tensor::from_vec(&[1, 1, 1, 3], vec![-1.0, 0.0, 1.0])?;
/// let options = Conv2dOptions::new(1, 1, (1, 3)).padding((0, 1)).bias(false);
/// let mut conv = Conv2d::with_parameters(options, edges, None)?;
/// let pass = conv.forward_pass(&Tensor::from_vec(&[1, 1, 4], vec![1.0, 2.0, 4.0, 8.0])?)?;
/// assert_eq!(pass.output.as_slice(), [2.0, 3.0, 6.0, -4.0]);
/// let gradients = conv.backward(&pass, &Tensor::full(&[1, 1, 4], 1.0)?)?;
/// assert_eq!(gradients.input.as_slice(), [-1.0, 0.0, 0.0, 1.0]);
/// assert_eq!(gradients.weight.as_slice(), [7.0, 15.0, 14.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d<T> {
    options: Conv2dOptions,
    weight: Tensor<T>,
    bias: Option<Tensor<T>>,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct Conv2dPass<T> {
    /// [N, O, H', W'] or [O, H', W'].
    pub output: Tensor<T>,
    input: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Float> Conv2d<T> {
    /// A layer with PyTorch's initial distribution: weight and bias uniform on [−1/√f, 1/√f), where f = C/G·k_h·k_w.
    ///
    /// # Errors
    /// Where the options are refused, or the weight cannot be stored.
    pub fn init(options: Conv2dOptions, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        options.check()?;
        let shape = options.weight_shape();
        let terms: f64 = shape[1..].iter().map(|&size| size as f64).product();
        let bound = if terms > 0.0 { terms.sqrt().recip() } else { 0.0 };
        let mut draw = |name, shape: &[usize]| init::uniform(shape, bound, rng).map_err(|error| error.of(LAYER, name));
        let weight = draw("weight", &shape)?;
        let bias = options.bias.then(|| draw("bias", &[options.out_channels])).transpose()?;
        Self::with_parameters(options, weight, bias)
    }

    /// A layer with given parameters.
    ///
    /// # Errors
    /// Where the options are refused, or a parameter has another shape, is missing or superfluous.
    pub fn with_parameters(options: Conv2dOptions, weight: Tensor<T>, bias: Option<Tensor<T>>) -> Result<Self> {
        options.check()?;
        options.check_parameters(weight.shape(), bias.as_ref().map(Tensor::shape))?;
        Ok(Self { options, weight, bias, execution: Execution::default() })
    }

    /// A layer with the parameters `weight` and `bias` of a state dictionary.
    ///
    /// # Errors
    /// Where one is missing, unknown, or of another shape or type.
    pub fn from_state_dict(options: Conv2dOptions, state: &StateDict) -> Result<Self> {
        state.check_names(LAYER, if options.bias { &["weight", "bias"] } else { &["weight"] })?;
        let bias = state.tensor_if(options.bias, LAYER, "bias")?;
        Self::with_parameters(options, state.tensor(LAYER, "weight")?, bias)
    }

    /// The parameters under PyTorch's names.
    pub fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        self.visit_parameters(&mut |name, tensor| state.insert(name, T::wrap(tensor.clone())));
        state
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &Conv2dOptions {
        &self.options
    }

    /// The weight, [out_channels, in_channels / groups, kernel height, kernel width].
    pub fn weight(&self) -> &Tensor<T> {
        &self.weight
    }

    /// The bias, `[out_channels]`, where there is one.
    pub fn bias(&self) -> Option<&Tensor<T>> {
        self.bias.as_ref()
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

    /// The algorithms for an input of `input_shape`, in the order of forward's preference, and why some of them refuse it. A forced
    /// algorithm makes no difference here; either gradient may prefer another order.
    ///
    /// `pointwise` takes kernels of one tap, neither padded nor strided; `winograd` kernels of 3x3 taps, neither strided nor dilated, of
    /// groups of at most 1024 channels, and computes as `im2col` does what is not finite, and the input's gradient where other than
    /// zeros are padded; `direct` keeps what a
    /// row of the output reads, so it refuses windows of too many terms; `im2col` accepts everything.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], or is too small for kernel or padding.
    ///
    /// ```
    /// use optimized::{Conv2d, Conv2dOptions, Tensor};
    /// let options = Conv2dOptions::new(1, 1, 3).bias(false);
    /// let conv = Conv2d::with_parameters(options, Tensor::full(&[1, 1, 3, 3], 1.0_f32)?, None)?;
    /// let choices = conv.choices(&[1, 5, 5])?;
    /// assert!(choices.iter().all(|choice| choice.refusal.is_none() == (choice.name != "pointwise")));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        self.options.check_input(input_shape)?;
        let problem = Problem::new(&self.options, input_shape);
        let order = order(&problem, Direction::Output);
        Ok(order.iter().map(|&name| Choice { name, refusal: refusal(name, &problem) }).collect())
    }

    /// How an output with elements, or a gradient, is computed.
    fn convolution(&self, input_shape: &[usize], direction: Direction) -> Result<Convolution> {
        let problem = Problem::new(&self.options, input_shape);
        let order = order(&problem, direction);
        let way = match self.execution.choose(LAYER, order, |name| refusal(name, &problem))? {
            "pointwise" => Way::Pointwise,
            "direct" => Way::Direct,
            "winograd" => Way::Winograd,
            _ => Way::Im2col,
        };
        let (isa, threads) = self.execution.kernel();
        Ok(Convolution { problem, way, kernel: (isa, worth_their_waking(threads, problem.work())) })
    }

    /// The output's shape: the input's with `out_channels` for its channels, and the windows along height and width for
    /// its own.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], or is too small for kernel or padding.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.check_input(input_shape)?;
        let [height, width] = Problem::new(&self.options, input_shape).axes;
        let channels = if self.options.in_channels == 0 { 0 } else { self.options.out_channels };
        let leading = input_shape.iter().take(input_shape.len() - 3).copied();
        Ok(leading.chain([channels, height.windows, width.windows]).collect())
    }

    /// The output.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], or is too small for kernel or padding, the output
    /// cannot be stored, or the forced algorithm refuses.
    pub fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let shape = self.output_shape(input.shape())?;
        let convolution = self.convolution(input.shape(), Direction::Output)?;
        let mut output = unwritten(LAYER, "output", &shape)?;
        self.run(&convolution, input, output.as_mut_slice());
        Ok(output)
    }

    /// [`Conv2d::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`Conv2d::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{Conv2d, Conv2dOptions, Tensor};
    /// let options = Conv2dOptions::new(1, 1, 1).bias(false);
    /// let conv = Conv2d::with_parameters(options, Tensor::full(&[1, 1, 1, 1], 3.0)?, None)?;
    /// let mut y = Tensor::full(&[1, 1, 2], f64::NAN)?;
    /// conv.forward_into(&Tensor::from_vec(&[1, 1, 2], vec![1.0, 2.0])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [3.0, 6.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let shape = self.output_shape(input.shape())?;
        let convolution = self.convolution(input.shape(), Direction::Output)?;
        self.run(&convolution, input, overwrite(LAYER, output, &shape)?);
        Ok(())
    }

    fn run(&self, convolution: &Convolution, input: &Tensor<T>, output: &mut [T]) {
        if !output.is_empty() {
            let bias = self.bias.as_ref().map(Tensor::as_slice);
            self.execution.run(|_| convolution.forward((input.as_slice(), self.weight.as_slice(), bias), output));
        }
    }

    /// The output, and what backward needs.
    ///
    /// # Errors
    /// As [`Conv2d::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>) -> Result<Conv2dPass<T>> {
        Ok(Conv2dPass { output: self.forward(input)?, input: input.clone(), weight: self.weight.clone() })
    }

    /// The gradients, with the weight as it was in the pass.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the pass is that of a layer of other sizes, a
    /// gradient cannot be stored, or the forced algorithm refuses.
    pub fn backward(&self, pass: &Conv2dPass<T>, grad_output: &Tensor<T>) -> Result<Conv2dGradients<T>> {
        let convolutions = self.backward_convolutions(pass, grad_output)?;
        let mut gradients = Conv2dGradients {
            input: zeros(LAYER, "grad_input", pass.input.shape())?,
            weight: zeros(LAYER, "grad_weight", pass.weight.shape())?,
            bias: self.options.bias.then(|| zeros(LAYER, "grad_bias", &[self.options.out_channels])).transpose()?,
        };
        self.run_backward(convolutions, pass, grad_output, &mut gradients);
        Ok(gradients)
    }

    /// [`Conv2d::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`Conv2d::backward`], and where a gradient has another shape, is missing or superfluous; then nothing is written.
    ///
    /// ```
    /// use optimized::{Conv2d, Conv2dOptions, Tensor};
    /// let options = Conv2dOptions::new(1, 1, 1).bias(false);
    /// let mut conv = Conv2d::with_parameters(options, Tensor::full(&[1, 1, 1, 1], 3.0)?, None)?;
    /// let pass = conv.forward_pass(&Tensor::from_vec(&[1, 1, 2], vec![1.0, 2.0])?)?;
    /// let mut gradients = conv.backward(&pass, &Tensor::full(&[1, 1, 2], 1.0)?)?;
    /// conv.backward_into(&pass, &Tensor::full(&[1, 1, 2], 10.0)?, &mut gradients)?;
    /// assert_eq!((gradients.input.as_slice(), gradients.weight.as_slice()), (&[30.0, 30.0][..], &[30.0][..]));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &Conv2dPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut Conv2dGradients<T>,
    ) -> Result<()> {
        let convolutions = self.backward_convolutions(pass, grad_output)?;
        let Conv2dGradients { input, weight, bias } = gradients;
        require_room(LAYER, "grad_input", input, pass.input.shape())?;
        require_room(LAYER, "grad_weight", weight, pass.weight.shape())?;
        let due = [self.options.out_channels];
        require_room_if_due(LAYER, "grad_bias", bias.as_ref(), self.options.bias.then_some(&due))?;
        [Some(input), Some(weight), bias.as_mut()].into_iter().flatten().for_each(|gradient| {
            zeroed(gradient);
        });
        self.run_backward(convolutions, pass, grad_output, gradients);
        Ok(())
    }

    /// How the gradients of input and weight are computed.
    fn backward_convolutions(&self, pass: &Conv2dPass<T>, grad_output: &Tensor<T>) -> Result<[Convolution; 2]> {
        let output_shape = self.output_shape(pass.input.shape()).map_err(|error| error.of(LAYER, "pass"))?;
        require_output_shape(LAYER, grad_output, &output_shape)?;
        if pass.weight.shape() != self.options.weight_shape() {
            return Err(Error::shape(LAYER, "pass", pass.weight.shape(), "a pass of a layer of these sizes"));
        }
        let of_input = self.convolution(pass.input.shape(), Direction::Input)?;
        let of_weight = self.convolution(pass.input.shape(), Direction::Weight)?;
        Ok([of_input, of_weight])
    }

    /// Writes the gradients, over zeros.
    fn run_backward(
        &self,
        [of_input, of_weight]: [Convolution; 2],
        pass: &Conv2dPass<T>,
        grad_output: &Tensor<T>,
        Conv2dGradients { input, weight, bias }: &mut Conv2dGradients<T>,
    ) {
        let (g, x, w) = (grad_output.as_slice(), pass.input.as_slice(), pass.weight.as_slice());
        if g.is_empty() {
            return;
        }
        self.execution.run(|_| {
            of_input.backward_input((g, w), input.as_mut_slice());
            of_weight.backward_weight((g, x), weight.as_mut_slice());
            if let Some(bias) = bias {
                of_weight.backward_bias(g, bias.as_mut_slice());
            }
        });
    }
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Output,
    Input,
    Weight,
}

/// Up to so many output channels of a group, `direct` is preferred for the output, and for the input's gradient where
/// that is a convolution itself: 3x3 in groups of 8, 256 channels, 28², takes 5.6 ms forward, where `im2col` takes 11.5. Batches
/// of 8, f32, one thread, here and below.
const CHANNELS_OF_DIRECT: usize = 8;

/// Of windows of [`TERMS_OF_DIRECT`] terms, `direct` is preferred for the output of up to so many channels: 5x5 of 16 channels to 32, 28²,
/// takes 2.0 ms, where `im2col` takes 2.9; 3x3 of 3 to 16, 64², 0.41 and 0.50, to 64, 1.8 and 1.4; of 1 to 32, 28², 0.11 and 0.07.
const MORE_CHANNELS_OF_DIRECT: usize = 32;

/// Fewer terms are too few for that, and for strided windows.
const TERMS_OF_DIRECT: usize = 16;

/// Up to so many for the other gradients: 3x3 in groups of 2, 128 channels, 28², takes 4.2 ms to the weight's, where
/// `im2col` takes 6.4; in groups of 4, 7.3 and 5.7. Depthwise at a stride of 2, 56², the input's takes 4.6 and 7.0 ms.
const CHANNELS_OF_DIRECT_BACKWARD: usize = 2;

/// From so many input and output channels of a group on, `winograd` is preferred: 3x3 of 16 channels, 56², takes 1.7 ms, where
/// `im2col` takes 2.3; of 64, 13.5 and 22; of 256, 14², 10.8 and 24.
const CHANNELS_OF_WINOGRAD: usize = 16;

/// Of so many outputs of a channel, too: of 512 channels, 7², one image takes 6.3 ms and 5.9, and its gradients 15.8 and 10.3,
/// as weights are transformed for few tiles; of 256, 14², 2.3 and 4.7, 4.8 and 6.5.
const OUTPUTS_OF_WINOGRAD: usize = 128;

/// The algorithms, in the order of preference. Windows that are strided along rows read what lies apart, which `direct` gathers once
/// for all channels: the output of 7x7, 3 channels to 64, 224², at a stride of 2, takes 21.4 ms, where `im2col` takes 27.7; 16x16, 3 to
/// 768, at one of 16, 22.4 and 27.9; 3x3, 64 to 64, 28², at one of 2, 2.2 and 3.8, and 64 to 128, 56², 13.3 and 12.5.
fn order(problem: &Problem, direction: Direction) -> &'static [&'static str] {
    let most = match direction {
        Direction::Output => CHANNELS_OF_DIRECT,
        Direction::Input if problem.turned().is_some() => CHANNELS_OF_DIRECT,
        Direction::Input | Direction::Weight => CHANNELS_OF_DIRECT_BACKWARD,
    };
    let many_terms = direction == Direction::Output && problem.depth() >= TERMS_OF_DIRECT && problem.taps() > 1;
    if problem.outputs <= most || many_terms && problem.axes[1].stride > 1 {
        &["direct", "pointwise", "im2col", "winograd"]
    } else if problem.inputs.min(problem.outputs) >= CHANNELS_OF_WINOGRAD
        && problem.outputs_of_a_channel() >= OUTPUTS_OF_WINOGRAD
    {
        &["pointwise", "winograd", "im2col", "direct"]
    } else if many_terms && problem.outputs <= MORE_CHANNELS_OF_DIRECT {
        &["pointwise", "direct", "im2col", "winograd"]
    } else {
        &["pointwise", "im2col", "direct", "winograd"]
    }
}

/// Why an algorithm refuses a problem.
fn refusal(algorithm: &str, problem: &Problem) -> Option<String> {
    match algorithm {
        "pointwise" if !problem.is_pointwise() => {
            Some("pointwise takes kernels of one tap that reads each element of the input once".to_owned())
        }
        "direct" if problem.depth() > MOST_TERMS => {
            Some(format!("direct takes windows of at most {MOST_TERMS} terms, and these have {}", problem.depth()))
        }
        "winograd" if !winograd_takes(problem) => {
            Some("winograd takes kernels of 3x3 taps, neither strided nor dilated".to_owned())
        }
        "winograd" if problem.inputs.max(problem.outputs) > MOST_CHANNELS => {
            Some(format!("winograd takes groups of at most {MOST_CHANNELS} channels"))
        }
        _ => None,
    }
}

impl<T: Float> Layer<T> for Conv2d<T> {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Conv2d::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        Conv2d::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = Conv2d::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let Conv2dGradients { input, weight, bias } = Conv2d::backward(self, saved.get(LAYER)?, grad_output)?;
        let mut parameters = vec![("weight".into(), weight)];
        parameters.extend(bias.map(|bias| ("bias".into(), bias)));
        Ok(Gradients { input, parameters })
    }
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
        visit("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visit("bias", bias);
        }
    }
    fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
        visit("weight", self.weight.as_mut_slice());
        if let Some(bias) = &mut self.bias {
            visit("bias", bias.as_mut_slice());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_terms_and_strides_choose_the_algorithm() {
        let first = |channels: [usize; 2], groups, kernel: usize, direction| {
            let options = Conv2dOptions::new(channels[0], channels[1], kernel).groups(groups);
            let problem = Problem::new(&options, &[2, channels[0], 10, 10]);
            order(&problem, direction).iter().find(|name| refusal(name, &problem).is_none()).copied().unwrap()
        };
        let every = [Direction::Output, Direction::Input, Direction::Weight];
        assert_eq!(every.map(|direction| first([6, 6], 6, 3, direction)), ["direct"; 3]);
        assert_eq!(
            [8, 9, 32, 33].map(|o| first([1, o], 1, 3, Direction::Output)),
            ["direct", "im2col", "im2col", "im2col"]
        );
        assert_eq!([8, 32, 33].map(|o| first([2, o], 1, 3, Direction::Output)), ["direct", "direct", "im2col"]);
        assert_eq!([8, 9].map(|o| first([3, o], 1, 3, Direction::Input)), ["direct", "im2col"]);
        assert_eq!([2, 3].map(|o| first([3, o], 1, 3, Direction::Weight)), ["direct", "im2col"]);
        let strided = |outputs| {
            let options = Conv2dOptions::new(3, outputs, 3).stride(2);
            order(&Problem::new(&options, &[1, 3, 9, 9]), Direction::Input)[0]
        };
        assert_eq!([2, 3].map(strided), ["direct", "pointwise"]);
        let strided = |channels, kernel: usize, stride: (usize, usize)| {
            let options = Conv2dOptions::new(channels, 100, kernel).stride(stride);
            order(&Problem::new(&options, &[1, channels, 9, 9]), Direction::Output)[0]
        };
        assert_eq!([strided(2, 3, (1, 2)), strided(2, 3, (2, 1))], ["direct", "pointwise"]);
        assert_eq!([strided(1, 3, (2, 2)), strided(16, 1, (2, 2))], ["pointwise", "pointwise"]);
        assert_eq!(first([1000, 1], 1, 3, Direction::Output), "im2col");
        assert_eq!(first([64, 64], 1, 1, Direction::Output), "pointwise");
        assert_eq!(every.map(|direction| first([16, 16], 1, 3, direction)), ["winograd"; 3]);
        let few = Problem::new(&Conv2dOptions::new(16, 16, 3), &[1, 16, 13, 13]);
        assert_eq!(every.map(|direction| order(&few, direction)[1]), ["direct", "im2col", "im2col"]);
        assert_eq!([[15, 16], [16, 15]].map(|channels| first(channels, 1, 3, Direction::Output)), ["direct"; 2]);
        assert_eq!(first([64, 64], 4, 3, Direction::Input), "winograd");
        assert_eq!(first([64, 64], 1, 5, Direction::Output), "im2col");
    }

    #[test]
    fn algorithms_refuse_what_they_do_not_take() {
        let refused = |options: &Conv2dOptions, shape: &[usize]| {
            let problem = Problem::new(options, shape);
            ["pointwise", "direct", "im2col", "winograd"].map(|name| refusal(name, &problem).is_some())
        };
        let one = Conv2dOptions::new(4, 4, 1);
        assert_eq!(refused(&one, &[4, 5, 5]), [false, false, false, true]);
        assert_eq!(refused(&one.clone().dilation(7).groups(2), &[4, 5, 5]), [false, false, false, true]);
        assert_eq!(refused(&one.clone().stride((1, 2)), &[4, 5, 5]), [true, false, false, true]);
        assert_eq!(refused(&one.clone().padding((1, 0)), &[4, 5, 5]), [true, false, false, true]);
        let crop = Conv2dOptions { padding: vocabulary::Padding::Explicit([-1, 0]), ..one.clone() };
        assert_eq!(
            refused(&crop.padding_mode(vocabulary::PaddingMode::Circular), &[4, 5, 5]),
            [true, false, false, true]
        );
        assert_eq!(refused(&Conv2dOptions::new(256, 1, 2), &[256, 5, 5]), [true, false, false, true]);
        assert_eq!(refused(&Conv2dOptions::new(257, 1, 2), &[257, 5, 5]), [true, true, false, true]);
        let three = Conv2dOptions::new(1024, 1, 3);
        assert_eq!(refused(&three, &[1024, 5, 5]), [true, true, false, false]);
        assert_eq!(refused(&Conv2dOptions::new(1025, 1, 3), &[1025, 5, 5]), [true, true, false, true]);
        assert_eq!(refused(&Conv2dOptions::new(1, 1025, 3), &[1, 5, 5]), [true, false, false, true]);
        for other in [three.clone().stride((1, 2)), three.clone().dilation((2, 1))] {
            assert_eq!(refused(&other, &[1024, 9, 9]), [true, true, false, true]);
        }
    }
}
