//! Whom ours is raced against, and in which forms.

use super::Failure;
use super::arguments::{Arguments, Peer};
use super::candle::{Candle, PerThreads};
use super::child::{Remote, Server};
use super::contender::Contender;
use super::layers::{self, Number};
use super::memory::{self, Crate, Request};
use super::torch::{self, ALLOCATORS};
use super::workload::Workload;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::rc::Rc;
use tempfile::TempDir;
use vocabulary::StateDict;

/// A child that several layers are prepared in, one after the other.
type Shared = Rc<RefCell<Server>>;

/// Whom ours is raced against.
pub(super) enum Rival {
    /// One child for each allocator; and one, where memory is measured, that computes nothing itself.
    Torch(Vec<Shared>, Option<Shared>),
    /// One child for each number of threads.
    Candle(Candle, Vec<(usize, Shared)>, Rc<TempDir>),
    Reference,
}

impl Rival {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let directory = || match TempDir::new() {
            Ok(directory) => Ok(Rc::new(directory)),
            Err(error) => Err(Failure::new(format!("no temporary directory: {error}"))),
        };
        let shared = |server| Rc::new(RefCell::new(server));
        match arguments.peer {
            Peer::Reference => Ok(Self::Reference),
            Peer::Torch => {
                let directory = directory()?;
                let start = |allocator| torch::start(&arguments.python, allocator, Rc::clone(&directory)).map(shared);
                let servers = ALLOCATORS.iter().map(start).collect::<Result<_, _>>()?;
                let memory = arguments.memory.then(|| start(&ALLOCATORS[0])).transpose()?;
                Ok(Self::Torch(servers, memory))
            }
            Peer::Candle => {
                let (candle, directory) = (Candle::build()?, directory()?);
                let start = |&threads: &u16| {
                    let threads = usize::from(threads);
                    candle.start(threads, Rc::clone(&directory)).map(|server| (threads, shared(server)))
                };
                let servers = arguments.threads.iter().map(start).collect::<Result<_, _>>()?;
                Ok(Self::Candle(candle, servers, directory))
            }
        }
    }

    /// What its forms are called, in a column and in a sentence.
    pub(super) fn names(&self) -> &'static [(&'static str, &'static str)] {
        const TORCH: [(&str, &str); 2] =
            [(ALLOCATORS[0].name, "PyTorch as it is installed"), (ALLOCATORS[1].name, "PyTorch, reusing memory")];
        match self {
            Self::Torch(..) => &TORCH,
            Self::Candle(..) => &[("candle", "candle")],
            Self::Reference => &[("reference", "the crate reference")],
        }
    }

    /// Its versions, as far as it has told them.
    pub(super) fn versions(&self) -> Json {
        let greeting = |server: Option<&Shared>| server.map_or(Json::Null, |server| server.borrow().greeting.clone());
        match self {
            Self::Torch(servers, _) => greeting(servers.first()),
            Self::Candle(_, servers, _) => greeting(servers.first().map(|(_, server)| server)),
            Self::Reference => Json::Null,
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
            Self::Candle(_, servers, _) => Ok(vec![Box::new(PerThreads::prepare(servers, workload, operands)?)]),
            Self::Torch(servers, _) => {
                let prepare = |server| Ok(Box::new(Remote::prepare(server, workload, operands)?) as Box<dyn Contender>);
                servers.iter().map(prepare).collect()
            }
        }
    }

    /// The peak of the memory of a call, in MB.
    pub(super) fn peak(&self, request: &Request) -> Result<f64, Failure> {
        match self {
            Self::Reference => memory::of_child(Crate::Reference, request),
            Self::Candle(candle, _, directory) => candle.start(request.threads, Rc::clone(directory))?.peak(request),
            Self::Torch(_, Some(server)) => server.borrow_mut().peak(request),
            Self::Torch(_, None) => Err(Failure::new("memory was not to be measured")),
        }
    }
}
