//! The race: `optimized` and another implementation of the same layers, in turn, in one run.
//!
//! `cargo run --release -p benches --bin race -- --peer torch` times every workload of `race/workloads.json` in three directions
//! on each number of threads. What is timed:
//!
//! | | ours | PyTorch |
//! |---|---|---|
//! | inference | `forward` | the module's call under `no_grad` |
//! | forward | `forward_pass` | the module's call, which builds a graph |
//! | backward | `backward`, of a pass made before | `autograd.grad` of a graph made before, for input and parameters |
//!
//! Outputs are allocated and dropped within the time, as either is used. Beside them stands ours as a program would call it that
//! minds its memory, `forward_into` and `backward_into` with a `Workspace`; it is part of no ratio. PyTorch runs in two child processes that stay alive
//! (`torch.rs`): as it is installed, and with an allocator that gives no memory back; the faster counts. Before anything is timed,
//! all outputs and gradients are compared (`agreement.rs`). How long it goes on, and to what the ratio is then known:
//! `timing.rs`. What the machine could do at most: `limits.rs` and `work.rs`.
//!
//! The gradient of a loss's target is ours in any case, and PyTorch's only where a workload says `"target_gradient": true`:
//! training has no use for it.

mod agreement;
mod contender;
mod layers;
mod limits;
mod report;
mod timing;
mod torch;
mod work;
mod workload;

use clap::{Parser, ValueEnum};
use contender::{Contender, Direction};
use indicatif::{ProgressBar, ProgressStyle};
use layers::Number;
use limits::Limits;
use optimized::Isa;
use report::{Cell, Report};
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use torch::{ALLOCATORS, Server, Torch};
use vocabulary::StateDict;
use work::Work;
use workload::Workload;

/// Why something could not be raced.
#[derive(Debug)]
struct Failure {
    reason: String,
    /// Whether nothing else can be raced, either.
    fatal: bool,
}

impl Failure {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), fatal: false }
    }

    fn fatal(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), fatal: true }
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

/// Races the layers of `optimized` against another implementation of them, in turn, in one run.
#[derive(Debug, Parser)]
#[command(name = "race", version)]
struct Arguments {
    /// Whom to race against
    #[arg(long, value_enum)]
    peer: Peer,
    /// The Python that has torch and safetensors
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// A file of workloads; without it, those of benches/race/workloads.json
    #[arg(long, value_name = "FILE")]
    workloads: Option<PathBuf>,
    /// The numbers of threads
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2], value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Only this layer, by its torch.nn class name; may be repeated
    #[arg(long, value_name = "NAME")]
    layer: Vec<String>,
    /// Only the workload of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    workload: Vec<String>,
    /// The type of all numbers
    #[arg(long, value_enum, default_value_t = Type::F32)]
    dtype: Type,
    /// What a cell may take at most, in seconds, unless it takes longer to know anything
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0)]
    seconds: f64,
    /// How well the median is to be known: half of its interval, as a share of it
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    precision: f64,
    /// Write the results as JSON
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    /// Write the results as a page, as benches/RESULTS.md is
    #[arg(long, value_name = "OUT")]
    results: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// PyTorch, in child processes
    Torch,
    /// candle: not there yet
    Candle,
    /// Our own crate `reference`, in this process
    Reference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    F32,
    F64,
}

impl Arguments {
    /// Those that numbers depend on, as a command line has them.
    fn told(&self) -> String {
        let name =
            |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().to_owned());
        let threads = self.threads.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let mut told = format!("--peer {} --threads {threads}", name(self.peer.to_possible_value()));
        let mut tell = |option: &str, value: &dyn fmt::Display| told.push_str(&format!(" --{option} {value}"));
        tell("dtype", &name(self.dtype.to_possible_value()));
        tell("seconds", &self.seconds);
        tell("precision", &self.precision);
        self.workloads.iter().for_each(|path| tell("workloads", &path.display()));
        self.layer.iter().for_each(|layer| tell("layer", layer));
        self.workload.iter().for_each(|workload| tell("workload", workload));
        told
    }

    /// The workloads that are asked for.
    fn chosen(&self) -> Result<Vec<Workload>, Failure> {
        let mut workloads = workload::load(self.workloads.as_deref())?;
        let unknown =
            |what: &str, names: &[String], known: &dyn Fn(&str) -> bool| match names.iter().find(|n| !known(n)) {
                Some(name) => Err(Failure::new(format!("no workload has the {what} {name:?}"))),
                None => Ok(()),
            };
        unknown("layer", &self.layer, &|name| workloads.iter().any(|workload| workload.layer == name))?;
        unknown("name", &self.workload, &|name| workloads.iter().any(|workload| workload.name == name))?;
        let is_asked_for = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        workloads.retain(|one| is_asked_for(&self.layer, &one.layer) && is_asked_for(&self.workload, &one.name));
        Ok(workloads)
    }
}

/// Carries out a command line. Exit status: 0 every cell was raced, 1 one was not, 2 bad usage, or nobody to race against.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where it cannot be printed, nobody is listening; the exit status still says it.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let raced = match arguments.dtype {
        Type::F32 => race::<f32>(&arguments),
        Type::F64 => race::<f64>(&arguments),
    };
    match raced {
        Ok(report) if report.failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "race: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Races every workload that is asked for, prints and writes what it comes to.
fn race<T: Number>(arguments: &Arguments) -> Result<Report, Failure> {
    let workloads = arguments.chosen()?;
    let rival = Rival::new(arguments)?;
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {elapsed} {wide_msg}");
    let progress = ProgressBar::new((workloads.len() * arguments.threads.len() * Direction::ALL.len()) as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let limits = arguments.threads.iter().map(|&threads| Limits::measure(threads.into(), &progress)).collect();
    let mut report = Report {
        arguments: arguments.told(),
        machine: machine(),
        versions: versions(&rival),
        limits,
        cells: Vec::new(),
        failures: Vec::new(),
    };
    for workload in &workloads {
        if let Err(failure) = race_workload::<T>(arguments, workload, &rival, &mut report, &progress) {
            let rerun = format!(
                "cargo run --release -p benches --bin race -- {} --workload {}",
                report.arguments, workload.name
            );
            report.failures.push(format!("{}: {failure}\n    {rerun}", workload.name));
            if failure.fatal {
                break;
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
fn race_workload<T: Number>(
    arguments: &Arguments,
    workload: &Workload,
    rival: &Rival,
    report: &mut Report,
    progress: &ProgressBar,
) -> Result<(), Failure> {
    progress.set_message(format!("{}: compared", workload.name));
    let mut operands = layers::operands::<T>(workload)?;
    let mut ours = layers::optimized::<T>(workload, &mut operands)?;
    let mut peers = rival.prepare::<T>(workload, &mut operands)?;
    let results = ours.compute()?;
    for ((_, name), peer) in rival.names().iter().zip(&mut peers) {
        let theirs = peer.compute()?;
        agreement::compare(&results, &theirs).map_err(|reason| Failure::new(format!("{name}: {reason}")))?;
    }
    let limit = timing::Limit {
        precision: arguments.precision,
        time: Duration::try_from_secs_f64(arguments.seconds).unwrap_or(Duration::MAX / 8),
    };
    for (&threads, place) in arguments.threads.iter().zip(0..) {
        let threads = usize::from(threads);
        ours.set_threads(threads)?;
        peers.iter_mut().try_for_each(|peer| peer.set_threads(threads))?;
        for direction in Direction::ALL {
            progress.set_message(format!("{} {direction}, {threads} threads", workload.name));
            let outcome = timing::race(ours.as_mut(), &mut peers, (direction, threads), limit)?;
            let work = Work::of(workload, &operands, &results, direction);
            let least = work.least_seconds(&report.limits[place], arguments.dtype == Type::F64);
            report.cells.push(Cell {
                name: workload.name.clone(),
                layer: workload.layer.clone(),
                direction,
                threads,
                peer: rival.names()[outcome.peer].0,
                share_of_limit: least / outcome.ours_seconds,
                outcome,
            });
            progress.inc(1);
        }
    }
    Ok(())
}

/// Whom ours is raced against.
enum Rival {
    /// One child for each allocator.
    Torch(Vec<Rc<RefCell<Server>>>),
    Reference,
}

impl Rival {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        match arguments.peer {
            Peer::Reference => Ok(Self::Reference),
            Peer::Candle => Err(Failure::new("--peer candle is not there yet; torch and reference are")),
            Peer::Torch => {
                let directory =
                    TempDir::new().map_err(|error| Failure::new(format!("no temporary directory: {error}")))?;
                let directory = Rc::new(directory);
                let start = |allocator| {
                    let server = Server::start(&arguments.python, allocator, Rc::clone(&directory))?;
                    Ok(Rc::new(RefCell::new(server)))
                };
                ALLOCATORS.iter().map(start).collect::<Result<_, _>>().map(Self::Torch)
            }
        }
    }

    /// What its forms are called, in a column and in a sentence.
    fn names(&self) -> &'static [(&'static str, &'static str)] {
        const TORCH: [(&str, &str); 2] =
            [(ALLOCATORS[0].name, "PyTorch as it is installed"), (ALLOCATORS[1].name, "PyTorch, reusing memory")];
        match self {
            Self::Torch(_) => &TORCH,
            Self::Reference => &[("reference", "the crate reference")],
        }
    }

    /// Its forms, ready to compute a workload.
    fn prepare<T: Number>(
        &self,
        workload: &Workload,
        operands: &mut StateDict,
    ) -> Result<Vec<Box<dyn Contender>>, Failure> {
        match self {
            Self::Reference => Ok(vec![layers::reference::<T>(workload, operands)?]),
            Self::Torch(servers) => {
                let prepare = |server| Ok(Box::new(Torch::prepare(server, workload, operands)?) as Box<dyn Contender>);
                servers.iter().map(prepare).collect()
            }
        }
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
    if let (Rival::Torch(servers), Json::Object(versions)) = (rival, &mut versions)
        && let Some(server) = servers.first()
        && let Json::Object(greeting) = &server.borrow().greeting
    {
        versions.extend(greeting.clone());
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn arguments_are_told_as_they_are_read() {
        let told = "--peer reference --threads 1,3 --dtype f64 --seconds 2 --precision 0.1 --layer ReLU";
        assert_eq!(parsed(&format!("race {told}")).told(), told);
        assert_eq!(parsed("race --peer torch").threads, [1, 2]);
        assert!(Arguments::try_parse_from(["race", "--peer", "torch", "--threads", "0"]).is_err());
    }

    #[test]
    fn only_what_is_asked_for_is_raced() {
        let chosen = parsed("race --peer torch --layer GRU --layer RNN").chosen().unwrap();
        assert!(chosen.len() >= 3 && chosen.iter().all(|workload| ["GRU", "RNN"].contains(&workload.layer.as_str())));
        let failure = parsed("race --peer torch --layer LSTM").chosen().unwrap_err();
        assert_eq!(failure.to_string(), "no workload has the layer \"LSTM\"");
    }

    #[test]
    fn candle_is_still_to_come() {
        let Err(failure) = Rival::new(&parsed("race --peer candle")) else { panic!("candle is there") };
        assert!(failure.to_string().contains("not there yet"));
    }
}
