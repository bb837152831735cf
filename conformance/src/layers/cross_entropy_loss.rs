//! CrossEntropyLoss.

use super::shared::losses;
use super::{Stop, applicable, input_shape, product};
use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::task::Task;
use crate::tensors::{DType, Group, Named, Value};
use optimized::{Execution, Float};
use proptest::prelude::*;
use reference::Real;
use serde_json::{Value as Json, json};
use vocabulary::{CrossEntropyLossOptions, CrossEntropyTarget, Error, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str =
    "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0";

/// The same calls for both crates.
macro_rules! run {
    ($loss:ty, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: CrossEntropyLossOptions = task.options_beside_tensors(&["weight"])?;
        task.check_names(&["input", "target"], &["weight"], &["output"])?;
        let mut layer = <$loss>::with_weight(options, task.state("weight")?)?;
        let input = task.input("input")?;
        let target = match task.arguments.get(Group::In, "target") {
            Some(Value::Integer(classes)) => CrossEntropyTarget::Classes(classes.clone()),
            Some(Value::Float(probabilities)) => CrossEntropyTarget::Probabilities(probabilities.clone()),
            None => return Err(Error::missing("CrossEntropyLoss", "target", "classes or probabilities").into()),
        };
        $prepare(&mut layer, &input, &target)?;
        let pass = layer.forward_pass(&input, &target)?;
        let mut results = Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            let gradients = layer.backward(&pass, &grad_output)?;
            results.insert(Group::GradIn, "input", gradients.input);
            gradients.target.into_iter().for_each(|target| results.insert(Group::GradIn, "target", target));
        }
        results.insert(Group::Out, "output", pass.output);
        Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    let ready = |_: &mut reference::CrossEntropyLoss<T>, _: &Tensor<T>, _: &CrossEntropyTarget<T>| Ok::<_, Error>(());
    run!(reference::CrossEntropyLoss<T>, task, ready)
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    let ready = |loss: &mut optimized::CrossEntropyLoss<T>, input: &Tensor<T>, target: &CrossEntropyTarget<T>| {
        loss.set_execution(execution.clone())?;
        applicable(execution, &loss.choices(input.shape(), target.shape())?)
    };
    run!(optimized::CrossEntropyLoss<T>, task, ready)
}

/// The gradients of input and target, and a line of each at a time; the terms of every item, though it have no classes.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    let input = input_shape(case, "input");
    let classes = usize::from(input.len() > 1);
    let items = input.iter().enumerate().filter(|(axis, _)| *axis != classes).map(|(_, &size)| size);
    let items = product(&items.collect::<Vec<usize>>());
    product(input).saturating_mul(5).saturating_add(items.saturating_mul(4))
}

/// Classes and probabilities, with and without batch and further dimensions; all options together.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let size = || prop_oneof![6 => 1..5_usize, 1 => Just(0)];
    let classes = prop_oneof![4 => 1..6_usize, 1 => 15..18_usize];
    let layout = (prop::option::weighted(0.85, size()), prop::collection::vec(size(), 0..3));
    let smoothing = prop_oneof![2 => Just(0.0), 1 => Just(0.1), 1 => 0.0..=1.0, 1 => Just(1.0), 1 => Just(-0.5)];
    let ignored = prop_oneof![2 => Just(-100_i64), 2 => 0..4_i64];
    let flags = (any::<bool>(), any::<bool>());
    (layout, classes, (smoothing, ignored), flags, losses::reduction(), generators::kind())
        .prop_dependent(move |((batch, further), count, (smoothing, ignored), flags, (mut options, joined), kind)| {
            let (weighted, probabilities) = flags;
            let items: Vec<usize> = batch.into_iter().chain(further.into_iter().filter(|_| batch.is_some())).collect();
            let mut input = items.clone();
            input.insert(usize::from(batch.is_some()), count);
            options.insert("label_smoothing".into(), json!(smoothing));
            options.insert("ignore_index".into(), json!(if probabilities { -100 } else { ignored }));
            let output = if joined { Vec::new() } else { items.clone() };
            let mut tensors = vec![(Group::In, "input", input.clone()), (Group::GradOut, "output", output)];
            if weighted {
                tensors.push((Group::State, "weight", vec![count]));
            }
            if probabilities {
                tensors.push((Group::In, "target", input));
            }
            let number: usize = items.iter().product();
            // Classes, some of them ignored.
            let class = prop_oneof![5 => 0..count as i64, 1 => Just(ignored)];
            let case = generators::case("CrossEntropyLoss", Json::Object(options));
            let filled = generators::fill(case, dtype, kind, tensors);
            (filled, prop::collection::vec(class, number)).prop_map(move |(mut case, classes)| {
                match Tensor::from_vec(&items, classes) {
                    Ok(classes) if !probabilities => case.insert(Group::In, "target", classes),
                    _ => {}
                }
                case
            })
        })
        .boxed()
}
