//! What holds a tensor's elements, and who is given the memory when no tensor holds them any more.

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
    let size = size_of::<T>().max(1);
    match count.saturating_mul(size) {
        _ if !LINE.is_multiple_of(size) => 1,
        ..LINE => 1,
        LINE..LARGE => LINE,
        LARGE.. => PAGE,
    }
}

/// Elements of which those that fill a cache line begin at one.
impl<T: Clone> Storage<T> {
    /// `count` equal elements.
    pub fn full(count: usize, value: T) -> Self {
        let alignment = alignment::<T>(count);
        let more = alignment / size_of::<T>().max(1);
        let memory = vec![value; count.saturating_add(more)];
        let start = memory.as_ptr().align_offset(alignment).min(more);
        Self { place: start..start + count, memory, give_back: None }
    }

    /// The first `count` elements, or all.
    pub fn collect(count: usize, mut elements: impl Iterator<Item = T>) -> Self {
        let alignment = alignment::<T>(count);
        let more = alignment / size_of::<T>().max(1);
        let mut memory: Vec<T> = Vec::with_capacity(count.saturating_add(more));
        let start = memory.as_ptr().align_offset(alignment).min(more);
        if let Some(first) = elements.next() {
            memory.resize(start + 1, first);
            memory.extend(elements.take(count.saturating_sub(1)));
        }
        Self { place: start.min(memory.len())..memory.len(), memory, give_back: None }
    }
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
        Self::collect(self.as_slice().len(), self.as_slice().iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::Storage;

    #[test]
    fn elements_begin_at_a_cache_line_or_a_page() {
        for (count, alignment) in [(16, 64), (17, 64), (8192, 64), (16_384, 4096), (100_000, 4096)] {
            assert_eq!(super::alignment::<f32>(count), alignment);
            let collected = Storage::collect(count, (0..count + 3).map(|i| i as f32));
            assert!(collected.as_slice().iter().copied().eq((0..count).map(|i| i as f32)));
            let full = Storage::full(count, 0.5_f32);
            assert_eq!(full.as_slice(), vec![0.5; count]);
            let copy = collected.clone();
            assert!(copy.as_slice() == collected.as_slice());
            for address in [&collected, &full, &copy].map(|storage| storage.as_slice().as_ptr().addr()) {
                assert!(address.is_multiple_of(alignment), "{count} elements at {address:#x}");
            }
            assert_eq!(collected.into_vec(), copy.as_slice());
        }
    }

    #[test]
    fn few_elements_and_such_as_fill_no_line_are_elements_too() {
        assert!(Storage::<f32>::collect(0, std::iter::empty()).as_slice().is_empty());
        assert_eq!(Storage::collect(15, 0..15_i32).into_vec(), Vec::from_iter(0..15));
        assert_eq!(
            Storage::collect(100, (0..100_u8).map(|i| [i; 3])).into_vec(),
            Vec::from_iter((0..100).map(|i| [i; 3]))
        );
        assert_eq!(Storage::collect(9, (0..9).map(|i| [i; 17])).into_vec(), Vec::from_iter((0..9).map(|i| [i; 17])));
        assert_eq!(Storage::collect(40, (0..40).map(|_| ())).into_vec().len(), 40);
        assert_eq!(Storage::collect(9, 0..5).into_vec(), [0, 1, 2, 3, 4]);
    }
}
