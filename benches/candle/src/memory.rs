//! The peak of this process's memory, as `benches/src/race/memory.rs` measures it.

use crate::layer::Refusal;

/// How far this process grows while something is done, in MB, without pages of files.
pub fn peak<R>(work: impl FnOnce() -> Result<R, Refusal>) -> Result<f64, Refusal> {
    // Where that is refused, what was larger before, remains.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (before, files) = sizes()?;
    let done = work()?;
    let (after, files_after) = sizes()?;
    drop(done);
    Ok(after.saturating_sub(before).saturating_sub(files_after.saturating_sub(files)) as f64 * 1024.0 / 1e6)
}

/// The largest that this process has ever been in memory, and its pages of files there now, in KiB.
fn sizes() -> Result<(u64, u64), Refusal> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| Refusal::Error(error.to_string()))?;
    let field = |name: &str| -> Option<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let peak = field("VmHWM").ok_or_else(|| Refusal::Error("the system does not tell a process's size".to_owned()))?;
    Ok((peak, field("RssFile").unwrap_or(0) + field("RssShmem").unwrap_or(0)))
}
