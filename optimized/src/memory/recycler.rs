//! The memory of large tensors, kept when they are dropped.
//!
//! The plain way is to free it. Whoever asks the system for large memory gets pages that were never touched, and the first touch
//! of each costs more than what most kernels do to it: sigmoid of 16M numbers takes 36 ms into fresh pages, and 7 into ones that
//! were written before.

use super::thread_cache::{self, ThreadCache};
use crate::threads::lock;
use std::sync::Mutex;

/// Memory of so many bytes and more is kept for all threads.
pub const SMALLEST: usize = 1 << 16;

/// The buffers kept of a type at most.
const MOST: usize = 256;

/// The bytes kept at most, unless it is said otherwise: 512 MiB.
const DEFAULT_LIMIT: usize = 1 << 29;

static KEPT: Mutex<Kept> = Mutex::new(Kept::new(DEFAULT_LIMIT));

/// Buffers that are not in use, all of their elements initialised; of each type, those that came last at the end.
pub struct Kept {
    limit: usize,
    bytes: usize,
    f32: Vec<Vec<f32>>,
    f64: Vec<Vec<f64>>,
    i64: Vec<Vec<i64>>,
    u8: Vec<Vec<u8>>,
}

/// A type whose buffers are kept.
pub trait Recycled: Copy + Default + 'static {
    fn buffers(kept: &mut Kept) -> &mut Vec<Vec<Self>>;
    fn slots(cache: &mut ThreadCache) -> &mut [Vec<Self>];
}

macro_rules! recycled {
    ($($type:ident),*) => {$(
        impl Recycled for $type {
            fn buffers(kept: &mut Kept) -> &mut Vec<Vec<Self>> {
                &mut kept.$type
            }
            fn slots(cache: &mut ThreadCache) -> &mut [Vec<Self>] {
                &mut cache.$type
            }
        }
    )*};
}
recycled!(f32, f64, i64, u8);

/// What is kept of the memory of tensors when they are dropped, so that the next ones need not be mapped anew.
///
/// Results of layers that take 64 KiB or more are given memory that is kept here, where there is some of their size or up to twice
/// as much, and give theirs back when the last tensor that shares it is dropped. At most 512 MiB are kept, or what
/// [`Recycler::set_limit`] says, in at most 256 buffers of a type; where one more would be too much, the oldest of its type are freed,
/// and where that does not do, all. Where memory cannot be had, all is freed, too.
///
/// Beside that, each thread keeps what it drops of 1 to 64 KiB, at most 16 buffers of a type and so 4 MiB, until it ends. Results do not
/// depend on either.
///
/// ```
/// use optimized::{Recycler, ReLU, ReLUOptions, Tensor};
/// let relu = ReLU::new(ReLUOptions::new())?;
/// drop(relu.forward(&Tensor::full(&[1 << 20], 1.0_f32)?)?);
/// assert!(Recycler::bytes() >= 4 << 20);
/// drop(relu.forward(&Tensor::full(&[1 << 10], 1.0_f32)?)?);
/// assert!(Recycler::bytes() >= (4 << 20) + (4 << 10));
/// Recycler::set_limit(0);
/// assert_eq!(Recycler::bytes(), 0);
/// # Ok::<(), optimized::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Recycler;

impl Recycler {
    /// The bytes that are kept now, in no tensor: for all threads, and by this one.
    pub fn bytes() -> usize {
        let shared = lock(&KEPT).bytes;
        shared + thread_cache::with(|cache| cache.bytes()).unwrap_or_default()
    }

    /// Sets how many bytes are kept at most for all threads; where more are kept now, all are freed. 0 ends what single threads keep,
    /// too: this one's is freed now, another's when it next drops such a tensor.
    pub fn set_limit(bytes: usize) {
        let mut kept = lock(&KEPT);
        thread_cache::keep(bytes > 0);
        kept.limit = bytes;
        let freed = if kept.bytes > bytes { kept.empty() } else { Kept::new(0) };
        drop(kept);
        drop(freed);
        if bytes == 0 {
            drop(thread_cache::with(ThreadCache::empty));
        }
    }

    /// Frees what is kept now for all threads, and by this one.
    pub fn clear() {
        let freed = lock(&KEPT).empty();
        drop(freed);
        drop(thread_cache::with(ThreadCache::empty));
    }
}

fn bytes<T>(buffer: &Vec<T>) -> usize {
    buffer.capacity() * size_of::<T>()
}

impl Kept {
    const fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, f32: Vec::new(), f64: Vec::new(), i64: Vec::new(), u8: Vec::new() }
    }

    /// All buffers, which are kept no more.
    fn empty(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.limit))
    }

    /// The smallest buffer of at least `len` elements and at most twice as many, if one is kept; of equal ones that which came last,
    /// the likeliest to be in a cache.
    fn take<T: Recycled>(&mut self, len: usize) -> Option<Vec<T>> {
        let buffers = T::buffers(self);
        let fits = |buffer: &Vec<T>| (len..=len.saturating_mul(2)).contains(&buffer.len());
        let fitting = buffers.iter().enumerate().rev().filter(|(_, buffer)| fits(buffer));
        let place = fitting.min_by_key(|(_, buffer)| buffer.len()).map(|(place, _)| place)?;
        let buffer = buffers.remove(place);
        self.bytes -= bytes(&buffer);
        Some(buffer)
    }

    /// Keeps a buffer; gives back what is too much, to be freed when others can go on.
    #[must_use]
    fn keep<T: Recycled>(&mut self, buffer: Vec<T>) -> (Vec<Vec<T>>, Self) {
        let size = bytes(&buffer);
        if size > self.limit {
            return (vec![buffer], Self::new(0));
        }
        let mut first = Vec::new();
        while !T::buffers(self).is_empty() && (self.bytes + size > self.limit || T::buffers(self).len() >= MOST) {
            let buffer = T::buffers(self).remove(0);
            self.bytes -= bytes(&buffer);
            first.push(buffer);
        }
        let others = if self.bytes + size > self.limit { self.empty() } else { Self::new(0) };
        self.bytes += size;
        T::buffers(self).push(buffer);
        (first, others)
    }
}

/// A buffer of at least `len` initialised elements and at most twice as many, if one is kept.
pub fn take<T: Recycled>(len: usize) -> Option<Vec<T>> {
    if len < SMALLEST / size_of::<T>() { thread_cache::take(len) } else { lock(&KEPT).take(len) }
}

/// Keeps a buffer, all of its elements, for who asks next.
pub fn give_back<T: Recycled>(buffer: Vec<T>) {
    if buffer.len() < SMALLEST / size_of::<T>() {
        thread_cache::give_back(buffer);
    } else {
        let freed = lock(&KEPT).keep(buffer);
        drop(freed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer of so many bytes.
    fn buffer(bytes: usize) -> Vec<f32> {
        vec![1.0; bytes / 4]
    }

    #[test]
    fn the_smallest_buffer_that_fits_is_taken_and_none_twice_too_large() {
        let mut kept = Kept::new(1000);
        for bytes in [400, 160, 80] {
            assert!(kept.keep(buffer(bytes)).0.is_empty());
        }
        assert_eq!(kept.bytes, 640);
        assert!(kept.take::<f32>(19).is_some_and(|buffer| buffer.len() == 20));
        assert!(kept.take::<f32>(19).is_none(), "the next has more than twice as many");
        assert!(kept.take::<f32>(20).is_some_and(|buffer| buffer.len() == 40));
        assert!(kept.take::<f32>(101).is_none() && kept.take::<f64>(50).is_none());
        assert!(kept.take::<f32>(100).is_some_and(|buffer| buffer.len() == 100));
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn of_equal_buffers_the_last_is_taken() {
        let mut kept = Kept::new(1000);
        for x in [1_i64, 2, 3] {
            assert!(kept.keep(vec![x; 10]).0.is_empty());
        }
        assert!([3, 2, 1].iter().all(|x| kept.take::<i64>(10).is_some_and(|buffer| buffer[0] == *x)));
    }

    #[test]
    fn what_is_too_much_is_freed_the_oldest_first() {
        let mut kept = Kept::new(1000);
        for bytes in [400, 500, 600] {
            let (freed, others) = kept.keep(buffer(bytes));
            assert_eq!(freed.len(), if bytes == 600 { 2 } else { 0 });
            assert_eq!(others.bytes, 0);
        }
        assert_eq!(kept.bytes, 600);
        let (freed, others) = kept.keep(vec![0_i64; 100]);
        assert_eq!((freed.len(), others.bytes, kept.bytes), (0, 600, 800));
        let (freed, _) = kept.keep(buffer(1004));
        assert_eq!((freed.len(), kept.bytes), (1, 800));
        assert_eq!((kept.empty().bytes, kept.bytes, kept.limit), (800, 0, 1000));
    }
}
