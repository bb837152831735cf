//! A case that failed, as a person wants to see it.

use super::to_pytorch;
use crate::case_file::{Case, CaseFile};
use crate::command_line::quoted;
use crate::implementation::Variant;
use crate::tensors::DType;
use std::fmt;
use std::io::Write;

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
    /// The line that replays it: the case is in a file among the temporary ones.
    pub replay: String,
}

impl Counterexample {
    /// Without a case.
    pub(super) fn without_case(layer: &str, dtype: DType, seed: u64, reason: String) -> Self {
        Self { case: None, layer: layer.to_owned(), dtype, seed, reason, replay: String::new() }
    }

    /// Writes the case to a file of its own, which stays.
    pub(super) fn write(mut self, case: Case, implementation: &str, variant: &Variant) -> Self {
        let Self { layer, dtype, seed, .. } = &self;
        let name = format!("layerproof-{implementation}-{layer}-{dtype}-seed-{seed}-");
        let content = CaseFile { generator: "a failed property".into(), cases: vec![case.clone()] }.to_bytes();
        let written = content.ok().and_then(|bytes| {
            let mut file = tempfile::Builder::new().prefix(&name).suffix(".safetensors").tempfile().ok()?;
            file.write_all(&bytes).ok()?;
            file.into_temp_path().keep().ok()
        });
        self.replay = match written {
            Some(path) => {
                let (path, name, variant) = (quoted(&path), &case.name, variant.arguments());
                format!("cargo run --release -- check {path} --case {name} --implementation {implementation}{variant}")
            }
            None => "the case could not be written down".into(),
        };
        Self { case: Some(case), ..self }
    }
}

/// Its numbers, the line that replays it, and the same case in PyTorch.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, dtype, seed, reason, replay, .. } = self;
        writeln!(f, "{layer} in {dtype}, drawn from seed {seed}: {reason}")?;
        let Some(case) = &self.case else { return Ok(()) };
        writeln!(f, "    options = {}", serde_json::Value::Object(case.options.clone()))?;
        for ((group, name), tensor) in &case.tensors {
            writeln!(f, "    {group}.{name} = {tensor:?}")?;
        }
        writeln!(f, "replay it:\n    {replay}")?;
        writeln!(f, "in PyTorch:")?;
        to_pytorch(case).lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}
