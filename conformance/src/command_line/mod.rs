//! The command line of the binary `conformance`. Tools rely on its words, its exit status and its files.

mod cases;
mod check;
mod compare;
mod gradients;
mod list;
mod random;
mod report;
mod run;

use crate::case_file::{CaseFile, Invalid, read_file};
use crate::fixtures;
use crate::implementation::{Implementation, Selection, Variant};
use crate::implementations::ours;
use crate::layers;
use crate::replay::Limits;
use clap::{Args, Parser, Subcommand};
use optimized::Isa;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Holds the layers of Layerproof, or anyone's, against recorded cases by derived bounds.
#[derive(Debug, Parser)]
#[command(name = "conformance", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    check: CheckArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay case files through the implementations and print a table (the default command)
    Check(CheckArguments),
    /// Compute the cases of a file with one implementation, compare nothing, and write a file of results
    Run(RunArguments),
    /// Judge a file of results, which anything may have written, against the cases it is of
    Compare(CompareArguments),
    /// Write generated cases with the reference's values in double precision
    Cases(CasesArguments),
    /// Judge random cases of all layers: right code is never told to be wrong
    Random(RandomArguments),
    /// Hold gradients against dual numbers, differences and PyTorch, coordinate by coordinate
    Gradients(GradientsArguments),
    /// List layers, options, implementations, algorithms and instruction sets
    List(ListArguments),
}

/// What several commands share.
#[derive(Debug, Clone, Args)]
struct Shared {
    /// Only this implementation, reference or optimized; for `run`, the one that computes; for `compare`, the one by whose
    /// arithmetic is judged (without it, that of whose results they are)
    #[arg(long, value_name = "NAME")]
    implementation: Option<String>,
    /// Only the case of this name
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Only this algorithm of the optimized implementation
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Only this instruction set: scalar, v3, v4 or neon
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
    /// Only this number of threads
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Every algorithm at every instruction set and at 1, 2 and 3 threads
    #[arg(long)]
    all: bool,
    /// Write what is printed as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The bytes that one case may take; one that would take more is an error
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().memory)]
    memory_limit: u64,
}

#[derive(Debug, Clone, Args)]
struct CheckArguments {
    /// Case files; without any, the recorded cases that this program carries as fixtures/linear.safetensors and so on
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Args)]
struct RunArguments {
    /// A case file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the results go
    #[arg(long, value_name = "RESULT")]
    out: PathBuf,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Args)]
struct CompareArguments {
    /// A case file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file of results
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Args)]
struct CasesArguments {
    /// A layer, by its torch.nn class name
    #[arg(long, value_name = "NAME")]
    layer: String,
    /// How many cases
    #[arg(long, value_name = "N")]
    count: u64,
    /// The seed they are drawn from: equal seeds, equal cases
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Where they go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Args)]
struct RandomArguments {
    /// Only this layer, by its torch.nn class name; may be repeated
    #[arg(long, value_name = "NAME")]
    layer: Vec<String>,
    /// How many cases in all
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
    /// The seed they are drawn from: equal seeds, equal cases
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Args)]
struct GradientsArguments {
    /// Only this layer, by its torch.nn class name; may be repeated
    #[arg(long, value_name = "NAME")]
    layer: Vec<String>,
    /// How many random cases of each layer, beside the recorded ones
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    count: u32,
    /// The seed they are drawn from: equal seeds, equal cases
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Clone, Args)]
struct ListArguments {
    #[command(flatten)]
    shared: Shared,
}

/// How a command ended, where it could be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Everything passed, or was written.
    Good,
    /// A case failed or was unsupported.
    Bad,
}

/// Carries out a command line and tells the process's exit status: 0 all passed or written, 1 a case failed or was
/// unsupported, 2 bad usage or an invalid file, which is told in one line.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = match CommandLine::try_parse_from(arguments) {
        Ok(command_line) => command_line,
        Err(error) if !error.use_stderr() => {
            // Help and version; where they cannot be printed, nobody is listening.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let message = error.to_string();
            let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("For more information"));
            let line =
                lines.filter(|line| !line.is_empty() && !line.starts_with("Usage:")).collect::<Vec<_>>().join(" ");
            return refuse(line.strip_prefix("error: ").unwrap_or(&line));
        }
    };
    let ending = match command_line.command.unwrap_or(Command::Check(command_line.check)) {
        Command::Check(arguments) => check::check(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Cases(arguments) => cases::cases(&arguments),
        Command::Random(arguments) => random::random(&arguments),
        Command::Gradients(arguments) => gradients::gradients(&arguments),
        Command::List(arguments) => list::list(&arguments),
    };
    match ending {
        Ok(Ending::Good) => ExitCode::SUCCESS,
        Ok(Ending::Bad) => ExitCode::FAILURE,
        Err(invalid) => refuse(&invalid.to_string()),
    }
}

fn refuse(line: &str) -> ExitCode {
    // Where nobody listens, the exit status still says it.
    let _ = writeln!(std::io::stderr(), "conformance: {}", one_line(line));
    ExitCode::from(2)
}

/// Prints a text; a reader that has gone away, as `head` does, is no failure.
fn print(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A text from a file or a message, as it may stand within a line: line breaks and other control characters escaped.
fn one_line(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// A path as it may stand in a shell's command line.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), |quoted| quoted.into_owned())
}

fn invalid(reason: impl Into<String>) -> Invalid {
    Invalid(reason.into())
}

impl Shared {
    fn limits(&self) -> Limits {
        Limits { memory: self.memory_limit }
    }

    /// The variants that are asked for, every name checked.
    fn selection(&self) -> Result<Selection, Invalid> {
        if let Some(name) = &self.algorithm {
            let mut known = layers::NAMES.iter().flat_map(|layer| optimized::algorithms(layer));
            if !known.any(|known| known == name) {
                return Err(invalid(format!("there is no algorithm {name:?}; `conformance list` names them")));
            }
        }
        if let Some(name) = &self.isa {
            let isa: Isa = name.parse().map_err(|error: vocabulary::Error| invalid(error.to_string()))?;
            if !Isa::available().contains(&isa) {
                return Err(invalid(format!("this machine does not have the instruction set {name}")));
            }
        }
        if self.threads == Some(0) {
            return Err(invalid("--threads is 0, expected at least 1"));
        }
        implementations(self.implementation.as_deref())?;
        let fixed = Variant { algorithm: self.algorithm.clone(), isa: self.isa.clone(), threads: self.threads };
        Ok(Selection { fixed, all: self.all })
    }

    /// The arguments that reproduce a run of one variant of a case under these options.
    fn reproducing(&self, case: &str, implementation: Option<&str>, variant: &Variant) -> String {
        let implementation = implementation.map(|name| format!(" --implementation {name}")).unwrap_or_default();
        let limit = Some(self.memory_limit).filter(|limit| *limit != Limits::default().memory);
        let limit = limit.map(|limit| format!(" --memory-limit {limit}")).unwrap_or_default();
        format!("--case {case}{implementation}{}{limit}", variant.arguments())
    }

    /// Leaves only the case that is asked for, if one is.
    fn filter(&self, files: &mut [Source]) -> Result<(), Invalid> {
        let Some(name) = &self.case else { return Ok(()) };
        if !files.iter().any(|source| source.file.case(name).is_some()) {
            return Err(invalid(format!("there is no case {name:?}")));
        }
        files.iter_mut().for_each(|source| source.file.cases.retain(|case| case.name == *name));
        Ok(())
    }
}

/// The layers of these names; all of them where none is named.
fn layers(names: &[String]) -> Result<Vec<&'static str>, Invalid> {
    let known = layers::NAMES;
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(invalid(format!("there is no layer {unknown:?}, expected one of {known:?}")));
    }
    Ok(known.iter().filter(|known| names.is_empty() || names.iter().any(|name| name == **known)).copied().collect())
}

/// The implementations that are asked for.
fn implementations(name: Option<&str>) -> Result<Vec<&'static dyn Implementation>, Invalid> {
    let chosen: Vec<_> = ours().into_iter().filter(|known| name.is_none_or(|name| known.name() == name)).collect();
    match name {
        Some(name) if chosen.is_empty() => {
            Err(invalid(format!("there is no implementation {name:?}, expected reference or optimized")))
        }
        _ => Ok(chosen),
    }
}

/// A case file and where it came from.
struct Source {
    path: PathBuf,
    file: CaseFile,
}

impl Source {
    /// The recorded files that the program carries, named as they are in the repository.
    fn carried() -> Result<Vec<Self>, Invalid> {
        let source = |(_, name, bytes): &(&str, &str, &[u8])| {
            let file = CaseFile::from_bytes(bytes).map_err(|error| invalid(format!("{name}: {error}")))?;
            Ok(Self { path: Path::new("fixtures").join(name), file })
        };
        fixtures::FILES.iter().map(source).collect()
    }

    /// Reads a case file; where there is none, a recorded one of that path, so that a line which names one works from any
    /// directory.
    fn read(path: &Path, limits: &Limits) -> Result<Self, Invalid> {
        if !path.exists()
            && let Some(carried) = Self::carried()?.into_iter().find(|source| source.path == path)
        {
            return Ok(carried);
        }
        let file = CaseFile::from_bytes_within(&read_file(path, limits.memory)?, limits.memory);
        let file = file.map_err(|error| invalid(format!("{}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), file })
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Invalid> {
    std::fs::write(path, bytes).map_err(|error| invalid(format!("{}: {error}", path.display())))
}
