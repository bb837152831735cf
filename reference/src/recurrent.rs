//! What RNN and GRU have in common: sequences, layers, directions and dropout. Each layer's own file holds what a step computes.

use crate::Real;
use vocabulary::{RecurrentOutput, RecurrentParameters, Result, SequenceLayout, Tensor};

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
            .map(|t| (0..batch).map(|n| row(input, layout.row(t, n), self.input_size).to_vec()).collect())
            .collect();
        let mut h_n = Vec::new();
        let mut moments = Vec::new();
        for layer in 0..self.num_layers() {
            let mut above = vec![vec![Vec::with_capacity(width); batch]; length];
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
                        output.iter_mut().zip(keep).for_each(|(y, &keep)| *y = *y * keep);
                    }
                }
            }
            below = above;
        }
        let mut output = Tensor::full(&layout.sequence_shape(width), T::zero())?;
        for (t, step) in below.iter().enumerate() {
            for (n, y) in step.iter().enumerate() {
                row_mut(&mut output, layout.row(t, n), width).copy_from_slice(y);
            }
        }
        let h_n = Tensor::from_vec(&layout.state_shape(self.parameters.len(), size), h_n)?;
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
            .map(|t| (0..batch).map(|n| row(grad_output, run.layout.row(t, n), width).to_vec()).collect())
            .collect();
        for layer in (0..self.num_layers()).rev() {
            if let Some(mask) = run.mask.as_ref().filter(|_| layer + 1 < self.num_layers()) {
                for (t, step) in above.iter_mut().enumerate() {
                    for (n, gradient) in step.iter_mut().enumerate() {
                        let keep = row(mask, (layer * length + t) * batch + n, width);
                        gradient.iter_mut().zip(keep).for_each(|(g, &keep)| *g = *g * keep);
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
                        add_products(&mut sums.weight_ih, &step.input_sums, x);
                        add_products(&mut sums.weight_hh, &step.hidden_sums, h);
                        add_all(sums.bias_ih.as_mut(), &step.input_sums);
                        add_all(sums.bias_hh.as_mut(), &step.hidden_sums);
                        add_transposed(&mut below[t][n], &parameters.weight_ih, &step.input_sums);
                        dh = step.hidden;
                        add_transposed(&mut dh, &parameters.weight_hh, &step.hidden_sums);
                    }
                    row_mut(&mut dhx, last, size).copy_from_slice(&dh);
                }
            }
            above = below;
        }
        let mut dx = Tensor::full(&run.layout.sequence_shape(self.input_size), T::zero())?;
        for (t, step) in above.iter().enumerate() {
            for (n, gradient) in step.iter().enumerate() {
                row_mut(&mut dx, run.layout.row(t, n), self.input_size).copy_from_slice(gradient);
            }
        }
        Ok((dx, dhx, gradients))
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
        use crate::recurrent::{Run, Stack};
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
            parameters: Vec<RecurrentParameters<T>>,
        }

        impl<T: Real> $layer<T> {
            /// A layer in training, with PyTorch's initial distribution: every parameter uniform on [−1/√H, 1/√H). Its dropout
            /// draws from a generator of its own, which is seeded by the next word of `rng`.
            ///
            /// # Errors
            /// Where an option is refused, or a parameter cannot be stored.
            pub fn init(options: $options, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
                let parameters = options.init_parameters(rng)?;
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
                Ok(layout.sequence_shape(self.options.directions() * self.options.hidden_size))
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

            /// The factors of dropout that training has drawn from the generator: none where nothing is dropped.
            fn mask(&self, layout: &SequenceLayout, generator: &mut SmallRng) -> Result<Option<Tensor<T>>> {
                if !self.training || self.options.num_layers == 1 || self.options.dropout == 0.0 {
                    return Ok(None);
                }
                let shape = self.options.mask_shape(layout);
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
            /// Where input or `hx` have other shapes than the options ask for, or there is no step.
            pub fn forward(&self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<RecurrentOutput<T>> {
                let layout = self.options.check_input(input.shape(), hx.map(Tensor::shape))?;
                let mask = self.mask(&layout, &mut self.dropout.clone())?;
                Ok(self.stack(&self.parameters).forward(layout, input, hx, mask.as_ref())?.outputs)
            }

            /// The same, and what backward needs; in training it draws the next mask of dropout.
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_pass(&mut self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<$pass<T>> {
                let layout = self.options.check_input(input.shape(), hx.map(Tensor::shape))?;
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
                let layout = self.options.check_input(input.shape(), hx.map(Tensor::shape))?;
                let due = self.options.mask_shape(&layout);
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
                Ok($pass { output, h_n, dropout_mask, run, parameters: self.parameters.clone() })
            }

            /// Back through layers and steps, with the parameters as they were in the pass. A gradient of `h_n` that is left out
            /// is 0.
            ///
            /// # Errors
            /// Where `grad_output` or `grad_h_n` does not have its output's shape.
            pub fn backward(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                grad_h_n: Option<&Tensor<T>>,
            ) -> Result<RecurrentGradients<T>> {
                let layer = stringify!($layer);
                crate::check_grad_output(layer, grad_output, &pass.output)?;
                if let Some(grad) = grad_h_n.filter(|grad| grad.shape() != pass.h_n.shape()) {
                    let expected = format!("{:?}, h_n's", pass.h_n.shape());
                    return Err(Error::shape(layer, "grad_h_n", grad.shape(), expected));
                }
                self.options.check_parameters(&pass.parameters).map_err(|error| error.of(layer, "pass"))?;
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
