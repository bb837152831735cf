//! In a run of random cases every pair of option values of a layer occurs, but those that PyTorch refuses.

use conformance::{Case, DType, Expect, Group, Mode, generator, generators};
use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use vocabulary::StateTensor;

/// What is varied, and what it is in a case.
struct Factor {
    name: &'static str,
    level: fn(&Case, &'static str) -> String,
    levels: &'static [&'static str],
}

const fn factor(
    name: &'static str,
    level: fn(&Case, &'static str) -> String,
    levels: &'static [&'static str],
) -> Factor {
    Factor { name, level, levels }
}

/// An option's value as it is written; numbers as they are or, if they are many, as where they lie.
fn value(case: &Case, name: &'static str) -> String {
    match &case.options[name] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn sign(case: &Case, name: &'static str) -> String {
    match &case.options[name] {
        Json::Number(number) => match number.as_f64().unwrap() {
            0.0 => "0".into(),
            x if x < 0.0 => "negative".into(),
            1.0 => "1".into(),
            _ => "positive".into(),
        },
        Json::String(_) => "no number".into(),
        _ => "null".into(),
    }
}

fn is_null(case: &Case, name: &'static str) -> String {
    if case.options[name].is_null() { "null".into() } else { "given".into() }
}

fn count(case: &Case, name: &'static str) -> String {
    match case.options[name].as_u64().unwrap() {
        0 => "0".into(),
        1 => "1".into(),
        _ => "more".into(),
    }
}

/// A number for each of height and width, or a word.
fn axes(case: &Case, name: &'static str) -> String {
    match &case.options[name] {
        Json::Array(axes) if axes[0] != axes[1] => "unequal".into(),
        Json::Array(axes) if axes[0].as_u64() == Some(0) => "0".into(),
        Json::Array(axes) if axes[0].as_u64() == Some(1) && name != "padding" => "1".into(),
        Json::Array(_) => "equal".into(),
        Json::String(text) => text.clone(),
        _ => "null".into(),
    }
}

fn mode(case: &Case, _: &'static str) -> String {
    if case.mode == Mode::Train { "train".into() } else { "eval".into() }
}

/// Whether a tensor is given.
fn given(case: &Case, name: &'static str) -> String {
    case.tensors.keys().any(|(group, known)| known == name && !group.is_result()).to_string()
}

fn target(case: &Case, _: &'static str) -> String {
    let classes = matches!(case.tensor(Group::In, "target"), Some(StateTensor::I64(_)));
    if classes { "classes".into() } else { "probabilities".into() }
}

/// How many sequences or images there are; one may stand without a batch.
fn batch(case: &Case, _: &'static str) -> String {
    let shape = case.tensor(Group::In, "input").unwrap().shape();
    let whole = if matches!(case.layer.as_str(), "RNN" | "GRU") { 3 } else { 4 };
    match shape {
        shape if shape.len() < whole => "none".into(),
        shape if shape.contains(&0) => "empty".into(),
        _ => "some".into(),
    }
}

fn rank(case: &Case, _: &'static str) -> String {
    case.tensor(Group::In, "input").unwrap().shape().len().to_string()
}

const BOOL: &[&str] = &["false", "true"];
const LEGACY: &[&str] = &["null", "false", "true"];
const REDUCTION: [Factor; 3] = [
    factor("reduction", value, &["none", "mean", "sum"]),
    factor("size_average", value, LEGACY),
    factor("reduce", value, LEGACY),
];
const INPLACE: Factor = factor("inplace", value, BOOL);
const PLACEMENT: Factor = factor("device or dtype", placement, &["left out", "null", "given"]);

fn placement(case: &Case, _: &'static str) -> String {
    match (case.options.get("device"), case.options.get("dtype")) {
        (None, None) => "left out".into(),
        (Some(Json::Null), _) => "null".into(),
        _ => "given".into(),
    }
}

fn factors(layer: &str) -> Vec<Factor> {
    let recurrent = || {
        vec![
            factor("num_layers", value, &["1", "2", "3"]),
            factor("bias", value, BOOL),
            factor("batch_first", value, BOOL),
            factor("dropout", value, &["0.0", "0.2", "0.5", "1.0"]),
            factor("bidirectional", value, BOOL),
            factor("hx", given, BOOL),
            factor("batch", batch, &["none", "empty", "some"]),
            factor("mode", mode, &["train", "eval"]),
            PLACEMENT,
        ]
    };
    match layer {
        "Linear" => vec![
            factor("in_features", count, &["0", "1", "more"]),
            factor("out_features", count, &["0", "1", "more"]),
            factor("bias", value, BOOL),
            PLACEMENT,
        ],
        "Conv2d" => vec![
            factor("kernel_size", axes, &["1", "equal", "unequal"]),
            factor("stride", axes, &["1", "equal", "unequal"]),
            factor("padding", axes, &["0", "equal", "unequal", "same", "valid"]),
            factor("dilation", axes, &["1", "equal", "unequal"]),
            factor("groups", count, &["1", "more"]),
            factor("bias", value, BOOL),
            factor("padding_mode", value, &["zeros", "reflect", "replicate", "circular"]),
            factor("batch", batch, &["none", "empty", "some"]),
            PLACEMENT,
        ],
        "MaxPool2d" => vec![
            factor("kernel_size", axes, &["1", "equal", "unequal"]),
            factor("stride", axes, &["null", "1", "equal", "unequal"]),
            factor("padding", axes, &["0", "equal", "unequal"]),
            factor("dilation", axes, &["1", "equal", "unequal"]),
            factor("return_indices", value, BOOL),
            factor("ceil_mode", value, BOOL),
            factor("batch", batch, &["none", "empty", "some"]),
        ],
        "BatchNorm2d" => vec![
            factor("eps", value, &["0.00001", "0.001", "0.5"]),
            factor("momentum", value, &["null", "0.0", "0.1", "0.37", "1.0"]),
            factor("affine", value, BOOL),
            factor("track_running_stats", value, BOOL),
            factor("bias", value, BOOL),
            factor("mode", mode, &["train", "eval"]),
            PLACEMENT,
        ],
        "ReLU" => vec![INPLACE],
        "LeakyReLU" => vec![factor("negative_slope", sign, &["0", "negative", "positive"]), INPLACE],
        "ELU" => vec![factor("alpha", sign, &["0", "1", "negative", "positive"]), INPLACE],
        "Softmax" => vec![factor("dim", is_null, &["null", "given"]), factor("rank", rank, &["0", "1", "2", "3", "4"])],
        "RNN" => {
            let mut factors = recurrent();
            factors.push(factor("nonlinearity", value, &["tanh", "relu"]));
            factors
        }
        "GRU" => recurrent(),
        "Embedding" => vec![
            factor("padding_idx", sign_or_one, &["null", "negative", "positive"]),
            factor("max_norm", sign, &["null", "0", "negative", "positive", "no number"]),
            factor("norm_type", sign, &["0", "1", "negative", "positive", "no number"]),
            factor("scale_grad_by_freq", value, BOOL),
            factor("sparse", value, BOOL),
            factor("_freeze", value, BOOL),
            factor("mode", mode, &["train", "eval"]),
            PLACEMENT,
        ],
        "L1Loss" | "MSELoss" => REDUCTION.into(),
        "BCELoss" => REDUCTION.into_iter().chain([factor("weight", given, BOOL)]).collect(),
        "BCEWithLogitsLoss" => {
            REDUCTION.into_iter().chain([factor("weight", given, BOOL), factor("pos_weight", given, BOOL)]).collect()
        }
        "CrossEntropyLoss" => REDUCTION
            .into_iter()
            .chain([
                factor("weight", given, BOOL),
                factor("ignore_index", sign_or_one, &["negative", "positive"]),
                factor("label_smoothing", sign, &["0", "1", "negative", "positive"]),
                factor("target", target, &["classes", "probabilities"]),
            ])
            .collect(),
        // Sigmoid, LogSigmoid and Tanh have no options.
        _ => Vec::new(),
    }
}

/// Where an index may be 0, and 0 is like any other.
fn sign_or_one(case: &Case, name: &'static str) -> String {
    match sign(case, name).as_str() {
        "0" | "1" => "positive".into(),
        other => other.into(),
    }
}

type Level = (&'static str, String);

/// The pairs that PyTorch refuses.
fn is_refused(layer: &str, one: &Level, other: &Level) -> bool {
    let is = |factor: &str, levels: &[&str]| {
        [one, other].iter().any(|(name, level)| *name == factor && levels.contains(&level.as_str()))
    };
    match layer {
        // "same" has the stride 1.
        "Conv2d" => is("padding", &["same"]) && is("stride", &["equal", "unequal"]),
        // Padding is at most half of the kernel.
        "MaxPool2d" => is("kernel_size", &["1"]) && is("padding", &["equal", "unequal"]),
        // In place, a negative slope is refused in backward.
        "LeakyReLU" | "ELU" => {
            is("inplace", &["true"]) && (is("negative_slope", &["negative"]) || is("alpha", &["negative"]))
        }
        // Sparse gradients are not scaled.
        "Embedding" => is("sparse", &["true"]) && is("scale_grad_by_freq", &["true"]),
        // Probabilities are beside no class that is ignored.
        "CrossEntropyLoss" => is("target", &["probabilities"]) && is("ignore_index", &["positive"]),
        _ => false,
    }
}

/// Draws the very cases that the properties do.
fn drawn(layer: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F64] {
        let strategy = generator(layer, dtype).expect("the layer has a generator");
        let mut runner = generators::runner_of(dtype, super::seed(), super::draws());
        cases.extend((0..super::draws()).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    }
    cases
}

fn every_pair_of_option_values_occurs(layer: &str) {
    let factors = factors(layer);
    let mut counts: BTreeMap<(Level, Level), usize> = BTreeMap::new();
    for (place, one) in factors.iter().enumerate() {
        for other in &factors[place + 1..] {
            for (a, b) in one.levels.iter().flat_map(|a| other.levels.iter().map(move |b| (a, b))) {
                counts.insert(((one.name, (*a).to_owned()), (other.name, (*b).to_owned())), 0);
            }
        }
    }
    let cases = drawn(layer);
    for case in &cases {
        assert_eq!(case.expect, Expect::Values);
        let levels: Vec<Level> =
            factors.iter().map(|factor| (factor.name, (factor.level)(case, factor.name))).collect();
        for (place, one) in levels.iter().enumerate() {
            let known = factors[place].levels.contains(&one.1.as_str());
            assert!(known, "{layer}: {} is {:?}, which no level names", one.0, one.1);
            for other in &levels[place + 1..] {
                *counts.entry((one.clone(), other.clone())).or_default() += 1;
            }
        }
    }
    counts.retain(|(one, other), count| {
        let refused = is_refused(layer, one, other);
        assert!(!refused || *count == 0, "{layer}: {one:?} with {other:?} is drawn, though PyTorch refuses it");
        !refused
    });
    let missing: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).map(|(pair, _)| pair).collect();
    assert!(
        missing.is_empty(),
        "{layer}: of {} pairs these are missing in {} cases: {missing:?}",
        counts.len(),
        cases.len()
    );
    if let Some((pair, least)) = counts.iter().min_by_key(|(_, count)| **count) {
        println!(
            "{layer}: {} pairs of option values in {} cases, the rarest {least} times: {pair:?}",
            counts.len(),
            cases.len()
        );
    }
}

for_each_layer!(every_pair_of_option_values_occurs);
