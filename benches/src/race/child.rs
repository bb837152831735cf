//! Another implementation in a child process: how it is asked, and told of when it dies. `race/torch_child.py`, which says what
//! requests and replies are, and `candle/src/main.rs` are the other side.

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

/// How many lines of a dead child's standard error are shown.
const SHOWN: usize = 15;

/// What a child is, and how it is started.
pub(super) struct Program {
    pub command: Command,
    /// What failures call the implementation, and this child of it.
    pub peer: &'static str,
    pub name: String,
    /// What may help where it cannot be started.
    pub hint: &'static str,
    /// Bytes that it writes to once before each workload, and are then free to be allocated.
    pub reserve: usize,
}

/// A child process that serves.
pub(super) struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<String>>,
    directory: Rc<TempDir>,
    peer: &'static str,
    name: String,
    reserve: usize,
    /// What it said of itself: versions.
    pub greeting: Json,
}

impl Server {
    /// Starts a child that exchanges files through the directory.
    ///
    /// # Errors
    /// Where it cannot be started, or says that it cannot serve.
    pub(super) fn start(program: Program, directory: Rc<TempDir>) -> Result<Self, Failure> {
        let Program { mut command, peer, name, hint, reserve } = program;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| Failure::fatal(format!("cannot start {name}: {error}; {hint}")))?;
        let (Some(requests), Some(replies), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::fatal(format!("{name} has no standard streams")));
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
            peer,
            name,
            reserve,
            greeting: Json::Null,
        };
        server.greeting = server.reply().map_err(|failure| Failure::fatal(format!("{failure}\n{hint}")))?;
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
            .map_err(|error| Failure::fatal(format!("{} replies {:?}: {error}", self.name, line.trim())))?;
        let told = |key: &str| reply.get(key).and_then(Json::as_str).map(|reason| format!("{}: {reason}", self.peer));
        match (told("error"), told("not_there")) {
            (Some(error), _) => Err(Failure::new(error)),
            (None, Some(reason)) => Err(Failure::not_there(reason)),
            (None, None) => Ok(reply),
        }
    }

    /// A number of a reply.
    fn number(&mut self, request: &Json, key: &str) -> Result<f64, Failure> {
        let reply = self.ask(request)?;
        let number = reply.get(key).and_then(Json::as_f64).filter(|number| *number >= 0.0);
        number.ok_or_else(|| Failure::fatal(format!("{} replies {reply} to {request}", self.name)))
    }

    /// The peak of the memory of a call, in MB, in this process, which is good for one, or in one that it forks.
    pub(super) fn peak(&mut self, request: &Request) -> Result<f64, Failure> {
        let mut asked = preparation(&request.workload, &request.file);
        asked["do"] = json!("peak");
        asked["direction"] = json!(request.direction.name());
        asked["threads"] = json!(request.threads);
        self.number(&asked, "mb")
    }

    /// How the child ended, and what it said last.
    fn death(&mut self) -> Failure {
        self.requests = None;
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = self.complaints.take().and_then(|complaints| complaints.join().ok()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n    ");
        Failure::fatal(format!("{} has died, {status}:\n    {last}", self.name))
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
pub(super) struct Remote {
    server: Rc<RefCell<Server>>,
}

impl Remote {
    /// Hands over a workload's operands.
    ///
    /// # Errors
    /// Where the child refuses them, has no such layer, or has died.
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
        request["reserve"] = json!(asked.reserve);
        let reply = asked.ask(&request);
        let _ = std::fs::remove_file(&path);
        reply?;
        Ok(Self { server: Rc::clone(server) })
    }
}

impl Contender for Remote {
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
        Ok(Duration::from_secs_f64(self.server.borrow_mut().number(&request, "seconds")?))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::Kind;
    use super::*;

    /// A child that says the lines, one after the other, whatever it is asked.
    fn saying(lines: &str) -> Result<Server, Failure> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("printf '%s\\n' {lines}; cat > /dev/null")]);
        let program = Program { command, peer: "Peer", name: "the child".into(), hint: "none", reserve: 0 };
        Server::start(program, Rc::new(TempDir::new().unwrap()))
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let mut server = saying(r#"'{"peer": "0.1"}' '{"not_there": "no RNN"}' '{"error": "no shape"}' '{}'"#).unwrap();
        assert_eq!(server.greeting["peer"], "0.1");
        let failure = server.ask(&json!({})).unwrap_err();
        assert!(failure.kind == Kind::NotThere && failure.to_string() == "Peer: no RNN");
        let failure = server.ask(&json!({})).unwrap_err();
        assert!(failure.kind == Kind::Alone && failure.to_string() == "Peer: no shape");
        assert!(server.ask(&json!({})).is_ok());
    }

    #[test]
    fn what_is_no_reply_is_fatal() {
        assert!(saying("nonsense").err().is_some_and(|failure| failure.kind == Kind::Fatal));
        let mut server = saying(r#"'{}' '{"seconds": -1}'"#).unwrap();
        let failure = server.number(&json!({"do": "time"}), "seconds").unwrap_err();
        assert!(failure.kind == Kind::Fatal && failure.to_string().starts_with("the child replies"), "{failure}");
    }
}
