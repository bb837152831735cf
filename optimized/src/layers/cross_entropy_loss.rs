//! CrossEntropyLoss: softmax, logarithm and loss of a line at once.

use super::{overwrite, require_output_shape, require_room, require_room_if_due};
use crate::kernels::cross_entropy::{self, Backward, Found, Kappa, Line, Problem, Target};
use crate::kernels::softmax::Lines;
use crate::memory::{Output, fresh, unwritten};
use crate::{Choice, Execution, Float};
use vocabulary::{
    CrossEntropyLossGradients, CrossEntropyLossOptions, CrossEntropyTarget, Error, Reduction, Result, StateDict, Tensor,
};

const LAYER: &str = "CrossEntropyLoss";

/// The algorithms, in the order of preference.
const ORDER: [&str; 2] = ["lines", "columns"];

/// The cross-entropy of the softmax of logits with classes or with probabilities of classes.
///
/// For each item of the batch, over its C logits x, with the weights w of the classes (1 where there are none) and
/// ε = `label_smoothing`:
///
/// ```math
/// s_c = \ln\frac{e^{x_c}}{\sum_k e^{x_k}} = x_c - m - \ln\sum_k e^{x_k - m}, \qquad m = \max_k x_k
/// \ell = -(1 - \varepsilon)\,w_y\,s_y - \tfrac{\varepsilon}{C}\sum_c w_c\,s_c \qquad
///    (\text{class } y;\; 0 \text{ where } y \text{ is } \texttt{ignore\_index})
/// \ell = -\sum_c w_c\,q_c\,s_c, \qquad q_c = (1 - \varepsilon)\,t_c + \tfrac{\varepsilon}{C} \qquad
///    (\text{probabilities } t)
/// L = \tfrac{1}{W}\sum \ell \;(\text{mean}), \qquad L = \sum \ell \;(\text{sum}), \qquad \ell \;(\text{none})
/// ```
///
/// The mean divides by the sum W of the weights w_y of the classes that are not ignored; for probabilities W is the number of
/// items. So a mean of nothing, or of ignored items alone, is NaN. As in PyTorch, the two parts of a smoothed loss are joined, and only then added, which
/// shows where W is 0. Backward, with the coefficients of the logarithms
///
/// ```math
/// G_c = \frac{\partial \ell}{\partial s_c} = -w_c\bigl((1 - \varepsilon)\,[c = y] + \tfrac{\varepsilon}{C}\bigr)
///    \text{ or } -w_c\,q_c, \qquad 0 \text{ of an ignored item}
/// \frac{\partial L}{\partial x_c} = \kappa\,G_c - e^{s_c}\sum_k \kappa\,G_k, \qquad
///    \frac{\partial L}{\partial t_c} = -\kappa\,(1 - \varepsilon)\,w_c\,s_c
/// ```
///
/// where κ is `grad_output`, or `grad_output`/W for the mean.
///
/// Shapes: input `[C]`, [N, C] or [N, C, d₁, …]; classes [], `[N]` or [N, d₁, …]; probabilities in the input's shape; weight `[C]`;
/// output [] or, for `Reduction::None`, the classes' shape.
///
/// Source: [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/2.15/generated/torch.nn.CrossEntropyLoss.html).
///
/// ```
/// use optimized::{CrossEntropyLoss, CrossEntropyLossOptions, Tensor};
/// let mut loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new())?;
/// let logits = Tensor::from_vec(&[2, 2], vec![0.0, 0.0, 5.0, 5.0])?;
/// let classes = Tensor::from_vec(&[2], vec![0_i64, 1])?;
/// let pass = loss.forward_pass(&logits, &classes)?;
/// assert_eq!(pass.output.as_slice(), [std::f64::consts::LN_2]);
/// let gradients = loss.backward(&pass, &Tensor::scalar(4.0))?;
/// assert_eq!(gradients.input.as_slice(), [-1.0, 1.0, 1.0, -1.0]);
/// let probabilities = Tensor::from_vec(&[2, 2], vec![0.5, 0.5, 1.0, 0.0])?;
/// assert_eq!(loss.forward(&logits, &probabilities)?.as_slice(), [std::f64::consts::LN_2]);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CrossEntropyLoss<T> {
    options: CrossEntropyLossOptions,
    weight: Option<Tensor<T>>,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct CrossEntropyLossPass<T> {
    /// [], or one loss an item for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: CrossEntropyTarget<T>,
    known: Vec<Line<T>>,
}

impl<T> CrossEntropyLossPass<T> {
    /// Whether the target holds probabilities, which have gradients.
    fn has_probabilities(&self) -> bool {
        matches!(self.target, CrossEntropyTarget::Probabilities(_))
    }
}

/// A call: its lines of logits, and the items that they are of.
struct Call {
    lines: Lines,
    shape: Vec<usize>,
    algorithm: &'static str,
}

/// The sum of the terms, in f64 and in eight short sums.
fn sum<T: Float>(terms: &[T]) -> f64 {
    let (eights, rest) = terms.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, term) in sums.iter_mut().zip(eight) {
            *sum += term.widen();
        }
    }
    sums.into_iter().chain(rest.iter().map(|term| term.widen())).sum()
}

impl<T: Float> CrossEntropyLoss<T> {
    /// A loss without weights.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: CrossEntropyLossOptions) -> Result<Self> {
        Self::with_weight(options, None)
    }

    /// A loss with a weight for each class.
    ///
    /// # Errors
    /// Where the weight is not `[C]`.
    pub fn with_weight(options: CrossEntropyLossOptions, weight: Option<Tensor<T>>) -> Result<Self> {
        options.check_weight(weight.as_ref().map(Tensor::shape))?;
        Ok(Self { options, weight, execution: Execution::default() })
    }

    /// A loss with the `weight` of a state dictionary, where it holds one.
    ///
    /// # Errors
    /// Where it is of another type, or there is another tensor.
    pub fn from_state_dict(options: CrossEntropyLossOptions, state: &StateDict) -> Result<Self> {
        state.check_names(LAYER, &["weight"])?;
        Self::with_weight(options, state.tensor_if(state.get("weight").is_some(), LAYER, "weight")?)
    }

    /// The weight under PyTorch's name, where there is one.
    pub fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        self.weight.iter().for_each(|weight| state.insert("weight", T::wrap(weight.clone())));
        state
    }

    /// The options that the loss was built with.
    pub fn options(&self) -> &CrossEntropyLossOptions {
        &self.options
    }

    /// The weight of each class, where there are any.
    pub fn weight(&self) -> Option<&Tensor<T>> {
        self.weight.as_ref()
    }

    /// The output's shape: [], or the input's without its classes for `Reduction::None`.
    ///
    /// # Errors
    /// Where the input has no classes, or the target's shape is neither the input's nor what remains without its classes.
    pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
        let mut items = input_shape.to_vec();
        if items.is_empty() {
            return Err(Error::shape(LAYER, "input", input_shape, "[C], [N, C] or [N, C, …]"));
        }
        items.remove(usize::from(items.len() > 1));
        // The class of a single item may stand in a vector.
        let fits = target_shape == input_shape || target_shape == items || items.is_empty() && target_shape == [1];
        if !fits {
            let expected = format!("{items:?} of classes, or {input_shape:?} of probabilities");
            return Err(Error::shape(LAYER, "target", target_shape, expected));
        }
        Ok(if self.options.effective_reduction() == Reduction::None { items } else { Vec::new() })
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
    /// `lines` takes logits whose classes are neighbours in memory; `columns` takes those whose classes lie apart, as further
    /// dimensions follow.
    ///
    /// # Errors
    /// As [`CrossEntropyLoss::output_shape`].
    pub fn choices(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<Choice>> {
        self.output_shape(input_shape, target_shape)?;
        let lines = Lines::along(Some(usize::from(input_shape.len() > 1)), input_shape);
        Ok(ORDER.map(|name| Choice { name, refusal: refusal(name, lines) }).into())
    }

    fn call(&self, input: &[usize], target: &CrossEntropyTarget<T>) -> Result<Call> {
        let axis = self.options.check_call(input, target, self.weight.as_ref().map(Tensor::shape))?;
        let mut shape = input.to_vec();
        shape.remove(axis);
        let lines = Lines::along(Some(axis), input);
        let algorithm = self.execution.choose(LAYER, &ORDER, |name| refusal(name, lines))?;
        Ok(Call { lines, shape, algorithm })
    }

    fn problem<'a>(&'a self, call: &Call, input: &'a Tensor<T>, target: &'a CrossEntropyTarget<T>) -> Problem<'a, T> {
        Problem {
            lines: call.lines,
            x: input.as_slice(),
            target: match target {
                CrossEntropyTarget::Probabilities(probabilities) => Target::Probabilities(probabilities.as_slice()),
                CrossEntropyTarget::Classes(classes) => {
                    Target::Classes { classes: classes.as_slice(), ignored: self.options.ignore_index }
                }
            },
            weight: self.weight.as_ref().map(Tensor::as_slice),
            kept: T::narrow(1.0 - self.options.smoothing().unwrap_or(0.0)),
            spread: self.spread(call.lines.length),
        }
    }

    /// ε/C, where there is any smoothing.
    fn spread(&self, classes: usize) -> Option<T> {
        self.options.smoothing().map(|smoothing| T::narrow(smoothing / classes as f64))
    }

    /// The loss.
    ///
    /// # Errors
    /// Where shapes do not fit each other, a class is none, `label_smoothing` is above 1, `ignore_index` is not negative beside
    /// probabilities, or the forced algorithm refuses.
    pub fn forward(&self, input: &Tensor<T>, target: impl Into<CrossEntropyTarget<T>>) -> Result<Tensor<T>> {
        self.losses(input, &target.into()).map(|(output, _)| output)
    }

    /// [`CrossEntropyLoss::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`CrossEntropyLoss::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{CrossEntropyLoss, CrossEntropyLossOptions, Tensor};
    /// let mut output = Tensor::scalar(f64::NAN);
    /// let loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new())?;
    /// loss.forward_into(&Tensor::full(&[1, 2], 3.0)?, &Tensor::from_vec(&[1], vec![1_i64])?, &mut output)?;
    /// assert!((output.as_slice()[0] - std::f64::consts::LN_2).abs() < 1e-15);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into(
        &self,
        input: &Tensor<T>,
        target: impl Into<CrossEntropyTarget<T>>,
        output: &mut Tensor<T>,
    ) -> Result<()> {
        let (losses, _) = self.losses(input, &target.into())?;
        overwrite(LAYER, output, losses.shape())?.copy_from_slice(losses.as_slice());
        Ok(())
    }

    fn losses(&self, input: &Tensor<T>, target: &CrossEntropyTarget<T>) -> Result<(Tensor<T>, Vec<Line<T>>)> {
        let call = self.call(input.shape(), target)?;
        if input.is_empty() {
            return Ok((self.losses_of_nothing(&call, target)?, Vec::new()));
        }
        let Found { lines, hits, all } =
            self.execution.run(|kernel| cross_entropy::forward(kernel, self.problem(&call, input, target)));
        let divisor = self.divisor(&call, target);
        let joined = |terms: Vec<T>| match self.options.effective_reduction() {
            Reduction::None => Tensor::from_vec(&call.shape, terms),
            Reduction::Sum => Ok(Tensor::scalar(T::narrow(sum(&terms)))),
            Reduction::Mean => Ok(Tensor::scalar(T::narrow(sum(&terms) / divisor))),
        };
        let hits = joined(hits)?;
        let output = match (self.spread(call.lines.length), target) {
            (Some(spread), CrossEntropyTarget::Classes(_)) => {
                let (all, kept) = (joined(all)?, T::narrow(1.0 - self.options.smoothing().unwrap_or(0.0)));
                let pairs = hits.as_slice().iter().zip(all.as_slice());
                Tensor::from_vec(hits.shape(), pairs.map(|(&hit, &all)| kept * hit + spread * all).collect())?
            }
            _ => hits,
        };
        Ok((output, lines))
    }

    /// Of an input without elements: losses of 0, if it has items. ε/C of no classes is no number, nor is then a sum.
    fn losses_of_nothing(&self, call: &Call, target: &CrossEntropyTarget<T>) -> Result<Tensor<T>> {
        let classes = matches!(target, CrossEntropyTarget::Classes(_));
        let nan = classes && call.lines.length == 0 && self.options.smoothing().is_some();
        let number = |nan: bool| T::narrow(if nan { f64::NAN } else { 0.0 });
        match self.options.effective_reduction() {
            Reduction::None => Tensor::full(&call.shape, number(nan)).map_err(|error| error.of(LAYER, "output")),
            Reduction::Sum => Ok(Tensor::scalar(number(nan))),
            Reduction::Mean => Ok(Tensor::scalar(number(true))),
        }
    }

    /// What the mean divides by.
    fn divisor(&self, call: &Call, target: &CrossEntropyTarget<T>) -> f64 {
        match (target, &self.weight) {
            (CrossEntropyTarget::Probabilities(_), _) => call.shape.iter().product::<usize>() as f64,
            (CrossEntropyTarget::Classes(classes), weight) => {
                let counted = classes.as_slice().iter().filter(|class| **class != self.options.ignore_index);
                match weight {
                    None => counted.count() as f64,
                    Some(weight) => {
                        let classes = counted.filter_map(|class| usize::try_from(*class).ok());
                        classes.map(|class| weight.as_slice()[class].widen()).sum()
                    }
                }
            }
        }
    }

    /// The loss, and what backward needs.
    ///
    /// # Errors
    /// As [`CrossEntropyLoss::forward`].
    pub fn forward_pass(
        &mut self,
        input: &Tensor<T>,
        target: impl Into<CrossEntropyTarget<T>>,
    ) -> Result<CrossEntropyLossPass<T>> {
        let target = target.into();
        let (output, known) = self.losses(input, &target)?;
        Ok(CrossEntropyLossPass { output, input: input.clone(), target, known })
    }

    /// The gradients of the logits and, where the target holds probabilities, of these.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the class of a single item stands in a vector, the pass is of a loss
    /// whose weight, classes or `ignore_index` do not fit this one, a gradient cannot be stored, or the forced algorithm refuses.
    pub fn backward(
        &self,
        pass: &CrossEntropyLossPass<T>,
        grad_output: &Tensor<T>,
    ) -> Result<CrossEntropyLossGradients<T>> {
        let shape = pass.input.shape();
        let (backward, algorithm) = self.backward_problem(pass, grad_output)?;
        let probabilities = pass.has_probabilities();
        if algorithm == "lines" {
            let mut dx = fresh(LAYER, "grad_input", shape)?;
            let mut dt = probabilities.then(|| fresh(LAYER, "grad_target", shape)).transpose()?;
            self.run_lines(&backward, (Output::Fresh(&mut dx), dt.as_mut().map(Output::Fresh)));
            let target = dt.map(|dt| dt.tensor(shape)).transpose()?;
            return Ok(CrossEntropyLossGradients { input: dx.tensor(shape)?, target });
        }
        let mut dx = unwritten(LAYER, "grad_input", shape)?;
        let mut dt = probabilities.then(|| unwritten(LAYER, "grad_target", shape)).transpose()?;
        self.run_columns(&backward, (dx.as_mut_slice(), dt.as_mut().map(Tensor::as_mut_slice)));
        Ok(CrossEntropyLossGradients { input: dx, target: dt })
    }

    /// [`CrossEntropyLoss::backward`], written into `gradients`, such as an earlier call has given; their elements are overwritten.
    ///
    /// # Errors
    /// As [`CrossEntropyLoss::backward`], and where a gradient has another shape, is missing or superfluous; then nothing is written.
    ///
    /// ```
    /// use optimized::{CrossEntropyLoss, CrossEntropyLossOptions, Tensor};
    /// let mut loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new())?;
    /// let pass = loss.forward_pass(&Tensor::full(&[1, 2], 3.0)?, &Tensor::from_vec(&[1], vec![1_i64])?)?;
    /// let mut gradients = loss.backward(&pass, &Tensor::scalar(1.0))?;
    /// loss.backward_into(&pass, &Tensor::scalar(4.0), &mut gradients)?;
    /// assert_eq!(gradients.input.as_slice(), [2.0, -2.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &CrossEntropyLossPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut CrossEntropyLossGradients<T>,
    ) -> Result<()> {
        let shape = pass.input.shape();
        let (backward, algorithm) = self.backward_problem(pass, grad_output)?;
        let CrossEntropyLossGradients { input: dx, target: dt } = gradients;
        require_room(LAYER, "grad_input", dx, shape)?;
        require_room_if_due(LAYER, "grad_target", dt.as_ref(), pass.has_probabilities().then_some(shape))?;
        if algorithm == "lines" {
            let given = |gradient| Output::Given(Tensor::as_mut_slice(gradient));
            self.run_lines(&backward, (given(dx), dt.as_mut().map(given)));
        } else {
            self.run_columns(&backward, (dx.as_mut_slice(), dt.as_mut().map(Tensor::as_mut_slice)));
        }
        Ok(())
    }

    /// The gradients, where classes are neighbours.
    fn run_lines(&self, backward: &Backward<'_, T>, gradients: (Output<'_, T>, Option<Output<'_, T>>)) {
        if !backward.problem.x.is_empty() {
            self.execution.run(|kernel| backward.lines(kernel, gradients));
        }
    }

    /// The gradients, where classes lie apart.
    fn run_columns(&self, backward: &Backward<'_, T>, gradients: (&mut [T], Option<&mut [T]>)) {
        if !backward.problem.x.is_empty() {
            self.execution.run(|kernel| backward.columns(kernel, gradients));
        }
    }

    fn backward_problem<'a>(
        &'a self,
        pass: &'a CrossEntropyLossPass<T>,
        grad_output: &'a Tensor<T>,
    ) -> Result<(Backward<'a, T>, &'static str)> {
        let CrossEntropyLossPass { input, target, known, .. } = pass;
        let shape = input.shape();
        let of_pass = |error: Error| error.of(LAYER, "pass");
        require_output_shape(LAYER, grad_output, &self.output_shape(shape, target.shape()).map_err(of_pass)?)?;
        let call = self.call(shape, target)?;
        if matches!(target, CrossEntropyTarget::Classes(classes) if classes.shape() != call.shape) {
            let expected = format!("{:?} (backward)", call.shape);
            return Err(Error::shape(LAYER, "target", target.shape(), expected));
        }
        let kappa = match (self.options.effective_reduction(), grad_output.as_slice()) {
            _ if input.is_empty() => Kappa::All(T::ZERO),
            (Reduction::None, each) => Kappa::Each(each),
            (Reduction::Sum, all) => Kappa::All(all[0]),
            (Reduction::Mean, all) => Kappa::All(all[0] / T::narrow(self.divisor(&call, target))),
        };
        Ok((Backward { problem: self.problem(&call, input, target), known, kappa }, call.algorithm))
    }
}

fn refusal(algorithm: &str, lines: Lines) -> Option<String> {
    let neighbours = lines.inner == 1;
    match algorithm {
        "lines" if !neighbours => {
            Some(format!("lines takes classes that are neighbours, and these lie {} apart", lines.inner))
        }
        "columns" if neighbours => Some("columns takes classes that lie apart, and these are neighbours".to_owned()),
        _ => None,
    }
}
