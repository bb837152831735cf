//! Stores past the caches.
//!
//! The plain way is `slots[i] = value`. The machine then reads the line that is written to into a cache, and writes it to memory
//! when the cache needs the place: of an output that no cache holds, two transfers for one. Here registers are written to memory
//! straight away, where the instruction set has such stores (AVX's and AVX-512's; elsewhere the plain way is gone).

use super::{Isa, Simd};
use bytemuck::Pod;
use std::cell::Cell;

/// Registers that are written past the caches. Nobody may touch them, this thread neither, before an [`Arrival`] of it is dropped.
pub struct Stream<'a, R>(&'a mut [R]);

impl<'a, R: Pod> Stream<'a, R> {
    /// Of registers aligned to their size, as such stores demand; others are given back.
    #[inline(always)]
    pub fn new(slots: &'a mut [R]) -> Result<Self, &'a mut [R]> {
        if !slots.as_ptr().addr().is_multiple_of(size_of::<R>()) {
            return Err(slots);
        }
        debug_assert!(TO_COME.get() > 0, "nobody waits for what is written past the caches");
        UNDER_WAY.set(true);
        Ok(Self(slots))
    }

    /// Writes the registers at places N·i to N·i + N − 1.
    #[inline(always)]
    pub fn write_group<S: Simd, const N: usize>(&mut self, s: S, i: usize, group: [R; N]) {
        for (slot, value) in self.0.as_chunks_mut::<N>().0[i].iter_mut().zip(group) {
            Self::write(s, slot, value);
        }
    }

    /// Writes a register, which lies in `slots`.
    #[inline(always)]
    #[allow(unsafe_code)]
    fn write<S: Simd>(_: S, slot: &mut R, value: R) {
        match (Isa::of::<S>(), size_of::<R>()) {
            // SAFETY: there is a V4 only where the machine has AVX-512F. The slot is as large as the
            // instruction's register, aligned to that, as `new` has seen, and borrowed here alone. A register is plain
            // data, whose bits the instruction's register holds as they are. Nobody touches the slot before an `Arrival` of this
            // thread, which whoever fills a block has: `new` asks for it where assertions are on.
            #[cfg(target_arch = "x86_64")]
            (Isa::V4, 64) => unsafe {
                let bits = std::mem::transmute_copy(&value);
                std::arch::x86_64::_mm512_stream_si512(std::ptr::from_mut(slot).cast(), bits);
            },
            // SAFETY: as above, with V3 and AVX.
            #[cfg(target_arch = "x86_64")]
            (Isa::V3, 32) => unsafe {
                let bits = std::mem::transmute_copy(&value);
                std::arch::x86_64::_mm256_stream_si256(std::ptr::from_mut(slot).cast(), bits);
            },
            _ => *slot = value,
        }
    }
}

/// Whether an instruction set has such stores.
pub fn streams(isa: Isa) -> bool {
    matches!(isa, Isa::V3 | Isa::V4)
}

/// Lets what this thread has written past the caches arrive, when it is dropped: before another thread can be told that it is there.
/// Blocks are filled in [`threads::for_each`](crate::threads::for_each), which has one for each thread. To wait for it after each block
/// would take MaxPool2d's gradient by taps, of blocks of 8 KiB, 1.5 times as long on Zen 5.
pub struct Arrival(());

thread_local! {
    /// Whether this thread has written past the caches since the last arrival.
    static UNDER_WAY: Cell<bool> = const { Cell::new(false) };
    /// The arrivals that it will come to.
    static TO_COME: Cell<usize> = const { Cell::new(0) };
}

impl Arrival {
    #[inline(always)]
    pub fn new() -> Self {
        TO_COME.set(TO_COME.get() + 1);
        Self(())
    }
}

impl Drop for Arrival {
    #[inline(always)]
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        TO_COME.set(TO_COME.get() - 1);
        if UNDER_WAY.replace(false) {
            // SAFETY: every x86-64 has SSE.
            #[cfg(target_arch = "x86_64")]
            unsafe {
                std::arch::x86_64::_mm_sfence();
            }
        }
    }
}
