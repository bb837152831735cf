//! A thread's own memory for small tensors: what it drops, it keeps.
//!
//! The plain way is to free it. But to coalesce chunks and to split them again takes the allocator as long, here and there, as ReLU takes
//! for a thousand numbers: on Zen 4 these took 0.14 to 0.29 µs, from one run to another, and 0.12 to 0.19 so. What a thread keeps, it need
//! not lock; and results begin at a cache line.

use super::recycler::Recycled;
use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// Memory of fewer bytes is left to the allocator, which keeps that by thread itself: glibc's up to 1,032 bytes.
pub const SMALLEST: usize = 1 << 10;

/// The buffers of a type that a thread keeps: as many as a backward of RNN or GRU of two layers in both directions gives gradients. Most
/// calls find theirs in the first.
const SLOTS: usize = 16;

/// Buffers that are not in use, all of their elements initialised, those that came last first; empty ones in slots that hold none.
pub struct ThreadCache {
    pub(super) f32: [Vec<f32>; SLOTS],
    pub(super) f64: [Vec<f64>; SLOTS],
    pub(super) i64: [Vec<i64>; SLOTS],
    pub(super) u8: [Vec<u8>; SLOTS],
}

thread_local! {
    static CACHE: RefCell<ThreadCache> = const { RefCell::new(ThreadCache::new()) };
}

/// Whether threads keep anything.
static IS_KEPT: AtomicBool = AtomicBool::new(true);

impl ThreadCache {
    const fn new() -> Self {
        Self {
            f32: [const { Vec::new() }; SLOTS],
            f64: [const { Vec::new() }; SLOTS],
            i64: [const { Vec::new() }; SLOTS],
            u8: [const { Vec::new() }; SLOTS],
        }
    }

    /// The bytes that are kept.
    pub fn bytes(&self) -> usize {
        fn of<T>(slots: &[Vec<T>]) -> usize {
            slots.iter().map(|buffer| buffer.capacity() * size_of::<T>()).sum()
        }
        of(&self.f32) + of(&self.f64) + of(&self.i64) + of(&self.u8)
    }

    /// All buffers, which are kept no more.
    pub fn empty(&mut self) -> Self {
        mem::replace(self, Self::new())
    }

    /// The newest buffer of at least `len` elements and at most twice as many, if one is kept.
    fn take<T: Recycled>(&mut self, len: usize) -> Option<Vec<T>> {
        let fits = |buffer: &&mut Vec<T>| (len..=2 * len).contains(&buffer.len());
        T::slots(self).iter_mut().find(fits).map(mem::take)
    }

    /// Keeps a buffer; gives back the oldest of its type, where each slot held one.
    fn keep<T: Recycled>(&mut self, buffer: Vec<T>) -> Vec<T> {
        let slots = T::slots(self);
        let end = slots.iter().position(Vec::is_empty).unwrap_or(SLOTS - 1);
        slots[..=end].rotate_right(1);
        mem::replace(&mut slots[0], buffer)
    }
}

/// What `of` finds in what this thread keeps, unless the thread is ending.
pub fn with<R>(of: impl FnOnce(&mut ThreadCache) -> R) -> Option<R> {
    CACHE.try_with(|cache| of(&mut cache.borrow_mut())).ok()
}

/// Says whether threads keep anything; where they do not, what they have is freed when they next drop such a tensor.
pub fn keep(is_kept: bool) {
    IS_KEPT.store(is_kept, Ordering::Relaxed);
}

/// A buffer of at least `len` initialised elements, fewer than are kept for all threads, and at most twice as many.
#[inline]
pub fn take<T: Recycled>(len: usize) -> Option<Vec<T>> {
    with(|cache| cache.take(len)).flatten()
}

/// Keeps a buffer, all of its elements.
#[inline]
pub fn give_back<T: Recycled>(buffer: Vec<T>) {
    if IS_KEPT.load(Ordering::Relaxed) {
        drop(with(|cache| cache.keep(buffer)));
    } else {
        drop(with(ThreadCache::empty));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{fresh, unwritten};
    use std::thread;

    #[test]
    fn the_newest_buffer_that_fits_is_taken_and_none_twice_too_large() {
        let mut cache = ThreadCache::new();
        for len in [500, 300, 400] {
            assert!(cache.keep(vec![len as f32; len]).is_empty());
        }
        assert_eq!(cache.bytes(), 4800);
        assert!(
            cache.take::<f32>(501).is_none() && cache.take::<f32>(149).is_none() && cache.take::<f64>(300).is_none()
        );
        assert_eq!(cache.take::<f32>(150).unwrap(), [300.0; 300]);
        assert_eq!(cache.take::<f32>(350).unwrap(), [400.0; 400]);
        assert_eq!(cache.take::<f32>(350).unwrap(), [500.0; 500]);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn where_all_slots_hold_buffers_the_oldest_of_the_type_is_replaced() {
        let mut cache = ThreadCache::new();
        let buffer = |i: i64| vec![i; 256];
        for i in 0..SLOTS as i64 {
            assert!(cache.keep(buffer(i)).is_empty() && cache.keep(vec![0_u8; 2000]).is_empty());
        }
        assert_eq!(cache.keep(vec![1_u8; 2000]), [0; 2000]);
        assert_eq!(cache.keep(buffer(50)), buffer(0));
        // What is taken and kept again is the newest.
        let newest = cache.take::<i64>(256).unwrap();
        assert_eq!(newest, buffer(50));
        assert!(cache.keep(newest).is_empty());
        for i in 1..SLOTS as i64 {
            assert_eq!(cache.keep(buffer(50 + i)), buffer(i));
        }
        assert_eq!(cache.keep(buffer(0)), buffer(50));
        assert_eq!(cache.empty().bytes(), SLOTS * (2048 + 2000));
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn a_thread_gets_back_what_it_dropped_and_no_other_does() {
        let of = || {
            let tensor = unwritten::<f64>("Test", "output", &[1000]).unwrap();
            (tensor.as_slice().as_ptr().addr(), tensor)
        };
        let (place, tensor) = of();
        assert_eq!(place % 64, 0);
        drop(tensor);
        assert!(with(|cache| cache.bytes()).unwrap() >= 8000);
        assert_ne!(thread::spawn(move || of().0).join().unwrap(), place);
        assert_eq!(of().0, place);
        let memory = fresh::<f64>("Test", "output", &[1000]).unwrap();
        assert_eq!(memory.tensor(&[1000]).unwrap().as_slice(), [0.0; 1000], "what is not written is zero");
    }

    #[test]
    fn smaller_memory_is_the_allocators() {
        drop(with(ThreadCache::empty));
        drop(unwritten::<u8>("Test", "output", &[SMALLEST - 1]).unwrap());
        assert_eq!(with(|cache| cache.bytes()), Some(0));
        drop(unwritten::<u8>("Test", "output", &[SMALLEST]).unwrap());
        assert!(with(|cache| cache.bytes()).unwrap() >= SMALLEST);
    }
}
