//! Memory: that of outputs, which is written once, and that of scratch, which is kept for the next call.

mod output;
mod scratch;

pub use output::{Block, Output, Source, count, fresh};
pub use scratch::{Scratch, Workspace, current, enter, scratch};
