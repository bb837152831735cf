//! Softmax, transcribed: the equation of the torch.nn.Softmax page, with the largest input taken out so that nothing overflows.

use crate::elementwise::layer_without_parameters;
use crate::lines::Lines;
use crate::{Real, check_grad_output};
use vocabulary::{Result, SoftmaxGradients, SoftmaxOptions, Tensor};

const LAYER: &str = "Softmax";

/// Positive numbers that sum to 1 along one dimension.
///
/// For each line x of the input along `dim`:
///
/// ```math
/// m = \max_i x_i \tag{1}
/// y_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}} \tag{2}
/// \frac{\partial L}{\partial x_i} = y_i\,\Bigl(g_i - \sum_j g_j y_j\Bigr) \tag{3}
/// ```
///
/// A line of which all is −∞, or that holds +∞ or NaN, becomes NaN.
///
/// Shapes: any; the output has the input's. `dim` counts from the last dimension where it is negative; without it, PyTorch's
/// implicit choice is made: 0 for 0, 1 or 3 dimensions, 1 for any other.
///
/// Source: [torch.nn.Softmax](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Softmax.html).
///
/// ```
/// use reference::{Softmax, SoftmaxOptions, Tensor};
/// let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1))?;
/// let input = Tensor::from_vec(&[2, 3], vec![0.0, 0.0, f64::NEG_INFINITY, 1000.0, 1000.0, 1000.0])?;
/// let pass = softmax.forward_pass(&input)?;
/// assert_eq!(pass.output.as_slice(), [0.5, 0.5, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
/// let gradients = softmax.backward(&pass, &Tensor::from_vec(&[2, 3], vec![4.0, 0.0, 0.0, 0.0, 0.0, 0.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Softmax {
    options: SoftmaxOptions,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct SoftmaxPass<T> {
    /// In the input's shape.
    pub output: Tensor<T>,
}

impl Softmax {
    /// A layer with the given options.
    ///
    /// # Errors
    /// None: the `Result` is there as every layer's constructor has it.
    pub fn new(options: SoftmaxOptions) -> Result<Self> {
        Ok(Self { options })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &SoftmaxOptions {
        &self.options
    }

    /// The output's shape: the input's.
    ///
    /// # Errors
    /// Where the input does not have the dimension `dim`.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.axis(input_shape.len())?;
        Ok(input_shape.to_vec())
    }

    /// Equations (1) and (2).
    ///
    /// # Errors
    /// Where the input does not have the dimension `dim`.
    pub fn forward<T: Real>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let mut output = input.clone();
        for line in Lines::along(self.options.axis(input.rank())?, input.shape()).iter() {
            let x: Vec<T> = line.read(input).collect();
            let m = x.iter().copied().reduce(|m, x| T::maximum(x, m)).unwrap_or(T::zero()); // (1)
            let exponentials = || x.iter().map(|&x| x.difference(m).exp());
            let sum = T::sum(exponentials());
            line.write(&mut output, exponentials().map(|e| e / sum)); // (2)
        }
        Ok(output)
    }

    /// Equations (1) and (2), and what backward needs.
    ///
    /// # Errors
    /// As [`Softmax::forward`].
    pub fn forward_pass<T: Real>(&mut self, input: &Tensor<T>) -> Result<SoftmaxPass<T>> {
        Ok(SoftmaxPass { output: self.forward(input)? })
    }

    /// Equation (3).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Real>(&self, pass: &SoftmaxPass<T>, grad_output: &Tensor<T>) -> Result<SoftmaxGradients<T>> {
        check_grad_output(LAYER, grad_output, self.output_shape(pass.output.shape()))?;
        let y = &pass.output;
        let mut dx = y.clone();
        for line in Lines::along(self.options.axis(y.rank())?, y.shape()).iter() {
            let pairs = || line.read(grad_output).zip(line.read(y));
            let sum = T::sum(pairs().map(|(g, y)| g * y));
            let gradients = pairs().map(|(g, y)| y * (g - sum)); // (3)
            line.write(&mut dx, gradients);
        }
        Ok(SoftmaxGradients { input: dx })
    }
}

layer_without_parameters!(Softmax);
