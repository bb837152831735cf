//! Reading: every way in which a file can be wrong is one clear line.

use super::{Case, CaseFile, Expect, FORMAT, Invalid, Mode, Status, duplicate_keys};
use crate::replay::Limits;
use crate::tensors::Group;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use vocabulary::StateTensor;

/// Which fields a head must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file of cases: all of them.
    Cases,
    /// A file of results: its name alone, for the rest stands in the file of cases.
    Results,
}

impl CaseFile {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// Where it is no valid case file; nothing is lost or repaired silently.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::from_bytes_within(bytes, Limits::default().memory)
    }

    /// Reads a file of cases whose header does not take more than so many bytes of memory, once it is read.
    pub(crate) fn from_bytes_within(bytes: &[u8], memory: u64) -> Result<Self, Invalid> {
        read(bytes, Kind::Cases, memory)
    }

    /// Reads a file of results, whose heads need no more than a name and, unless they hold values, a `status`.
    ///
    /// # Errors
    /// As [`CaseFile::from_bytes`].
    pub fn results_from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::results_from_bytes_within(bytes, Limits::default().memory)
    }

    /// Reads a file of results whose header does not take more than so many bytes of memory, once it is read.
    pub(crate) fn results_from_bytes_within(bytes: &[u8], memory: u64) -> Result<Self, Invalid> {
        read(bytes, Kind::Results, memory)
    }
}

/// The bytes of a file, where it has no more than `limit`.
///
/// # Errors
/// Where it cannot be read, or is larger.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Invalid> {
    let fail = |reason: String| Invalid(format!("{}: {reason}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !metadata.is_file() {
        return Err(fail("is not a file".into()));
    }
    if metadata.len() > limit {
        return Err(fail(format!("has {} bytes, more than the memory limit of {limit}", metadata.len())));
    }
    std::fs::read(path).map_err(|error| fail(error.to_string()))
}

/// Bytes that a byte of JSON may take once it is read, and read again: `[0,0,…` makes a value of each two, in several copies.
const EXPANSION: u64 = 128;

fn read(bytes: &[u8], kind: Kind, memory: u64) -> Result<CaseFile, Invalid> {
    let header = header(bytes)?;
    if (header.len() as u64).saturating_mul(EXPANSION) > memory {
        let (length, most) = (header.len(), memory / EXPANSION);
        return Err(Invalid(format!(
            "its header has {length} bytes, more than the {most} that the memory limit allows"
        )));
    }
    duplicate_keys::check(header).map_err(|error| Invalid(format!("the header is not valid: {error}")))?;
    let not_safetensors = |error| Invalid(format!("not a safetensors file: {error}"));
    let file = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
    let metadata = metadata.metadata().clone().unwrap_or_default();
    let field = |name: &str| {
        let missing = || Invalid(format!("not a case file: its metadata has no {name:?}"));
        metadata.get(name).map(String::as_str).ok_or_else(missing)
    };
    match field("format")? {
        FORMAT => {}
        other => return Err(Invalid(format!("its format is {other:?}, expected {FORMAT:?}"))),
    }
    let generator = field("generator")?.to_owned();
    let heads = field("cases")?;
    duplicate_keys::check(heads).map_err(|error| Invalid(format!("its cases are not valid: {error}")))?;
    let heads: Vec<Map<String, Value>> = serde_json::from_str(heads)
        .map_err(|error| Invalid(format!("its cases are not an array of objects: {error}")))?;

    let mut cases: Vec<Case> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for head in heads {
        let case = case(head, kind)?;
        if places.insert(case.name.clone(), cases.len()).is_some() {
            return Err(Invalid(format!("the case name {:?} is duplicated", case.name)));
        }
        cases.push(case);
    }
    for (path, view) in file.iter() {
        let invalid = |reason: &str| Invalid(format!("tensor {path:?} {reason}"));
        let (case, rest) = path.split_once('/').ok_or_else(|| invalid("belongs to no case"))?;
        let (group, name) = rest.split_once('.').ok_or_else(|| invalid("belongs to no group"))?;
        let group = Group::ALL.into_iter().find(|known| known.name() == group);
        let group = group.ok_or_else(|| invalid("belongs to no group"))?;
        if name.is_empty() || name.contains('/') {
            return Err(invalid("has no valid name"));
        }
        let place = *places.get(case).ok_or_else(|| invalid("belongs to no listed case"))?;
        let may_be_narrow = matches!((group, name), (Group::In, "input" | "target") | (Group::Out, "indices"));
        if view.dtype() == Dtype::I32 && !may_be_narrow {
            return Err(invalid("has type I32, which only indices and class targets may have"));
        }
        let tensor = StateTensor::from_view(path, &view).map_err(|error| Invalid(error.to_string()))?;
        cases[place].tensors.insert((group, name.to_owned()), tensor);
    }
    Ok(CaseFile { generator, cases })
}

/// The JSON header of a safetensors file.
fn header(bytes: &[u8]) -> Result<&str, Invalid> {
    let truncated = || Invalid("not a safetensors file: it is too short for its header".into());
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| truncated())?;
    let header = rest.get(..length).ok_or_else(truncated)?;
    std::str::from_utf8(header).map_err(|_| Invalid("not a safetensors file: its header is not UTF-8".into()))
}

fn case(head: Map<String, Value>, kind: Kind) -> Result<Case, Invalid> {
    let name = match head.get("name") {
        Some(Value::String(name)) => name.clone(),
        _ => return Err(Invalid("a case has no name".into())),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > 120 || !name.bytes().all(allowed) {
        return Err(Invalid(format!("the case name {name:?} is not 1 to 120 of A-Z, a-z, 0-9, '_', '.' and '-'")));
    }
    let invalid = |field: &str, expected: &str| Invalid(format!("case {name}: {field} is not {expected}"));
    let text = |field: &str, default: &str| match head.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        None if kind == Kind::Results => Ok(default.to_owned()),
        _ => Err(invalid(field, "a string")),
    };
    let options = match head.get("options") {
        Some(Value::Object(options)) => options.clone(),
        None if kind == Kind::Results => Map::new(),
        _ => return Err(invalid("options", "an object")),
    };
    let mode = match text("mode", "train")?.as_str() {
        "train" => Mode::Train,
        "eval" => Mode::Eval,
        _ => return Err(invalid("mode", "\"train\" or \"eval\"")),
    };
    let expect = match text("expect", "values")?.as_str() {
        "values" => Expect::Values,
        "error" => Expect::Error,
        _ => return Err(invalid("expect", "\"values\" or \"error\"")),
    };
    let message = || head.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = match (kind, head.get("status").and_then(Value::as_str)) {
        (Kind::Cases, _) => None,
        (Kind::Results, Some("error")) => Some(Status::Error(message())),
        (Kind::Results, Some("unsupported")) => Some(Status::Unsupported(message())),
        (Kind::Results, Some("values")) => Some(Status::Values),
        (Kind::Results, None) if head.get("status").is_none() => Some(Status::Values),
        (Kind::Results, _) => return Err(invalid("status", "\"values\", \"error\" or \"unsupported\"")),
    };
    let layer = text("layer", "")?;
    Ok(Case { name, layer, options, mode, expect, status, head, tensors: BTreeMap::new() })
}
