//! What losses of the difference of input and target have in common, so that their files hold formulas alone.

/// Defines a loss whose terms are `term` of d = x − t, with the gradient `slope`·g, where c is `scale` or, for the mean of n
/// terms, `scale`/n.
macro_rules! difference_loss {
    (
        $(#[$doc:meta])*
        pub struct $loss:ident, $pass:ident, $options:ident, $gradients:ident;
        term($d:ident) = $term:expr;
        slope($difference:ident, $c:ident) = $slope:expr, scale $scale:literal;
    ) => {
        use crate::broadcast::{add, at, broadcast_shape};
        use crate::{Real, check_grad_output};
        use vocabulary::{$gradients, $options, Reduction, Result, Tensor};

        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $loss {
            options: $options,
        }

        /// What a training step's forward gives and keeps.
        #[derive(Debug, Clone)]
        pub struct $pass<T> {
            /// [], or the broadcast shape for `Reduction::None`.
            pub output: Tensor<T>,
            input: Tensor<T>,
            target: Tensor<T>,
        }

        impl $loss {
            /// A loss with the given options.
            ///
            /// # Errors
            /// None: the `Result` is there as every layer's constructor has it.
            pub fn new(options: $options) -> Result<Self> {
                Ok(Self { options })
            }

            /// The options that the loss was built with.
            pub fn options(&self) -> &$options {
                &self.options
            }

            /// The output's shape: [], or the broadcast shape for `Reduction::None`.
            ///
            /// # Errors
            /// Where input and target cannot be broadcast against each other.
            pub fn output_shape(&self, input_shape: &[usize], target_shape: &[usize]) -> Result<Vec<usize>> {
                let broadcast = broadcast_shape(stringify!($loss), "target", input_shape, target_shape)?;
                Ok(if self.options.effective_reduction() == Reduction::None { broadcast } else { Vec::new() })
            }

            /// Equations (1) and (2).
            ///
            /// # Errors
            /// Where input and target cannot be broadcast against each other.
            pub fn forward<T: Real>(&self, input: &Tensor<T>, target: &Tensor<T>) -> Result<Tensor<T>> {
                let shape = broadcast_shape(stringify!($loss), "target", input.shape(), target.shape())?;
                let terms = Tensor::from_fn(&shape, |k| {
                    let $d = at(input, k) - at(target, k);
                    $term // (1)
                });
                let terms = terms.map_err(|error| error.of(stringify!($loss), "output"))?;
                Ok(crate::losses::reduced(self.options.effective_reduction(), terms)) // (2)
            }

            /// Equations (1) and (2), and what backward needs.
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_pass<T: Real>(&mut self, input: &Tensor<T>, target: &Tensor<T>) -> Result<$pass<T>> {
                Ok($pass { output: self.forward(input, target)?, input: input.clone(), target: target.clone() })
            }

            /// Equation (3).
            ///
            /// # Errors
            /// Where `grad_output` does not have the output's shape.
            pub fn backward<T: Real>(&self, pass: &$pass<T>, grad_output: &Tensor<T>) -> Result<$gradients<T>> {
                let output_shape = self.output_shape(pass.input.shape(), pass.target.shape());
                check_grad_output(stringify!($loss), grad_output, output_shape)?;
                let $pass { input, target, .. } = pass;
                let shape = broadcast_shape(stringify!($loss), "target", input.shape(), target.shape())?;
                let scale = match self.options.effective_reduction() {
                    Reduction::Mean => T::from_f64($scale) / T::from_count(shape.iter().product()),
                    Reduction::Sum | Reduction::None => T::from_f64($scale),
                };
                let mut dx = Tensor::full(input.shape(), T::zero())?;
                let mut dt = Tensor::full(target.shape(), T::zero())?;
                for k in crate::indices(&shape) {
                    let k = &k[..];
                    let ($difference, $c) = (at(input, k) - at(target, k), scale);
                    let gradient = $slope * at(grad_output, k); // (3)
                    add(&mut dx, k, gradient);
                    add(&mut dt, k, -gradient);
                }
                Ok($gradients { input: dx, target: dt })
            }
        }
    };
}
pub(crate) use difference_loss;
