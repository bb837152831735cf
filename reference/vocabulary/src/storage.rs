//! What holds a tensor's elements, and who is given the memory when no tensor holds them any more.

use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;
use std::mem::needs_drop;
use std::ops::Range;

/// Elements, a part of a vector's memory.
pub struct Storage<T> {
    memory: Vec<T>,
    /// Where the elements are in there.
    place: Range<usize>,
    /// Who is given the memory; it is freed where nobody is named.
    give_back: Option<fn(Vec<T>)>,
}

impl<T> Storage<T> {
    /// The elements in `place`, which lies in the vector, whose memory is then given to `give_back`.
    pub fn lent(memory: Vec<T>, place: Range<usize>, give_back: fn(Vec<T>)) -> Self {
        debug_assert!(memory.get(place.clone()).is_some());
        Self { memory, place, give_back: Some(give_back) }
    }

    pub fn as_slice(&self) -> &[T] {
        &self.memory[self.place.clone()]
    }

    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.memory[self.place.clone()]
    }

    /// The elements, moved to the start of their memory, which is the caller's from then on.
    pub fn into_vec(mut self) -> Vec<T> {
        self.give_back = None;
        let mut memory = std::mem::take(&mut self.memory);
        memory.truncate(self.place.end);
        memory.drain(..self.place.start);
        memory
    }
}

/// The size of a cache line, in bytes.
const LINE: usize = 64;

/// The size of a page.
const PAGE: usize = 1 << 12;

/// Bytes of elements from which on these begin at a page.
const LARGE: usize = 1 << 16;

/// What `count` elements begin at a multiple of, in bytes: see [`Tensor::alignment`](crate::Tensor::alignment).
pub fn alignment<T>(count: usize) -> usize {
    // What comes before the elements are copies of one of them, which must mean nothing.
    let fits = size_of::<T>() > 0 && LINE.is_multiple_of(size_of::<T>()) && !needs_drop::<T>();
    match count.saturating_mul(size_of::<T>()) {
        LARGE.. if fits => PAGE,
        LINE.. if fits => LINE,
        _ => 1,
    }
}

/// As many elements as may come before `count` of them, so that these begin where they should.
fn more<T>(count: usize) -> usize {
    (alignment::<T>(count) - 1) / size_of::<T>().max(1)
}

/// How many come before them in memory that begins there.
fn start<T>(count: usize, memory: *const T) -> usize {
    memory.align_offset(alignment::<T>(count)).min(more::<T>(count))
}

/// Room for `count` elements and what comes before them, where it can be had.
fn reserved<T>(count: usize) -> Option<Vec<T>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(count.checked_add(more::<T>(count))?).ok()?;
    Some(memory)
}

/// Elements that begin at a multiple of their [`alignment`].
impl<T: Clone> Storage<T> {
    /// `count` equal elements, where there is room for them.
    pub fn full(count: usize, value: T) -> Option<Self> {
        // Much is tried first, since `vec!` aborts where memory cannot be had; `vec!` itself then takes fresh pages of zeros where it can,
        // which a loop that writes each element could not.
        if count.saturating_mul(size_of::<T>()) >= LARGE {
            drop(black_box(reserved::<T>(count)?));
        }
        let memory = vec![value; count + more::<T>(count)];
        let start = start(count, memory.as_ptr());
        Some(Self { place: start..start + count, memory, give_back: None })
    }

    /// The first `count` elements that an iterator gives, which has so many, where there is room for them.
    pub fn collect(count: usize, elements: impl Iterator<Item = T>) -> Option<Self> {
        let mut elements = elements.take(count);
        let mut memory = reserved(count)?;
        let start = start(count, memory.as_ptr());
        if let Some(first) = elements.next() {
            memory.resize(start + 1, first);
            memory.extend(elements);
        }
        let place = start.min(memory.len())..memory.len();
        debug_assert_eq!(place.len(), count);
        Some(Self { place, memory, give_back: None })
    }
}

/// For those who cannot refuse: ends the program as a vector does that cannot grow.
pub fn out_of_memory<T>(count: usize) -> ! {
    handle_alloc_error(Layout::array::<T>(count).unwrap_or(Layout::new::<T>()))
}

impl<T> From<Vec<T>> for Storage<T> {
    fn from(memory: Vec<T>) -> Self {
        Self { place: 0..memory.len(), memory, give_back: None }
    }
}

impl<T> Drop for Storage<T> {
    fn drop(&mut self) {
        if let Some(give_back) = self.give_back {
            give_back(std::mem::take(&mut self.memory));
        }
    }
}

/// The elements alone, in memory of their own.
impl<T: Clone> Clone for Storage<T> {
    fn clone(&self) -> Self {
        let elements = self.as_slice();
        let mut memory = reserved(elements.len()).unwrap_or_else(|| out_of_memory::<T>(elements.len()));
        let start = start(elements.len(), memory.as_ptr());
        if let Some(first) = elements.first() {
            memory.resize(start, first.clone());
            memory.extend_from_slice(elements);
        }
        Self { place: start.min(memory.len())..memory.len(), memory, give_back: None }
    }
}

#[cfg(test)]
mod tests {
    use super::Storage;
    use std::rc::Rc;

    #[test]
    fn elements_begin_at_a_cache_line_or_a_page() {
        for (count, alignment) in [(15, 1), (16, 64), (17, 64), (16_383, 64), (16_384, 4096), (100_000, 4096)] {
            assert_eq!(super::alignment::<f32>(count), alignment);
            let collected = Storage::collect(count, (0..count + 3).map(|i| i as f32)).unwrap();
            assert!(collected.as_slice().iter().copied().eq((0..count).map(|i| i as f32)));
            let full = Storage::full(count, 0.5_f32).unwrap();
            assert_eq!(full.as_slice(), vec![0.5; count]);
            let copy = collected.clone();
            assert!(copy.as_slice() == collected.as_slice());
            for address in [&collected, &full, &copy].map(|storage| storage.as_slice().as_ptr().addr()) {
                assert!(address.is_multiple_of(alignment), "{count} elements at {address:#x}");
            }
            assert_eq!(collected.into_vec(), copy.as_slice());
        }
    }

    fn are_kept<T: Clone + PartialEq>(elements: &[T]) {
        assert_eq!(super::alignment::<T>(elements.len()), 1);
        let storage = Storage::collect(elements.len(), elements.iter().cloned()).unwrap();
        assert!(storage.as_slice() == elements && storage.clone().into_vec() == elements);
        if let [first, ..] = elements {
            let full = Storage::full(elements.len(), first.clone()).unwrap();
            assert!(full.as_slice().len() == elements.len() && full.as_slice().iter().all(|x| x == first));
        }
    }

    #[test]
    fn few_elements_and_such_as_fill_no_line_are_elements_too() {
        are_kept::<f32>(&[]);
        are_kept(&Vec::from_iter(0..15_i32));
        are_kept(&Vec::from_iter((0..100_u8).map(|i| [i; 3])));
        are_kept(&Vec::from_iter((0..9).map(|i| [i; 17])));
        are_kept(&[(); 64]);
        are_kept(&[(); 1 << 16]);
    }

    #[test]
    fn elements_that_own_something_are_not_copied_to_come_before_others() {
        let one = Rc::new(1);
        let all = Storage::collect(1 << 14, (0..1 << 14).map(|_| Rc::clone(&one))).unwrap();
        assert_eq!(Rc::strong_count(&one), (1 << 14) + 1);
        drop(all);
        are_kept(&vec![one; 100]);
    }

    #[test]
    fn what_there_is_no_room_for_is_refused() {
        assert!(Storage::full(usize::MAX / 8, 1.0_f64).is_none());
        assert!(Storage::full(1 << 60, 1_u8).is_none());
        assert!(Storage::collect(usize::MAX, std::iter::repeat(1_u8)).is_none());
        assert!(Storage::collect(1 << 60, std::iter::repeat(1_u8)).is_none());
    }
}
