//! Memory for the elements of tensors: that of a tensor that was dropped before, or new; from 1 KiB on it begins where tensors begin that
//! make it themselves, at a cache line or a page.

use super::recycler::{self, Recycled, Recycler};
use super::{pages, thread_cache};
use vocabulary::{Error, Result, Tensor};

/// The number of elements of `shape`, where no product of its sizes overflows.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size.max(1))).map(|_| shape.iter().product())
}

/// Whether so many elements take memory that is recycled.
pub(super) fn is_recycled<T>(len: usize) -> bool {
    len >= thread_cache::SMALLEST / size_of::<T>()
}

/// As many elements more as let `len` of them begin where they should.
fn with_room<T>(len: usize) -> Option<usize> {
    len.checked_add(Tensor::<T>::alignment(len) / size_of::<T>())
}

/// Memory for `len` elements, which begin at `start`, where it can be had: used before, or holding as many elements as come before
/// the first.
pub(super) fn memory<T: Recycled>(len: usize) -> Option<(Vec<T>, usize)> {
    let start = |memory: &Vec<T>| memory.as_ptr().align_offset(Tensor::<T>::alignment(len));
    let due = with_room::<T>(len)?;
    if let Some(memory) = recycler::take::<T>(due) {
        let start = start(&memory);
        return Some((memory, start));
    }
    let mut memory = reserved(due)?;
    pages::prefer_huge(&mut memory);
    let start = start(&memory);
    memory.resize(start, T::default());
    Some((memory, start))
}

/// Memory for so many elements, for which what is kept is freed where there is no other.
fn reserved<T>(len: usize) -> Option<Vec<T>> {
    let mut memory = Vec::new();
    if memory.try_reserve_exact(len).is_err() {
        Recycler::clear();
        memory.try_reserve_exact(len).ok()?;
    }
    Some(memory)
}

/// A tensor of zeros, refused where it cannot be stored.
pub fn zeros<T: Recycled>(layer: &str, argument: &str, shape: &[usize]) -> Result<Tensor<T>> {
    let (mut tensor, used) = recycled(layer, argument, shape)?;
    if used {
        tensor.as_mut_slice().fill(T::default());
    }
    Ok(tensor)
}

/// A tensor all of whose elements the caller overwrites: zeros, or what the memory held before.
pub fn unwritten<T: Recycled>(layer: &str, argument: &str, shape: &[usize]) -> Result<Tensor<T>> {
    recycled(layer, argument, shape).map(|(tensor, _)| tensor)
}

/// A tensor of zeros; or of what its memory, which was used before, held.
fn recycled<T: Recycled>(layer: &str, argument: &str, shape: &[usize]) -> Result<(Tensor<T>, bool)> {
    let too_large = || Error::too_large(layer, argument, shape);
    let len = count(shape).ok_or_else(too_large)?;
    let tensor = if is_recycled::<T>(len) {
        let due = with_room::<T>(len).ok_or_else(too_large)?;
        let (memory, used) = match recycler::take::<T>(due) {
            Some(memory) => (memory, true),
            None => {
                // `vec!` aborts where memory cannot be had; where it can, it takes pages of zeros that nobody has touched.
                drop(reserved::<T>(due).ok_or_else(too_large)?);
                let mut memory = vec![T::default(); due];
                pages::prefer_huge(&mut memory);
                (memory, false)
            }
        };
        let start = memory.as_ptr().align_offset(Tensor::<T>::alignment(len));
        lent(shape, memory, start, len).map(|tensor| (tensor, used))
    } else {
        Tensor::full(shape, T::default()).map(|tensor| (tensor, false))
    };
    tensor.map_err(|error| error.of(layer, argument))
}

/// The tensor of `len` elements from `start` on, in memory that is recycled.
pub(super) fn lent<T: Recycled>(shape: &[usize], mut memory: Vec<T>, start: usize, len: usize) -> Result<Tensor<T>> {
    // Initialised to its end: as much as the next who asks for so many elements is due.
    memory.resize(memory.capacity(), T::default());
    Tensor::from_lent(shape, memory, start..start + len, recycler::give_back)
}
