//! `torch.nn.Embedding(num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0,
//! scale_grad_by_freq=False, sparse=False, _weight=None, _freeze=False)`.

use super::require_shape;
use crate::{Error, Result, Tensor};

const LAYER: &str = "Embedding";

/// Arguments of `torch.nn.Embedding`.
///
/// ```
/// use vocabulary::EmbeddingOptions;
/// let options = EmbeddingOptions::new(10, 3).padding_idx(-1).max_norm(1.0);
/// assert_eq!(options.padding_row()?, Some(9));
/// # Ok::<(), vocabulary::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct EmbeddingOptions {
    /// The number of rows of the weight.
    pub num_embeddings: usize,
    /// The size of each row.
    pub embedding_dim: usize,
    /// The row whose gradient is 0, counted from the last where it is negative; `init` sets it to 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub padding_idx: Option<i64>,
    /// The largest norm of a row: one that is looked up and exceeds it is scaled down, in the weight itself.
    #[cfg_attr(feature = "serde", serde(default, with = "super::float::optional"))]
    pub max_norm: Option<f64>,
    /// p of the p-norm that `max_norm` limits.
    #[cfg_attr(feature = "serde", serde(default = "two", with = "super::float"))]
    pub norm_type: f64,
    /// Whether a row's gradient is divided by how often it was looked up.
    #[cfg_attr(feature = "serde", serde(default))]
    pub scale_grad_by_freq: bool,
    /// Whether the weight's gradient is given as rows and values, not as a whole.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sparse: bool,
    /// Whether the weight has no gradient at all (`_freeze`, and `Embedding.from_pretrained(…, freeze=True)`).
    #[cfg_attr(feature = "serde", serde(default, rename = "_freeze"))]
    pub freeze: bool,
}

fn two() -> f64 {
    2.0
}

impl EmbeddingOptions {
    /// PyTorch's defaults: no padding row, no largest norm, a whole gradient.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Self {
        Self {
            num_embeddings,
            embedding_dim,
            padding_idx: None,
            max_norm: None,
            norm_type: two(),
            scale_grad_by_freq: false,
            sparse: false,
            freeze: false,
        }
    }

    /// Sets the row whose gradient is 0.
    pub fn padding_idx(mut self, padding_idx: impl Into<Option<i64>>) -> Self {
        self.padding_idx = padding_idx.into();
        self
    }

    /// Sets the largest norm of a row.
    pub fn max_norm(mut self, max_norm: impl Into<Option<f64>>) -> Self {
        self.max_norm = max_norm.into();
        self
    }

    /// Sets p of the p-norm.
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.norm_type = norm_type;
        self
    }

    /// Sets whether a row's gradient is divided by how often it was looked up.
    pub fn scale_grad_by_freq(mut self, scale_grad_by_freq: bool) -> Self {
        self.scale_grad_by_freq = scale_grad_by_freq;
        self
    }

    /// Sets whether the weight's gradient is given as rows and values.
    pub fn sparse(mut self, sparse: bool) -> Self {
        self.sparse = sparse;
        self
    }

    /// Sets whether the weight has no gradient at all.
    pub fn freeze(mut self, freeze: bool) -> Self {
        self.freeze = freeze;
        self
    }

    /// The weight's shape: [num_embeddings, embedding_dim].
    pub fn weight_shape(&self) -> [usize; 2] {
        [self.num_embeddings, self.embedding_dim]
    }

    /// The row whose gradient is 0, counted from the first.
    ///
    /// # Errors
    /// Names `padding_idx`, where there is no such row.
    pub fn padding_row(&self) -> Result<Option<usize>> {
        let Some(row) = self.padding_idx else { return Ok(None) };
        let count = i64::try_from(self.num_embeddings).unwrap_or(i64::MAX);
        if !(-count..count).contains(&row) {
            let expected = format!("in {}..{count} (num_embeddings = {count})", -count);
            return Err(Error::new(LAYER, "padding_idx", format_args!("is {row}"), expected));
        }
        Ok(Some(row.rem_euclid(count) as usize))
    }

    /// Checks the options among themselves.
    ///
    /// # Errors
    /// Where there is no row `padding_idx`.
    pub fn check(&self) -> Result<()> {
        self.padding_row().map(|_| ())
    }

    /// Checks the weight's shape.
    ///
    /// # Errors
    /// Names `weight`, with the shape that was expected.
    pub fn check_parameters(&self, weight: &[usize]) -> Result<()> {
        require_shape(LAYER, "weight", weight, &self.weight_shape())
    }

    /// Checks that a sparse gradient can be given for an input of so many dimensions.
    ///
    /// # Errors
    /// Names `sparse`, where it stands beside `scale_grad_by_freq`, or beside `padding_idx` with an input without dimensions.
    pub fn check_backward(&self, input_rank: usize) -> Result<()> {
        let beside = match self {
            Self { sparse: true, scale_grad_by_freq: true, .. } => "false beside scale_grad_by_freq (backward)",
            Self { sparse: true, padding_idx: Some(_), .. } if input_rank == 0 => {
                "false beside padding_idx for an input without dimensions (backward)"
            }
            _ => return Ok(()),
        };
        Err(Error::new(LAYER, "sparse", "is true", beside))
    }

    /// The rows that an input looks up.
    ///
    /// # Errors
    /// Names `input`, where it holds an index without a row; names `norm_type`, where rows without elements have no such norm.
    pub fn rows(&self, input: &[impl crate::Integer]) -> Result<Vec<usize>> {
        let row = |&index: &_| {
            let index = crate::Integer::to_i64(index);
            let row = usize::try_from(index).ok().filter(|&row| row < self.num_embeddings);
            row.ok_or_else(|| {
                let expected = format!("only indices in 0..{0} (num_embeddings = {0})", self.num_embeddings);
                Error::new(LAYER, "input", format_args!("holds {index}"), expected)
            })
        };
        let rows: Vec<usize> = input.iter().map(row).collect::<Result<_>>()?;
        let of_extremes = self.norm_type < 0.0 || self.norm_type == f64::INFINITY;
        if self.max_norm.is_some() && self.embedding_dim == 0 && !rows.is_empty() && of_extremes {
            let got = format!("is {}", self.norm_type);
            return Err(Error::new(LAYER, "norm_type", got, "a norm that rows without elements have"));
        }
        Ok(rows)
    }
}

/// The weight's gradient.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbeddingGradient<T> {
    /// [num_embeddings, embedding_dim].
    Dense(Tensor<T>),
    /// With `sparse`: the gradient of each row that was looked up, and 0 of every other.
    Sparse {
        /// The rows, each once, in ascending order.
        rows: Vec<usize>,
        /// [rows, embedding_dim].
        values: Tensor<T>,
    },
}

impl<T: crate::Scalar> EmbeddingGradient<T> {
    /// The gradient of the whole weight of so many rows.
    ///
    /// # Errors
    /// Where it cannot be stored, or a row lies outside.
    ///
    /// ```
    /// use vocabulary::{EmbeddingGradient, Tensor};
    /// let gradient = EmbeddingGradient::Sparse { rows: vec![1], values: Tensor::from_vec(&[1, 2], vec![3.0, 4.0])? };
    /// assert_eq!(gradient.to_dense(2)?.as_slice(), [0.0, 0.0, 3.0, 4.0]);
    /// # Ok::<(), vocabulary::Error>(())
    /// ```
    pub fn to_dense(&self, num_embeddings: usize) -> Result<Tensor<T>> {
        let (rows, values) = match self {
            Self::Dense(whole) => return Ok(whole.clone()),
            Self::Sparse { rows, values } => (rows, values),
        };
        let size = values.shape().get(1).copied().unwrap_or(0);
        let mut whole = Tensor::full(&[num_embeddings, size], T::from_f64(0.0))?;
        for (place, &row) in rows.iter().enumerate() {
            let gradient = values.slice(0, place..place + 1)?;
            let due = whole.as_mut_slice().chunks_mut(size.max(1)).nth(row).filter(|_| row < num_embeddings);
            match due {
                Some(due) => due.copy_from_slice(gradient.as_slice()),
                None if size == 0 => {}
                None => return Err(Error::new(LAYER, "rows", format_args!("holds {row}"), "rows of the weight")),
            }
        }
        Ok(whole)
    }
}

/// What `Embedding`'s backward gives. Indices have no gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingGradients<T> {
    /// Of the weight, unless it is frozen.
    pub weight: Option<EmbeddingGradient<T>>,
}
