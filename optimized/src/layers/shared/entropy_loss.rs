//! What the losses of binary cross-entropy have in common.

use super::broadcast::check_broadcast;
use crate::kernels::entropy::{self, Entropy, Operand, Problem, Weight};
use crate::layers::{overwrite, require_output_shape, require_room};
use crate::memory::{Output, fresh};
use crate::{Execution, Float};
use vocabulary::{Error, Reduction, Result, Tensor};

/// A loss, as its calls see it.
pub struct Loss<'a, T, E> {
    pub layer: &'static str,
    pub of: E,
    pub reduction: Reduction,
    pub execution: &'a Execution,
    pub weight: Option<&'a Tensor<T>>,
    pub pos_weight: Option<&'a Tensor<T>>,
}

impl<'a, T: Float, E: Entropy<T>> Loss<'a, T, E> {
    pub fn output_shape(&self, input: &[usize], target: &[usize]) -> Result<Vec<usize>> {
        if input != target {
            return Err(Error::shape(self.layer, "target", target, format_args!("{input:?}, the input's")));
        }
        for (argument, weight) in [("weight", self.weight), ("pos_weight", self.pos_weight)] {
            if let Some(weight) = weight {
                check_broadcast(self.layer, argument, weight.shape(), input)?;
            }
        }
        Ok(if self.reduction == Reduction::None { input.to_vec() } else { Vec::new() })
    }

    fn problem(&self, input: &'a Tensor<T>, target: &'a Tensor<T>) -> Problem<'a, T> {
        let weight = |weight: &'a Tensor<T>| Weight::new(weight.as_slice(), weight.shape(), input.shape());
        Problem {
            x: input.as_slice(),
            t: target.as_slice(),
            weight: self.weight.filter(|_| !input.is_empty()).map(weight),
            positive: self.pos_weight.filter(|_| !input.is_empty()).map(weight),
        }
    }

    /// Of operands that have been checked.
    pub fn forward(&self, input: &'a Tensor<T>, target: &'a Tensor<T>) -> Result<Tensor<T>> {
        if self.reduction != Reduction::None {
            return Ok(Tensor::scalar(self.joined(input, target)));
        }
        let mut output = fresh(self.layer, "output", input.shape())?;
        let problem = self.problem(input, target);
        self.execution.run(|kernel| entropy::terms(self.of, kernel, &problem, Output::Fresh(&mut output)));
        output.tensor(input.shape())
    }

    /// Of operands that have been checked.
    pub fn forward_into(&self, input: &'a Tensor<T>, target: &'a Tensor<T>, output: &mut Tensor<T>) -> Result<()> {
        if self.reduction != Reduction::None {
            overwrite(self.layer, output, &[])?[0] = self.joined(input, target);
            return Ok(());
        }
        let output = overwrite(self.layer, output, input.shape())?;
        let problem = self.problem(input, target);
        self.execution.run(|kernel| entropy::terms(self.of, kernel, &problem, Output::Given(output)));
        Ok(())
    }

    /// The sum of the terms, or their mean.
    fn joined(&self, input: &'a Tensor<T>, target: &'a Tensor<T>) -> T {
        let sum = self.execution.run(|kernel| entropy::sum(self.of, kernel, &self.problem(input, target)));
        T::narrow(if self.reduction == Reduction::Mean { sum / input.len() as f64 } else { sum })
    }

    /// The gradients of input and target.
    pub fn backward(
        &self,
        input: &'a Tensor<T>,
        target: &'a Tensor<T>,
        grad_output: &Tensor<T>,
    ) -> Result<[Tensor<T>; 2]> {
        self.check_backward(input, target, grad_output)?;
        let mut dx = fresh(self.layer, "grad_input", input.shape())?;
        let mut dt = fresh(self.layer, "grad_target", input.shape())?;
        self.run_backward(input, target, grad_output, (Output::Fresh(&mut dx), Some(Output::Fresh(&mut dt))));
        Ok([dx.tensor(input.shape())?, dt.tensor(input.shape())?])
    }

    /// The gradient of the input alone.
    pub fn backward_input(
        &self,
        input: &'a Tensor<T>,
        target: &'a Tensor<T>,
        grad_output: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        self.check_backward(input, target, grad_output)?;
        let mut dx = fresh(self.layer, "grad_input", input.shape())?;
        self.run_backward(input, target, grad_output, (Output::Fresh(&mut dx), None));
        dx.tensor(input.shape())
    }

    /// The same, written into the caller's tensors.
    pub fn backward_into(
        &self,
        input: &'a Tensor<T>,
        target: &'a Tensor<T>,
        grad_output: &Tensor<T>,
        [dx, dt]: [&mut Tensor<T>; 2],
    ) -> Result<()> {
        self.check_backward(input, target, grad_output)?;
        require_room(self.layer, "grad_input", dx, input.shape())?;
        require_room(self.layer, "grad_target", dt, input.shape())?;
        let gradients = (Output::Given(dx.as_mut_slice()), Some(Output::Given(dt.as_mut_slice())));
        self.run_backward(input, target, grad_output, gradients);
        Ok(())
    }

    fn check_backward(&self, input: &Tensor<T>, target: &Tensor<T>, grad_output: &Tensor<T>) -> Result<()> {
        let due = self.output_shape(input.shape(), target.shape()).map_err(|error| error.of(self.layer, "pass"))?;
        require_output_shape(self.layer, grad_output, &due)
    }

    fn run_backward(
        &self,
        input: &'a Tensor<T>,
        target: &'a Tensor<T>,
        grad_output: &Tensor<T>,
        gradients: (Output<'_, T>, Option<Output<'_, T>>),
    ) {
        let g = match (self.reduction, grad_output.as_slice()) {
            (Reduction::None, each) => Operand::Each(each),
            (_, all) => Operand::All(all[0]),
        };
        let n = (self.reduction == Reduction::Mean).then(|| T::narrow(input.len() as f64));
        let problem = self.problem(input, target);
        self.execution.run(|kernel| entropy::gradients(self.of, kernel, &problem, (g, n), gradients));
    }
}
