//! The peak of the memory that a call needs, of either side, each in a process of its own.
//!
//! What counts is how far the process grows, from the moment when its operands are ready to that when the call is done, which
//! is the first of its process: `forward` and `forward_pass` as they are; `backward` with the forward before it, which holds
//! what it keeps. Pages of files, which hold code and load on a first call, do not count. `race/torch_child.py` measures the same.

use super::Failure;
use super::arguments::Type;
use super::contender::{Contender, Direction, Turn};
use super::layers::{self, Number};
use super::workload::Workload;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Command;
use vocabulary::StateDict;

/// The first argument of the process that is measured.
pub(super) const ARGUMENT: &str = "peak-memory";

/// One of the crates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Crate {
    Optimized,
    Reference,
}

/// A call that is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The operands, the gradient of the output among them.
    pub file: PathBuf,
    pub workload: Workload,
    pub dtype: Type,
    pub direction: Direction,
    pub threads: usize,
}

/// Both sides' peaks, in MB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Peaks {
    pub ours: f64,
    pub peer: f64,
}

/// Refuses a system that does not tell how large a process is.
pub(super) fn check() -> Result<(), Failure> {
    Size::now().map(|_| ()).map_err(|failure| Failure::new(format!("--memory: {failure}")))
}

/// The peak of a call of one of the crates, in MB, in another process.
pub(super) fn of_child(of: Crate, request: &Request) -> Result<f64, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::new(format!("where race is: {error}")))?;
    let text = |value: serde_json::Result<String>| value.map_err(|error| Failure::new(error.to_string()));
    let (of, request) = (text(serde_json::to_string(&of))?, text(serde_json::to_string(request))?);
    let output = Command::new(&program).args([ARGUMENT, &of, &request]).output();
    let output = output.map_err(|error| Failure::new(format!("{}: {error}", program.display())))?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().map_err(|_| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Failure::new(format!("the process that was to be measured, {}: {}", output.status, complaint.trim()))
    })
}

/// In that process: the peak of the call that its further arguments ask for, in MB.
pub(super) fn measured(arguments: &[String]) -> Result<f64, Failure> {
    let [of, request] = arguments else { return Err(Failure::new(format!("{ARGUMENT} takes a crate and a call"))) };
    let read = |error: serde_json::Error| Failure::new(error.to_string());
    let of: Crate = serde_json::from_str(of).map_err(read)?;
    let request: Request = serde_json::from_str(request).map_err(read)?;
    match request.dtype {
        Type::F32 => peak::<f32>(of, &request),
        Type::F64 => peak::<f64>(of, &request),
    }
}

fn peak<T: Number>(of: Crate, request: &Request) -> Result<f64, Failure> {
    let bytes = std::fs::read(&request.file);
    let bytes = bytes.map_err(|error| Failure::new(format!("{}: {error}", request.file.display())))?;
    let mut operands = StateDict::from_safetensors(&bytes)?;
    drop(bytes);
    let mut contender: Box<dyn Contender> = match of {
        Crate::Optimized => layers::optimized::<T>(&request.workload, &mut operands)?,
        Crate::Reference => layers::reference::<T>(&request.workload, &mut operands)?,
    };
    contender.set_threads(request.threads)?;
    let before = Size::reset()?;
    contender.time(Turn { direction: request.direction, calls: 1, warm: false, into: false })?;
    let grown = Size::now()?.grown_since(&before);
    // Given back before, operands might be lent to the call, and it would seem to need less.
    drop(operands);
    Ok(grown)
}

/// How large this process is, or was, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    /// The largest it has ever been in memory.
    peak: u64,
    /// The pages of files in memory now.
    files: u64,
}

impl Size {
    fn now() -> Result<Self, Failure> {
        const PATH: &str = "/proc/self/status";
        let status = std::fs::read_to_string(PATH)
            .map_err(|error| Failure::new(format!("{PATH}, where Linux tells a process's size: {error}")))?;
        Self::told_in(&status).ok_or_else(|| Failure::new(format!("{PATH} does not tell this process's size")))
    }

    fn told_in(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        let files = field("RssFile").unwrap_or(0) + field("RssShmem").unwrap_or(0);
        Some(Self { peak: field("VmHWM")?, files })
    }

    /// The size now, as the largest so far: where the system does not forget what was larger before, that remains.
    fn reset() -> Result<Self, Failure> {
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self::now()
    }

    /// How far the peak has grown, without pages of files, in MB.
    fn grown_since(&self, before: &Self) -> f64 {
        let files = self.files.saturating_sub(before.files);
        self.peak.saturating_sub(before.peak).saturating_sub(files) as f64 * 1024.0 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_files_do_not_count() {
        let status = |peak: u64, files: u64| {
            let text = format!("Name:\trace\nVmHWM:\t  {peak} kB\nRssFile:\t {files} kB\nRssShmem:\t 5 kB\n");
            Size::told_in(&text).unwrap()
        };
        let before = status(10_000, 100);
        assert_eq!(before, Size { peak: 10_000, files: 105 });
        assert_eq!(status(10_000 + 15_625, 100).grown_since(&before), 16.0);
        assert_eq!(status(10_000 + 15_625, 600).grown_since(&before), 15.488);
        assert_eq!(status(10_000, 600).grown_since(&before), 0.0);
        assert_eq!(Size::told_in("Name:\trace\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_is_written_to_counts_and_is_forgotten_after() {
        let before = Size::reset().unwrap();
        drop(std::hint::black_box(vec![1_u8; 256 << 20]));
        let grown = Size::now().unwrap().grown_since(&before);
        // Other tests run in this process, too.
        assert!(grown >= 200.0, "{grown}");
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let workload = r#"{"name": "n", "layer": "BatchNorm2d", "options": {"num_features": 2}, "input": [1, 2, 3, 3], "mode": "eval"}"#;
        let request = Request {
            file: "operands".into(),
            workload: serde_json::from_str(workload).unwrap(),
            dtype: Type::F64,
            direction: Direction::Backward,
            threads: 2,
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let refused = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
            measured(&arguments).unwrap_err().to_string()
        };
        assert!(refused(&["\"optimized\""]).contains("takes a crate and a call"));
        assert!(refused(&["\"torch\"", "{}"]).contains("torch"));
        assert!(refused(&["\"reference\"", "{}"]).contains("file"));
    }
}
