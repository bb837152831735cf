//! Linear: products of matrices, packed or, for few rows, by dot products.

use super::{overwrite, require_output_shape, require_room, require_room_if_due, worth_their_waking, zeroed};
use crate::counters::Counter;
use crate::kernels::packed::{self, Matrix};
use crate::kernels::products::{Direction, by_dots};
use crate::kernels::{columns, dot, gemm};
use crate::memory::{self, unwritten};
use crate::{Choice, Execution, Float, Isa};
use rand::Rng;
use vocabulary::{Error, Gradients, Layer, LinearGradients, LinearOptions, Result, Saved, StateDict, Tensor, init};

const LAYER: &str = "Linear";

/// An affine map of the last dimension.
///
/// With the leading dimensions of the input joined into B rows, I = `in_features` and O = `out_features`:
///
/// ```math
/// y_{bo} = \sum_{i} x_{bi}\,w_{oi} + \beta_o
/// \frac{\partial L}{\partial x_{bi}} = \sum_o g_{bo}\,w_{oi}, \qquad
///    \frac{\partial L}{\partial w_{oi}} = \sum_b g_{bo}\,x_{bi}, \qquad
///    \frac{\partial L}{\partial \beta_o} = \sum_b g_{bo}
/// ```
///
/// where g = ∂L/∂y is `grad_output`.
///
/// Shapes: input [*, I] with any number of leading dimensions, none included; output [*, O]; weight [O, I]; bias `[O]`.
///
/// Source: [torch.nn.Linear](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Linear.html).
///
/// ```
/// use optimized::{Linear, LinearOptions, Tensor};
/// let weight = Tensor::from_vec(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let bias = Tensor::from_vec(&[2], vec![0.5, -0.5])?;
/// let mut linear = Linear::with_parameters(LinearOptions::new(3, 2), weight, Some(bias))?;
/// let pass = linear.forward_pass(&Tensor::from_vec(&[1, 3], vec![1.0, 0.0, -1.0])?)?;
/// assert_eq!(pass.output.as_slice(), [-1.5, -2.5]);
/// let gradients = linear.backward(&pass, &Tensor::from_vec(&[1, 2], vec![1.0, 10.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [41.0, 52.0, 63.0]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Linear<T> {
    options: LinearOptions,
    weight: Tensor<T>,
    bias: Option<Tensor<T>>,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct LinearPass<T> {
    /// [*, out_features].
    pub output: Tensor<T>,
    input: Tensor<T>,
    weight: Tensor<T>,
}

/// The sizes of a product, and how it is run.
struct Problem {
    rows: usize,
    inputs: usize,
    outputs: usize,
    algorithm: &'static str,
}

impl<T: Float> Linear<T> {
    /// A layer with PyTorch's initial distribution: weight and bias uniform on [−1/√I, 1/√I).
    ///
    /// # Errors
    /// Where the weight cannot be stored.
    pub fn init(options: LinearOptions, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let bound = match options.in_features {
            0 => 0.0,
            inputs => (inputs as f64).sqrt().recip(),
        };
        let mut draw = |name, shape: &[usize]| init::uniform(shape, bound, rng).map_err(|error| error.of(LAYER, name));
        let weight = draw("weight", &options.weight_shape())?;
        let bias = options.bias.then(|| draw("bias", &[options.out_features])).transpose()?;
        Self::with_parameters(options, weight, bias)
    }

    /// A layer with given parameters.
    ///
    /// # Errors
    /// Where a parameter has another shape, is missing or superfluous.
    pub fn with_parameters(options: LinearOptions, weight: Tensor<T>, bias: Option<Tensor<T>>) -> Result<Self> {
        options.check_parameters(weight.shape(), bias.as_ref().map(Tensor::shape))?;
        Ok(Self { options, weight, bias, execution: Execution::default() })
    }

    /// A layer with the parameters `weight` and `bias` of a state dictionary.
    ///
    /// # Errors
    /// Where one is missing, unknown, or of another shape or type.
    pub fn from_state_dict(options: LinearOptions, state: &StateDict) -> Result<Self> {
        let known: &[&str] = if options.bias { &["weight", "bias"] } else { &["weight"] };
        state.check_names(LAYER, known)?;
        let bias = state.tensor_if(options.bias, LAYER, "bias")?;
        Self::with_parameters(options, state.tensor(LAYER, "weight")?, bias)
    }

    /// The parameters under PyTorch's names.
    pub fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        state.insert("weight", T::wrap(self.weight.clone()));
        if let Some(bias) = &self.bias {
            state.insert("bias", T::wrap(bias.clone()));
        }
        state
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &LinearOptions {
        &self.options
    }

    /// The weight, [out_features, in_features].
    pub fn weight(&self) -> &Tensor<T> {
        &self.weight
    }

    /// The bias, `[out_features]`, where there is one.
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

    /// The algorithms for an input of `input_shape` at the instruction set in force, in the order of forward's preference, and
    /// why some of them refuse it. A forced algorithm makes no difference here; backward may prefer another order.
    ///
    /// `gemm` chooses its instruction set itself, so it refuses any but the best; `packed` copies whole rows of several inputs,
    /// so it refuses rows that are too long for that; `dot` accepts everything.
    ///
    /// # Errors
    /// Where the input's last size is not `in_features`.
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        self.options.check_input(input_shape)?;
        let order = order(self.rows(input_shape)?, &self.options, Direction::Forward);
        Ok(order.iter().map(|&name| Choice { name, refusal: self.refusal(name) }).collect())
    }

    fn refusal(&self, algorithm: &str) -> Option<String> {
        let longest = packed::LONGEST_ROW;
        match (algorithm, self.execution.isa) {
            ("gemm", Some(isa)) if isa != Isa::best() => {
                Some(format!("gemm chooses its instruction set itself, and isa is {isa}"))
            }
            ("packed", _) if self.options.in_features > longest => Some(format!(
                "packed takes rows of at most {longest} elements, and in_features is {}",
                self.options.in_features
            )),
            _ => None,
        }
    }

    /// The leading dimensions, joined.
    fn rows(&self, input_shape: &[usize]) -> Result<usize> {
        let leading = &input_shape[..input_shape.len().saturating_sub(1)];
        memory::count(leading).ok_or_else(|| Error::too_large(LAYER, "input", input_shape))
    }

    fn problem(&self, input_shape: &[usize], direction: Direction) -> Result<Problem> {
        let rows = self.rows(input_shape)?;
        let algorithm =
            self.execution.choose(LAYER, order(rows, &self.options, direction), |name| self.refusal(name))?;
        let LinearOptions { in_features: inputs, out_features: outputs, .. } = self.options;
        Ok(Problem { rows, inputs, outputs, algorithm })
    }

    /// The output's shape: the input's with its last size replaced by `out_features`.
    ///
    /// # Errors
    /// Where the input's last size is not `in_features`.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.check_input(input_shape)?;
        let leading = input_shape.iter().take(input_shape.len() - 1);
        Ok(leading.chain([&self.options.out_features]).copied().collect())
    }

    /// x·wᵀ + β.
    ///
    /// # Errors
    /// Where the input's last size is not `in_features`, the output cannot be stored, or the forced algorithm refuses.
    pub fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let shape = self.output_shape(input.shape())?;
        let problem = self.problem(input.shape(), Direction::Forward)?;
        let mut output = unwritten(LAYER, "output", &shape)?;
        self.run(&problem, input, output.as_mut_slice());
        Ok(output)
    }

    /// [`Linear::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`Linear::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{Linear, LinearOptions, Tensor};
    /// let linear = Linear::with_parameters(LinearOptions::new(2, 1).bias(false), Tensor::full(&[1, 2], 3.0)?, None)?;
    /// let mut y = Tensor::full(&[1], f64::NAN)?;
    /// linear.forward_into(&Tensor::from_vec(&[2], vec![1.0, 2.0])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [9.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into(&self, input: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let shape = self.output_shape(input.shape())?;
        let problem = self.problem(input.shape(), Direction::Forward)?;
        self.run(&problem, input, overwrite(LAYER, output, &shape)?);
        Ok(())
    }

    fn run(&self, problem: &Problem, input: &Tensor<T>, output: &mut [T]) {
        let bias = self.bias.as_ref().map(Tensor::as_slice);
        let operands = (input.as_slice(), self.weight.as_slice(), bias);
        let (depth, output) = (problem.inputs, (output, problem.outputs));
        self.execution.run(|(isa, threads)| {
            let threads = worth_their_waking(threads, work(problem.rows, &self.options));
            match problem.algorithm {
                "packed" => packed::forward(Counter::LinearPacked, (isa, threads), operands, depth, output),
                "dot" => dot::forward(Counter::LinearDot, (isa, threads), operands, depth, output),
                _ => gemm::forward(threads, operands, depth, output),
            }
        });
    }

    /// The output, and what backward needs.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>) -> Result<LinearPass<T>> {
        Ok(LinearPass { output: self.forward(input)?, input: input.clone(), weight: self.weight.clone() })
    }

    /// The gradients, with the weight as it was in the pass.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the pass is that of a layer of other sizes, a gradient cannot be
    /// stored, or the forced algorithm refuses.
    pub fn backward(&self, pass: &LinearPass<T>, grad_output: &Tensor<T>) -> Result<LinearGradients<T>> {
        let problem = self.backward_problem(pass, grad_output)?;
        let mut gradients = LinearGradients {
            input: unwritten(LAYER, "grad_input", pass.input.shape())?,
            weight: unwritten(LAYER, "grad_weight", pass.weight.shape())?,
            bias: self.options.bias.then(|| unwritten(LAYER, "grad_bias", &[problem.outputs])).transpose()?,
        };
        self.run_backward(&problem, pass, grad_output, &mut gradients);
        Ok(gradients)
    }

    /// [`Linear::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`Linear::backward`], and where a gradient has another shape, is missing or superfluous; then nothing is written.
    ///
    /// ```
    /// use optimized::{Linear, LinearOptions, Tensor};
    /// let mut linear = Linear::with_parameters(LinearOptions::new(2, 1).bias(false), Tensor::full(&[1, 2], 3.0)?, None)?;
    /// let pass = linear.forward_pass(&Tensor::from_vec(&[2], vec![1.0, 2.0])?)?;
    /// let mut gradients = linear.backward(&pass, &Tensor::full(&[1], 1.0)?)?;
    /// linear.backward_into(&pass, &Tensor::full(&[1], 10.0)?, &mut gradients)?; // needs no other memory
    /// assert_eq!((gradients.input.as_slice(), gradients.weight.as_slice()), (&[30.0, 30.0][..], &[10.0, 20.0][..]));
    /// gradients.bias = Some(Tensor::full(&[1], 0.0)?);
    /// let error = linear.backward_into(&pass, &Tensor::full(&[1], 1.0)?, &mut gradients).unwrap_err();
    /// assert_eq!((error.layer(), error.argument()), ("Linear", "grad_bias"));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &LinearPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut LinearGradients<T>,
    ) -> Result<()> {
        let problem = self.backward_problem(pass, grad_output)?;
        let LinearGradients { input, weight, bias } = gradients;
        require_room(LAYER, "grad_input", input, pass.input.shape())?;
        require_room(LAYER, "grad_weight", weight, pass.weight.shape())?;
        let due = [problem.outputs];
        require_room_if_due(LAYER, "grad_bias", bias.as_ref(), self.options.bias.then_some(&due))?;
        self.run_backward(&problem, pass, grad_output, gradients);
        Ok(())
    }

    fn backward_problem(&self, pass: &LinearPass<T>, grad_output: &Tensor<T>) -> Result<Problem> {
        let output_shape = self.output_shape(pass.input.shape()).map_err(|error| error.of(LAYER, "pass"))?;
        require_output_shape(LAYER, grad_output, &output_shape)?;
        if pass.weight.shape() != self.options.weight_shape() {
            return Err(Error::shape(LAYER, "pass", pass.weight.shape(), "a pass of a layer of these sizes"));
        }
        self.problem(pass.input.shape(), Direction::Backward)
    }

    /// Writes the gradients.
    fn run_backward(
        &self,
        problem: &Problem,
        pass: &LinearPass<T>,
        grad_output: &Tensor<T>,
        LinearGradients { input, weight, bias }: &mut LinearGradients<T>,
    ) {
        let Problem { rows, inputs, outputs, algorithm } = *problem;
        if rows == 0 || inputs == 0 || outputs == 0 {
            // Sums of nothing.
            for gradient in [Some(&mut *input), Some(&mut *weight), bias.as_mut()].into_iter().flatten() {
                zeroed(gradient);
            }
        }
        let (g, x, w) = (grad_output.as_slice(), pass.input.as_slice(), pass.weight.as_slice());
        let (dx, dw) = ((input.as_mut_slice(), inputs), (weight.as_mut_slice(), inputs));
        self.execution.run(|(isa, threads)| {
            let kernel = (isa, worth_their_waking(threads, work(rows, &self.options)));
            match algorithm {
                "packed" => {
                    packed::product(Counter::LinearPacked, kernel, Matrix::Rows(g, outputs), w, outputs, dx);
                    packed::product(Counter::LinearPacked, kernel, Matrix::Columns(g, outputs), x, rows, dw);
                }
                "dot" => {
                    let (by_row, by_column) = ((outputs, 1), (1, outputs));
                    let left = |steps| dot::Left { elements: g, steps };
                    dot::product(Counter::LinearDot, kernel, left(by_row), (w, outputs), dx);
                    dot::product(Counter::LinearDot, kernel, left(by_column), (x, rows), dw);
                }
                _ => {
                    gemm::backward_input(kernel.1, (g, w), outputs, dx);
                    gemm::backward_weight(kernel.1, (g, x), rows, dw);
                }
            }
            if let Some(bias) = bias {
                columns::sums(kernel, g, bias.as_mut_slice());
            }
        });
    }
}

/// The multiply-adds of a product.
fn work(rows: usize, options: &LinearOptions) -> usize {
    rows.saturating_mul(options.in_features).saturating_mul(options.out_features)
}

/// Up to so many outputs, forward, faer's GEMM is faster than packing the rows for them: for 64 rows of 1000 inputs and 10 outputs,
/// 18 µs beside 39.
const FEW_OUTPUTS: usize = 32;

/// The algorithms, in the order of preference. Backward, nothing lies across its product, and faer's GEMM is the faster: with 1024
/// of each, on one thread, 48 ms beside 58; with 256, 0.61 beside 0.78; with 127, 129 and 131, 0.095 beside 0.15. Forward it is the
/// slower, but for few outputs: with 1024 of each, 29 ms beside 25.
fn order(rows: usize, options: &LinearOptions, direction: Direction) -> &'static [&'static str] {
    match direction {
        _ if by_dots(rows, work(rows, options), direction) => &["dot", "gemm", "packed"],
        Direction::Forward if options.out_features > FEW_OUTPUTS => &["packed", "gemm", "dot"],
        _ => &["gemm", "packed", "dot"],
    }
}

impl<T: Float> Layer<T> for Linear<T> {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Linear::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        Linear::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = Linear::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let LinearGradients { input, weight, bias } = Linear::backward(self, saved.get(LAYER)?, grad_output)?;
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
    use crate::Threads;

    #[test]
    fn few_rows_or_little_work_go_by_dot_products() {
        let first = |rows, inputs, outputs, direction| order(rows, &LinearOptions::new(inputs, outputs), direction)[0];
        assert_eq!([4, 5].map(|rows| first(rows, 1024, 1024, Direction::Forward)), ["dot", "packed"]);
        assert_eq!([8, 9].map(|rows| first(rows, 1024, 1024, Direction::Backward)), ["dot", "gemm"]);
        assert_eq!([256, 257].map(|rows| first(rows, 4, 4, Direction::Forward)), ["dot", "gemm"]);
        assert_eq!([32, 33].map(|outputs| first(64, 1000, outputs, Direction::Forward)), ["gemm", "packed"]);
        for order in [4, 5].map(|rows| order(rows, &LinearOptions::new(99, 99), Direction::Forward)) {
            assert!(["packed", "gemm", "dot"].iter().all(|name| order.contains(name)) && order.len() == 3);
        }
    }

    #[test]
    fn a_million_multiply_adds_are_worth_another_thread() {
        let threads = Threads::new(std::num::NonZeroUsize::new(7).unwrap());
        assert_eq!(worth_their_waking(threads, (1 << 20) - 1), Threads::ONE);
        assert_eq!(worth_their_waking(threads, 1 << 20), threads);
        assert_eq!(worth_their_waking(threads, usize::MAX), threads);
        assert_eq!(work(3, &LinearOptions::new(5, 7)), 105);
        assert_eq!(work(2, &LinearOptions::new(usize::MAX, 1)), usize::MAX);
    }

    #[test]
    fn packed_refuses_rows_that_are_too_long_and_gemm_other_instruction_sets() {
        for (inputs, refused) in [(1 << 20, false), ((1 << 20) + 1, true)] {
            let weight = Tensor::full(&[1, inputs], 0.0_f32).unwrap();
            let mut linear = Linear::with_parameters(LinearOptions::new(inputs, 1).bias(false), weight, None).unwrap();
            for isa in Isa::available() {
                linear.set_execution(Execution::default().isa(isa)).unwrap();
                let choices = linear.choices(&[inputs]).unwrap();
                assert_eq!(choices.len(), 3);
                for Choice { name, refusal } in choices {
                    let due = match name {
                        "packed" => refused,
                        "gemm" => isa != Isa::best(),
                        _ => false,
                    };
                    assert_eq!(refusal.is_some(), due, "{name} at {isa} with {inputs}");
                }
            }
        }
    }
}
