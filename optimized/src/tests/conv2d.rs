use super::{assert_close, assert_same_bits, executions, integers, tensor_f32, tensor_f64};
use crate::{Conv2d, Conv2dOptions, Execution, Padding, PaddingMode, Tensor, algorithms};
use rand::SeedableRng;

/// What an axis reads, written out: a place in the input, or a padded zero.
fn source(options: &Conv2dOptions, axis: usize, size: usize, window: usize, tap: usize) -> Option<usize> {
    let (kernel, dilation) = (options.kernel_size.axes()[axis] as i64, options.dilation.axes()[axis] as i64);
    let start = match options.padding {
        Padding::Explicit(padding) => padding[axis],
        Padding::Same => dilation * (kernel - 1) / 2,
        Padding::Valid => 0,
    };
    let place = window as i64 * options.stride.axes()[axis] as i64 + tap as i64 * dilation - start;
    let size = size as i64;
    let place = match options.padding_mode {
        PaddingMode::Zeros => place,
        PaddingMode::Replicate => place.max(0).min(size - 1),
        PaddingMode::Circular => (place + size) % size,
        PaddingMode::Reflect => (size - 1) - ((size - 1) - place.abs()).abs(),
    };
    usize::try_from(place).ok().filter(|&place| place < size as usize)
}

/// Output, and gradients of input, weight and bias, by loops.
fn by_loops(options: &Conv2dOptions, [x, w, bias, g]: [&Tensor<f32>; 4], output: &[usize]) -> [Tensor<f32>; 4] {
    let (size, kernel) = (x.shape(), w.shape());
    let (inputs, outputs) = (kernel[1], kernel[0] / options.groups);
    let mut y = Tensor::full(output, 0.0).unwrap();
    let mut dx = Tensor::full(size, 0.0).unwrap();
    let mut dw = Tensor::full(kernel, 0.0).unwrap();
    let mut db = Tensor::full(bias.shape(), 0.0).unwrap();
    for n in 0..output[0] {
        for o in 0..output[1] {
            for a in 0..output[2] {
                for b in 0..output[3] {
                    let g = g[[n, o, a, b]];
                    let mut sum = bias[[o]];
                    db[[o]] += g;
                    for c in 0..inputs {
                        for i in 0..kernel[2] {
                            for j in 0..kernel[3] {
                                let place = source(options, 0, size[2], a, i).zip(source(options, 1, size[3], b, j));
                                let channel = o / outputs * inputs + c;
                                if let Some((h, k)) = place {
                                    sum += w[[o, c, i, j]] * x[[n, channel, h, k]];
                                    dx[[n, channel, h, k]] += w[[o, c, i, j]] * g;
                                    dw[[o, c, i, j]] += x[[n, channel, h, k]] * g;
                                }
                            }
                        }
                    }
                    y[[n, o, a, b]] = sum;
                }
            }
        }
    }
    [y, dx, dw, db]
}

/// Every algorithm that accepts an input of this shape, with every execution.
fn accepted(conv: &Conv2d<f32>, input: &[usize]) -> Vec<Execution> {
    let choices = conv.choices(input).unwrap();
    assert_eq!(choices.len(), algorithms("Conv2d").len());
    let names: Vec<_> = choices.iter().filter(|choice| choice.refusal.is_none()).map(|choice| choice.name).collect();
    let every = executions().into_iter().flatten();
    every.flat_map(|execution| names.iter().map(move |name| execution.clone().algorithm((*name).to_owned()))).collect()
}

/// Small integers are multiplied exactly, by every algorithm, at every instruction set and number of threads.
fn check(options: Conv2dOptions, input: [usize; 4]) {
    let x = integers(&input, 1);
    let (w, bias) = (integers(&options.weight_shape(), 2), integers(&[options.out_channels], 3));
    let mut conv = Conv2d::with_parameters(options.clone(), w.clone(), Some(bias.clone())).unwrap();
    let output = conv.output_shape(&input).unwrap();
    let g = integers(&output, 4);
    let [y, dx, dw, db] = by_loops(&options, [&x, &w, &bias, &g], &output);
    for execution in accepted(&conv, &input) {
        let what = format!("{options:?} of {input:?}, {execution:?}");
        conv.set_execution(execution).unwrap();
        let pass = conv.forward_pass(&x).unwrap();
        assert!(pass.output == y, "{what}");
        let gradients = conv.backward(&pass, &g).unwrap();
        assert!(gradients.input == dx, "{what}");
        assert!(gradients.weight == dw, "{what}");
        assert!(gradients.bias.as_ref() == Some(&db), "{what}");
        let mut into = Tensor::full(&output, f32::NAN).unwrap();
        conv.forward_into(&x, &mut into).unwrap();
        assert!(into == y, "{what}");
    }
}

fn modes() -> [PaddingMode; 4] {
    [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular]
}

#[test]
fn every_geometry_is_exact_in_every_mode() {
    for mode in modes() {
        for (kernel, stride, dilation, padding) in [
            ((3, 3), (1, 1), (1, 1), (1, 1)),
            ((1, 1), (1, 1), (1, 1), (0, 0)),
            ((1, 1), (2, 3), (1, 1), (1, 0)),
            ((2, 5), (1, 2), (3, 1), (4, 3)),
            ((4, 1), (3, 1), (1, 2), (2, 0)),
            ((2, 3), (2, 1), (2, 4), (1, 5)),
            ((7, 7), (2, 2), (1, 1), (3, 3)),
        ] {
            let options = Conv2dOptions::new(4, 6, kernel).stride(stride).dilation(dilation).padding(padding);
            check(options.padding_mode(mode).groups(2), [2, 4, 9, 11]);
        }
        let same = Conv2dOptions::new(2, 3, (2, 4)).padding(Padding::Same).dilation((3, 1)).padding_mode(mode);
        check(same, [1, 2, 6, 7]);
        check(Conv2dOptions::new(2, 3, 3).padding(Padding::Valid).stride(2).padding_mode(mode), [2, 2, 6, 7]);
        if mode != PaddingMode::Zeros {
            let mut crop = Conv2dOptions::new(2, 3, 2).padding_mode(mode);
            crop.padding = Padding::Explicit([-2, 1]);
            check(crop.clone(), [2, 2, 8, 5]);
            crop.kernel_size = 3.into();
            check(crop, [2, 2, 9, 6]);
        }
    }
}

/// Rows and columns of every tile and one more or less, few channels and many, more terms than are summed in registers.
#[test]
fn every_tile_has_its_ends() {
    for (channels, groups, kernel, image) in [
        ([1, 1], 1, 3, [1, 1]),
        ([1, 6], 1, 5, [28, 28]),
        ([5, 5], 5, 3, [17, 64]),
        ([8, 16], 8, 3, [5, 65]),
        ([6, 12], 3, 2, [9, 63]),
        ([3, 13], 1, 7, [8, 130]),
        ([15, 65], 1, 3, [3, 16]),
        ([129, 7], 1, 1, [16, 17]),
        ([128, 193], 1, 1, [3, 11]),
        ([64, 12], 1, 1, [31, 1]),
        ([2, 192], 2, 1, [1, 257]),
        ([30, 20], 1, 3, [12, 33]),
        ([1, 2], 1, 1, [3, 600]),
    ] {
        let options = Conv2dOptions::new(channels[0], channels[1], kernel).groups(groups).padding(kernel / 2);
        check(options, [2, channels[0], image[0], image[1]]);
    }
    // Blocks of tiles that end within rows, images and panels; more channels than are summed in registers, or transformed at once.
    for (channels, groups, image, images) in [
        ([16, 17], 1, [13, 9], 9),
        ([33, 16], 1, [6, 140], 2),
        ([130, 18], 1, [5, 4], 3),
        ([32, 48], 2, [16, 17], 5),
        ([16, 16], 1, [29, 66], 1),
        ([1024, 260], 1, [2, 2], 1),
    ] {
        let options = Conv2dOptions::new(channels[0], channels[1], 3).groups(groups).padding(1);
        check(options, [images, channels[0], image[0], image[1]]);
    }
    check(Conv2dOptions::new(2, 4, (1, 3)).padding((0, 1)), [1, 2, 2, 515]);
    check(Conv2dOptions::new(2, 4, (1, 3)).padding((0, 1)).stride((1, 2)), [1, 2, 2, 515]);
    check(Conv2dOptions::new(1, 1, (1, 2)).dilation((1, 300)).groups(1), [1, 1, 2, 900]);
    check(Conv2dOptions::new(2, 2, 1).groups(2), [40, 2, 3, 5]);
    check(Conv2dOptions::new(3, 2, 2), [40, 3, 4, 3]);
}

/// Work enough for several threads; a batch that is summed in pieces.
#[test]
fn results_do_not_depend_on_threads_nor_on_runs() {
    for (options, input) in [
        (Conv2dOptions::new(24, 40, 3).padding(1), [5, 24, 17, 19]),
        (Conv2dOptions::new(32, 32, 3).groups(32).padding(1), [4, 32, 40, 50]),
        (Conv2dOptions::new(64, 70, 1), [3, 64, 13, 15]),
        (Conv2dOptions::new(3, 20, 7).stride(2).padding(3).padding_mode(PaddingMode::Reflect), [2, 3, 50, 60]),
        (Conv2dOptions::new(16, 8, 3).groups(2), [40, 16, 12, 12]),
        (Conv2dOptions::new(20, 17, 3).padding_mode(PaddingMode::Circular).padding((2, 1)), [7, 20, 15, 15]),
    ] {
        let (x, w) = (tensor_f32(&input, 1), tensor_f32(&options.weight_shape(), 2));
        let bias = tensor_f32(&[options.out_channels], 3);
        let conv = Conv2d::with_parameters(options, w, Some(bias)).unwrap();
        let g = tensor_f32(&conv.output_shape(&input).unwrap(), 4);
        for choice in conv.choices(&input).unwrap().into_iter().filter(|choice| choice.refusal.is_none()) {
            for executions in executions() {
                let results = executions.map(|execution| {
                    let mut conv = conv.clone();
                    conv.set_execution(execution.algorithm(choice.name.to_owned())).unwrap();
                    let pass = conv.forward_pass(&x).unwrap();
                    assert_same_bits(&conv.forward(&x).unwrap(), &pass.output, choice.name);
                    let gradients = conv.backward(&pass, &g).unwrap();
                    [pass.output, gradients.input, gradients.weight, gradients.bias.unwrap()]
                });
                for other in &results[1..] {
                    results[0].iter().zip(other).for_each(|(a, b)| assert_same_bits(a, b, choice.name));
                }
            }
        }
    }
}

/// What a window reads that is infinite or NaN, no other of its tile has, nor what overflows on its way.
#[test]
fn one_element_that_is_not_finite_spoils_its_windows_alone() {
    for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX] {
        let options = Conv2dOptions::new(3, 4, 3).padding(1).padding_mode(PaddingMode::Circular);
        let (w, bias) = (Tensor::full(&options.weight_shape(), 1.0).unwrap(), integers(&[4], 3));
        let mut x = Tensor::full(&[2, 3, 9, 41], 1.0).unwrap();
        x[[1, 2, 4, 20]] = special;
        let mut conv = Conv2d::with_parameters(options, w, Some(bias.clone())).unwrap();
        for execution in accepted(&conv, &[2, 3, 9, 41]) {
            let what = format!("{special} {execution:?}");
            conv.set_execution(execution).unwrap();
            let y = conv.forward(&x).unwrap();
            let mut spoiled = 0;
            for (n, o, a, b) in (0..2).flat_map(|n| (0..4 * 9 * 41).map(move |i| (n, i / 369, i / 41 % 9, i % 41))) {
                let y = y[[n, o, a, b]];
                if n == 1 && a.abs_diff(4) < 2 && b.abs_diff(20) < 2 {
                    assert!(y == special || y.is_nan() && special.is_nan(), "{what}: {y}");
                    spoiled += 1;
                } else {
                    assert_eq!(y, 27.0 + bias[[o]], "{what}");
                }
            }
            assert_eq!(spoiled, 4 * 9);
        }
    }
}

/// Padded zeros are terms of the output and of the weight's gradient, and none of the input's.
#[test]
fn padded_zeros_are_real_zeros() {
    for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for groups in [1, 2] {
            let options = Conv2dOptions::new(2, 10, 3).padding(1).bias(false).groups(groups);
            let mut w = Tensor::full(&options.weight_shape(), 1.0).unwrap();
            w[[1, 0, 0, 0]] = special;
            let x = Tensor::full(&[1, 2, 4, 20], 1.0).unwrap();
            let mut g = Tensor::full(&[1, 10, 4, 20], 1.0).unwrap();
            g[[0, 3, 3, 19]] = special;
            let mut conv = Conv2d::with_parameters(options, w, None).unwrap();
            for execution in accepted(&conv, &[1, 2, 4, 20]) {
                conv.set_execution(execution).unwrap();
                let pass = conv.forward_pass(&x).unwrap();
                for (a, b) in (0..4).flat_map(|a| (0..20).map(move |b| (a, b))) {
                    let y = pass.output[[0, 1, a, b]];
                    let reads_padding = a == 0 || b == 0;
                    assert!(if reads_padding || special.is_nan() { y.is_nan() } else { y == special }, "{a} {b} {y}");
                    assert!(pass.output[[0, 0, a, b]].is_finite());
                }
                let gradients = conv.backward(&pass, &g).unwrap();
                // The tap (0, 0) of no window reads the last row or column; all others have real terms alone.
                assert!(gradients.input[[0, 0, 3, 0]].is_finite() && gradients.input[[0, 0, 0, 19]].is_finite());
                let dx = gradients.input[[0, 0, 2, 5]];
                assert!(if special.is_nan() { dx.is_nan() } else { dx == special }, "{dx}");
                let dw = &gradients.weight;
                assert!(dw[[3, 0, 2, 2]].is_nan() && dw[[3, 0, 2, 0]].is_nan() && dw[[2, 0, 2, 2]].is_finite());
                assert!(if special.is_nan() { dw[[3, 0, 1, 1]].is_nan() } else { dw[[3, 0, 1, 1]] == special });
            }
        }
    }
}

#[test]
fn without_bias_in_double_precision_and_without_a_batch() {
    let options = Conv2dOptions::new(6, 10, 3).bias(false).groups(2).stride((1, 2));
    let (x, w) = (tensor_f64(&[6, 9, 24], 1), tensor_f64(&options.weight_shape(), 2));
    let mut conv = Conv2d::with_parameters(options, w.clone(), None).unwrap();
    for name in ["direct", "im2col"] {
        for execution in executions().into_iter().flatten() {
            conv.set_execution(execution.algorithm(name.to_owned())).unwrap();
            let pass = conv.forward_pass(&x).unwrap();
            assert_eq!(pass.output.shape(), [10, 7, 11]);
            for [o, a, b] in [[0, 0, 0], [9, 6, 10], [4, 3, 5], [5, 2, 9]] {
                let taps = (0..3).flat_map(|c| (0..3).flat_map(move |i| (0..3).map(move |j| [c, i, j])));
                let terms = taps.map(|[c, i, j]| w[[o, c, i, j]] * x[[o / 5 * 3 + c, a + i, 2 * b + j]]);
                assert_close(pass.output[[o, a, b]], terms.sum(), 1e-13, name);
            }
            let gradients = conv.backward(&pass, &pass.output).unwrap();
            assert_eq!((gradients.input.shape(), gradients.bias.is_none()), (&[6, 9, 24][..], true));
        }
    }
}

#[test]
fn parameters_and_passes_are_kept_and_those_of_other_sizes_refused() {
    let options = Conv2dOptions::new(2, 3, (1, 2));
    let conv = Conv2d::<f32>::init(options.clone(), &mut rand::rngs::SmallRng::seed_from_u64(1)).unwrap();
    let bound = 0.5 + 1e-6;
    assert!(conv.weight().as_slice().iter().chain(conv.bias().unwrap().as_slice()).all(|x| x.abs() <= bound));
    let mut again = Conv2d::from_state_dict(options.clone(), &conv.state_dict()).unwrap();
    assert_eq!((again.weight(), again.bias(), again.options()), (conv.weight(), conv.bias(), &options));
    let wider = Conv2dOptions::new(2, 3, (1, 3));
    assert!(Conv2d::<f32>::from_state_dict(wider.clone(), &conv.state_dict()).is_err());
    assert!(Conv2d::<f32>::from_state_dict(options.bias(false), &conv.state_dict()).is_err());
    let pass = again.forward_pass(&integers(&[1, 2, 4, 5], 1)).unwrap();
    assert_eq!(pass.output.shape(), [1, 3, 4, 4]);
    assert!(again.backward(&pass, &integers(&[1, 3, 4, 5], 1)).is_err());
    let wider = Conv2d::<f32>::init(wider, &mut rand::rngs::SmallRng::seed_from_u64(1)).unwrap();
    assert!(wider.backward(&pass, &integers(&[1, 3, 4, 3], 1)).is_err());
    assert!(again.forward_into(&integers(&[1, 2, 4, 5], 1), &mut integers(&[1, 3, 4, 5], 1)).is_err());
    again.set_execution(Execution::default().algorithm("pointwise".to_owned())).unwrap();
    let error = again.forward(&integers(&[1, 2, 4, 5], 1)).unwrap_err();
    assert_eq!((error.layer(), error.argument()), ("Conv2d", "algorithm"));
}

#[test]
fn nothing_is_computed_of_nothing() {
    let empty = |conv: &mut Conv2d<f32>, input: &[usize]| {
        let pass = conv.forward_pass(&Tensor::full(input, 1.0).unwrap()).unwrap();
        let gradients = conv.backward(&pass, &pass.output).unwrap();
        assert!(pass.output.is_empty() && gradients.input.is_empty());
        assert!(gradients.weight.as_slice().iter().all(|&w| w == 0.0));
        assert!(gradients.bias.unwrap().as_slice().iter().all(|&bias| bias == 0.0));
        pass.output.shape().to_vec()
    };
    let options = Conv2dOptions::new(2, 4, 3).padding(1).groups(2);
    let w = integers(&options.weight_shape(), 1);
    let mut conv = Conv2d::with_parameters(options, w, Some(integers(&[4], 2))).unwrap();
    assert_eq!(empty(&mut conv, &[0, 2, 5, 6]), [0, 4, 5, 6]);
    assert_eq!(empty(&mut conv, &[0, 2, 2, 1]), [0, 4, 2, 1]);
    let without = Conv2dOptions::new(0, 4, 3).padding(1);
    let w = Tensor::full(&without.weight_shape(), 1.0).unwrap();
    let mut conv = Conv2d::with_parameters(without, w, Some(integers(&[4], 2))).unwrap();
    assert_eq!(empty(&mut conv, &[2, 0, 5, 6]), [2, 0, 5, 6]);
    assert_eq!(empty(&mut conv, &[0, 5, 6]), [0, 5, 6]);
}

/// Sizes that overflow are refused or computed in no time; strides and paddings of 62 bits leave few windows.
#[test]
fn huge_sizes_are_computed_or_refused() {
    let of = |options: Conv2dOptions| {
        let w = integers(&options.weight_shape(), 1);
        Conv2d::with_parameters(options.bias(false), w, None).unwrap()
    };
    let x = Tensor::full(&[1, 1, 4, 4], 1.0).unwrap();
    for mode in [PaddingMode::Zeros, PaddingMode::Replicate] {
        let far = Conv2dOptions::new(1, 1, 1).padding(1 << 61).stride(1 << 61).padding_mode(mode);
        let mut conv = of(far);
        for execution in accepted(&conv, &[1, 1, 4, 4]) {
            conv.set_execution(execution).unwrap();
            let pass = conv.forward_pass(&x).unwrap();
            assert_eq!(pass.output.shape(), [1, 1, 3, 3]);
            assert_eq!(conv.backward(&pass, &pass.output).unwrap().input.shape(), [1, 1, 4, 4]);
        }
        let many = of(Conv2dOptions::new(1, 1, 1).padding(1 << 61).padding_mode(mode));
        assert!(many.forward(&x).is_err());
        assert!(many.forward(&Tensor::full(&[0, 1, 4, 4], 1.0).unwrap()).is_err());
        let w = Tensor::full(&[16, 16, 3, 3], 1.0).unwrap();
        let many = Conv2dOptions::new(16, 16, 3).padding(1 << 61).bias(false).padding_mode(mode);
        let many = Conv2d::with_parameters(many, w, None).unwrap();
        assert!(many.forward(&Tensor::full(&[1, 16, 4, 4], 1.0).unwrap()).is_err());
        let _ = many.choices(&[0, 16, 4, 4]);
        let apart = Conv2dOptions::new(1, 1, 2).padding(1 << 61).dilation((1 << 62) + 3).padding_mode(mode);
        let mut conv = of(apart);
        for execution in accepted(&conv, &[1, 1, 4, 4]) {
            conv.set_execution(execution).unwrap();
            let pass = conv.forward_pass(&x).unwrap();
            assert_eq!(pass.output.shape(), [1, 1, 1, 1]);
            conv.backward(&pass, &pass.output).unwrap();
        }
    }
}
