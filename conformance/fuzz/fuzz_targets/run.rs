//! A case put together from bytes — any options, any shapes, any values — through both implementations and their judging:
//! values within their bounds or a refusal, never a crash, never memory exhausted.
//!
//! The case is built from the bytes directly, so that mutations reach the layers and do not stop at the reader, which the
//! target `reader` covers.
#![no_main]

use conformance::{Case, Conclusion, Expect, Group, LAYERS, Limits, Mode, Selection, ours, replay};
use arbitrary::{Arbitrary, Unstructured};

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

const NAMES: [(Group, &str); 10] = [
    (Group::In, "input"),
    (Group::In, "target"),
    (Group::State, "weight"),
    (Group::State, "bias"),
    (Group::State, "running_mean"),
    (Group::State, "running_var"),
    (Group::State, "num_batches_tracked"),
    (Group::GradOut, "output"),
    (Group::Out, "output"),
    (Group::GradIn, "input"),
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
    let options = match layer {
        "Linear" => serde_json::json!({"in_features": a % 5, "out_features": b % 5, "bias": c % 2 == 0}),
        "BatchNorm2d" => serde_json::json!({
            "num_features": a % 4, "affine": b % 2 == 0, "bias": b % 3 == 0, "track_running_stats": c % 2 == 0,
            "momentum": if c % 3 == 0 { None } else { Some(f64::from(c) / 64.0) },
        }),
        "MSELoss" => serde_json::json!({"reduction": (["none", "mean", "sum"][usize::from(a % 3)])}),
        _ => serde_json::json!({}),
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
