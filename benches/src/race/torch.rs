//! PyTorch in child processes: how they are started, asked, and told of when they die. `race/torch_child.py` is the other side.

use super::Failure;
use super::contender::{Contender, Turn};
use super::memory::Request;
use super::workload::Workload;
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use vocabulary::StateDict;

const SCRIPT: &str = include_str!("../../race/torch_child.py");

/// How many lines of a dead child's standard error are shown.
const SHOWN: usize = 15;

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

/// A child process that serves.
pub(super) struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<String>>,
    directory: Rc<TempDir>,
    allocator: &'static Allocator,
    python: String,
    /// What it said of itself: `torch`, `python` and `capability`.
    pub greeting: Json,
}

impl Server {
    /// Starts a child that exchanges files through the directory.
    ///
    /// # Errors
    /// Where Python cannot be started, or has no PyTorch.
    pub(super) fn start(python: &Path, allocator: &'static Allocator, directory: Rc<TempDir>) -> Result<Self, Failure> {
        let script = directory.path().join("torch_child.py");
        std::fs::write(&script, SCRIPT).map_err(|error| Failure::new(format!("{}: {error}", script.display())))?;
        let command = Command::new(python)
            .arg(&script)
            .envs(allocator.environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let python = python.display().to_string();
        let mut child = command.map_err(|error| {
            Failure::fatal(format!("cannot start {python}: {error}; --python names a Python that has PyTorch"))
        })?;
        let (Some(requests), Some(replies), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::fatal(format!("{python} has no standard streams")));
        };
        // Read on and on, so that a child that complains much is never kept waiting.
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut server = Self {
            child,
            requests: Some(requests),
            replies: BufReader::new(replies),
            complaints: Some(complaints),
            directory,
            allocator,
            python,
            greeting: Json::Null,
        };
        server.greeting = server.reply().map_err(|failure| {
            let hint = "--python names a Python that has torch and safetensors";
            Failure::fatal(format!("{failure}\n{hint}"))
        })?;
        Ok(server)
    }

    fn ask(&mut self, request: &Json) -> Result<Json, Failure> {
        // Where it cannot be written, the child is dead, which shows in the reply that does not come.
        if let Some(requests) = &mut self.requests {
            let _ = writeln!(requests, "{request}").and_then(|()| requests.flush());
        }
        self.reply()
    }

    fn reply(&mut self) -> Result<Json, Failure> {
        let mut line = String::new();
        match self.replies.read_line(&mut line) {
            Ok(0) | Err(_) => return Err(self.death()),
            Ok(_) => {}
        }
        let reply: Json = serde_json::from_str(&line)
            .map_err(|error| Failure::fatal(format!("{} replies {:?}: {error}", self.python, line.trim())))?;
        match reply.get("error").and_then(Json::as_str) {
            Some(error) => Err(Failure::new(format!("PyTorch: {error}"))),
            None => Ok(reply),
        }
    }

    /// How the child ended, and what it said last.
    fn death(&mut self) -> Failure {
        self.requests = None;
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = self.complaints.take().and_then(|complaints| complaints.join().ok()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n    ");
        let allocator = self.allocator.name;
        Failure::fatal(format!("{} ({allocator} allocator) has died, {status}:\n    {last}", self.python))
    }

    /// The peak of the memory of a call, in MB, which a process of its own makes that the child forks.
    pub(super) fn peak(&mut self, request: &Request) -> Result<f64, Failure> {
        let mut asked = preparation(&request.workload, &request.file);
        asked["do"] = json!("peak");
        asked["direction"] = json!(request.direction.name());
        asked["threads"] = json!(request.threads);
        let reply = self.ask(&asked)?;
        let peak = reply.get("mb").and_then(Json::as_f64);
        peak.ok_or_else(|| Failure::fatal(format!("PyTorch replies {reply} to {asked}")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its standard input ends a child that lives.
        self.requests = None;
        let _ = self.child.wait();
    }
}

/// A layer and its operands, as requests have them.
fn preparation(workload: &Workload, file: &Path) -> Json {
    json!({
        "file": file,
        "layer": workload.layer,
        "options": workload.options,
        "mode": workload.mode.name(),
        "target_gradient": workload.target_gradient,
    })
}

/// A layer that a child has prepared.
pub(super) struct Torch {
    server: Rc<RefCell<Server>>,
}

impl Torch {
    /// Hands over a workload's operands.
    ///
    /// # Errors
    /// Where PyTorch refuses them, or the child has died.
    pub(super) fn prepare(
        server: &Rc<RefCell<Server>>,
        workload: &Workload,
        operands: &StateDict,
    ) -> Result<Self, Failure> {
        let mut asked = server.borrow_mut();
        let path = asked.path("operands.safetensors");
        let written = std::fs::write(&path, operands.to_safetensors()?);
        written.map_err(|error| Failure::fatal(format!("{}: {error}", path.display())))?;
        let mut request = preparation(workload, &path);
        request["do"] = json!("prepare");
        request["reserve"] = json!(asked.allocator.reserve);
        let reply = asked.ask(&request);
        let _ = std::fs::remove_file(&path);
        reply?;
        Ok(Self { server: Rc::clone(server) })
    }
}

impl Contender for Torch {
    fn set_threads(&mut self, threads: usize) -> Result<(), Failure> {
        self.server.borrow_mut().ask(&json!({"do": "threads", "threads": threads})).map(|_| ())
    }

    fn compute(&mut self) -> Result<StateDict, Failure> {
        let mut server = self.server.borrow_mut();
        let path = server.path("results.safetensors");
        server.ask(&json!({"do": "compute", "file": path}))?;
        let bytes = std::fs::read(&path).map_err(|error| Failure::fatal(format!("{}: {error}", path.display())))?;
        let _ = std::fs::remove_file(&path);
        Ok(StateDict::from_safetensors(&bytes)?)
    }

    fn time(&mut self, turn: Turn) -> Result<Duration, Failure> {
        let Turn { direction, calls, warm, .. } = turn;
        let request = json!({"do": "time", "direction": direction.name(), "calls": calls, "warm": warm});
        let reply = self.server.borrow_mut().ask(&request)?;
        let seconds = reply.get("seconds").and_then(Json::as_f64).filter(|seconds| *seconds >= 0.0);
        let seconds = seconds.ok_or_else(|| Failure::fatal(format!("PyTorch replies {reply} to {request}")))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(python: &str) -> Failure {
        let directory = Rc::new(TempDir::new().unwrap());
        match Server::start(Path::new(python), &ALLOCATORS[0], directory) {
            Ok(_) => panic!("{python} is no PyTorch"),
            Err(failure) => failure,
        }
    }

    #[test]
    fn a_python_that_is_not_there_is_named() {
        let message = start("/nowhere/python").to_string();
        assert!(message.starts_with("cannot start /nowhere/python") && message.contains("--python"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn what_a_dead_child_said_is_shown() {
        let directory = TempDir::new().unwrap();
        let python = directory.path().join("python");
        std::fs::write(&python, "#!/bin/sh\necho 'no such luck' >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let message = start(&python.display().to_string()).to_string();
        assert!(message.contains("exit status: 3") && message.contains("no such luck"), "{message}");
    }
}
