//! What it means that two implementations of a layer agree, and the proof that ours do.
//!
//! A [`Case`] is the call of a layer and what it gave. [`replay`] runs it through an [`Implementation`] and judges the
//! results, element by element, against the reference run over [`bounded::Bounded`] numbers, whose bounds are derived from the
//! formula, and against what the case has recorded from PyTorch. [`witness`] holds gradients against calculus.
//! [`generators`] and [`generator`] draw random cases.
#![forbid(unsafe_code)]

pub mod bounded;
pub mod case_file;
pub mod command_line;
mod comparison;
pub mod declarations;
pub mod fixtures;
pub mod generators;
mod implementation;
mod implementations;
mod layers;
pub mod property;
mod recurrence;
mod replay;
mod task;
mod tensors;
mod winograd;
pub mod witness;

pub use bounded::Declaration;
pub use case_file::{Case, CaseFile, Expect, Mode};
pub use comparison::{Judgement, Lane, Worst};
pub use implementation::{Implementation, Outcome, Results, Selection, Variant};
pub use implementations::{Optimized, Reference, ours};
pub use layers::{NAMES as LAYERS, generator, run_reference, signature};
pub use replay::{Conclusion, Limits, Purpose, Trial, Verdict, check_memory, replay};
pub use task::Task;
pub use tensors::{DType, Group, Named, Value};

/// The README's own example runs, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
