//! Embedding: a gather, and a scatter by row.

use super::{overwrite, require_output_shape, require_room, zeros};
use crate::kernels::embedding::{self, Places};
use crate::memory::{Output, fresh};
use crate::{Choice, Execution, Float, execution};
use rand::Rng;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use vocabulary::{
    EmbeddingGradient, EmbeddingGradients, EmbeddingOptions, Error, Integer, Result, StateDict, Tensor, init,
};

const LAYER: &str = "Embedding";

/// A row of the weight for each index.
///
/// For an input of indices k into the V = `num_embeddings` rows of D = `embedding_dim` numbers:
///
/// ```math
/// y_{\ldots d} = w_{k_{\ldots}\,d}
/// ```
///
/// With `max_norm` M, each row that is looked up and whose p-norm (p = `norm_type`) exceeds M is first scaled down:
///
/// ```math
/// \lVert w_k \rVert = \Bigl(\sum_d |w_{kd}|^p\Bigr)^{1/p}, \qquad \max_d |w_{kd}| \;(p = \infty), \qquad
///    \min_d |w_{kd}| \;(p = -\infty), \qquad
///    \#\{w_{kd} \ne 0\} \;(p = 0)
/// w_k \leftarrow \frac{M}{\lVert w_k \rVert + 10^{-7}}\,w_k
/// ```
///
/// where the norm of a row of one number is its magnitude for every p but 0, even NaN, as in PyTorch.
/// [`Embedding::forward_pass`] keeps the scaled rows in the layer's weight, as PyTorch does; [`Embedding::forward`] does not.
/// The weight's gradient adds up the gradients of a row's copies, over c_k, the number of its copies, where
/// `scale_grad_by_freq` is set, and is 0 for the row `padding_idx`:
///
/// ```math
/// \frac{\partial L}{\partial w_{kd}} = \sum_{\text{places that hold } k} g_{\ldots d}, \qquad
///    \text{or } g_{\ldots d}/c_k
/// ```
///
/// It is the gradient by the weight as that has left it, as in PyTorch: nothing is differentiated through the scaling.
///
/// Shapes: input `[*]`, of `i32` or `i64`; output [*, D]; weight [V, D].
///
/// Source: [torch.nn.Embedding](https://docs.pytorch.org/docs/2.15/generated/torch.nn.Embedding.html).
///
/// ```
/// use rand::{SeedableRng, rngs::SmallRng};
/// use optimized::{Embedding, EmbeddingOptions, Tensor};
/// let mut embedding = Embedding::<f32>::init(EmbeddingOptions::new(10, 3), &mut SmallRng::seed_from_u64(0))?;
/// let input = Tensor::from_vec(&[2, 4], vec![1_i64, 2, 4, 5, 4, 3, 2, 9])?;
/// let pass = embedding.forward_pass(&input)?;
/// assert_eq!(pass.output.shape(), [2, 4, 3]);
/// assert_eq!(pass.output[[1, 3, 0]], embedding.weight()[[9, 0]]);
/// let gradients = embedding.backward(&pass, &Tensor::full(&[2, 4, 3], 1.0)?)?;
/// let gradient = gradients.weight.expect("the weight is not frozen").to_dense(10)?;
/// assert_eq!((gradient[[0, 0]], gradient[[1, 0]], gradient[[4, 0]]), (0.0, 1.0, 2.0));
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Embedding<T> {
    options: EmbeddingOptions,
    weight: Tensor<T>,
    execution: Execution,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct EmbeddingPass<T> {
    /// [*, embedding_dim].
    pub output: Tensor<T>,
    input_shape: Vec<usize>,
    rows: Vec<usize>,
}

impl<T: Float> Embedding<T> {
    /// A layer with PyTorch's initial distribution: the standard normal one, and 0 in the row `padding_idx`.
    ///
    /// # Errors
    /// Where there is no row `padding_idx`, or the weight cannot be stored.
    pub fn init(options: EmbeddingOptions, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let padding = options.padding_row()?;
        let mut weight = init::normal(&options.weight_shape(), rng).map_err(|error| error.of(LAYER, "weight"))?;
        if let Some(row) = padding {
            row_mut(&mut weight, row).fill(T::ZERO);
        }
        Ok(Self { options, weight, execution: Execution::default() })
    }

    /// A layer with a given weight, which stays as it is, its row `padding_idx` too.
    ///
    /// # Errors
    /// Where there is no row `padding_idx`, or the weight has another shape.
    pub fn with_parameters(options: EmbeddingOptions, weight: Tensor<T>) -> Result<Self> {
        options.check()?;
        options.check_parameters(weight.shape())?;
        Ok(Self { options, weight, execution: Execution::default() })
    }

    /// A layer with the parameter `weight` of a state dictionary.
    ///
    /// # Errors
    /// Where it is missing or of another shape or type, or there is another.
    pub fn from_state_dict(options: EmbeddingOptions, state: &StateDict) -> Result<Self> {
        state.check_names(LAYER, &["weight"])?;
        Self::with_parameters(options, state.tensor(LAYER, "weight")?)
    }

    /// The parameter under PyTorch's name.
    pub fn state_dict(&self) -> StateDict {
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

    /// How the layer is run.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Sets how the layer is run.
    ///
    /// # Errors
    /// Where the machine lacks the instruction set, or the layer has no such algorithm.
    pub fn set_execution(&mut self, execution: Execution) -> Result<()> {
        execution.check(LAYER)?;
        self.execution = execution;
        Ok(())
    }

    /// The algorithms for an input of `input_shape`: one, which accepts everything.
    ///
    /// # Errors
    /// None.
    pub fn choices(&self, input_shape: &[usize]) -> Result<Vec<Choice>> {
        self.output_shape(input_shape)?;
        Ok(execution::only(LAYER))
    }

    /// The rows that are looked up, scaled down as `max_norm` asks; leaves the layer's weight as it is.
    ///
    /// # Errors
    /// Where an index has no row, rows without elements have no norm of that type, or the output cannot be stored.
    pub fn forward(&self, input: &Tensor<impl Integer>) -> Result<Tensor<T>> {
        let rows = self.options.rows(input.as_slice())?;
        self.look_up(input.shape(), &rows, &self.scales(&rows))
    }

    /// [`Embedding::forward`], written into `output`, whose elements are overwritten.
    ///
    /// # Errors
    /// As [`Embedding::forward`], and where `output` does not have the output's shape.
    ///
    /// ```
    /// use optimized::{Embedding, EmbeddingOptions, Tensor};
    /// let weight = Tensor::from_vec(&[2, 2], vec![1.0, 2.0, 3.0, 4.0])?;
    /// let embedding = Embedding::with_parameters(EmbeddingOptions::new(2, 2), weight)?;
    /// let mut y = Tensor::full(&[1, 2], f32::NAN)?;
    /// embedding.forward_into(&Tensor::from_vec(&[1], vec![1_i64])?, &mut y)?;
    /// assert_eq!(y.as_slice(), [3.0, 4.0]);
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn forward_into(&self, input: &Tensor<impl Integer>, output: &mut Tensor<T>) -> Result<()> {
        let rows = self.options.rows(input.as_slice())?;
        let output = overwrite(LAYER, output, &self.output_shape(input.shape())?)?;
        self.gather(&rows, Output::Given(&mut *output));
        self.scale_copies(output, &rows, &self.scales(&rows));
        Ok(())
    }

    /// The output, and what backward needs; rows that were scaled down stay so.
    ///
    /// # Errors
    /// As [`Embedding::forward`].
    pub fn forward_pass(&mut self, input: &Tensor<impl Integer>) -> Result<EmbeddingPass<T>> {
        let rows = self.options.rows(input.as_slice())?;
        let scales = self.scales(&rows);
        let output = self.look_up(input.shape(), &rows, &scales)?;
        let weight = if scales.is_empty() { &mut [] } else { self.weight.as_mut_slice() };
        for (row, scale) in scales {
            scale_row(&mut weight[row * self.options.embedding_dim..][..self.options.embedding_dim], scale);
        }
        Ok(EmbeddingPass { output, input_shape: input.shape().to_vec(), rows })
    }

    fn look_up(&self, input_shape: &[usize], rows: &[usize], scales: &BTreeMap<usize, T>) -> Result<Tensor<T>> {
        let shape = self.output_shape(input_shape)?;
        let mut output = fresh(LAYER, "output", &shape)?;
        self.gather(rows, Output::Fresh(&mut output));
        let mut output = output.tensor(&shape)?;
        if !scales.is_empty() {
            self.scale_copies(output.as_mut_slice(), rows, scales);
        }
        Ok(output)
    }

    fn gather(&self, rows: &[usize], output: Output<'_, T>) {
        let size = self.options.embedding_dim;
        if size > 0 {
            let weight = (self.weight.as_slice(), size);
            self.execution.run(|kernel| embedding::gather(kernel, weight, rows, output));
        }
    }

    /// The factors of the rows that are looked up and that `max_norm` has scaled down.
    fn scales(&self, rows: &[usize]) -> BTreeMap<usize, T> {
        let Some(max_norm) = self.options.max_norm else { return BTreeMap::new() };
        let size = self.options.embedding_dim;
        let scale = |row: &usize| {
            let norm = embedding::norm(&self.weight.as_slice()[row * size..][..size], self.options.norm_type).widen();
            (max_norm < norm).then(|| (*row, T::narrow(max_norm / (norm + 1e-7))))
        };
        BTreeSet::from_iter(rows).into_iter().filter_map(scale).collect()
    }

    /// Scales the copies of rows as the rows are to be.
    fn scale_copies(&self, output: &mut [T], rows: &[usize], scales: &BTreeMap<usize, T>) {
        let copies = output.chunks_mut(self.options.embedding_dim.max(1)).zip(rows);
        for (copy, row) in copies.filter(|_| !scales.is_empty()) {
            if let Some(scale) = scales.get(row) {
                scale_row(copy, *scale);
            }
        }
    }

    /// The weight's gradient; nothing where the weight is frozen.
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape, the options do not admit a sparse gradient, or the gradient cannot
    /// be stored.
    pub fn backward(&self, pass: &EmbeddingPass<T>, grad_output: &Tensor<T>) -> Result<EmbeddingGradients<T>> {
        let Some(sums) = self.backward_sums(pass, grad_output)? else {
            return Ok(EmbeddingGradients { weight: None });
        };
        let mut gradient = fresh(LAYER, "grad_weight", &sums.shape)?;
        self.scatter(&sums, grad_output, Output::Fresh(&mut gradient));
        let gradient = gradient.tensor(&sums.shape)?;
        let weight = match self.options.sparse {
            true => EmbeddingGradient::Sparse { rows: sums.rows().collect(), values: gradient },
            false => EmbeddingGradient::Dense(gradient),
        };
        Ok(EmbeddingGradients { weight: Some(weight) })
    }

    /// [`Embedding::backward`], written into `gradients`, such as an earlier call has given; its elements are overwritten.
    ///
    /// A sparse gradient gets the rows of this pass; its values are overwritten where it has as many rows, and replaced where it has
    /// not. Where the weight is frozen there is no gradient, and none to be written.
    ///
    /// # Errors
    /// As [`Embedding::backward`], and where the gradient is missing, superfluous, or of another shape, or is dense and not sparse,
    /// or sparse and not dense; then nothing is written.
    ///
    /// ```
    /// use optimized::{Embedding, EmbeddingGradient, EmbeddingOptions, Tensor};
    /// let mut embedding = Embedding::with_parameters(EmbeddingOptions::new(2, 1).sparse(true), Tensor::full(&[2, 1], 3.0)?)?;
    /// let pass = embedding.forward_pass(&Tensor::from_vec(&[2], vec![0_i64, 1])?)?;
    /// let mut gradients = embedding.backward(&pass, &Tensor::full(&[2, 1], 1.0)?)?;
    /// let pass = embedding.forward_pass(&Tensor::from_vec(&[2], vec![1_i64, 1])?)?;
    /// embedding.backward_into(&pass, &Tensor::full(&[2, 1], 1.0)?, &mut gradients)?;
    /// let due = EmbeddingGradient::Sparse { rows: vec![1], values: Tensor::full(&[1, 1], 2.0)? };
    /// assert_eq!(gradients.weight, Some(due));
    /// # Ok::<(), optimized::Error>(())
    /// ```
    pub fn backward_into(
        &self,
        pass: &EmbeddingPass<T>,
        grad_output: &Tensor<T>,
        gradients: &mut EmbeddingGradients<T>,
    ) -> Result<()> {
        let refusal = |got: &str, expected: &str| Err(Error::new(LAYER, "grad_weight", got, expected));
        match (self.backward_sums(pass, grad_output)?, &mut gradients.weight) {
            (None, None) => Ok(()),
            (None, Some(_)) => refusal("is given", "none, as the weight is frozen"),
            (Some(sums), Some(EmbeddingGradient::Dense(gradient))) if !self.options.sparse => {
                require_room(LAYER, "grad_weight", gradient, &sums.shape)?;
                self.scatter(&sums, grad_output, Output::Given(gradient.as_mut_slice()));
                Ok(())
            }
            (Some(sums), Some(EmbeddingGradient::Sparse { rows, values })) if self.options.sparse => {
                if values.shape() != sums.shape {
                    *values = zeros(LAYER, "grad_weight", &sums.shape)?;
                }
                self.scatter(&sums, grad_output, Output::Given(values.as_mut_slice()));
                rows.clear();
                rows.extend(sums.rows());
                Ok(())
            }
            (Some(_), None) => refusal("is missing", "a gradient, as the weight is not frozen"),
            (Some(_), Some(EmbeddingGradient::Dense(_))) => refusal("is dense", "a sparse gradient"),
            (Some(_), Some(EmbeddingGradient::Sparse { .. })) => refusal("is sparse", "a dense gradient"),
        }
    }

    /// What a backward sums; nothing where the weight is frozen.
    fn backward_sums(&self, pass: &EmbeddingPass<T>, grad_output: &Tensor<T>) -> Result<Option<Sums>> {
        require_output_shape(LAYER, grad_output, &self.output_shape(&pass.input_shape)?)?;
        self.options.check_backward(pass.input_shape.len())?;
        if let Some(row) = pass.rows.iter().find(|&&row| row >= self.options.num_embeddings) {
            let expected = format!("a pass of a layer of {} rows", self.options.num_embeddings);
            return Err(Error::new(LAYER, "pass", format_args!("looked up row {row}"), expected));
        }
        if self.options.freeze {
            return Ok(None);
        }
        let (padding, size) = (self.options.padding_row()?, self.options.embedding_dim);
        let places = Places::new(&pass.rows);
        let occurring = places.rows.iter().enumerate().filter(|(_, (row, _))| Some(*row) != padding);
        let occurring: Vec<(usize, usize)> = occurring.map(|(i, (row, _))| (i, *row)).collect();
        let shape =
            if self.options.sparse { vec![occurring.len(), size] } else { self.options.weight_shape().to_vec() };
        Ok(Some(Sums { places, occurring, shape }))
    }

    /// Each row of the gradient becomes the sum of those of its places.
    fn scatter(&self, Sums { places, occurring, .. }: &Sums, grad_output: &Tensor<T>, gradient: Output<'_, T>) {
        let size = self.options.embedding_dim;
        if size == 0 {
            return;
        }
        let rows: Cow<'_, [(usize, usize)]> = match self.options.sparse {
            true => occurring.iter().enumerate().map(|(at, (i, _))| (*i, at)).collect(),
            false => Cow::Borrowed(occurring),
        };
        let sums = embedding::Sums { places, rows: &rows, by_frequency: self.options.scale_grad_by_freq };
        self.execution.run(|kernel| embedding::scatter(kernel, &sums, (grad_output.as_slice(), size), gradient));
    }
}

/// The rows that have a gradient, and the places that look each of them up.
struct Sums {
    places: Places,
    /// The number of each row among those that occur, and the row.
    occurring: Vec<(usize, usize)>,
    /// The gradient's.
    shape: Vec<usize>,
}

impl Sums {
    fn rows(&self) -> impl Iterator<Item = usize> {
        self.occurring.iter().map(|(_, row)| *row)
    }
}

fn scale_row<T: Float>(row: &mut [T], scale: T) {
    row.iter_mut().for_each(|w| *w = *w * scale);
}

/// One row of [V, D], for writing.
fn row_mut<T: Clone>(weight: &mut Tensor<T>, row: usize) -> &mut [T] {
    let size = weight.shape()[1];
    &mut weight.as_mut_slice()[row * size..][..size]
}
