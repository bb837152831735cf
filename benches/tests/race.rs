//! The race as its command line runs it, against the crate `reference`: what CI can race without PyTorch.

use serde_json::Value as Json;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Every layer, tiny.
const WORKLOADS: &str = r#"[
  {"name": "linear", "layer": "Linear", "options": {"in_features": 3, "out_features": 4}, "input": [5, 3]},
  {"name": "conv", "layer": "Conv2d", "options": {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "bias": false}, "input": [2, 2, 5, 5]},
  {"name": "pool", "layer": "MaxPool2d", "options": {"kernel_size": 2, "return_indices": true}, "input": [1, 2, 4, 4]},
  {"name": "relu", "layer": "ReLU", "options": {}, "input": [10]},
  {"name": "sigmoid", "layer": "Sigmoid", "options": {}, "input": [10]},
  {"name": "tanh", "layer": "Tanh", "options": {}, "input": [10]},
  {"name": "logsigmoid", "layer": "LogSigmoid", "options": {}, "input": [10]},
  {"name": "leaky", "layer": "LeakyReLU", "options": {"negative_slope": 0.1}, "input": [10]},
  {"name": "elu", "layer": "ELU", "options": {"alpha": 0.5}, "input": [10]},
  {"name": "softmax", "layer": "Softmax", "options": {"dim": 1}, "input": [3, 4]},
  {"name": "norm train", "layer": "BatchNorm2d", "options": {"num_features": 2}, "input": [2, 2, 3, 3]},
  {"name": "norm eval", "layer": "BatchNorm2d", "options": {"num_features": 2}, "input": [2, 2, 3, 3], "mode": "eval"},
  {"name": "rnn", "layer": "RNN", "options": {"input_size": 2, "hidden_size": 3, "num_layers": 2}, "input": [4, 2, 2], "hx": true},
  {"name": "gru", "layer": "GRU", "options": {"input_size": 2, "hidden_size": 3, "bidirectional": true}, "input": [4, 2, 2]},
  {"name": "embedding", "layer": "Embedding", "options": {"num_embeddings": 7, "embedding_dim": 3, "sparse": true}, "input": [2, 5]},
  {"name": "l1", "layer": "L1Loss", "options": {}, "input": [2, 5]},
  {"name": "mse", "layer": "MSELoss", "options": {"reduction": "none"}, "input": [2, 5], "target": [2, 5], "target_gradient": true},
  {"name": "bce", "layer": "BCELoss", "options": {}, "input": [2, 5]},
  {"name": "logits", "layer": "BCEWithLogitsLoss", "options": {}, "input": [2, 5]},
  {"name": "classes", "layer": "CrossEntropyLoss", "options": {}, "input": [6, 5], "target": [6]},
  {"name": "probabilities", "layer": "CrossEntropyLoss", "options": {}, "input": [6, 5], "target": [6, 5]}
]"#;

const CELL: [&str; 10] =
    ["name", "layer", "direction", "threads", "ours_ms", "peer_ms", "ratio", "low", "high", "share_of_limit"];

fn race(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_race")).args(arguments).current_dir(directory).output().unwrap()
}

#[test]
fn every_layer_is_raced_against_reference() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("tiny.json"), WORKLOADS).unwrap();
    for dtype in ["f32", "f64"] {
        let quick = ["--threads", "1,2", "--seconds", "0", "--precision", "1000"];
        let files = ["--workloads", "tiny.json", "--json", "out.json", "--results", "RESULTS.md"];
        let arguments = [&["--peer", "reference", "--dtype", dtype][..], &quick, &files].concat();
        let output = race(&arguments, directory.path());
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{told}");

        let document = std::fs::read_to_string(directory.path().join("out.json")).unwrap();
        let document: Json = serde_json::from_str(&document).unwrap();
        for key in ["machine", "versions", "limits", "cells", "geometric_mean"] {
            assert!(document.get(key).is_some(), "{key}: {document}");
        }
        let cells = document["cells"].as_array().unwrap();
        assert_eq!(cells.len(), 21 * 3 * 2);
        for cell in cells {
            for key in CELL {
                assert!(cell.get(key).is_some_and(|value| !value.is_null()), "{key}: {cell}");
            }
            // Into what is there go neither forward passes, nor indices, nor gradients of a loss's input alone.
            let name = cell["name"].as_str().unwrap();
            let into = match cell["direction"].as_str() {
                Some("inference") => name != "pool",
                Some("backward") => !["l1", "bce", "logits"].contains(&name),
                _ => false,
            };
            assert_eq!(cell.get("ours_into_ms").is_some(), into, "{cell}");
            assert!(cell["low"].as_f64() <= cell["ratio"].as_f64() && cell["ratio"].as_f64() <= cell["high"].as_f64());
        }
        for threads in ["1", "2"] {
            assert!(document["geometric_mean"][threads].as_f64().is_some_and(|mean| mean > 0.0));
            for part in ["all_but_convolution_and_recurrence", "convolution_and_recurrence"] {
                assert!(document["geometric_mean_of"][part][threads].as_f64().is_some_and(|mean| mean > 0.0), "{part}");
            }
            assert!(document["limits"][threads]["fma_f32_gflops"].as_f64().is_some_and(|rate| rate > 0.0));
        }
        let page = std::fs::read_to_string(directory.path().join("RESULTS.md")).unwrap();
        let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| workload ");
        assert_eq!(page.lines().filter(is_row).count(), cells.len());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn peaks_of_memory_are_at_least_the_results() {
    let directory = TempDir::new().unwrap();
    let workloads = r#"[{"name": "relu", "layer": "ReLU", "options": {}, "input": [1024, 1024]}]"#;
    std::fs::write(directory.path().join("relu.json"), workloads).unwrap();
    let quick = ["--peer", "reference", "--threads", "1", "--seconds", "0", "--precision", "1000", "--memory"];
    let arguments = [&quick[..], &["--workloads", "relu.json", "--json", "out.json"]].concat();
    let output = race(&arguments, directory.path());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("memory MB"), "{told}");
    let document = std::fs::read_to_string(directory.path().join("out.json")).unwrap();
    let document: Json = serde_json::from_str(&document).unwrap();
    for cell in document["cells"].as_array().unwrap() {
        // An output; and of backward, a gradient as well.
        let least = if cell["direction"] == "backward" { 2.0 } else { 1.0 } * 4.0 * f64::from(1 << 20) / 1e6;
        for side in ["ours_peak_mb", "peer_peak_mb"] {
            // The system counts pages in batches.
            assert!(cell[side].as_f64().is_some_and(|peak| 0.8 * least < peak && peak < 20.0 * least), "{cell}");
        }
    }
}

#[test]
fn what_cannot_be_raced_is_told() {
    let directory = TempDir::new().unwrap();
    let refused = |arguments: &[&str], reason: &str| {
        let output = race(arguments, directory.path());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(reason), "{arguments:?}: {told}");
    };
    refused(&["--peer", "reference", "--workloads", "none.json"], "none.json");
    refused(&["--peer", "torch", "--python", "/nowhere/python"], "cannot start /nowhere/python");
    refused(&["--peer", "burn"], "burn");
}

#[test]
fn a_layer_that_refuses_its_workload_fails_alone() {
    let directory = TempDir::new().unwrap();
    let workloads = r#"[
      {"name": "wrong", "layer": "Linear", "options": {"in_features": 3, "out_features": 4}, "input": [5, 2]},
      {"name": "right", "layer": "ReLU", "options": {}, "input": [5]}
    ]"#;
    std::fs::write(directory.path().join("mixed.json"), workloads).unwrap();
    let quick = ["--peer", "reference", "--threads", "1", "--seconds", "0", "--precision", "1000"];
    let output = race(&[&quick[..], &["--workloads", "mixed.json"]].concat(), directory.path());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("failed: wrong: Linear: input has shape [5, 2]") && told.contains("right"), "{told}");
}
