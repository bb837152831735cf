//! A case that failed, as a person wants to see it.

use super::to_pytorch;
use crate::case_file::{Case, CaseFile};
use crate::tensors::DType;
use std::fmt;

/// The smallest failing case that was found.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// The case; `None` where none could be drawn.
    pub case: Option<Case>,
    /// The layer.
    pub layer: String,
    /// The type it computes in.
    pub dtype: DType,
    /// The seed it was drawn from.
    pub seed: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The command line's arguments that choose what failed.
    pub arguments: String,
}

impl Counterexample {
    pub(super) fn unknown(layer: &str, dtype: DType, seed: u64) -> Self {
        let (layer, reason) = (layer.to_owned(), "there is no such layer".to_owned());
        Self { case: None, layer, dtype, seed, reason, arguments: String::new() }
    }

    /// Writes the case to a file among the temporary ones and tells the line that replays it.
    fn written_down(&self, case: &Case) -> String {
        let path = std::env::temp_dir()
            .join(format!("layerproof-{}-{}-seed-{}.safetensors", self.layer, self.dtype, self.seed));
        let file = CaseFile { generator: "a failed property".into(), cases: vec![case.clone()] };
        match file.to_bytes().map(|bytes| std::fs::write(&path, bytes)) {
            Ok(Ok(())) => {
                format!("cargo run --release -- check {} --case {}{}", path.display(), case.name, self.arguments)
            }
            _ => "the case could not be written down".into(),
        }
    }
}

/// Its numbers, the line that replays it, and the same case in PyTorch. The case is written to a file, which the line names.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, dtype, seed, reason, .. } = self;
        writeln!(f, "{layer} in {dtype}, drawn from seed {seed}: {reason}")?;
        let Some(case) = &self.case else { return Ok(()) };
        writeln!(f, "    options = {}", serde_json::Value::Object(case.options.clone()))?;
        for ((group, name), tensor) in &case.tensors {
            writeln!(f, "    {group}.{name} = {tensor:?}")?;
        }
        writeln!(f, "replay it:\n    {}", self.written_down(case))?;
        writeln!(f, "in PyTorch:")?;
        to_pytorch(case).lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}
