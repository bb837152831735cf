//! What RNN and GRU have in common: sequences, layers, directions and dropout. Each layer's own file holds what a step computes.
//!
//! With a = W_i·x + b_i and b = W_h·h + b_h, of whose gradients da and db the cell tells, every step adds
//!
//! ```math
//! dW_i \mathrel{+}= da\,x^\top, \quad dW_h \mathrel{+}= db\,h^\top, \quad db_i \mathrel{+}= da, \quad db_h \mathrel{+}= db \tag{A}
//! dx = W_i^\top\,da, \qquad dh = W_h^\top\,db + \text{what does not go through } W_h \tag{B}
//! ```
//!
//! and between layers, in training, with the mask m of dropout,
//!
//! ```math
//! x = m \odot y, \qquad dy = m \odot dx \tag{C}
//! ```

use crate::Real;
use vocabulary::{Error, RecurrentOutput, RecurrentParameters, Result, SequenceLayout, Tensor};

/// What one step computes, and keeps for its backward.
pub(crate) trait Cell<T: Real> {
    /// What a step keeps.
    type Kept: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// The hidden state after a step with input x from the hidden state h.
    fn step(&self, parameters: &RecurrentParameters<T>, x: &[T], h: &[T]) -> (Vec<T>, Self::Kept);

    /// From the gradient of the new hidden state those of W_i·x + b_i and W_h·h + b_h, and the part of h's that does not go
    /// through W_h.
    fn step_back(&self, kept: &Self::Kept, h: &[T], gradient: &[T]) -> StepGradients<T>;
}

/// What [`Cell::step_back`] gives.
pub(crate) struct StepGradients<T> {
    /// Of W_i·x + b_i.
    pub input_sums: Vec<T>,
    /// Of W_h·h + b_h.
    pub hidden_sums: Vec<T>,
    /// Of h, but for what goes through W_h.
    pub hidden: Vec<T>,
}

/// W·v + b, row by row.
pub(crate) fn affine<T: Real>(weight: &Tensor<T>, v: &[T], bias: Option<&Tensor<T>>) -> Vec<T> {
    let columns = v.len();
    let row = |row: usize| {
        let product = T::sum(v.iter().enumerate().map(|(column, &v)| weight.as_slice()[row * columns + column] * v));
        match bias {
            Some(bias) => product + bias.as_slice()[row],
            None => product,
        }
    };
    (0..weight.shape()[0]).map(row).collect()
}

/// A step of one sequence in one layer and direction: its input, the hidden state before it, and what it kept.
#[derive(Debug, Clone)]
struct Moment<T, K> {
    x: Vec<T>,
    h: Vec<T>,
    kept: K,
}

/// A whole forward: its outputs, and what backward needs.
#[derive(Debug, Clone)]
pub(crate) struct Run<T, K> {
    pub outputs: RecurrentOutput<T>,
    layout: SequenceLayout,
    /// [layer and direction][step][sequence], the steps in the order of time.
    moments: Vec<Vec<Vec<Moment<T, K>>>>,
    mask: Option<Tensor<T>>,
}

/// A recurrent layer's sizes, parameters and cell.
pub(crate) struct Stack<'a, T, C> {
    pub cell: C,
    pub parameters: &'a [RecurrentParameters<T>],
    pub hidden_size: usize,
    pub input_size: usize,
    pub directions: usize,
}

/// What backward gives, as [`vocabulary::RecurrentGradients`] names it.
pub(crate) type StackGradients<T> = (Tensor<T>, Tensor<T>, Vec<RecurrentParameters<T>>);

impl<T: Real, C: Cell<T>> Stack<'_, T, C> {
    fn num_layers(&self) -> usize {
        self.parameters.len() / self.directions
    }

    /// The steps in the order in which a direction takes them.
    fn order(&self, number: usize, length: usize) -> Vec<usize> {
        if number % self.directions == 1 { (0..length).rev().collect() } else { (0..length).collect() }
    }

    /// Every layer in every direction; `mask` multiplies the outputs of all layers but the last.
    pub fn forward(
        &self,
        layout: SequenceLayout,
        input: &Tensor<T>,
        hx: Option<&Tensor<T>>,
        mask: Option<&Tensor<T>>,
    ) -> Result<Run<T, C::Kept>> {
        let (size, width) = (self.hidden_size, self.directions * self.hidden_size);
        let (length, batch) = steps_of(&layout);
        // [step][sequence][feature], what the layer below gives.
        let mut below: Vec<Vec<Vec<T>>> = (0..length)
            .map(|t| (0..batch).map(|n| row(input, place(&layout, t, n), self.input_size).to_vec()).collect())
            .collect();
        let mut h_n = Vec::new();
        let mut moments = Vec::new();
        for layer in 0..self.num_layers() {
            let mut above = vec![vec![Vec::new(); batch]; length];
            for number in layer * self.directions..(layer + 1) * self.directions {
                let mut hidden: Vec<Vec<T>> = (0..batch)
                    .map(|n| hx.map_or_else(|| vec![T::zero(); size], |hx| row(hx, number * batch + n, size).to_vec()))
                    .collect();
                let mut steps = vec![Vec::new(); length];
                for t in self.order(number, length) {
                    for (n, h) in hidden.iter_mut().enumerate() {
                        let x = &below[t][n];
                        let (next, kept) = self.cell.step(&self.parameters[number], x, h);
                        let before = std::mem::replace(h, next);
                        above[t][n].extend_from_slice(h);
                        steps[t].push(Moment { x: x.clone(), h: before, kept });
                    }
                }
                h_n.extend(hidden.into_iter().flatten());
                moments.push(steps);
            }
            if let Some(mask) = mask.filter(|_| layer + 1 < self.num_layers()) {
                for (t, step) in above.iter_mut().enumerate() {
                    for (n, output) in step.iter_mut().enumerate() {
                        let keep = row(mask, (layer * length + t) * batch + n, width);
                        output.iter_mut().zip(keep).for_each(|(y, &keep)| *y = *y * keep); // (C)
                    }
                }
            }
            below = above;
        }
        let mut output = Tensor::full(&sequence_shape(&layout, width), T::zero())?;
        for (t, step) in below.iter().enumerate() {
            for (n, y) in step.iter().enumerate() {
                row_mut(&mut output, place(&layout, t, n), width).copy_from_slice(y);
            }
        }
        let h_n = Tensor::from_vec(&state_shape(&layout, self.parameters.len(), size), h_n)?;
        Ok(Run { outputs: RecurrentOutput { output, h_n }, layout, moments, mask: mask.cloned() })
    }

    /// Back through layers and steps, from the last to the first, with the parameters as they were in the pass.
    pub fn backward(
        &self,
        run: &Run<T, C::Kept>,
        grad_output: &Tensor<T>,
        grad_h_n: Option<&Tensor<T>>,
    ) -> Result<StackGradients<T>> {
        let (size, width) = (self.hidden_size, self.directions * self.hidden_size);
        let (length, batch) = steps_of(&run.layout);
        let mut gradients = self.parameters.iter().map(zeros_like).collect::<Result<Vec<_>>>()?;
        let mut dhx = Tensor::full(run.outputs.h_n.shape(), T::zero())?;
        let mut above: Vec<Vec<Vec<T>>> = (0..length)
            .map(|t| (0..batch).map(|n| row(grad_output, place(&run.layout, t, n), width).to_vec()).collect())
            .collect();
        for layer in (0..self.num_layers()).rev() {
            if let Some(mask) = run.mask.as_ref().filter(|_| layer + 1 < self.num_layers()) {
                for (t, step) in above.iter_mut().enumerate() {
                    for (n, gradient) in step.iter_mut().enumerate() {
                        let keep = row(mask, (layer * length + t) * batch + n, width);
                        gradient.iter_mut().zip(keep).for_each(|(g, &keep)| *g = *g * keep); // (C)
                    }
                }
            }
            let inputs = if layer == 0 { self.input_size } else { width };
            let mut below = vec![vec![vec![T::zero(); inputs]; batch]; length];
            for direction in 0..self.directions {
                let number = layer * self.directions + direction;
                let (parameters, sums) = (&self.parameters[number], &mut gradients[number]);
                for n in 0..batch {
                    let last = number * batch + n;
                    let mut dh = match grad_h_n {
                        Some(grad) => row(grad, last, size).to_vec(),
                        None => vec![T::zero(); size],
                    };
                    for t in self.order(number, length).into_iter().rev() {
                        let Moment { x, h, kept } = &run.moments[number][t][n];
                        let of_output = &above[t][n][direction * size..][..size];
                        dh.iter_mut().zip(of_output).for_each(|(dh, &g)| *dh = *dh + g);
                        let step = self.cell.step_back(kept, h, &dh);
                        add_products(&mut sums.weight_ih, &step.input_sums, x); // (A)
                        add_products(&mut sums.weight_hh, &step.hidden_sums, h); // (A)
                        add_all(sums.bias_ih.as_mut(), &step.input_sums); // (A)
                        add_all(sums.bias_hh.as_mut(), &step.hidden_sums); // (A)
                        add_transposed(&mut below[t][n], &parameters.weight_ih, &step.input_sums); // (B)
                        dh = step.hidden;
                        add_transposed(&mut dh, &parameters.weight_hh, &step.hidden_sums); // (B)
                    }
                    row_mut(&mut dhx, last, size).copy_from_slice(&dh);
                }
            }
            above = below;
        }
        let mut dx = Tensor::full(&sequence_shape(&run.layout, self.input_size), T::zero())?;
        for (t, step) in above.iter().enumerate() {
            for (n, gradient) in step.iter().enumerate() {
                row_mut(&mut dx, place(&run.layout, t, n), self.input_size).copy_from_slice(gradient);
            }
        }
        Ok((dx, dhx, gradients))
    }
}

/// The shape of an input or output of so many features.
pub(crate) fn sequence_shape(layout: &SequenceLayout, features: usize) -> Vec<usize> {
    match (layout.batched, layout.batch_first) {
        (false, _) => vec![layout.length, features],
        (true, false) => vec![layout.length, layout.batch, features],
        (true, true) => vec![layout.batch, layout.length, features],
    }
}

/// The shape of initial or last hidden states.
fn state_shape(layout: &SequenceLayout, states: usize, hidden_size: usize) -> Vec<usize> {
    if layout.batched { vec![states, layout.batch, hidden_size] } else { vec![states, hidden_size] }
}

/// Which row of the caller's tensor step t of sequence n is.
fn place(layout: &SequenceLayout, t: usize, n: usize) -> usize {
    if layout.batched && layout.batch_first { n * layout.length + t } else { t * layout.batch + n }
}

/// Refuses steps for which memory cannot be had, before any is taken: each keeps its input, its hidden state and its gates.
pub(crate) fn check_storage<T>(layer: &str, layout: &SequenceLayout, states: usize, features: usize) -> Result<()> {
    // What the vectors of a step take beside their elements.
    const BESIDE: u128 = 512;
    let (length, batch) = steps_of(layout);
    let steps = (length as u128).saturating_mul(batch as u128).saturating_mul(states as u128);
    let each = (features as u128).saturating_mul(8 * size_of::<T>() as u128).saturating_add(BESIDE);
    let bytes = usize::try_from(steps.saturating_mul(each));
    match bytes.map(|bytes| Vec::<u8>::new().try_reserve_exact(bytes)) {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::too_large(layer, "input", &[length, batch, features])),
    }
}

/// L and N; no step at all where there is no sequence, however long it would be.
fn steps_of(layout: &SequenceLayout) -> (usize, usize) {
    (if layout.batch == 0 { 0 } else { layout.length }, layout.batch)
}

/// Row by row of `size` elements.
fn row<T>(tensor: &Tensor<T>, row: usize, size: usize) -> &[T] {
    &tensor.as_slice()[row * size..][..size]
}

fn row_mut<T: Clone>(tensor: &mut Tensor<T>, row: usize, size: usize) -> &mut [T] {
    &mut tensor.as_mut_slice()[row * size..][..size]
}

fn zeros_like<T: Real>(parameters: &RecurrentParameters<T>) -> Result<RecurrentParameters<T>> {
    let zeros = |tensor: &Tensor<T>| Tensor::full(tensor.shape(), T::zero());
    Ok(RecurrentParameters {
        weight_ih: zeros(&parameters.weight_ih)?,
        weight_hh: zeros(&parameters.weight_hh)?,
        bias_ih: parameters.bias_ih.as_ref().map(zeros).transpose()?,
        bias_hh: parameters.bias_hh.as_ref().map(zeros).transpose()?,
    })
}

/// Adds Wᵀ·g.
fn add_transposed<T: Real>(sums: &mut [T], weight: &Tensor<T>, g: &[T]) {
    let columns = sums.len();
    for (row, &g) in g.iter().enumerate() {
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = *sum + weight.as_slice()[row * columns + column] * g;
        }
    }
}

/// Adds g·vᵀ.
fn add_products<T: Real>(sums: &mut Tensor<T>, g: &[T], v: &[T]) {
    for (row, &g) in g.iter().enumerate() {
        let sums = row_mut(sums, row, v.len());
        sums.iter_mut().zip(v).for_each(|(sum, &v)| *sum = *sum + g * v);
    }
}

fn add_all<T: Real>(sums: Option<&mut Tensor<T>>, terms: &[T]) {
    let sums = sums.into_iter().flat_map(|sums| sums.as_mut_slice());
    sums.zip(terms).for_each(|(sum, &term)| *sum = *sum + term);
}

/// Defines a recurrent layer out of its cell.
macro_rules! recurrent_layer {
    (
        $(#[$doc:meta])*
        pub struct $layer:ident, $pass:ident, $options:ident;
        cell($o:ident) = $cell:expr, $cell_type:ty;
    ) => {
        use crate::recurrent::{Run, Stack, check_storage, sequence_shape};
        use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
        use vocabulary::{
            $options, Error, Gradients, Layer, RecurrentGradients, RecurrentOutput, Result, Saved, SequenceLayout,
            StateDict, StateElement, init,
        };

        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $layer<T> {
            options: $options,
            parameters: Vec<RecurrentParameters<T>>,
            dropout: SmallRng,
            training: bool,
        }

        /// What a training step's forward gives and keeps.
        #[derive(Debug, Clone)]
        pub struct $pass<T: Real> {
            /// The last layer's hidden state at every step: see [`RecurrentOutput`].
            pub output: Tensor<T>,
            /// The last hidden state of every layer and direction.
            pub h_n: Tensor<T>,
            /// The factors of dropout that the pass drew or was given: [num_layers − 1, L, N, D·H].
            pub dropout_mask: Option<Tensor<T>>,
            run: Run<T, <$cell_type as Cell<T>>::Kept>,
            options: $options,
            parameters: Vec<RecurrentParameters<T>>,
        }

        impl<T: Real> $layer<T> {
            /// A layer in training, with PyTorch's initial distribution: every parameter uniform on [−1/√H, 1/√H). Its dropout
            /// draws from a generator of its own, which is seeded by the next word of `rng`.
            ///
            /// # Errors
            /// Where an option is refused, or a parameter cannot be stored.
            pub fn init(options: $options, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
                options.check_storage::<T>()?;
                let bound = 1.0 / (options.hidden_size as f64).sqrt();
                let mut parameters = Vec::new();
                for (number, suffix) in options.suffixes().enumerate() {
                    let [weight_ih, weight_hh, bias_ih, bias_hh] = options.parameter_shapes(number)?;
                    let mut uniform = |name: &str, shape: &[usize]| {
                        let uniform = init::uniform(shape, bound, rng);
                        uniform.map_err(|error| error.of(stringify!($layer), &format!("{name}{suffix}")))
                    };
                    parameters.push(RecurrentParameters {
                        weight_ih: uniform("weight_ih", &weight_ih)?,
                        weight_hh: uniform("weight_hh", &weight_hh)?,
                        bias_ih: options.bias.then(|| uniform("bias_ih", &bias_ih)).transpose()?,
                        bias_hh: options.bias.then(|| uniform("bias_hh", &bias_hh)).transpose()?,
                    });
                }
                Ok(Self { options, parameters, dropout: SmallRng::seed_from_u64(rng.random()), training: true })
            }

            /// A layer in training, with given parameters: those of every layer and direction, forward and then reverse. Its
            /// dropout draws from seed 0; see `seed_dropout`.
            ///
            /// # Errors
            /// Where an option is refused, or a parameter has another shape, is missing or superfluous.
            pub fn with_parameters(options: $options, parameters: Vec<RecurrentParameters<T>>) -> Result<Self> {
                options.check_parameters(&parameters)?;
                Ok(Self { options, parameters, dropout: SmallRng::seed_from_u64(0), training: true })
            }

            /// A layer in training, with the parameters of a state dictionary: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`,
            /// `bias_hh_l0`, the same with `_reverse`, then those of layer 1.
            ///
            /// # Errors
            /// Where one is missing, unknown, or of another shape or type.
            pub fn from_state_dict(options: $options, state: &StateDict) -> Result<Self>
            where
                T: StateElement,
            {
                let parameters = options.parameters_of(state)?;
                Self::with_parameters(options, parameters)
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
            pub fn options(&self) -> &$options {
                &self.options
            }

            /// The parameters of every layer and direction, forward and then reverse.
            pub fn parameters(&self) -> &[RecurrentParameters<T>] {
                &self.parameters
            }

            /// Lets dropout draw its masks from this seed on.
            pub fn seed_dropout(&mut self, seed: u64) {
                self.dropout = SmallRng::seed_from_u64(seed);
            }

            /// From now on, drop out.
            pub fn train(&mut self) {
                self.training = true;
            }

            /// From now on, drop nothing out.
            pub fn eval(&mut self) {
                self.training = false;
            }

            /// Whether the layer is in training.
            pub fn is_training(&self) -> bool {
                self.training
            }

            /// The output's shape: the input's with D·`hidden_size` features.
            ///
            /// # Errors
            /// Where the input is neither a sequence nor a batch of sequences of `input_size` features.
            pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
                let layout = self.options.check_input(input_shape, None)?;
                Ok(sequence_shape(&layout, self.options.directions() * self.options.hidden_size))
            }

            fn stack<'a>(&self, parameters: &'a [RecurrentParameters<T>]) -> Stack<'a, T, $cell_type> {
                let $o = &self.options;
                Stack {
                    cell: $cell,
                    parameters,
                    hidden_size: $o.hidden_size,
                    input_size: $o.input_size,
                    directions: $o.directions(),
                }
            }

            /// [num_layers − 1, L, N, D·H].
            fn mask_shape(&self, layout: &SequenceLayout) -> [usize; 4] {
                let width = self.options.directions() * self.options.hidden_size;
                [self.options.num_layers - 1, layout.length, layout.batch, width]
            }

            /// The sizes of a call, for which memory can be had.
            fn layout(&self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<SequenceLayout> {
                let layout = self.options.check_input(input.shape(), hx.map(Tensor::shape))?;
                let features = self.options.input_size.max(self.options.directions() * self.options.hidden_size);
                check_storage::<T>(stringify!($layer), &layout, self.parameters.len(), features)?;
                Ok(layout)
            }

            /// The factors of dropout that training has drawn from the generator: none where nothing is dropped.
            fn mask(&self, layout: &SequenceLayout, generator: &mut SmallRng) -> Result<Option<Tensor<T>>> {
                if !self.training || self.options.num_layers == 1 || self.options.dropout == 0.0 {
                    return Ok(None);
                }
                let shape = self.mask_shape(layout);
                let mask = match self.options.draws_mask() {
                    true => init::dropout_mask(&shape, self.options.dropout, generator),
                    false => Tensor::full(&shape, T::zero()),
                };
                mask.map(Some).map_err(|error| error.of(stringify!($layer), "dropout"))
            }

            /// Output and last hidden states, from hidden states `hx` or 0. In training it drops out what the next
            /// `forward_pass` would, and leaves the generator as it is.
            ///
            /// # Errors
            /// Where input or `hx` have other shapes than the options ask for, there is no step, or they cannot be stored.
            pub fn forward(&self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<RecurrentOutput<T>> {
                let layout = self.layout(input, hx)?;
                let mask = self.mask(&layout, &mut self.dropout.clone())?;
                Ok(self.stack(&self.parameters).forward(layout, input, hx, mask.as_ref())?.outputs)
            }

            /// The same, and what backward needs; in training it draws the next mask of dropout.
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_pass(&mut self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<$pass<T>> {
                let layout = self.layout(input, hx)?;
                let mut generator = self.dropout.clone();
                let mask = self.mask(&layout, &mut generator)?;
                let pass = self.pass(layout, input, hx, mask)?;
                self.dropout = generator;
                Ok(pass)
            }

            /// The same with a given mask of dropout, [num_layers − 1, L, N, D·H], such as an earlier pass has drawn: it
            /// multiplies the outputs of all layers but the last.
            ///
            /// # Errors
            /// As `forward`, and where the mask has another shape.
            pub fn forward_pass_with_mask(
                &mut self,
                input: &Tensor<T>,
                hx: Option<&Tensor<T>>,
                dropout_mask: &Tensor<T>,
            ) -> Result<$pass<T>> {
                let layout = self.layout(input, hx)?;
                let due = self.mask_shape(&layout);
                if dropout_mask.shape() != due {
                    let expected = format!("{due:?}, [num_layers − 1, L, N, D·H]");
                    return Err(Error::shape(stringify!($layer), "dropout_mask", dropout_mask.shape(), expected));
                }
                self.pass(layout, input, hx, Some(dropout_mask.clone()))
            }

            fn pass(
                &self,
                layout: SequenceLayout,
                input: &Tensor<T>,
                hx: Option<&Tensor<T>>,
                dropout_mask: Option<Tensor<T>>,
            ) -> Result<$pass<T>> {
                let run = self.stack(&self.parameters).forward(layout, input, hx, dropout_mask.as_ref())?;
                let RecurrentOutput { output, h_n } = run.outputs.clone();
                let (options, parameters) = (self.options.clone(), self.parameters.clone());
                Ok($pass { output, h_n, dropout_mask, run, options, parameters })
            }

            /// Back through layers and steps, with the parameters as they were in the pass. A gradient of `h_n` that is left out
            /// is 0.
            ///
            /// # Errors
            /// Where `grad_output` or `grad_h_n` does not have its output's shape, or the pass is of a layer of other options.
            pub fn backward(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                grad_h_n: Option<&Tensor<T>>,
            ) -> Result<RecurrentGradients<T>> {
                let layer = stringify!($layer);
                if pass.options != self.options {
                    let got = format!("was made with {:?}", pass.options);
                    return Err(Error::new(layer, "pass", got, "a pass of a layer of these options"));
                }
                let shape_of_h_n = pass.run.outputs.h_n.shape();
                crate::check_grad_output(layer, grad_output, Ok(pass.run.outputs.output.shape().to_vec()))?;
                if let Some(grad) = grad_h_n.filter(|grad| grad.shape() != shape_of_h_n) {
                    let expected = format!("{shape_of_h_n:?}, h_n's");
                    return Err(Error::shape(layer, "grad_h_n", grad.shape(), expected));
                }
                let stack = self.stack(&pass.parameters);
                let (input, hx, parameters) = stack.backward(&pass.run, grad_output, grad_h_n)?;
                Ok(RecurrentGradients { input, hx, parameters })
            }
        }

        /// As a layer of one input and one output: from hidden states 0, without `h_n`.
        impl<T: Real> Layer<T> for $layer<T> {
            fn name(&self) -> &'static str {
                stringify!($layer)
            }
            fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
                $layer::output_shape(self, input_shape)
            }
            fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
                $layer::forward(self, input, None).map(|outputs| outputs.output)
            }
            fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
                let pass = $layer::forward_pass(self, input, None)?;
                Ok((pass.output.clone(), Saved::new(pass)))
            }
            fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
                let gradients = $layer::backward(self, saved.get(stringify!($layer))?, grad_output, None)?;
                let mut parameters = Vec::new();
                for (one, suffix) in gradients.parameters.iter().zip(self.options.suffixes()) {
                    parameters.extend(one.named(&suffix).map(|(name, tensor)| (name.into(), tensor.clone())));
                }
                Ok(Gradients { input: gradients.input, parameters })
            }
            fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
                for (one, suffix) in self.parameters.iter().zip(self.options.suffixes()) {
                    one.named(&suffix).for_each(|(name, tensor)| visit(&name, tensor));
                }
            }
            fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
                for (one, suffix) in self.parameters.iter_mut().zip(self.options.suffixes()) {
                    one.named_mut(&suffix).for_each(|(name, tensor)| visit(&name, tensor.as_mut_slice()));
                }
            }
            fn set_training(&mut self, training: bool) {
                self.training = training;
            }
        }
    };
}
pub(crate) use recurrent_layer;
