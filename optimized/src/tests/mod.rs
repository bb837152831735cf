//! Each kernel against small loops written out here, at every instruction set and at 1, 2 and 3 threads.

mod addresses;
mod batch_norm2d;
mod calls;
mod conv2d;
mod elementwise;
mod every_layer;
mod guards;
mod into;
mod large;
mod linear;
mod losses;
mod max_pool2d;
mod mse_loss;
mod recurrent;
mod refusals;
mod sharing;

use crate::{Execution, Isa, Tensor, Threads};
use std::cell::Cell;
use std::num::NonZeroUsize;

/// Every instruction set with 1, 2 and 3 threads, grouped by instruction set.
fn executions() -> Vec<[Execution; 3]> {
    let threads = |n| Threads::new(NonZeroUsize::new(n).unwrap());
    let of = |isa| [1, 2, 3].map(|n| Execution::default().isa(isa).threads(threads(n)));
    Isa::available().into_iter().map(of).collect()
}

/// Reproducible numbers in [−2, 2).
fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 51) as f64 - 2.0
    };
    (0..len).map(|_| next()).collect()
}

thread_local! {
    /// The place in their memory where tensors begin that this thread makes.
    static BEGIN: Cell<usize> = const { Cell::new(0) };
}

fn tensor_f32(shape: &[usize], seed: u64) -> Tensor<f32> {
    let elements = numbers(shape.iter().product(), seed).into_iter().map(|x| x as f32);
    let memory: Vec<f32> = std::iter::repeat_n(f32::NAN, BEGIN.get()).chain(elements).collect();
    let place = BEGIN.get()..memory.len();
    Tensor::from_lent(shape, memory, place, drop).unwrap()
}

fn tensor_f64(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::from_vec(shape, numbers(shape.iter().product(), seed)).unwrap()
}

/// Small integers, whose sums of products are exact in any order.
fn integers(shape: &[usize], seed: u64) -> Tensor<f32> {
    tensor_f32(shape, seed).map(|x| (4.0 * x).trunc())
}

/// Equal to the last bit, NaN and the signs of zeros included.
#[track_caller]
fn assert_same_bits(a: &Tensor<f32>, b: &Tensor<f32>, what: &str) {
    assert_eq!(a.shape(), b.shape(), "{what}");
    let bits = |t: &Tensor<f32>| t.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(bits(a) == bits(b), "{what}: {a} and {b}");
}

#[track_caller]
fn assert_close(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() <= tolerance, "{what}: {got}, expected {expected} within {tolerance}");
}
