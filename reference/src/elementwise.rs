//! What layers that treat each element by itself have in common, so that their files hold formulas alone.

/// Defines a layer that maps each element x to y = `forward`, and each g = ∂L/∂y to ∂L/∂x = `backward`, over any `T: Real`.
///
/// `options` is the name under which both see the layer's options; what these make forward and backward refuse says `check`.
macro_rules! elementwise_layer {
    (
        $(#[$doc:meta])*
        pub struct $layer:ident, $pass:ident, $options_type:ident, $gradients:ident;
        forward($options:ident, $x:ident) = $forward:expr;
        backward($backward_options:ident, $input:ident, $output:ident, $g:ident) = $backward:expr;
        $(check($check_options:ident, T) = $check_forward:expr, $check_backward:expr;)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $layer {
            options: vocabulary::$options_type,
        }

        /// What a training step's forward gives and keeps.
        #[derive(Debug, Clone)]
        pub struct $pass<T> {
            /// In the input's shape.
            pub output: vocabulary::Tensor<T>,
            input: vocabulary::Tensor<T>,
        }

        impl $layer {
            /// A layer with the given options.
            ///
            /// # Errors
            /// None: the `Result` is there as every layer's constructor has it.
            pub fn new(options: vocabulary::$options_type) -> vocabulary::Result<Self> {
                Ok(Self { options })
            }

            /// The options that the layer was built with.
            pub fn options(&self) -> &vocabulary::$options_type {
                &self.options
            }

            /// The output's shape: the input's.
            ///
            /// # Errors
            /// None.
            pub fn output_shape(&self, input_shape: &[usize]) -> vocabulary::Result<Vec<usize>> {
                Ok(input_shape.to_vec())
            }

            /// Equation (1).
            ///
            /// # Errors
            /// Where the options do not admit it.
            pub fn forward<T: crate::Real>(
                &self,
                input: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<vocabulary::Tensor<T>> {
                $({
                    let $check_options = &self.options;
                    $check_forward?;
                })?
                let $options = &self.options;
                Ok(input.map(|$x| $forward))
            }

            /// Equation (1), and what backward needs.
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_pass<T: crate::Real>(
                &mut self,
                input: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<$pass<T>> {
                Ok($pass { output: self.forward(input)?, input: input.clone() })
            }

            /// Equation (2).
            ///
            /// # Errors
            /// Where `grad_output` does not have the output's shape, or the options do not admit a backward.
            pub fn backward<T: crate::Real>(
                &self,
                pass: &$pass<T>,
                grad_output: &vocabulary::Tensor<T>,
            ) -> vocabulary::Result<vocabulary::$gradients<T>> {
                crate::check_grad_output(stringify!($layer), grad_output, self.output_shape(pass.input.shape()))?;
                $({
                    let $check_options = &self.options;
                    $check_backward?;
                })?
                let $backward_options = &self.options;
                let elements = pass.input.as_slice().iter().zip(pass.output.as_slice()).zip(grad_output.as_slice());
                let gradients = elements.map(|((&$input, &$output), &$g)| $backward).collect();
                Ok(vocabulary::$gradients { input: vocabulary::Tensor::from_vec(pass.input.shape(), gradients)? })
            }
        }

        crate::elementwise::layer_without_parameters!($layer);
    };
}
pub(crate) use elementwise_layer;

/// The trait `Layer` for a layer that has one input, one output and no parameters.
macro_rules! layer_without_parameters {
    ($layer:ident) => {
        impl<T: crate::Real> vocabulary::Layer<T> for $layer {
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
