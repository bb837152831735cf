//! Conv2d, transcribed: the equation of the torch.nn.Conv2d page. No blocking, nothing transformed: every output is its sum.

use crate::{Real, check_grad_output, indices};
use rand::Rng;
use vocabulary::{
    Conv2dGradients, Conv2dOptions, Error, Gradients, Layer, Padding, PaddingMode, Result, Saved, StateDict,
    StateElement, Tensor, init,
};

const LAYER: &str = "Conv2d";

/// A cross-correlation of images with a kernel: the kernel is not turned round, as it would be in a convolution.
///
/// With s = `stride`, d = `dilation`, p = what is padded at the start, G = `groups`, and for the output channel o of group
/// γ = ⌊o·G/O⌋, over the group's C/G input channels c and the kernel's taps (i, j):
///
/// ```math
/// y_{noab} = \beta_o + \sum_{c}\sum_{i}\sum_{j}
///    w_{ocij}\;\tilde x_{n,\;\gamma C/G + c,\;a s_h + i d_h - p_h,\;b s_w + j d_w - p_w} \tag{1}
/// ```
///
/// where x̃ is the input and, outside it, what `padding_mode` says:
///
/// ```math
/// \tilde x_k = 0 \;(\text{zeros}), \quad x_{\min(\max(k, 0), S-1)} \;(\text{replicate}), \quad
///    x_{k \bmod S} \;(\text{circular}), \quad x_{|k|} \text{ or } x_{2(S-1)-k} \;(\text{reflect}) \tag{2}
/// ```
///
/// for a size S. The outputs along an axis are as many as windows fit:
///
/// ```math
/// S' = \Bigl\lfloor\frac{S + p_{start} + p_{end} - d(k - 1) - 1}{s}\Bigr\rfloor + 1 \tag{3}
/// ```
///
/// Backward, each output's gradient g goes to every factor of its sum:
///
/// ```math
/// \frac{\partial L}{\partial x_{ncq}} = \sum_{\text{(o, a, b, i, j) that read } q} w_{ocij}\,g_{noab} \tag{4}
/// \frac{\partial L}{\partial w_{ocij}} = \sum_{n, a, b} \tilde x\,g_{noab}, \qquad
///    \frac{\partial L}{\partial \beta_o} = \sum_{n, a, b} g_{noab} \tag{5}
/// ```
///
/// Padded zeros are real zeros: a weight that is infinite or NaN makes NaN of them. As in PyTorch, a negative padding crops, in
/// every mode but zeros, and an input without channels gives an output without channels, whatever `out_channels` says.
///
/// Shapes: input [N, C, H, W] or [C, H, W]; output [N, O, H', W'] or [O, H', W']; weight [O, C/G, k_h, k_w]; bias `[O]`.
///
/// Source: [torch.nn.Conv2d](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Conv2d.html).
///
/// ```
/// use reference::{Conv2d, Conv2dOptions, Tensor};
/// let edges = Tensor::from_vec(&[1, 1, 1, 3], vec![-1.0, 0.0, 1.0])?;
/// let options = Conv2dOptions::new(1, 1, (1, 3)).padding((0, 1)).bias(false);
/// let mut conv = Conv2d::with_parameters(options, edges, None)?;
/// let pass = conv.forward_pass(&Tensor::from_vec(&[1, 1, 4], vec![1.0, 2.0, 4.0, 8.0])?)?;
/// assert_eq!(pass.output.as_slice(), [2.0, 3.0, 6.0, -4.0]);
/// let gradients = conv.backward(&pass, &Tensor::full(&[1, 1, 4], 1.0)?)?;
/// assert_eq!(gradients.input.as_slice(), [-1.0, 0.0, 0.0, 1.0]);
/// assert_eq!(gradients.weight.as_slice(), [7.0, 15.0, 14.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d<T> {
    options: Conv2dOptions,
    weight: Tensor<T>,
    bias: Option<Tensor<T>>,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct Conv2dPass<T> {
    /// [N, O, H', W'] or [O, H', W'].
    pub output: Tensor<T>,
    input: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Real> Conv2d<T> {
    /// A layer with PyTorch's initial distribution: weight and bias uniform on [−1/√f, 1/√f), where f = C/G·k_h·k_w.
    ///
    /// # Errors
    /// Where the options are refused, or the weight cannot be stored.
    pub fn init(options: Conv2dOptions, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        options.check()?;
        let fan_in: f64 = options.weight_shape()[1..].iter().map(|&size| size as f64).product();
        let bound = if fan_in > 0.0 { 1.0 / fan_in.sqrt() } else { 0.0 };
        let mut uniform =
            |name, shape: &[usize]| init::uniform(shape, bound, rng).map_err(|error| error.of(LAYER, name));
        let weight = uniform("weight", &options.weight_shape())?;
        let bias = if options.bias { Some(uniform("bias", &[options.out_channels])?) } else { None };
        Ok(Self { options, weight, bias })
    }

    /// A layer with given parameters.
    ///
    /// # Errors
    /// Where the options are refused, or a parameter has another shape, is missing or superfluous.
    pub fn with_parameters(options: Conv2dOptions, weight: Tensor<T>, bias: Option<Tensor<T>>) -> Result<Self> {
        options.check()?;
        options.check_parameters(weight.shape(), bias.as_ref().map(Tensor::shape))?;
        Ok(Self { options, weight, bias })
    }

    /// A layer with the parameters `weight` and `bias` of a state dictionary.
    ///
    /// # Errors
    /// Where one is missing, unknown, or of another shape or type.
    pub fn from_state_dict(options: Conv2dOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        state.check_names(LAYER, if options.bias { &["weight", "bias"] } else { &["weight"] })?;
        let bias = state.tensor_if(options.bias, LAYER, "bias")?;
        Self::with_parameters(options, state.tensor(LAYER, "weight")?, bias)
    }

    /// The parameters under PyTorch's names.
    pub fn state_dict(&self) -> StateDict
    where
        T: StateElement,
    {
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

    /// The output's shape: the input's with `out_channels` for its channels and height and width as equation (3) has them.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], or is too small for kernel or padding.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.check_input(input_shape)?;
        let windows = Windows::of(&self.options, input_shape);
        let mut shape = input_shape[..input_shape.len() - 3].to_vec();
        let channels = if self.options.in_channels == 0 { 0 } else { self.options.out_channels };
        shape.extend([channels, windows.axes[0].windows, windows.axes[1].windows]);
        Ok(shape)
    }

    /// Equation (1).
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], or is too small for kernel or padding.
    pub fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let shape = self.output_shape(input.shape())?;
        let windows = Windows::of(&self.options, input.shape());
        let output = Tensor::from_fn(&windows.batched(&shape), |index| {
            let taps = windows.taps(index).map(|tap| {
                let x = tap.input.map_or(T::zero(), |place| input.as_slice()[place]); // (2)
                self.weight.as_slice()[tap.weight] * x
            });
            match &self.bias {
                Some(bias) => T::sum(taps) + bias[[index[1]]], // (1)
                None => T::sum(taps),
            }
        });
        output.map_err(|error| error.of(LAYER, "output"))?.reshape(&shape)
    }

    /// Equation (1), and what backward needs.
    ///
    /// # Errors
    /// As [`Conv2d::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>) -> Result<Conv2dPass<T>> {
        Ok(Conv2dPass { output: self.forward(input)?, input: input.clone(), weight: self.weight.clone() })
    }

    /// Equations (4) and (5), with the weight as it was in the pass.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward(&self, pass: &Conv2dPass<T>, grad_output: &Tensor<T>) -> Result<Conv2dGradients<T>> {
        let shape = self.output_shape(pass.input.shape());
        check_grad_output(LAYER, grad_output, shape.clone())?;
        if pass.weight.shape() != self.options.weight_shape() {
            return Err(Error::shape(LAYER, "pass", pass.weight.shape(), "a pass of a layer of these sizes"));
        }
        let windows = Windows::of(&self.options, pass.input.shape());
        let (x, w) = (pass.input.as_slice(), pass.weight.as_slice());
        let mut dx = vec![T::zero(); x.len()];
        let mut dw = vec![T::zero(); w.len()];
        let outputs = [self.options.out_channels];
        let mut db = self.options.bias.then(|| Tensor::full(&outputs, T::zero())).transpose()?;
        let grad_output = grad_output.reshape(&windows.batched(&shape?))?;
        for (index, &g) in indices(grad_output.shape()).zip(grad_output.as_slice()) {
            for tap in windows.taps(&index) {
                if let Some(place) = tap.input {
                    dx[place] = dx[place] + w[tap.weight] * g; // (4)
                }
                let x = tap.input.map_or(T::zero(), |place| x[place]); // (2)
                dw[tap.weight] = dw[tap.weight] + x * g; // (5)
            }
            if let Some(db) = &mut db {
                db[[index[1]]] = db[[index[1]]] + g; // (5)
            }
        }
        Ok(Conv2dGradients {
            input: Tensor::from_vec(pass.input.shape(), dx)?,
            weight: Tensor::from_vec(pass.weight.shape(), dw)?,
            bias: db,
        })
    }
}

/// Where windows and taps lie along one axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    start: i64,
    windows: usize,
    mode: PaddingMode,
}

impl Axis {
    /// Where tap `i` of window `a` reads: a place in the input, or none for a padded zero.
    fn source(&self, a: usize, i: usize) -> Option<usize> {
        let size = self.size as i64;
        let k = (a * self.stride + i * self.dilation) as i64 - self.start;
        match self.mode {
            _ if (0..size).contains(&k) => Some(k as usize),
            PaddingMode::Zeros => None,
            PaddingMode::Replicate => Some(k.clamp(0, size - 1) as usize), // (2)
            PaddingMode::Circular => Some(k.rem_euclid(size) as usize),    // (2)
            PaddingMode::Reflect if k < 0 => Some(-k as usize),            // (2)
            PaddingMode::Reflect => Some((2 * (size - 1) - k) as usize),   // (2)
        }
    }
}

/// How much is padded at the start and at the end of an axis; cropped, where it is negative. "same" makes up for what the kernel
/// reaches, d·(k − 1), the odd one at the end.
fn padding(options: &Conv2dOptions, axis: usize) -> (i64, i64) {
    match options.padding {
        Padding::Explicit(axes) => (axes[axis], axes[axis]),
        Padding::Valid => (0, 0),
        Padding::Same => {
            let reach = options.dilation.axes()[axis] as i64 * (options.kernel_size.axes()[axis] as i64 - 1);
            (reach / 2, reach - reach / 2)
        }
    }
}

/// What a window reads at one tap.
struct Tap {
    input: Option<usize>,
    weight: usize,
}

/// All windows of a call.
struct Windows {
    axes: [Axis; 2],
    in_channels: usize,
    group_inputs: usize,
    group_outputs: usize,
}

impl Windows {
    /// The windows over an input of this shape, which was checked.
    fn of(options: &Conv2dOptions, input: &[usize]) -> Self {
        let image = &input[input.len() - 2..];
        let axis = |axis: usize| {
            let (start, end) = padding(options, axis);
            let (size, kernel) = (image[axis], options.kernel_size.axes()[axis]);
            let (stride, dilation) = (options.stride.axes()[axis], options.dilation.axes()[axis]);
            let padded = size as i128 + i128::from(start) + i128::from(end);
            let reach = dilation as i128 * (kernel as i128 - 1) + 1;
            let windows = (padded - reach) / stride as i128 + 1; // (3)
            let windows = usize::try_from(windows).unwrap_or(usize::MAX);
            Axis { size, kernel, stride, dilation, start, windows, mode: options.padding_mode }
        };
        let (in_channels, groups) = (options.in_channels, options.groups);
        let group_outputs = (options.out_channels / groups).max(1);
        Self { axes: [axis(0), axis(1)], in_channels, group_inputs: in_channels / groups, group_outputs }
    }

    /// The output's shape with its batch, which is 1 where the caller has none.
    fn batched(&self, output: &[usize]) -> [usize; 4] {
        let [n, ref image @ ..] = *output else { unreachable!("an output has at least three dimensions") };
        match *image {
            [o, h, w] => [n, o, h, w],
            _ => [1, n, self.axes[0].windows, self.axes[1].windows],
        }
    }

    /// The taps of the window that gives the output [n, o, a, b]: the terms of equation (1).
    fn taps(&self, index: &[usize]) -> impl Iterator<Item = Tap> {
        let &[n, o, a, b] = index else { unreachable!("an output's index has four parts") };
        let ([height, width], channels) = (self.axes, self.group_inputs);
        let first = n * self.in_channels + o / self.group_outputs * channels;
        (0..channels).flat_map(move |c| {
            (0..height.kernel).flat_map(move |i| {
                (0..width.kernel).map(move |j| {
                    let place = height.source(a, i).zip(width.source(b, j));
                    Tap {
                        input: place.map(|(h, w)| ((first + c) * height.size + h) * width.size + w),
                        weight: ((o * channels + c) * height.kernel + i) * width.kernel + j,
                    }
                })
            })
        })
    }
}

impl<T: Real> Layer<T> for Conv2d<T> {
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
        let parameters = std::iter::once(("weight".into(), weight)).chain(bias.map(|bias| ("bias".into(), bias)));
        Ok(Gradients { input, parameters: parameters.collect() })
    }
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
        visit("weight", &self.weight);
        self.bias.iter().for_each(|bias| visit("bias", bias));
    }
    fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
        visit("weight", self.weight.as_mut_slice());
        self.bias.iter_mut().for_each(|bias| visit("bias", bias.as_mut_slice()));
    }
}
