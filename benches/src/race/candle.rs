//! candle in child processes, one for each number of threads, which it takes from the environment when it starts. Nothing else
//! needs candle, so its package, `benches/candle`, belongs to no workspace, and is built when it is asked for.

use super::Failure;
use super::child::{Program, Remote, Server};
use super::contender::{Contender, Turn};
use super::workload::Workload;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use vocabulary::StateDict;

/// The package's manifest.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/candle/Cargo.toml");

/// The program, built.
#[derive(Debug)]
pub(super) struct Candle {
    program: PathBuf,
}

impl Candle {
    /// Builds the program.
    ///
    /// # Errors
    /// Where it cannot be built; cargo has said why on standard error.
    pub(super) fn build() -> Result<Self, Failure> {
        Self::build_from(Path::new(MANIFEST))
    }

    fn build_from(manifest: &Path) -> Result<Self, Failure> {
        let by_hand = format!("cargo build --release --locked --manifest-path {}", manifest.display());
        let failed = |reason: String| {
            Failure::fatal(format!(
                "--peer candle: {reason}; `{by_hand}` has to succeed, which takes candle from crates.io the first time"
            ))
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(by_hand.split(' ').skip(1).take(3))
            .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
            .arg(manifest)
            .stderr(Stdio::inherit())
            .output();
        let output = output.map_err(|error| failed(format!("cargo cannot be started: {error}")))?;
        if !output.status.success() {
            return Err(failed(format!("its build ended with {}", output.status)));
        }
        let executable = executable(&String::from_utf8_lossy(&output.stdout));
        executable.map(|program| Self { program }).ok_or_else(|| failed("its build gave no program".to_owned()))
    }

    /// Starts a child that computes on so many threads.
    pub(super) fn start(&self, threads: usize, directory: Rc<TempDir>) -> Result<Server, Failure> {
        let mut command = Command::new(&self.program);
        // Its pools of threads read the one or the other.
        command.envs(["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"].map(|name| (name, threads.to_string())));
        let program = Program {
            command,
            peer: "candle",
            name: format!("{} on {threads} threads", self.program.display()),
            hint: "built anew, it may start",
            reserve: 0,
        };
        Server::start(program, directory)
    }
}

/// The program that cargo's messages, one a line, say was built.
fn executable(messages: &str) -> Option<PathBuf> {
    let of_line = |line: &str| {
        let message: Json = serde_json::from_str(line).ok()?;
        message.get("executable").and_then(Json::as_str).map(PathBuf::from)
    };
    messages.lines().find_map(of_line)
}

/// A layer that the child of each number of threads has prepared.
pub(super) struct PerThreads {
    layers: Vec<(usize, Remote)>,
    /// Which of them it is the turn of.
    place: usize,
}

impl PerThreads {
    /// Hands over a workload's operands to all children.
    pub(super) fn prepare(
        servers: &[(usize, Rc<RefCell<Server>>)],
        workload: &Workload,
        operands: &StateDict,
    ) -> Result<Self, Failure> {
        let prepare = |(threads, server): &(usize, _)| Ok((*threads, Remote::prepare(server, workload, operands)?));
        Ok(Self { layers: servers.iter().map(prepare).collect::<Result<_, Failure>>()?, place: 0 })
    }

    fn current(&mut self) -> Result<&mut Remote, Failure> {
        let layer = self.layers.get_mut(self.place).map(|(_, layer)| layer);
        layer.ok_or_else(|| Failure::new("no number of threads is raced"))
    }
}

impl Contender for PerThreads {
    fn set_threads(&mut self, threads: usize) -> Result<(), Failure> {
        let place = self.layers.iter().position(|(of, _)| *of == threads);
        self.place = place.ok_or_else(|| Failure::new(format!("no child computes on {threads} threads")))?;
        Ok(())
    }

    fn compute(&mut self) -> Result<StateDict, Failure> {
        self.current()?.compute()
    }

    fn time(&mut self, turn: Turn) -> Result<Duration, Failure> {
        self.current()?.time(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_one_that_cargo_names() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"candle_core"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"race-candle"},"executable":"/t/release/race-candle"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#
        );
        assert_eq!(executable(messages), Some("/t/release/race-candle".into()));
        assert_eq!(executable("warning: nothing"), None);
    }

    #[test]
    fn where_it_cannot_be_built_the_command_is_named() {
        let message = Candle::build_from(Path::new("/nowhere/Cargo.toml")).unwrap_err().to_string();
        assert!(message.contains("`cargo build --release --locked --manifest-path /nowhere/Cargo.toml`"), "{message}");
    }
}
