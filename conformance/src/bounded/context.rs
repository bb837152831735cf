//! Whose arithmetic is being bounded: set for the duration of a run of the reference, as a rounding mode would be.

use super::{Arithmetic, Declaration};
use crate::tensors::DType;
use std::cell::Cell;

/// What the comparisons of a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Branches {
    /// A hash of all answers in order: runs with equal hashes took the same branches.
    pub hash: u64,
    /// How many comparisons were closer than their bounds.
    pub ambiguous: u64,
}

thread_local! {
    // Apart from each other, since each operation reads one of them and copies what it reads.
    static NARROW: Cell<Arithmetic> = const { Cell::new(Arithmetic::F64) };
    static WIDE: Cell<Arithmetic> = const { Cell::new(Arithmetic::F64) };
    static DECLARATION: Cell<Declaration> = const { Cell::new(Declaration::LITERAL) };
    static BRANCHES: Cell<Branches> = const { Cell::new(Branches { hash: 0, ambiguous: 0 }) };
}

/// Runs `f` with [`super::Bounded`] numbers bounding `declaration`'s arithmetic in `dtype`; also tells what its comparisons
/// came to. Outside such a run, they bound the literal formula in double precision.
pub fn under<R>(dtype: DType, declaration: Declaration, f: impl FnOnce() -> R) -> (R, Branches) {
    /// Puts the outer run's context back, even where `f` panics.
    struct Restore(Arithmetic, Arithmetic, Declaration, Branches);
    impl Drop for Restore {
        fn drop(&mut self) {
            NARROW.set(self.0);
            WIDE.set(self.1);
            DECLARATION.set(self.2);
            BRANCHES.set(self.3);
        }
    }
    let narrow = Arithmetic::of(dtype);
    let wide = Arithmetic::of(if declaration.wide_unit < narrow.unit { DType::F64 } else { dtype });
    let _restore = Restore(
        NARROW.replace(narrow),
        WIDE.replace(Arithmetic { unit: declaration.wide_unit, ..wide }),
        DECLARATION.replace(declaration),
        BRANCHES.replace(Branches::default()),
    );
    let result = f();
    (result, BRANCHES.get())
}

/// The arithmetic of the type under test, or of the accumulators that carry statistics.
pub(super) fn arithmetic(wide: bool) -> Arithmetic {
    if wide { WIDE.get() } else { NARROW.get() }
}

pub(super) fn declaration() -> Declaration {
    DECLARATION.get()
}

/// Notes the answer of a comparison.
pub(super) fn branch(answer: u64, ambiguous: bool) {
    let Branches { hash, ambiguous: count } = BRANCHES.get();
    // One step of the Fowler–Noll–Vo hash.
    let hash = (hash ^ (answer + 1)).wrapping_mul(0x0000_0100_0000_01b3);
    BRANCHES.set(Branches { hash, ambiguous: count + u64::from(ambiguous) });
}
