//! The proof. Every test lives below a module `conformance`, so that `cargo test conformance` runs the whole suite.

mod conformance;
