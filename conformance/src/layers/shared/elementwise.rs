//! Layers of one input, one output of its shape, and no parameters.

use crate::case_file::Case;
use crate::generators::{self, Dependent};
use crate::layers::{input_shape, product};
use crate::tensors::{DType, Group};
use proptest::prelude::*;
use serde_json::Value as Json;

/// The same calls for both crates.
macro_rules! run {
    ($layer:ty, $options:ty, $task:expr, $prepare:expr) => {{
        let task = $task;
        let options: $options = task.options()?;
        task.check_names(&["input"], &[], &["output"])?;
        let mut layer = <$layer>::new(options)?;
        let input = task.input("input")?;
        $prepare(&mut layer, &input)?;
        let pass = layer.forward_pass(&input)?;
        let mut results = crate::tensors::Named::default();
        if let Some(grad_output) = task.cotangent("output", &pass.output)? {
            results.insert(crate::tensors::Group::GradIn, "input", layer.backward(&pass, &grad_output)?.input);
        }
        results.insert(crate::tensors::Group::Out, "output", pass.output);
        Ok(results)
    }};
}
pub(crate) use run;

/// How a layer's cases run through `reference`.
macro_rules! in_reference {
    ($layer:ident, $options:ident) => {
        pub(super) fn reference<T: reference::Real>(
            task: &crate::task::Task<'_, T>,
        ) -> vocabulary::Result<crate::tensors::Named<T>> {
            let ready = |_: &mut reference::$layer, _: &vocabulary::Tensor<T>| Ok::<_, vocabulary::Error>(());
            crate::layers::shared::elementwise::run!(reference::$layer, vocabulary::$options, task, ready)
        }

        pub(super) use crate::layers::shared::elementwise::additional_numbers;
    };
}
pub(crate) use in_reference;

/// How a layer's cases run through either crate.
macro_rules! in_both {
    ($layer:ident, $options:ident) => {
        crate::layers::shared::elementwise::in_reference!($layer, $options);

        pub(super) fn optimized<T: optimized::Float>(
            task: &crate::task::Task<'_, T>,
            execution: &optimized::Execution,
        ) -> std::result::Result<crate::tensors::Named<T>, crate::layers::Stop> {
            let ready = |layer: &mut optimized::$layer, input: &vocabulary::Tensor<T>| {
                layer.set_execution(execution.clone())?;
                crate::layers::applicable(execution, &layer.choices(input.shape())?)
            };
            crate::layers::shared::elementwise::run!(optimized::$layer, vocabulary::$options, task, ready)
        }
    };
}
pub(crate) use in_both;

/// The output and the input's gradient.
pub(crate) fn additional_numbers(case: &Case) -> u128 {
    product(input_shape(case, "input")).saturating_mul(2)
}

/// Any shape, any kind of values, any of these options.
pub(crate) fn cases(
    layer: &'static str,
    options: impl Strategy<Value = Json> + 'static,
    dtype: DType,
) -> BoxedStrategy<Case> {
    (generators::shape(), generators::kind(), options)
        .prop_dependent(move |(shape, kind, options)| {
            let tensors = vec![(Group::In, "input", shape.clone()), (Group::GradOut, "output", shape)];
            generators::fill(generators::case(layer, options), dtype, kind, tensors)
        })
        .boxed()
}
