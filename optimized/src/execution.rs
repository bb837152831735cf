//! How a layer is run: on how many threads, at which instruction set, by which algorithm.

use crate::{Isa, Threads, Workspace, memory};
use vocabulary::{Error, Result};

/// How a layer is run. It changes speed, and the rounding of results; never what is computed.
///
/// ```
/// use optimized::{Execution, Isa, Linear, LinearOptions, Tensor, Threads};
/// use std::num::NonZeroUsize;
/// let options = LinearOptions::new(2, 1).bias(false);
/// let mut linear = Linear::with_parameters(options, Tensor::full(&[1, 2], 0.5_f32)?, None)?;
/// let execution = Execution::default().threads(Threads::new(NonZeroUsize::MIN)).isa(Isa::Scalar).algorithm("dot".to_owned());
/// linear.set_execution(execution)?;
/// assert_eq!(linear.forward(&Tensor::full(&[2], 3.0)?)?.as_slice(), [3.0]);
/// assert!(linear.set_execution(Execution::default().algorithm("magic".to_owned())).is_err());
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Execution {
    /// How many threads may work, the caller's own included.
    pub threads: Threads,
    /// The instruction set, where one is forced; otherwise the best that the machine has.
    pub isa: Option<Isa>,
    /// The algorithm, where one is forced; otherwise the first that accepts the problem.
    pub algorithm: Option<String>,
    /// Where the memory that a call needs beside its results is kept; where there is none, each thread keeps a little. Clones of an
    /// execution, and so of a layer, share it.
    pub workspace: Option<Workspace>,
}

/// An algorithm, and whether it accepts a problem.
///
/// ```
/// use optimized::{Linear, LinearOptions, Tensor};
/// let linear = Linear::with_parameters(LinearOptions::new(3, 2).bias(false), Tensor::full(&[2, 3], 1.0_f32)?, None)?;
/// let choices = linear.choices(&[64, 3])?;
/// assert!(choices.iter().any(|choice| choice.name == "dot" && choice.refusal.is_none()));
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The algorithm's name.
    pub name: &'static str,
    /// Why it refuses the problem; `None` where it accepts.
    pub refusal: Option<String>,
}

impl Execution {
    /// Sets how many threads may work.
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the instruction set; `None`: the best that the machine has.
    pub fn isa(mut self, isa: impl Into<Option<Isa>>) -> Self {
        self.isa = isa.into();
        self
    }

    /// Sets the algorithm; `None`: the first that accepts the problem.
    pub fn algorithm(mut self, algorithm: impl Into<Option<String>>) -> Self {
        self.algorithm = algorithm.into();
        self
    }

    /// Sets the workspace; `None`: each thread keeps a little memory.
    ///
    /// ```
    /// use optimized::{Execution, Workspace};
    /// let workspace = Workspace::new();
    /// let (a, b) = (Execution::default().workspace(workspace.clone()), Execution::default().workspace(workspace));
    /// assert!(a == b && a != Execution::default().workspace(Workspace::new()));
    /// ```
    pub fn workspace(mut self, workspace: impl Into<Option<Workspace>>) -> Self {
        self.workspace = workspace.into();
        self
    }

    /// Calls kernels with the instruction set in force and the threads, as they ask for; all of them, on whichever thread, take
    /// scratch memory from the workspace.
    pub(crate) fn run<R>(&self, kernels: impl FnOnce((Isa, Threads)) -> R) -> R {
        // Without one, too: a thread of the caller's own pool, waiting in another layer's call, may have been lent to this one.
        let _workspace = memory::enter(self.workspace.clone());
        kernels(self.kernel())
    }

    /// The instruction set in force, and the threads.
    pub(crate) fn kernel(&self) -> (Isa, Threads) {
        (self.isa.unwrap_or_else(Isa::best), self.threads)
    }

    /// Refuses an instruction set that the machine lacks, and an algorithm that the layer has not.
    pub(crate) fn check(&self, layer: &str) -> Result<()> {
        if let Some(isa) = self.isa.filter(|isa| !isa.is_available()) {
            let known: Vec<String> = Isa::available().iter().map(Isa::to_string).collect();
            let expected = format!("one that this machine has: {}", known.join(", "));
            return Err(Error::new(layer, "isa", format_args!("is {isa}"), expected));
        }
        match &self.algorithm {
            Some(name) if !algorithms(layer).contains(&name.as_str()) => {
                let expected = format!("one of {:?}", algorithms(layer));
                Err(Error::new(layer, "algorithm", format_args!("is {name:?}"), expected))
            }
            _ => Ok(()),
        }
    }

    /// The algorithm in force: the forced one, or the first that accepts; `order` is that of preference, and `refusal` says
    /// why an algorithm refuses the problem.
    pub(crate) fn choose(
        &self,
        layer: &str,
        order: &[&'static str],
        refusal: impl Fn(&'static str) -> Option<String>,
    ) -> Result<&'static str> {
        let forced = self.algorithm.as_deref();
        let Some(forced) = forced.and_then(|forced| order.iter().find(|&&name| name == forced)) else {
            let accepts = |name: &&&'static str| refusal(name).is_none();
            let expected = "one that accepts the problem";
            return order.iter().find(accepts).copied().ok_or_else(|| Error::missing(layer, "algorithm", expected));
        };
        match refusal(forced) {
            None => Ok(forced),
            Some(reason) => {
                let got = format!("is {forced:?}");
                Err(Error::new(layer, "algorithm", got, format_args!("another: {reason}")))
            }
        }
    }
}

/// The names of a layer's algorithms, by its torch.nn class name; none for a layer that is not here.
///
/// Their order is that of preference for large problems; a layer's `choices` has them in that for a given one.
///
/// ```
/// assert_eq!(optimized::algorithms("Linear"), ["packed", "gemm", "dot"]);
/// assert!(optimized::algorithms("Identity").is_empty());
/// ```
pub fn algorithms(layer: &str) -> &'static [&'static str] {
    match layer {
        "Linear" => &["packed", "gemm", "dot"],
        "ReLU" | "Sigmoid" | "Tanh" | "LogSigmoid" | "LeakyReLU" | "ELU" => &["elementwise"],
        "Embedding" => &["gather"],
        "CrossEntropyLoss" | "Softmax" => &["lines", "columns"],
        "Conv2d" => &["pointwise", "winograd", "im2col", "direct"],
        "MaxPool2d" => &["windows"],
        "RNN" | "GRU" => &["fused"],
        "BatchNorm2d" => &["by_channel", "by_pass"],
        "BCELoss" | "BCEWithLogitsLoss" => &["one_pass"],
        "L1Loss" | "MSELoss" => &["one_pass", "strided"],
        _ => &[],
    }
}

/// The choices of a layer with a single algorithm, which accepts everything.
pub(crate) fn only(layer: &str) -> Vec<Choice> {
    algorithms(layer).iter().map(|&name| Choice { name, refusal: None }).collect()
}
