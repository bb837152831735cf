//! The pages that memory lies in.

/// The size of a huge page: 2 MiB, on x86-64 and AArch64. A multiple of that of any other page.
#[cfg(target_os = "linux")]
const HUGE: usize = 1 << 21;

/// Asks the system for huge pages under a vector's memory, where it has them for those who ask, and the memory holds any: they are
/// mapped by one fault each instead of 512, and found faster.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn prefer_huge<T>(memory: &mut Vec<T>) {
    let start = memory.as_ptr().addr();
    let end = start + memory.capacity() * size_of::<T>();
    let (first, last) = (start.next_multiple_of(HUGE), end / HUGE * HUGE);
    if first < last {
        let pages = memory.as_mut_ptr().cast::<u8>().wrapping_add(first - start);
        // SAFETY: the pages lie within the vector's memory; the advice changes what they are made of, and nothing that they hold.
        // That it may be refused is no matter.
        unsafe { libc::madvise(pages.cast(), last - first, libc::MADV_HUGEPAGE) };
    }
}

/// Elsewhere, the system decides.
#[cfg(not(target_os = "linux"))]
pub fn prefer_huge<T>(_: &mut Vec<T>) {}
