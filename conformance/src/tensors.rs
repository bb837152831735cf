//! Named tensors in groups, as a case file and a run of a layer have them.

use std::collections::BTreeMap;
use std::fmt;
use vocabulary::{Error, Result, Scalar, StateTensor, Tensor};

/// The floating-point type that a layer computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// `torch.float32`.
    F32,
    /// `torch.float64`.
    F64,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// The role of a tensor in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Inputs.
    In,
    /// Parameters and buffers before the call.
    State,
    /// Outputs.
    Out,
    /// Cotangents of the outputs.
    GradOut,
    /// Gradients of the inputs.
    GradIn,
    /// Gradients of the parameters.
    GradState,
    /// Buffers after a training forward.
    After,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 7] =
        [Self::In, Self::State, Self::Out, Self::GradOut, Self::GradIn, Self::GradState, Self::After];
    /// The groups that a layer computes.
    pub const RESULTS: [Self; 4] = [Self::Out, Self::GradIn, Self::GradState, Self::After];

    /// The group's name in a case file.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::State => "state",
            Self::Out => "out",
            Self::GradOut => "grad_out",
            Self::GradIn => "grad_in",
            Self::GradState => "grad_state",
            Self::After => "after",
        }
    }

    /// Whether a layer computes this group.
    pub fn is_result(self) -> bool {
        Self::RESULTS.contains(&self)
    }

    /// Whether the group holds gradients.
    pub fn is_gradient(self) -> bool {
        matches!(self, Self::GradIn | Self::GradState)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor of numbers that a layer computes with, or of integers.
#[derive(Debug, Clone)]
pub enum Value<T> {
    /// Numbers.
    Float(Tensor<T>),
    /// Integers: indices, classes, counts.
    Integer(Tensor<i64>),
}

impl<T> Value<T> {
    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(tensor) => tensor.shape(),
            Self::Integer(tensor) => tensor.shape(),
        }
    }
}

/// Tensors by group and name.
#[derive(Debug, Clone)]
pub struct Named<T>(BTreeMap<(Group, String), Value<T>>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Named<T> {
    /// Adds a tensor of numbers.
    pub fn insert(&mut self, group: Group, name: &str, tensor: Tensor<T>) {
        self.0.insert((group, name.to_owned()), Value::Float(tensor));
    }

    /// Adds a tensor of integers.
    pub fn insert_integers(&mut self, group: Group, name: &str, tensor: Tensor<i64>) {
        self.0.insert((group, name.to_owned()), Value::Integer(tensor));
    }

    /// The tensor of that group and name.
    pub fn get(&self, group: Group, name: &str) -> Option<&Value<T>> {
        // The map's keys are owned pairs, which a borrowed pair cannot look up; groups are small.
        self.group(group).find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The tensor of numbers of that group and name.
    pub fn float(&self, group: Group, name: &str) -> Option<&Tensor<T>> {
        match self.get(group, name) {
            Some(Value::Float(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// The tensor of numbers of that group and name, for writing.
    pub fn float_mut(&mut self, group: Group, name: &str) -> Option<&mut Tensor<T>> {
        match self.0.get_mut(&(group, name.to_owned())) {
            Some(Value::Float(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// The tensors of numbers, for writing.
    pub fn floats_mut(&mut self) -> impl Iterator<Item = &mut Tensor<T>> {
        self.0.values_mut().filter_map(|value| match value {
            Value::Float(tensor) => Some(tensor),
            Value::Integer(_) => None,
        })
    }

    /// Takes a group out.
    pub fn split_off(&mut self, group: Group) -> Self {
        let (taken, kept) = std::mem::take(&mut self.0).into_iter().partition(|((other, _), _)| *other == group);
        self.0 = kept;
        Self(taken)
    }

    /// The names and tensors of a group.
    pub fn group(&self, group: Group) -> impl Iterator<Item = (&str, &Value<T>)> {
        let from = (group, String::new());
        let of_group = self.0.range(from..).take_while(move |((other, _), _)| *other == group);
        of_group.map(|((_, name), value)| (name.as_str(), value))
    }

    /// All groups, names and tensors.
    pub fn iter(&self) -> impl Iterator<Item = (Group, &str, &Value<T>)> {
        self.0.iter().map(|((group, name), value)| (*group, name.as_str(), value))
    }
}

/// A file's tensor with its numbers converted to `T`, exactly where `T` can hold them.
///
/// # Errors
/// None in practice: the shape was checked when the file was read.
pub(crate) fn convert<T: Scalar>(tensor: &StateTensor) -> Result<Value<T>> {
    let floats = |tensor: Vec<T>, shape: &[usize]| Tensor::from_vec(shape, tensor).map(Value::Float);
    match tensor {
        StateTensor::F32(t) => floats(t.as_slice().iter().map(|&x| T::from_f64(f64::from(x))).collect(), t.shape()),
        StateTensor::F64(t) => floats(t.as_slice().iter().map(|&x| T::from_f64(x)).collect(), t.shape()),
        StateTensor::I64(t) => Ok(Value::Integer(t.clone())),
    }
}

/// Numbers as a file's tensor of a type; `None` where they are not as many as the shape has.
pub(crate) fn typed(dtype: DType, shape: &[usize], values: Vec<f64>) -> Option<StateTensor> {
    match dtype {
        DType::F32 => Tensor::from_vec(shape, values.iter().map(|&x| x as f32).collect()).map(StateTensor::F32).ok(),
        DType::F64 => Tensor::from_vec(shape, values).map(StateTensor::F64).ok(),
    }
}

/// A file's tensor in another floating-point type.
pub(crate) fn cast(tensor: &StateTensor, to: DType) -> StateTensor {
    match (tensor, to) {
        (StateTensor::F32(t), DType::F64) => t.map(f64::from).into(),
        (StateTensor::F64(t), DType::F32) => t.map(|x| x as f32).into(),
        (StateTensor::I64(t), DType::F32) => t.map(|x| x as f32).into(),
        (StateTensor::I64(t), DType::F64) => t.map(|x| x as f64).into(),
        (same, _) => same.clone(),
    }
}

/// The floating-point type of a file's tensor, or `None` for integers.
pub(crate) fn dtype(tensor: &StateTensor) -> Option<DType> {
    match tensor {
        StateTensor::F32(_) => Some(DType::F32),
        StateTensor::F64(_) => Some(DType::F64),
        StateTensor::I64(_) => None,
    }
}

/// Refuses a tensor of integers where numbers are due.
pub(crate) fn numbers<T: Clone>(layer: &str, name: &str, value: &Value<T>) -> Result<Tensor<T>> {
    match value {
        Value::Float(tensor) => Ok(tensor.clone()),
        Value::Integer(_) => Err(Error::new(layer, name, "has an integer type", "a floating-point type")),
    }
}
