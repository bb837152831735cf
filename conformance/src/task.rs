//! A case made ready for a layer over any number type: options to parse, tensors to hand over.

use crate::case_file::{Case, Expect, Mode};
use crate::tensors::{Group, Named, Value, cast, convert, numbers};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use vocabulary::{Error, Result, Scalar, Tensor};

/// The call of one layer over the number type `T`.
#[derive(Debug, Clone)]
pub struct Task<'a, T> {
    /// The case that is run.
    pub case: &'a Case,
    /// Its inputs, state and cotangents as numbers of type `T`.
    pub arguments: Named<T>,
}

impl<'a, T: Scalar> Task<'a, T> {
    /// The case's tensors as numbers of type `T`, which must hold them exactly.
    ///
    /// # Errors
    /// Where inputs and state are of different floating-point types, or a tensor cannot be stored.
    pub fn new(case: &'a Case) -> Result<Self> {
        let mut arguments = Named::default();
        let compute_type = case.compute_type()?;
        for group in [Group::In, Group::State, Group::GradOut] {
            for (name, tensor) in case.group(group) {
                // PyTorch casts a cotangent to its output's type.
                let cast = (group == Group::GradOut).then(|| cast(tensor, compute_type));
                match convert(cast.as_ref().unwrap_or(tensor))? {
                    Value::Float(tensor) => arguments.insert(group, name, tensor),
                    Value::Integer(tensor) => arguments.insert_integers(group, name, tensor),
                }
            }
        }
        Ok(Self { case, arguments })
    }

    fn layer(&self) -> &str {
        &self.case.layer
    }

    /// Whether the layer is in training.
    pub fn is_training(&self) -> bool {
        self.case.mode == Mode::Train
    }

    /// The options.
    ///
    /// # Errors
    /// Names the option that is missing, unknown, or of another type.
    pub fn options<O: DeserializeOwned>(&self) -> Result<O> {
        options(self.case, false, &[])
    }

    /// The options, where PyTorch's constructor has `device` and `dtype`, too, and takes these arguments as tensors.
    ///
    /// # Errors
    /// As [`Task::options`].
    pub fn options_with_placement<O: DeserializeOwned>(&self, tensors: &[&str]) -> Result<O> {
        options(self.case, true, tensors)
    }

    /// The options, where PyTorch's constructor takes these arguments as tensors.
    ///
    /// # Errors
    /// As [`Task::options`].
    pub fn options_beside_tensors<O: DeserializeOwned>(&self, tensors: &[&str]) -> Result<O> {
        options(self.case, false, tensors)
    }

    /// Whether state that is missing is to be initialised: a case that expects a refusal may leave it out, and what is
    /// missing is never itself the refusal.
    pub fn initialises(&self) -> bool {
        self.case.expect == Expect::Error
    }

    /// An input of numbers.
    ///
    /// # Errors
    /// Where it is missing or holds integers.
    pub fn input(&self, name: &str) -> Result<Tensor<T>> {
        let input = self.arguments.get(Group::In, name);
        numbers(self.layer(), name, input.ok_or_else(|| Error::missing(self.layer(), name, "a tensor"))?)
    }

    /// An input of numbers, where it is given.
    ///
    /// # Errors
    /// Where it holds integers.
    pub fn optional_input(&self, name: &str) -> Result<Option<Tensor<T>>> {
        self.arguments.get(Group::In, name).map(|value| numbers(self.layer(), name, value)).transpose()
    }

    /// An input of indices.
    ///
    /// # Errors
    /// Where it is missing or holds numbers.
    pub fn integers(&self, name: &str) -> Result<Tensor<i64>> {
        match self.arguments.get(Group::In, name) {
            None => Err(Error::missing(self.layer(), name, "a tensor")),
            Some(Value::Integer(tensor)) => Ok(tensor.clone()),
            Some(Value::Float(_)) => Err(Error::new(self.layer(), name, "has a floating-point type", "I64 or I32")),
        }
    }

    /// A parameter or buffer of numbers, where it is given.
    ///
    /// # Errors
    /// Where it holds integers.
    pub fn state(&self, name: &str) -> Result<Option<Tensor<T>>> {
        self.arguments.get(Group::State, name).map(|value| numbers(self.layer(), name, value)).transpose()
    }

    /// The refusal of a case that lacks a parameter.
    pub fn missing_state(&self, name: &str) -> Error {
        Error::missing(self.layer(), name, "a tensor")
    }

    /// A count among the buffers, where it is given.
    ///
    /// # Errors
    /// Where it is no integer without dimensions.
    pub fn count(&self, name: &str) -> Result<Option<i64>> {
        match self.arguments.get(Group::State, name) {
            None => Ok(None),
            Some(Value::Integer(tensor)) if tensor.rank() == 0 => Ok(tensor.get(&[]).copied()),
            Some(Value::Integer(tensor)) => Err(Error::shape(self.layer(), name, tensor.shape(), "[]")),
            Some(Value::Float(_)) => Err(Error::new(self.layer(), name, "has a floating-point type", "I64")),
        }
    }

    /// Refuses tensors that the layer does not have.
    ///
    /// # Errors
    /// Names the first.
    pub fn check_names(&self, inputs: &[&str], state: &[&str], outputs: &[&str]) -> Result<()> {
        for (group, known) in [(Group::In, inputs), (Group::State, state), (Group::GradOut, outputs)] {
            if let Some((name, _)) = self.arguments.group(group).find(|(name, _)| !known.contains(name)) {
                let argument = format!("{group}.{name}");
                return Err(Error::new(self.layer(), argument, "is unknown to it", format_args!("only {known:?}")));
            }
        }
        Ok(())
    }

    /// The cotangent of an output, or `None` where backward is not to run.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn cotangent(&self, name: &str, output: &Tensor<T>) -> Result<Option<Tensor<T>>> {
        if self.arguments.group(Group::GradOut).next().is_none() {
            return Ok(None);
        }
        match self.arguments.get(Group::GradOut, name) {
            Some(value) => numbers(self.layer(), "grad_output", value).map(Some),
            None => Tensor::full(output.shape(), T::from_f64(0.0)).map(Some),
        }
    }
}

/// A case's options: `placement` says whether PyTorch's constructor has `device` and `dtype`, `tensors` which arguments it takes
/// as tensors, so that only null may stand here for them.
pub(crate) fn options<O: DeserializeOwned>(case: &Case, placement: bool, tensors: &[&str]) -> Result<O> {
    let mut options = case.options.clone();
    for &name in tensors {
        match options.remove(name) {
            None | Some(Json::Null) => {}
            Some(other) => {
                return Err(Error::new(
                    &case.layer,
                    name,
                    format_args!("is {other}"),
                    "null (a tensor stands in the state)",
                ));
            }
        }
    }
    if placement {
        let allowed = [("device", &["cpu"][..]), ("dtype", &["float32", "float64"])];
        for (name, allowed) in allowed {
            match options.remove(name) {
                None | Some(Json::Null) => {}
                Some(Json::String(text)) if allowed.contains(&text.as_str()) => {}
                Some(other) => {
                    let expected = format!("null or one of {allowed:?}");
                    return Err(Error::new(&case.layer, name, format_args!("is {other}"), expected));
                }
            }
        }
    }
    serde_path_to_error::deserialize(Json::Object(options)).map_err(|error| {
        let (path, message) = (error.path().to_string(), error.inner().to_string());
        let (got, expected) = message.split_once(", expected ").unwrap_or((&message, "PyTorch's arguments"));
        let argument = if path == "." { "options".to_owned() } else { path };
        Error::new(&case.layer, argument, format_args!("has {got}"), expected)
    })
}
