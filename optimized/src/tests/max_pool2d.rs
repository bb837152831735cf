use super::{assert_same_bits, executions, integers, numbers, tensor_f32};
use crate::{MaxPool2d, MaxPool2dOptions, Pair, Tensor};

/// The largest elements, their places and the input's gradient, by loops.
fn by_loops(
    options: &MaxPool2dOptions,
    (x, g): (&Tensor<f32>, &Tensor<f32>),
) -> (Tensor<f32>, Tensor<i64>, Tensor<f32>) {
    let (size, shape) = (x.shape(), g.shape());
    let of = |pair: Pair| pair.axes().map(|size| size as i64);
    let (kernel, stride) = (of(options.kernel_size), of(options.effective_stride()));
    let (dilation, padding) = (of(options.dilation), of(options.padding));
    let mut y = Tensor::full(shape, f32::NEG_INFINITY).unwrap();
    let mut places = Tensor::full(shape, -1).unwrap();
    let mut dx = Tensor::full(size, 0.0).unwrap();
    for n in 0..shape[0] {
        for c in 0..shape[1] {
            for a in 0..shape[2] {
                for b in 0..shape[3] {
                    let index = [n, c, a, b];
                    for i in 0..kernel[0] {
                        for j in 0..kernel[1] {
                            let h = a as i64 * stride[0] + i * dilation[0] - padding[0];
                            let w = b as i64 * stride[1] + j * dilation[1] - padding[1];
                            if h < 0 || w < 0 || h >= size[2] as i64 || w >= size[3] as i64 {
                                continue;
                            }
                            let x = x[[n, c, h as usize, w as usize]];
                            if places[index] < 0 || x > y[index] || x.is_nan() {
                                y[index] = x;
                                places[index] = h * size[3] as i64 + w;
                            }
                        }
                    }
                    if let Ok(place) = usize::try_from(places[index]) {
                        dx[[n, c, place / size[3], place % size[3]]] += g[index];
                    }
                }
            }
        }
    }
    (y, places, dx)
}

/// Output, places and gradient, at every instruction set and number of threads, to the last bit; the gradient of a pass that was asked
/// for places, and of one that was not.
fn check(options: MaxPool2dOptions, x: &Tensor<f32>) {
    let mut pools = [true, false].map(|asked| MaxPool2d::new(options.clone().return_indices(asked)).unwrap());
    let g = integers(&pools[0].output_shape(x.shape()).unwrap(), 2);
    let (y, places, dx) = by_loops(&options, (x, &g));
    for execution in executions().into_iter().flatten() {
        for pool in &mut pools {
            let asked = pool.options().return_indices;
            let what = format!("{:?} of {:?}, {execution:?}", pool.options(), x.shape());
            pool.set_execution(execution.clone()).unwrap();
            let pass = pool.forward_pass(x).unwrap();
            assert_same_bits(&pass.output, &y, &what);
            assert!(pass.indices.as_ref() == asked.then_some(&places), "{what}");
            assert_same_bits(&pool.forward(x).unwrap(), &y, &what);
            let mut into = Tensor::full(y.shape(), f32::NAN).unwrap();
            pool.forward_into(x, &mut into).unwrap();
            assert_same_bits(&into, &y, &what);
            let gradients = pool.backward(&pass, &g).unwrap();
            assert_same_bits(&gradients.input.map(|x| x + 0.0), &dx.map(|x| x + 0.0), &what);
            // Everything is exact in f64, too.
            let pass = pool.forward_pass(&x.map(f64::from)).unwrap();
            assert_same_bits(&pass.output.map(|y| y as f32), &y, &what);
            assert!(pass.indices.as_ref() == asked.then_some(&places), "{what}");
            let gradients = pool.backward(&pass, &g.map(f64::from)).unwrap();
            assert!(gradients.input == dx.map(f64::from), "{what}");
            let alone = pool.forward(&x.map(f64::from)).unwrap();
            assert_same_bits(&alone.map(|y| y as f32), &y, &what);
        }
    }
}

/// Small integers, and few numbers that are not finite, so that most registers have none of them.
fn seldom_special(shape: &[usize]) -> Tensor<f32> {
    let mut x = integers(shape, 3);
    for (i, x) in x.as_mut_slice().iter_mut().enumerate() {
        match i % 20_011 {
            7 => *x = f32::NAN,
            9_001 => *x = f32::NEG_INFINITY,
            _ => {}
        }
    }
    x
}

/// Small integers, many of them equal; infinities, zeros of both signs and NaN among them.
fn special(shape: &[usize]) -> Tensor<f32> {
    let few = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -0.0, 0.0, -0.0, 0.0];
    let drawn = numbers(shape.iter().product(), 5).into_iter().map(|x| {
        let x = ((x + 2.0) * 8.0) as usize;
        few.get(x).copied().unwrap_or(-1.0 - (x / 4) as f32)
    });
    Tensor::from_vec(shape, drawn.collect()).unwrap()
}

fn options() -> Vec<MaxPool2dOptions> {
    vec![
        MaxPool2dOptions::new(2),
        MaxPool2dOptions::new(3).stride(2).padding(1),
        MaxPool2dOptions::new(3).stride(1).padding(1),
        MaxPool2dOptions::new((1, 4)).stride((2, 3)).padding((0, 2)).dilation((1, 2)),
        MaxPool2dOptions::new((5, 2)).stride((1, 2)).padding((2, 1)).dilation((2, 3)),
        MaxPool2dOptions::new((2, 3)).stride((3, 4)).padding((1, 1)),
        MaxPool2dOptions::new(5).stride(2).padding(2),
        MaxPool2dOptions::new(1),
    ]
}

#[test]
fn the_first_of_equals_and_the_last_nan_count() {
    for options in options() {
        for ceil_mode in [false, true] {
            for shape in [[2, 3, 9, 11], [1, 1, 16, 35], [3, 2, 10, 8]] {
                check(options.clone().ceil_mode(ceil_mode), &integers(&shape, 1));
                check(options.clone().ceil_mode(ceil_mode), &special(&shape));
            }
        }
    }
    let nothing_larger = Tensor::full(&[1, 2, 7, 7], f32::NEG_INFINITY).unwrap();
    for stride in [1, 2, 3] {
        check(MaxPool2dOptions::new(3).stride(stride).padding(1), &nothing_larger);
    }
    // Some windows of a row.
    let x = integers(&[1, 2, 20, 90], 1).map(|x| if x > 4.0 { x } else { f32::NEG_INFINITY });
    for padding in [0, 1] {
        check(MaxPool2dOptions::new(3).stride(2).padding(padding), &x);
    }
}

/// Of rows of windows that are found at once, one may have a window of −∞ alone, whose place only the plain loop knows.
#[test]
fn a_window_of_nothing_is_found_in_whichever_row_it_is() {
    for padding in [0, 1] {
        let options = MaxPool2dOptions::new(3).stride(2).padding(padding);
        let x = integers(&[1, 1, 9, 70], 1);
        let shape = MaxPool2d::new(options.clone()).unwrap().output_shape(x.shape()).unwrap();
        for a in 0..shape[2] {
            for b in [0, 17, shape[3] - 1] {
                let mut x = x.clone();
                for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                    let place = [2 * a + i, 2 * b + j].map(|place| place.checked_sub(padding));
                    if let [Some(h @ 0..9), Some(w @ 0..70)] = place {
                        x[[0, 0, h, w]] = f32::NEG_INFINITY;
                    }
                }
                check(options.clone(), &x);
            }
        }
    }
}

/// Rows longer than are computed together; many tasks.
#[test]
fn long_rows_and_many_channels_are_cut_where_they_should_be() {
    for options in options() {
        for x in [special, seldom_special] {
            check(options.clone(), &x(&[1, 1, 9, 4100]));
            check(options.clone().stride((2, 1)), &x(&[1, 2, 9, 2060]));
        }
        check(options, &integers(&[3, 20, 32, 33], 1));
    }
}

/// Gradients of 16 MiB and more are written past the caches.
#[test]
fn gradients_of_many_elements_are_written_whole() {
    check(MaxPool2dOptions::new((2, 3)), &integers(&[1, 4, 1024, 1031], 1));
}

/// Windows two columns apart, over rows of several registers and a rest; over the edges of channels, and in the middle.
#[test]
fn elements_ask_the_windows_over_them() {
    let two_apart = |kernel: [usize; 2], stride: usize, padding: [usize; 2]| {
        MaxPool2dOptions::new((kernel[0], kernel[1])).stride((stride, 2)).padding((padding[0], padding[1]))
    };
    for options in [
        two_apart([2, 2], 2, [0, 0]),
        two_apart([3, 3], 2, [1, 1]),
        two_apart([3, 3], 2, [0, 1]),
        two_apart([3, 3], 2, [1, 0]),
        two_apart([4, 4], 2, [1, 2]),
        two_apart([1, 3], 2, [0, 0]),
        two_apart([3, 1], 1, [1, 0]),
        two_apart([2, 3], 3, [1, 1]),
        two_apart([3, 4], 2, [1, 0]),
        two_apart([2, 7], 2, [0, 0]),
    ] {
        for shape in [[2, 3, 17, 130], [1, 2, 40, 151], [3, 1, 5, 112], [2, 2, 6, 34], [3, 2, 7, 17]] {
            for ceil_mode in [false, true] {
                check(options.clone().ceil_mode(ceil_mode), &special(&shape));
                check(options.clone().ceil_mode(ceil_mode), &integers(&shape, 1));
            }
        }
    }
}

/// What is added to an element comes in the order of the windows, whichever way they are found; what is not finite reaches no other.
#[test]
fn gradients_by_taps_or_the_input_are_those_by_places_to_the_last_bit() {
    // By the input, by taps of one window, and of several.
    let shapes = [[2, 2, 31, 131], [5, 4, 13, 15]];
    for (kernel, padding, [n, c, h, w]) in [(2, 0, shapes[1]), (2, 0, shapes[0]), (3, 1, shapes[0]), (4, 1, shapes[0])]
    {
        let options = MaxPool2dOptions::new(kernel).stride(2).padding(padding);
        let x = integers(&[n, c, h, w], 1);
        let mut pools = [false, true].map(|asked| MaxPool2d::new(options.clone().return_indices(asked)).unwrap());
        let shape = pools[0].output_shape(x.shape()).unwrap();
        let mut g = tensor_f32(&shape, 3);
        for (i, special) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0].into_iter().enumerate() {
            g.as_mut_slice()[101 * i + 7] = special;
        }
        for execution in executions().into_iter().flatten() {
            let of_both = pools.each_mut().map(|pool| {
                pool.set_execution(execution.clone()).unwrap();
                let pass = pool.forward_pass(&x).unwrap();
                pool.backward(&pass, &g).unwrap().input
            });
            assert!(of_both[0].as_slice().iter().any(|dx| dx.is_nan()));
            assert_same_bits(&of_both[0], &of_both[1], &format!("{kernel}x{kernel}, {execution:?}"));
        }
    }
}

/// Inputs of 4 MiB and more are asked for ahead, in rows and in parts of them.
#[test]
fn large_inputs_are_read_where_they_lie() {
    for shape in [[1, 1, 1027, 1101], [1, 1, 4, 280_001]] {
        check(MaxPool2dOptions::new(2), &integers(&shape, 1));
        check(MaxPool2dOptions::new(3).stride(2).padding(1), &integers(&shape, 1));
        check(MaxPool2dOptions::new(3).stride(2), &integers(&shape, 1));
    }
}

/// Registers may all read in the padding, and windows be higher and wider than the input.
#[test]
fn windows_larger_than_the_input_find_what_is_there() {
    let padded =
        |kernel: (usize, usize), padding: (usize, usize)| MaxPool2dOptions::new(kernel).stride(1).padding(padding);
    check(padded((1, 34), (0, 17)), &integers(&[1, 1, 4, 8], 1));
    check(padded((1, 34), (0, 17)), &integers(&[1, 1, 1, 8], 1));
    check(padded((1, 101), (0, 50)), &integers(&[1, 100, 3, 3], 1));
    check(padded((1024, 1), (512, 0)), &integers(&[1, 1, 1, 600], 1));
    check(padded((8193, 2), (4096, 1)), &integers(&[1, 1, 3, 40], 1));
    check(padded((40, 3), (20, 1)).stride(40), &integers(&[1, 2, 90, 7], 1));
    let far = MaxPool2d::new(MaxPool2dOptions::new(1).dilation((i32::MAX as usize, 1))).unwrap();
    let none = Tensor::<f32>::full(&[0, 1, 1, 1 << 40], 0.0).unwrap();
    assert!(far.forward_with_indices(&none).unwrap().0.is_empty());
}

/// Rows of images are parts of tasks, and of what is added up together; wide ones are several.
#[test]
fn images_are_cut_into_rows_and_rows_into_parts() {
    for options in options() {
        for x in [special, seldom_special] {
            check(options.clone(), &x(&[1, 2, 300, 301]));
            check(options.clone(), &x(&[2, 1, 5, 5001]));
            check(options.clone(), &x(&[1, 1, 5, 70_001]));
        }
    }
    // Windows that reach far.
    check(MaxPool2dOptions::new((2, 3)).stride((1, 2)).dilation((100, 7)), &seldom_special(&[1, 3, 150, 200]));
}

/// Rows of three-column windows whose last register is full, half full or nearly empty, or would be of one window alone, of any lanes;
/// the last window reads one, two or three columns.
#[test]
fn rows_of_every_length_end_where_they_should() {
    for columns in 5..=70 {
        for (padding, ceil_mode) in [(0, false), (0, true), (1, false), (1, true)] {
            let options = MaxPool2dOptions::new(3).stride(2).padding(padding).ceil_mode(ceil_mode);
            check(options.clone(), &integers(&[1, 2, 6, columns], 1));
            check(options.clone(), &special(&[1, 1, 7, columns]));
            // Nothing is larger than −∞ in the last columns.
            let mut x = integers(&[1, 1, 5, columns], 1);
            for row in x.as_mut_slice().chunks_mut(columns) {
                row[columns - 4..].fill(f32::NEG_INFINITY);
            }
            check(options.clone(), &x);
            // One NaN in the last columns, of a row that one row of windows reads, or two.
            for (row, behind) in [(2, 0), (2, 1), (4, 0), (3, 2)] {
                let mut x = integers(&[1, 1, 5, columns], 1);
                x[[0, 0, row, columns - 1 - behind]] = f32::NAN;
                check(options.clone(), &x);
            }
        }
    }
    // Of other heights, two rows apart or not; dilated, some read no row at all.
    let kernels: [((usize, usize), (usize, usize)); 4] =
        [((1, 3), (1, 2)), ((2, 3), (1, 2)), ((2, 3), (3, 2)), ((3, 3), (4, 2))];
    for columns in [17, 18, 33, 34, 35, 65] {
        for (kernel, stride) in kernels {
            for (padding, dilation) in [(0, 1), (1, 1), (0, 2), (1, 2), (1, 3)] {
                let padding = (padding.min(kernel.0 / 2), padding);
                let options = MaxPool2dOptions::new(kernel).stride(stride).padding(padding).dilation((dilation, 1));
                check(options.clone(), &integers(&[1, 2, 9, columns], 1));
                check(options.clone(), &special(&[2, 1, 8, columns]));
            }
        }
        check(
            MaxPool2dOptions::new((2, 3)).padding((1, 1)).dilation((3, 1)).stride((1, 2)),
            &integers(&[1, 1, 2, columns], 1),
        );
    }
}

/// A window that is not a number is found wherever it lies in a register, and spoils no other.
#[test]
fn one_nan_spoils_its_windows_alone() {
    let x = integers(&[1, 1, 6, 70], 1);
    for place in 0..x.len() {
        let mut x = x.clone();
        x.as_mut_slice()[place] = f32::NAN;
        check(MaxPool2dOptions::new(2), &x);
        check(MaxPool2dOptions::new(3).stride(2), &x);
        check(MaxPool2dOptions::new(3).stride(2).padding(1), &x);
    }
    // In the first column of a part of a row, and of others.
    for padding in [0, 1] {
        let mut x = integers(&[1, 1, 5, 70_001], 1);
        for b in (1024..35_000).step_by(1024) {
            x[[0, 0, b / 1024 % 5, 2 * b - padding]] = f32::NAN;
        }
        check(MaxPool2dOptions::new(3).stride(2).padding(padding), &x);
    }
}

/// Dilated windows may lie in the padding alone: there is no largest element, and no gradient.
#[test]
fn a_window_of_padding_alone_has_no_place() {
    let options = MaxPool2dOptions::new((1, 2)).padding((0, 1)).dilation((1, 3)).stride(1);
    let x = Tensor::full(&[1, 1, 2, 2], 1.0).unwrap();
    check(options.clone(), &x);
    let mut pool = MaxPool2d::new(options).unwrap();
    let pass = pool.forward_pass(&x).unwrap();
    assert_eq!(pass.output.as_slice(), [f32::NEG_INFINITY; 2]);
    assert!(pass.indices.is_none());
    let rows = MaxPool2dOptions::new((2, 1)).padding((1, 0)).dilation((3, 1)).stride(1);
    check(rows, &integers(&[1, 1, 2, 40], 1));
    let two_apart = MaxPool2dOptions::new((2, 3)).padding((1, 1)).dilation((3, 1)).stride((1, 2));
    check(two_apart, &integers(&[1, 1, 2, 40], 1));
    let tall = MaxPool2dOptions::new((3, 3)).padding((1, 1)).dilation((2, 1)).stride((2, 2));
    check(tall, &integers(&[2, 2, 9, 140], 1));
}

/// Places are those of the pass, whatever windows the layer has that goes back.
#[test]
fn a_pass_of_a_layer_of_other_windows_keeps_its_places() {
    let x = integers(&[1, 1, 128, 128], 1);
    let mut pool = MaxPool2d::new(MaxPool2dOptions::new(3).stride(1).padding(1)).unwrap();
    let other = MaxPool2d::new(MaxPool2dOptions::new(1)).unwrap();
    let pass = pool.forward_pass(&x).unwrap();
    let g = integers(&[1, 1, 128, 128], 2);
    assert_eq!(other.backward(&pass, &g).unwrap(), pool.backward(&pass, &g).unwrap());
    let x = integers(&[2, 9, 9], 1);
    let mut pool = MaxPool2d::new(MaxPool2dOptions::new(2)).unwrap();
    let other = MaxPool2d::new(MaxPool2dOptions::new(3).stride(2)).unwrap();
    let (pass, g) = (pool.forward_pass(&x).unwrap(), integers(&[2, 4, 4], 2));
    assert_eq!(other.backward(&pass, &g).unwrap(), pool.backward(&pass, &g).unwrap());
}

/// A sum beyond the largest number is no NaN among what is read.
#[test]
fn sums_that_overflow_take_nothing_away() {
    for large in [f32::MAX, f32::INFINITY] {
        let x = Tensor::full(&[1, 1, 20, 41], large).unwrap();
        check(MaxPool2dOptions::new(2), &x);
        check(MaxPool2dOptions::new(3).stride(2).padding(1), &x);
    }
}

#[test]
fn huge_windows_take_no_time() {
    let half = i32::MAX as usize / 2;
    let options = MaxPool2dOptions::new(i32::MAX as usize).padding(half).stride(1);
    let x = tensor_f32(&[1, 2, 3, 3], 1);
    let mut pool = MaxPool2d::new(options).unwrap();
    let pass = pool.forward_pass(&x).unwrap();
    assert_eq!(pass.output.shape(), [1, 2, 3, 3]);
    let largest = x.as_slice()[..9].iter().copied().fold(f32::MIN, f32::max);
    assert_eq!(pass.output.as_slice()[..9], [largest; 9]);
    let one_row = tensor_f32(&[1, 1, 1, 10], 1);
    let wide = MaxPool2dOptions::new((1, i32::MAX as usize)).padding((0, half)).stride((1, 1 << 30)).ceil_mode(true);
    assert_eq!(MaxPool2d::new(wide).unwrap().forward(&one_row).unwrap().shape(), [1, 1, 1, 2]);
    let far = MaxPool2d::new(MaxPool2dOptions::new(2).stride(i32::MAX as usize).ceil_mode(true)).unwrap();
    assert_eq!(far.forward(&x).unwrap().shape(), [1, 2, 1, 1]);
    let none = pool.forward(&Tensor::<f64>::full(&[0, 2, 3, 3], 0.0).unwrap()).unwrap();
    assert_eq!(none.shape(), [0, 2, 3, 3]);
}

#[test]
fn passes_and_shapes_that_do_not_fit_are_refused() {
    let mut pool = MaxPool2d::new(MaxPool2dOptions::new(2)).unwrap();
    let x = tensor_f32(&[1, 2, 6, 6], 1);
    let pass = pool.forward_pass(&x).unwrap();
    let other = MaxPool2d::new(MaxPool2dOptions::new(3)).unwrap();
    assert!(other.backward(&pass, &tensor_f32(&[1, 2, 2, 2], 1)).is_err());
    assert!(pool.backward(&pass, &tensor_f32(&[1, 2, 2, 3], 1)).is_err());
    assert!(pool.forward_into(&x, &mut tensor_f32(&[1, 2, 6, 6], 1)).is_err());
    assert!(pool.forward(&tensor_f32(&[6, 6], 1)).is_err() && pool.choices(&[2, 1, 1]).is_err());
    assert_eq!(pool.choices(&[2, 6, 6]).unwrap().len(), 1);
}
