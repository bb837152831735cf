//! What losses of the difference of input and target have in common, so that their files hold formulas alone.

use super::broadcast::broadcast_shape;
use crate::kernels::difference::{self, Difference, Slope, Terms};
use crate::kernels::elementwise;
use crate::kernels::strided::{self, Broadcast};
use crate::layers::{overwrite, require_output_shape, require_room, zeroed, zeros};
use crate::memory::{Output, count, fresh};
use crate::{Choice, Execution, Float};
use vocabulary::{Error, Reduction, Result, Tensor};

/// The algorithms, in the order of preference.
const ORDER: [&str; 2] = ["one_pass", "strided"];

/// A loss, as its calls see it.
pub struct Loss<'a, D> {
    pub layer: &'static str,
    pub of: D,
    pub reduction: Reduction,
    pub execution: &'a Execution,
}

/// The shapes of a call, and its algorithm.
struct Problem {
    /// The broadcast shape.
    shape: Vec<usize>,
    /// Its number of elements.
    len: usize,
    /// Where the strided algorithm is in force.
    broadcast: Option<Broadcast>,
}

impl<D: Difference> Loss<'_, D> {
    pub fn choices(&self, input: &[usize], target: &[usize]) -> Result<Vec<Choice>> {
        broadcast_shape(self.layer, "target", input, target)?;
        Ok(ORDER.map(|name| Choice { name, refusal: refusal(name, input, target) }).into())
    }

    pub fn output_shape(&self, input: &[usize], target: &[usize]) -> Result<Vec<usize>> {
        let shape = broadcast_shape(self.layer, "target", input, target)?;
        Ok(if self.reduction == Reduction::None { shape } else { Vec::new() })
    }

    fn problem(&self, input: &[usize], target: &[usize]) -> Result<Problem> {
        let shape = broadcast_shape(self.layer, "target", input, target)?;
        let len = count(&shape).ok_or_else(|| Error::too_large(self.layer, "target", &shape))?;
        let algorithm = self.execution.choose(self.layer, &ORDER, |name| refusal(name, input, target))?;
        let broadcast = (algorithm == "strided" && len > 0).then(|| Broadcast::new(&shape, [input, target]));
        Ok(Problem { shape, len, broadcast })
    }

    pub fn forward<T: Float>(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
        let problem = self.problem(input.shape(), target.shape())?;
        if self.reduction == Reduction::None {
            let mut output = fresh(self.layer, "output", &problem.shape)?;
            self.terms(&problem, input, target, Output::Fresh(&mut output));
            return output.tensor(&problem.shape);
        }
        Ok(Tensor::scalar(self.joined(&problem, input, target)))
    }

    pub fn forward_into<T: Float>(&self, input: &Tensor<T>, target: &Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        let problem = self.problem(input.shape(), target.shape())?;
        if self.reduction == Reduction::None {
            let output = overwrite(self.layer, output, &problem.shape)?;
            self.terms(&problem, input, target, Output::Given(output));
        } else {
            overwrite(self.layer, output, &[])?[0] = self.joined(&problem, input, target);
        }
        Ok(())
    }

    /// Writes each term.
    fn terms<T: Float>(&self, problem: &Problem, input: &Tensor<T>, target: &Tensor<T>, output: Output<'_, T>) {
        let operands = (input.as_slice(), target.as_slice());
        self.execution.run(|kernel| match &problem.broadcast {
            Some(broadcast) => strided::terms(self.of, kernel, broadcast, operands, output),
            None => elementwise::zip(Terms(self.of), kernel, operands, output),
        });
    }

    /// The sum of the terms, or their mean.
    fn joined<T: Float>(&self, problem: &Problem, input: &Tensor<T>, target: &Tensor<T>) -> T {
        let (x, t) = (input.as_slice(), target.as_slice());
        let sum = self.execution.run(|kernel| match &problem.broadcast {
            Some(broadcast) => strided::sum(self.of, kernel, broadcast, (x, t)),
            None if problem.len == 0 => 0.0,
            None => difference::sum(self.of, kernel, x, t),
        });
        T::narrow(sum / self.divisor(problem.len))
    }

    /// What the sum of the terms is divided by.
    fn divisor(&self, len: usize) -> f64 {
        if self.reduction == Reduction::Mean { len as f64 } else { 1.0 }
    }

    /// The gradients of input and target.
    pub fn backward<T: Float>(
        &self,
        (input, target): (&Tensor<T>, &Tensor<T>),
        grad_output: &Tensor<T>,
    ) -> Result<[Tensor<T>; 2]> {
        let backward = self.backward_problem((input, target), grad_output)?;
        let (input, target) = (input.shape(), target.shape());
        if backward.is_one_pass() {
            let mut dx = fresh(self.layer, "grad_input", input)?;
            let mut dt = fresh(self.layer, "grad_target", target)?;
            self.one_pass(&backward, (Output::Fresh(&mut dx), Some(Output::Fresh(&mut dt))));
            return Ok([dx.tensor(input)?, dt.tensor(target)?]);
        }
        let mut dx = zeros(self.layer, "grad_input", input)?;
        let mut dt = zeros(self.layer, "grad_target", target)?;
        self.strided(&backward, [dx.as_mut_slice(), dt.as_mut_slice()]);
        Ok([dx, dt])
    }

    /// The gradient of the input alone.
    pub fn backward_input<T: Float>(
        &self,
        (input, target): (&Tensor<T>, &Tensor<T>),
        grad_output: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let backward = self.backward_problem((input, target), grad_output)?;
        if backward.is_one_pass() {
            let mut dx = fresh(self.layer, "grad_input", input.shape())?;
            self.one_pass(&backward, (Output::Fresh(&mut dx), None));
            return dx.tensor(input.shape());
        }
        // Sums over copies are made of both at once.
        let [dx, _] = self.backward((input, target), grad_output)?;
        Ok(dx)
    }

    /// The same, written into the caller's tensors.
    pub fn backward_into<T: Float>(
        &self,
        (input, target): (&Tensor<T>, &Tensor<T>),
        grad_output: &Tensor<T>,
        [dx, dt]: [&mut Tensor<T>; 2],
    ) -> Result<()> {
        let backward = self.backward_problem((input, target), grad_output)?;
        require_room(self.layer, "grad_input", dx, input.shape())?;
        require_room(self.layer, "grad_target", dt, target.shape())?;
        match backward.is_one_pass() {
            true => {
                let gradients = (Output::Given(dx.as_mut_slice()), Some(Output::Given(dt.as_mut_slice())));
                self.one_pass(&backward, gradients);
            }
            false => self.strided(&backward, [dx, dt].map(zeroed)),
        }
        Ok(())
    }

    fn backward_problem<'a, T: Float>(
        &self,
        (input, target): (&'a Tensor<T>, &'a Tensor<T>),
        grad_output: &'a Tensor<T>,
    ) -> Result<Backward<'a, T>> {
        let problem = self.problem(input.shape(), target.shape())?;
        let each = self.reduction == Reduction::None;
        let due: &[usize] = if each { &problem.shape } else { &[] };
        require_output_shape(self.layer, grad_output, due)?;
        let slope = match grad_output.as_slice() {
            g if each => Slope::Each(g),
            g => Slope::of_all(self.of, g[0], self.divisor(problem.len)),
        };
        Ok(Backward { problem, operands: (input.as_slice(), target.as_slice()), slope })
    }

    fn one_pass<T: Float>(
        &self,
        Backward { operands, slope, .. }: &Backward<'_, T>,
        gradients: (Output<'_, T>, Option<Output<'_, T>>),
    ) {
        self.execution.run(|kernel| difference::gradients(self.of, kernel, *operands, *slope, gradients));
    }

    /// Into zeros, which they stay where there is nothing to be broadcast.
    fn strided<T: Float>(&self, Backward { problem, operands, slope }: &Backward<'_, T>, gradients: [&mut [T]; 2]) {
        if let Some(broadcast) = &problem.broadcast {
            self.execution.run(|kernel| strided::gradients(self.of, kernel, broadcast, *operands, *slope, gradients));
        }
    }
}

/// A backward of operands that have been checked.
struct Backward<'a, T> {
    problem: Problem,
    operands: (&'a [T], &'a [T]),
    slope: Slope<'a, T>,
}

impl<T> Backward<'_, T> {
    fn is_one_pass(&self) -> bool {
        self.problem.len > 0 && self.problem.broadcast.is_none()
    }
}

fn refusal(algorithm: &str, input: &[usize], target: &[usize]) -> Option<String> {
    (algorithm == "one_pass" && input != target)
        .then(|| format!("one_pass takes operands of one shape, and these have {input:?} and {target:?}"))
}

/// Defines a loss whose terms are those of `difference`, a [`Difference`].
macro_rules! difference_loss {
    (
        $(#[$doc:meta])*
        pub struct $loss:ident, $pass:ident, $options:ident, $gradients:ident;
        difference = $difference:expr;
    ) => {
        use crate::{Choice, Execution, Float};
        use vocabulary::{$gradients, $options, Result, Tensor};

        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $loss {
            options: $options,
            execution: Execution,
        }

        /// What a training step's forward gives and keeps.
        #[derive(Debug, Clone)]
        pub struct $pass<T> {
            /// [], or the broadcast shape for `Reduction::None`.
            pub output: Tensor<T>,
            input: Tensor<T>,
            target: Tensor<T>,
        }

        impl $loss {
            /// A loss with the given options.
            ///
            /// # Errors
            /// None: the `Result` is there as every layer's constructor has it.
            pub fn new(options: $options) -> Result<Self> {
                Ok(Self { options, execution: Execution::default() })
            }

            /// The options that the loss was built with.
            pub fn options(&self) -> &$options {
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
                execution.check(stringify!($loss))?;
                self.execution = execution;
                Ok(())
            }

            fn calls(&self) -> crate::layers::shared::difference_loss::Loss<'_, impl crate::kernels::difference::Difference> {
                crate::layers::shared::difference_loss::Loss {
                    layer: stringify!($loss),
                    of: $difference,
                    reduction: self.options.effective_reduction(),
                    execution: &self.execution,
                }
            }

            /// The algorithms for operands of these shapes, in the order of preference, and why some of them refuse. A forced
            /// algorithm makes no difference here.
            ///
            /// `one_pass` takes operands of one shape; `strided` takes any.
            ///
            /// # Errors
            /// Where input and target cannot be broadcast against each other.
            pub fn choices(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<Choice>> {
                self.calls().choices(input_shape, target_shape)
            }

            /// The output's shape: [], or the broadcast shape for `Reduction::None`.
            ///
            /// # Errors
            /// Where input and target cannot be broadcast against each other.
            pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
                self.calls().output_shape(input_shape, target_shape)
            }

            /// The loss.
            ///
            /// # Errors
            /// Where input and target cannot be broadcast against each other, the output cannot be stored, or the forced
            /// algorithm refuses.
            pub fn forward<T: Float>(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
                self.calls().forward(input, target)
            }

            /// `forward`, written into `output`, whose elements are overwritten.
            ///
            /// # Errors
            /// As `forward`, and where `output` does not have the output's shape.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($loss), ", ", stringify!($options), ", Tensor};")]
            #[doc = concat!("let loss = ", stringify!($loss), "::new(", stringify!($options), "::new())?;")]
            /// let mut output = Tensor::scalar(f32::NAN);
            /// loss.forward_into(&Tensor::full(&[2, 2], 2.0)?, &Tensor::scalar(1.0), &mut output)?;
            /// assert_eq!(output.as_slice(), [1.0]);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn forward_into<T: Float>(
                &self,
                input: &Tensor<T>,
                target: &Tensor<T>,
                output: &mut Tensor<T>,
            ) -> Result<()> {
                self.calls().forward_into(input, target, output)
            }

            /// The loss, and what backward needs.
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_pass<T: Float>(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<$pass<T>> {
                Ok($pass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
            }

            /// The gradients of input and target.
            ///
            /// # Errors
            /// Where `grad_output` does not have the output's shape, a gradient cannot be stored, or the forced algorithm refuses.
            pub fn backward<T: Float>(&self, pass: &$pass<T>, grad_output: &Tensor<T>) -> Result<$gradients<T>> {
                let operands = (&pass.input, &pass.target);
                let [input, target] = self.calls().backward(operands, grad_output)?;
                Ok($gradients { input, target })
            }

            /// The gradient of the input alone, which is that of `backward`: a target that is data has no use for one. (Of operands of
            /// two shapes, both are computed.)
            ///
            /// # Errors
            /// As `backward`.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($loss), ", ", stringify!($options), ", Tensor};")]
            #[doc = concat!("let mut loss = ", stringify!($loss), "::new(", stringify!($options), "::new())?;")]
            /// let pass = loss.forward_pass(&Tensor::full(&[2, 2], 2.0_f32)?, &Tensor::full(&[2, 2], 1.0)?)?;
            /// let g = Tensor::scalar(1.0);
            /// assert_eq!(loss.backward_input(&pass, &g)?, loss.backward(&pass, &g)?.input);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn backward_input<T: Float>(&self, pass: &$pass<T>, grad_output: &Tensor<T>) -> Result<Tensor<T>> {
                self.calls().backward_input((&pass.input, &pass.target), grad_output)
            }

            /// `backward`, written into `gradients`, such as an earlier call has given; their elements are overwritten.
            ///
            /// # Errors
            /// As `backward`, and where a gradient does not have the shape of its operand; then nothing is written.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($loss), ", ", stringify!($options), ", Tensor};")]
            #[doc = concat!("let mut loss = ", stringify!($loss), "::new(", stringify!($options), "::new())?;")]
            /// let pass = loss.forward_pass(&Tensor::full(&[2, 2], 2.0_f32)?, &Tensor::scalar(1.0))?;
            /// let mut gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
            /// loss.backward_into(&pass, &Tensor::scalar(3.0), &mut gradients)?;
            /// assert_eq!(gradients, loss.backward(&pass, &Tensor::scalar(3.0))?);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn backward_into<T: Float>(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                gradients: &mut $gradients<T>,
            ) -> Result<()> {
                let $gradients { input, target } = gradients;
                self.calls().backward_into((&pass.input, &pass.target), grad_output, [input, target])
            }
        }
    };
}
pub(crate) use difference_loss;
