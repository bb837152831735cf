//! Outputs so large that their memory is used again, and that they are written past the caches.

use super::calls::calls;
use super::{assert_same_bits, executions, tensor_f32, tensor_f64};
use crate::memory::{Recycled, unwritten};
use crate::{
    BCEWithLogitsLoss, BCEWithLogitsLossGradients, BCEWithLogitsLossOptions, BatchNorm2d, BatchNorm2dGradients,
    BatchNorm2dOptions, Embedding, EmbeddingOptions, Execution, MaxPool2d, MaxPool2dGradients, MaxPool2dOptions, ReLU,
    ReLUOptions, Reduction, Sigmoid, SigmoidOptions, Softmax, SoftmaxGradients, SoftmaxOptions, SoftmaxPass, Tensor,
};

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
            assert_eq!(y.as_slice().as_ptr().addr() % 4096, 0);
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

/// Gradients are those of the halves, outputs those in place, neither of which is written past the caches; of rows that are whole cache
/// lines, and of others.
#[test]
fn many_columns_are_those_of_few_and_those_in_place() {
    for columns in [600_080, 600_083] {
        let shape = [2, 3, columns];
        let (y, g) = (tensor_f32(&shape, 1), tensor_f32(&shape, 2));
        for execution in executions().concat() {
            let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
            softmax.set_execution(execution.clone()).unwrap();
            let backward = |y: &[f32], g: &[f32], n: usize| {
                let [y, g] = [y, g].map(|x| Tensor::from_vec(&[n, 3, columns], x.to_vec()).unwrap());
                softmax.backward(&SoftmaxPass { output: y }, &g).unwrap().input
            };
            same_as_of_halves(&[&y, &g], &format!("{execution:?}, {columns} columns"), backward);
            let mut due = y.clone();
            softmax.forward_in_place(&mut due).unwrap();
            for _ in 0..2 {
                let mut got = softmax.forward(&y).unwrap();
                assert_same_bits(&got, &due, &format!("forward, {execution:?}, {columns} columns"));
                got.as_mut_slice().fill(f32::NAN); // For the next, as it is dropped.
            }
        }
    }
}

/// What a function makes of two tensors, beside what it makes of their halves; it is told of how many.
fn same_as_of_halves([a, b]: &[&Tensor<f32>; 2], what: &str, of: impl Fn(&[f32], &[f32], usize) -> Tensor<f32>) {
    let half = a.len() / 2;
    let halves = a.as_slice().chunks(half).zip(b.as_slice().chunks(half));
    let due: Vec<f32> = halves.flat_map(|(a, b)| of(a, b, 1).as_slice().to_vec()).collect();
    let due = Tensor::from_vec(a.shape(), due).unwrap();
    for _ in 0..2 {
        let mut got = of(a.as_slice(), b.as_slice(), 2);
        assert_same_bits(&got, &due, what);
        got.as_mut_slice().fill(f32::NAN); // For the next, as it is dropped.
    }
}

/// A tensor that is to be overwritten, from a cache line's start on or, where `begins` is 1, an element behind it, where no register is
/// written past the caches.
fn beginning(shape: &[usize], begins: usize) -> Tensor<f32> {
    let len: usize = shape.iter().product();
    let memory = vec![f32::NAN; len + 32];
    let start = memory.as_ptr().align_offset(64) + begins;
    let tensor = Tensor::from_lent(shape, memory, start..start + len, drop).unwrap();
    assert_eq!(tensor.as_slice().as_ptr().addr() % 64, 4 * begins);
    tensor
}

/// What is written past the caches is what is written into them.
fn same_wherever_it_begins(shape: &[usize], what: &str, write: impl Fn(&Execution, &mut Tensor<f32>)) {
    for execution in executions().concat() {
        let [past, due] = [0, 1].map(|begins| {
            let mut tensor = beginning(shape, begins);
            write(&execution, &mut tensor);
            tensor
        });
        assert_same_bits(&past, &due, &format!("{what} of {shape:?}, {execution:?}"));
        assert!(due.as_slice().iter().all(|x| x.is_finite()), "{what}: something was left out");
    }
}

/// Blocks that are whole cache lines, and others; registers left behind groups, and elements behind registers.
#[test]
fn functions_and_losses_are_written_past_the_caches_as_into_them() {
    let (x, g) = (tensor_f32(&[LEN], 1), tensor_f32(&[LEN], 2));
    let t = x.map(|x| f32::from(x < 0.0));
    same_wherever_it_begins(&[LEN], "sigmoid", |execution, y| {
        let mut sigmoid = Sigmoid::new(SigmoidOptions::new()).unwrap();
        sigmoid.set_execution(execution.clone()).unwrap();
        sigmoid.forward_into(&x, y).unwrap();
    });
    let options = BCEWithLogitsLossOptions::new().reduction(Reduction::None);
    same_wherever_it_begins(&[LEN], "terms", |execution, y| {
        let mut loss = BCEWithLogitsLoss::new(options.clone()).unwrap();
        loss.set_execution(execution.clone()).unwrap();
        loss.forward_into(&x, &t, y).unwrap();
    });
    same_wherever_it_begins(&[LEN], "gradients of terms", |execution, dx| {
        let mut loss = BCEWithLogitsLoss::new(options.clone()).unwrap();
        loss.set_execution(execution.clone()).unwrap();
        let pass = loss.forward_pass(&x, &t).unwrap();
        let target = beginning(&[LEN], 0);
        let input = std::mem::replace(dx, Tensor::scalar(0.0));
        let mut gradients = BCEWithLogitsLossGradients { input, target };
        loss.backward_into(&pass, &g, &mut gradients).unwrap();
        *dx = gradients.input;
    });
}

#[test]
fn lines_and_planes_are_written_past_the_caches_as_into_them() {
    for shape in [[1 << 18, 16], [87_400, 48], [70_000, 63]] {
        let x = tensor_f32(&shape, 1);
        same_wherever_it_begins(&shape, "softmax of short lines", |execution, y| {
            let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
            softmax.set_execution(execution.clone()).unwrap();
            softmax.forward_into(&x, y).unwrap();
        });
    }
    for shape in [[4200, 1024], [4200, 1003], [87_400, 48]] {
        let (y, g) = (tensor_f32(&shape, 1), tensor_f32(&shape, 2));
        same_wherever_it_begins(&shape, "softmax back", |execution, dx| {
            let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
            softmax.set_execution(execution.clone()).unwrap();
            let mut gradients = SoftmaxGradients { input: std::mem::replace(dx, Tensor::scalar(0.0)) };
            softmax.backward_into(&SoftmaxPass { output: y.clone() }, &g, &mut gradients).unwrap();
            *dx = gradients.input;
        });
    }
    for columns in [600_080, 600_083] {
        let shape = [2, 3, columns];
        let x = tensor_f32(&shape, 1);
        same_wherever_it_begins(&shape, "softmax along columns", |execution, y| {
            let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
            softmax.set_execution(execution.clone()).unwrap();
            softmax.forward_into(&x, y).unwrap();
        });
    }
    // Rows that are whole lines, and others; the last ones of a task have none ahead.
    for size in [256, 250] {
        let embedding =
            Embedding::<f32>::with_parameters(EmbeddingOptions::new(7, size), tensor_f32(&[7, size], 1)).unwrap();
        let rows = Tensor::from_fn(&[16_800], |i| (i[0] * 5 % 7) as i64).unwrap();
        same_wherever_it_begins(&[16_800, size], "rows", |execution, y| {
            let mut embedding = embedding.clone();
            embedding.set_execution(execution.clone()).unwrap();
            embedding.forward_into(&rows, y).unwrap();
            let due = rows.as_slice().iter().map(|row| &embedding.weight().as_slice()[*row as usize * size..][..size]);
            assert!(y.as_slice().chunks(size).eq(due), "{execution:?}, rows of {size}");
        });
    }
    // By channel, of planes that are whole lines and of others, and by pass.
    for shape in [[25, 32, 64, 64], [25, 32, 63, 65], [8, 4, 363, 363]] {
        let (x, g) = (tensor_f32(&shape, 1), tensor_f32(&shape, 2));
        same_wherever_it_begins(&shape, "normalisation", |execution, y| {
            let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(shape[1])).unwrap();
            norm.set_execution(execution.clone()).unwrap();
            norm.forward_into(&x, y).unwrap();
        });
        same_wherever_it_begins(&shape, "normalisation back", |execution, dx| {
            let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(shape[1])).unwrap();
            norm.set_execution(execution.clone()).unwrap();
            let pass = norm.forward_pass(&x).unwrap();
            let input = std::mem::replace(dx, Tensor::scalar(0.0));
            let [weight, bias] = [(); 2].map(|()| Some(Tensor::full(&[shape[1]], 0.0).unwrap()));
            let mut gradients = BatchNorm2dGradients { input, weight, bias };
            norm.backward_into(&pass, &g, &mut gradients).unwrap();
            *dx = gradients.input;
        });
    }
}

/// Of 2x2, of rows of which some together are whole lines, or none that fit, and of windows over one another.
#[test]
fn gradients_of_windows_are_written_past_the_caches_as_into_them() {
    for (kernel, padding, columns) in [(2, 0, 1100), (2, 0, 1031), (2, 0, 250), (2, 0, 56), (3, 1, 113)] {
        let shape = [1, 4, (1 << 20) / columns + 9, columns];
        let mut pool = MaxPool2d::new(MaxPool2dOptions::new(kernel).stride(2).padding(padding)).unwrap();
        let pass = pool.forward_pass(&tensor_f32(&shape, 1)).unwrap();
        let g = tensor_f32(pass.output.shape(), 2);
        same_wherever_it_begins(&shape, &format!("{kernel}x{kernel} back"), |execution, dx| {
            let mut pool = MaxPool2d::new(MaxPool2dOptions::new(kernel).stride(2).padding(padding)).unwrap();
            pool.set_execution(execution.clone()).unwrap();
            let mut gradients = MaxPool2dGradients { input: std::mem::replace(dx, Tensor::scalar(0.0)) };
            pool.backward_into(&pass, &g, &mut gradients).unwrap();
            *dx = gradients.input;
        });
    }
}

/// Of f64, of rows of which one is whole lines, or some are, or none that fit; of channels that end within a part, and of a NaN.
#[test]
fn windows_are_written_past_the_caches_as_into_them() {
    for columns in [128, 302, 27, 4102] {
        let shape = [4, (1 << 20) / columns + 9, columns];
        let mut x = tensor_f64(&shape, 1);
        x.as_mut_slice()[9 * columns + 7] = f64::NAN;
        let bits = |y: &[f64]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        for execution in executions().concat() {
            let mut pool = MaxPool2d::new(MaxPool2dOptions::new(2).return_indices(true)).unwrap();
            pool.set_execution(execution.clone()).unwrap();
            let (mut y, mut places) = (Vec::new(), Vec::new());
            for channel in x.as_slice().chunks(x.len() / 4) {
                let channel = Tensor::from_vec(&[1, shape[1], columns], channel.to_vec()).unwrap();
                let pass = pool.forward_pass(&channel).unwrap();
                y.extend_from_slice(pass.output.as_slice());
                places.extend_from_slice(pass.indices.as_ref().unwrap().as_slice());
            }
            let y = bits(&y);
            for _ in 0..2 {
                let mut pass = pool.forward_pass(&x).unwrap();
                assert!(bits(pass.output.as_slice()) == y, "{columns} columns, {execution:?}");
                assert!(pass.indices.as_ref().unwrap().as_slice() == places, "{columns} columns, {execution:?}");
                let mut output = pool.forward(&x).unwrap();
                assert!(bits(output.as_slice()) == y, "{columns} columns, {execution:?}, without places");
                pool.forward_into(&x, &mut output).unwrap();
                assert!(bits(output.as_slice()) == y, "{columns} columns, {execution:?}, into");
                output.as_mut_slice().fill(f64::NAN); // For the next, as they are dropped.
                pass.output.as_mut_slice().fill(f64::NAN);
            }
        }
    }
}

#[test]
fn results_of_every_size_about_the_smallest_kept_are_equal() {
    let relu = ReLU::new(ReLUOptions::new()).unwrap();
    // By a thread, and for all.
    for len in [1 << 8, 1 << 14].into_iter().flat_map(|len| len - 20..len + 20) {
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
    let mut kept = [0; 2];
    for execution in executions().concat() {
        for call in calls(&execution) {
            let due = call.results();
            for result in &due {
                leave(result.len(), f32::NAN);
                leave(result.len(), i64::MIN);
                kept[0] += usize::from((1 << 10..1 << 13).contains(&result.len()));
                kept[1] += usize::from(result.len() >= 1 << 14);
            }
            let results = call.results();
            assert_eq!(results.len(), due.len());
            let what = format!("{}, {execution:?}", call.name);
            results.iter().zip(&due).for_each(|(result, due)| assert_same_bits(result, due, &what));
        }
    }
    assert!(kept.iter().all(|kept| *kept > 100), "{kept:?}");
}
