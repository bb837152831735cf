//! PyTorch in child processes: how they are started. `race/torch_child.py` is the other side.

use super::Failure;
use super::child::{Program, Server};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use tempfile::TempDir;

const SCRIPT: &str = include_str!("../../race/torch_child.py");

/// How a child's memory is managed.
#[derive(Debug)]
pub(super) struct Allocator {
    /// As reports name it.
    pub name: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// Bytes that are written to once, and then free to be allocated.
    reserve: usize,
}

/// PyTorch as it is installed; and with an allocator that gives nothing back to the system, so that large outputs need not be
/// mapped afresh on every call. On glibc that takes both settings, and memory that is already there: without the reserve, a
/// block of 64 MB that small ones have split up is left for fresh memory. Sigmoid of 16M numbers on one thread: 54 ms by default,
/// 11 or 54 with the settings alone, 9 with the reserve. Elsewhere the settings do nothing.
pub(super) const ALLOCATORS: [Allocator; 2] = [
    Allocator { name: "default", environment: &[], reserve: 0 },
    Allocator {
        name: "reusing",
        environment: &[("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "1099511627776")],
        reserve: 1 << 30,
    },
];

/// Starts a Python that has PyTorch, and exchanges files with it through the directory.
///
/// # Errors
/// Where Python cannot be started, or has no PyTorch.
pub(super) fn start(python: &Path, allocator: &Allocator, directory: Rc<TempDir>) -> Result<Server, Failure> {
    let script = directory.path().join("torch_child.py");
    std::fs::write(&script, SCRIPT).map_err(|error| Failure::new(format!("{}: {error}", script.display())))?;
    let mut command = Command::new(python);
    command.arg(&script).envs(allocator.environment.iter().copied());
    let program = Program {
        command,
        peer: "PyTorch",
        name: format!("{} ({} allocator)", python.display(), allocator.name),
        hint: "--python names a Python that has torch and safetensors",
        reserve: allocator.reserve,
    };
    Server::start(program, directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(python: &str) -> Failure {
        let directory = Rc::new(TempDir::new().unwrap());
        match start(Path::new(python), &ALLOCATORS[0], directory) {
            Ok(_) => panic!("{python} is no PyTorch"),
            Err(failure) => failure,
        }
    }

    #[test]
    fn a_python_that_is_not_there_is_named() {
        let message = started("/nowhere/python").to_string();
        assert!(message.starts_with("cannot start /nowhere/python") && message.contains("--python"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn what_a_dead_child_said_is_shown() {
        let directory = TempDir::new().unwrap();
        let python = directory.path().join("python");
        std::fs::write(&python, "#!/bin/sh\necho 'no such luck' >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let message = started(&python.display().to_string()).to_string();
        assert!(message.contains("exit status: 3") && message.contains("no such luck"), "{message}");
    }
}
