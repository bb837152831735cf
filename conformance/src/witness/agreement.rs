//! All witnesses of a case's gradients, heard together.

use super::{Coordinate, Romberg, Testimony, dual, gradients, romberg};
use crate::bounded::Declaration;
use crate::case_file::{Case, Expect};
use crate::implementation::Implementation;
use crate::replay::bounded;
use crate::tensors::{DType, Group, Value, convert};
use vocabulary::{Result, StateTensor};

/// What the witnesses of some cases came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Coordinates at which all witnesses agree: the backwards, dual numbers and differences.
    pub checked: usize,
    /// Those among them that PyTorch's recorded gradient bore witness to, too.
    pub recorded: usize,
    /// Coordinates at kinks or at the ends of a domain, where conventions hold, and are tested as such.
    pub kinks: usize,
    /// Coordinates of which nothing was found out: a kink or too much curvature too close, or numbers too large.
    pub skipped: usize,
}

impl Agreement {
    /// Counts another in.
    pub fn join(&mut self, other: Self) {
        self.checked += other.checked;
        self.recorded += other.recorded;
        self.kinks += other.kinks;
        self.skipped += other.skipped;
    }
}

/// Hears all witnesses of the gradients of a case in double precision: the backwards of these implementations, dual numbers
/// through the reference's forward, differences of it and, where the case has recorded gradients, those.
///
/// # Errors
/// Where a witness is at odds with another: the coordinate, those that are at odds with most others, and what each says. And
/// where an implementation refuses the case.
pub fn agreement(case: &Case, implementations: &[&dyn Implementation]) -> std::result::Result<Agreement, String> {
    let refused = |error: &dyn std::fmt::Display| format!("{} {} is refused: {error}", case.layer, case.name);
    let mut backwards = Vec::new();
    for implementation in implementations {
        backwards.push((implementation.name(), gradients(case, *implementation).map_err(|error| refused(&error))?));
    }
    let recorded = recorded(case).map_err(|error| refused(&error))?;
    let Some((_, first)) = backwards.first() else { return Ok(Agreement::default()) };
    let mut agreement = Agreement::default();
    for (place, (coordinate, ours)) in first.iter().enumerate() {
        let at = format!("{} {}, {coordinate:?}", case.layer, case.name);
        let dual = dual(case, coordinate).map_err(|error| refused(&error))?;
        if !dual.derivative.is_finite() || !dual.bound.is_finite() || !ours.bound.is_finite() {
            agreement.skipped += 1;
            continue;
        }
        let differences = match romberg(case, coordinate).map_err(|error| refused(&error))? {
            Romberg::Derivative(testimony) => testimony,
            Romberg::Kink => {
                agreement.kinks += 1;
                continue;
            }
            Romberg::Skipped => {
                agreement.skipped += 1;
                continue;
            }
        };
        let mut witnesses = vec![("dual numbers", dual), ("differences", differences)];
        for (name, gradients) in &backwards {
            match gradients.get(place) {
                Some((also, testimony)) if also == coordinate => witnesses.push((name, *testimony)),
                _ => return Err(format!("{at}: {name} has no gradient")),
            }
        }
        let of_pytorch = recorded.iter().find(|(also, _)| also == coordinate).map(|(_, testimony)| *testimony);
        witnesses.extend(of_pytorch.map(|testimony| ("recorded", testimony)));
        hear(&witnesses).map_err(|odd| format!("{at}: at odds with most others: {odd:?}, of {witnesses:?}"))?;
        agreement.checked += 1;
        agreement.recorded += usize::from(of_pytorch.is_some());
    }
    Ok(agreement)
}

/// Whether all agree; if not, the names of those that are at odds with at least half.
fn hear<'a>(witnesses: &[(&'a str, Testimony)]) -> std::result::Result<(), Vec<&'a str>> {
    // NaN is apart from everything.
    let agree = |a: &Testimony, b: &Testimony| (a.derivative - b.derivative).abs() <= a.bound + b.bound;
    let agreeing = |one: &Testimony| witnesses.iter().filter(|(_, other)| agree(one, other)).count();
    if witnesses.iter().all(|(_, one)| agreeing(one) == witnesses.len()) {
        return Ok(());
    }
    Err(witnesses.iter().filter(|(_, one)| 2 * agreeing(one) <= witnesses.len()).map(|(name, _)| *name).collect())
}

/// The gradients that a case has recorded in double precision, with the recorder's bounds.
fn recorded(case: &Case) -> Result<Vec<(Coordinate, Testimony)>> {
    let mut found = Vec::new();
    if !case.tensors.keys().any(|(group, _)| group.is_gradient()) {
        return Ok(found);
    }
    let bounds = bounded(case, DType::F64, Declaration::foreign(DType::F64))?;
    for (of, group) in [(Group::GradIn, Group::In), (Group::GradState, Group::State)] {
        for (name, tensor) in case.group(of).filter(|(_, tensor)| matches!(tensor, StateTensor::F64(_))) {
            let (Ok(Value::Float(values)), Some(bounds)) = (convert::<f64>(tensor), bounds.float(of, name)) else {
                continue;
            };
            for (place, (&derivative, bound)) in values.as_slice().iter().zip(bounds.as_slice()).enumerate() {
                let coordinate = Coordinate { group, name: name.to_owned(), place };
                found.push((coordinate, Testimony { derivative, bound: bound.bound() }));
            }
        }
    }
    Ok(found)
}

/// Whether calculus has something to say of a case: one in double precision that computes, of few numbers, none of them
/// infinite, NaN or extreme; moderate ones where e^x is taken of them, which has no derivative beyond the largest number.
pub fn is_tame(case: &Case) -> bool {
    let most = match case.layer.as_str() {
        "RNN" | "GRU" => 8.0,
        "Sigmoid" | "LogSigmoid" | "Tanh" => 300.0,
        _ => 1e15,
    };
    let brought = case.tensors.iter().filter(|((group, _), _)| !group.is_result());
    let numbers = brought.filter_map(|(_, tensor)| match tensor {
        StateTensor::F64(tensor) => Some(tensor.as_slice()),
        _ => None,
    });
    let tame = |x: &f64| *x == 0.0 || (1e-10..=most).contains(&x.abs());
    case.expect == Expect::Values
        && case.compute_type() == Ok(DType::F64)
        && numbers.clone().flatten().all(tame)
        && numbers.map(<[f64]>::len).sum::<usize>() < 200
}
