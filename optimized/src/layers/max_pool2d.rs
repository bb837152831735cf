//! MaxPool2d: one kernel forward, which remembers taps or places where they are asked for, and one backward for each of them.

use super::{overwrite, require_output_shape, require_room};
use crate::kernels::max_pool2d::{self, Mark, Problem};
use crate::kernels::windows::Axis;
use crate::memory::{Output, Recycled, fresh, unwritten};
use crate::{Choice, Execution, Float, execution};
use std::ops::Deref;
use vocabulary::{Error, Gradients, Layer, MaxPool2dGradients, MaxPool2dOptions, PaddingMode, Result, Saved, Tensor};

const LAYER: &str = "MaxPool2d";

/// The largest element of each window of each channel.
///
/// With s = `stride`, d = `dilation` and p = `padding`, over the window's elements (i, j) that lie inside the input — what is
/// padded is −∞, and never the largest:
///
/// ```math
/// y_{ncab} = \max_{i, j}\; x_{n,\,c,\;a s_h + i d_h - p_h,\;b s_w + j d_w - p_w}
/// ```
///
/// As in PyTorch, the first of equals counts, row by row; NaN counts as larger than everything, and of several the last counts;
/// where all are −∞, the first does. A window of padding alone, which dilation makes possible, gives −∞ with the index −1 and has
/// no gradient (PyTorch's index is outside the input there). The index of an output is the place h·W + w of its element in the
/// input's channel. Each output's gradient goes there:
///
/// ```math
/// \frac{\partial L}{\partial x_q} = \sum_{\text{outputs whose index is } q} g
/// ```
///
/// Shapes: input [N, C, H, W] or [C, H, W]; output and indices [N, C, H', W'] or [C, H', W'], where
/// S' = ⌊(S + 2p − d(k − 1) − 1)/s⌋ + 1 or, with `ceil_mode`, the same with ⌈⌉, less one where the last window would start
/// beyond the input and its first padding.
///
/// Source: [torch.nn.MaxPool2d](https://docs.pytorch.org/docs/2.15/generated/torch.nn.MaxPool2d.html).
///
/// ```
/// use optimized::{MaxPool2d, MaxPool2dOptions, Tensor};
/// let mut pool = MaxPool2d::new(MaxPool2dOptions::new((1, 2)).stride(1).return_indices(true))?;
/// let pass = pool.forward_pass(&Tensor::from_vec(&[1, 1, 4], vec![1.0, 5.0, 5.0, 2.0])?)?;
/// assert_eq!(pass.output.as_slice(), [5.0, 5.0, 5.0]);
/// assert_eq!(pass.indices.as_ref().unwrap().as_slice(), [1, 1, 2]);
/// let gradients = pool.backward(&pass, &Tensor::from_vec(&[1, 1, 3], vec![1.0, 2.0, 4.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [0.0, 3.0, 4.0, 0.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MaxPool2d {
    options: MaxPool2dOptions,
    execution: Execution,
}

/// What a training step's forward gives and keeps: marks of where the largest stand or, of some small inputs, the input itself.
#[derive(Debug, Clone)]
pub struct MaxPool2dPass<T> {
    /// [N, C, H', W'] or [C, H', W'].
    pub output: Tensor<T>,
    /// In the output's shape, where the options ask for it.
    pub indices: Option<Tensor<i64>>,
    input_shape: Shape,
    /// The windows that the marks are of.
    problem: Problem,
    marks: Marks<T>,
}

/// [N, C, H, W] or [C, H, W], without memory of its own: to be given that would take a tenth of a small layer's time.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// N, C, H and W; N is 1 where it is none of them.
    sizes: [usize; 4],
    dimensions: usize,
}

impl Shape {
    /// Of three or four sizes.
    fn new(shape: &[usize]) -> Self {
        let mut sizes = [1; 4];
        for (to, size) in sizes.iter_mut().rev().zip(shape.iter().rev()) {
            *to = *size;
        }
        Self { sizes, dimensions: shape.len().min(4) }
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[4 - self.dimensions..]
    }
}

/// Where the largest elements stand, in the output's shape.
#[derive(Debug, Clone)]
enum Marks<T> {
    /// Not remembered, but found again in the input, over which there are windows of this shape.
    Input(Tensor<T>, Shape),
    /// Their taps in the windows.
    Taps(Tensor<u8>),
    /// Their places in the channel.
    Places(Tensor<i64>),
}

impl<T: Float> Marks<T> {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Input(_, shape) => shape,
            Self::Taps(taps) => taps.shape(),
            Self::Places(places) => places.shape(),
        }
    }
}

impl MaxPool2d {
    /// A layer with the given options.
    ///
    /// # Errors
    /// Where a size is 0 or has more than 31 bits, or the padding is more than half the window.
    pub fn new(options: MaxPool2dOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options, execution: Execution::default() })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &MaxPool2dOptions {
        &self.options
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

    /// The algorithms for an input of `input_shape`: one, which accepts everything.
    ///
    /// # Errors
    /// As [`MaxPool2d::output_shape`].
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        self.options.check_input(input_shape)?;
        Ok(execution::only(LAYER))
    }

    /// The output's shape: the input's with the windows along height and width for its own.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], is empty but for N, or smaller than a window.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.shape_and_problem(input_shape).map(|(shape, _)| shape.to_vec())
    }

    /// The output's shape, and the windows.
    fn shape_and_problem(&self, input_shape: &[usize]) -> Result<(Shape, Problem)> {
        self.options.check_input(input_shape)?;
        let problem = self.problem(input_shape);
        let mut shape = Shape::new(input_shape);
        shape.sizes[2..].copy_from_slice(&problem.axes.map(|axis| axis.windows));
        Ok((shape, problem))
    }

    /// The windows over an input that the options accept.
    fn problem(&self, input_shape: &[usize]) -> Problem {
        let axis = |axis: usize| {
            let size = input_shape.get(input_shape.len().saturating_sub(2) + axis).copied().unwrap_or(0);
            let of = |sizes: vocabulary::Pair| sizes.axes()[axis];
            let (stride, dilation) = (of(self.options.effective_stride()), of(self.options.dilation));
            let (kernel, padding) = (of(self.options.kernel_size), of(self.options.padding));
            // What a window reaches over was checked to fit; all of it is far from 128 bits.
            let [s, p, full] = [stride, padding, size].map(|x| x as i128);
            let beyond = full + 2 * p - dilation as i128 * (kernel as i128 - 1) - 1;
            let windows = match self.options.ceil_mode {
                false => quotient(beyond, s) + 1,
                true => {
                    let windows = quotient(beyond + s - 1, s) + 1;
                    if (windows - 1) * s >= full + p { windows - 1 } else { windows }
                }
            };
            let windows = usize::try_from(windows).unwrap_or(usize::MAX);
            Axis { size, kernel, stride, dilation, start: padding as i64, windows, mode: PaddingMode::Zeros }
        };
        Problem { axes: [axis(0), axis(1)] }
    }

    /// The largest elements; [`MaxPool2d::forward_with_indices`] tells where they stand, too.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], is empty but for N, or smaller than a window, or the
    /// output cannot be stored.
    pub fn forward<T: Float>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let (shape, problem) = self.shape_and_problem(input.shape())?;
        self.without_marks(input, &shape, &problem)
    }

    /// The largest elements, and the place h·W + w of each in its channel.
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`].
    ///
    /// ```
    /// use optimized::{MaxPool2d, MaxPool2dOptions, Tensor};
    /// let pool = MaxPool2d::new(MaxPool2dOptions::new(2))?;
    /// let (y, indices) = pool.forward_with_indices(&Tensor::from_vec(&[1, 2, 2], vec![1.0, 3.0, 4.0, 2.0])?)?;
    /// assert_eq!((y.as_slice(), indices.as_slice()), (&[4.0][..], &[2][..]));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_with_indices<T: Float>(&self, input: &Tensor<T>) -> Result<(Tensor<T>, Tensor<i64>)> {
        let (shape, problem) = self.shape_and_problem(input.shape())?;
        self.with_marks(input, &shape, &problem)
    }

    /// The output alone.
    fn without_marks<T: Float>(&self, input: &Tensor<T>, shape: &[usize], problem: &Problem) -> Result<Tensor<T>> {
        let mut output = fresh(LAYER, "output", shape)?;
        let written = Output::Fresh(&mut output);
        self.execution.run(|kernel| max_pool2d::forward(problem, kernel, input.as_slice(), written));
        output.tensor(shape)
    }

    /// The output, and marks of where its elements stand.
    fn with_marks<T: Float, M: Mark + Recycled>(
        &self,
        input: &Tensor<T>,
        shape: &[usize],
        problem: &Problem,
    ) -> Result<(Tensor<T>, Tensor<M>)> {
        let mut output = fresh(LAYER, "output", shape)?;
        let mut marks = unwritten(LAYER, "places of the largest", shape)?;
        let outputs = (Output::Fresh(&mut output), marks.as_mut_slice());
        self.execution.run(|kernel| max_pool2d::forward_with_marks(problem, kernel, input.as_slice(), outputs));
        Ok((output.tensor(shape)?, marks))
    }

    /// [`MaxPool2d::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{MaxPool2d, MaxPool2dOptions, Tensor};
    /// let mut y = Tensor::full(&[1, 1, 1], f32::NAN)?;
    /// let pool = MaxPool2d::new(MaxPool2dOptions::new((1, 2)))?;
    /// pool.forward_into(&Tensor::from_vec(&[1, 1, 2], vec![-1.0, 2.0])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [2.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into<T: Float>(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let (shape, problem) = self.shape_and_problem(input.shape())?;
        let output = Output::Given(overwrite(LAYER, output, &shape)?);
        self.execution.run(|kernel| max_pool2d::forward(&problem, kernel, input.as_slice(), output));
        Ok(())
    }

    /// The output, and what backward needs.
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`].
    pub fn forward_pass<T: Float>(&mut self, input: &Tensor<T>) -> Result<MaxPool2dPass<T>> {
        let (shape, problem) = self.shape_and_problem(input.shape())?;
        let input_shape = Shape::new(input.shape());
        if !self.options.return_indices && problem.remembers_input(input.len()) {
            let output = self.without_marks(input, &shape, &problem)?;
            let marks = Marks::Input(input.clone(), shape);
            return Ok(MaxPool2dPass { output, indices: None, input_shape, problem, marks });
        }
        if !self.options.return_indices && problem.remembers_taps() {
            let (output, taps) = self.with_marks(input, &shape, &problem)?;
            return Ok(MaxPool2dPass { output, indices: None, input_shape, problem, marks: Marks::Taps(taps) });
        }
        let (output, places) = self.with_marks(input, &shape, &problem)?;
        let indices = self.options.return_indices.then(|| places.clone());
        Ok(MaxPool2dPass { output, indices, input_shape, problem, marks: Marks::Places(places) })
    }

    /// The gradient of the input.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the pass is that of a layer of other sizes, or the gradient cannot be
    /// stored.
    pub fn backward<T: Float>(
        &self,
        pass: &MaxPool2dPass<T>,
        grad_output: &Tensor<T>,
    ) -> Result<MaxPool2dGradients<T>> {
        self.check_backward(pass, grad_output)?;
        let mut input = fresh(LAYER, "grad_input", &pass.input_shape)?;
        self.run_backward(pass, grad_output, Output::Fresh(&mut input));
        Ok(MaxPool2dGradients { input: input.tensor(&pass.input_shape)? })
    }

    /// [`MaxPool2d::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`MaxPool2d::backward`], and where the gradient of the input does not have the input's shape; then nothing is written.
    ///
    /// ```
    /// use optimized::{MaxPool2d, MaxPool2dOptions, Tensor};
    /// let mut pool = MaxPool2d::new(MaxPool2dOptions::new((1, 2)))?;
    /// let pass = pool.forward_pass(&Tensor::from_vec(&[1, 1, 2], vec![-1.0, 2.0])?)?;
    /// let mut gradients = pool.backward(&pass, &Tensor::full(&[1, 1, 1], 1.0)?)?;
    /// pool.backward_into(&pass, &Tensor::full(&[1, 1, 1], 5.0)?, &mut gradients)?;
    /// assert_eq!(gradients.input.as_slice(), [0.0, 5.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into<T: Float>(
        &self,
        pass: &MaxPool2dPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut MaxPool2dGradients<T>,
    ) -> Result<()> {
        self.check_backward(pass, grad_output)?;
        require_room(LAYER, "grad_input", &gradients.input, &pass.input_shape)?;
        self.run_backward(pass, grad_output, Output::Given(gradients.input.as_mut_slice()));
        Ok(())
    }

    fn check_backward<T: Float>(&self, pass: &MaxPool2dPass<T>, grad_output: &Tensor<T>) -> Result<()> {
        let (shape, _) = self.shape_and_problem(&pass.input_shape).map_err(|error| error.of(LAYER, "pass"))?;
        require_output_shape(LAYER, grad_output, &shape)?;
        if pass.marks.shape() != &*shape {
            return Err(Error::shape(LAYER, "pass", pass.marks.shape(), "a pass of a layer of these sizes"));
        }
        Ok(())
    }

    fn run_backward<T: Float>(&self, pass: &MaxPool2dPass<T>, grad_output: &Tensor<T>, input: Output<'_, T>) {
        let (g, problem) = (grad_output.as_slice(), &pass.problem);
        self.execution.run(|kernel| match &pass.marks {
            Marks::Input(kept, _) => max_pool2d::backward_by_input(problem, kernel.0, (g, kept.as_slice()), input),
            Marks::Taps(taps) => max_pool2d::backward_by_taps(problem, kernel, (g, taps.as_slice()), input),
            Marks::Places(places) => max_pool2d::backward_by_places(problem, kernel, (g, places.as_slice()), input),
        });
    }
}

/// a/b, in 64 bits where both fit: division in 128 is a function call, which would take a tenth of a small layer's time.
fn quotient(a: i128, b: i128) -> i128 {
    match (u64::try_from(a), u64::try_from(b)) {
        (Ok(a), Ok(b)) => i128::from(a / b),
        _ => a / b,
    }
}

impl<T: Float> Layer<T> for MaxPool2d {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        MaxPool2d::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        MaxPool2d::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = MaxPool2d::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let MaxPool2dGradients { input } = MaxPool2d::backward(self, saved.get(LAYER)?, grad_output)?;
        Ok(Gradients { input, parameters: Vec::new() })
    }
}
