//! The race: `optimized` and another implementation of the same layers, in turn, in one run.
//!
//! `cargo run --release -p benches --bin race -- --peer torch` times every workload of `race/workloads.json` in three
//! directions on each number of threads. What is timed:
//!
//! | | ours | PyTorch |
//! |---|---|---|
//! | inference | `forward` | the module's call under `no_grad` |
//! | forward | `forward_pass` | the module's call, which builds a graph |
//! | backward | `backward`, of a pass made before | `autograd.grad` of a graph made before, for input and parameters |
//!
//! Outputs are allocated and dropped within the time, as either is used. Beside them stands ours as a program calls it
//! that minds its memory, `forward_into` and `backward_into` with a `Workspace`; it is part of no ratio. PyTorch runs in
//! two child processes that stay alive (`torch.rs`): as it is installed, and with an allocator that gives no memory back;
//! the faster counts. Before anything is timed, all outputs and gradients are compared (`agreement.rs`). How long it goes
//! on, and to what the ratio is then known: `timing.rs`. What the machine could do at most: `limits.rs` and `work.rs`.
//!
//! A program lies in memory as it was written there. In one that has just been linked, some small kernels took 1.5 times as long as in a
//! copy of it, in every process, on a Zen 4 under Linux; what decides is where its pages lie, as reading them anew ends it. Before a race
//! that counts: `dd if=/dev/null of=target/release/race oflag=nocache conv=notrunc,fdatasync count=0`.
//!
//! Another peer is candle (`candle.rs`): inference without a graph, forward with one, and backward from the sum of the
//! output times its gradient, since candle goes back from a number only. What it has not is left out, and counted.
//!
//! With `--memory`, the peaks of both sides' memory are measured, too: `memory.rs`.
//!
//! All workloads are raced in f32, and those that say `"f64": true` in f64 as well, under a name that ends in `_f64`;
//! with `--dtype`, all in that type, under their own names.
//!
//! The gradient of a loss's target is computed only where a workload says `"target_gradient": true`: training has no use for it, and
//! PyTorch does not compute it for a target that is data. Ours is then `backward_input`.

mod agreement;
mod arguments;
mod candle;
mod child;
mod contender;
mod layers;
mod limits;
mod memory;
mod report;
mod rival;
mod timing;
mod torch;
mod work;
mod workload;

use arguments::{Arguments, Entry, Peer, Type, name};
use clap::Parser;
use contender::Direction;
use indicatif::{ProgressBar, ProgressStyle};
use layers::Number;
use limits::Limits;
use memory::{Crate, Peaks};
use optimized::Isa;
use report::{Cell, Report, on_threads};
use rival::Rival;
use serde_json::{Value as Json, json};
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;
use tempfile::TempDir;
use vocabulary::StateDict;
use work::Work;

/// Why something could not be raced.
#[derive(Debug)]
struct Failure {
    reason: String,
    kind: Kind,
}

/// What a failure means to the race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The rest can be raced.
    Alone,
    /// Nothing else can be raced, either.
    Fatal,
    /// The peer has no such layer, or direction, which is nobody's fault.
    NotThere,
}

impl Failure {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: Kind::Alone }
    }

    fn fatal(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: Kind::Fatal }
    }

    fn not_there(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: Kind::NotThere }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<vocabulary::Error> for Failure {
    fn from(error: vocabulary::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Carries out a command line. Exit status: 0 every cell was raced, 1 one was not, 2 bad usage, or nobody to race against.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == memory::ARGUMENT) {
        return measured(&arguments[2..]);
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where it cannot be printed, nobody is listening; the exit status still says it.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match race(&arguments) {
        Ok(report) if report.failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "race: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Tells the peak of the memory of a call to the race that started this process.
fn measured(arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    match memory::measured(&arguments) {
        Ok(peak) => {
            let _ = writeln!(std::io::stdout(), "{peak}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Races every workload that is asked for, prints and writes what it comes to.
fn race(arguments: &Arguments) -> Result<Report, Failure> {
    let entries = arguments.chosen()?;
    if arguments.memory {
        memory::check()?;
    }
    let rival = Rival::new(arguments)?;
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {elapsed} {wide_msg}");
    let progress = ProgressBar::new((entries.len() * arguments.threads.len() * Direction::ALL.len()) as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let limits = arguments.threads.iter().map(|&threads| Limits::measure(threads.into(), &progress)).collect();
    let mut report = Report {
        arguments: arguments.told(),
        machine: machine(),
        versions: versions(&rival),
        limits,
        cells: Vec::new(),
        failures: Vec::new(),
        not_there: Vec::new(),
    };
    for entry in &entries {
        let raced = match entry.dtype {
            Type::F32 => race_entry::<f32>(arguments, entry, &rival, &mut report, &progress),
            Type::F64 => race_entry::<f64>(arguments, entry, &rival, &mut report, &progress),
        };
        match raced {
            Ok(()) => {}
            Err(Failure { reason, kind: Kind::NotThere }) => report.not_there.push(format!("{}: {reason}", entry.name)),
            Err(failure) => {
                report.failures.push(format!("{}: {failure}\n    {}", entry.name, arguments.alone(entry)));
                if failure.kind == Kind::Fatal {
                    break;
                }
            }
        }
    }
    progress.finish_and_clear();
    let _ = writeln!(std::io::stdout(), "{}", report.terminal());
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    arguments.json.iter().try_for_each(|path| write(path, format!("{:#}\n", report.json())))?;
    arguments.results.iter().try_for_each(|path| write(path, report.page()))?;
    Ok(report)
}

/// Races a workload in every direction on every number of threads.
fn race_entry<T: Number>(
    arguments: &Arguments,
    entry: &Entry,
    rival: &Rival,
    report: &mut Report,
    progress: &ProgressBar,
) -> Result<(), Failure> {
    let workload = &entry.workload;
    progress.set_message(format!("{}: compared", entry.name));
    let mut operands = layers::operands::<T>(workload)?;
    let mut ours = layers::optimized::<T>(workload, &mut operands)?;
    let mut peers = rival.prepare::<T>(workload, &mut operands)?;
    let results = ours.compute()?;
    // PyTorch adds in blocks, the others one after the other.
    let classes = if arguments.peer == Peer::Torch { 0 } else { workload.classes() };
    for ((_, name), peer) in rival.names().iter().zip(&mut peers) {
        let theirs = peer.compute()?;
        agreement::compare(&results, &theirs, classes).map_err(|reason| Failure::new(format!("{name}: {reason}")))?;
    }
    let peaks = if arguments.memory { Some(Measured::new(entry, &operands)?) } else { None };
    let limit = timing::Limit {
        precision: arguments.precision,
        time: Duration::try_from_secs_f64(arguments.seconds).unwrap_or(Duration::MAX / 8),
    };
    for (&threads, place) in arguments.threads.iter().zip(0..) {
        let threads = usize::from(threads);
        ours.set_threads(threads)?;
        peers.iter_mut().try_for_each(|peer| peer.set_threads(threads))?;
        for direction in Direction::ALL {
            progress.set_message(format!("{} {direction}, {threads} threads", entry.name));
            progress.inc(1);
            let outcome = match timing::race(ours.as_mut(), &mut peers, (direction, threads), limit) {
                Err(Failure { reason, kind: Kind::NotThere }) => {
                    let cell = format!("{}, {direction}, {}", entry.name, on_threads(threads));
                    report.not_there.push(format!("{cell}: {reason}"));
                    continue;
                }
                outcome => outcome?,
            };
            let work = Work::of(workload, &operands, &results, direction);
            progress.set_message(format!("{} {direction}, {threads} threads: memory", entry.name));
            let peaks = peaks.as_ref().map(|peaks| peaks.of(direction, threads, rival)).transpose()?;
            let least = work.least_seconds(&report.limits[place], entry.dtype == Type::F64);
            report.cells.push(Cell {
                name: entry.name.clone(),
                layer: workload.layer.clone(),
                dtype: name(entry.dtype),
                direction,
                threads,
                peer: rival.names()[outcome.peer].0,
                share_of_limit: least / outcome.ours_seconds,
                work,
                peaks,
                outcome,
            });
        }
    }
    Ok(())
}

/// An entry whose memory is measured, with its operands in a file.
struct Measured<'a> {
    entry: &'a Entry,
    directory: TempDir,
}

impl<'a> Measured<'a> {
    const FILE: &'static str = "operands.safetensors";

    fn new(entry: &'a Entry, operands: &StateDict) -> Result<Self, Failure> {
        let directory = TempDir::new().map_err(|error| Failure::new(format!("no temporary directory: {error}")))?;
        let path = directory.path().join(Self::FILE);
        let written = std::fs::write(&path, operands.to_safetensors()?);
        written.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self { entry, directory })
    }

    fn of(&self, direction: Direction, threads: usize, rival: &Rival) -> Result<Peaks, Failure> {
        let request = memory::Request {
            file: self.directory.path().join(Self::FILE),
            workload: self.entry.workload.clone(),
            dtype: self.entry.dtype,
            direction,
            threads,
        };
        Ok(Peaks { ours: memory::of_child(Crate::Optimized, &request)?, peer: rival.peak(&request)? })
    }
}

/// What the numbers were measured on.
fn machine() -> Json {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = information.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "unknown".to_owned());
    let family = match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!(" (family {family}, model {model})"),
        _ => String::new(),
    };
    json!({
        "cpu": format!("{model}{family}"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "architecture": std::env::consts::ARCH,
        "os": std::env::consts::OS,
        "instruction_set": Isa::best().to_string(),
    })
}

/// What was raced.
fn versions(rival: &Rival) -> Json {
    let commit = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output().ok();
    let commit = commit.filter(|output| output.status.success());
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut versions = json!({"layerproof": env!("CARGO_PKG_VERSION"), "commit": commit});
    if let (Json::Object(of_rival), Json::Object(versions)) = (rival.versions(), &mut versions) {
        versions.extend(of_rival);
    }
    versions
}
