//! Scratch memory: what calls need beside their results.
//!
//! The plain way is a vector for each need. Here memory is kept, since memory that is kept need not be mapped again, which costs
//! more than most kernels: by each thread, a little; or, where an [`Execution`](crate::Execution) has one, by a [`Workspace`], all.

use crate::simd::Lanes;
use crate::threads::lock;
use bytemuck::{Pod, Zeroable};
use std::alloc::{Layout, handle_alloc_error};
use std::cell::RefCell;
use std::collections::TryReserveError;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

/// A cache line, at whose boundaries registers of any instruction set are loaded fastest.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// Buffers of more bytes are not kept by a thread: 16 MiB, as much as kernels ask for at once.
const KEPT: usize = 1 << 24;

/// A thread keeps no more bytes: two of the largest buffers.
const MOST_KEPT: usize = 2 * KEPT;

/// A thread keeps no more buffers: RNN and GRU, which ask for most, have up to ten at the same time.
const MOST_SPARE: usize = 16;

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local { workspace: None, spare: Spare(Vec::new()) }) };
}

/// Where this thread takes scratch memory from.
struct Local {
    /// Where it takes all, if there is one.
    workspace: Option<Workspace>,
    /// What it keeps itself.
    spare: Spare,
}

/// Buffers that are not in use.
#[derive(Default)]
struct Spare(Vec<Vec<Line>>);

impl Spare {
    /// The smallest buffer of at least so many lines; where there is none, the largest, which then has to grow.
    ///
    /// So buffers that are taken and given back in the order of a stack are never too few or too small at the second of two equal
    /// calls: what one call has been lent at the same time can be lent again, and the smallest that fits spares the larger ones.
    fn take(&mut self, lines: usize) -> Vec<Line> {
        let misfit = |buffer: &Vec<Line>| (buffer.len() < lines, buffer.len().abs_diff(lines));
        let best = self.0.iter().enumerate().min_by_key(|(_, buffer)| misfit(buffer)).map(|(i, _)| i);
        best.map(|i| self.0.swap_remove(i)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|buffer| size_of_val(&**buffer)).sum()
    }
}

/// Memory that calls need beside their results, kept from call to call: a handle, whose clones share it.
///
/// A layer whose [`Execution`](crate::Execution) has a workspace takes from it what its kernels need beside the results: packed
/// operands, blocks of an input, the hidden states of RNN and GRU. All of it is given back when the call ends, and kept until
/// [`Workspace::clear`] or until the last handle is dropped. So the second of two equal calls finds all of it there; on several
/// threads, a call takes as much as those need that happen to work at the same time. Several layers may share a workspace, and
/// several threads may call them at once: it then holds what all of them need at the same time. Results do not depend on it.
///
/// Without a workspace, each thread keeps at most 32 MiB for itself, in buffers of at most 16 MiB. What Linear's `gemm` keeps is
/// faer's, and never a workspace's: up to twice the last-level cache for each thread.
///
/// ```
/// use optimized::{Execution, Linear, LinearOptions, Tensor, Workspace};
/// let workspace = Workspace::new();
/// let mut linear = Linear::with_parameters(LinearOptions::new(64, 64).bias(false), Tensor::full(&[64, 64], 0.5_f32)?, None)?;
/// linear.set_execution(Execution::default().workspace(workspace.clone()))?;
/// let (x, mut y) = (Tensor::full(&[64, 64], 1.0)?, Tensor::full(&[64, 64], 0.0)?);
/// linear.forward_into(&x, &mut y)?;
/// let bytes = workspace.bytes();
/// linear.forward_into(&x, &mut y)?;
/// assert!(bytes > 0 && workspace.bytes() >= bytes);
/// workspace.clear();
/// assert_eq!(workspace.bytes(), 0);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Workspace(Arc<Mutex<Spare>>);

impl Workspace {
    /// A workspace of its own, which keeps nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that are kept now; what calls are using at the moment is not among them.
    pub fn bytes(&self) -> usize {
        lock(&self.0).bytes()
    }

    /// Frees what is kept now; what calls are using at the moment comes back when they end.
    pub fn clear(&self) {
        let kept = std::mem::take(&mut *lock(&self.0));
        drop(kept);
    }
}

/// Handles are equal where they are of the same workspace.
impl PartialEq for Workspace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Workspace {}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("bytes", &self.bytes()).finish()
    }
}

/// The workspace that this thread takes scratch memory from.
pub fn current() -> Option<Workspace> {
    LOCAL.with_borrow(|local| local.workspace.clone())
}

/// Lets this thread take scratch memory from a workspace, or from what it keeps itself, until the guard is dropped.
#[must_use]
pub fn enter(workspace: Option<Workspace>) -> Entered {
    Entered { before: replace(workspace) }
}

fn replace(workspace: Option<Workspace>) -> Option<Workspace> {
    LOCAL.with_borrow_mut(|local| std::mem::replace(&mut local.workspace, workspace))
}

/// Goes back to the workspace before when it is dropped, after a panic, too.
pub struct Entered {
    before: Option<Workspace>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(replace(self.before.take()));
    }
}

/// Elements in scratch memory, aligned to a cache line; given back where they came from when they are dropped.
pub struct Scratch<T> {
    lines: Vec<Line>,
    len: usize,
    home: Option<Workspace>,
    element: PhantomData<T>,
}

impl<T: Lanes> Scratch<T> {
    /// `len` elements, which hold what their last user left there, where memory can be had for them.
    pub fn new(len: usize) -> Result<Self, TryReserveError> {
        let due = len.saturating_mul(size_of::<T>()).div_ceil(size_of::<Line>());
        let (home, mut lines) = LOCAL.with_borrow_mut(|local| match &local.workspace {
            _ if due == 0 => (None, Vec::new()),
            Some(workspace) => (Some(workspace.clone()), lock(&workspace.0).take(due)),
            None => (None, local.spare.take(due)),
        });
        if lines.len() < due {
            // Freed first, since what it holds need not be copied.
            drop(lines);
            lines = zeros(due)?;
        }
        Ok(Self { lines, len, home, element: PhantomData })
    }

    /// `len` zeros, where memory can be had for them.
    pub fn zeros(len: usize) -> Result<Self, TryReserveError> {
        let mut elements = Self::new(len)?;
        elements.fill(T::ZERO);
        Ok(elements)
    }
}

/// A new buffer.
#[cold]
fn zeros(lines: usize) -> Result<Vec<Line>, TryReserveError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(lines)?;
    buffer.resize(lines, Line::zeroed());
    Ok(buffer)
}

impl<T: Lanes> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl<T: Lanes> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        match &self.home {
            _ if lines.is_empty() => {}
            Some(workspace) => lock(&workspace.0).0.push(lines),
            None if size_of_val(&*lines) > KEPT => {}
            None => LOCAL.with_borrow_mut(|local| {
                let bytes = local.spare.bytes() + size_of_val(&*lines);
                if local.spare.0.len() < MOST_SPARE && bytes <= MOST_KEPT {
                    local.spare.0.push(lines);
                }
            }),
        }
    }
}

/// Lends `len` elements of scratch memory, aligned to a cache line and holding what their last user left there.
///
/// It is for kernels, whose needs their tiles and blocks bound, and which have no error to give: like `Vec`, it aborts where memory
/// cannot be had. What grows with the caller's sizes is taken by [`Scratch::new`].
pub fn scratch<T: Lanes, R>(len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let refused = |_| handle_alloc_error(Layout::array::<T>(len).unwrap_or(Layout::new::<Line>()));
    let mut elements = Scratch::new(len).unwrap_or_else(refused);
    work(&mut elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_aligned_and_nests() {
        scratch::<f32, _>(100, |a| {
            a.fill(1.0);
            scratch::<f64, _>(1000, |b| {
                b.fill(2.0);
                assert!(a.as_ptr().addr() % 64 == 0 && b.as_ptr().addr() % 64 == 0);
                assert!((a.len(), b.len()) == (100, 1000) && a.iter().all(|&x| x == 1.0));
            });
        });
    }

    /// The lengths of the buffers that are not in use, in bytes.
    fn lengths(spare: &Spare) -> Vec<usize> {
        spare.0.iter().map(|lines| size_of_val(&**lines)).collect()
    }

    #[test]
    fn a_thread_keeps_scratch_but_for_what_is_many_or_large() {
        let kept = || LOCAL.with_borrow(|local| lengths(&local.spare));
        assert!(kept().is_empty());
        scratch::<f32, _>(17, |a| a.fill(1.0));
        assert_eq!(kept(), [128]);
        scratch::<f32, _>(16, |a| assert!(a.iter().all(|&x| x == 1.0)));
        assert_eq!(kept(), [128]);
        scratch::<f32, _>(1, |_| scratch::<f32, _>(1, |_| scratch::<f32, _>(1, |_| {})));
        assert_eq!(kept(), [64, 64, 128]);
        scratch::<f64, _>(1 << 21, |_| {});
        assert_eq!(kept(), [64, 64, 16 << 20]);
        scratch::<f64, _>(1 << 21, |_| scratch::<f64, _>(1 << 21, |_| {}));
        assert_eq!(kept(), [64, 16 << 20]); // the second would be more than 32 MiB
        scratch::<f64, _>((1 << 21) + 1, |_| {});
        assert_eq!(kept(), [64]);
        let many: Vec<_> = (0..20).map(|_| Scratch::<f32>::new(1)).collect();
        drop(many);
        assert_eq!(kept(), [64; 16]);
    }

    #[test]
    fn a_workspace_keeps_all_and_lends_the_smallest_that_fits() {
        let workspace = Workspace::new();
        let kept = || lengths(&lock(&workspace.0));
        let entered = enter(Some(workspace.clone()));
        scratch::<f32, _>(16, |_| {
            scratch::<f64, _>((1 << 20) + 8, |_| scratch::<f32, _>(32, |_| assert!(kept().is_empty())))
        });
        assert_eq!(kept(), [128, (8 << 20) + 64, 64]);
        scratch::<f32, _>(17, |_| assert_eq!(kept(), [64, (8 << 20) + 64]));
        let bytes = workspace.bytes();
        assert_eq!(bytes, (8 << 20) + 256);
        scratch::<f32, _>(33, |_| scratch::<f32, _>(17, |_| scratch::<f32, _>(1, |_| {})));
        assert_eq!(workspace.bytes(), bytes);
        scratch::<f32, _>(33, |_| scratch::<f32, _>(33, |_| assert_eq!(kept(), [64])));
        assert_eq!(workspace.bytes(), bytes + 64);
        assert_eq!(Scratch::<f64>::new(0).unwrap().len(), 0);
        drop(entered);
        assert!(current().is_none() && LOCAL.with_borrow(|local| local.spare.0.is_empty()));
        workspace.clear();
        assert_eq!(workspace.bytes(), 0);
    }

    #[test]
    fn a_workspace_is_left_after_a_panic_too_and_gets_all_back() {
        let workspaces = [Workspace::new(), Workspace::new()];
        let entered = enter(Some(workspaces[0].clone()));
        let panic = std::panic::catch_unwind(|| {
            let _inner = enter(Some(workspaces[1].clone()));
            scratch::<f32, _>(1, |_| std::panic::resume_unwind(Box::new(())));
        });
        assert!(panic.is_err() && workspaces[1].bytes() == 64);
        assert_eq!(current().as_ref(), Some(&workspaces[0]));
        drop(entered);
        assert!(current().is_none());
    }

    #[test]
    fn scratch_goes_back_to_where_it_came_from() {
        let workspace = Workspace::new();
        let entered = enter(Some(workspace.clone()));
        let held = Scratch::<f32>::zeros(16).unwrap();
        drop(entered);
        drop(held);
        assert_eq!(workspace.bytes(), 64);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        assert!(Scratch::<f64>::new(usize::MAX).is_err());
        assert!(Scratch::<f64>::zeros(1 << 58).is_err());
    }

    #[test]
    fn handles_are_equal_by_identity() {
        let a = Workspace::new();
        assert!(a == a.clone() && a != Workspace::new());
        assert_eq!(format!("{a:?}"), "Workspace { bytes: 0 }");
    }
}
