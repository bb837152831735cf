//! Which kernels ran: counts that each kernel's body keeps for itself, so that a test can prove which of them computed a
//! result.
//!
//! A kernel is named `layer/algorithm`, as `Linear/gemm`; its forward and its backward count alike. A body counts itself
//! once each time it is entered, which is once for each block of work.
//!
//! ```
//! use optimized::{Execution, Isa, ReLU, ReLUOptions, Tensor, counters};
//! let mut relu = ReLU::new(ReLUOptions::new())?;
//! relu.set_execution(Execution::default().isa(Isa::Scalar))?;
//! let before = counters::count("ReLU/elementwise", Isa::Scalar);
//! relu.forward(&Tensor::full(&[3], 1.0_f32)?)?;
//! assert!(counters::count("ReLU/elementwise", Isa::Scalar) > before);
//! # Ok::<(), optimized::Error>(())
//! ```

use crate::simd::Isa;
use std::sync::atomic::{AtomicU64, Ordering};

/// A kernel that counts its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    LinearPacked,
    LinearGemm,
    LinearDot,
    ReLU,
    Sigmoid,
    Tanh,
    LogSigmoid,
    LeakyReLU,
    Elu,
    SoftmaxLines,
    SoftmaxColumns,
    BatchNorm2dByChannel,
    BatchNorm2dByPass,
    L1LossOnePass,
    L1LossStrided,
    MSELossOnePass,
    MSELossStrided,
    Embedding,
    CrossEntropyLossLines,
    CrossEntropyLossColumns,
    BCELoss,
    BCEWithLogitsLoss,
    Conv2dPointwise,
    Conv2dDirect,
    Conv2dIm2col,
    Conv2dWinograd,
    MaxPool2d,
    Rnn,
    Gru,
    Exp,
    ExpM1,
    Ln,
    Ln1p,
}

/// The names, in the order of [`Counter`].
const NAMES: [&str; 33] = [
    "Linear/packed",
    "Linear/gemm",
    "Linear/dot",
    "ReLU/elementwise",
    "Sigmoid/elementwise",
    "Tanh/elementwise",
    "LogSigmoid/elementwise",
    "LeakyReLU/elementwise",
    "ELU/elementwise",
    "Softmax/lines",
    "Softmax/columns",
    "BatchNorm2d/by_channel",
    "BatchNorm2d/by_pass",
    "L1Loss/one_pass",
    "L1Loss/strided",
    "MSELoss/one_pass",
    "MSELoss/strided",
    "Embedding/gather",
    "CrossEntropyLoss/lines",
    "CrossEntropyLoss/columns",
    "BCELoss/one_pass",
    "BCEWithLogitsLoss/one_pass",
    "Conv2d/pointwise",
    "Conv2d/direct",
    "Conv2d/im2col",
    "Conv2d/winograd",
    "MaxPool2d/windows",
    "RNN/fused",
    "GRU/fused",
    "math/exp",
    "math/exp_m1",
    "math/ln",
    "math/ln_1p",
];

static COUNTS: [[AtomicU64; Isa::ALL.len()]; NAMES.len()] =
    [const { [const { AtomicU64::new(0) }; Isa::ALL.len()] }; NAMES.len()];

#[inline(always)]
pub(crate) fn record(counter: Counter, isa: Isa) {
    COUNTS[counter as usize][isa as usize].fetch_add(1, Ordering::Relaxed);
}

/// How often the body of `kernel` has been entered at `isa`, by this process; 0 for a name that no kernel has.
///
/// ```
/// assert_eq!(optimized::counters::count("Linear/magic", optimized::Isa::Scalar), 0);
/// ```
pub fn count(kernel: &str, isa: Isa) -> u64 {
    let counts = NAMES.iter().zip(&COUNTS).find(|(name, _)| **name == kernel);
    counts.map_or(0, |(_, counts)| counts[isa as usize].load(Ordering::Relaxed))
}

/// Every kernel and instruction set, with its count.
///
/// ```
/// assert!(optimized::counters::all().iter().any(|(kernel, ..)| *kernel == "Linear/gemm"));
/// ```
pub fn all() -> Vec<(&'static str, Isa, u64)> {
    NAMES.iter().flat_map(|&name| Isa::ALL.map(|isa| (name, isa, count(name, isa)))).collect()
}
