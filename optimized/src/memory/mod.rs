//! Memory: that of outputs, which is written once and used again; and that of scratch, which is kept for the next call.

mod allocate;
mod output;
mod pages;
mod recycler;
mod scratch;
mod thread_cache;

pub use allocate::{count, unwritten, zeros};
pub use output::{Block, Output, Source, fresh, past_caches};
pub use recycler::{Recycled, Recycler};
pub use scratch::{Scratch, Workspace, current, enter, scratch};
