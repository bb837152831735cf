//! Softmax: along lines of neighbouring elements, or along columns side by side.

use super::shared::elementwise::layer_without_parameters;
use super::{overwrite, require_output_shape, require_room};
use crate::kernels::softmax::{self, Lines};
use crate::memory::{Output, fresh, unwritten};
use crate::{Choice, Execution, Float};
use vocabulary::{Result, SoftmaxGradients, SoftmaxOptions, Tensor};

const LAYER: &str = "Softmax";

/// The algorithms, in the order of preference.
const ORDER: [&str; 2] = ["lines", "columns"];

/// Positive numbers that sum to 1 along one dimension.
///
/// For each line x of the input along `dim`:
///
/// ```math
/// m = \max_i x_i
/// y_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}}
/// \frac{\partial L}{\partial x_i} = y_i\,\Bigl(g_i - \sum_j g_j y_j\Bigr)
/// ```
///
/// A line of which all is −∞, or that holds +∞ or NaN, becomes NaN.
///
/// Shapes: any; the output has the input's. `dim` counts from the last dimension where it is negative; without it, PyTorch's
/// implicit choice is made: 0 for 0, 1 or 3 dimensions, 1 for any other.
///
/// Source: [torch.nn.Softmax](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Softmax.html).
///
/// ```
/// use optimized::{Softmax, SoftmaxOptions, Tensor};
/// let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1))?;
/// let input = Tensor::from_vec(&[2, 3], vec![0.0, 0.0, f64::NEG_INFINITY, 1000.0, 1000.0, 1000.0])?;
/// let pass = softmax.forward_pass(&input)?;
/// assert_eq!(pass.output.as_slice(), [0.5, 0.5, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
/// let gradients = softmax.backward(&pass, &Tensor::from_vec(&[2, 3], vec![4.0, 0.0, 0.0, 0.0, 0.0, 0.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Softmax {
    options: SoftmaxOptions,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct SoftmaxPass<T> {
    /// In the input's shape.
    pub output: Tensor<T>,
}

impl Softmax {
    /// A layer with the given options.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: SoftmaxOptions) -> Result<Self> {
        Ok(Self { options, execution: Execution::default() })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &SoftmaxOptions {
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

    /// The algorithms for an input of `input_shape`, in the order of preference, and why some of them refuse it. A forced
    /// algorithm makes no difference here.
    ///
    /// `lines` takes lines of neighbouring elements, as those along the last dimension are; `columns` takes any.
    ///
    /// # Errors
    /// As [`Softmax::output_shape`].
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        let lines = self.lines(input_shape)?;
        Ok(ORDER.map(|name| Choice { name, refusal: refusal(name, lines) }).into())
    }

    fn lines(&self, input_shape: &[usize]) -> Result<Lines> {
        Ok(Lines::along(self.options.axis(input_shape.len())?, input_shape))
    }

    fn algorithm(&self, lines: Lines) -> Result<&'static str> {
        self.execution.choose(LAYER, &ORDER, |name| refusal(name, lines))
    }

    /// The output's shape: the input's.
    ///
    /// # Errors
    /// Where the input does not have the dimension `dim`.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.axis(input_shape.len())?;
        Ok(input_shape.to_vec())
    }

    /// Positive numbers that sum to 1 along `dim`.
    ///
    /// # Errors
    /// Where the input does not have the dimension `dim`, the output cannot be stored, or the forced algorithm refuses.
    pub fn forward<T: Float>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let (lines, shape) = (self.lines(input.shape())?, input.shape());
        if self.algorithm(lines)? == "lines" {
            let mut output = fresh(LAYER, "output", shape)?;
            self.run_lines(lines, input, Output::Fresh(&mut output));
            return output.tensor(shape);
        }
        let mut output = unwritten(LAYER, "output", shape)?;
        self.run_columns(lines, input, output.as_mut_slice());
        Ok(output)
    }

    /// [`Softmax::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`Softmax::forward`], and where `output` does not have the input's shape.
    ///
    /// ```
    /// use optimized::{Softmax, SoftmaxOptions, Tensor};
    /// let mut y = Tensor::full(&[2, 2], f32::NAN)?;
    /// Softmax::new(SoftmaxOptions::new().dim(1))?.forward_into(&Tensor::full(&[2, 2], 7.0)?, &mut y)?;
    /// assert_eq!(y.as_slice(), [0.5; 4]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into<T: Float>(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let lines = self.lines(input.shape())?;
        let algorithm = self.algorithm(lines)?;
        let output = overwrite(LAYER, output, input.shape())?;
        match algorithm {
            "lines" => self.run_lines(lines, input, Output::Given(output)),
            _ => self.run_columns(lines, input, output),
        }
        Ok(())
    }

    /// [`Softmax::forward`], written over the input.
    ///
    /// # Errors
    /// Where the input does not have the dimension `dim`, or the forced algorithm refuses.
    ///
    /// ```
    /// use optimized::{Softmax, SoftmaxOptions, Tensor};
    /// let mut x = Tensor::full(&[2, 2], 7.0)?;
    /// Softmax::new(SoftmaxOptions::new().dim(1))?.forward_in_place(&mut x)?;
    /// assert_eq!(x.as_slice(), [0.5; 4]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_in_place<T: Float>(&self, input: &mut Tensor<T>) -> Result<()> {
        let lines = self.lines(input.shape())?;
        let algorithm = self.algorithm(lines)?;
        if !lines.are_empty() {
            self.execution.run(|kernel| match algorithm {
                "lines" => softmax::forward_lines_in_place(kernel, lines, input.as_mut_slice()),
                _ => softmax::forward_columns_in_place(kernel, lines, input.as_mut_slice()),
            });
        }
        Ok(())
    }

    fn run_lines<T: Float>(&self, lines: Lines, input: &Tensor<T>, output: Output<'_, T>) {
        if !lines.are_empty() {
            self.execution.run(|kernel| softmax::forward_lines(kernel, lines, input.as_slice(), output));
        }
    }

    fn run_columns<T: Float>(&self, lines: Lines, input: &Tensor<T>, output: &mut [T]) {
        if !lines.are_empty() {
            self.execution.run(|kernel| softmax::forward_columns(kernel, lines, input.as_slice(), output));
        }
    }

    /// The output, and what backward needs.
    ///
    /// # Errors
    /// As [`Softmax::forward`].
    pub fn forward_pass<T: Float>(&mut self, input: &Tensor<T>) -> Result<SoftmaxPass<T>> {
        Ok(SoftmaxPass { output: self.forward(input)? })
    }

    /// The gradient of the input.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the pass is of an input that lacks the dimension `dim`, the gradient
    /// cannot be stored, or the forced algorithm refuses.
    pub fn backward<T: Float>(&self, pass: &SoftmaxPass<T>, grad_output: &Tensor<T>) -> Result<SoftmaxGradients<T>> {
        let (lines, algorithm) = self.backward_lines(pass, grad_output)?;
        let (operands, shape) = ((pass.output.as_slice(), grad_output.as_slice()), pass.output.shape());
        if algorithm == "lines" {
            let mut input = fresh(LAYER, "grad_input", shape)?;
            self.run_backward_lines(lines, operands, Output::Fresh(&mut input));
            return Ok(SoftmaxGradients { input: input.tensor(shape)? });
        }
        let mut input = unwritten(LAYER, "grad_input", shape)?;
        self.run_backward_columns(lines, operands, input.as_mut_slice());
        Ok(SoftmaxGradients { input })
    }

    /// [`Softmax::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`Softmax::backward`], and where the gradient of the input does not have the input's shape; then nothing is written.
    ///
    /// ```
    /// use optimized::{Softmax, SoftmaxOptions, Tensor};
    /// let mut softmax = Softmax::new(SoftmaxOptions::new().dim(0))?;
    /// let pass = softmax.forward_pass(&Tensor::full(&[2], 1.0)?)?;
    /// let mut gradients = softmax.backward(&pass, &Tensor::full(&[2], 1.0)?)?;
    /// softmax.backward_into(&pass, &Tensor::from_vec(&[2], vec![4.0, 0.0])?, &mut gradients)?;
    /// assert_eq!(gradients.input.as_slice(), [1.0, -1.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into<T: Float>(
        &self,
        pass: &SoftmaxPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut SoftmaxGradients<T>,
    ) -> Result<()> {
        let (lines, algorithm) = self.backward_lines(pass, grad_output)?;
        require_room(LAYER, "grad_input", &gradients.input, pass.output.shape())?;
        let operands = (pass.output.as_slice(), grad_output.as_slice());
        let input = gradients.input.as_mut_slice();
        match algorithm {
            "lines" => self.run_backward_lines(lines, operands, Output::Given(input)),
            _ => self.run_backward_columns(lines, operands, input),
        }
        Ok(())
    }

    /// The lines of a backward, and its algorithm.
    fn backward_lines<T: Float>(
        &self,
        pass: &SoftmaxPass<T>,
        grad_output: &Tensor<T>,
    ) -> Result<(Lines, &'static str)> {
        let shape = pass.output.shape();
        let lines = self.lines(shape).map_err(|error| error.of(LAYER, "pass"))?;
        require_output_shape(LAYER, grad_output, shape)?;
        Ok((lines, self.algorithm(lines)?))
    }

    fn run_backward_lines<T: Float>(&self, lines: Lines, operands: (&[T], &[T]), input: Output<'_, T>) {
        if !lines.are_empty() {
            self.execution.run(|kernel| softmax::backward_lines(kernel, lines, operands, input));
        }
    }

    fn run_backward_columns<T: Float>(&self, lines: Lines, operands: (&[T], &[T]), input: &mut [T]) {
        if !lines.are_empty() {
            self.execution.run(|kernel| softmax::backward_columns(kernel, lines, operands, input));
        }
    }
}

fn refusal(algorithm: &str, lines: Lines) -> Option<String> {
    (algorithm == "lines" && lines.inner != 1)
        .then(|| format!("lines takes lines of neighbouring elements, and these lie {} apart", lines.inner))
}

layer_without_parameters!(Softmax);
