//! What can be held against the recorded cases: ours, and anyone's who implements [`Implementation`].

use crate::bounded::Declaration;
use crate::case_file::Case;
use crate::tensors::{DType, Named};
use std::fmt;

/// One way of running an implementation: what is left out is its own choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The name of an algorithm.
    pub algorithm: Option<String>,
    /// The name of an instruction set.
    pub isa: Option<String>,
    /// A number of threads.
    pub threads: Option<usize>,
}

impl Variant {
    /// The command line's arguments that choose this variant.
    pub fn arguments(&self) -> String {
        let algorithm = self.algorithm.iter().map(|name| format!(" --algorithm {name}"));
        let isa = self.isa.iter().map(|name| format!(" --isa {name}"));
        let threads = self.threads.iter().map(|count| format!(" --threads {count}"));
        algorithm.chain(isa).chain(threads).collect()
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.threads.map(|count| format!("{count} threads"));
        let parts: Vec<&str> =
            [&self.algorithm, &self.isa, &threads].into_iter().flatten().map(String::as_str).collect();
        f.write_str(&parts.join(", "))
    }
}

/// Which variants are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is fixed.
    pub fixed: Variant,
    /// Whether every algorithm at every instruction set and at 1, 2 and 3 threads is wanted, as far as it is not fixed.
    pub all: bool,
}

/// The numbers that a layer computed, in the type that it computed in.
#[derive(Debug, Clone)]
pub enum Results {
    /// In single precision.
    F32(Named<f32>),
    /// In double precision.
    F64(Named<f64>),
}

/// What an implementation made of a case.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It computed.
    Values(Results),
    /// It refused, with this message.
    Error(String),
    /// It has no such layer or option, with this message.
    Unsupported(String),
    /// The variant's algorithm does not take this problem, for this reason: there is nothing to compare.
    NotApplicable(String),
}

/// Something that computes layers, and can be held against cases, properties and bounds.
///
/// Only [`Implementation::name`] and [`Implementation::run`] must be written. Third parties implement it for an adapter of
/// their own crate:
///
/// ```
/// use conformance::{Case, DType, Declaration, Group, Implementation, Limits, Named, Outcome, Results, Selection, Variant};
/// use conformance::{fixtures, replay};
///
/// /// ReLU, as someone else would write it.
/// struct Theirs;
///
/// impl Implementation for Theirs {
///     fn name(&self) -> &str {
///         "theirs"
///     }
///     fn run(&self, case: &Case, _variant: &Variant) -> Outcome {
///         if case.layer != "ReLU" {
///             return Outcome::Unsupported("only ReLU".into());
///         }
///         match case.tensor(Group::In, "input") {
///             Some(vocabulary::StateTensor::F32(input)) => {
///                 let mut results = Named::default();
///                 results.insert(Group::Out, "output", input.map(|x| if x < 0.0 { 0.0 } else { x }));
///                 Outcome::Values(Results::F32(results))
///             }
///             _ => Outcome::Unsupported("only f32".into()),
///         }
///     }
/// }
///
/// let file = fixtures::file("ReLU").unwrap();
/// let case = file.cases.iter().find(|case| case.compute_type() == Ok(DType::F32)).unwrap();
/// let verdict = replay(case, &file.generator, &Theirs, &Variant::default(), &Limits::default());
/// assert!(verdict.has_passed(), "{verdict:?}");
/// ```
pub trait Implementation: Sync {
    /// A short name, for reports and the command line.
    fn name(&self) -> &str;

    /// Runs a case, forward and, where it has cotangents, backward.
    fn run(&self, case: &Case, variant: &Variant) -> Outcome;

    /// The variants of a selection that this implementation has for a case; one alone unless it says otherwise.
    fn variants(&self, _case: &Case, _selection: &Selection) -> Vec<Variant> {
        vec![Variant::default()]
    }

    /// Whether it says that a layer is still to come: [`Implementation::run`] then gives [`Outcome::Unsupported`].
    fn still_to_come(&self, _layer: &str) -> bool {
        false
    }

    /// What it says of the arithmetic of a case; by default, nothing.
    fn declaration(&self, _case: &Case, dtype: DType, _variant: &Variant) -> Declaration {
        Declaration::foreign(dtype)
    }

    /// Whether a results file may leave out gradients and buffers.
    fn may_be_partial(&self) -> bool {
        true
    }
}
