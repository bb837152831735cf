//! MSELoss: one pass over operands of one shape, runs of broadcast ones.

use super::{overwrite, require_output_shape, zeros};
use crate::kernels::elementwise;
use crate::kernels::loss::{self, Slope, SquaredDifference};
use crate::kernels::strided::{self, Broadcast};
use crate::memory::{Output, count, fresh};
use crate::{Choice, Execution, Float, Isa, Threads};
use vocabulary::{Error, MSELossGradients, MSELossOptions, Reduction, Result, Tensor};

const LAYER: &str = "MSELoss";

/// In the order of preference.
const ORDER: [&str; 2] = ["one_pass", "strided"];

/// The squared difference of input and target, each element alone or joined.
///
/// Input and target are broadcast against each other to one shape of n elements; then
///
/// ```math
/// \ell_k = (x_k - t_k)^2, \qquad
///    L = \tfrac{1}{n}\sum_k \ell_k \;(\text{mean}), \quad L = \sum_k \ell_k \;(\text{sum}), \quad \ell \;(\text{none})
/// \frac{\partial}{\partial x_k} = c\,(x_k - t_k)\,g_k, \qquad
///    \frac{\partial}{\partial t_k} = -\frac{\partial}{\partial x_k}, \qquad
///    c = \tfrac{2}{n} \;(\text{mean}) \text{ or } 2
/// ```
///
/// and the gradient of an element that was broadcast is the sum over its copies. The mean of no elements is NaN. Sums are
/// added in short stretches of the elements' own type, and these in `f64`.
///
/// Shapes: input and target broadcastable against each other, aligned at their last dimensions; output [] or, for
/// `Reduction::None`, the broadcast shape.
///
/// Source: [torch.nn.MSELoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.MSELoss.html).
///
/// ```
/// use optimized::{MSELoss, MSELossOptions, Tensor};
/// let mut loss = MSELoss::new(MSELossOptions::new())?;
/// let input = Tensor::from_vec(&[2], vec![1.0, 4.0])?;
/// let pass = loss.forward_pass(&input, &Tensor::from_vec(&[2], vec![0.0, 2.0])?)?;
/// assert_eq!(pass.output.as_slice(), [2.5]);
/// let gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
/// assert_eq!(gradients.input.as_slice(), [1.0, 2.0]);
/// assert_eq!(gradients.target.as_slice(), [-1.0, -2.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MSELoss {
    options: MSELossOptions,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct MSELossPass<T> {
    /// [], or the broadcast shape for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: Tensor<T>,
}

/// The shapes of a loss, and how it is run.
struct Problem {
    /// The broadcast shape.
    shape: Vec<usize>,
    /// Its number of elements.
    len: usize,
    /// Where the strided algorithm is in force.
    broadcast: Option<Broadcast>,
    kernel: (Isa, Threads),
}

impl MSELoss {
    /// A loss with the given options.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: MSELossOptions) -> Result<Self> {
        Ok(Self { options, execution: Execution::default() })
    }

    /// The options that the loss was built with.
    pub fn options(&self) -> &MSELossOptions {
        &self.options
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

    /// The algorithms for operands of these shapes, in the order of preference, and why some of them refuse. A forced
    /// algorithm makes no difference here.
    ///
    /// `one_pass` takes operands of one shape; `strided` takes any.
    ///
    /// # Errors
    /// Where input and target cannot be broadcast against each other.
    pub fn choices(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<Choice>> {
        broadcast(input_shape, target_shape)?;
        let choice = |name| Choice { name, refusal: refusal(name, input_shape, target_shape) };
        Ok(ORDER.map(choice).into())
    }

    /// The output's shape: [], or the broadcast shape for `Reduction::None`.
    ///
    /// # Errors
    /// Where input and target cannot be broadcast against each other.
    pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
        let shape = broadcast(input_shape, target_shape)?;
        match self.options.effective_reduction() {
            Reduction::None => Ok(shape),
            Reduction::Mean | Reduction::Sum => Ok(Vec::new()),
        }
    }

    fn problem(&self, input: &[usize], target: &[usize]) -> Result<Problem> {
        let shape = broadcast(input, target)?;
        let len = count(&shape).ok_or_else(|| Error::too_large(LAYER, "target", &shape))?;
        let algorithm = self.execution.choose(LAYER, &ORDER, |name| refusal(name, input, target))?;
        let broadcast = (algorithm == "strided" && len > 0).then(|| Broadcast::new(&shape, [input, target]));
        Ok(Problem { shape, len, broadcast, kernel: self.execution.kernel() })
    }

    /// The loss.
    ///
    /// # Errors
    /// Where input and target cannot be broadcast against each other, the output cannot be stored, or the forced algorithm
    /// refuses.
    pub fn forward<T: Float>(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        let problem = self.problem(input.shape(), target.shape())?;
        if self.options.effective_reduction() == Reduction::None {
            let mut output = fresh(LAYER, &problem.shape)?;
            terms(&problem, input, target, Output::Fresh(&mut output));
            return output.tensor(&problem.shape);
        }
        Ok(Tensor::scalar(self.joined(&problem, input, target)))
    }

    /// [`MSELoss::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`MSELoss::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{MSELoss, MSELossOptions, Tensor};
    /// let mut output = Tensor::scalar(f32::NAN);
    /// let loss = MSELoss::new(MSELossOptions::new())?;
    /// loss.forward_into(&Tensor::full(&[2, 2], 3.0)?, &Tensor::scalar(1.0), &mut output)?;
    /// assert_eq!(output.as_slice(), [4.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into<T: Float>(&self, input: &Tensor<T>, target: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let problem = self.problem(input.shape(), target.shape())?;
        if self.options.effective_reduction() == Reduction::None {
            let output = overwrite(LAYER, output, &problem.shape)?;
            terms(&problem, input, target, Output::Given(output));
        } else {
            overwrite(LAYER, output, &[])?[0] = self.joined(&problem, input, target);
        }
        Ok(())
    }

    /// The sum of the terms, or their mean.
    fn joined<T: Float>(&self, problem: &Problem, input: &Tensor<T>, target: &Tensor<T>) -> T {
        let (x, t) = (input.as_slice(), target.as_slice());
        let sum = match &problem.broadcast {
            Some(broadcast) => strided::sum_of_squares(problem.kernel, broadcast, x, t),
            None if problem.len == 0 => 0.0,
            None => loss::sum_of_squares(problem.kernel, x, t),
        };
        T::narrow(sum / self.divisor(problem.len))
    }

    /// What the sum of the terms is divided by.
    fn divisor(&self, len: usize) -> f64 {
        if self.options.effective_reduction() == Reduction::Mean { len as f64 } else { 1.0 }
    }

    /// The loss, and what backward needs.
    ///
    /// # Errors
    /// As [`MSELoss::forward`].
    pub fn forward_pass<T: Float>(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<MSELossPass<T>> {
        Ok(MSELossPass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
    }

    /// The gradients of input and target.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the pass was made under another reduction, or the forced
    /// algorithm refuses.
    pub fn backward<T: Float>(&self, pass: &MSELossPass<T>, grad_output: &Tensor<T>) -> Result<MSELossGradients<T>> {
        require_output_shape(LAYER, grad_output, pass.output.shape())?;
        let (input, target) = (pass.input.shape(), pass.target.shape());
        let problem = self.problem(input, target)?;
        let each = self.options.effective_reduction() == Reduction::None;
        let due: &[usize] = if each { &problem.shape } else { &[] };
        if pass.output.shape() != due {
            return Err(Error::shape(LAYER, "pass", pass.output.shape(), "a pass of a loss of this reduction"));
        }
        let slope = match grad_output.as_slice() {
            g if each => Slope::Each(g),
            g => Slope::of_all(g[0], self.divisor(problem.len)),
        };
        let operands = (pass.input.as_slice(), pass.target.as_slice());
        if problem.len > 0 && problem.broadcast.is_none() {
            let (mut dx, mut dt) = (fresh(LAYER, input)?, fresh(LAYER, target)?);
            loss::gradients(problem.kernel, operands, slope, [Output::Fresh(&mut dx), Output::Fresh(&mut dt)]);
            return Ok(MSELossGradients { input: dx.tensor(input)?, target: dt.tensor(target)? });
        }
        let (mut dx, mut dt) = (zeros(LAYER, "grad_input", input)?, zeros(LAYER, "grad_target", target)?);
        if let Some(broadcast) = &problem.broadcast {
            let outputs = [dx.as_mut_slice(), dt.as_mut_slice()];
            strided::gradients(problem.kernel, broadcast, operands, slope, outputs);
        }
        Ok(MSELossGradients { input: dx, target: dt })
    }
}

/// Writes each term.
fn terms<T: Float>(problem: &Problem, input: &Tensor<T>, target: &Tensor<T>, output: Output<'_, T>) {
    let operands = (input.as_slice(), target.as_slice());
    match &problem.broadcast {
        Some(broadcast) => strided::squares(problem.kernel, broadcast, operands, output),
        None => elementwise::zip(SquaredDifference, problem.kernel, operands, output),
    }
}

fn refusal(algorithm: &str, input: &[usize], target: &[usize]) -> Option<String> {
    (algorithm == "one_pass" && input != target)
        .then(|| format!("one_pass takes operands of one shape, and these have {input:?} and {target:?}"))
}

/// The shape to which both are broadcast: the longer one, in which each size 1 gives way to the other operand's.
fn broadcast(input: &[usize], target: &[usize]) -> Result<Vec<usize>> {
    let (longer, shorter) = if input.len() >= target.len() { (input, target) } else { (target, input) };
    let mut shape = longer.to_vec();
    for (size, &other) in shape.iter_mut().rev().zip(shorter.iter().rev()) {
        if *size == 1 {
            *size = other;
        } else if other != 1 && other != *size {
            let expected = format!("a shape that broadcasts against the input's, {input:?}");
            return Err(Error::shape(LAYER, "target", target, expected));
        }
    }
    Ok(shape)
}
