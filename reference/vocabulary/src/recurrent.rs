//! What the recurrent layers share: the options that they have in common, their parameters, and the layouts of their inputs.

use crate::{Error, Result, StateDict, StateElement, Tensor};

/// The parameters of one layer in one direction, for G gates (1 for RNN, 3 for GRU).
#[derive(Debug, Clone, PartialEq)]
pub struct RecurrentParameters<T> {
    /// [G·hidden_size, the size of the layer's input].
    pub weight_ih: Tensor<T>,
    /// [G·hidden_size, hidden_size].
    pub weight_hh: Tensor<T>,
    /// `[G·hidden_size]`, where the layer has biases.
    pub bias_ih: Option<Tensor<T>>,
    /// `[G·hidden_size]`, where the layer has biases.
    pub bias_hh: Option<Tensor<T>>,
}

/// PyTorch's names of one layer's parameters in one direction, without and with what says which layer and direction.
const NAMES: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

impl<T> RecurrentParameters<T> {
    /// The parameters with their names in the state dictionary, `weight_ih_l0` or `weight_ih_l0_reverse` and so on.
    pub fn named(&self, suffix: &str) -> impl Iterator<Item = (String, &Tensor<T>)> {
        let tensors = [Some(&self.weight_ih), Some(&self.weight_hh), self.bias_ih.as_ref(), self.bias_hh.as_ref()];
        let suffix = suffix.to_owned();
        NAMES.into_iter().zip(tensors).filter_map(move |(name, tensor)| Some((format!("{name}{suffix}"), tensor?)))
    }

    /// The same, for writing.
    pub fn named_mut(&mut self, suffix: &str) -> impl Iterator<Item = (String, &mut Tensor<T>)> {
        let Self { weight_ih, weight_hh, bias_ih, bias_hh } = self;
        let tensors = [Some(weight_ih), Some(weight_hh), bias_ih.as_mut(), bias_hh.as_mut()];
        let suffix = suffix.to_owned();
        NAMES.into_iter().zip(tensors).filter_map(move |(name, tensor)| Some((format!("{name}{suffix}"), tensor?)))
    }
}

/// Output and last hidden states of a recurrent layer.
#[derive(Debug, Clone, PartialEq)]
pub struct RecurrentOutput<T> {
    /// [L, N, D·H], [N, L, D·H] with `batch_first`, or [L, D·H] of an input without a batch: the last layer's hidden state at
    /// every step, both directions side by side.
    pub output: Tensor<T>,
    /// [D·num_layers, N, H], or [D·num_layers, H]: each layer's and direction's last hidden state.
    pub h_n: Tensor<T>,
}

/// What the backward of a recurrent layer gives.
#[derive(Debug, Clone, PartialEq)]
pub struct RecurrentGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the shape of `h_n`: of the initial hidden states, also where they were left out and so 0.
    pub hx: Tensor<T>,
    /// In the order of the parameters: layer by layer, forward and then reverse.
    pub parameters: Vec<RecurrentParameters<T>>,
}

/// The sizes of a call: how long the sequences are and how many, and how the caller lays them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceLayout {
    /// L, the number of steps.
    pub length: usize,
    /// N, the number of sequences; 1 of an input without a batch.
    pub batch: usize,
    /// Whether the input has a dimension for its sequences.
    pub batched: bool,
    /// Whether that dimension comes first.
    pub batch_first: bool,
}

/// The options that recurrent layers share, as the checks below need them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    pub layer: &'a str,
    pub gates: usize,
    pub input_size: usize,
    pub hidden_size: usize,
    pub num_layers: usize,
    pub bias: bool,
    pub batch_first: bool,
    pub dropout: f64,
    pub bidirectional: bool,
}

impl Common<'_> {
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// G·H, the rows of each weight.
    fn rows(&self) -> Result<usize> {
        let too_large = || Error::too_large(self.layer, "hidden_size", &[self.gates, self.hidden_size]);
        self.gates.checked_mul(self.hidden_size).ok_or_else(too_large)
    }

    /// The shapes of the parameters of the layer and direction with that number, in PyTorch's order.
    pub fn shapes(&self, number: usize) -> Result<[Vec<usize>; 4]> {
        let rows = self.rows()?;
        let too_large = || Error::too_large(self.layer, "hidden_size", &[self.directions(), self.hidden_size]);
        let below = self.directions().checked_mul(self.hidden_size).ok_or_else(too_large)?;
        let inputs = if number < self.directions() { self.input_size } else { below };
        Ok([vec![rows, inputs], vec![rows, self.hidden_size], vec![rows], vec![rows]])
    }

    /// The number of layers and directions, each of which has parameters and a hidden state.
    pub fn states(&self) -> Result<usize> {
        let too_large = || Error::too_large(self.layer, "num_layers", &[self.num_layers, self.directions()]);
        self.num_layers.checked_mul(self.directions()).ok_or_else(too_large)
    }

    /// What PyTorch puts behind a parameter's name.
    pub fn suffix(&self, number: usize) -> String {
        let reverse = if number % self.directions() == 1 { "_reverse" } else { "" };
        format!("_l{}{reverse}", number / self.directions())
    }

    pub fn check(&self) -> Result<()> {
        let positive =
            [("input_size", self.input_size), ("hidden_size", self.hidden_size), ("num_layers", self.num_layers)];
        if let Some((argument, _)) = positive.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::new(self.layer, argument, "is 0", "a positive number"));
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            let got = format!("is {}", self.dropout);
            return Err(Error::new(self.layer, "dropout", got, "a probability, in 0..=1"));
        }
        self.states()?;
        self.shapes(0).map(|_| ())
    }

    /// Refuses more parameters than memory can be had for, before any is made: PyTorch would go on until it is killed.
    pub fn check_storage<T>(&self) -> Result<()> {
        self.check()?;
        let product =
            |shape: &[usize]| shape.iter().fold(1_u128, |product, &size| product.saturating_mul(size as u128));
        // What four tensors take beside their elements.
        let beside = size_of::<RecurrentParameters<T>>() as u128 + 512;
        let of = |number: usize| -> Result<u128> {
            let numbers = self.shapes(number)?.iter().map(|shape| product(shape)).fold(0, u128::saturating_add);
            Ok(numbers.saturating_mul(size_of::<T>() as u128).saturating_add(beside))
        };
        let directions = self.directions() as u128;
        let above = of(self.directions())?.saturating_mul(directions).saturating_mul(self.num_layers as u128 - 1);
        let bytes = of(0)?.saturating_mul(directions).saturating_add(above);
        let reserved = usize::try_from(bytes).ok().map(|bytes| Vec::<u8>::new().try_reserve_exact(bytes));
        match reserved {
            Some(Ok(())) => Ok(()),
            _ => Err(Error::too_large(self.layer, "num_layers", &[self.num_layers])),
        }
    }

    pub fn check_parameters<T>(&self, parameters: &[RecurrentParameters<T>]) -> Result<()> {
        self.check()?;
        if parameters.len() != self.states()? {
            let expected = format!("one for each layer and direction, {}", self.states()?);
            return Err(Error::new(self.layer, "parameters", format_args!("has {}", parameters.len()), expected));
        }
        for (number, one) in parameters.iter().enumerate() {
            let given = [Some(&one.weight_ih), Some(&one.weight_hh), one.bias_ih.as_ref(), one.bias_hh.as_ref()];
            for ((name, tensor), shape) in NAMES.into_iter().zip(given).zip(self.shapes(number)?) {
                let name = format!("{name}{}", self.suffix(number));
                let due = self.bias || name.starts_with("weight");
                match tensor {
                    Some(tensor) if due => crate::options::require_shape(self.layer, &name, tensor.shape(), &shape)?,
                    Some(tensor) => return Err(Error::shape(self.layer, &name, tensor.shape(), "none (bias = false)")),
                    None if due => return Err(Error::missing(self.layer, &name, format_args!("{shape:?}"))),
                    None => {}
                }
            }
        }
        Ok(())
    }

    pub fn parameters_of<T: StateElement>(&self, state: &StateDict) -> Result<Vec<RecurrentParameters<T>>> {
        self.check()?;
        let mut known = Vec::new();
        let mut parameters = Vec::new();
        for number in 0..self.states()? {
            let [weight_ih, weight_hh, bias_ih, bias_hh] = NAMES.map(|name| format!("{name}{}", self.suffix(number)));
            parameters.push(RecurrentParameters {
                weight_ih: state.tensor(self.layer, &weight_ih)?,
                weight_hh: state.tensor(self.layer, &weight_hh)?,
                bias_ih: state.tensor_if(self.bias, self.layer, &bias_ih)?,
                bias_hh: state.tensor_if(self.bias, self.layer, &bias_hh)?,
            });
            known.extend([weight_ih, weight_hh]);
            known.extend([bias_ih, bias_hh].into_iter().filter(|_| self.bias));
        }
        state.check_names(self.layer, &known.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(parameters)
    }

    /// Whether training draws a mask: dropout lies between layers, and is neither nothing nor all.
    pub fn draws_mask(&self) -> bool {
        self.num_layers > 1 && self.dropout > 0.0 && self.dropout < 1.0
    }

    pub fn check_input(&self, input: &[usize], hx: Option<&[usize]>) -> Result<SequenceLayout> {
        let features = self.input_size;
        let layout = match *input {
            [length, last] if last == features => {
                SequenceLayout { length, batch: 1, batched: false, batch_first: self.batch_first }
            }
            [first, second, last] if last == features => {
                let (length, batch) = if self.batch_first { (second, first) } else { (first, second) };
                SequenceLayout { length, batch, batched: true, batch_first: self.batch_first }
            }
            _ => {
                let batched = if self.batch_first { "[N, L, " } else { "[L, N, " };
                let expected = format!("{batched}{features}] or [L, {features}] (input_size = {features})");
                return Err(Error::shape(self.layer, "input", input, expected));
            }
        };
        if layout.length == 0 {
            return Err(Error::shape(self.layer, "input", input, "at least one step"));
        }
        if let Some(hx) = hx {
            let batch = if layout.batched { Some(layout.batch) } else { None };
            let due: Vec<usize> = std::iter::once(self.states()?).chain(batch).chain([self.hidden_size]).collect();
            crate::options::require_shape(self.layer, "hx", hx, &due)?;
        }
        Ok(layout)
    }
}

/// The options of a recurrent layer of so many gates: its own fields, and those that all of them have, with what all of them
/// do with these.
macro_rules! recurrent_options {
    (
        $(#[$doc:meta])*
        pub struct $options:ident, $layer:literal, gates $gates:literal {
            $($(#[$field_doc:meta])* pub $field:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
        pub struct $options {
            /// The number of features of the input at each step.
            pub input_size: usize,
            /// H, the number of features of a hidden state.
            pub hidden_size: usize,
            /// How many layers are stacked, each fed with the output of the one below.
            #[cfg_attr(feature = "serde", serde(default = "crate::recurrent::default::num_layers"))]
            pub num_layers: usize,
            $(
                $(#[$field_doc])*
                #[cfg_attr(feature = "serde", serde(default))]
                pub $field: $type,
            )*
            /// Whether the layer has biases.
            #[cfg_attr(feature = "serde", serde(default = "crate::options::yes"))]
            pub bias: bool,
            /// Whether input and output are [N, L, …] and not [L, N, …].
            #[cfg_attr(feature = "serde", serde(default))]
            pub batch_first: bool,
            /// The probability with which, in training, each element of the output of every layer but the last is set to 0.
            #[cfg_attr(feature = "serde", serde(default, with = "crate::options::float"))]
            pub dropout: f64,
            /// Whether a second set of layers goes through the sequence from its end.
            #[cfg_attr(feature = "serde", serde(default))]
            pub bidirectional: bool,
        }

        impl $options {
            /// PyTorch's defaults: one layer in one direction, with biases, without dropout, time before batch.
            pub fn new(input_size: usize, hidden_size: usize) -> Self {
                Self {
                    input_size,
                    hidden_size,
                    num_layers: 1,
                    $($field: $default,)*
                    bias: true,
                    batch_first: false,
                    dropout: 0.0,
                    bidirectional: false,
                }
            }

            crate::recurrent::recurrent_setters! {
                num_layers: usize, bias: bool, batch_first: bool, dropout: f64, bidirectional: bool, $($field: $type,)*
            }

            fn common(&self) -> crate::recurrent::Common<'static> {
                crate::recurrent::Common {
                    layer: $layer,
                    gates: $gates,
                    input_size: self.input_size,
                    hidden_size: self.hidden_size,
                    num_layers: self.num_layers,
                    bias: self.bias,
                    batch_first: self.batch_first,
                    dropout: self.dropout,
                    bidirectional: self.bidirectional,
                }
            }

            /// D: 2 where `bidirectional`, else 1.
            pub fn directions(&self) -> usize {
                self.common().directions()
            }

            /// The shapes of `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh` of the layer and direction with that number: layer
            /// by layer, forward and then reverse.
            ///
            /// # Errors
            /// Where sizes overflow.
            pub fn parameter_shapes(&self, number: usize) -> crate::Result<[Vec<usize>; 4]> {
                self.common().shapes(number)
            }

            /// Checks the options, and that memory can be had for the parameters of so many layers, before any is made.
            ///
            /// # Errors
            /// As `check`; names `num_layers`, where it cannot.
            pub fn check_storage<T>(&self) -> crate::Result<()> {
                self.common().check_storage::<T>()
            }

            /// Checks the options among themselves.
            ///
            /// # Errors
            /// Names the option that is 0, overflows or is no probability.
            pub fn check(&self) -> crate::Result<()> {
                self.common().check()
            }

            /// Checks the options, and that the parameters are those of every layer and direction, forward and then reverse.
            ///
            /// # Errors
            /// Names the option, or the parameter that is missing, superfluous or of another shape.
            pub fn check_parameters<T>(&self, parameters: &[crate::RecurrentParameters<T>]) -> crate::Result<()> {
                self.common().check_parameters(parameters)
            }

            /// The parameters of a state dictionary: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, the same with
            /// `_reverse`, then those of layer 1.
            ///
            /// # Errors
            /// Where one is missing, unknown or of another type.
            pub fn parameters_of<T: crate::StateElement>(
                &self,
                state: &crate::StateDict,
            ) -> crate::Result<Vec<crate::RecurrentParameters<T>>> {
                self.common().parameters_of(state)
            }

            /// What PyTorch puts behind the names of the parameters of each layer and direction: `_l0`, `_l0_reverse`, `_l1`, …
            pub fn suffixes(&self) -> impl Iterator<Item = String> + use<> {
                let common = self.common();
                (0..common.states().unwrap_or(0)).map(move |number| common.suffix(number))
            }

            /// Checks the shapes of an input and of initial hidden states, and tells the sizes of the call.
            ///
            /// # Errors
            /// Names `input` or `hx`, with the shape that was expected.
            pub fn check_input(&self, input: &[usize], hx: Option<&[usize]>) -> crate::Result<crate::SequenceLayout> {
                self.common().check_input(input, hx)
            }

            /// Whether a training step draws a dropout mask: there are layers to drop between, and 0 < `dropout` < 1.
            pub fn draws_mask(&self) -> bool {
                self.common().draws_mask()
            }
        }
    };
}
pub(crate) use recurrent_options;

/// Setters of fields.
macro_rules! recurrent_setters {
    ($($field:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets `", stringify!($field), "`.")]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}
pub(crate) use recurrent_setters;

#[cfg(feature = "serde")]
pub(crate) mod default {
    pub fn num_layers() -> usize {
        1
    }
}
