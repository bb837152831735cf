//! Parameters and buffers under their names, as PyTorch's `state_dict()` has them, in and out of safetensors files.

use crate::{Error, Result, Tensor};

/// A tensor of one of the element types that a state dictionary holds.
#[derive(Debug, Clone, PartialEq)]
pub enum StateTensor {
    /// `torch.float32`.
    F32(Tensor<f32>),
    /// `torch.float64`.
    F64(Tensor<f64>),
    /// `torch.int64`.
    I64(Tensor<i64>),
}

impl StateTensor {
    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(tensor) => tensor.shape(),
            Self::F64(tensor) => tensor.shape(),
            Self::I64(tensor) => tensor.shape(),
        }
    }

    /// The element type, as safetensors names it.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::F64(_) => "F64",
            Self::I64(_) => "I64",
        }
    }
}

/// An element type that a state dictionary holds.
pub trait StateElement: Sized {
    /// The type's name in safetensors.
    const DTYPE: &'static str;
    /// The tensor as a state dictionary keeps it.
    fn wrap(tensor: Tensor<Self>) -> StateTensor;
    /// The tensor inside, where it is of this type.
    fn unwrap(tensor: &StateTensor) -> Option<&Tensor<Self>>;
}

macro_rules! state_element {
    ($($type:ty => $variant:ident),*) => {$(
        impl StateElement for $type {
            const DTYPE: &'static str = stringify!($variant);
            fn wrap(tensor: Tensor<Self>) -> StateTensor {
                StateTensor::$variant(tensor)
            }
            fn unwrap(tensor: &StateTensor) -> Option<&Tensor<Self>> {
                match tensor {
                    StateTensor::$variant(tensor) => Some(tensor),
                    _ => None,
                }
            }
        }

        impl From<Tensor<$type>> for StateTensor {
            fn from(tensor: Tensor<$type>) -> Self {
                Self::$variant(tensor)
            }
        }
    )*};
}
state_element!(f32 => F32, f64 => F64, i64 => I64);

/// Named tensors in the order of their insertion.
///
/// ```
/// use vocabulary::{StateDict, Tensor};
/// let mut state = StateDict::new();
/// state.insert("weight", Tensor::from_vec(&[1, 2], vec![0.5_f32, -0.5])?);
/// assert_eq!(state.tensor::<f32>("Linear", "weight")?.shape(), [1, 2]);
/// assert!(state.tensor::<f64>("Linear", "weight").is_err());
/// # Ok::<(), vocabulary::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    entries: Vec<(String, StateTensor)>,
}

impl StateDict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: impl Into<StateTensor>) {
        let (name, tensor) = (name.into(), tensor.into());
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, entry)) => *entry = tensor,
            None => self.entries.push((name, tensor)),
        }
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&StateTensor> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// The names and tensors, in the order of their insertion.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &StateTensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tensor of that name and of type `T`, as `layer` asks for it.
    ///
    /// # Errors
    /// Where it is missing or of another type: nothing is converted silently.
    pub fn tensor<T: StateElement>(&self, layer: &str, name: &str) -> Result<Tensor<T>> {
        let due = format!("a tensor of type {}", T::DTYPE);
        let tensor = self.get(name).ok_or_else(|| Error::missing(layer, name, &due))?;
        let typed = T::unwrap(tensor);
        typed.cloned().ok_or_else(|| Error::new(layer, name, format_args!("has type {}", tensor.dtype()), due))
    }

    /// The tensor of that name, where `layer`'s options ask for it (`due`).
    ///
    /// # Errors
    /// As [`StateDict::tensor`], where it is due.
    pub fn tensor_if<T: StateElement>(&self, due: bool, layer: &str, name: &str) -> Result<Option<Tensor<T>>> {
        if due { self.tensor(layer, name).map(Some) } else { Ok(None) }
    }

    /// Refuses names that `layer` does not have.
    ///
    /// # Errors
    /// Names the first that is not among `known`.
    pub fn check_names(&self, layer: &str, known: &[&str]) -> Result<()> {
        match self.entries.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Error::new(layer, name, "is unknown to it", format_args!("only {known:?}"))),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "safetensors")]
mod file {
    use super::{StateDict, StateTensor};
    use crate::{Error, Result, Tensor};
    use safetensors::{Dtype, SafeTensors, tensor::TensorView};

    impl StateTensor {
        /// A tensor as a safetensors file holds it; 32-bit integers are widened.
        ///
        /// # Errors
        /// Where its type is none of F32, F64, I64 and I32, or its elements do not fill its shape.
        pub fn from_view(name: &str, view: &TensorView<'_>) -> Result<Self> {
            fn read<const BYTES: usize, T: Clone>(
                view: &TensorView<'_>,
                from: fn([u8; BYTES]) -> T,
            ) -> Result<Tensor<T>> {
                let (elements, _) = view.data().as_chunks::<BYTES>();
                Tensor::collect(view.shape(), elements.iter().map(|bytes| from(*bytes)))
            }
            match view.dtype() {
                Dtype::F32 => read(view, f32::from_le_bytes).map(Self::F32),
                Dtype::F64 => read(view, f64::from_le_bytes).map(Self::F64),
                Dtype::I64 => read(view, i64::from_le_bytes).map(Self::I64),
                Dtype::I32 => read(view, |bytes| i64::from(i32::from_le_bytes(bytes))).map(Self::I64),
                other => Err(Error::new("StateDict", name, format_args!("has type {other:?}"), "F32, F64, I64 or I32")),
            }
        }

        /// The elements' bytes, little-endian, with the type that safetensors gives them.
        pub fn to_bytes(&self) -> (Dtype, Vec<u8>) {
            match self {
                Self::F32(t) => (Dtype::F32, t.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect()),
                Self::F64(t) => (Dtype::F64, t.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect()),
                Self::I64(t) => (Dtype::I64, t.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect()),
            }
        }
    }

    impl StateDict {
        /// Reads a safetensors file's bytes. Names come in alphabetical order.
        ///
        /// # Errors
        /// Where they are no such file, or hold a tensor that is none of F32, F64, I64 and I32.
        ///
        /// ```
        /// use vocabulary::{StateDict, Tensor};
        /// let mut state = StateDict::new();
        /// state.insert("bias", Tensor::from_vec(&[2], vec![0.5_f32, -0.5])?);
        /// assert_eq!(StateDict::from_safetensors(&state.to_safetensors()?)?, state);
        /// # Ok::<(), vocabulary::Error>(())
        /// ```
        pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
            let invalid = |error| Error::new("StateDict", "file", format_args!("is invalid ({error})"), "safetensors");
            let file = SafeTensors::deserialize(bytes).map_err(invalid)?;
            let mut names = file.names();
            names.sort_unstable();
            let mut state = Self::new();
            for name in names {
                let view = file.tensor(name).map_err(invalid)?;
                state.entries.push((name.to_owned(), StateTensor::from_view(name, &view)?));
            }
            Ok(state)
        }

        /// The bytes of a safetensors file of these tensors.
        ///
        /// # Errors
        /// Where the file's header would grow larger than the format allows.
        pub fn to_safetensors(&self) -> Result<Vec<u8>> {
            let invalid =
                |error| Error::new("StateDict", "file", format_args!("cannot be written ({error})"), "tensors");
            let bytes: Vec<_> = self.entries.iter().map(|(_, tensor)| tensor.to_bytes()).collect();
            let views = self.entries.iter().zip(&bytes).map(|((name, tensor), (dtype, data))| {
                TensorView::new(*dtype, tensor.shape().to_vec(), data).map(|view| (name.as_str(), view))
            });
            let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(invalid)?;
            safetensors::serialize(views, None).map_err(invalid)
        }
    }
}
