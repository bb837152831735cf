//! Convolutions straight from the input, for few terms: depthwise ones, groups of few channels, stems, strided ones.
//!
//! The plain loop is that of the parent file. We depart from it:
//! 1. what the windows of a row of the output read along a row of the input is a *line* ([`lines`]), which holds padding
//!    already, and is split by the phases of the stride, so that all options go through one loop; lines are read once for all
//!    output channels of a group, and kept while the next rows of the output read them, too;
//! 2. forward, some output channels by some registers along the row stay in registers, while all terms are added;
//! 3. the input's gradient is a convolution itself where windows start at every element, and is added to row by row and
//!    tap by tap elsewhere;
//! 4. the weight's gradient is a register of sums for each term, four of which take part in each register of the
//!    output's;
//! 5. threads take some rows and output channels of a group in an image, some planes of the input's gradient, or the terms of
//!    an output channel.

mod input;
mod lines;
mod output;
mod weight;

pub use input::backward_input;
pub use output::forward;
pub use weight::backward_weight;

use crate::counters::Counter;

const COUNTER: Counter = Counter::Conv2dDirect;

/// Windows of more terms are refused: their lines, 1 MiB of f32 at most, would leave the second-level cache.
pub const MOST_TERMS: usize = 1024;

/// Windows of a row of the output that are computed together.
const BLOCK: usize = 256;
