//! Output memory that is written once.
//!
//! The plain way is `vec![0; n]`, which a kernel then overwrites: each page is written twice where the allocator hands out
//! memory that was used before. Here memory stays uninitialised until a kernel takes a block of it: to [`Block::fill`] it,
//! register after register, or to [`Block::open`] it, small enough for the first-level cache, where it is zeroed there and
//! then. Main memory is written once, and kernels never see what is uninitialised.

use crate::simd::{Lanes, MOST_LANES, Simd};
use std::mem::MaybeUninit;
use std::slice::ChunksMut;
use std::sync::atomic::{AtomicUsize, Ordering};
use vocabulary::{Error, Result, Tensor};

/// A vector on its way: memory for `len` elements, opened block by block.
pub struct Fresh<T> {
    elements: Vec<T>,
    len: usize,
    opened: AtomicUsize,
    /// The layer and the argument that an error names.
    whose: (&'static str, &'static str),
}

/// A part of the memory of an output, to be filled or opened by the kernel that writes it. What it is made of is private: that
/// elements are counted where they are initialised, and nowhere else, is what [`Fresh::tensor`] relies on.
pub struct Block<'a, T>(Memory<'a, T>);

enum Memory<'a, T> {
    /// Memory that holds nothing yet, and the count of elements opened.
    Fresh(&'a mut [MaybeUninit<T>], &'a AtomicUsize),
    /// Memory of the caller's, whose elements are overwritten.
    Given(&'a mut [T]),
}

/// The number of elements of `shape`, where no product of its sizes overflows.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size.max(1))).map(|_| shape.iter().product())
}

/// A tensor's elements, on their way, in `shape`; `argument` is what an error calls them.
pub fn fresh<T: Lanes>(layer: &'static str, argument: &'static str, shape: &[usize]) -> Result<Fresh<T>> {
    let too_large = || Error::too_large(layer, argument, shape);
    let len = count(shape).ok_or_else(too_large)?;
    let mut elements = Vec::new();
    elements.try_reserve_exact(len).map_err(|_| too_large())?;
    Ok(Fresh { elements, len, opened: AtomicUsize::new(0), whose: (layer, argument) })
}

impl<T: Lanes> Fresh<T> {
    /// The tensor, where every block was filled or opened; where one was not, all of it is zeros.
    #[allow(unsafe_code)]
    pub fn tensor(mut self, shape: &[usize]) -> Result<Tensor<T>> {
        if *self.opened.get_mut() == self.len {
            // SAFETY: `opened` was set to 0 when the blocks were made, which are disjoint and cover the first `len`
            // elements; a block is consumed by its filling or opening, which initialises all of its elements before it
            // counts them. So a count of `len` says that the first `len` elements are initialised; `spare_capacity_mut`
            // was at least that long.
            unsafe { self.elements.set_len(self.len) };
        } else {
            self.elements.resize(self.len, T::ZERO);
        }
        let (layer, argument) = self.whose;
        Tensor::from_vec(shape, self.elements).map_err(|error| error.of(layer, argument))
    }
}

/// What a block is filled with. It is a trait, and no closure, since a closure need not be compiled for the instruction set of
/// the kernel that it stands in.
pub trait Source<T: Lanes, S: Simd> {
    /// The registers at places 4i to 4i + 3.
    fn four(&self, s: S, i: usize) -> [T::Register<S>; 4];
    /// The register at place `i`.
    fn register(&self, s: S, i: usize) -> T::Register<S>;
    /// The elements that do not fill a register.
    fn rest(&self, s: S) -> T::Register<S>;
}

impl<'a, T: Lanes> Block<'a, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Memory::Fresh(block, _) => block.len(),
            Memory::Given(block) => block.len(),
        }
    }

    /// The elements, for writing: zeros, or what the caller's memory held.
    pub fn open(self) -> &'a mut [T] {
        match self.0 {
            Memory::Given(block) => block,
            Memory::Fresh(block, opened) => {
                for element in block.iter_mut() {
                    element.write(T::ZERO);
                }
                initialised(block, opened)
            }
        }
    }

    /// Writes the elements, register after register, and gives them back. Four registers at a time, which hides the latency of
    /// long functions.
    #[inline(always)]
    pub fn fill<S: Simd>(self, s: S, source: impl Source<T, S>) -> &'a mut [T] {
        match self.0 {
            Memory::Given(block) => {
                let (slots, tail) = T::registers_mut::<S>(block);
                let (fours, rest) = slots.as_chunks_mut::<4>();
                let whole = 4 * fours.len();
                for (i, slots) in fours.iter_mut().enumerate() {
                    *slots = source.four(s, i);
                }
                for (i, slot) in rest.iter_mut().enumerate() {
                    *slot = source.register(s, whole + i);
                }
                if !tail.is_empty() {
                    T::store_partial(s, tail, source.rest(s));
                }
                block
            }
            Memory::Fresh(block, opened) => {
                let (slots, tail) = T::uninit_registers_mut::<S>(block);
                let (fours, rest) = slots.as_chunks_mut::<4>();
                let whole = 4 * fours.len();
                for (i, slots) in fours.iter_mut().enumerate() {
                    *slots = source.four(s, i).map(MaybeUninit::new);
                }
                for (i, slot) in rest.iter_mut().enumerate() {
                    slot.write(source.register(s, whole + i));
                }
                if !tail.is_empty() {
                    let mut elements = [T::ZERO; MOST_LANES];
                    let elements = &mut elements[..tail.len()];
                    T::store_partial(s, elements, source.rest(s));
                    for (slot, element) in tail.iter_mut().zip(&*elements) {
                        slot.write(*element);
                    }
                }
                initialised(block, opened)
            }
        }
    }

    /// The block in smaller ones of `size` elements (the last may be smaller).
    pub fn split(self, size: usize) -> impl Iterator<Item = Block<'a, T>> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let block = rest.take()?;
            if block.len() <= size {
                return Some(block);
            }
            let (first, second) = match block.0 {
                Memory::Fresh(block, opened) => {
                    let (a, b) = block.split_at_mut(size);
                    (Memory::Fresh(a, opened), Memory::Fresh(b, opened))
                }
                Memory::Given(block) => {
                    let (a, b) = block.split_at_mut(size);
                    (Memory::Given(a), Memory::Given(b))
                }
            };
            rest = Some(Self(second));
            Some(Self(first))
        })
    }
}

/// Memory every element of which was initialised before the call; counts them.
#[inline(always)]
#[allow(unsafe_code)]
fn initialised<'a, T: Lanes>(block: &'a mut [MaybeUninit<T>], opened: &AtomicUsize) -> &'a mut [T] {
    opened.fetch_add(block.len(), Ordering::Relaxed);
    // SAFETY: both callers, the functions just above, have written every element, and MaybeUninit<T> has T's layout.
    unsafe { &mut *(std::ptr::from_mut(block) as *mut [T]) }
}

/// The memory of an output, whosever it is.
pub enum Output<'a, T> {
    /// Memory that holds nothing yet.
    Fresh(&'a mut Fresh<T>),
    /// Memory of the caller's.
    Given(&'a mut [T]),
}

impl<T: Lanes> Output<'_, T> {
    /// All of the memory, in blocks of `size` elements (the last may be smaller).
    pub fn blocks(&mut self, size: usize) -> Blocks<'_, T> {
        match self {
            Self::Fresh(Fresh { elements, len, opened, .. }) => {
                *opened.get_mut() = 0;
                Blocks(Chunks::Fresh(elements.spare_capacity_mut()[..*len].chunks_mut(size.max(1)), opened))
            }
            Self::Given(memory) => Blocks(Chunks::Given(memory.chunks_mut(size.max(1)))),
        }
    }
}

/// The blocks of an output, one after the other.
pub struct Blocks<'a, T>(Chunks<'a, T>);

enum Chunks<'a, T> {
    Fresh(ChunksMut<'a, MaybeUninit<T>>, &'a AtomicUsize),
    Given(ChunksMut<'a, T>),
}

impl<'a, T> Iterator for Blocks<'a, T> {
    type Item = Block<'a, T>;

    fn next(&mut self) -> Option<Block<'a, T>> {
        match &mut self.0 {
            Chunks::Fresh(blocks, opened) => blocks.next().map(|block| Block(Memory::Fresh(block, opened))),
            Chunks::Given(blocks) => blocks.next().map(|block| Block(Memory::Given(block))),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Chunks::Fresh(blocks, _) => blocks.size_hint(),
            Chunks::Given(blocks) => blocks.size_hint(),
        }
    }
}

impl<T> ExactSizeIterator for Blocks<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_were_not_opened_are_zeros() {
        let mut memory = fresh::<f32>("Test", "output", &[10]).unwrap();
        for (i, block) in Output::Fresh(&mut memory).blocks(4).enumerate() {
            if i != 1 {
                block.open().fill(1.0);
            }
        }
        assert_eq!(memory.tensor(&[10]).unwrap().as_slice(), [0.0; 10]);
    }

    #[test]
    fn blocks_keep_what_was_written() {
        let mut memory = fresh::<f64>("Test", "output", &[2, 5]).unwrap();
        let mut next = 0.0;
        for block in Output::Fresh(&mut memory).blocks(7) {
            for block in block.split(3) {
                for x in block.open() {
                    *x = next;
                    next += 1.0;
                }
            }
        }
        let tensor = memory.tensor(&[2, 5]).unwrap();
        assert!(tensor.as_slice().iter().copied().eq((0..10).map(f64::from)));
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        assert!(fresh::<f32>("Test", "output", &[usize::MAX, 2]).is_err());
        assert!(fresh::<f32>("Test", "output", &[1 << 60]).is_err());
        assert!(fresh::<f32>("Test", "output", &[usize::MAX, 2, 0]).is_err());
        assert!(fresh::<f32>("Test", "output", &[1 << 40, 0]).unwrap().tensor(&[1 << 40, 0]).unwrap().is_empty());
    }
}
