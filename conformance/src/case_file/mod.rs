//! Case files, `layerproof.cases.v1`: what one implementation of a layer computed, so that any other can be held against it.

mod duplicate_keys;
mod read;

mod write;

pub use read::read_file;

use crate::tensors::{DType, Group, dtype};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use vocabulary::{Error, StateTensor};

/// The value of `format` in a case file's metadata.
pub const FORMAT: &str = "layerproof.cases.v1";

/// Why a file is no case file, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some libraries break their messages into lines.
        f.write_str(&self.0.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl std::error::Error for Invalid {}

/// Whether a layer is in training or evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As after `train()`.
    Train,
    /// As after `eval()`.
    Eval,
}

/// What a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// The layer computes.
    Values,
    /// Building it, or running it forward or backward, is refused.
    Error,
}

/// What an implementation said of a case, in a file of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It computed.
    Values,
    /// It refused, with this message.
    Error(String),
    /// It has no such layer or option, with this message.
    Unsupported(String),
}

/// One case: the call of one layer, and what it gave.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique in its file.
    pub name: String,
    /// The torch.nn class name.
    pub layer: String,
    /// The constructor's keyword arguments.
    pub options: Map<String, Value>,
    /// Training or evaluation.
    pub mode: Mode,
    /// Values or a refusal.
    pub expect: Expect,
    /// In a file of results, what the implementation said.
    pub status: Option<Status>,
    /// The whole head, unknown fields included.
    pub head: Map<String, Value>,
    /// The tensors, by group and name.
    pub tensors: BTreeMap<(Group, String), StateTensor>,
}

impl Case {
    /// A case without tensors.
    pub fn new(name: &str, layer: &str, options: Map<String, Value>, mode: Mode, expect: Expect) -> Self {
        let text = |text: &str| Value::String(text.to_owned());
        let mut head = Map::new();
        head.insert("name".into(), text(name));
        head.insert("layer".into(), text(layer));
        head.insert("options".into(), Value::Object(options.clone()));
        head.insert("mode".into(), text(if mode == Mode::Train { "train" } else { "eval" }));
        head.insert("expect".into(), text(if expect == Expect::Values { "values" } else { "error" }));
        let (name, layer) = (name.to_owned(), layer.to_owned());
        Self { name, layer, options, mode, expect, status: None, head, tensors: BTreeMap::new() }
    }

    /// The tensor of that group and name.
    pub fn tensor(&self, group: Group, name: &str) -> Option<&StateTensor> {
        self.group(group).find(|(known, _)| *known == name).map(|(_, tensor)| tensor)
    }

    /// The names and tensors of a group.
    pub fn group(&self, group: Group) -> impl Iterator<Item = (&str, &StateTensor)> {
        let from = (group, String::new());
        let of_group = self.tensors.range(from..).take_while(move |((other, _), _)| *other == group);
        of_group.map(|((_, name), tensor)| (name.as_str(), tensor))
    }

    /// Adds a tensor, or replaces the one of that group and name.
    pub fn insert(&mut self, group: Group, name: &str, tensor: impl Into<StateTensor>) {
        self.tensors.insert((group, name.to_owned()), tensor.into());
    }

    /// The type that the layer computes in: that of its floating-point inputs and state, or else of the option `dtype`, or
    /// else f32, PyTorch's default. Cotangents are converted to it, as PyTorch does.
    ///
    /// # Errors
    /// Where they are of different types.
    pub fn compute_type(&self) -> Result<DType, Error> {
        let given = [Group::In, Group::State]
            .into_iter()
            .flat_map(|group| self.group(group).filter_map(move |(name, tensor)| Some((group, name, dtype(tensor)?))));
        let option = match self.options.get("dtype").and_then(Value::as_str) {
            Some("float64") => Some(DType::F64),
            Some("float32") => Some(DType::F32),
            _ => None,
        };
        let mut compute_type = None;
        for (group, name, dtype) in given {
            if *compute_type.get_or_insert(dtype) != dtype {
                let (got, expected) = (format!("has type {dtype}"), "one floating-point type for all tensors");
                return Err(Error::new(&self.layer, format_args!("{group}.{name}"), got, expected));
            }
        }
        match (compute_type, option) {
            (Some(tensors), Some(option)) if tensors != option => Err(Error::new(
                &self.layer,
                "dtype",
                format_args!("is {option}"),
                format_args!("{tensors}, the tensors'"),
            )),
            (compute_type, option) => Ok(compute_type.or(option).unwrap_or(DType::F32)),
        }
    }
}

/// A case file: its cases in order, and who computed them.
#[derive(Debug, Clone, Default)]
pub struct CaseFile {
    /// Free text.
    pub generator: String,
    /// The cases, in the file's order.
    pub cases: Vec<Case>,
}

impl CaseFile {
    /// The case of that name.
    pub fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }
}
