//! What RNN and GRU have in common: sequences, layers, directions and dropout.

mod layer;
mod rows;
mod stack;

pub(crate) use layer::recurrent_layer;
pub use stack::{Call, Run, Stack};

use crate::layers::{require_output_shape, require_room, require_room_if_due, zeroed, zeros};
use crate::{Float, memory};
use rand::Rng;
use rand::rngs::SmallRng;
use vocabulary::{Error, RecurrentGradients, RecurrentParameters, Result, SequenceLayout, Tensor, init};

/// The options of a recurrent layer, and what its steps compute.
pub trait Recurrent: Clone + PartialEq + std::fmt::Debug {
    /// The sizes that all recurrent layers have.
    fn sizes(&self) -> Sizes;

    /// The names of each layer and direction, and the shapes of its parameters.
    fn named_shapes(&self) -> Result<Vec<(String, [Vec<usize>; 4])>>;

    /// All layers in all directions, forward, with the cell that the options ask for; see [`Stack::forward`].
    fn forward<T: Float>(
        &self,
        stack: &Stack<'_, T>,
        call: &Call<'_, T>,
        outputs: (&mut [T], &mut [T]),
        keep: bool,
    ) -> Result<Run<T>>;

    /// And back; see [`Stack::backward`].
    fn backward<T: Float>(
        &self,
        stack: &Stack<'_, T>,
        call: &Call<'_, T>,
        run: &Run<T>,
        of_outputs: (&Tensor<T>, Option<&Tensor<T>>),
        gradients: &mut RecurrentGradients<T>,
    ) -> Result<()>;
}

/// The sizes of a recurrent layer, and what it drops out.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub layer: &'static str,
    /// G.
    pub gates: usize,
    pub input_size: usize,
    pub hidden_size: usize,
    pub num_layers: usize,
    /// D.
    pub directions: usize,
    pub bias: bool,
    pub dropout: f64,
    /// Whether training draws a mask.
    pub draws_mask: bool,
}

/// What [`Recurrent::sizes`] and [`Recurrent::named_shapes`] are of any options.
macro_rules! of_options {
    ($layer:literal, gates $gates:literal) => {
        fn sizes(&self) -> crate::layers::shared::recurrent::Sizes {
            crate::layers::shared::recurrent::Sizes {
                layer: $layer,
                gates: $gates,
                input_size: self.input_size,
                hidden_size: self.hidden_size,
                num_layers: self.num_layers,
                directions: self.directions(),
                bias: self.bias,
                dropout: self.dropout,
                draws_mask: self.draws_mask(),
            }
        }

        fn named_shapes(&self) -> vocabulary::Result<Vec<(String, [Vec<usize>; 4])>> {
            let named = self.suffixes().enumerate();
            named.map(|(number, suffix)| Ok((suffix, self.parameter_shapes(number)?))).collect()
        }
    };
}
pub(crate) use of_options;

impl Sizes {
    /// D·H, the features of an output.
    fn width(&self) -> usize {
        self.directions * self.hidden_size
    }

    /// The output's shape: the input's with D·H features.
    pub fn output_shape(&self, layout: &SequenceLayout) -> Vec<usize> {
        match (layout.batched, layout.batch_first) {
            (false, _) => vec![layout.length, self.width()],
            (true, false) => vec![layout.length, layout.batch, self.width()],
            (true, true) => vec![layout.batch, layout.length, self.width()],
        }
    }

    /// The shape of initial and last hidden states.
    pub fn state_shape(&self, layout: &SequenceLayout) -> Vec<usize> {
        let states = self.num_layers * self.directions;
        match layout.batched {
            true => vec![states, layout.batch, self.hidden_size],
            false => vec![states, self.hidden_size],
        }
    }

    /// [num_layers − 1, L, N, D·H].
    fn mask_shape(&self, layout: &SequenceLayout) -> [usize; 4] {
        [self.num_layers - 1, layout.length, layout.batch, self.width()]
    }

    /// The factors of dropout that training draws from the generator: none where nothing is dropped.
    pub fn mask<T: Float>(
        &self,
        training: bool,
        layout: &SequenceLayout,
        generator: &mut SmallRng,
    ) -> Result<Option<Tensor<T>>> {
        if !training || self.num_layers == 1 || self.dropout == 0.0 {
            return Ok(None);
        }
        let shape = self.mask_shape(layout);
        let mask = match self.draws_mask {
            true => init::dropout_mask(&shape, self.dropout, generator),
            false => Tensor::full(&shape, T::ZERO),
        };
        mask.map(Some).map_err(|error| error.of(self.layer, "dropout"))
    }

    /// Refuses a mask that does not have one factor for each output of all layers but the last.
    pub fn check_mask<T>(&self, layout: &SequenceLayout, mask: &Tensor<T>) -> Result<()> {
        let due = self.mask_shape(layout);
        match mask.shape() == due {
            true => Ok(()),
            false => {
                let expected = format!("{due:?}, [num_layers − 1, L, N, D·H]");
                Err(Error::shape(self.layer, "dropout_mask", mask.shape(), expected))
            }
        }
    }

    /// Refuses steps for which memory cannot be had, before any is taken: of each, its input, its output, and what a pass keeps of
    /// every layer and direction. What backward takes beside that is refused where it is due.
    pub fn check_storage<T>(&self, layout: &SequenceLayout) -> Result<()> {
        let (length, batch) = steps_of(layout);
        let features = self.input_size.max(self.width());
        let states = self.num_layers * self.directions;
        let factors = [length, batch, states, features, (2 + 2 * self.gates) * size_of::<T>()];
        let reserved = memory::count(&factors).map(|bytes| Vec::<u8>::new().try_reserve_exact(bytes));
        match reserved {
            Some(Ok(())) => Ok(()),
            _ => Err(self.too_large(layout)),
        }
    }

    /// The refusal of steps that cannot be stored.
    fn too_large(&self, layout: &SequenceLayout) -> Error {
        let (length, batch) = steps_of(layout);
        Error::too_large(self.layer, "input", &[length, batch, self.input_size.max(self.width())])
    }

    /// Refuses gradients that are not in the shapes of their outputs.
    pub fn check_gradients<T>(
        &self,
        layout: &SequenceLayout,
        grad_output: &Tensor<T>,
        grad_h_n: Option<&Tensor<T>>,
    ) -> Result<()> {
        require_output_shape(self.layer, grad_output, &self.output_shape(layout))?;
        let due = self.state_shape(layout);
        match grad_h_n.filter(|grad| grad.shape() != due) {
            Some(grad) => Err(Error::shape(self.layer, "grad_h_n", grad.shape(), format_args!("{due:?}, h_n's"))),
            None => Ok(()),
        }
    }

    /// Zeros for the gradients of an input, of initial hidden states and of parameters.
    pub fn gradients<T: Float>(
        &self,
        layout: &SequenceLayout,
        input: &Tensor<T>,
        parameters: &[RecurrentParameters<T>],
    ) -> Result<RecurrentGradients<T>> {
        let like = |name: &str, tensor: &Tensor<T>| zeros(self.layer, name, tensor.shape());
        let bias = |name: &str, tensor: &Option<Tensor<T>>| tensor.as_ref().map(|bias| like(name, bias)).transpose();
        let parameters = parameters.iter().map(|one| {
            Ok(RecurrentParameters {
                weight_ih: like("grad_weight_ih", &one.weight_ih)?,
                weight_hh: like("grad_weight_hh", &one.weight_hh)?,
                bias_ih: bias("grad_bias_ih", &one.bias_ih)?,
                bias_hh: bias("grad_bias_hh", &one.bias_hh)?,
            })
        });
        Ok(RecurrentGradients {
            input: like("grad_input", input)?,
            hx: zeros(self.layer, "grad_hx", &self.state_shape(layout))?,
            parameters: parameters.collect::<Result<_>>()?,
        })
    }

    /// Lets the caller's gradients be zeros, or refuses them before where they cannot take those of an input, of initial hidden states
    /// and of parameters with these suffixes.
    pub fn zero_gradients<T: Float>(
        &self,
        layout: &SequenceLayout,
        input: &Tensor<T>,
        (parameters, suffixes): (&[RecurrentParameters<T>], impl Iterator<Item = String>),
        gradients: &mut RecurrentGradients<T>,
    ) -> Result<()> {
        require_room(self.layer, "grad_input", &gradients.input, input.shape())?;
        require_room(self.layer, "grad_hx", &gradients.hx, &self.state_shape(layout))?;
        if gradients.parameters.len() != parameters.len() {
            let got = format!("has {}", gradients.parameters.len());
            return Err(Error::new(self.layer, "grad_parameters", got, parameters.len()));
        }
        for ((one, due), suffix) in gradients.parameters.iter().zip(parameters).zip(suffixes) {
            let room = |name: &str, tensor: Option<&Tensor<T>>, due: Option<&Tensor<T>>| {
                require_room_if_due(self.layer, &format!("grad_{name}{suffix}"), tensor, due.map(Tensor::shape))
            };
            room("weight_ih", Some(&one.weight_ih), Some(&due.weight_ih))?;
            room("weight_hh", Some(&one.weight_hh), Some(&due.weight_hh))?;
            room("bias_ih", one.bias_ih.as_ref(), due.bias_ih.as_ref())?;
            room("bias_hh", one.bias_hh.as_ref(), due.bias_hh.as_ref())?;
        }
        zeroed(&mut gradients.input);
        zeroed(&mut gradients.hx);
        gradients.parameters.iter_mut().flat_map(|one| one.named_mut("")).for_each(|(_, tensor)| {
            zeroed(tensor);
        });
        Ok(())
    }

    /// Tensors for an output and for the last hidden states.
    pub fn outputs<T: Float>(&self, layout: &SequenceLayout) -> Result<(Tensor<T>, Tensor<T>)> {
        let output = zeros(self.layer, "output", &self.output_shape(layout))?;
        Ok((output, zeros(self.layer, "h_n", &self.state_shape(layout))?))
    }

    /// Refuses tensors of the caller's that cannot take an output and the last hidden states.
    pub fn check_room<T>(&self, layout: &SequenceLayout, output: &Tensor<T>, h_n: &Tensor<T>) -> Result<()> {
        require_room(self.layer, "output", output, &self.output_shape(layout))?;
        require_room(self.layer, "h_n", h_n, &self.state_shape(layout))
    }
}

/// L and N; no step at all where there is no sequence, however long it would be.
fn steps_of(layout: &SequenceLayout) -> (usize, usize) {
    (if layout.batch == 0 { 0 } else { layout.length }, layout.batch)
}

/// PyTorch's initial parameters: each uniform on [−1/√H, 1/√H).
pub fn initial<T: Float>(
    options: &impl Recurrent,
    rng: &mut (impl Rng + ?Sized),
) -> Result<Vec<RecurrentParameters<T>>> {
    let Sizes { layer, hidden_size, bias, .. } = options.sizes();
    let bound = 1.0 / (hidden_size as f64).sqrt();
    let mut parameters = Vec::new();
    for (suffix, [weight_ih, weight_hh, bias_ih, bias_hh]) in options.named_shapes()? {
        let mut uniform = |name: &str, shape: &[usize]| {
            init::uniform(shape, bound, rng).map_err(|error| error.of(layer, &format!("{name}{suffix}")))
        };
        parameters.push(RecurrentParameters {
            weight_ih: uniform("weight_ih", &weight_ih)?,
            weight_hh: uniform("weight_hh", &weight_hh)?,
            bias_ih: bias.then(|| uniform("bias_ih", &bias_ih)).transpose()?,
            bias_hh: bias.then(|| uniform("bias_hh", &bias_hh)).transpose()?,
        });
    }
    Ok(parameters)
}
