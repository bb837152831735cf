//! Outputs so large that their memory is used again, and that they are written past the caches.

use super::calls::calls;
use super::{assert_same_bits, executions, tensor_f32};
use crate::memory::{Recycled, unwritten};
use crate::{ReLU, ReLUOptions, Softmax, SoftmaxOptions, SoftmaxPass, Tensor};

/// 16 MiB and some, not a whole number of registers.
const LEN: usize = (1 << 22) + 5;

#[test]
fn large_outputs_are_written_whole_whatever_their_memory_held() {
    let x = Tensor::from_fn(&[LEN], |i| (i[0] % 1013) as f32 - 500.0).unwrap();
    let check = |y: &[f32], what: &str| {
        let wrong = x.as_slice().iter().zip(y).position(|(x, y)| x.max(0.0) != *y);
        assert!(y.len() == LEN && wrong.is_none(), "{what}: {wrong:?}");
    };
    for execution in executions().concat() {
        let mut relu = ReLU::new(ReLUOptions::new()).unwrap();
        relu.set_execution(execution.clone()).unwrap();
        for time in ["first", "second", "third"] {
            let mut y = relu.forward(&x).unwrap();
            check(y.as_slice(), &format!("{execution:?}, {time}"));
            assert_eq!(y.as_slice().as_ptr().addr() % 64, 0);
            y.as_mut_slice().fill(f32::NAN); // For the next, as it is dropped.
        }
        // Given memory is aligned to elements, and here to nothing else.
        for offset in [0, 1, 16] {
            let memory = vec![f32::NAN; LEN + offset];
            let mut y = Tensor::from_lent(&[LEN], memory, offset..LEN + offset, drop).unwrap();
            relu.forward_into(&x, &mut y).unwrap();
            check(y.as_slice(), &format!("{execution:?}, from {offset}"));
        }
    }
}

/// Of rows that are whole cache lines, and of others.
#[test]
fn gradients_along_many_columns_are_those_along_few() {
    for columns in [400_000, 400_003] {
        let shape = [2, 3, columns];
        let (y, g) = (tensor_f32(&shape, 1), tensor_f32(&shape, 2));
        for execution in executions().concat() {
            let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
            softmax.set_execution(execution.clone()).unwrap();
            let backward = |y: &[f32], g: &[f32], n: usize| {
                let [y, g] = [y, g].map(|x| Tensor::from_vec(&[n, 3, columns], x.to_vec()).unwrap());
                softmax.backward(&SoftmaxPass { output: y }, &g).unwrap().input
            };
            let mut due = Vec::new();
            for (y, g) in y.as_slice().chunks(3 * columns).zip(g.as_slice().chunks(3 * columns)) {
                due.extend_from_slice(backward(y, g, 1).as_slice());
            }
            let due = Tensor::from_vec(&shape, due).unwrap();
            for _ in 0..2 {
                let mut dx = backward(y.as_slice(), g.as_slice(), 2);
                assert_same_bits(&dx, &due, &format!("{execution:?}, {columns} columns"));
                dx.as_mut_slice().fill(f32::NAN); // For the next, as it is dropped.
            }
        }
    }
}

#[test]
fn results_of_every_size_about_the_smallest_recycled_are_equal() {
    let relu = ReLU::new(ReLUOptions::new()).unwrap();
    for len in (1 << 14) - 20..(1 << 14) + 20 {
        let x = tensor_f32(&[len], len as u64);
        for _ in 0..2 {
            let mut y = relu.forward(&x).unwrap();
            assert!(x.as_slice().iter().zip(y.as_slice()).all(|(x, y)| x.max(0.0) == *y), "{len}");
            y.as_mut_slice().fill(f32::NAN);
        }
    }
}

/// Leaves memory of so many elements behind, three times, which holds nothing but `value`.
fn leave<T: Recycled>(len: usize, value: T) {
    let tensors = [(); 3].map(|()| unwritten::<T>("Test", "output", &[len]).unwrap());
    for mut tensor in tensors {
        tensor.as_mut_slice().fill(value);
    }
}

#[test]
fn results_of_every_layer_do_not_depend_on_what_their_memory_held() {
    let mut recycled = 0;
    for execution in executions().concat() {
        for call in calls(&execution) {
            let due = call.results();
            for result in &due {
                leave(result.len(), f32::NAN);
                leave(result.len(), i64::MIN);
                recycled += usize::from(result.len() >= 1 << 14);
            }
            let results = call.results();
            assert_eq!(results.len(), due.len());
            let what = format!("{}, {execution:?}", call.name);
            results.iter().zip(&due).for_each(|(result, due)| assert_same_bits(result, due, &what));
        }
    }
    assert!(recycled > 100, "{recycled}");
}
