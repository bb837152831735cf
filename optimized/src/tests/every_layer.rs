//! What holds of every layer that has several tasks of work: results are the same, to the last bit, on any number of threads and
//! from run to run; `forward_into` overwrites all of the caller's tensor and nothing else; and inputs stay as they are.

use super::{assert_same_bits, executions, tensor_f32};
use crate::{
    BCELoss, BCELossOptions, BCEWithLogitsLoss, BCEWithLogitsLossOptions, CrossEntropyLoss, CrossEntropyLossOptions,
    ELU, ELUOptions, Embedding, EmbeddingOptions, Execution, L1Loss, L1LossOptions, LeakyReLU, LeakyReLUOptions,
    LogSigmoid, LogSigmoidOptions, Reduction, Softmax, SoftmaxOptions, Tanh, TanhOptions, Tensor, algorithms,
};

/// Every algorithm that a layer has, at each instruction set on 1, 2 and 3 threads.
fn runs(layer: &str) -> Vec<[Execution; 3]> {
    let forced = |name: &str| {
        let name = name.to_owned();
        executions().into_iter().map(move |three| three.map(|execution| execution.algorithm(name.clone())))
    };
    algorithms(layer).iter().flat_map(|name| forced(name)).collect()
}

/// Calls `run` with each execution of a layer; where it gives tensors, those of different numbers of threads are equal.
pub(super) fn check(layer: &str, run: impl Fn(Execution) -> Option<Vec<Tensor<f32>>>) {
    let mut compared = 0;
    for three in runs(layer) {
        let results: Vec<_> = three.iter().filter_map(|execution| run(execution.clone())).collect();
        let Some((first, others)) = results.split_first() else { continue };
        assert_eq!(others.len(), 2, "{layer}: {three:?}");
        for (other, execution) in others.iter().zip(&three[1..]) {
            assert_eq!(first.len(), other.len());
            first.iter().zip(other).for_each(|(a, b)| assert_same_bits(a, b, &format!("{layer}: {execution:?}")));
        }
        compared += 1;
    }
    assert!(compared >= executions().len(), "{layer} ran only {compared} times");
}

/// A layer of one input: its output, its gradient, and the checks of `forward_into`.
macro_rules! of_one_input {
    ($layer:ident, $options:expr, $shape:expr) => {
        check(stringify!($layer), |execution| {
            let (x, g) = (tensor_f32(&$shape, 1), tensor_f32(&$shape, 2));
            let before = Tensor::from_vec(x.shape(), x.as_slice().to_vec()).unwrap();
            let mut layer = $layer::new($options).unwrap();
            layer.set_execution(execution).unwrap();
            let pass = layer.forward_pass(&x).ok()?;
            let mut into = Tensor::full(&$shape, f32::NAN).unwrap();
            layer.forward_into(&x, &mut into).unwrap();
            assert_same_bits(&into, &pass.output, stringify!($layer));
            assert_same_bits(&layer.forward(&x).unwrap(), &pass.output, stringify!($layer));
            assert_same_bits(&x, &before, stringify!($layer));
            let mut smaller = Tensor::full(&[3], f32::NAN).unwrap();
            assert!(layer.forward_into(&x, &mut smaller).is_err() && smaller.as_slice().iter().all(|y| y.is_nan()));
            Some(vec![pass.output.clone(), layer.backward(&pass, &g).unwrap().input])
        });
    };
}

#[test]
fn activations_and_softmax() {
    of_one_input!(Tanh, TanhOptions::new(), [300_007]);
    of_one_input!(LogSigmoid, LogSigmoidOptions::new(), [300_007]);
    of_one_input!(LeakyReLU, LeakyReLUOptions::new().negative_slope(0.25), [300_007]);
    of_one_input!(ELU, ELUOptions::new().alpha(0.5), [300_007]);
    of_one_input!(Softmax, SoftmaxOptions::new().dim(-1), [701, 333]);
    of_one_input!(Softmax, SoftmaxOptions::new().dim(0), [70, 3001]);
    of_one_input!(Softmax, SoftmaxOptions::new().dim(1), [5, 300, 130]);
}

/// A loss: its output and the gradients of input and target, and the checks of `forward_into`.
macro_rules! of_loss {
    ($loss:ident, $new:expr, $x:expr, $t:expr, $g:expr) => {
        check(stringify!($loss), |execution| {
            let (x, t, g) = ($x, $t, $g);
            let mut loss = $new;
            loss.set_execution(execution).unwrap();
            let pass = loss.forward_pass(&x, &t).ok()?;
            let mut into = pass.output.map(|_| f32::NAN);
            loss.forward_into(&x, &t, &mut into).unwrap();
            assert_same_bits(&into, &pass.output, stringify!($loss));
            let gradients = loss.backward(&pass, &g).unwrap();
            Some([Some(gradients.input), gradients.target.into(), Some(pass.output)].into_iter().flatten().collect())
        });
    };
}

#[test]
fn losses() {
    let probabilities = |shape: &[usize], seed| tensor_f32(shape, seed).map(|x| 0.25 * (x + 2.0));
    let shape = [331, 907];
    let each = || tensor_f32(&shape, 3);
    let one = || Tensor::scalar(0.7);
    let (none, mean) = (Reduction::None, Reduction::Mean);
    let x = || tensor_f32(&shape, 1);
    of_loss!(L1Loss, L1Loss::new(L1LossOptions::new()).unwrap(), x(), tensor_f32(&shape, 2), one());
    of_loss!(L1Loss, L1Loss::new(L1LossOptions::new().reduction(none)).unwrap(), x(), tensor_f32(&[907], 2), each());
    let weight = || Some(tensor_f32(&[331, 1], 4));
    let bce = |reduction| BCELoss::with_weight(BCELossOptions::new().reduction(reduction), weight()).unwrap();
    of_loss!(BCELoss, bce(mean), probabilities(&shape, 1), probabilities(&shape, 2), one());
    of_loss!(BCELoss, bce(none), probabilities(&shape, 1), probabilities(&shape, 2), each());
    let logits = |reduction| {
        let options = BCEWithLogitsLossOptions::new().reduction(reduction);
        BCEWithLogitsLoss::with_weights(options, weight(), Some(tensor_f32(&[907], 5))).unwrap()
    };
    of_loss!(BCEWithLogitsLoss, logits(mean), x(), probabilities(&shape, 2), one());
    of_loss!(BCEWithLogitsLoss, logits(none), x(), probabilities(&shape, 2), each());
}

#[test]
fn cross_entropy() {
    let weight = |classes: usize| Some(tensor_f32(&[classes], 4).map(|w| w + 2.5));
    let loss = |classes, smoothing| {
        let options = CrossEntropyLossOptions::new().label_smoothing(smoothing).ignore_index(3);
        CrossEntropyLoss::with_weight(options, weight(classes)).unwrap()
    };
    let classes = |shape: &[usize], count: i64| Tensor::from_fn(shape, |i| i.iter().sum::<usize>() as i64 % count);
    for smoothing in [0.0, 0.1] {
        let (x, t) = (tensor_f32(&[700, 130], 1), classes(&[700], 130).unwrap());
        of_loss!(CrossEntropyLoss, loss(130, smoothing), x.clone(), t.clone(), Tensor::scalar(0.7));
        let (x, t) = (tensor_f32(&[3, 21, 70, 67], 1), classes(&[3, 70, 67], 21).unwrap());
        of_loss!(CrossEntropyLoss, loss(21, smoothing), x.clone(), t.clone(), Tensor::scalar(0.7));
        let options = || CrossEntropyLossOptions::new().label_smoothing(smoothing).reduction(Reduction::None);
        let probabilities = |shape: &[usize]| tensor_f32(shape, 2).map(|x| x + 2.0);
        for shape in [&[700, 130][..], &[3, 21, 70, 67]] {
            let items: Vec<usize> = [&shape[..1], &shape[2..]].concat();
            let new = || CrossEntropyLoss::new(options()).unwrap();
            of_loss!(CrossEntropyLoss, new(), tensor_f32(shape, 1), probabilities(shape), tensor_f32(&items, 3));
        }
    }
}

#[test]
fn embedding() {
    let weight = || tensor_f32(&[1000, 65], 1);
    let indices = Tensor::from_fn(&[70, 130], |i| (i[0] * i[1] % 977) as i64).unwrap();
    let g = tensor_f32(&[70, 130, 65], 2);
    for by_frequency in [false, true] {
        check("Embedding", |execution| {
            let options = EmbeddingOptions::new(1000, 65).padding_idx(7).scale_grad_by_freq(by_frequency).max_norm(9.0);
            let mut layer = Embedding::with_parameters(options, weight()).unwrap();
            layer.set_execution(execution).unwrap();
            let untrained = layer.forward(&indices).unwrap();
            let mut into = Tensor::full(&[70, 130, 65], f32::NAN).unwrap();
            layer.forward_into(&indices, &mut into).unwrap();
            assert_same_bits(&into, &untrained, "Embedding");
            assert_same_bits(layer.weight(), &weight(), "Embedding");
            let pass = layer.forward_pass(&indices).unwrap();
            assert_same_bits(&untrained, &pass.output, "Embedding");
            assert!(layer.weight() != &weight());
            let gradient = layer.backward(&pass, &g).unwrap().weight.unwrap().to_dense(1000).unwrap();
            // The plain loop, in its own order.
            let mut expected = vec![0.0_f32; 1000 * 65];
            let count = |row: i64| indices.as_slice().iter().filter(|other| **other == row).count() as f32;
            for (place, row) in indices.as_slice().iter().enumerate().filter(|(_, row)| **row != 7) {
                let share = if by_frequency { 1.0 / count(*row) } else { 1.0 };
                for d in 0..65 {
                    expected[*row as usize * 65 + d] += g.as_slice()[place * 65 + d] * share;
                }
            }
            assert!(gradient.as_slice() == expected, "Embedding's gradient");
            Some(vec![pass.output, gradient])
        });
    }
}
