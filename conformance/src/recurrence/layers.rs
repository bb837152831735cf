//! Every layer of a stack by itself, from what the implementation's own layer below came to.

use super::{Dimensions, Dropout};
use crate::case_file::{Case, Expect};
use crate::implementation::{Outcome, Results};
use crate::tensors::{Group, Named, Value};
use vocabulary::{Scalar, StateElement, StateTensor, Tensor};

/// The layers of a stack, each as a case of its own, and what the implementation made of them.
pub(crate) struct Layers {
    /// From the lowest layer on.
    pub cases: Vec<(Case, Outcome)>,
}

/// Runs every layer of a stack by itself, forward from the lowest and, where the case has cotangents, backward from the highest;
/// `None` where the case is no stack. A layer that gives no values is the last one that is run.
pub(crate) fn layers(case: &Case, run: impl Fn(&Case) -> Outcome) -> Option<Layers> {
    let of = Dimensions::of(case).filter(|of| of.layers > 1 && case.expect == Expect::Values)?;
    let mut cases: Vec<(Case, Outcome)> = Vec::new();
    let mut input = case.tensor(Group::In, "input")?.clone();
    for layer in 0..of.layers {
        let one = one_layer(case, &of, layer, input)?;
        let outcome = run(&one);
        let output = tensor_of(&outcome, Group::Out, "output");
        cases.push((one, outcome));
        let Some(output) = output else { return Some(Layers { cases }) };
        input = if layer + 1 < of.layers { masked(case, &of, layer, output)? } else { output };
    }
    if case.group(Group::GradOut).next().is_some() {
        let mut cotangent = case.tensor(Group::GradOut, "output").cloned();
        for layer in (0..of.layers).rev() {
            let (one, outcome) = &mut cases[layer];
            if let Some(cotangent) = cotangent {
                one.insert(Group::GradOut, "output", cotangent);
            }
            if let Some(h_n) = case.tensor(Group::GradOut, "h_n") {
                one.insert(Group::GradOut, "h_n", state_of(h_n, &of, layer)?);
            }
            if one.group(Group::GradOut).next().is_none() {
                // A cotangent that is left out is zero.
                one.insert(Group::GradOut, "h_n", zeros(case.tensor(Group::In, "input")?, &of.states(1))?);
            }
            *outcome = run(one);
            let Some(below) = tensor_of(outcome, Group::GradIn, "input") else { return Some(Layers { cases }) };
            cotangent = Some(if layer > 0 { masked(case, &of, layer - 1, below)? } else { below });
        }
    }
    Some(Layers { cases })
}

impl Layers {
    /// Whether the stack's own results are bit by bit those of its layers, so that what holds of these holds of it.
    pub fn are_those_of(&self, case: &Case, whole: &Outcome) -> bool {
        match whole {
            Outcome::Values(Results::F32(whole)) => self.equal(case, whole),
            Outcome::Values(Results::F64(whole)) => self.equal(case, whole),
            _ => false,
        }
    }

    fn equal<T: StateElement + Scalar>(&self, case: &Case, whole: &Named<T>) -> bool {
        let Some(of) = Dimensions::of(case) else { return false };
        let same = |a: &Tensor<T>, b: &Tensor<T>| {
            let alike = |(x, y): (&T, &T)| x.to_f64().to_bits() == y.to_f64().to_bits();
            a.shape() == b.shape() && a.as_slice().iter().zip(b.as_slice()).all(alike)
        };
        let of_layer = |layer: usize, group: Group, name: &str| {
            let outcome = self.cases.get(layer).map(|(_, outcome)| outcome)?;
            <T as StateElement>::unwrap(&tensor_of(outcome, group, name)?).cloned()
        };
        whole.iter().all(|(group, name, value)| {
            let Value::Float(value) = value else { return false };
            match (group, name) {
                (Group::Out, "output") => of_layer(of.layers - 1, group, name).is_some_and(|own| same(&own, value)),
                (Group::GradIn, "input") => of_layer(0, group, name).is_some_and(|own| same(&own, value)),
                (Group::Out, "h_n") | (Group::GradIn, "hx") => (0..of.layers).all(|layer| {
                    let range = layer * of.directions..(layer + 1) * of.directions;
                    let own = of_layer(layer, group, name);
                    own.zip(value.slice(0, range).ok()).is_some_and(|(own, value)| same(&own, &value))
                }),
                (Group::GradState, name) => parts(name).is_some_and(|(parameter, layer, direction)| {
                    let own = of_layer(layer, group, &format!("{parameter}_l0{direction}"));
                    own.is_some_and(|own| same(&own, value))
                }),
                _ => false,
            }
        })
    }
}

/// A parameter's name, the number of its layer, and what stands behind it: `weight_ih_l3_reverse` is the `weight_ih` of 3,
/// `_reverse`.
fn parts(name: &str) -> Option<(&str, usize, &str)> {
    let (parameter, rest) = name.split_once("_l")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((parameter, rest[..digits].parse().ok()?, &rest[digits..]))
}

/// The case of one layer, forward alone.
fn one_layer(case: &Case, of: &Dimensions, layer: usize, input: StateTensor) -> Option<Case> {
    let mut options = case.options.clone();
    options.insert("num_layers".into(), 1.into());
    options.insert("dropout".into(), 0.0.into());
    if layer > 0 {
        options.insert("input_size".into(), of.width().into());
    }
    let mut one = Case::new(&case.name, &case.layer, options, case.mode, case.expect);
    one.insert(Group::In, "input", input);
    if let Some(hx) = case.tensor(Group::In, "hx") {
        one.insert(Group::In, "hx", state_of(hx, of, layer)?);
    }
    for (name, tensor) in case.group(Group::State) {
        if let Some((parameter, _, direction)) = parts(name).filter(|(_, own, _)| *own == layer) {
            one.insert(Group::State, &format!("{parameter}_l0{direction}"), tensor.clone());
        }
    }
    Some(one)
}

/// A layer's part of the hidden states of all.
fn state_of(states: &StateTensor, of: &Dimensions, layer: usize) -> Option<StateTensor> {
    let range = layer * of.directions..(layer + 1) * of.directions;
    match states {
        StateTensor::F32(states) => states.slice(0, range).ok().map(StateTensor::F32),
        StateTensor::F64(states) => states.slice(0, range).ok().map(StateTensor::F64),
        StateTensor::I64(_) => None,
    }
}

/// A sequence between a layer and the next, times the mask of its dropout.
fn masked(case: &Case, of: &Dimensions, layer: usize, sequence: StateTensor) -> Option<StateTensor> {
    fn times<T: Scalar + std::ops::Mul<Output = T>>(x: &Tensor<T>, mask: &Tensor<T>) -> Option<Tensor<T>> {
        let products = x.as_slice().iter().zip(mask.as_slice()).map(|(&x, &factor)| x * factor);
        Tensor::from_vec(x.shape(), products.collect()).ok()
    }
    fn factors<T: Clone>(of: &Dimensions, layer: usize, mask: &Tensor<T>) -> Option<Tensor<T>> {
        of.laid_out(&mask.slice(0, layer..layer + 1).ok()?.reshape(&[of.length, of.batch, of.width()]).ok()?)
    }
    let mask = match of.dropout {
        Dropout::None => return Some(sequence),
        Dropout::All => zeros(&sequence, sequence.shape())?,
        Dropout::Mask => match case.tensor(Group::In, "dropout_mask")? {
            StateTensor::F32(mask) => StateTensor::F32(factors(of, layer, mask)?),
            StateTensor::F64(mask) => StateTensor::F64(factors(of, layer, mask)?),
            StateTensor::I64(_) => return None,
        },
    };
    match (&sequence, &mask) {
        (StateTensor::F32(x), StateTensor::F32(mask)) => times(x, mask).map(StateTensor::F32),
        (StateTensor::F64(x), StateTensor::F64(mask)) => times(x, mask).map(StateTensor::F64),
        _ => None,
    }
}

fn zeros(like: &StateTensor, shape: &[usize]) -> Option<StateTensor> {
    match like {
        StateTensor::F32(_) => Tensor::full(shape, 0.0_f32).ok().map(StateTensor::F32),
        StateTensor::F64(_) => Tensor::full(shape, 0.0_f64).ok().map(StateTensor::F64),
        StateTensor::I64(_) => None,
    }
}

fn tensor_of(outcome: &Outcome, group: Group, name: &str) -> Option<StateTensor> {
    match outcome {
        Outcome::Values(Results::F32(results)) => results.float(group, name).cloned().map(StateTensor::F32),
        Outcome::Values(Results::F64(results)) => results.float(group, name).cloned().map(StateTensor::F64),
        _ => None,
    }
}
