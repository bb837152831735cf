//! Random cases of a layer, judged; the first that fails, made as small as it can be.

mod counterexample;
mod pytorch;
mod tally;

pub use counterexample::Counterexample;
pub use pytorch::to_pytorch;
pub use tally::Tally;

use crate::generators;
use crate::implementation::{Implementation, Selection, Variant};
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
/// let property = Property::new("ReLU", DType::F32, &Reference, Selection::default());
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
    /// What a case may take.
    pub limits: Limits,
}

impl<'a> Property<'a> {
    /// The property under the usual limits.
    pub fn new(layer: &'a str, dtype: DType, implementation: &'a dyn Implementation, selection: Selection) -> Self {
        Self { layer, dtype, implementation, selection, limits: Limits::default() }
    }

    /// Draws so many cases from a seed and judges each.
    ///
    /// # Errors
    /// The smallest failing case that is found, with what is wrong with it.
    pub fn check(&self, seed: u64, cases: u32) -> Result<Tally, Box<Counterexample>> {
        let Self { layer, dtype, implementation, selection, limits } = self;
        let mut tally = RefCell::new(Tally::default());
        let last = RefCell::new(Variant::default());
        let without_case = |reason: String| Counterexample::without_case(layer, *dtype, seed, reason);
        let strategy = layers::generator(layer, *dtype).ok_or_else(|| without_case("there is no such layer".into()))?;
        let outcome = generators::runner_of(*dtype, seed, cases).run(&strategy, |case| {
            let (trial, runs) = (Trial::new(&case, ""), tally.borrow().runs);
            for variant in implementation.variants(&case, selection) {
                let verdict = trial.replay(*implementation, &variant, limits);
                match &verdict.conclusion {
                    Conclusion::NotApplicable(_) => continue,
                    Conclusion::Passed | Conclusion::Mistrusted(_) => tally.borrow_mut().add(&verdict),
                    other => {
                        let reason = other.to_string();
                        *last.borrow_mut() = variant;
                        return Err(TestCaseError::fail(reason));
                    }
                }
            }
            let mut tally = tally.borrow_mut();
            tally.cases += u64::from(tally.runs > runs);
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(std::mem::take(tally.get_mut())),
            Err(TestError::Fail(reason, case)) => {
                let found = without_case(reason.to_string());
                Err(Box::new(found.write(case, implementation.name(), &last.take())))
            }
            Err(TestError::Abort(reason)) => Err(Box::new(without_case(format!("no case was drawn: {reason}")))),
        }
    }
}
