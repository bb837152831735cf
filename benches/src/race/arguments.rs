//! The race's command line: what is raced, whom against, and how long.

use super::Failure;
use super::workload::{self, Workload};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Races the layers of `optimized` against another implementation of them, in turn, in one run.
#[derive(Debug, Parser)]
#[command(name = "race", version)]
pub(super) struct Arguments {
    /// Whom to race against
    #[arg(long, value_enum)]
    pub peer: Peer,
    /// The Python that has torch and safetensors
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
    /// A file of workloads; without it, those of benches/race/workloads.json
    #[arg(long, value_name = "FILE")]
    pub workloads: Option<PathBuf>,
    /// The numbers of threads
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2], value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Vec<u16>,
    /// Only this layer, by its torch.nn class name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub layer: Vec<String>,
    /// Only the workload of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// The type of all numbers; without it, all workloads in f32, and those that say "f64": true in f64, too
    #[arg(long, value_enum)]
    pub dtype: Option<Type>,
    /// What a cell may take at most, in seconds, unless it takes longer to know anything
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0)]
    pub seconds: f64,
    /// How well the median is to be known: half of its interval, as a share of it
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub precision: f64,
    /// Measure the peak of memory, too, of each call in a process of its own
    #[arg(long)]
    pub memory: bool,
    /// Write the results as JSON
    #[arg(long, value_name = "OUT")]
    pub json: Option<PathBuf>,
    /// Write the results as a page, as benches/RESULTS.md is
    #[arg(long, value_name = "OUT")]
    pub results: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// PyTorch, in child processes
    Torch,
    /// candle, in child processes, which are built first
    Candle,
    /// Our own crate `reference`, in this process
    Reference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    F32,
    F64,
}

impl Arguments {
    /// Those that numbers depend on, as a command line has them.
    pub(super) fn told(&self) -> String {
        let threads = self.threads.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let mut told = format!("--peer {} --threads {threads}", name(self.peer));
        let mut tell = |option: &str, value: &dyn fmt::Display| told.push_str(&format!(" --{option} {value}"));
        self.dtype.iter().for_each(|&dtype| tell("dtype", &name(dtype)));
        tell("seconds", &self.seconds);
        tell("precision", &self.precision);
        self.workloads.iter().for_each(|path| tell("workloads", &path.display()));
        self.layer.iter().for_each(|layer| tell("layer", layer));
        self.workload.iter().for_each(|workload| tell("workload", workload));
        if self.memory {
            told.push_str(" --memory");
        }
        told
    }

    /// What is asked for: workloads, each in a type.
    pub(super) fn chosen(&self) -> Result<Vec<Entry>, Failure> {
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
        let entry = |dtype| {
            move |workload: Workload| {
                // Where both types are raced, the name says which.
                let suffix = if self.dtype.is_none() && dtype == Type::F64 { "_f64" } else { "" };
                Entry { name: format!("{}{suffix}", workload.name), workload, dtype }
            }
        };
        if let Some(dtype) = self.dtype {
            return Ok(workloads.into_iter().map(entry(dtype)).collect());
        }
        let double: Vec<Workload> = workloads.iter().filter(|workload| workload.f64).cloned().collect();
        let single = workloads.into_iter().map(entry(Type::F32));
        Ok(single.chain(double.into_iter().map(entry(Type::F64))).collect())
    }

    /// The command that races an entry alone.
    pub(super) fn alone(&self, entry: &Entry) -> String {
        let dtype = if self.dtype.is_none() { format!(" --dtype {}", name(entry.dtype)) } else { String::new() };
        let told = self.told();
        format!("cargo run --release -p benches --bin race -- {told}{dtype} --workload {}", entry.workload.name)
    }
}

/// A workload in a type.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As reports name it.
    pub name: String,
    pub workload: Workload,
    pub dtype: Type,
}

/// What a value is called on the command line, and in reports.
pub(super) fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn arguments_are_told_as_they_are_read() {
        let told = "--peer reference --threads 1,3 --dtype f64 --seconds 2 --precision 0.1 --layer ReLU --memory";
        assert_eq!(parsed(&format!("race {told}")).told(), told);
        assert_eq!(parsed("race --peer torch").threads, [1, 2]);
        assert!(Arguments::try_parse_from(["race", "--peer", "torch", "--threads", "0"]).is_err());
    }

    #[test]
    fn only_what_is_asked_for_is_raced() {
        let chosen = parsed("race --peer torch --layer GRU --layer RNN").chosen().unwrap();
        let is_recurrent = |entry: &Entry| ["GRU", "RNN"].contains(&entry.workload.layer.as_str());
        assert!(chosen.len() >= 3 && chosen.iter().all(is_recurrent));
        let failure = parsed("race --peer torch --layer LSTM").chosen().unwrap_err();
        assert_eq!(failure.to_string(), "no workload has the layer \"LSTM\"");
    }

    #[test]
    fn without_a_type_both_are_raced_and_the_names_say_so() {
        let names = |line: &str| -> Vec<String> {
            parsed(line).chosen().unwrap().into_iter().map(|entry| entry.name).collect()
        };
        let [single, double, both] = ["--dtype f32 ", "--dtype f64 ", ""]
            .map(|dtype| names(&format!("race --peer torch {dtype}--layer Linear")));
        assert_eq!(single, double);
        assert_eq!(both[..single.len()], single);
        let rest = &both[single.len()..];
        assert!(rest.contains(&"linear_64x1024_1024_f64".to_owned()) && rest.len() < single.len(), "{rest:?}");
        let arguments = parsed("race --peer torch --workload relu_1m");
        let [_, double] = &arguments.chosen().unwrap()[..] else { panic!("a workload of both types") };
        assert!(arguments.alone(double).ends_with(" --workload relu_1m --dtype f64 --workload relu_1m"));
    }
}
