//! Losses of an input and a target.

use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::layers::{input_shape, product};
use crate::tensors::{DType, Group};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// How a loss without weights runs through either crate.
macro_rules! in_both {
    ($loss:ident, $options:ident) => {
        pub(super) fn reference<T: reference::Real>(
            task: &crate::task::Task<'_, T>,
        ) -> vocabulary::Result<crate::tensors::Named<T>> {
            type Operand<T> = vocabulary::Tensor<T>;
            let ready = |_: &mut reference::$loss, _: &Operand<T>, _: &Operand<T>| Ok::<_, vocabulary::Error>(());
            crate::layers::shared::losses::run!(reference::$loss, vocabulary::$options, task, ready)
        }

        pub(super) fn optimized<T: optimized::Float>(
            task: &crate::task::Task<'_, T>,
            execution: &optimized::Execution,
        ) -> std::result::Result<crate::tensors::Named<T>, crate::layers::Stop> {
            type Operand<T> = vocabulary::Tensor<T>;
            let ready = |loss: &mut optimized::$loss, input: &Operand<T>, target: &Operand<T>| {
                loss.set_execution(execution.clone())?;
                crate::layers::applicable(execution, &loss.choices(input.shape(), target.shape())?)
            };
            crate::layers::shared::losses::run!(optimized::$loss, vocabulary::$options, task, ready)
        }

        pub(super) use crate::layers::shared::losses::additional_numbers;
    };
}
pub(crate) use in_both;

/// The same calls for both crates, of a loss without weights.
macro_rules! run {
    ($layer:ty, $options:ty, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: $options = task.options()?;
        task.check_names(&["input", "target"], &[], &["output"])?;
        let mut layer = <$layer>::new(options)?;
        let (input, target) = (task.input("input")?, task.input("target")?);
        $prepare(&mut layer, &input, &target)?;
        crate::layers::shared::losses::call!(task, layer, input, target)
    }};
}
pub(crate) use run;

/// Forward and backward of a loss of numbers.
macro_rules! call {
    ($task:expr, $layer:expr, $input:expr, $target:expr) => {{
        let pass = $layer.forward_pass(&$input, &$target)?;
        let mut results = crate::tensors::Named::default();
        if let Some(grad_output) = $task.cotangent("output", &pass.output)? {
            let gradients = $layer.backward(&pass, &grad_output)?;
            results.insert(crate::tensors::Group::GradIn, "input", gradients.input);
            results.insert(crate::tensors::Group::GradIn, "target", gradients.target);
        }
        results.insert(crate::tensors::Group::Out, "output", pass.output);
        Ok(results)
    }};
}
pub(crate) use call;

/// The terms, at most one for each pair of sizes, the output, and the gradients of both inputs.
pub(crate) fn additional_numbers(case: &Case) -> u128 {
    let (input, target) = (input_shape(case, "input"), input_shape(case, "target"));
    let size = |shape: &[usize], from_last: usize| shape.iter().rev().nth(from_last).copied().unwrap_or(1) as u128;
    let sizes = (0..input.len().max(target.len())).map(|axis| match (size(input, axis), size(target, axis)) {
        (1, n) | (n, 1) => n,
        (m, n) => m.min(n),
    });
    sizes.fold(1_u128, u128::saturating_mul).saturating_mul(4).saturating_add(product(input))
}

/// How the terms are joined: the options that say so, and whether they are joined at all.
pub(crate) fn reduction() -> impl Strategy<Value = (Map<String, Json>, bool)> {
    let reduction = prop_oneof![Just("none"), Just("mean"), Just("sum")];
    let legacy = || prop_oneof![2 => Just(None), 1 => any::<bool>().prop_map(Some)];
    (reduction, legacy(), legacy()).prop_map(|(reduction, size_average, reduce): (_, Option<bool>, Option<bool>)| {
        let options = json!({"size_average": size_average, "reduce": reduce, "reduction": reduction});
        let overridden = size_average.is_some() || reduce.is_some();
        let joined = if overridden { reduce != Some(false) } else { reduction != "none" };
        let Json::Object(options) = options else { unreachable!("an object was written") };
        (options, joined)
    })
}

/// Equal shapes and every way of broadcasting; every reduction, by its present and its older name.
pub(crate) fn broadcast_cases(layer: &'static str, dtype: DType) -> BoxedStrategy<Case> {
    // For each dimension of the broadcast shape, whether input and target have it or are repeated along it.
    let repeats = prop::collection::vec((any::<bool>(), any::<bool>()), 5);
    (generators::shape(), repeats, 0..3_usize, reduction(), generators::kind())
        .prop_dependent(move |(shape, repeats, dropped, (options, joined), kind)| {
            let once = |repeated: fn(&(bool, bool)) -> bool| {
                let sizes = shape.iter().zip(&repeats).map(|(&size, pair)| if repeated(pair) { 1 } else { size });
                sizes.collect::<Vec<usize>>()
            };
            let (input, mut target) = (once(|pair| pair.0 && !pair.1), once(|pair| pair.1 && !pair.0));
            let leading_ones = target.iter().take_while(|&&size| size == 1).count();
            target.drain(..dropped.min(leading_ones));
            let output = if joined { Vec::new() } else { shape.clone() };
            let tensors =
                vec![(Group::In, "input", input), (Group::In, "target", target), (Group::GradOut, "output", output)];
            generators::fill(generators::case(layer, Json::Object(options)), dtype, kind, tensors)
        })
        .boxed()
}

/// Equal shapes with weights that broadcast to them, every reduction; `probabilities` lie in [0, 1].
pub(crate) fn weighted_cases(
    layer: &'static str,
    weights: &'static [&'static str],
    probabilities: &'static [&'static str],
    dtype: DType,
) -> BoxedStrategy<Case> {
    // For each weight: whether there is one, how many leading dimensions it lacks, and where it is repeated.
    let weight = || (any::<bool>(), 0..3_usize, prop::collection::vec(any::<bool>(), 5));
    let kind =
        if probabilities.is_empty() { generators::kind().boxed() } else { generators::kind_without_special().boxed() };
    (generators::shape(), prop::collection::vec(weight(), weights.len()), reduction(), kind)
        .prop_dependent(move |(shape, given, (options, joined), kind)| {
            let output = if joined { Vec::new() } else { shape.clone() };
            let mut tensors = vec![
                (Group::In, "input", shape.clone()),
                (Group::In, "target", shape.clone()),
                (Group::GradOut, "output", output),
            ];
            for (name, (_, lacks, repeated)) in weights.iter().zip(&given).filter(|(_, (there, ..))| *there) {
                let sizes = shape.iter().zip(repeated).map(|(&size, &repeated)| if repeated { 1 } else { size });
                tensors.push((Group::State, name, sizes.skip(*lacks).collect()));
            }
            let case = generators::case(layer, Json::Object(options));
            generators::fill(case, dtype, kind, tensors).prop_map(move |mut case| {
                probabilities.iter().for_each(|name| generators::into_unit(&mut case, Group::In, name));
                case
            })
        })
        .boxed()
}
