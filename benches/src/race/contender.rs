//! What takes part in a race: something that computes a layer once, to be compared, and times its calls.

use super::{Failure, agreement};
use optimized::{Execution, Threads, Workspace};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use vocabulary::{Result, StateDict};

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// Ours `forward`, and `forward_into`; PyTorch's under `no_grad`.
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
    /// Whether results are written into those of an earlier call, with a workspace; only where `writes_into` says so.
    pub into: bool,
}

/// A layer with its operands.
pub(super) trait Contender {
    /// Sets how many threads may work.
    fn set_threads(&mut self, threads: usize) -> std::result::Result<(), Failure>;

    /// Outputs and gradients: `inference.output` and so on, `out.…`, `grad_in.…`, `grad_state.…`.
    fn compute(&mut self) -> std::result::Result<StateDict, Failure>;

    /// How long a turn takes. What calls return is dropped within the time that is taken.
    fn time(&mut self, turn: Turn) -> std::result::Result<Duration, Failure>;

    /// Whether there is a form of a direction that writes into the results of an earlier call.
    fn writes_into(&self, _direction: Direction) -> bool {
        false
    }
}

/// How a layer is run, which only `optimized` can be told.
pub(super) trait Executed {
    fn execute_by(&mut self, execution: Execution) -> Result<()>;
}

/// Writes an output over that of an earlier call.
type InferenceInto<L, A, O> = Box<dyn Fn(&L, &A, &mut O) -> Result<()>>;

/// Writes gradients over those of an earlier call.
type BackwardInto<L, A, P, G> = Box<dyn Fn(&L, &A, &P, &mut G) -> Result<()>>;

/// A layer of this process, what its calls are given, and the calls of each direction.
pub(super) struct InProcess<L, A, O, P, G, I, F, B, N> {
    layer: L,
    operands: A,
    execution: Execution,
    inference: I,
    forward: F,
    backward: B,
    named: N,
    inference_into: Option<InferenceInto<L, A, O>>,
    backward_into: Option<BackwardInto<L, A, P, G>>,
    /// Of the last forward, for backward.
    pass: Option<P>,
    /// What is written into, and the memory that is needed beside it.
    output: Option<O>,
    gradients: Option<G>,
    workspace: Workspace,
}

/// A layer of this process, what its calls are given, the calls, and how what they give is named.
pub(super) fn in_process<L, A, O, P, G, I, F, B, N>(
    layer: L,
    operands: A,
    inference: I,
    forward: F,
    backward: B,
    named: N,
) -> InProcess<L, A, O, P, G, I, F, B, N>
where
    I: Fn(&L, &A) -> Result<O>,
    F: Fn(&mut L, &A) -> Result<P>,
    B: Fn(&L, &A, &P) -> Result<G>,
    N: Fn(&O, &P, &G) -> Result<StateDict>,
{
    InProcess {
        layer,
        operands,
        execution: Execution::default(),
        inference,
        forward,
        backward,
        named,
        inference_into: None,
        backward_into: None,
        pass: None,
        output: None,
        gradients: None,
        workspace: Workspace::new(),
    }
}

impl<L, A, O, P, G, I, F, B, N> InProcess<L, A, O, P, G, I, F, B, N> {
    /// With a form of inference that writes into an output, if it is there.
    pub(super) fn inference_into(mut self, there: bool, call: impl Fn(&L, &A, &mut O) -> Result<()> + 'static) -> Self {
        self.inference_into = if there { Some(Box::new(call)) } else { None };
        self
    }

    /// With a form of backward that writes into gradients.
    pub(super) fn backward_into(mut self, call: impl Fn(&L, &A, &P, &mut G) -> Result<()> + 'static) -> Self {
        self.backward_into = Some(Box::new(call));
        self
    }
}

impl<L, A, O, P, G, I, F, B, N> Contender for InProcess<L, A, O, P, G, I, F, B, N>
where
    L: Executed,
    I: Fn(&L, &A) -> Result<O>,
    F: Fn(&mut L, &A) -> Result<P>,
    B: Fn(&L, &A, &P) -> Result<G>,
    N: Fn(&O, &P, &G) -> Result<StateDict>,
{
    fn set_threads(&mut self, threads: usize) -> std::result::Result<(), Failure> {
        let threads = Threads::new(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN));
        self.execution = Execution::default().threads(threads);
        Ok(())
    }

    fn compute(&mut self) -> std::result::Result<StateDict, Failure> {
        let Self { layer, operands, .. } = self;
        layer.execute_by(self.execution.clone())?;
        let mut output = (self.inference)(layer, operands)?;
        let pass = (self.forward)(layer, operands)?;
        let mut gradients = (self.backward)(layer, operands, &pass)?;
        let computed = (self.named)(&output, &pass, &gradients)?;
        if let Some(into) = &self.inference_into {
            into(layer, operands, &mut output)?;
        }
        if let Some(into) = &self.backward_into {
            into(layer, operands, &pass, &mut gradients)?;
        }
        let written = (self.named)(&output, &pass, &gradients)?;
        agreement::compare(&computed, &written, 0)
            .map_err(|reason| Failure::new(format!("ours, where it writes into what is there: {reason}")))?;
        self.pass = Some(pass);
        Ok(computed)
    }

    fn time(&mut self, turn: Turn) -> std::result::Result<Duration, Failure> {
        let Self { layer, operands, inference, forward, backward, .. } = self;
        layer.execute_by(self.execution.clone().workspace(turn.into.then(|| self.workspace.clone())))?;
        let none = || Failure::new(format!("{} has no form that writes into what is there", turn.direction));
        let time = match turn.direction {
            Direction::Inference if turn.into => {
                let into = self.inference_into.as_ref().ok_or_else(none)?;
                let output = given(&mut self.output, || inference(layer, operands))?;
                timed(turn, || into(layer, operands, output))
            }
            Direction::Inference => timed(turn, || inference(layer, operands)),
            Direction::Forward => timed(turn, || forward(layer, operands)),
            Direction::Backward => {
                let pass = given(&mut self.pass, || forward(layer, operands))?;
                match &self.backward_into {
                    Some(into) if turn.into => {
                        let gradients = given(&mut self.gradients, || backward(layer, operands, pass))?;
                        timed(turn, || into(layer, operands, pass, gradients))
                    }
                    None if turn.into => return Err(none()),
                    _ => timed(turn, || backward(layer, operands, pass)),
                }
            }
        };
        Ok(time?)
    }

    fn writes_into(&self, direction: Direction) -> bool {
        match direction {
            Direction::Inference => self.inference_into.is_some(),
            Direction::Forward => false,
            Direction::Backward => self.backward_into.is_some(),
        }
    }
}

/// What is kept; where it is not there yet, it is made first.
fn given<R>(kept: &mut Option<R>, make: impl FnOnce() -> Result<R>) -> Result<&mut R> {
    match kept {
        Some(kept) => Ok(kept),
        none => Ok(none.insert(make()?)),
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
