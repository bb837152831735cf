//! The memory of large tensors, kept when they are dropped.
//!
//! The plain way is to free it. Whoever asks the system for large memory gets pages that were never touched, and the first touch
//! of each costs more than what most kernels do to it: sigmoid of 16M numbers takes 36 ms into fresh pages, and 5 into ones that
//! were written before.

use crate::threads::lock;
use std::sync::Mutex;

/// Memory of fewer bytes is left to the allocator, which keeps that itself.
pub const SMALLEST: usize = 1 << 16;

/// The bytes kept at most, unless it is said otherwise: 512 MiB.
const DEFAULT_LIMIT: usize = 1 << 29;

static KEPT: Mutex<Kept> =
    Mutex::new(Kept { limit: DEFAULT_LIMIT, bytes: 0, f32: Vec::new(), f64: Vec::new(), i64: Vec::new() });

/// Buffers that are not in use, all of their elements initialised; of each type, those that came last at the end.
pub struct Kept {
    limit: usize,
    bytes: usize,
    f32: Vec<Vec<f32>>,
    f64: Vec<Vec<f64>>,
    i64: Vec<Vec<i64>>,
}

/// A type whose buffers are kept.
pub trait Recycled: Copy + Default + 'static {
    fn buffers(kept: &mut Kept) -> &mut Vec<Vec<Self>>;
}

macro_rules! recycled {
    ($($type:ident),*) => {$(
        impl Recycled for $type {
            fn buffers(kept: &mut Kept) -> &mut Vec<Vec<Self>> {
                &mut kept.$type
            }
        }
    )*};
}
recycled!(f32, f64, i64);

/// What is kept of the memory of large tensors when they are dropped, so that the next ones need not be mapped anew.
///
/// Results of layers that take 64 KiB or more are given memory that is kept here, where there is some of their size or up to twice
/// as much, and give theirs back when the last tensor that shares it is dropped. At most 512 MiB are kept, or what
/// [`Recycler::set_limit`] says; of what would be too much, what came first is freed. Results do not depend on it.
///
/// ```
/// use optimized::{Recycler, ReLU, ReLUOptions, Tensor};
/// let relu = ReLU::new(ReLUOptions::new())?;
/// drop(relu.forward(&Tensor::full(&[1 << 20], 1.0_f32)?)?);
/// assert!(Recycler::bytes() >= 4 << 20);
/// Recycler::set_limit(0);
/// assert_eq!(Recycler::bytes(), 0);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Recycler;

impl Recycler {
    /// The bytes that are kept now, in no tensor.
    pub fn bytes() -> usize {
        lock(&KEPT).bytes
    }

    /// Sets how many bytes are kept at most; 0: none. What is kept now beyond that is freed.
    pub fn set_limit(bytes: usize) {
        let mut kept = lock(&KEPT);
        kept.limit = bytes;
        let freed = if kept.bytes > bytes { kept.empty() } else { Kept::default() };
        drop(kept);
        drop(freed);
    }

    /// Frees what is kept now.
    pub fn clear() {
        let freed = lock(&KEPT).empty();
        drop(freed);
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { limit: 0, bytes: 0, f32: Vec::new(), f64: Vec::new(), i64: Vec::new() }
    }
}

impl Kept {
    /// All buffers, which are kept no more.
    fn empty(&mut self) -> Self {
        let limit = self.limit;
        std::mem::replace(self, Self { limit, ..Self::default() })
    }
}

fn bytes<T>(buffer: &Vec<T>) -> usize {
    buffer.capacity() * size_of::<T>()
}

/// The smallest buffer of at least `len` initialised elements and at most twice as many, if one is kept.
pub fn take<T: Recycled>(len: usize) -> Option<Vec<T>> {
    let mut kept = lock(&KEPT);
    let buffers = T::buffers(&mut kept);
    let fits = |buffer: &&Vec<T>| (len..=len.saturating_mul(2)).contains(&buffer.len());
    let place = buffers.iter().enumerate().filter(|(_, buffer)| fits(buffer)).min_by_key(|(_, buffer)| buffer.len());
    let place = place.map(|(place, _)| place)?;
    let buffer = buffers.remove(place);
    kept.bytes -= bytes(&buffer);
    Some(buffer)
}

/// Keeps a buffer for who asks next.
pub fn give_back<T: Recycled>(buffer: Vec<T>) {
    let size = bytes(&buffer);
    let mut kept = lock(&KEPT);
    if size > kept.limit {
        drop(kept);
        return drop(buffer);
    }
    // Freed when others can go on.
    let mut freed = Vec::new();
    while kept.bytes + size > kept.limit && !T::buffers(&mut kept).is_empty() {
        let first = T::buffers(&mut kept).remove(0);
        kept.bytes -= bytes(&first);
        freed.push(first);
    }
    let others = if kept.bytes + size > kept.limit { kept.empty() } else { Kept::default() };
    kept.bytes += size;
    T::buffers(&mut kept).push(buffer);
    drop(kept);
    drop((freed, others));
}
