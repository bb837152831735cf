//! CrossEntropyLoss, transcribed: the equations of the torch.nn.CrossEntropyLoss page, all options together.

use crate::lines::{Line, Lines};
use crate::{Real, check_grad_output};
use vocabulary::{
    CrossEntropyLossGradients, CrossEntropyLossOptions, CrossEntropyTarget, Error, Reduction, Result, StateDict,
    StateElement, Tensor,
};

const LAYER: &str = "CrossEntropyLoss";

/// The cross-entropy of the softmax of logits with classes or with probabilities of classes.
///
/// For each item of the batch, over its C logits x, with the weights w of the classes (1 where there are none) and
/// ε = `label_smoothing`:
///
/// ```math
/// s_c = \ln\frac{e^{x_c}}{\sum_k e^{x_k}} = x_c - m - \ln\sum_k e^{x_k - m}, \qquad m = \max_k x_k \tag{1}
/// \ell = -(1 - \varepsilon)\,w_y\,s_y - \tfrac{\varepsilon}{C}\sum_c w_c\,s_c \qquad
///    (\text{class } y;\; 0 \text{ where } y \text{ is } \texttt{ignore\_index}) \tag{2}
/// \ell = -\sum_c w_c\,q_c\,s_c, \qquad q_c = (1 - \varepsilon)\,t_c + \tfrac{\varepsilon}{C} \qquad
///    (\text{probabilities } t) \tag{3}
/// L = \tfrac{1}{W}\sum \ell \;(\text{mean}), \qquad L = \sum \ell \;(\text{sum}), \qquad \ell \;(\text{none}) \tag{4}
/// ```
///
/// The mean divides by the sum W of the weights w_y of the classes that are not ignored; for probabilities W is the number of
/// items. So a mean of nothing, or of ignored items alone, is NaN. As in PyTorch, the two parts of (2) are joined, and only then added, which
/// shows where W is 0. Backward, with the coefficients of the logarithms
///
/// ```math
/// G_c = \frac{\partial \ell}{\partial s_c} = -w_c\bigl((1 - \varepsilon)\,[c = y] + \tfrac{\varepsilon}{C}\bigr)
///    \text{ or } -w_c\,q_c, \qquad 0 \text{ of an ignored item} \tag{5}
/// \frac{\partial L}{\partial x_c} = \kappa\,G_c - e^{s_c}\sum_k \kappa\,G_k, \qquad
///    \frac{\partial L}{\partial t_c} = -\kappa\,(1 - \varepsilon)\,w_c\,s_c \tag{6}
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
/// use reference::{CrossEntropyLoss, CrossEntropyLossOptions, Tensor};
/// let mut loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new())?;
/// let logits = Tensor::from_vec(&[2, 2], vec![0.0, 0.0, 5.0, 5.0])?;
/// let classes = Tensor::from_vec(&[2], vec![0_i64, 1])?;
/// let pass = loss.forward_pass(&logits, &classes)?;
/// assert_eq!(pass.output.as_slice(), [std::f64::consts::LN_2]);
/// let gradients = loss.backward(&pass, &Tensor::scalar(4.0))?;
/// assert_eq!(gradients.input.as_slice(), [-1.0, 1.0, 1.0, -1.0]);
/// let probabilities = Tensor::from_vec(&[2, 2], vec![0.5, 0.5, 1.0, 0.0])?;
/// assert_eq!(loss.forward(&logits, &probabilities)?.as_slice(), [std::f64::consts::LN_2]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CrossEntropyLoss<T> {
    options: CrossEntropyLossOptions,
    weight: Option<Tensor<T>>,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct CrossEntropyLossPass<T> {
    /// [], or one loss an item for `Reduction::None`.
    pub output: Tensor<T>,
    input: Tensor<T>,
    target: CrossEntropyTarget<T>,
}

impl<T: Real> CrossEntropyLoss<T> {
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
        Ok(Self { options, weight })
    }

    /// A loss with the `weight` of a state dictionary, where it holds one.
    ///
    /// # Errors
    /// Where it is of another type, or there is another tensor.
    pub fn from_state_dict(options: CrossEntropyLossOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        state.check_names(LAYER, &["weight"])?;
        Self::with_weight(options, state.tensor_if(state.get("weight").is_some(), LAYER, "weight")?)
    }

    /// The weight under PyTorch's name, where there is one.
    pub fn state_dict(&self) -> StateDict
    where
        T: StateElement,
    {
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

    /// Equations (1) to (4).
    ///
    /// # Errors
    /// Where shapes do not fit each other, a class is none, `label_smoothing` is above 1, or `ignore_index` is not negative beside
    /// probabilities.
    pub fn forward(&self, input: &Tensor<T>, target: impl Into<CrossEntropyTarget<T>>) -> Result<Tensor<T>> {
        self.losses(input, &target.into())
    }

    fn losses(&self, input: &Tensor<T>, target: &CrossEntropyTarget<T>) -> Result<Tensor<T>> {
        let items = self.items(input.shape(), target)?;
        if input.is_empty() {
            return self.losses_of_nothing(&items, target);
        }
        // Of each item, −w_y·s_y and −Σ w_c·s_c of (2), or the loss of (3).
        let (mut hits, mut spreads) = (Vec::new(), Vec::new());
        for (item, line) in items.lines().enumerate() {
            let s = log_softmax(line, input);
            match target {
                CrossEntropyTarget::Classes(classes) => {
                    let class = self.class(classes.as_slice()[item]);
                    hits.push(class.map_or(T::zero(), |y| -(self.w(y) * s[y])));
                    if self.options.smoothing().is_some() {
                        let all = || -T::sum(s.iter().enumerate().map(|(c, &s)| self.w(c) * s));
                        spreads.push(class.map_or(T::zero(), |_| all()));
                    }
                }
                CrossEntropyTarget::Probabilities(t) => {
                    let terms = s.iter().zip(line.read(t)).enumerate();
                    hits.push(-T::sum(terms.map(|(c, (&s, t))| self.w(c) * self.smoothed(t, items.classes) * s))); // (3)
                }
            }
        }
        let losses = Tensor::from_vec(&items.shape, hits)?;
        let divisor = self.divisor(&items, target);
        let joined = |losses: Tensor<T>| match self.options.effective_reduction() {
            Reduction::None => losses,
            Reduction::Sum => Tensor::scalar(T::sum(losses.as_slice().iter().copied())), // (4)
            Reduction::Mean => Tensor::scalar(T::sum(losses.as_slice().iter().copied()) / divisor), // (4)
        };
        match (self.spread(items.classes), target) {
            (Some(spread), CrossEntropyTarget::Classes(_)) => {
                let (hits, spreads) = (joined(losses), joined(Tensor::from_vec(&items.shape, spreads)?));
                let pairs = hits.as_slice().iter().zip(spreads.as_slice());
                let sums = pairs.map(|(&hit, &all)| self.kept() * hit + spread * all); // (2)
                Tensor::from_vec(hits.shape(), sums.collect())
            }
            _ => Ok(joined(losses)),
        }
    }

    /// Of an input without elements: losses of 0, if it has items. ε/C of no classes is no number, nor is then a sum.
    fn losses_of_nothing(&self, items: &Items, target: &CrossEntropyTarget<T>) -> Result<Tensor<T>> {
        let classes = matches!(target, CrossEntropyTarget::Classes(_));
        let spreads_over_nothing = classes && items.classes == 0 && self.options.smoothing().is_some();
        let nan = || Tensor::scalar(T::from_f64(f64::NAN));
        match self.options.effective_reduction() {
            Reduction::None => {
                let loss = T::from_f64(if spreads_over_nothing { f64::NAN } else { 0.0 });
                Tensor::full(&items.shape, loss).map_err(|error| error.of(LAYER, "output"))
            }
            Reduction::Sum if !spreads_over_nothing => Ok(Tensor::scalar(T::zero())),
            Reduction::Sum | Reduction::Mean => Ok(nan()),
        }
    }

    /// Equations (1) to (4), and what backward needs.
    ///
    /// # Errors
    /// As [`CrossEntropyLoss::forward`].
    pub fn forward_pass(
        &mut self,
        input: &Tensor<T>,
        target: impl Into<CrossEntropyTarget<T>>,
    ) -> Result<CrossEntropyLossPass<T>> {
        let target = target.into();
        Ok(CrossEntropyLossPass { output: self.losses(input, &target)?, input: input.clone(), target })
    }

    /// Equations (5) and (6).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, or the class of a single item stands in a vector.
    pub fn backward(
        &self,
        pass: &CrossEntropyLossPass<T>,
        grad_output: &Tensor<T>,
    ) -> Result<CrossEntropyLossGradients<T>> {
        let CrossEntropyLossPass { input, target, .. } = pass;
        check_grad_output(LAYER, grad_output, self.output_shape(input.shape(), target.shape()))?;
        let items = self.items(input.shape(), target)?;
        if matches!(target, CrossEntropyTarget::Classes(classes) if classes.shape() != items.shape) {
            let expected = format!("{:?} (backward)", items.shape);
            return Err(Error::shape(LAYER, "target", target.shape(), expected));
        }
        let mut dx = Tensor::full(input.shape(), T::zero())?;
        let mut dt = match target {
            CrossEntropyTarget::Probabilities(t) => Some(Tensor::full(t.shape(), T::zero())?),
            CrossEntropyTarget::Classes(_) => None,
        };
        let joined = match self.options.effective_reduction() {
            Reduction::None => None,
            Reduction::Sum => Some(grad_output.as_slice()[0]),
            Reduction::Mean => Some(grad_output.as_slice()[0] / self.divisor(&items, target)),
        };
        for (item, line) in items.lines().enumerate() {
            let s = log_softmax(line, input);
            let kappa = joined.unwrap_or_else(|| grad_output.as_slice()[item]);
            let coefficients: Vec<T> = match target {
                CrossEntropyTarget::Classes(classes) => match self.class(classes.as_slice()[item]) {
                    // PyTorch smooths ignored items, too, and then takes 0 of that: all that shows is what is not finite.
                    None if self.options.smoothing().is_some() => {
                        (0..s.len()).map(|c| self.w(c) * T::zero()).collect() // (5)
                    }
                    None => vec![T::zero(); s.len()], // (5)
                    Some(y) => (0..s.len()).map(|c| self.coefficient(c, y, s.len(), kappa)).collect(), // (5)
                },
                CrossEntropyTarget::Probabilities(t) => {
                    let t = line.read(t).enumerate();
                    t.map(|(c, t)| kappa * -(self.w(c) * self.smoothed(t, items.classes))).collect() // (5)
                }
            };
            let sum = T::sum(coefficients.iter().copied());
            line.write(&mut dx, coefficients.iter().zip(&s).map(|(&g, &s)| g - s.exp() * sum)); // (6)
            if let Some(dt) = &mut dt {
                let gradients = s.iter().enumerate().map(|(c, &s)| -(kappa * self.kept() * self.w(c) * s)); // (6)
                line.write(dt, gradients);
            }
        }
        Ok(CrossEntropyLossGradients { input: dx, target: dt })
    }

    fn items(&self, input: &[usize], target: &CrossEntropyTarget<T>) -> Result<Items> {
        let axis = self.options.check_call(input, target, self.weight.as_ref().map(Tensor::shape))?;
        let mut shape = input.to_vec();
        let classes = shape.remove(axis);
        Ok(Items { axis, classes, shape, input: input.to_vec() })
    }

    /// The class that counts, if any does.
    fn class(&self, class: i64) -> Option<usize> {
        if class == self.options.ignore_index { None } else { usize::try_from(class).ok() }
    }

    /// w_c.
    fn w(&self, class: usize) -> T {
        self.weight.as_ref().map_or(T::one(), |weight| weight.as_slice()[class])
    }

    /// 1 − ε.
    fn kept(&self) -> T {
        let smoothing = self.options.smoothing().unwrap_or(0.0);
        T::from_f64(1.0 - smoothing).or_written(|| T::one() - T::from_f64(smoothing))
    }

    /// ε/C, where there is any smoothing.
    fn spread(&self, classes: usize) -> Option<T> {
        self.options.smoothing().map(|smoothing| {
            let spread = T::from_f64(smoothing / classes as f64);
            spread.or_written(|| T::from_f64(smoothing) / T::from_count(classes))
        })
    }

    /// q_c of equation (3).
    fn smoothed(&self, t: T, classes: usize) -> T {
        self.spread(classes).map_or(t, |spread| self.kept() * t + spread)
    }

    /// κ·G_c of equation (5), for the class y; 0 where G_c is, whatever κ is.
    fn coefficient(&self, c: usize, y: usize, classes: usize, kappa: T) -> T {
        match self.spread(classes) {
            None if c != y => T::zero(),
            None => -(kappa * self.w(c)),
            Some(spread) if c != y => -(kappa * (self.w(c) * spread)),
            Some(spread) => -(kappa * (self.w(c) * (self.kept() + spread))),
        }
    }

    /// W.
    fn divisor(&self, items: &Items, target: &CrossEntropyTarget<T>) -> T {
        match target {
            CrossEntropyTarget::Probabilities(_) => T::from_count(items.shape.iter().product()),
            CrossEntropyTarget::Classes(classes) => {
                T::sum(classes.as_slice().iter().filter_map(|&class| self.class(class)).map(|y| self.w(y)))
            }
        }
    }
}

/// How a call falls into items, each with its line of logits.
struct Items {
    axis: usize,
    classes: usize,
    shape: Vec<usize>,
    input: Vec<usize>,
}

impl Items {
    fn lines(&self) -> impl Iterator<Item = Line> {
        Lines::along(Some(self.axis), &self.input).iter()
    }
}

/// Equation (1).
fn log_softmax<T: Real>(line: Line, input: &Tensor<T>) -> Vec<T> {
    let m = line.read(input).reduce(|m, x| T::maximum(x, m)).unwrap_or(T::zero());
    let log_sum = T::sum(line.read(input).map(|x| x.difference(m).exp())).ln();
    line.read(input).map(|x| x.difference(m) - log_sum).collect() // (1)
}
