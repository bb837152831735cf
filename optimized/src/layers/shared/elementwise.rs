//! What the layers that treat each element by itself have in common, so that their files hold formulas alone.

use crate::kernels::elementwise::{self, Map, Zip};
use crate::layers::{overwrite, require_room};
use crate::memory::{Output, fresh};
use crate::{Execution, Float};
use vocabulary::{Result, Tensor};

/// f of each element.
pub fn forward<T: Float>(
    layer: &'static str,
    f: impl Map<T>,
    execution: &Execution,
    input: &Tensor<T>,
) -> Result<Tensor<T>> {
    let mut output = fresh(layer, "output", input.shape())?;
    execution.run(|kernel| elementwise::map(f, kernel, input.as_slice(), Output::Fresh(&mut output)));
    output.tensor(input.shape())
}

/// f of each element, written into the caller's tensor.
pub fn forward_into<T: Float>(
    layer: &'static str,
    f: impl Map<T>,
    execution: &Execution,
    input: &Tensor<T>,
    output: &mut Tensor<T>,
) -> Result<()> {
    let output = overwrite(layer, output, input.shape())?;
    execution.run(|kernel| elementwise::map(f, kernel, input.as_slice(), Output::Given(output)));
    Ok(())
}

/// f of each element of what the forward kept and of the output's gradient.
pub fn backward<T: Float>(
    layer: &'static str,
    f: impl Zip<T>,
    execution: &Execution,
    kept: &Tensor<T>,
    grad_output: &Tensor<T>,
) -> Result<Tensor<T>> {
    let mut gradient = fresh(layer, "grad_input", kept.shape())?;
    let operands = (kept.as_slice(), grad_output.as_slice());
    execution.run(|kernel| elementwise::zip(f, kernel, operands, Output::Fresh(&mut gradient)));
    gradient.tensor(kept.shape())
}

/// The same, written into the caller's tensor.
pub fn backward_into<T: Float>(
    layer: &'static str,
    f: impl Zip<T>,
    execution: &Execution,
    (kept, grad_output): (&Tensor<T>, &Tensor<T>),
    gradient: &mut Tensor<T>,
) -> Result<()> {
    require_room(layer, "grad_input", gradient, kept.shape())?;
    let (operands, gradient) = ((kept.as_slice(), grad_output.as_slice()), Output::Given(gradient.as_mut_slice()));
    execution.run(|kernel| elementwise::zip(f, kernel, operands, gradient));
    Ok(())
}

/// Defines a layer that maps each element by `forward`, a [`Map`], and each gradient by `backward`, a [`Zip`] of the tensor
/// `kept`, which is the forward's input or output, and of the output's gradient; a pass keeps the input where `keeps_input` says so.
///
/// `options` is the name under which they see the layer's options; what these make forward and backward refuse says `check`.
macro_rules! elementwise_layer {
    (
        $(#[$doc:meta])*
        pub struct $layer:ident, $pass:ident, $options_type:ident, $gradients:ident;
        forward($options:ident, T) = $forward:expr;
        backward($backward_options:ident) = $backward:expr;
        keeps_input = $keeps_input:literal, kept($kept_options:ident, $input:ident, $output:ident) = $kept:expr;
        $(check($check_options:ident, T) = $check_forward:expr, $check_backward:expr;)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $layer {
            options: vocabulary::$options_type,
            execution: crate::Execution,
        }

        /// What a training step's forward gives and keeps.
        #[derive(Debug, Clone)]
        pub struct $pass<T> {
            /// In the input's shape.
            pub output: vocabulary::Tensor<T>,
            kept_input: Option<vocabulary::Tensor<T>>,
            kept_output: vocabulary::Tensor<T>,
        }

        impl $layer {
            /// A layer with the given options.
            ///
            /// # Errors
            /// None: the `Result` is there as every layer's constructor has it.
            pub fn new(options: vocabulary::$options_type) -> vocabulary::Result<Self> {
                Ok(Self { options, execution: crate::Execution::default() })
            }

            /// The options that the layer was built with.
            pub fn options(&self) -> &vocabulary::$options_type {
                &self.options
            }

            /// How the layer is run.
            pub fn execution(&self) -> &crate::Execution {
                &self.execution
            }

            /// Sets how the layer is run.
            ///
            /// # Errors
            /// Where the machine lacks the instruction set, or the layer has no such algorithm.
            pub fn set_execution(&mut self, execution: crate::Execution) -> vocabulary::Result<()> {
                execution.check(stringify!($layer))?;
                self.execution = execution;
                Ok(())
            }

            /// The algorithms for an input of `input_shape`: one, which accepts everything.
            ///
            /// # Errors
            /// None.
            pub fn choices(&self, input_shape: &[usize]) -> vocabulary::Result<Vec<crate::Choice>> {
                self.output_shape(input_shape)?;
                Ok(crate::execution::only(stringify!($layer)))
            }

            /// The output's shape: the input's.
            ///
            /// # Errors
            /// None.
            pub fn output_shape(&self, input_shape: &[usize]) -> vocabulary::Result<Vec<usize>> {
                Ok(input_shape.to_vec())
            }

            /// What the layer makes of each element.
            ///
            /// # Errors
            /// Where the output cannot be stored, or the options do not admit it.
            pub fn forward<T: crate::Float>(
                &self,
                input: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<vocabulary::Tensor<T>> {
                crate::layers::shared::elementwise::forward(stringify!($layer), self.map()?, &self.execution, input)
            }

            /// `forward`, written into `output`, whose elements are overwritten.
            ///
            /// # Errors
            /// As `forward`, and where `output` does not have the input's shape.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($layer), ", ", stringify!($options_type), ", Tensor};")]
            #[doc = concat!("let layer = ", stringify!($layer), "::new(", stringify!($options_type), "::new())?;")]
            /// let x = Tensor::from_vec(&[2], vec![-1.0, 2.0])?;
            /// let mut y = Tensor::full(&[2], f32::NAN)?;
            /// layer.forward_into(&x, &mut y)?;
            /// assert_eq!(y, layer.forward(&x)?);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn forward_into<T: crate::Float>(
                &self,
                input: &vocabulary::Tensor<T>,
                output: &mut vocabulary::Tensor<T>,
            ) -> vocabulary::Result<()> {
                crate::layers::shared::elementwise::forward_into(stringify!($layer), self.map()?, &self.execution, input, output)
            }

            /// `forward`, written over the input.
            ///
            /// # Errors
            /// Where the options do not admit it.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($layer), ", ", stringify!($options_type), ", Tensor};")]
            #[doc = concat!("let layer = ", stringify!($layer), "::new(", stringify!($options_type), "::new())?;")]
            /// let mut x = Tensor::from_vec(&[2], vec![-1.0_f32, 2.0])?;
            /// let y = layer.forward(&x)?;
            /// layer.forward_in_place(&mut x)?;
            /// assert_eq!(x, y);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn forward_in_place<T: crate::Float>(&self, input: &mut vocabulary::Tensor<T>) -> vocabulary::Result<()> {
                let map = self.map()?;
                self.execution.run(|kernel| crate::kernels::elementwise::map_in_place(map, kernel, input.as_mut_slice()));
                Ok(())
            }

            fn map<T: crate::Float>(&self) -> vocabulary::Result<impl crate::kernels::elementwise::Map<T>> {
                let $options = &self.options;
                $({
                    let $check_options = &self.options;
                    $check_forward?;
                })?
                Ok($forward)
            }

            /// The output, and what backward needs.
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_pass<T: crate::Float>(
                &mut self,
                input: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<$pass<T>> {
                let output = self.forward(input)?;
                let kept_input = $keeps_input.then(|| input.clone());
                Ok($pass { kept_output: output.clone(), output, kept_input })
            }

            /// The gradient of the input.
            ///
            /// # Errors
            /// Where `grad_output` does not have the output's shape, or the options do not admit a backward.
            pub fn backward<T: crate::Float>(
                &self,
                pass: &$pass<T>,
                grad_output: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<vocabulary::$gradients<T>> {
                let (zip, kept) = self.zip(pass, grad_output)?;
                let execution = &self.execution;
                let input = crate::layers::shared::elementwise::backward(
                    stringify!($layer),
                    zip,
                    execution,
                    kept,
                    grad_output,
                )?;
                Ok(vocabulary::$gradients { input })
            }

            /// `backward`, written into `gradients`, such as an earlier call has given; their elements are overwritten.
            ///
            /// # Errors
            /// As `backward`, and where the gradient of the input does not have the input's shape; then nothing is written.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($layer), ", ", stringify!($options_type), ", Tensor};")]
            #[doc = concat!("let mut layer = ", stringify!($layer), "::new(", stringify!($options_type), "::new())?;")]
            /// let pass = layer.forward_pass(&Tensor::from_vec(&[2], vec![-1.0_f32, 2.0])?)?;
            /// let mut gradients = layer.backward(&pass, &Tensor::full(&[2], 1.0)?)?;
            /// let g = Tensor::full(&[2], 0.5)?;
            /// layer.backward_into(&pass, &g, &mut gradients)?;
            /// assert_eq!(gradients, layer.backward(&pass, &g)?);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn backward_into<T: crate::Float>(
                &self,
                pass: &$pass<T>,
                grad_output: &vocabulary::Tensor<T>,
                gradients: &mut vocabulary::$gradients<T>,
            ) -> vocabulary::Result<()> {
                let (zip, kept) = self.zip(pass, grad_output)?;
                crate::layers::shared::elementwise::backward_into(
                    stringify!($layer),
                    zip,
                    &self.execution,
                    (kept, grad_output),
                    &mut gradients.input,
                )
            }

            /// `backward`, the gradient of the input written over that of the output.
            ///
            /// # Errors
            /// As `backward`.
            ///
            /// ```
            #[doc = concat!("use optimized::{", stringify!($layer), ", ", stringify!($options_type), ", Tensor};")]
            #[doc = concat!("let mut layer = ", stringify!($layer), "::new(", stringify!($options_type), "::new())?;")]
            /// let pass = layer.forward_pass(&Tensor::from_vec(&[2], vec![-1.0_f32, 2.0])?)?;
            /// let mut g = Tensor::full(&[2], 0.5)?;
            /// let gradients = layer.backward(&pass, &g)?;
            /// layer.backward_in_place(&pass, &mut g)?;
            /// assert_eq!(g, gradients.input);
            /// # Ok::<(), optimized::Error>(())
            /// ```
            pub fn backward_in_place<T: crate::Float>(
                &self,
                pass: &$pass<T>,
                grad_output: &mut vocabulary::Tensor<T>,
            ) -> vocabulary::Result<()> {
                let (zip, kept) = self.zip(pass, grad_output)?;
                self.execution.run(|kernel| {
                    crate::kernels::elementwise::zip_in_place(zip, kernel, kept.as_slice(), grad_output.as_mut_slice());
                });
                Ok(())
            }

            /// What makes the gradient, of the tensor that the pass has kept for it and of the output's gradient, which is checked.
            fn zip<'a, T: crate::Float>(
                &self,
                pass: &'a $pass<T>,
                grad_output: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<(impl crate::kernels::elementwise::Zip<T> + use<T>, &'a vocabulary::Tensor<T>)> {
                crate::layers::require_output_shape(stringify!($layer), grad_output, pass.kept_output.shape())?;
                $({
                    let $check_options = &self.options;
                    $check_backward?;
                })?
                let ($kept_options, $output) = (&self.options, &pass.kept_output);
                let $input = pass.kept_input.as_ref().unwrap_or($output);
                let kept: &vocabulary::Tensor<T> = $kept;
                let $backward_options = &self.options;
                Ok(($backward, kept))
            }
        }

        crate::layers::shared::elementwise::layer_without_parameters!($layer);
    };
}
pub(crate) use elementwise_layer;

/// The trait `Layer` for a layer that has one input, one output and no parameters.
macro_rules! layer_without_parameters {
    ($layer:ident) => {
        impl<T: crate::Float> vocabulary::Layer<T> for $layer {
            fn name(&self) -> &'static str {
                stringify!($layer)
            }
            fn output_shape(&self, input_shape: &[usize]) -> vocabulary::Result<Vec<usize>> {
                $layer::output_shape(self, input_shape)
            }
            fn forward(&self, input: &vocabulary::Tensor<T>) -> vocabulary::Result<vocabulary::Tensor<T>> {
                $layer::forward(self, input)
            }
            fn forward_pass(
                &mut self,
                input: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<(vocabulary::Tensor<T>, vocabulary::Saved)> {
                let pass = $layer::forward_pass(self, input)?;
                Ok((pass.output.clone(), vocabulary::Saved::new(pass)))
            }
            fn backward(
                &self,
                saved: &vocabulary::Saved,
                grad_output: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<vocabulary::Gradients<T>> {
                let gradients = $layer::backward(self, saved.get(stringify!($layer))?, grad_output)?;
                Ok(vocabulary::Gradients { input: gradients.input, parameters: Vec::new() })
            }
        }
    };
}
pub(crate) use layer_without_parameters;
