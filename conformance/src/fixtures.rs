//! The recorded cases, embedded so that they are found from any directory.

use crate::case_file::CaseFile;

/// Each layer's name, its file's name in `fixtures/`, and the file.
pub const FILES: &[(&str, &str, &[u8])] = &[
    ("Linear", "linear.safetensors", include_bytes!("../../fixtures/linear.safetensors")),
    ("ReLU", "relu.safetensors", include_bytes!("../../fixtures/relu.safetensors")),
    ("Sigmoid", "sigmoid.safetensors", include_bytes!("../../fixtures/sigmoid.safetensors")),
    ("BatchNorm2d", "batch_norm2d.safetensors", include_bytes!("../../fixtures/batch_norm2d.safetensors")),
    ("MSELoss", "mse_loss.safetensors", include_bytes!("../../fixtures/mse_loss.safetensors")),
    ("Conv2d", "conv2d.safetensors", include_bytes!("../../fixtures/conv2d.safetensors")),
    ("MaxPool2d", "max_pool2d.safetensors", include_bytes!("../../fixtures/max_pool2d.safetensors")),
    ("LogSigmoid", "log_sigmoid.safetensors", include_bytes!("../../fixtures/log_sigmoid.safetensors")),
    ("Tanh", "tanh.safetensors", include_bytes!("../../fixtures/tanh.safetensors")),
    ("LeakyReLU", "leaky_relu.safetensors", include_bytes!("../../fixtures/leaky_relu.safetensors")),
    ("ELU", "elu.safetensors", include_bytes!("../../fixtures/elu.safetensors")),
    ("Softmax", "softmax.safetensors", include_bytes!("../../fixtures/softmax.safetensors")),
    ("RNN", "rnn.safetensors", include_bytes!("../../fixtures/rnn.safetensors")),
    ("GRU", "gru.safetensors", include_bytes!("../../fixtures/gru.safetensors")),
    ("Embedding", "embedding.safetensors", include_bytes!("../../fixtures/embedding.safetensors")),
    ("L1Loss", "l1_loss.safetensors", include_bytes!("../../fixtures/l1_loss.safetensors")),
    (
        "CrossEntropyLoss",
        "cross_entropy_loss.safetensors",
        include_bytes!("../../fixtures/cross_entropy_loss.safetensors"),
    ),
    ("BCELoss", "bce_loss.safetensors", include_bytes!("../../fixtures/bce_loss.safetensors")),
    (
        "BCEWithLogitsLoss",
        "bce_with_logits_loss.safetensors",
        include_bytes!("../../fixtures/bce_with_logits_loss.safetensors"),
    ),
];

/// The recorded cases of a layer.
///
/// ```
/// assert!(conformance::fixtures::file("Linear").unwrap().cases.len() > 50);
/// assert!(conformance::fixtures::file("Conv9d").is_none());
/// ```
pub fn file(layer: &str) -> Option<CaseFile> {
    let (.., bytes) = FILES.iter().find(|(known, ..)| *known == layer)?;
    CaseFile::from_bytes(bytes).ok()
}
