//! Output memory that is written once.
//!
//! The plain way is `vec![0; n]`, which a kernel then overwrites: each page is written twice where the allocator hands out
//! memory that was used before. Here memory is that of a tensor that was dropped before, and holds what that held; or stays
//! uninitialised until a kernel takes a block of it: to [`Block::fill`] it, register after register, to [`Block::store`] a few registers
//! there, or to [`Block::open`] it, small enough for the first-level cache, where it is zeroed there and then. Main memory is written once,
//! and kernels never see what is uninitialised.

use super::allocate::{count, is_recycled, lent, memory};
use crate::simd::{Arrival, Group, LINE, LONG, Lanes, MOST_LANES, SHORT, Simd, Stream};
use std::mem::MaybeUninit;
use std::slice::ChunksMut;
use std::sync::atomic::{AtomicUsize, Ordering};
use vocabulary::{Error, Result, Tensor};

/// Outputs of so many bytes, in memory that was used before, are written past the caches where kernels fill them: 16 MiB, the half of
/// a large last-level cache, so that the output and what it is computed from are more than that holds. Copying 64 MiB so takes 0.5
/// to 0.7 of the time on Zen 4, 16 MiB 0.4 to 0.5 of it; what reads it next finds it in no cache.
const STREAMED: usize = 1 << 24;

/// The same of outputs that take so many bytes together with what they are computed from: 24 MiB. Of rows 50 KiB apart, 25 MiB take 0.54 ms
/// so on Zen 5, whose last-level cache has 32 MiB, and 0.82 otherwise; 31 MiB 0.9 and 1.2.
const STREAMED_OF_ALL: usize = 24 << 20;

/// A vector on its way: memory for `len` elements, opened block by block.
pub struct Fresh<T> {
    /// Initialised up to `start`, or to the end of the elements, where the memory was used before.
    memory: Vec<T>,
    start: usize,
    len: usize,
    opened: AtomicUsize,
    /// The layer and the argument that an error names.
    whose: (&'static str, &'static str),
}

/// A part of the memory of an output, to be filled, stored or opened by the kernel that writes it. What it is made of is private: that
/// elements of memory that holds nothing yet are counted where they are written, and nowhere else, is what [`Fresh::tensor`] relies on.
/// Others are counted as the blocks are handed out: an atomic operation waits for what was written past the caches, which for lines of
/// 1 KiB takes longer than to write them.
pub struct Block<'a, T> {
    memory: Memory<'a, T>,
    /// The count of elements written, where the memory holds nothing yet.
    written: Option<&'a AtomicUsize>,
    /// Whether it is written past the caches.
    streamed: bool,
}

enum Memory<'a, T> {
    /// Memory that holds nothing yet.
    Fresh(&'a mut [MaybeUninit<T>]),
    /// Memory whose elements are overwritten: the caller's, or that of another tensor before.
    Used(&'a mut [T]),
}

/// A tensor's elements, on their way, in `shape`; `argument` is what an error calls them.
pub fn fresh<T: Lanes>(layer: &'static str, argument: &'static str, shape: &[usize]) -> Result<Fresh<T>> {
    let too_large = || Error::too_large(layer, argument, shape);
    let len = count(shape).ok_or_else(too_large)?;
    let (memory, start) =
        if is_recycled::<T>(len) { memory(len).ok_or_else(too_large)? } else { (Vec::with_capacity(len), 0) };
    Ok(Fresh { memory, start, len, opened: AtomicUsize::new(0), whose: (layer, argument) })
}

impl<T: Lanes> Fresh<T> {
    /// Whether the memory was used before.
    fn is_used(&self) -> bool {
        self.memory.len() >= self.start + self.len
    }

    /// The tensor, where every block was filled or opened; where one was not, all of it is zeros. Of memory that was used before, blocks
    /// that were handed out count, and hold what they held until they are written.
    #[allow(unsafe_code)]
    pub fn tensor(mut self, shape: &[usize]) -> Result<Tensor<T>> {
        let end = self.start + self.len;
        if *self.opened.get_mut() != self.len {
            self.memory.truncate(self.start);
            self.memory.resize(end, T::ZERO);
        } else if !self.is_used() {
            // SAFETY: `opened` was set to 0 when the blocks were made, which are disjoint and cover the `len` elements from
            // `start` on, where the memory holds `start`; a block of memory that holds nothing yet, as this, is consumed by its
            // filling, storing or opening, which initialises all of its elements before it counts them. So a count of `len` says that these
            // elements are initialised; `spare_capacity_mut` was at least that long.
            unsafe { self.memory.set_len(end) };
        }
        let (layer, argument) = self.whose;
        let tensor = match is_recycled::<T>(self.len) {
            true => lent(shape, self.memory, self.start, self.len),
            false => Tensor::from_vec(shape, self.memory),
        };
        tensor.map_err(|error| error.of(layer, argument))
    }
}

/// What a block is filled with. It is a trait, and no closure, since a closure need not be compiled for the instruction set of
/// the kernel that it stands in.
pub trait Source<T: Lanes, S: Simd> {
    /// The registers that are asked for at once: [`SHORT`] or [`LONG`].
    const GROUP: usize = SHORT;
    /// The registers at places N·i to N·i + N − 1.
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N>;
    /// The elements that do not fill a register.
    fn rest(&self, s: S) -> Group<T, S, 1>;
}

impl<'a, T: Lanes> Block<'a, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.memory {
            Memory::Fresh(block) => block.len(),
            Memory::Used(block) => block.len(),
        }
    }

    /// Whether it is written past the caches where it is filled, by an instruction set that has such stores.
    pub fn is_streamed(&self) -> bool {
        match &self.memory {
            Memory::Used(block) => self.streamed && block.as_ptr().addr().is_multiple_of(LINE),
            Memory::Fresh(_) => false,
        }
    }

    /// The elements, for writing: zeros, or what the memory held before.
    pub fn open(self) -> &'a mut [T] {
        match self.memory {
            Memory::Used(block) => block,
            Memory::Fresh(block) => {
                for element in block.iter_mut() {
                    element.write(T::ZERO);
                }
                initialised(block, self.written)
            }
        }
    }

    /// Writes the elements, register after register, in [`threads::for_each`](crate::threads::for_each), after which they are there.
    #[inline(always)]
    pub fn fill<S: Simd>(self, s: S, source: impl Source<T, S>) {
        self.write(s, source);
    }

    /// Writes the elements, register after register, and gives them back, all arrived.
    #[inline(always)]
    pub fn filled<S: Simd>(self, s: S, source: impl Source<T, S>) -> &'a mut [T] {
        let _arrival = Arrival::new();
        self.write(s, source)
    }

    /// Writes the elements, group after group. Nobody touches them before an [`Arrival`] of this thread is dropped.
    #[inline(always)]
    fn write<S: Simd, X: Source<T, S>>(self, s: S, source: X) -> &'a mut [T] {
        const { assert!(X::GROUP == LONG || X::GROUP == SHORT) };
        match X::GROUP {
            LONG => self.write_groups::<S, X, LONG>(s, source),
            _ => self.write_groups::<S, X, SHORT>(s, source),
        }
    }

    #[inline(always)]
    fn write_groups<S: Simd, X: Source<T, S>, const N: usize>(self, s: S, source: X) -> &'a mut [T] {
        match self.memory {
            Memory::Used(block) => {
                let (slots, tail) = T::registers_mut::<S>(block);
                let (groups, count) = (slots.len() / N, slots.len());
                match if self.streamed { Stream::new(slots) } else { Err(slots) } {
                    Ok(mut slots) => {
                        for i in 0..groups {
                            slots.write_group(s, i, source.group::<N>(s, i).registers());
                        }
                        for i in N * groups..count {
                            slots.write_group(s, i, source.group::<1>(s, i).registers());
                        }
                    }
                    Err(slots) => {
                        let (groups, rest) = slots.as_chunks_mut::<N>();
                        let whole = N * groups.len();
                        for (i, slots) in groups.iter_mut().enumerate() {
                            *slots = source.group::<N>(s, i).registers();
                        }
                        for (i, slot) in rest.iter_mut().enumerate() {
                            *slot = source.group::<1>(s, whole + i).register();
                        }
                    }
                }
                if !tail.is_empty() {
                    T::store_partial(s, tail, source.rest(s).register());
                }
                block
            }
            Memory::Fresh(block) => {
                let (slots, tail) = T::uninit_registers_mut::<S>(block);
                let (groups, rest) = slots.as_chunks_mut::<N>();
                let whole = N * groups.len();
                for (i, slots) in groups.iter_mut().enumerate() {
                    *slots = source.group::<N>(s, i).registers().map(MaybeUninit::new);
                }
                for (i, slot) in rest.iter_mut().enumerate() {
                    slot.write(source.group::<1>(s, whole + i).register());
                }
                if !tail.is_empty() {
                    write_partial(s, tail, source.rest(s).register());
                }
                initialised(block, self.written)
            }
        }
    }

    /// Writes the elements, which registers hold, in [`threads::for_each`](crate::threads::for_each), after which they are there, as
    /// [`Block::fill`] does: as many registers as the compiler knows, so that they need not lie in memory before. The last may have more
    /// lanes than elements are left.
    #[inline(always)]
    pub fn store<S: Simd, const N: usize>(self, s: S, registers: [T::Register<S>; N]) {
        const { assert!(N > 0) };
        // A block that counts as written is written whole.
        assert_eq!(self.len().div_ceil(T::lanes::<S>()), N);
        let of_all = self.len().is_multiple_of(T::lanes::<S>());
        match self.memory {
            Memory::Used(block) => {
                let (slots, tail) = T::registers_mut::<S>(block);
                match if of_all && self.streamed { Stream::new(slots) } else { Err(slots) } {
                    Ok(mut slots) => slots.write_group(s, 0, registers),
                    Err(slots) if of_all => slots.copy_from_slice(&registers),
                    Err(slots) => {
                        slots.copy_from_slice(&registers[..N - 1]);
                        T::store_partial(s, tail, registers[N - 1]);
                    }
                }
            }
            Memory::Fresh(block) => {
                let (slots, tail) = T::uninit_registers_mut::<S>(block);
                for i in 0..N - 1 {
                    slots[i].write(registers[i]);
                }
                if of_all {
                    slots[N - 1].write(registers[N - 1]);
                } else {
                    write_partial(s, tail, registers[N - 1]);
                }
                initialised(block, self.written);
            }
        }
    }

    /// The first `len` elements, which are not more than it has, and the others.
    pub fn split_at(self, len: usize) -> (Self, Self) {
        let Self { memory, written, streamed } = self;
        let streamed_on = streamed && is_whole_lines::<T>(len);
        let (first, second) = match memory {
            Memory::Fresh(block) => {
                let (first, second) = block.split_at_mut(len);
                (Memory::Fresh(first), Memory::Fresh(second))
            }
            Memory::Used(block) => {
                let (first, second) = block.split_at_mut(len);
                (Memory::Used(first), Memory::Used(second))
            }
        };
        (Self { memory: first, written, streamed }, Self { memory: second, written, streamed: streamed_on })
    }

    /// The block in smaller ones of `size` elements (the last may be smaller).
    pub fn split(self, size: usize) -> impl Iterator<Item = Block<'a, T>> {
        let Self { memory, written, streamed } = self;
        let streamed = streamed && is_whole_lines::<T>(size);
        let chunks = match memory {
            Memory::Fresh(block) => Chunks::Fresh(block.chunks_mut(size)),
            Memory::Used(block) => Chunks::Used(block.chunks_mut(size)),
        };
        Blocks { chunks, written, streamed }
    }
}

impl<'a, T: Lanes> From<&'a mut [T]> for Block<'a, T> {
    /// Memory whose elements are overwritten, in caches.
    fn from(memory: &'a mut [T]) -> Self {
        Self { memory: Memory::Used(memory), written: None, streamed: false }
    }
}

/// All of an output's memory, whose elements are overwritten, as a block that is written past the caches, where they would not hold it
/// together with the `read` elements that it is computed from.
pub fn past_caches<T: Lanes>(memory: &mut [T], read: usize) -> std::result::Result<Block<'_, T>, &mut [T]> {
    match is_streamed_beside::<T>(read, memory.len()) {
        true => Ok(Block { streamed: true, ..Block::from(memory) }),
        false => Err(memory),
    }
}

/// The first lanes of a register.
#[inline(always)]
fn write_partial<T: Lanes, S: Simd>(s: S, tail: &mut [MaybeUninit<T>], register: T::Register<S>) {
    let mut elements = [T::ZERO; MOST_LANES];
    let elements = &mut elements[..tail.len()];
    T::store_partial(s, elements, register);
    for (slot, element) in tail.iter_mut().zip(&*elements) {
        slot.write(*element);
    }
}

fn count_written(written: Option<&AtomicUsize>, len: usize) {
    if let Some(written) = written {
        written.fetch_add(len, Ordering::Relaxed);
    }
}

/// Memory every element of which was initialised before the call; counts them.
#[inline(always)]
#[allow(unsafe_code)]
fn initialised<'a, T: Lanes>(block: &'a mut [MaybeUninit<T>], written: Option<&AtomicUsize>) -> &'a mut [T] {
    count_written(written, block.len());
    // SAFETY: the callers, `Block::open`, `Block::write_groups` and `Block::store`, have written every element, and MaybeUninit<T> has
    // T's layout.
    unsafe { &mut *(std::ptr::from_mut(block) as *mut [T]) }
}

/// The memory of an output, whosever it is.
pub enum Output<'a, T> {
    /// Memory of a tensor on its way.
    Fresh(&'a mut Fresh<T>),
    /// Memory of the caller's.
    Given(&'a mut [T]),
}

impl<T: Lanes> Output<'_, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Fresh(fresh) => fresh.len,
            Self::Given(memory) => memory.len(),
        }
    }

    /// All of the memory, in blocks of `size` elements (the last may be smaller).
    pub fn blocks(&mut self, size: usize) -> Blocks<'_, T> {
        let streamed = is_streamed::<T>(self.len());
        self.blocks_that(streamed, size)
    }

    /// The same, written past the caches where these would not hold them together with the `read` elements that they are computed from.
    pub fn blocks_beside(&mut self, read: usize, size: usize) -> Blocks<'_, T> {
        let streamed = is_streamed_beside::<T>(read, self.len());
        self.blocks_that(streamed, size)
    }

    fn blocks_that(&mut self, streamed: bool, size: usize) -> Blocks<'_, T> {
        let size = size.max(1);
        let streamed = streamed && is_whole_lines::<T>(size);
        match self {
            Self::Fresh(fresh) => {
                let used = fresh.is_used();
                let Fresh { memory, start, len, opened, .. } = &mut **fresh;
                *opened.get_mut() = 0;
                let chunks = match used {
                    true => Chunks::Used(memory[*start..*start + *len].chunks_mut(size)),
                    false => Chunks::Fresh(memory.spare_capacity_mut()[..*len].chunks_mut(size)),
                };
                Blocks { chunks, written: Some(opened), streamed }
            }
            Self::Given(memory) => Blocks { chunks: Chunks::Used(memory.chunks_mut(size)), written: None, streamed },
        }
    }
}

/// Whether so many elements are whole cache lines. Of blocks that are not, some would begin within a register, where nothing is written
/// past the caches: of these all are written in them, as to go from the one to the other and back takes longer than either.
fn is_whole_lines<T>(len: usize) -> bool {
    (len * size_of::<T>()).is_multiple_of(LINE)
}

fn is_streamed_beside<T>(read: usize, len: usize) -> bool {
    len.saturating_add(read) >= STREAMED_OF_ALL / size_of::<T>()
}

fn is_streamed<T>(len: usize) -> bool {
    len >= STREAMED / size_of::<T>()
}

/// The blocks of an output, one after the other.
pub struct Blocks<'a, T> {
    chunks: Chunks<'a, T>,
    written: Option<&'a AtomicUsize>,
    streamed: bool,
}

enum Chunks<'a, T> {
    Fresh(ChunksMut<'a, MaybeUninit<T>>),
    Used(ChunksMut<'a, T>),
}

impl<'a, T> Iterator for Blocks<'a, T> {
    type Item = Block<'a, T>;

    fn next(&mut self) -> Option<Block<'a, T>> {
        let (memory, written) = match &mut self.chunks {
            Chunks::Fresh(blocks) => (Memory::Fresh(blocks.next()?), self.written),
            Chunks::Used(blocks) => {
                let block = blocks.next()?;
                count_written(self.written, block.len());
                (Memory::Used(block), None)
            }
        };
        Some(Block { memory, written, streamed: self.streamed })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.chunks {
            Chunks::Fresh(blocks) => blocks.size_hint(),
            Chunks::Used(blocks) => blocks.size_hint(),
        }
    }
}

impl<T> ExactSizeIterator for Blocks<'_, T> {}

#[cfg(test)]
mod tests;
