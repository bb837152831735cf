//! What is written of an output is there, and nothing else.

use super::*;
use crate::memory::allocate::zeros;
use crate::memory::{recycler, thread_cache};
use crate::simd::{self, Isa, Kernel};
use std::panic::{AssertUnwindSafe, catch_unwind};

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
fn memory_that_was_used_before_is_zeros_too_where_a_block_was_not_handed_out() {
    for len in [thread_cache::SMALLEST, recycler::SMALLEST].into_iter().flat_map(|bytes| [bytes / 2; 3]) {
        let mut memory = fresh::<f32>("Test", "output", &[len]).unwrap();
        for block in Output::Fresh(&mut memory).blocks(len / 2) {
            block.open().fill(f32::NAN);
        }
        drop(memory.tensor(&[len]).unwrap());
        let mut memory = fresh::<f32>("Test", "output", &[len]).unwrap();
        assert!(Output::Fresh(&mut memory).blocks(len / 2).next().map(Block::open).is_some());
        assert!(memory.tensor(&[len]).unwrap().as_slice().iter().all(|x| *x == 0.0));
        let mut x = zeros::<f32>("Test", "output", &[len]).unwrap();
        assert!(x.as_slice().iter().all(|x| *x == 0.0));
        x.as_mut_slice().fill(f32::NAN);
    }
}

/// Stores 1, 2, 3 … out of N registers, where the block takes as many.
struct Stored<'a, T: Lanes, const N: usize>(Block<'a, T>);

impl<T: Lanes, const N: usize> Kernel for Stored<'_, T, N> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> bool {
        let (lanes, mut registers) = (T::lanes::<S>(), [T::splat(s, T::ZERO); N]);
        for (i, register) in registers.iter_mut().enumerate() {
            *register = T::plus(s, T::counting(s), T::splat(s, T::narrow((i * lanes + 1) as f64)));
        }
        let _arrival = Arrival::new();
        let takes = self.0.len().div_ceil(lanes) == N;
        if takes {
            self.0.store(s, registers);
        }
        takes
    }
}

fn registers_are_stored<T: Lanes, const N: usize>(isa: Isa) {
    let mut lengths = 0;
    for len in 1..=N * MOST_LANES {
        let due = |i: usize| T::narrow((i + 1) as f64);
        let mut memory = fresh::<T>("Test", "output", &[len]).unwrap();
        let mut output = Output::Fresh(&mut memory);
        if !output.blocks(len).all(|block| simd::run(isa, Stored::<T, N>(block))) {
            continue;
        }
        lengths += 1;
        let tensor = memory.tensor(&[len]).unwrap();
        assert!(tensor.as_slice().iter().copied().eq((0..len).map(due)), "{isa}, {len}");
        for streamed in [false, true] {
            let mut used = Tensor::full(&[len + 2 * MOST_LANES], T::ZERO).unwrap();
            let (used, beyond) = used.as_mut_slice().split_at_mut(len);
            assert!(simd::run(isa, Stored::<T, N>(Block { streamed, ..Block::from(&mut *used) })));
            assert!(used.iter().copied().eq((0..len).map(due)), "{isa}, {len}, {streamed}");
            assert!(beyond.iter().all(|x| *x == T::ZERO), "{isa}, {len}, {streamed}");
        }
    }
    assert!(lengths > 0, "{isa}");
}

/// Two registers, whatever the block takes.
struct Two<'a, T: Lanes>(Block<'a, T>);

impl<T: Lanes> Kernel for Two<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> usize {
        let _arrival = Arrival::new();
        self.0.store(s, [T::splat(s, T::ONE); 2]);
        2 * T::lanes::<S>()
    }
}

/// So no element counts as written that is not.
#[test]
fn blocks_of_other_sizes_are_refused() {
    for isa in Isa::available() {
        let stored = |len: usize| {
            let mut memory = fresh::<f32>("Test", "output", &[len]).unwrap();
            let mut output = Output::Fresh(&mut memory);
            let block = output.blocks(len).next().unwrap();
            catch_unwind(AssertUnwindSafe(|| simd::run(isa, Two(block)))).ok()
        };
        let taken: Vec<usize> = (1..=3 * MOST_LANES).filter(|len| stored(*len).is_some()).collect();
        let most = stored(taken[0]).unwrap();
        assert!(taken.iter().copied().eq(most / 2 + 1..=most), "{isa}: {taken:?}");
    }
}

#[test]
fn registers_are_stored_as_far_as_there_are_elements() {
    for isa in Isa::available() {
        registers_are_stored::<f32, 1>(isa);
        registers_are_stored::<f32, 3>(isa);
        registers_are_stored::<f32, 8>(isa);
        registers_are_stored::<f64, 1>(isa);
        registers_are_stored::<f64, 3>(isa);
        registers_are_stored::<f64, 8>(isa);
    }
}

#[test]
fn what_cannot_be_stored_is_refused() {
    assert!(fresh::<f32>("Test", "output", &[usize::MAX, 2]).is_err());
    assert!(fresh::<f32>("Test", "output", &[1 << 60]).is_err());
    assert!(fresh::<f32>("Test", "output", &[usize::MAX, 2, 0]).is_err());
    assert!(fresh::<f32>("Test", "output", &[1 << 40, 0]).unwrap().tensor(&[1 << 40, 0]).unwrap().is_empty());
}
