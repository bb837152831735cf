//! Memory that is asked for before it is read.
//!
//! The plain way is to read on: the machine sees that memory is read in order, and goes on ahead by itself. It does not where kernels
//! compute for long between two reads of it, read in several places at once, or jump; they ask for what they read next.

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Asks for the cache line of an element; nothing else comes of it.
#[inline(always)]
#[allow(unsafe_code)]
pub fn prefetch<T>(element: &T) {
    // SAFETY: every x86-64 has SSE, and asking for a line changes nothing, whatever lies there.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(element).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = element;
}

/// Asks for the cache lines of neighbouring elements, but for the last where they begin within one.
#[inline(always)]
pub fn prefetch_all<T>(elements: &[T]) {
    for element in elements.iter().step_by((LINE / size_of::<T>()).max(1)) {
        prefetch(element);
    }
}
