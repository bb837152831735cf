//! A layer is one file of the same name in every room; where one is missing, this fails.

use std::path::{Path, PathBuf};

/// A layer's torch.nn class name, and the name of its files.
const FILES: &[(&str, &str)] = &[
    ("Linear", "linear"),
    ("ReLU", "relu"),
    ("Sigmoid", "sigmoid"),
    ("BatchNorm2d", "batch_norm2d"),
    ("MSELoss", "mse_loss"),
    ("Conv2d", "conv2d"),
    ("MaxPool2d", "max_pool2d"),
    ("LogSigmoid", "log_sigmoid"),
    ("Tanh", "tanh"),
    ("LeakyReLU", "leaky_relu"),
    ("ELU", "elu"),
    ("Softmax", "softmax"),
    ("RNN", "rnn"),
    ("GRU", "gru"),
    ("Embedding", "embedding"),
    ("L1Loss", "l1_loss"),
    ("CrossEntropyLoss", "cross_entropy_loss"),
    ("BCELoss", "bce_loss"),
    ("BCEWithLogitsLoss", "bce_with_logits_loss"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_layer_has_its_file_in_every_room() {
    assert_eq!(FILES.iter().map(|(layer, _)| *layer).collect::<Vec<_>>(), conformance::LAYERS);
    for (layer, name) in FILES {
        let of_reference = [
            format!("reference/vocabulary/src/options/{name}.rs"),
            format!("reference/src/{name}.rs"),
            format!("conformance/src/layers/{name}.rs"),
            format!("fixtures/{name}.safetensors"),
            format!("fixtures/recording/{name}.py"),
        ];
        of_reference.iter().for_each(|file| assert!(root().join(file).is_file(), "{layer} lacks {file}"));
        let of_optimized = [format!("optimized/src/layers/{name}.rs"), format!("benches/benches/{name}.rs")];
        let to_come = optimized::STILL_TO_COME.contains(layer);
        for file in of_optimized {
            assert_ne!(root().join(&file).is_file(), to_come, "{layer}, still to come or not, and {file}");
        }
        assert!(conformance::fixtures::file(layer).is_some_and(|file| file.cases.len() >= 80), "{layer} has few cases");
    }
}

/// What is said to be to come is what runs in one crate alone.
#[test]
fn only_layers_of_reference_are_still_to_come() {
    for layer in optimized::STILL_TO_COME {
        assert!(conformance::LAYERS.contains(layer), "{layer} is to come, and nobody has it");
        assert!(optimized::algorithms(layer).is_empty(), "{layer} is to come, and has algorithms");
    }
    for layer in super::layers_of_both() {
        assert!(!optimized::algorithms(layer).is_empty(), "{layer} has no algorithm");
    }
}

#[test]
fn no_file_belongs_to_an_unknown_layer() {
    for (room, extension) in [
        ("reference/vocabulary/src/options", "rs"),
        ("optimized/src/layers", "rs"),
        ("conformance/src/layers", "rs"),
        ("benches/benches", "rs"),
        ("fixtures", "safetensors"),
    ] {
        for entry in std::fs::read_dir(root().join(room)).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|e| e == extension) && stem != "mod" {
                assert!(FILES.iter().any(|(_, name)| *name == stem), "{} belongs to no layer", path.display());
            }
        }
    }
}

/// Only one file names each of these crates: where GEMM, SIMD and threads live is settled.
#[test]
fn each_crate_is_named_in_one_place() {
    let mut files = Vec::new();
    collect(&root().join("optimized/src"), &mut files);
    assert!(files.len() > 10);
    for (word, place) in [
        ("faer::", "kernels/gemm.rs"),
        ("pulp::", "src/simd/"),
        ("rayon::", "src/threads.rs"),
        ("use faer", "kernels/gemm.rs"),
    ] {
        let naming = files.iter().filter(|(_, text)| text.contains(word));
        let mut naming = naming.map(|(path, _)| path.to_string_lossy().replace('\\', "/")).peekable();
        assert!(word == "use faer" || naming.peek().is_some(), "nothing names {word}");
        naming.for_each(|path| assert!(path.contains(place), "{path} names {word}"));
    }
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
}
