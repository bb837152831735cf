//! The recorded cases, embedded so that they are found from any directory.

use crate::case_file::CaseFile;

/// Each layer's name, its file's name in `fixtures/`, and the file.
pub const FILES: &[(&str, &str, &[u8])] = &[
    ("Linear", "linear.safetensors", include_bytes!("../../fixtures/linear.safetensors")),
    ("ReLU", "relu.safetensors", include_bytes!("../../fixtures/relu.safetensors")),
    ("Sigmoid", "sigmoid.safetensors", include_bytes!("../../fixtures/sigmoid.safetensors")),
    ("BatchNorm2d", "batch_norm2d.safetensors", include_bytes!("../../fixtures/batch_norm2d.safetensors")),
    ("MSELoss", "mse_loss.safetensors", include_bytes!("../../fixtures/mse_loss.safetensors")),
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
