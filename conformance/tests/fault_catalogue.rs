//! A catalogue of faults: mistakes that writers of kernels make, each run through the recorded and the generated cases of its
//! layer, which have to catch it. `--nocapture` shows by which cases and in which lane.
//!
//! Below a module `conformance`, so that `cargo test conformance` runs it, too.

#[path = "fault_catalogue/mod.rs"]
mod conformance;
