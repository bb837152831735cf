//! Witnesses of a gradient that do not trust anyone's backward: exact derivatives of the reference's *forward*, and
//! differences of it.
//!
//! Both look at F = Σ output·cotangent as a function of one coordinate of one input or parameter, all else fixed. The third
//! witness is the gradient that a case has recorded from PyTorch, which [`crate::replay`] compares.

mod agreement;
mod dual;
mod romberg;
mod tangent;

pub use agreement::{Agreement, agreement, is_tame};
pub use dual::dual;
pub use romberg::{Romberg, romberg};
pub use tangent::Tangent;

use crate::case_file::Case;
use crate::implementation::{Implementation, Outcome, Results, Variant};
use crate::layers;
use crate::replay::bounded;
use crate::task::Task;
use crate::tensors::{DType, Group, Named, Value, convert};
use reference::Real;
use vocabulary::{Error, Result};

/// A gradient that a witness found, with the distance within which it vouches for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Testimony {
    /// ∂F/∂x.
    pub derivative: f64,
    /// How far it may be off.
    pub bound: f64,
}

/// A coordinate of a case: a group (inputs or state), a tensor's name, and a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinate {
    /// [`Group::In`] or [`Group::State`].
    pub group: Group,
    /// The tensor's name.
    pub name: String,
    /// The place in row-major order.
    pub place: usize,
}

/// The coordinates for which an implementation's backward gives a gradient, with that gradient and its bound, of a case in
/// double precision. Those whose gradient is by definition not the forward's derivative are left out: see
/// [`is_derivative`].
///
/// # Errors
/// Where the layer refuses the case, or computes in another type.
pub fn gradients(case: &Case, implementation: &dyn Implementation) -> Result<Vec<(Coordinate, Testimony)>> {
    let variant = Variant::default();
    let computed = match implementation.run(case, &variant) {
        Outcome::Values(Results::F64(results)) => results,
        Outcome::Values(Results::F32(_)) => {
            return Err(Error::new(
                &case.layer,
                "dtype",
                "is f32",
                "f64, in which gradients are held against calculus",
            ));
        }
        Outcome::Error(message) | Outcome::Unsupported(message) | Outcome::NotApplicable(message) => {
            return Err(Error::new(&case.layer, "case", format_args!("is refused ({message})"), "one that computes"));
        }
    };
    let bounds = bounded(case, DType::F64, implementation.declaration(case, DType::F64, &variant))?;
    let mut gradients = Vec::new();
    for (of, group) in [(Group::GradIn, Group::In), (Group::GradState, Group::State)] {
        for (name, _) in computed.group(of) {
            let (Some(values), Some(bounds)) = (computed.float(of, name), bounds.float(of, name)) else { continue };
            for (place, (&derivative, bound)) in values.as_slice().iter().zip(bounds.as_slice()).enumerate() {
                let coordinate = Coordinate { group, name: name.to_owned(), place };
                if is_derivative(case, &coordinate) {
                    gradients.push((coordinate, Testimony { derivative, bound: bound.bound() }));
                }
            }
        }
    }
    Ok(gradients)
}

/// Whether the gradient of a coordinate is the derivative of forward. As PyTorch defines it, it is not
///
/// * in Embedding of the row `padding_idx` (0), with `scale_grad_by_freq` (divided by how often a row was looked up), and with
///   `max_norm` (nothing is differentiated through the scaling);
/// * in BCELoss where the product x·(1 − x) that the input's gradient divides by ends at 10⁻¹², and where the logarithms of the
///   forward end at −100, as those of the target's gradient do not.
///
/// Of these, recorded cases alone are witnesses.
pub fn is_derivative(case: &Case, coordinate: &Coordinate) -> bool {
    match case.layer.as_str() {
        "Embedding" => {
            let options = crate::task::options::<vocabulary::EmbeddingOptions>(case, true, &["_weight"]);
            options.is_ok_and(|options| {
                let row = coordinate.place / options.embedding_dim.max(1);
                let whole = options.max_norm.is_none() && !options.scale_grad_by_freq;
                whole && options.padding_row() != Ok(Some(row))
            })
        }
        "BCELoss" => match case.tensor(Group::In, "input").and_then(|input| convert::<f64>(input).ok()) {
            Some(Value::Float(input)) => input.as_slice().get(coordinate.place).is_some_and(|x| x * (1.0 - x) > 1e-12),
            _ => false,
        },
        _ => true,
    }
}

/// F: the sum of every output times its cotangent, over any number type.
fn contract<T: Real>(outputs: &Named<T>, cotangents: &Named<T>) -> T {
    let pairs = outputs
        .group(Group::Out)
        .filter_map(|(name, _)| Some((outputs.float(Group::Out, name)?, cotangents.float(Group::GradOut, name)?)));
    let products = pairs.flat_map(|(y, g)| y.as_slice().iter().zip(g.as_slice()).map(|(&y, &g)| y * g));
    T::sum(products)
}

/// F at a case's arguments but for one coordinate, which `change` makes of the case's own value. Only forward is run.
fn evaluate<T: Real>(case: &Case, coordinate: &Coordinate, change: impl Fn(f64) -> T) -> Result<T> {
    let mut task = Task::<T>::new(case)?;
    let cotangents = task.arguments.split_off(Group::GradOut);
    if let Some(tensor) = task.arguments.float_mut(coordinate.group, &coordinate.name) {
        let element = &mut tensor.as_mut_slice()[coordinate.place];
        *element = change(element.to_f64());
    }
    Ok(contract(&layers::run_reference(&task)?, &cotangents))
}
