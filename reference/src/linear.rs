//! Linear, transcribed: the equations of the torch.nn.Linear page. Every sum is written out, term by term.

use crate::{Real, check_grad_output};
use nalgebra::{DMatrixView, Dyn};
use rand::Rng;
use vocabulary::{
    Error, Gradients, Layer, LinearGradients, LinearOptions, Result, Saved, StateDict, StateElement, Tensor, init,
};

const LAYER: &str = "Linear";

/// An affine map of the last dimension.
///
/// With the leading dimensions of the input joined into B rows, I = `in_features` and O = `out_features`:
///
/// ```math
/// y_{bo} = \sum_{i} x_{bi}\,w_{oi} + \beta_o \tag{1}
/// \frac{\partial L}{\partial x_{bi}} = \sum_o g_{bo}\,w_{oi} \tag{2}
/// \frac{\partial L}{\partial w_{oi}} = \sum_b g_{bo}\,x_{bi} \tag{3}
/// \frac{\partial L}{\partial \beta_o} = \sum_b g_{bo} \tag{4}
/// ```
///
/// where g = ∂L/∂y is `grad_output`.
///
/// Shapes: input [*, I] with any number of leading dimensions, none included; output [*, O]; weight [O, I]; bias `[O]`.
///
/// Source: [torch.nn.Linear](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Linear.html).
///
/// ```
/// use reference::{Linear, LinearOptions, Tensor};
/// let weight = Tensor::from_vec(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let bias = Tensor::from_vec(&[2], vec![0.5, -0.5])?;
/// let mut linear = Linear::with_parameters(LinearOptions::new(3, 2), weight, Some(bias))?;
/// let pass = linear.forward_pass(&Tensor::from_vec(&[1, 3], vec![1.0, 0.0, -1.0])?)?;
/// assert_eq!(pass.output.as_slice(), [-1.5, -2.5]);
/// let gradients = linear.backward(&pass, &Tensor::from_vec(&[1, 2], vec![1.0, 10.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [41.0, 52.0, 63.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Linear<T> {
    options: LinearOptions,
    weight: Tensor<T>,
    bias: Option<Tensor<T>>,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct LinearPass<T> {
    /// [*, out_features].
    pub output: Tensor<T>,
    input: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Real> Linear<T> {
    /// A layer with PyTorch's initial distribution: weight and bias uniform on [−1/√I, 1/√I).
    ///
    /// # Errors
    /// Where the weight cannot be stored.
    pub fn init(options: LinearOptions, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let bound = if options.in_features > 0 { 1.0 / (options.in_features as f64).sqrt() } else { 0.0 };
        let mut uniform =
            |name, shape: &[usize]| init::uniform(shape, bound, rng).map_err(|error| error.of(LAYER, name));
        let weight = uniform("weight", &options.weight_shape())?;
        let bias = if options.bias { Some(uniform("bias", &[options.out_features])?) } else { None };
        Ok(Self { options, weight, bias })
    }

    /// A layer with given parameters.
    ///
    /// # Errors
    /// Where a parameter has another shape, is missing or superfluous.
    pub fn with_parameters(options: LinearOptions, weight: Tensor<T>, bias: Option<Tensor<T>>) -> Result<Self> {
        options.check_parameters(weight.shape(), bias.as_ref().map(Tensor::shape))?;
        Ok(Self { options, weight, bias })
    }

    /// A layer with the parameters `weight` and `bias` of a state dictionary.
    ///
    /// # Errors
    /// Where one is missing, unknown, or of another shape or type.
    pub fn from_state_dict(options: LinearOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        state.check_names(LAYER, if options.bias { &["weight", "bias"] } else { &["weight"] })?;
        let bias = state.tensor_if(options.bias, LAYER, "bias")?;
        Self::with_parameters(options, state.tensor(LAYER, "weight")?, bias)
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
    pub fn options(&self) -> &LinearOptions {
        &self.options
    }

    /// The weight, [out_features, in_features].
    pub fn weight(&self) -> &Tensor<T> {
        &self.weight
    }

    /// The bias, `[out_features]`, where there is one.
    pub fn bias(&self) -> Option<&Tensor<T>> {
        self.bias.as_ref()
    }

    /// The output's shape: the input's with its last size replaced by `out_features`.
    ///
    /// # Errors
    /// Where the input's last size is not `in_features`.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.check_input(input_shape)?;
        let mut shape = input_shape.to_vec();
        shape.pop();
        shape.push(self.options.out_features);
        Ok(shape)
    }

    /// Equation (1).
    ///
    /// # Errors
    /// Where the input's last size is not `in_features`.
    pub fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        let shape = self.output_shape(input.shape())?;
        let (i, o) = (self.options.in_features, self.options.out_features);
        let b = rows(input.shape());
        let x = as_matrix(b, i, input.as_slice());
        let w = as_matrix(o, i, self.weight.as_slice());
        let y = matrix(b, o, |b, o| {
            let product = T::sum((0..i).map(|i| x[(b, i)] * w[(o, i)]));
            match &self.bias {
                Some(bias) => product + bias[[o]], // (1)
                None => product,
            }
        });
        y.map_err(|error| error.of(LAYER, "output"))?.reshape(&shape)
    }

    /// Equation (1), and what backward needs.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<T>) -> Result<LinearPass<T>> {
        Ok(LinearPass { output: self.forward(input)?, input: input.clone(), weight: self.weight.clone() })
    }

    /// Equations (2) to (4), with the weight as it was in the pass.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward(&self, pass: &LinearPass<T>, grad_output: &Tensor<T>) -> Result<LinearGradients<T>> {
        check_grad_output(LAYER, grad_output, self.output_shape(pass.input.shape()))?;
        let (i, o) = (self.options.in_features, self.options.out_features);
        if pass.weight.shape() != self.options.weight_shape() {
            return Err(Error::shape(LAYER, "pass", pass.weight.shape(), "a pass of a layer of these sizes"));
        }
        let b = rows(pass.input.shape());
        let x = as_matrix(b, i, pass.input.as_slice());
        let w = as_matrix(o, i, pass.weight.as_slice());
        let g = as_matrix(b, o, grad_output.as_slice());

        let dx = matrix(b, i, |b, i| T::sum((0..o).map(|o| g[(b, o)] * w[(o, i)])))?; // (2)
        let dw = matrix(o, i, |o, i| T::sum((0..b).map(|b| g[(b, o)] * x[(b, i)])))?; // (3)
        let db = || Tensor::from_fn(&[o], |k| T::sum((0..b).map(|b| g[(b, k[0])]))); // (4)

        let bias = if self.options.bias { Some(db()?) } else { None };
        Ok(LinearGradients { input: dx.reshape(pass.input.shape())?, weight: dw, bias })
    }
}

/// Elements in row-major order, seen as a matrix.
fn as_matrix<T: Real>(rows: usize, columns: usize, elements: &[T]) -> DMatrixView<'_, T, Dyn, Dyn> {
    DMatrixView::from_slice_with_strides_generic(elements, Dyn(rows), Dyn(columns), Dyn(columns), Dyn(1))
}

/// The matrix of these elements.
fn matrix<T: Clone>(rows: usize, columns: usize, mut element: impl FnMut(usize, usize) -> T) -> Result<Tensor<T>> {
    Tensor::from_fn(&[rows, columns], |index| element(index[0], index[1]))
}

/// The product of the leading sizes.
fn rows(shape: &[usize]) -> usize {
    shape.iter().rev().skip(1).product()
}

impl<T: Real> Layer<T> for Linear<T> {
    fn name(&self) -> &'static str {
        LAYER
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Linear::output_shape(self, input_shape)
    }
    fn forward(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        Linear::forward(self, input)
    }
    fn forward_pass(&mut self, input: &Tensor<T>) -> Result<(Tensor<T>, Saved)> {
        let pass = Linear::forward_pass(self, input)?;
        Ok((pass.output.clone(), Saved::new(pass)))
    }
    fn backward(&self, saved: &Saved, grad_output: &Tensor<T>) -> Result<Gradients<T>> {
        let LinearGradients { input, weight, bias } = Linear::backward(self, saved.get(LAYER)?, grad_output)?;
        let parameters = std::iter::once(("weight".into(), weight)).chain(bias.map(|bias| ("bias".into(), bias)));
        Ok(Gradients { input, parameters: parameters.collect() })
    }
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
        visit("weight", &self.weight);
        self.bias.iter().for_each(|bias| visit("bias", bias));
    }
    fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
        visit("weight", self.weight.as_mut_slice());
        self.bias.iter_mut().for_each(|bias| visit("bias", bias.as_mut_slice()));
    }
}
