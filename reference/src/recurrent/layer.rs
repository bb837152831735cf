//! The recurrent layer as its users see it, around whatever cell.

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
