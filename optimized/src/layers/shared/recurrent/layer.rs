//! The recurrent layer as its users see it.

/// Defines a recurrent layer, whose options are [`super::Recurrent`].
macro_rules! recurrent_layer {
    (
        $(#[$doc:meta])*
        pub struct $layer:ident, $pass:ident, $options:ident;
    ) => {
        use crate::layers::shared::recurrent::{self, Call, Recurrent, Run, Stack};
        use crate::{Choice, Execution, Float};
        use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
        use vocabulary::{
            $options, Error, Gradients, Layer, RecurrentGradients, RecurrentOutput, RecurrentParameters, Result, Saved,
            SequenceLayout, StateDict, Tensor,
        };

        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $layer<T> {
            options: $options,
            parameters: Vec<RecurrentParameters<T>>,
            dropout: SmallRng,
            training: bool,
            execution: Execution,
        }

        /// What a training step's forward gives and keeps.
        #[derive(Debug, Clone)]
        pub struct $pass<T> {
            /// The last layer's hidden state at every step: see [`RecurrentOutput`].
            pub output: Tensor<T>,
            /// The last hidden state of every layer and direction.
            pub h_n: Tensor<T>,
            /// The factors of dropout that the pass drew or was given: [num_layers − 1, L, N, D·H].
            pub dropout_mask: Option<Tensor<T>>,
            run: Run<T>,
            layout: SequenceLayout,
            input: Tensor<T>,
            options: $options,
            parameters: Vec<RecurrentParameters<T>>,
        }

        impl<T: Float> $layer<T> {
            /// A layer in training, with PyTorch's initial distribution: every parameter uniform on [−1/√H, 1/√H). Its dropout
            /// draws from a generator of its own, which is seeded by the next word of `rng`.
            ///
            /// # Errors
            /// Where an option is refused, or a parameter cannot be stored.
            pub fn init(options: $options, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
                options.check_storage::<T>()?;
                let parameters = recurrent::initial(&options, rng)?;
                Ok(Self::built(options, parameters, rng.random()))
            }

            fn built(options: $options, parameters: Vec<RecurrentParameters<T>>, seed: u64) -> Self {
                let dropout = SmallRng::seed_from_u64(seed);
                Self { options, parameters, dropout, training: true, execution: Execution::default() }
            }

            /// A layer in training, with given parameters: those of every layer and direction, forward and then reverse. Its
            /// dropout draws from seed 0; see `seed_dropout`.
            ///
            /// # Errors
            /// Where an option is refused, or a parameter has another shape, is missing or superfluous.
            pub fn with_parameters(options: $options, parameters: Vec<RecurrentParameters<T>>) -> Result<Self> {
                options.check_parameters(&parameters)?;
                Ok(Self::built(options, parameters, 0))
            }

            /// A layer in training, with the parameters of a state dictionary: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`,
            /// `bias_hh_l0`, the same with `_reverse`, then those of layer 1.
            ///
            /// # Errors
            /// Where one is missing, unknown, or of another shape or type.
            pub fn from_state_dict(options: $options, state: &StateDict) -> Result<Self> {
                let parameters = options.parameters_of(state)?;
                Self::with_parameters(options, parameters)
            }

            /// The parameters under PyTorch's names.
            pub fn state_dict(&self) -> StateDict {
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

            /// How the layer is run.
            pub fn execution(&self) -> &Execution {
                &self.execution
            }

            /// Sets how the layer is run.
            ///
            /// # Errors
            /// Where the machine lacks the instruction set, or the layer has no such algorithm.
            pub fn set_execution(&mut self, execution: Execution) -> Result<()> {
                execution.check(stringify!($layer))?;
                self.execution = execution;
                Ok(())
            }

            /// The algorithms for an input of `input_shape`: one, which accepts everything.
            ///
            /// # Errors
            /// Where the input is neither a sequence nor a batch of sequences of `input_size` features.
            pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
                self.options.check_input(input_shape, None)?;
                Ok(crate::execution::only(stringify!($layer)))
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
                Ok(self.options.sizes().output_shape(&layout))
            }

            /// The sizes of a call, for which memory can be had.
            fn layout(&self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<SequenceLayout> {
                let layout = self.options.check_input(input.shape(), hx.map(Tensor::shape))?;
                self.options.sizes().check_storage::<T>(&layout)?;
                Ok(layout)
            }

            /// The factors of dropout that training has drawn from the generator: none where nothing is dropped.
            fn mask(&self, layout: &SequenceLayout, generator: &mut SmallRng) -> Result<Option<Tensor<T>>> {
                self.options.sizes().mask(self.training, layout, generator)
            }

            /// Output and last hidden states, from hidden states `hx` or 0. In training it drops out what the next
            /// `forward_pass` would, and leaves the generator as it is.
            ///
            /// # Errors
            /// Where input or `hx` have other shapes than the options ask for, there is no step, or they cannot be stored.
            pub fn forward(&self, input: &Tensor<T>, hx: Option<&Tensor<T>>) -> Result<RecurrentOutput<T>> {
                let layout = self.layout(input, hx)?;
                let (mut output, mut h_n) = self.options.sizes().outputs(&layout)?;
                self.run(layout, input, hx, (&mut output, &mut h_n))?;
                Ok(RecurrentOutput { output, h_n })
            }

            /// `forward`, written into `output` and `h_n`, whose elements are overwritten.
            ///
            /// # Errors
            /// As `forward`, and where `output` or `h_n` do not have their shapes.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($layer), ", ", stringify!($options), ", Tensor};")]
            /// use rand::{SeedableRng, rngs::SmallRng};
            #[doc = concat!("let options = ", stringify!($options), "::new(2, 3);")]
            #[doc = concat!("let layer = ", stringify!($layer), "::init(options, &mut SmallRng::seed_from_u64(0))?;")]
            /// let x = Tensor::full(&[5, 1, 2], 0.5_f32)?;
            /// let (mut output, mut h_n) = (Tensor::full(&[5, 1, 3], f32::NAN)?, Tensor::full(&[1, 1, 3], f32::NAN)?);
            /// layer.forward_into(&x, None, &mut output, &mut h_n)?;
            /// assert_eq!(output, layer.forward(&x, None)?.output);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn forward_into(
                &self,
                input: &Tensor<T>,
                hx: Option<&Tensor<T>>,
                output: &mut Tensor<T>,
                h_n: &mut Tensor<T>,
            ) -> Result<()> {
                let layout = self.layout(input, hx)?;
                self.options.sizes().check_room(&layout, output, h_n)?;
                self.run(layout, input, hx, (output, h_n))
            }

            fn run(
                &self,
                layout: SequenceLayout,
                input: &Tensor<T>,
                hx: Option<&Tensor<T>>,
                (output, h_n): (&mut Tensor<T>, &mut Tensor<T>),
            ) -> Result<()> {
                let mask = self.mask(&layout, &mut self.dropout.clone())?;
                let call = Call { layout, input, hx, mask: mask.as_ref() };
                let outputs = (output.as_mut_slice(), h_n.as_mut_slice());
                self.run_forward(&call, outputs, false)?;
                Ok(())
            }

            fn run_forward(
                &self,
                call: &Call<'_, T>,
                outputs: (&mut [T], &mut [T]),
                keep: bool,
            ) -> Result<Run<T>> {
                self.execution.run(|kernel| {
                    let stack = Stack { sizes: self.options.sizes(), parameters: &self.parameters, kernel };
                    self.options.forward(&stack, call, outputs, keep)
                })
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
                self.options.sizes().check_mask(&layout, dropout_mask)?;
                self.pass(layout, input, hx, Some(dropout_mask.clone()))
            }

            fn pass(
                &self,
                layout: SequenceLayout,
                input: &Tensor<T>,
                hx: Option<&Tensor<T>>,
                dropout_mask: Option<Tensor<T>>,
            ) -> Result<$pass<T>> {
                let (mut output, mut h_n) = self.options.sizes().outputs(&layout)?;
                let call = Call { layout, input, hx, mask: dropout_mask.as_ref() };
                let outputs = (output.as_mut_slice(), h_n.as_mut_slice());
                let run = self.run_forward(&call, outputs, true)?;
                let (input, options, parameters) = (input.clone(), self.options.clone(), self.parameters.clone());
                Ok($pass { output, h_n, dropout_mask, run, layout, input, options, parameters })
            }

            /// Back through layers and steps, with the parameters as they were in the pass. A gradient of `h_n` that is left out
            /// is 0.
            ///
            /// # Errors
            /// Where `grad_output` or `grad_h_n` does not have its output's shape, the pass is of a layer of other options, or what is
            /// needed cannot be stored.
            pub fn backward(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                grad_h_n: Option<&Tensor<T>>,
            ) -> Result<RecurrentGradients<T>> {
                self.check_backward(pass, grad_output, grad_h_n)?;
                let mut gradients = self.options.sizes().gradients(&pass.layout, &pass.input, &pass.parameters)?;
                self.run_backward(pass, grad_output, grad_h_n, &mut gradients)?;
                Ok(gradients)
            }

            /// `backward`, written into `gradients`, such as an earlier call has given; their elements are overwritten.
            ///
            /// # Errors
            /// As `backward`, and where a gradient has another shape, is missing or superfluous; then nothing is written. Where memory
            /// for the steps cannot be had, what the gradients hold is of no use.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($layer), ", ", stringify!($options), ", Tensor};")]
            /// use rand::{SeedableRng, rngs::SmallRng};
            #[doc = concat!("let options = ", stringify!($options), "::new(2, 3);")]
            #[doc = concat!("let mut layer = ", stringify!($layer), "::init(options, &mut SmallRng::seed_from_u64(0))?;")]
            /// let pass = layer.forward_pass(&Tensor::full(&[5, 1, 2], 0.5_f32)?, None)?;
            /// let mut gradients = layer.backward(&pass, &Tensor::full(&[5, 1, 3], 1.0)?, None)?;
            /// let g = Tensor::full(&[5, 1, 3], 0.5)?;
            /// layer.backward_into(&pass, &g, None, &mut gradients)?;
            /// assert_eq!(gradients, layer.backward(&pass, &g, None)?);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn backward_into(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                grad_h_n: Option<&Tensor<T>>,
                gradients: &mut RecurrentGradients<T>,
            ) -> Result<()> {
                self.check_backward(pass, grad_output, grad_h_n)?;
                let parameters = (&pass.parameters[..], self.options.suffixes());
                self.options.sizes().zero_gradients(&pass.layout, &pass.input, parameters, gradients)?;
                self.run_backward(pass, grad_output, grad_h_n, gradients)
            }

            fn check_backward(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                grad_h_n: Option<&Tensor<T>>,
            ) -> Result<()> {
                let layer = stringify!($layer);
                if pass.options != self.options {
                    let got = format!("was made with {:?}", pass.options);
                    return Err(Error::new(layer, "pass", got, "a pass of a layer of these options"));
                }
                self.options.sizes().check_gradients(&pass.layout, grad_output, grad_h_n)
            }

            /// Writes the gradients, over zeros.
            fn run_backward(
                &self,
                pass: &$pass<T>,
                grad_output: &Tensor<T>,
                grad_h_n: Option<&Tensor<T>>,
                gradients: &mut RecurrentGradients<T>,
            ) -> Result<()> {
                let call =
                    Call { layout: pass.layout, input: &pass.input, hx: None, mask: pass.dropout_mask.as_ref() };
                self.execution.run(|kernel| {
                    let stack = Stack { sizes: self.options.sizes(), parameters: &pass.parameters, kernel };
                    self.options.backward(&stack, &call, &pass.run, (grad_output, grad_h_n), gradients)
                })
            }
        }

        /// As a layer of one input and one output: from hidden states 0, without `h_n`.
        impl<T: Float> Layer<T> for $layer<T> {
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
