//! Writing.

use super::{CaseFile, FORMAT, Invalid, Status};
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::collections::HashMap;

impl CaseFile {
    /// The bytes of the file: every head as it was read, with `status` and `message` where the case has a status.
    ///
    /// # Errors
    /// Where the header would grow larger than safetensors allows.
    ///
    /// ```
    /// use conformance::case_file::{Case, CaseFile, Expect, Mode};
    /// use conformance::Group;
    /// let mut case = Case::new("one", "ReLU", Default::default(), Mode::Train, Expect::Values);
    /// case.insert(Group::In, "input", vocabulary::Tensor::scalar(1.0_f32));
    /// let file = CaseFile { generator: "an example".into(), cases: vec![case] };
    /// let read = CaseFile::from_bytes(&file.to_bytes()?)?;
    /// assert_eq!(read.cases[0].tensors, file.cases[0].tensors);
    /// # Ok::<(), conformance::case_file::Invalid>(())
    /// ```
    pub fn to_bytes(&self) -> Result<Vec<u8>, Invalid> {
        let invalid = |error: safetensors::SafeTensorError| Invalid(format!("the file cannot be written: {error}"));
        let mut heads = Vec::new();
        let mut tensors = Vec::new();
        for case in &self.cases {
            let mut head = case.head.clone();
            if let Some(status) = &case.status {
                let (status, message) = match status {
                    Status::Values => ("values", None),
                    Status::Error(message) => ("error", Some(message)),
                    Status::Unsupported(message) => ("unsupported", Some(message)),
                };
                head.insert("status".into(), status.into());
                message.into_iter().for_each(|message| _ = head.insert("message".into(), message.as_str().into()));
            }
            heads.push(Value::Object(head));
            for ((group, name), tensor) in &case.tensors {
                let (dtype, bytes) = tensor.to_bytes();
                tensors.push((format!("{}/{group}.{name}", case.name), dtype, tensor.shape().to_vec(), bytes));
            }
        }
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("generator".to_owned(), self.generator.clone()),
            ("cases".to_owned(), Value::Array(heads).to_string()),
        ]);
        safetensors::serialize(views, Some(metadata)).map_err(invalid)
    }
}
