//! Embedding, transcribed: a table of rows, looked up by index.

use crate::{Condition, Real, check_grad_output};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use vocabulary::{
    EmbeddingGradient, EmbeddingGradients, EmbeddingOptions, Error, Integer, Result, StateDict, StateElement, Tensor,
    init,
};

const LAYER: &str = "Embedding";

/// A row of the weight for each index.
///
/// For an input of indices k into the V = `num_embeddings` rows of D = `embedding_dim` numbers:
///
/// ```math
/// y_{\ldots d} = w_{k_{\ldots}\,d} \tag{1}
/// ```
///
/// With `max_norm` M, each row that is looked up and whose p-norm (p = `norm_type`) exceeds M is first scaled down:
///
/// ```math
/// \lVert w_k \rVert = \Bigl(\sum_d |w_{kd}|^p\Bigr)^{1/p}, \qquad \max_d |w_{kd}| \;(p = \infty), \qquad
///    \min_d |w_{kd}| \;(p = -\infty), \qquad
///    \#\{w_{kd} \ne 0\} \;(p = 0) \tag{2}
/// w_k \leftarrow \frac{M}{\lVert w_k \rVert + 10^{-7}}\,w_k \tag{3}
/// ```
///
/// where the norm of a row of one number is its magnitude for every p but 0, even NaN, as in PyTorch.
/// [`Embedding::forward_pass`] keeps what (3) gives in the layer's weight, as PyTorch does; [`Embedding::forward`] does not.
/// The weight's gradient adds up the gradients of a row's copies, over c_k, the number of its copies, where
/// `scale_grad_by_freq` is set, and is 0 for the row `padding_idx`:
///
/// ```math
/// \frac{\partial L}{\partial w_{kd}} = \sum_{\text{places that hold } k} g_{\ldots d}, \qquad
///    \text{or } g_{\ldots d}/c_k \tag{4}
/// ```
///
/// It is the gradient by the weight as (3) has left it, as in PyTorch: nothing is differentiated through (3).
///
/// Shapes: input `[*]`, of `i32` or `i64`; output [*, D]; weight [V, D].
///
/// Source: [torch.nn.Embedding](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Embedding.html).
///
/// ```
/// use rand::{SeedableRng, rngs::SmallRng};
/// use reference::{Embedding, EmbeddingOptions, Tensor};
/// let mut embedding = Embedding::<f32>::init(EmbeddingOptions::new(10, 3), &mut SmallRng::seed_from_u64(0))?;
/// let input = Tensor::from_vec(&[2, 4], vec![1_i64, 2, 4, 5, 4, 3, 2, 9])?;
/// let pass = embedding.forward_pass(&input)?;
/// assert_eq!(pass.output.shape(), [2, 4, 3]);
/// assert_eq!(pass.output[[1, 3, 0]], embedding.weight()[[9, 0]]);
/// let gradients = embedding.backward(&pass, &Tensor::full(&[2, 4, 3], 1.0)?)?;
/// let gradient = gradients.weight.expect("the weight is not frozen").to_dense(10)?;
/// assert_eq!((gradient[[0, 0]], gradient[[1, 0]], gradient[[4, 0]]), (0.0, 1.0, 2.0));
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Embedding<T> {
    options: EmbeddingOptions,
    weight: Tensor<T>,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct EmbeddingPass<T> {
    /// [*, embedding_dim].
    pub output: Tensor<T>,
    input_shape: Vec<usize>,
    rows: Vec<usize>,
}

impl<T: Real> Embedding<T> {
    /// A layer with PyTorch's initial distribution: the standard normal one, and 0 in the row `padding_idx`.
    ///
    /// # Errors
    /// Where there is no row `padding_idx`, or the weight cannot be stored.
    pub fn init(options: EmbeddingOptions, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let padding = options.padding_row()?;
        let mut weight = init::normal(&options.weight_shape(), rng).map_err(|error| error.of(LAYER, "weight"))?;
        if let Some(row) = padding {
            row_mut(&mut weight, row).fill(T::zero());
        }
        Ok(Self { options, weight })
    }

    /// A layer with a given weight, which stays as it is, its row `padding_idx` too.
    ///
    /// # Errors
    /// Where there is no row `padding_idx`, or the weight has another shape.
    pub fn with_parameters(options: EmbeddingOptions, weight: Tensor<T>) -> Result<Self> {
        options.check()?;
        options.check_parameters(weight.shape())?;
        Ok(Self { options, weight })
    }

    /// A layer with the parameter `weight` of a state dictionary.
    ///
    /// # Errors
    /// Where it is missing or of another shape or type, or there is another.
    pub fn from_state_dict(options: EmbeddingOptions, state: &StateDict) -> Result<Self>
    where
        T: StateElement,
    {
        state.check_names(LAYER, &["weight"])?;
        Self::with_parameters(options, state.tensor(LAYER, "weight")?)
    }

    /// The parameter under PyTorch's name.
    pub fn state_dict(&self) -> StateDict
    where
        T: StateElement,
    {
        let mut state = StateDict::new();
        state.insert("weight", T::wrap(self.weight.clone()));
        state
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &EmbeddingOptions {
        &self.options
    }

    /// The weight, [num_embeddings, embedding_dim].
    pub fn weight(&self) -> &Tensor<T> {
        &self.weight
    }

    /// Shows the parameter with its name, as the layers that implement [`vocabulary::Layer`] do; indices are no input of theirs.
    pub fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &Tensor<T>)) {
        visit("weight", &self.weight);
    }

    /// Lends the parameter's elements for updating, with its name.
    pub fn visit_parameters_mut(&mut self, visit: &mut dyn FnMut(&str, &mut [T])) {
        visit("weight", self.weight.as_mut_slice());
    }

    /// The output's shape: the input's, and `embedding_dim`.
    ///
    /// # Errors
    /// None.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.iter().copied().chain([self.options.embedding_dim]).collect())
    }

    /// Equations (1) to (3); leaves the layer's weight as it is.
    ///
    /// # Errors
    /// Where an index has no row, or rows without elements have no norm of that type.
    pub fn forward(&self, input: &Tensor<impl Integer>) -> Result<Tensor<T>> {
        let rows = self.options.rows(input.as_slice())?;
        self.look_up(&self.renormalised(&rows), input.shape(), &rows)
    }

    /// Equations (1) to (3), and what backward needs.
    ///
    /// # Errors
    /// Where an index has no row, or rows without elements have no norm of that type.
    pub fn forward_pass(&mut self, input: &Tensor<impl Integer>) -> Result<EmbeddingPass<T>> {
        let rows = self.options.rows(input.as_slice())?;
        self.weight = self.renormalised(&rows);
        let output = self.look_up(&self.weight, input.shape(), &rows)?;
        Ok(EmbeddingPass { output, input_shape: input.shape().to_vec(), rows })
    }

    fn look_up(&self, weight: &Tensor<T>, input_shape: &[usize], rows: &[usize]) -> Result<Tensor<T>> {
        let mut elements = rows.iter().flat_map(|&row| self.row(weight, row).iter().copied());
        let output = Tensor::from_fn(&self.output_shape(input_shape)?, |_| elements.next().unwrap_or(T::zero())); // (1)
        output.map_err(|error| error.of(LAYER, "output"))
    }

    fn row<'a>(&self, weight: &'a Tensor<T>, row: usize) -> &'a [T] {
        let size = self.options.embedding_dim;
        &weight.as_slice()[row * size..][..size]
    }

    /// The weight, the rows that are looked up scaled down as far as `max_norm` asks.
    fn renormalised(&self, rows: &[usize]) -> Tensor<T> {
        let mut weight = self.weight.clone();
        let wide = <T::Wide as vocabulary::Scalar>::from_f64;
        let Some(max_norm) = self.options.max_norm.map(wide) else { return weight };
        for &row in &BTreeSet::from_iter(rows) {
            let norm = norm(self.row(&weight, *row), self.options.norm_type).widen();
            let scale = T::narrow(max_norm / (norm + wide(1e-7)));
            let exceeds = max_norm.less(norm);
            if exceeds != Condition::False {
                for w in row_mut(&mut weight, *row) {
                    *w = T::select(exceeds, *w * scale, *w); // (3)
                }
            }
        }
        weight
    }

    /// Equation (4); nothing where the weight is frozen.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, or the options do not admit a sparse gradient.
    pub fn backward(&self, pass: &EmbeddingPass<T>, grad_output: &Tensor<T>) -> Result<EmbeddingGradients<T>> {
        check_grad_output(LAYER, grad_output, self.output_shape(&pass.input_shape))?;
        self.options.check_backward(pass.input_shape.len())?;
        if let Some(row) = pass.rows.iter().find(|&&row| row >= self.options.num_embeddings) {
            let expected = format!("a pass of a layer of {} rows", self.options.num_embeddings);
            return Err(Error::new(LAYER, "pass", format_args!("looked up row {row}"), expected));
        }
        if self.options.freeze {
            return Ok(EmbeddingGradients { weight: None });
        }
        let (padding, size) = (self.options.padding_row()?, self.options.embedding_dim);
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        if self.options.scale_grad_by_freq {
            pass.rows.iter().for_each(|&row| *counts.entry(row).or_default() += 1);
        }
        let mut sums: BTreeMap<usize, Vec<T>> = BTreeMap::new();
        for (place, &row) in pass.rows.iter().enumerate().filter(|(_, row)| Some(**row) != padding) {
            let sum = sums.entry(row).or_insert_with(|| vec![T::zero(); size]);
            let share = counts.get(&row).map(|&count| T::one() / T::from_count(count));
            let gradients = &grad_output.as_slice()[place * size..][..size];
            for (sum, &g) in sum.iter_mut().zip(gradients) {
                *sum = *sum + share.map_or(g, |share| g * share); // (4)
            }
        }
        let gradient = if self.options.sparse {
            let rows: Vec<usize> = sums.keys().copied().collect();
            let values = sums.into_values().flatten().collect();
            EmbeddingGradient::Sparse { values: Tensor::from_vec(&[rows.len(), size], values)?, rows }
        } else {
            let mut dense = Tensor::full(&self.options.weight_shape(), T::zero())?;
            sums.into_iter().for_each(|(row, sum)| row_mut(&mut dense, row).copy_from_slice(&sum));
            EmbeddingGradient::Dense(dense)
        };
        Ok(EmbeddingGradients { weight: Some(gradient) })
    }
}

/// One row of [V, D], for writing.
fn row_mut<T: Clone>(weight: &mut Tensor<T>, row: usize) -> &mut [T] {
    let size = weight.shape()[1];
    &mut weight.as_mut_slice()[row * size..][..size]
}

/// Equation (2).
fn norm<T: Real>(row: &[T], p: f64) -> T {
    let magnitudes = row.iter().map(|w| w.abs());
    match p {
        // As in PyTorch, which takes the magnitude of a single number whatever p is, NaN too.
        p if row.len() == 1 && p != 0.0 => row[0].abs(),
        0.0 => T::sum(row.iter().map(|w| T::select(w.abs().less_or_equal(T::zero()), T::zero(), T::one()))),
        _ if p.is_infinite() && row.iter().any(|w| w.to_f64().is_nan()) => T::from_f64(f64::NAN),
        f64::NEG_INFINITY => magnitudes.reduce(T::minimum).unwrap_or(T::zero()),
        f64::INFINITY => magnitudes.reduce(T::maximum).unwrap_or(T::zero()),
        1.0 => T::sum(magnitudes),
        2.0 => T::sum(magnitudes.map(|w| w * w)).sqrt(),
        p => T::sum(magnitudes.map(|w| w.powf(p))).powf(1.0 / p), // (2)
    }
}
