//! One file a layer: how a case of it is run through either crate, how much memory it takes, and how cases are generated.

mod batch_norm2d;
mod bce_loss;
mod bce_with_logits_loss;
mod conv2d;
mod cross_entropy_loss;
mod elu;
mod embedding;
mod gru;
mod l1_loss;
mod leaky_relu;
mod linear;
mod log_sigmoid;
mod max_pool2d;
mod mse_loss;
mod relu;
mod rnn;
mod shared;
mod sigmoid;
mod softmax;
mod tanh;

use crate::case_file::Case;
use crate::generators;
use crate::implementation::Variant;
use crate::task::Task;
use crate::tensors::{DType, Group, Named};
use optimized::{Choice, Execution, Float};
use proptest::strategy::BoxedStrategy;
use reference::Real;
use vocabulary::{Error, Result};

/// Why a run gave no values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// The layer refused.
    Refused(Error),
    /// The algorithm that was asked for does not take this problem.
    NotApplicable(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

macro_rules! layers {
    (in both: $($name:literal => $module:ident),*; in reference: $($to_come:literal => $its_module:ident),* $(,)?) => {
        /// The layers that `reference` has, by their torch.nn class names; `optimized` has all but
        /// [`optimized::STILL_TO_COME`].
        pub const NAMES: &[&str] = &[$($name,)* $($to_come),*];

        /// Runs a task through `reference`, forward and, where it has cotangents, backward.
        ///
        /// # Errors
        /// Where the layer refuses.
        pub fn run_reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
            match task.case.layer.as_str() {
                $($name => $module::reference(task),)*
                $($to_come => $its_module::reference(task),)*
                other => Err(unknown(other)),
            }
        }

        /// Runs a task through `optimized`; the caller has seen to it that the layer is not still to come.
        pub(crate) fn run_optimized<T: Float>(
            task: &Task<'_, T>,
            execution: &Execution,
        ) -> std::result::Result<Named<T>, Stop> {
            match task.case.layer.as_str() {
                $($name => $module::optimized(task, execution),)*
                other => Err(unknown(other).into()),
            }
        }

        /// The arguments of PyTorch's constructor; none for an unknown layer.
        pub fn signature(layer: &str) -> &'static str {
            match layer {
                $($name => $module::SIGNATURE,)*
                $($to_come => $its_module::SIGNATURE,)*
                _ => "",
            }
        }

        /// How many numbers a layer would hold beside the tensors that its case brings: parameters that are to be
        /// initialised, outputs and gradients.
        fn additional_numbers(case: &Case) -> u128 {
            match case.layer.as_str() {
                $($name => $module::additional_numbers(case),)*
                $($to_come => $its_module::additional_numbers(case),)*
                _ => 0,
            }
        }

        /// Generated cases of a layer; `None` for an unknown one.
        pub fn generator(layer: &str, dtype: DType) -> Option<BoxedStrategy<Case>> {
            let cases = match layer {
                $($name => $module::cases(dtype),)*
                $($to_come => $its_module::cases(dtype),)*
                _ => return None,
            };
            Some(if signature(layer).contains("device=None") { generators::placed(cases, dtype) } else { cases })
        }
    };
}

layers! {
    in both:
    "Linear" => linear,
    "ReLU" => relu,
    "Sigmoid" => sigmoid,
    "BatchNorm2d" => batch_norm2d,
    "MSELoss" => mse_loss,
    "Conv2d" => conv2d,
    "MaxPool2d" => max_pool2d,
    "LogSigmoid" => log_sigmoid,
    "Tanh" => tanh,
    "LeakyReLU" => leaky_relu,
    "ELU" => elu,
    "Softmax" => softmax,
    "RNN" => rnn,
    "GRU" => gru,
    "Embedding" => embedding,
    "L1Loss" => l1_loss,
    "CrossEntropyLoss" => cross_entropy_loss,
    "BCELoss" => bce_loss,
    "BCEWithLogitsLoss" => bce_with_logits_loss;
    in reference:
}

/// Why nobody could replay a case as it was recorded, where that is so.
pub(crate) fn unsupported(case: &Case) -> Option<String> {
    match case.layer.as_str() {
        "RNN" => rnn::unsupported(case),
        "GRU" => gru::unsupported(case),
        layer if !NAMES.contains(&layer) => Some(format!("there is no layer {layer}")),
        _ => None,
    }
}

/// Whether a layer takes some numbers and refuses those beside them, as probabilities have ends.
pub(crate) fn has_domain(layer: &str) -> bool {
    layer == "BCELoss"
}

fn unknown(layer: &str) -> Error {
    Error::new(layer, "layer", "is unknown", format_args!("one of {NAMES:?}"))
}

/// The layers whose outputs, and those whose gradients, keep the sign of zero, as PyTorch's do.
pub(crate) fn keeps_sign_of_zero(layer: &str, group: Group) -> bool {
    match layer {
        "ReLU" | "LeakyReLU" => true,
        "ELU" | "Tanh" | "MaxPool2d" | "Embedding" => group == Group::Out,
        _ => false,
    }
}

/// Whether `optimized` computes a case of Conv2d by Winograd's formula.
pub(crate) fn goes_by_winograd(case: &Case, variant: &Variant) -> bool {
    let name = |algorithm: &String| algorithm == "winograd";
    variant.algorithm.as_ref().map_or_else(|| conv2d::prefers(case, "winograd"), name)
}

/// The losses: what they give may be what is left of terms that cancel.
pub(crate) fn is_loss(layer: &str) -> bool {
    layer.ends_with("Loss")
}

/// How many numbers a case holds in all: what it brings, and what the layer adds.
pub(crate) fn numbers(case: &Case) -> u128 {
    let brought = case.tensors.values().map(|tensor| product(tensor.shape()));
    brought.fold(additional_numbers(case), u128::saturating_add)
}

/// The number of elements of a shape, however large.
fn product(shape: &[usize]) -> u128 {
    shape.iter().fold(1, |product, &size| product.saturating_mul(size as u128))
}

/// The shape of an input, where it is there.
fn input_shape<'a>(case: &'a Case, name: &str) -> &'a [usize] {
    case.tensor(Group::In, name).map_or(&[], |tensor| tensor.shape())
}

/// Whether the algorithm that the execution names, or else any, takes a problem of these choices.
fn applicable(execution: &Execution, choices: &[Choice]) -> std::result::Result<(), Stop> {
    let refusal =
        |name: &str| choices.iter().find(|choice| choice.name == name).and_then(|choice| choice.refusal.clone());
    match execution.algorithm.as_deref().and_then(refusal) {
        Some(reason) => Err(Stop::NotApplicable(reason)),
        None => Ok(()),
    }
}
