//! A case put together from bytes — any options, any shapes, any values — through both implementations and their judging:
//! values within their bounds or a refusal, never a crash, never memory exhausted.
//!
//! The case is built from the bytes directly, so that mutations reach the layers and do not stop at the reader, which the
//! target `reader` covers.
#![no_main]

use conformance::{Case, Conclusion, Expect, Group, LAYERS, Limits, Mode, Selection, ours, replay};
use arbitrary::{Arbitrary, Unstructured};
use serde_json::json;

/// Enough for any small problem, too little for a long one.
const MEMORY: u64 = 1 << 20;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    layer: u8,
    training: bool,
    expects_error: bool,
    double: bool,
    options: &'a str,
    defaults: [u8; 3],
    tensors: Vec<(u8, u8, bool, Vec<u8>, u8)>,
}

const NAMES: [(Group, &str); 23] = [
    (Group::In, "input"),
    (Group::In, "target"),
    (Group::In, "hx"),
    (Group::In, "dropout_mask"),
    (Group::State, "weight"),
    (Group::State, "pos_weight"),
    (Group::State, "bias"),
    (Group::State, "running_mean"),
    (Group::State, "running_var"),
    (Group::State, "num_batches_tracked"),
    (Group::State, "weight_ih_l0"),
    (Group::State, "weight_hh_l0"),
    (Group::State, "bias_ih_l0"),
    (Group::State, "bias_hh_l0"),
    (Group::State, "weight_ih_l0_reverse"),
    (Group::State, "weight_hh_l1"),
    (Group::GradOut, "output"),
    (Group::GradOut, "h_n"),
    (Group::GradOut, "indices"),
    (Group::Out, "output"),
    (Group::Out, "indices"),
    (Group::GradIn, "input"),
    (Group::GradState, "weight"),
];

const VALUES: [f64; 12] = [
    0.0, -0.0, 1.0, -2.5, 1e-40, 3e38, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.1, 88.7,
];

/// The options given as JSON, or small ones of the layer's own.
fn options(input: &Input<'_>, layer: &str) -> serde_json::Map<String, serde_json::Value> {
    if let Ok(serde_json::Value::Object(options)) = serde_json::from_str(input.options) {
        return options;
    }
    let [a, b, c] = input.defaults;
    let flag = |bit: u8| c & (1 << bit) != 0;
    let choice = |choices: &[&'static str]| choices[usize::from(c) % choices.len()];
    let reduction = choice(&["none", "mean", "sum"]);
    let options = match layer {
        "Linear" => json!({"in_features": a % 5, "out_features": b % 5, "bias": flag(0)}),
        "BatchNorm2d" => json!({
            "num_features": a % 4, "affine": b % 2 == 0, "bias": b % 3 == 0, "track_running_stats": flag(0),
            "momentum": if c % 3 == 0 { None } else { Some(f64::from(c) / 64.0) },
        }),
        "Conv2d" => json!({
            "in_channels": a % 4, "out_channels": b % 4, "kernel_size": [1 + a % 3, 1 + b % 2], "groups": 1 + a / 64 % 2,
            "stride": [1 + a / 16 % 2, 1], "padding": [a / 32 % 2, b / 32 % 3], "dilation": [1, 1 + b / 16 % 2], "bias": flag(0),
            "padding_mode": choice(&["zeros", "reflect", "replicate", "circular"]),
        }),
        "MaxPool2d" => json!({
            "kernel_size": [a % 4, b % 4], "stride": [1 + a / 16 % 2, b / 16 % 3], "padding": [a / 32 % 2, b / 32 % 2],
            "dilation": [1 + a / 64 % 2, 1], "ceil_mode": flag(0), "return_indices": flag(1),
        }),
        "LeakyReLU" => json!({"negative_slope": f64::from(a) / 64.0 - 1.0, "inplace": flag(0)}),
        "ELU" => json!({"alpha": f64::from(a) / 64.0 - 1.0, "inplace": flag(0)}),
        "Softmax" => json!({"dim": if flag(0) { None } else { Some(i64::from(a % 9) - 4) }}),
        "RNN" | "GRU" => json!({
            "input_size": a % 4, "hidden_size": b % 4, "num_layers": 1 + a / 128, "bias": flag(0), "batch_first": flag(1),
            "bidirectional": flag(2), "dropout": f64::from(b / 64) / 3.0,
        }),
        "Embedding" => json!({
            "num_embeddings": a % 5, "embedding_dim": b % 5, "scale_grad_by_freq": flag(0), "sparse": flag(1),
            "_freeze": c == 0, "max_norm": if flag(2) { Some(f64::from(a) / 32.0) } else { None },
            "norm_type": f64::from(b / 32) - 2.0, "padding_idx": if flag(3) { Some(i64::from(a / 16) - 4) } else { None },
        }),
        "CrossEntropyLoss" => json!({
            "reduction": reduction, "label_smoothing": f64::from(a) / 200.0, "ignore_index": i64::from(b % 8) - 4,
        }),
        layer if layer.ends_with("Loss") => json!({"reduction": reduction}),
        _ => json!({}),
    };
    options.as_object().cloned().unwrap_or_default()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(input) = Input::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let layer = LAYERS[usize::from(input.layer) % LAYERS.len()];
    let mode = if input.training { Mode::Train } else { Mode::Eval };
    let expect = if input.expects_error { Expect::Error } else { Expect::Values };
    let mut case = Case::new("fuzzed", layer, options(&input, layer), mode, expect);
    for (name, integer, other_type, shape, value) in input.tensors.iter().take(10) {
        let (group, name) = NAMES[usize::from(*name) % NAMES.len()];
        let shape: Vec<usize> = shape.iter().take(5).map(|size| usize::from(size % 6)).collect();
        let count: usize = shape.iter().product();
        let at = |i: usize| VALUES[(usize::from(*value) + i * 7) % VALUES.len()];
        let double = input.double != (*other_type && value % 16 == 0);
        let from = |tensor: Result<vocabulary::StateTensor, vocabulary::Error>| tensor.unwrap();
        case.insert(group, name, if integer % 8 == 0 {
            from(vocabulary::Tensor::from_vec(&shape, (0..count).map(|i| at(i) as i64).collect()).map(Into::into))
        } else if double {
            from(vocabulary::Tensor::from_vec(&shape, (0..count).map(at).collect()).map(Into::into))
        } else {
            from(vocabulary::Tensor::from_vec(&shape, (0..count).map(|i| at(i) as f32).collect()).map(Into::into))
        });
    }
    for implementation in ours() {
        for variant in implementation.variants(&case, &Selection::default()) {
            let verdict = replay(&case, "fuzz", implementation, &variant, &Limits { memory: MEMORY });
            // What a case has recorded here is made up; but what we compute is within our own bounds.
            if let Conclusion::Failed(reason) = verdict.conclusion {
                assert!(!reason.contains("by the bound"), "{} {variant}: {reason}\n{case:?}", implementation.name());
            }
        }
    }
});
