//! What takes part in a race: something that computes a layer once, to be compared, and times its calls.

use super::Failure;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};
use vocabulary::{Result, StateDict};

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Ours `forward`; PyTorch's under `no_grad`.
    Inference,
    /// Ours `forward_pass`; PyTorch's with the graph that backward needs.
    Forward,
    /// The gradients of the input and every parameter, from a forward that is not timed.
    Backward,
}

impl Direction {
    /// In the order of a report.
    pub(super) const ALL: [Self; 3] = [Self::Inference, Self::Forward, Self::Backward];

    /// As reports name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Some calls, one right after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub direction: Direction,
    pub calls: usize,
    /// Whether one more call goes ahead, which is not timed: it brings back what others have driven out of the caches.
    pub warm: bool,
}

/// A layer with its operands.
pub(super) trait Contender {
    /// Sets how many threads may work.
    fn set_threads(&mut self, threads: usize) -> std::result::Result<(), Failure>;

    /// Outputs and gradients: `inference.output` and so on, `out.…`, `grad_in.…`, `grad_state.…`.
    fn compute(&mut self) -> std::result::Result<StateDict, Failure>;

    /// How long a turn takes. What calls return is dropped within the time that is taken.
    fn time(&mut self, turn: Turn) -> std::result::Result<Duration, Failure>;
}

/// How the number of threads is set, which only `optimized` has.
pub(super) trait Threaded {
    fn set_threads(&mut self, threads: usize) -> Result<()>;
}

/// A layer of this process, with the calls of each direction.
struct InProcess<L, P, I, F, B, N> {
    layer: L,
    /// Of the last forward, for backward.
    pass: Option<P>,
    inference: I,
    forward: F,
    backward: B,
    named: N,
}

/// A layer of this process, its calls, and how what they give is named.
pub(super) fn in_process<L, P, O, G>(
    layer: L,
    inference: impl Fn(&L) -> Result<O> + 'static,
    forward: impl Fn(&mut L) -> Result<P> + 'static,
    backward: impl Fn(&L, &P) -> Result<G> + 'static,
    named: impl Fn(O, &P, G) -> Result<StateDict> + 'static,
) -> Box<dyn Contender>
where
    L: Threaded + 'static,
    P: 'static,
    O: 'static,
    G: 'static,
{
    Box::new(InProcess { layer, pass: None, inference, forward, backward, named })
}

impl<L, P, O, G, I, F, B, N> Contender for InProcess<L, P, I, F, B, N>
where
    L: Threaded,
    I: Fn(&L) -> Result<O>,
    F: Fn(&mut L) -> Result<P>,
    B: Fn(&L, &P) -> Result<G>,
    N: Fn(O, &P, G) -> Result<StateDict>,
{
    fn set_threads(&mut self, threads: usize) -> std::result::Result<(), Failure> {
        Ok(self.layer.set_threads(threads)?)
    }

    fn compute(&mut self) -> std::result::Result<StateDict, Failure> {
        let output = (self.inference)(&self.layer)?;
        let pass = (self.forward)(&mut self.layer)?;
        let gradients = (self.backward)(&self.layer, &pass)?;
        let computed = (self.named)(output, &pass, gradients)?;
        self.pass = Some(pass);
        Ok(computed)
    }

    fn time(&mut self, turn: Turn) -> std::result::Result<Duration, Failure> {
        let Self { layer, pass, inference, forward, backward, .. } = self;
        let time = match turn.direction {
            Direction::Inference => timed(turn, || inference(layer)),
            Direction::Forward => timed(turn, || forward(layer)),
            Direction::Backward => {
                let pass = match pass {
                    Some(pass) => pass,
                    none => none.insert(forward(layer)?),
                };
                timed(turn, || backward(layer, pass))
            }
        };
        Ok(time?)
    }
}

fn timed<R>(turn: Turn, mut call: impl FnMut() -> Result<R>) -> Result<Duration> {
    if turn.warm {
        black_box(call()?);
    }
    let start = Instant::now();
    for _ in 0..turn.calls {
        black_box(call()?);
    }
    Ok(start.elapsed())
}
