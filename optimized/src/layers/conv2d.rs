//! Conv2d: products of matrices; by Winograd's formula, fewer of them; or, for few channels or strided windows, straight from the
//! input.

use super::{overwrite, require_output_shape, require_room, require_room_if_due, worth_their_waking, zeroed, zeros};
use crate::kernels::conv2d::{Convolution, Direction, Problem, Way, order, refusal};
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
    /// zeros are padded; `direct` keeps what a row of the output reads, so it refuses windows of too many terms; `im2col` accepts
    /// everything.
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
