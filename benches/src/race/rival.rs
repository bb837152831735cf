//! Whom ours is raced against, and in which forms.

use super::Failure;
use super::arguments::{Arguments, Peer};
use super::contender::Contender;
use super::layers::{self, Number};
use super::memory::{self, Crate, Request};
use super::torch::{ALLOCATORS, Server, Torch};
use super::workload::Workload;
use std::cell::RefCell;
use std::rc::Rc;
use tempfile::TempDir;
use vocabulary::StateDict;

/// Whom ours is raced against.
pub(super) enum Rival {
    /// One child for each allocator; and one, where memory is measured, that computes nothing itself.
    Torch(Vec<Rc<RefCell<Server>>>, Option<RefCell<Server>>),
    Reference,
}

impl Rival {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
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
                let servers = ALLOCATORS.iter().map(start).collect::<Result<_, _>>()?;
                let memory = if arguments.memory {
                    Some(RefCell::new(Server::start(&arguments.python, &ALLOCATORS[0], Rc::clone(&directory))?))
                } else {
                    None
                };
                Ok(Self::Torch(servers, memory))
            }
        }
    }

    /// What its forms are called, in a column and in a sentence.
    pub(super) fn names(&self) -> &'static [(&'static str, &'static str)] {
        const TORCH: [(&str, &str); 2] =
            [(ALLOCATORS[0].name, "PyTorch as it is installed"), (ALLOCATORS[1].name, "PyTorch, reusing memory")];
        match self {
            Self::Torch(..) => &TORCH,
            Self::Reference => &[("reference", "the crate reference")],
        }
    }

    /// Its forms, ready to compute a workload.
    pub(super) fn prepare<T: Number>(
        &self,
        workload: &Workload,
        operands: &mut StateDict,
    ) -> Result<Vec<Box<dyn Contender>>, Failure> {
        match self {
            Self::Reference => Ok(vec![layers::reference::<T>(workload, operands)?]),
            Self::Torch(servers, _) => {
                let prepare = |server| Ok(Box::new(Torch::prepare(server, workload, operands)?) as Box<dyn Contender>);
                servers.iter().map(prepare).collect()
            }
        }
    }

    /// The peak of the memory of a call, in MB.
    pub(super) fn peak(&self, request: &Request) -> Result<f64, Failure> {
        match self {
            Self::Reference => memory::of_child(Crate::Reference, request),
            Self::Torch(_, Some(server)) => server.borrow_mut().peak(request),
            Self::Torch(_, None) => Err(Failure::new("memory was not to be measured")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn candle_is_still_to_come() {
        let arguments = Arguments::try_parse_from(["race", "--peer", "candle"]).unwrap();
        let Err(failure) = Rival::new(&arguments) else { panic!("candle is there") };
        assert!(failure.to_string().contains("not there yet"));
    }
}
