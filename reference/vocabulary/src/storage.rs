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

/// How many elements more than `count` are reserved, so that these can begin at a cache line: none where they are less than one, or do
/// not fill whole ones.
fn more<T>(count: usize) -> usize {
    let size = size_of::<T>().max(1);
    if count >= LINE / size && LINE.is_multiple_of(size) { LINE / size } else { 0 }
}

/// Elements from an address on that is a multiple of a cache line, so that no register of them lies in two.
impl<T: Clone> Storage<T> {
    /// `count` equal elements.
    pub fn full(count: usize, value: T) -> Self {
        let more = more::<T>(count);
        let memory = vec![value; count.saturating_add(more)];
        let start = memory.as_ptr().align_offset(LINE).min(more);
        Self { place: start..start + count, memory, give_back: None }
    }

    /// The first `count` elements, or all.
    pub fn collect(count: usize, mut elements: impl Iterator<Item = T>) -> Self {
        let more = more::<T>(count);
        let mut memory: Vec<T> = Vec::with_capacity(count.saturating_add(more));
        let start = memory.as_ptr().align_offset(LINE).min(more);
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
    use super::{LINE, Storage};

    #[test]
    fn elements_begin_at_a_cache_line_where_they_fill_one() {
        for count in [16, 17, 1000, 100_000] {
            let collected = Storage::collect(count, (0..count + 3).map(|i| i as f32));
            assert!(collected.as_slice().iter().copied().eq((0..count).map(|i| i as f32)));
            let full = Storage::full(count, 0.5_f64);
            assert_eq!(full.as_slice(), vec![0.5; count]);
            for address in [collected.as_slice().as_ptr().addr(), full.as_slice().as_ptr().addr()] {
                assert!(address.is_multiple_of(LINE), "{count} elements at {address:#x}");
            }
            let copy = collected.clone();
            assert!(copy.as_slice() == collected.as_slice() && copy.as_slice().as_ptr().addr().is_multiple_of(LINE));
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
