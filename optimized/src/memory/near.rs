//! The memory of small tensors, kept by the thread that drops them.
//!
//! The plain way is to free it. It comes from pages that were touched; but to join and to split what lies side by side takes the allocator
//! as long, here and there, as ReLU takes for a thousand numbers. So each thread keeps a little, which it need not lock, and results
//! begin at a cache line, as large ones do.

use super::recycler::Recycled;
use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// Memory of fewer bytes is left to the allocator, which keeps that itself, for each thread.
pub const SMALLEST: usize = 1 << 10;

/// The buffers of a type that a thread keeps: it looks through them at each call.
const PLACES: usize = 8;

/// Buffers that are not in use, all of their elements initialised; empty ones where there is none.
pub struct Near {
    pub(super) f32: [Vec<f32>; PLACES],
    pub(super) f64: [Vec<f64>; PLACES],
    pub(super) i64: [Vec<i64>; PLACES],
    pub(super) u8: [Vec<u8>; PLACES],
    /// The place of the buffer that the next one replaces, where there is one everywhere.
    oldest: usize,
}

thread_local! {
    static NEAR: RefCell<Near> = const { RefCell::new(Near::new()) };
}

/// Whether threads keep anything.
static IS_KEPT: AtomicBool = AtomicBool::new(true);

impl Near {
    const fn new() -> Self {
        Self {
            f32: [const { Vec::new() }; PLACES],
            f64: [const { Vec::new() }; PLACES],
            i64: [const { Vec::new() }; PLACES],
            u8: [const { Vec::new() }; PLACES],
            oldest: 0,
        }
    }

    /// The bytes that are kept.
    pub fn bytes(&mut self) -> usize {
        fn of<T>(buffers: &[Vec<T>]) -> usize {
            buffers.iter().map(|buffer| buffer.capacity() * size_of::<T>()).sum()
        }
        of(&self.f32) + of(&self.f64) + of(&self.i64) + of(&self.u8)
    }

    /// All buffers, which are kept no more.
    pub fn empty(&mut self) -> Self {
        mem::replace(self, Self::new())
    }

    /// The first buffer of at least `len` elements and at most twice as many, if one is kept.
    fn take<T: Recycled>(&mut self, len: usize) -> Option<Vec<T>> {
        let fits = |buffer: &&mut Vec<T>| (len..=2 * len).contains(&buffer.len());
        T::places(self).iter_mut().find(fits).map(mem::take)
    }

    /// Keeps a buffer; gives back the one that it replaces.
    fn keep<T: Recycled>(&mut self, buffer: Vec<T>) -> Vec<T> {
        let oldest = self.oldest;
        let places = T::places(self);
        if let Some(place) = places.iter_mut().find(|place| place.is_empty()) {
            return mem::replace(place, buffer);
        }
        let replaced = mem::replace(&mut places[oldest], buffer);
        self.oldest = (oldest + 1) % PLACES;
        replaced
    }
}

/// What `of` finds in what this thread keeps, unless the thread is ending.
pub fn with<R>(of: impl FnOnce(&mut Near) -> R) -> Option<R> {
    NEAR.try_with(|near| of(&mut near.borrow_mut())).ok()
}

/// Says whether threads keep anything; where they do not, this one frees what it has.
pub fn keep(is_kept: bool) {
    IS_KEPT.store(is_kept, Ordering::Relaxed);
    if !is_kept {
        drop(with(Near::empty));
    }
}

/// A buffer of at least `len` initialised elements, fewer than are kept for all threads, and at most twice as many.
#[inline]
pub fn take<T: Recycled>(len: usize) -> Option<Vec<T>> {
    with(|near| near.take(len)).flatten()
}

/// Keeps a buffer, all of its elements.
#[inline]
pub fn give_back<T: Recycled>(buffer: Vec<T>) {
    if IS_KEPT.load(Ordering::Relaxed) {
        drop(with(|near| near.keep(buffer)));
    } else {
        drop(with(Near::empty));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{fresh, unwritten};
    use std::thread;

    #[test]
    fn the_first_buffer_that_fits_is_taken_and_none_twice_too_large() {
        let mut near = Near::new();
        for len in [500, 300, 400] {
            assert!(near.keep(vec![len as f32; len]).is_empty());
        }
        assert_eq!(near.bytes(), 4800);
        assert!(near.take::<f32>(501).is_none() && near.take::<f32>(149).is_none() && near.take::<f64>(300).is_none());
        assert_eq!(near.take::<f32>(150).unwrap(), [300.0; 300]);
        assert_eq!(near.take::<f32>(350).unwrap(), [500.0; 500]);
        assert_eq!(near.take::<f32>(400).unwrap(), [400.0; 400]);
        assert_eq!(near.bytes(), 0);
    }

    #[test]
    fn where_places_are_taken_the_oldest_is_replaced() {
        let mut near = Near::new();
        for i in 0..PLACES + 3 {
            let replaced = near.keep(vec![i as i64; 256 + i]);
            assert_eq!(replaced.first().copied(), i.checked_sub(PLACES).map(|i| i as i64));
        }
        assert_eq!(near.empty().bytes(), 8 * (3..PLACES + 3).map(|i| 256 + i).sum::<usize>());
        assert_eq!(near.bytes(), 0);
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
        assert!(with(Near::bytes).unwrap() >= 8000);
        assert_ne!(thread::spawn(move || of().0).join().unwrap(), place);
        assert_eq!(of().0, place);
        let memory = fresh::<f64>("Test", "output", &[1000]).unwrap();
        assert_eq!(memory.tensor(&[1000]).unwrap().as_slice(), [0.0; 1000], "what is not written is zero");
    }

    #[test]
    fn smaller_memory_is_the_allocators() {
        drop(with(Near::empty));
        drop(unwritten::<u8>("Test", "output", &[SMALLEST - 1]).unwrap());
        assert_eq!(with(Near::bytes), Some(0));
        drop(unwritten::<u8>("Test", "output", &[SMALLEST]).unwrap());
        assert!(with(Near::bytes).unwrap() >= SMALLEST);
    }
}
