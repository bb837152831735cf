//! Operands may begin anywhere; memory that is made for results begins where it is read fast.

use super::calls::{Call, calls};
use super::{BEGIN, assert_same_bits, executions};
use crate::Tensor;
use crate::memory::{Recycled, fresh, unwritten, zeros};
use crate::simd::Lanes;

#[test]
fn results_are_the_same_bits_wherever_operands_begin() {
    for [execution, ..] in executions() {
        let due: Vec<_> = calls(&execution).iter().map(Call::results).collect();
        for begin in [1, 2, 7] {
            BEGIN.set(begin);
            for (i, (call, due)) in calls(&execution).iter().zip(&due).enumerate() {
                for (got, due) in call.results().iter().zip(due) {
                    assert_same_bits(got, due, &format!("call {i}, {execution:?}, from {begin}"));
                }
            }
            BEGIN.set(0);
        }
    }
}

fn results_begin_at<T: Lanes + Recycled>() {
    for bytes in [1 << 10, (1 << 16) - 8, 1 << 16, (1 << 20) + 8] {
        let len = bytes / size_of::<T>();
        let alignment = if bytes < 1 << 16 { 64 } else { 4096 };
        assert_eq!(Tensor::<T>::alignment(len), alignment);
        // Of each, the second has memory that was used before.
        for time in ["first", "second"] {
            let made = [
                fresh::<T>("Test", "output", &[len]).unwrap().tensor(&[len]),
                unwritten::<T>("Test", "output", &[len]),
                zeros::<T>("Test", "output", &[len]),
            ];
            for tensor in made {
                let address = tensor.unwrap().as_slice().as_ptr().addr();
                assert!(address.is_multiple_of(alignment), "{time}, {bytes} bytes at {address:#x}");
            }
        }
    }
}

#[test]
fn results_begin_at_cache_lines_and_large_ones_at_pages() {
    results_begin_at::<f32>();
    results_begin_at::<f64>();
}
