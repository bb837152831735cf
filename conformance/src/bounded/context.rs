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

#[derive(Clone, Copy)]
pub(super) struct Context {
    pub narrow: Arithmetic,
    pub wide: Arithmetic,
    pub declaration: Declaration,
    branches: Branches,
}

impl Context {
    fn new(dtype: DType, declaration: Declaration) -> Self {
        let narrow = Arithmetic::of(dtype);
        let wide = Arithmetic::of(if declaration.wide_unit < narrow.unit { DType::F64 } else { dtype });
        let wide = Arithmetic { unit: declaration.wide_unit, ..wide };
        Self { narrow, wide, declaration, branches: Branches::default() }
    }
}

thread_local! {
    static CONTEXT: Cell<Option<Context>> = const { Cell::new(None) };
}

/// Runs `f` with [`super::Bounded`] numbers bounding `declaration`'s arithmetic in `dtype`; also tells what its comparisons
/// came to. Outside such a run, they bound the literal formula in double precision.
pub fn under<R>(dtype: DType, declaration: Declaration, f: impl FnOnce() -> R) -> (R, Branches) {
    /// Puts the outer run's context back, even where `f` panics.
    struct Restore(Option<Context>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CONTEXT.set(self.0);
        }
    }
    let _restore = Restore(CONTEXT.replace(Some(Context::new(dtype, declaration))));
    let result = f();
    (result, current().branches)
}

pub(super) fn current() -> Context {
    CONTEXT.get().unwrap_or_else(|| Context::new(DType::F64, Declaration::literal()))
}

/// Notes the answer of a comparison.
pub(super) fn branch(answer: u64, ambiguous: bool) {
    let mut context = current();
    // One step of the Fowler–Noll–Vo hash.
    context.branches.hash = (context.branches.hash ^ (answer + 1)).wrapping_mul(0x0000_0100_0000_01b3);
    context.branches.ambiguous += u64::from(ambiguous);
    CONTEXT.set(Some(context));
}
