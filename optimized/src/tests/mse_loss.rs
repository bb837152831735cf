use super::{assert_close, assert_same_bits, executions, integers, tensor_f32};
use crate::{Execution, MSELoss, MSELossOptions, Reduction, Tensor, algorithms};

const PAIRS: [(&[usize], &[usize]); 13] = [
    (&[], &[]),
    (&[7], &[7]),
    (&[4], &[]),
    (&[], &[3, 2]),
    (&[5, 3], &[3]),
    (&[5, 3], &[5, 1]),
    (&[5, 1], &[1, 4]),
    (&[2, 3, 4, 5], &[3, 1, 5]),
    (&[2, 1, 4, 1], &[3, 1, 5]),
    (&[70, 1000], &[70, 1000]),
    (&[70, 1000], &[1000]),
    (&[1, 1000], &[70, 1]),
    (&[40000, 2], &[40000, 1]),
];

const REDUCTIONS: [Reduction; 3] = [Reduction::None, Reduction::Mean, Reduction::Sum];

/// The element that index `k` of the broadcast shape reads.
fn at(t: &Tensor<f32>, k: &[usize]) -> Vec<usize> {
    let k = &k[k.len() - t.rank()..];
    t.shape().iter().zip(k).map(|(&size, &k)| if size == 1 { 0 } else { k }).collect()
}

#[test]
fn small_integers_are_summed_exactly() {
    for (input, target) in PAIRS {
        let (x, t) = (integers(input, 1), integers(target, 2));
        for reduction in REDUCTIONS {
            let mut loss = MSELoss::new(MSELossOptions::new().reduction(reduction)).unwrap();
            let shape = MSELoss::new(MSELossOptions::new().reduction(Reduction::None)).unwrap();
            let shape = shape.output_shape(input, target).unwrap();
            let terms = Tensor::from_fn(&shape, |k| {
                let d = x.get(&at(&x, k)).unwrap() - t.get(&at(&t, k)).unwrap();
                d * d
            });
            let terms = terms.unwrap();
            let sum: f64 = terms.as_slice().iter().map(|&x| f64::from(x)).sum();
            let output = match reduction {
                Reduction::None => terms.clone(),
                Reduction::Sum => Tensor::scalar(sum as f32),
                Reduction::Mean => Tensor::scalar((sum / terms.len() as f64) as f32),
            };
            // A power of two, so that the mean's gradients are exact once its divisor is taken out.
            let g = if reduction == Reduction::None { integers(&shape, 3) } else { Tensor::scalar(0.5) };
            let n = if reduction == Reduction::Mean { terms.len() as f64 } else { 1.0 };
            let (mut dx, mut dt) = (vec![0.0; x.len()], vec![0.0; t.len()]);
            Tensor::from_fn(&shape, |k| {
                let (i, j) = (at(&x, k), at(&t, k));
                let g = if reduction == Reduction::None { *g.get(k).unwrap() } else { 0.5 };
                let slope = f64::from(2.0 * (x.get(&i).unwrap() - t.get(&j).unwrap()) * g);
                let flat =
                    |t: &Tensor<f32>, i: &[usize]| t.shape().iter().zip(i).fold(0, |at, (size, i)| at * size + i);
                dx[flat(&x, &i)] += slope;
                dt[flat(&t, &j)] -= slope;
            })
            .unwrap();
            for execution in executions().into_iter().flatten() {
                for name in algorithms("MSELoss") {
                    if *name == "one_pass" && input != target {
                        continue;
                    }
                    let what = format!("{input:?} and {target:?}, {reduction:?}, {name}, {execution:?}");
                    loss.set_execution(execution.clone().algorithm((*name).to_owned())).unwrap();
                    let pass = loss.forward_pass(&x, &t).unwrap();
                    assert!(pass.output == output, "{what}");
                    let mut into = output.map(|_| f32::NAN);
                    loss.forward_into(&x, &t, &mut into).unwrap();
                    assert!(into == output, "{what}");
                    let gradients = loss.backward(&pass, &g).unwrap();
                    for (got, due) in [(&gradients.input, &dx), (&gradients.target, &dt)] {
                        for (got, due) in got.as_slice().iter().zip(due) {
                            // A mean's factor is rounded once before the copies are added.
                            let terms = (terms.len() as f64 * 8.0).min(due.abs() + 1e4);
                            let tolerance = if n == 1.0 { 0.0 } else { 2e-7 * terms / n };
                            assert_close(f64::from(*got), due / n, tolerance, &what);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    for (input, target) in [(&[700, 501][..], &[700, 501][..]), (&[700, 501], &[501]), (&[700, 1], &[1, 501])] {
        let (x, t) = (tensor_f32(input, 1), tensor_f32(target, 2));
        for executions in executions() {
            let results = executions.map(|execution| {
                let mut loss = MSELoss::new(MSELossOptions::new()).unwrap();
                loss.set_execution(execution).unwrap();
                let pass = loss.forward_pass(&x, &t).unwrap();
                let gradients = loss.backward(&pass, &Tensor::scalar(0.7)).unwrap();
                [pass.output, gradients.input, gradients.target]
            });
            for other in &results[1..] {
                results[0].iter().zip(other).for_each(|(a, b)| assert_same_bits(a, b, "MSELoss"));
            }
        }
    }
}

#[test]
fn nothing_has_a_mean_of_nan() {
    for (reduction, is_nan) in [(Reduction::Mean, true), (Reduction::Sum, false)] {
        let mut loss = MSELoss::new(MSELossOptions::new().reduction(reduction)).unwrap();
        for target in [&[0, 3][..], &[3], &[1, 1]] {
            let (x, t) = (Tensor::full(&[0, 3], 1.0_f32).unwrap(), Tensor::full(target, 1.0).unwrap());
            let pass = loss.forward_pass(&x, &t).unwrap();
            assert_eq!(pass.output.as_slice()[0].is_nan(), is_nan);
            let gradients = loss.backward(&pass, &Tensor::scalar(1.0)).unwrap();
            assert!(gradients.input.is_empty() && gradients.target.as_slice().iter().all(|&g| g == 0.0));
        }
    }
}

#[test]
fn a_factor_that_would_be_subnormal_is_not_rounded() {
    // 2g/n = 1.25e−40 is subnormal; times 10²⁰ it is not.
    let mut loss = MSELoss::new(MSELossOptions::new()).unwrap();
    let pass = loss.forward_pass(&Tensor::full(&[16], 1e20_f32).unwrap(), &Tensor::full(&[16], 0.0).unwrap()).unwrap();
    for name in algorithms("MSELoss") {
        loss.set_execution(Execution::default().algorithm((*name).to_owned())).unwrap();
        let gradients = loss.backward(&pass, &Tensor::scalar(1e-39)).unwrap();
        let g = f64::from(1e-39_f32);
        assert_close(f64::from(gradients.input[[3]]) / (1e20 * g / 8.0), 1.0, 1e-6, name);
    }
}

#[test]
fn infinities_and_nan_pass_through() {
    let x = Tensor::from_vec(&[4], vec![f32::INFINITY, f32::NAN, 1.0, f32::INFINITY]).unwrap();
    let t = Tensor::from_vec(&[4], vec![0.0, 0.0, 1.0, f32::INFINITY]).unwrap();
    let mut loss = MSELoss::new(MSELossOptions::new().reduction(Reduction::None)).unwrap();
    for name in algorithms("MSELoss") {
        loss.set_execution(Execution::default().algorithm((*name).to_owned())).unwrap();
        let y = loss.forward(&x, &t).unwrap();
        assert!(y[[0]] == f32::INFINITY && y[[1]].is_nan() && y[[2]] == 0.0 && y[[3]].is_nan());
    }
}

#[test]
fn broadcasting_is_refused_by_one_pass() {
    let x = integers(&[3, 4], 1);
    let mut loss = MSELoss::new(MSELossOptions::new()).unwrap();
    loss.set_execution(Execution::default().algorithm("one_pass".to_owned())).unwrap();
    assert_eq!(loss.forward(&x, &integers(&[4], 1)).unwrap_err().argument(), "algorithm");
    assert!(loss.choices(&[3, 4], &[4]).unwrap()[0].refusal.is_some());
    assert!(loss.choices(&[3, 4], &[3]).is_err());
}
