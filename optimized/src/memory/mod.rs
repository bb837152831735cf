//! Memory: that of outputs, which is written once and used again; and that of scratch, which is kept for the next call.

mod output;
mod pages;
mod recycler;
mod scratch;

pub use output::{Block, LINE, Output, Source, count, fresh, past_caches, unwritten, zeros};
pub use recycler::{Recycled, Recycler};
pub use scratch::{Scratch, Workspace, current, enter, scratch};
