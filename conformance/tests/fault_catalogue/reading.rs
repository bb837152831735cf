//! What a case holds, as plain numbers: the mistakes here are made in double precision, and their results rounded.

use conformance::{Case, DType, Group, Named};
use serde_json::Value as Json;
use vocabulary::{StateTensor, Tensor};

/// A tensor of numbers, as exactly as the case has it.
pub fn tensor(case: &Case, group: Group, name: &str) -> Option<Tensor<f64>> {
    match case.tensor(group, name)? {
        StateTensor::F32(tensor) => Some(tensor.map(f64::from)),
        StateTensor::F64(tensor) => Some(tensor.clone()),
        StateTensor::I64(_) => None,
    }
}

/// A tensor of integers.
pub fn integers(case: &Case, name: &str) -> Option<Tensor<i64>> {
    match case.tensor(Group::In, name)? {
        StateTensor::I64(tensor) => Some(tensor.clone()),
        _ => None,
    }
}

/// Changes each element of a tensor of numbers by its place.
pub fn update_argument(case: &mut Case, group: Group, name: &str, f: impl Fn(usize, f64) -> f64) {
    match case.tensors.get_mut(&(group, name.to_owned())) {
        Some(StateTensor::F32(tensor)) => {
            tensor.as_mut_slice().iter_mut().enumerate().for_each(|(k, x)| *x = f(k, f64::from(*x)) as f32);
        }
        Some(StateTensor::F64(tensor)) => {
            tensor.as_mut_slice().iter_mut().enumerate().for_each(|(k, x)| *x = f(k, *x));
        }
        _ => {}
    }
}

/// An option that is given and not null.
fn given<'a>(case: &'a Case, name: &str) -> Option<&'a Json> {
    case.options.get(name).filter(|value| !value.is_null())
}

/// An option that is a number, where one is given.
pub fn number(case: &Case, name: &str) -> Option<f64> {
    let value = given(case, name)?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// An option that is an integer, where one is given.
pub fn integer(case: &Case, name: &str) -> Option<i64> {
    given(case, name)?.as_i64()
}

/// An option that says yes or no, where one is given.
pub fn flag(case: &Case, name: &str) -> Option<bool> {
    given(case, name)?.as_bool()
}

/// An option that is a word, where one is given.
pub fn word<'a>(case: &'a Case, name: &str) -> Option<&'a str> {
    given(case, name)?.as_str()
}

/// An option for height and width: both, or one number for the two.
pub fn axes(case: &Case, name: &str) -> Option<[i64; 2]> {
    let value = given(case, name)?;
    match (value.as_i64(), value.get(0).and_then(Json::as_i64), value.get(1).and_then(Json::as_i64)) {
        (Some(both), ..) => Some([both; 2]),
        (None, Some(height), Some(width)) => Some([height, width]),
        _ => None,
    }
}

/// Sets an option.
pub fn set(case: &mut Case, name: &str, value: Json) {
    case.options.insert(name.to_owned(), value);
}

/// Whether the layer computes in single precision.
pub fn is_single(case: &Case) -> bool {
    case.compute_type() != Ok(DType::F64)
}

/// Rounded to the type that the layer computes in.
pub fn rounded(case: &Case, x: f64) -> f64 {
    if is_single(case) { f64::from(x as f32) } else { x }
}

/// Whether all that the case brings is finite, and no product of two overflows or vanishes in single precision and not in
/// double.
pub fn is_tame(case: &Case) -> bool {
    let brought = case.tensors.keys().filter(|(group, _)| !group.is_result());
    let mut numbers = brought.filter_map(|(group, name)| tensor(case, *group, name));
    let tame = |x: &f64| *x == 0.0 || (1e-12..1e12).contains(&x.abs());
    numbers.all(|tensor| tensor.as_slice().iter().all(tame))
}

/// Changes each number of a result by its place.
pub fn update(results: &mut Named<f64>, group: Group, name: &str, f: impl Fn(usize, f64) -> f64) {
    if let Some(tensor) = results.float_mut(group, name) {
        tensor.as_mut_slice().iter_mut().enumerate().for_each(|(k, x)| *x = f(k, *x));
    }
}

/// Puts other numbers in the place of a result's, where there is such a result.
pub fn replace(results: &mut Named<f64>, group: Group, name: &str, values: Vec<f64>) {
    if let Some(tensor) = results.float_mut(group, name) {
        tensor.as_mut_slice().copy_from_slice(&values);
    }
}

/// The shape of a result.
pub fn shape_of(results: &Named<f64>, group: Group, name: &str) -> Option<Vec<usize>> {
    results.get(group, name).map(|value| value.shape().to_vec())
}

/// The indices of a shape, in row-major order.
pub fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut place: usize| {
        let mut index = vec![0; shape.len()];
        for (i, size) in index.iter_mut().zip(&shape).rev() {
            (*i, place) = (place % size, place / size);
        }
        index
    })
}

/// Where the element of a broadcast tensor stands: dimensions are counted from the last, and sizes of 1 repeat.
pub fn place(shape: &[usize], index: &[usize]) -> usize {
    let own = &index[index.len() - shape.len()..];
    shape.iter().zip(own).fold(0, |place, (&size, &i)| place * size + if size == 1 { 0 } else { i })
}
