use super::{assert_close, assert_same_bits, executions, tensor_f32, tensor_f64};
use crate::{BatchNorm2d, BatchNorm2dOptions, BatchNorm2dState, Tensor};

/// One plane, few channels, many, planes of one element, planes longer than a block, channels done at once, planes whose next is asked for.
const SHAPES: [[usize; 4]; 11] = [
    [1, 1, 1, 2],
    [2, 3, 1, 1],
    [3, 2, 5, 7],
    [40, 20, 1, 1],
    [2, 17, 8, 9],
    [2, 3, 70, 90],
    [5, 16, 12, 13],
    [1, 2, 130, 131],
    [2, 18, 65, 64],
    [3, 16, 23, 24],
    [3, 2, 27, 29],
];

fn layer(channels: usize, seed: u64) -> BatchNorm2d<f64> {
    let state = BatchNorm2dState {
        weight: Some(tensor_f64(&[channels], seed)),
        bias: Some(tensor_f64(&[channels], seed + 1)),
        running_mean: Some(tensor_f64(&[channels], seed + 2)),
        running_var: Some(tensor_f64(&[channels], seed + 3).map(|x| x * x + 0.5)),
        num_batches_tracked: Some(0),
    };
    BatchNorm2d::with_parameters(BatchNorm2dOptions::new(channels), state).unwrap()
}

fn narrow(layer: &BatchNorm2d<f64>) -> BatchNorm2d<f32> {
    let state = layer.state();
    let narrow = |t: &Option<Tensor<f64>>| t.as_ref().map(|t| t.map(|x| x as f32));
    let state = BatchNorm2dState {
        weight: narrow(&state.weight),
        bias: narrow(&state.bias),
        running_mean: narrow(&state.running_mean),
        running_var: narrow(&state.running_var),
        num_batches_tracked: state.num_batches_tracked,
    };
    BatchNorm2d::with_parameters(layer.options().clone(), state).unwrap()
}

/// The elements of channel c.
fn channel(x: &Tensor<f64>, c: usize) -> Vec<f64> {
    let &[n, _, h, w] = x.shape() else { panic!() };
    (0..n).flat_map(|n| (0..h).flat_map(move |i| (0..w).map(move |j| x[[n, c, i, j]]))).collect()
}

#[test]
fn training_and_evaluation_follow_the_formulas() {
    for shape in SHAPES {
        let (x, g) = (tensor_f64(&shape, 1), tensor_f64(&shape, 2));
        for execution in executions().into_iter().flatten() {
            for training in [true, false] {
                let what = format!("{shape:?}, training {training}, {execution:?}");
                let mut norm = layer(shape[1], 10);
                norm.set_execution(execution.clone()).unwrap();
                if !training {
                    norm.eval();
                }
                let mut single = narrow(&norm);
                single.set_execution(execution.clone()).unwrap();
                if !training {
                    single.eval();
                }
                let before = norm.state().clone();
                let pass = norm.forward_pass(&x).unwrap();
                let gradients = norm.backward(&pass, &g).unwrap();
                let single_pass = single.forward_pass(&x.map(|x| x as f32)).unwrap();
                let single_gradients = single.backward(&single_pass, &g.map(|g| g as f32)).unwrap();
                for c in [0, shape[1] - 1] {
                    let (xs, gs, ys) = (channel(&x, c), channel(&g, c), channel(&pass.output, c));
                    let n = xs.len() as f64;
                    let (mean, variance) = if training {
                        let mean = xs.iter().sum::<f64>() / n;
                        (mean, xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
                    } else {
                        (before.running_mean.as_ref().unwrap()[[c]], before.running_var.as_ref().unwrap()[[c]])
                    };
                    let r = 1.0 / (variance + 1e-5).sqrt();
                    let (gamma, beta) = (before.weight.as_ref().unwrap()[[c]], before.bias.as_ref().unwrap()[[c]]);
                    let normalised: Vec<f64> = xs.iter().map(|x| (x - mean) * r).collect();
                    let sum_g: f64 = gs.iter().sum();
                    let sum_gx: f64 = gs.iter().zip(&normalised).map(|(g, x)| g * x).sum();
                    let single_ys = channel(&single_pass.output.map(f64::from), c);
                    let dx = channel(&gradients.input, c);
                    let single_dx = channel(&single_gradients.input.map(f64::from), c);
                    let scale = 1.0 + r * gamma.abs();
                    for i in 0..xs.len() {
                        let y = gamma * normalised[i] + beta;
                        assert_close(ys[i], y, 1e-11 * scale, &what);
                        assert_close(single_ys[i], y, 1e-5 * scale, &what);
                        let means = if training { sum_g / n + normalised[i] * sum_gx / n } else { 0.0 };
                        let slope = gamma * r * (gs[i] - means);
                        assert_close(dx[i], slope, 1e-10 * scale, &what);
                        assert_close(single_dx[i], slope, 1e-4 * scale, &what);
                    }
                    assert_close(gradients.bias.as_ref().unwrap()[[c]], sum_g, 1e-11 * n, &what);
                    assert_close(gradients.weight.as_ref().unwrap()[[c]], sum_gx, 1e-10 * n, &what);
                    let running = |t: &Option<Tensor<f64>>| t.as_ref().unwrap()[[c]];
                    let (m, v) = (running(&before.running_mean), running(&before.running_var));
                    let (m, v) = if training {
                        (0.9 * m + 0.1 * mean, 0.9 * v + 0.1 * variance * n / (n - 1.0))
                    } else {
                        (m, v)
                    };
                    assert_close(running(&norm.state().running_mean), m, 1e-12, &what);
                    assert_close(running(&norm.state().running_var), v, 1e-12, &what);
                }
                assert_eq!(norm.state().num_batches_tracked, Some(i64::from(training)));
                let mut into = Tensor::full(&shape, f64::NAN).unwrap();
                let mut fresh = layer(shape[1], 10);
                fresh.set_execution(execution.clone()).unwrap();
                if !training {
                    fresh.eval();
                }
                fresh.forward_into(&x, &mut into).unwrap();
                assert!(into == pass.output, "{what}");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    for shape in [[3, 3, 90, 91], [4, 20, 50, 51], [64, 130, 2, 2]] {
        let (x, g) = (tensor_f32(&shape, 3), tensor_f32(&shape, 4));
        for executions in executions() {
            let results = executions.map(|execution| {
                let mut norm = narrow(&layer(shape[1], 20));
                norm.set_execution(execution).unwrap();
                let pass = norm.forward_pass(&x).unwrap();
                let gradients = norm.backward(&pass, &g).unwrap();
                [pass.output, gradients.input, gradients.weight.unwrap(), gradients.bias.unwrap()]
            });
            for other in &results[1..] {
                results[0].iter().zip(other).for_each(|(a, b)| assert_same_bits(a, b, &format!("{shape:?}")));
            }
        }
    }
}

#[test]
fn a_mean_far_from_zero_costs_nothing() {
    // Deviations of 1 about a mean of 2²⁰: exact in f32.
    let x =
        Tensor::from_fn(&[2, 1, 8, 8], |i| if (i[2] + i[3]) % 2 == 0 { 1_048_577.0_f32 } else { 1_048_575.0 }).unwrap();
    for execution in executions().into_iter().flatten() {
        let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(1).eps(1e-12)).unwrap();
        norm.set_execution(execution).unwrap();
        let y = norm.forward(&x).unwrap();
        assert!(y.as_slice().iter().all(|y| y.abs() == 1.0), "{y}");
    }
}

#[test]
fn factors_beyond_the_range_are_applied_apart() {
    // γ·r would be subnormal, and overflow; γ·x̂ is neither.
    for (scale, gamma) in [(1e20_f32, 1e-22_f32), (1e-5, 1e36)] {
        let x = Tensor::from_fn(&[1, 1, 2, 2], |i| if i[3] == 0 { scale } else { -scale }).unwrap();
        let state = BatchNorm2dState {
            weight: Some(Tensor::full(&[1], gamma).unwrap()),
            bias: None,
            running_mean: None,
            running_var: None,
            num_batches_tracked: None,
        };
        let options = BatchNorm2dOptions::new(1).bias(false).track_running_stats(false).eps(1e-30);
        let mut norm = BatchNorm2d::with_parameters(options, state).unwrap();
        let pass = norm.forward_pass(&x).unwrap();
        for y in pass.output.as_slice() {
            assert_close(f64::from(y.abs() / gamma), 1.0, 1e-6, "normalised");
        }
        assert!(norm.backward(&pass, &tensor_f32(&[1, 1, 2, 2], 1)).is_ok());
    }
}

#[test]
fn batches_without_values_move_only_the_count() {
    let mut norm = BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(2)).unwrap();
    let pass = norm.forward_pass(&Tensor::full(&[0, 2, 3, 3], 1.0).unwrap()).unwrap();
    assert_eq!(norm.state().num_batches_tracked, Some(1));
    assert_eq!(norm.state().running_var.as_ref().unwrap().as_slice(), [1.0, 1.0]);
    let gradients = norm.backward(&pass, &pass.output).unwrap();
    assert_eq!(gradients.weight.unwrap().as_slice(), [0.0, 0.0]);
    assert_eq!(gradients.input.shape(), [0, 2, 3, 3]);
}
