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

impl<T: Clone> Storage<T> {
    /// `count` equal elements, from an address on that is a multiple of a cache line, where they fill whole ones.
    pub fn full(count: usize, value: T) -> Self {
        let more = if LINE.is_multiple_of(size_of::<T>().max(1)) { LINE / size_of::<T>().max(1) } else { 0 };
        let memory = vec![value; count.saturating_add(more)];
        let start = memory.as_ptr().align_offset(LINE).min(more);
        Self { place: start..start + count, memory, give_back: None }
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
        self.as_slice().to_vec().into()
    }
}
