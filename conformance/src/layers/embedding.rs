//! Embedding.

use super::{Stop, applicable, input_shape, product};
use crate::case_file::{Case, Mode};
use crate::generators::{self, Dependent};
use crate::task::{self, Task};
use crate::tensors::{DType, Group, Named};
use optimized::{Execution, Float};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};
use reference::Real;
use serde_json::json;
use vocabulary::{EmbeddingOptions, Error, Result, Tensor};

/// The arguments of PyTorch's constructor.
pub(super) const SIGNATURE: &str = "num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False, _weight=None, _freeze=False, device=None, dtype=None";

/// The same calls for both crates.
macro_rules! run {
    ($layer:ty, $task:expr, $prepare:expr) => {{
    let task = $task;
    let options: EmbeddingOptions = task.options_with_placement(&["_weight"])?;
    task.check_names(&["input"], &["weight"], &["output"])?;
    options.check()?;
    let mut weight = task.state("weight")?;
    if task.initialises() && weight.is_none() {
        weight = Some(<$layer>::init(options.clone(), &mut SmallRng::seed_from_u64(0))?.weight().clone());
    }
    let weight = weight.ok_or_else(|| task.missing_state("weight"))?;
    let rows = options.num_embeddings;
    let (renormalises, frozen) = (options.max_norm.is_some(), options.freeze);
    let mut layer = <$layer>::with_parameters(options, weight)?;
    let input = task.integers("input")?;
    $prepare(&mut layer, input.shape())?;
    let pass = layer.forward_pass(&input)?;
    let mut results = Named::default();
    if let Some(grad_output) = task.cotangent("output", &pass.output)? {
        if frozen {
            // As in PyTorch, where nothing then has a gradient; in the crates backward gives none, so that a model goes on.
            return Err(Error::new("Embedding", "grad_output", "is given", "none (_freeze = true)").into());
        }
        if let Some(gradient) = layer.backward(&pass, &grad_output)?.weight {
            results.insert(Group::GradState, "weight", gradient.to_dense(rows)?);
        }
    }
    results.insert(Group::Out, "output", pass.output);
    if renormalises && task.is_training() {
        results.insert(Group::After, "weight", layer.weight().clone());
    }
    Ok(results)
    }};
}

pub(super) fn reference<T: Real>(task: &Task<'_, T>) -> Result<Named<T>> {
    let ready = |_: &mut reference::Embedding<T>, _: &[usize]| Ok::<_, Error>(());
    run!(reference::Embedding<T>, task, ready)
}

pub(super) fn optimized<T: Float>(task: &Task<'_, T>, execution: &Execution) -> std::result::Result<Named<T>, Stop> {
    let ready = |layer: &mut optimized::Embedding<T>, input: &[usize]| {
        layer.set_execution(execution.clone())?;
        applicable(execution, &layer.choices(input)?)
    };
    run!(optimized::Embedding<T>, task, ready)
}

/// The weight, where it is to be initialised, renormalised, and its gradient; the output and its gradient.
pub(super) fn additional_numbers(case: &Case) -> u128 {
    let Ok(options) = task::options::<EmbeddingOptions>(case, true, &["_weight"]) else { return 0 };
    let indices = product(input_shape(case, "input"));
    let output = indices.saturating_mul(options.embedding_dim as u128);
    product(&options.weight_shape()).saturating_mul(4).saturating_add(output.saturating_mul(2)).saturating_add(indices)
}

/// Every option, indices that repeat, rows on either side of the largest norm.
pub(super) fn cases(dtype: DType) -> BoxedStrategy<Case> {
    let shape = prop::collection::vec(prop_oneof![6 => 1..5_usize, 1 => Just(0)], 0..3);
    let sizes = (1..9_usize, prop_oneof![4 => 1..6_usize, 1 => 15..18_usize, 1 => Just(0)]);
    let p = prop_oneof![
        2 => Just(json!(2.0)),
        4 => prop::sample::select(vec![json!(1.0), json!(1.0), json!("inf"), json!(0.5), json!(3), json!(1.1)]),
        1 => Just(json!(0)),
        3 => prop::sample::select(vec![json!(-1.0), json!(-1.0), json!("-inf"), json!("nan")]),
    ];
    let max_norm = prop_oneof![
        3 => Just(json!(null)),
        2 => prop_oneof![3 => 0.1..4.0_f64, 1 => 0.001..0.1].prop_map(|most| json!(most)),
        3 => prop::sample::select(vec![json!(0.0), json!(-1.0), json!("inf")]),
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let padding = prop::option::of(any::<prop::sample::Index>());
    (shape, sizes, (p, max_norm), flags, padding, generators::kind())
        .prop_dependent(
            move |(
                shape,
                (rows, columns),
                (p, max_norm),
                (by_freq, sparse, negative, training, freeze),
                padding,
                kind,
            )| {
                let padding_idx =
                    padding.map(|index| index.index(rows) as i64 - if negative { rows as i64 } else { 0 });
                let sparse = sparse && !by_freq && !(padding_idx.is_some() && shape.is_empty());
                // Rows without elements have no largest one.
                let p = if columns == 0 { json!(2.0) } else { p };
                let options = json!({
                    "num_embeddings": rows, "embedding_dim": columns, "padding_idx": padding_idx, "max_norm": max_norm,
                    "norm_type": p, "scale_grad_by_freq": by_freq, "sparse": sparse, "_freeze": freeze,
                });
                let output: Vec<usize> = shape.iter().copied().chain([columns]).collect();
                let mut tensors = vec![(Group::State, "weight", vec![rows, columns])];
                if !freeze {
                    tensors.push((Group::GradOut, "output", output));
                }
                let mut case = generators::case("Embedding", options);
                generators::set_mode(&mut case, if training { Mode::Train } else { Mode::Eval });
                let filled = generators::fill(case, dtype, kind, tensors);
                let count: usize = shape.iter().product();
                (filled, prop::collection::vec(0..rows as i64, count)).prop_map(move |(mut case, indices)| {
                    if let Ok(indices) = Tensor::from_vec(&shape, indices) {
                        case.insert(Group::In, "input", indices);
                    }
                    case
                })
            },
        )
        .boxed()
}
