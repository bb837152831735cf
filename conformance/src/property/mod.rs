//! Random cases of a layer, judged; the first that fails, made as small as it can be.

mod counterexample;
mod pytorch;
mod tally;

pub use counterexample::Counterexample;
pub use pytorch::to_pytorch;
pub use tally::Tally;

use crate::generators;
use crate::implementation::{Implementation, Selection};
use crate::layers;
use crate::replay::{Conclusion, Limits, Trial};
use crate::tensors::DType;
use proptest::test_runner::{TestCaseError, TestError};
use std::cell::RefCell;

/// That an implementation of a layer is right: it computes what the reference does, within the bounds.
///
/// ```
/// use conformance::property::Property;
/// use conformance::{DType, Reference, Selection};
/// let property = Property { layer: "ReLU", dtype: DType::F32, implementation: &Reference, selection: Selection::default() };
/// let tally = property.check(7, 32).unwrap_or_else(|counterexample| panic!("{counterexample}"));
/// assert_eq!(tally.cases, 32);
/// ```
#[derive(Clone)]
pub struct Property<'a> {
    /// The torch.nn class name of the layer.
    pub layer: &'a str,
    /// The type it computes in.
    pub dtype: DType,
    /// What is held against the reference.
    pub implementation: &'a dyn Implementation,
    /// The variants that are run.
    pub selection: Selection,
}

impl Property<'_> {
    /// Draws so many cases from a seed and judges each.
    ///
    /// # Errors
    /// The smallest failing case that is found, with what is wrong with it.
    pub fn check(&self, seed: u64, cases: u32) -> Result<Tally, Box<Counterexample>> {
        let Self { layer, dtype, implementation, selection } = self;
        let mut tally = RefCell::new(Tally::default());
        let last = RefCell::new(String::new());
        let unknown = || Box::new(Counterexample::unknown(layer, *dtype, seed));
        let strategy = layers::generator(layer, *dtype).ok_or_else(unknown)?;
        let outcome = generators::runner_of(*dtype, seed, cases).run(&strategy, |case| {
            let trial = Trial::new(&case, "");
            for variant in implementation.variants(&case, selection) {
                let verdict = trial.replay(*implementation, &variant, &Limits::default());
                match &verdict.conclusion {
                    Conclusion::NotApplicable(_) => continue,
                    Conclusion::Passed | Conclusion::Mistrusted(_) => tally.borrow_mut().add(&verdict),
                    other => {
                        *last.borrow_mut() =
                            format!(" --implementation {}{}", implementation.name(), variant.arguments());
                        return Err(TestCaseError::fail(other.to_string()));
                    }
                }
            }
            tally.borrow_mut().cases += 1;
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(std::mem::take(tally.get_mut())),
            Err(TestError::Fail(reason, case)) => {
                let arguments = last.take();
                Err(Box::new(Counterexample {
                    case: Some(case),
                    dtype: *dtype,
                    seed,
                    reason: reason.to_string(),
                    arguments,
                    layer: (*layer).to_owned(),
                }))
            }
            Err(TestError::Abort(reason)) => {
                Err(Box::new(Counterexample { reason: format!("no case was drawn: {reason}"), ..*unknown() }))
            }
        }
    }
}
