//! What a user can pass wrongly is an error, never a panic.

use crate::{
    BCELoss, BCELossOptions, BCEWithLogitsLoss, BCEWithLogitsLossOptions, BatchNorm2d, BatchNorm2dOptions,
    CrossEntropyLoss, CrossEntropyLossOptions, CrossEntropyTarget, ELU, ELUOptions, Embedding, EmbeddingOptions,
    Execution, Isa, L1Loss, L1LossOptions, Layer, Linear, LinearOptions, MSELoss, MSELossOptions, ReLU, ReLUOptions,
    Reduction, Saved, Sigmoid, SigmoidOptions, Softmax, SoftmaxOptions, Tensor, Threads,
};
use std::num::NonZeroUsize;

fn full(shape: &[usize]) -> Tensor<f32> {
    Tensor::full(shape, 1.0).unwrap()
}

/// Of sizes so large that one more would overflow, an empty tensor takes no time and no memory.
#[test]
fn huge_and_empty_shapes_are_computed_or_refused() {
    let huge = [1 << 59, 2, 0];
    let linear = Linear::with_parameters(LinearOptions::new(0, 1), full(&[1, 0]), Some(full(&[1]))).unwrap();
    assert!(linear.forward(&full(&huge)).is_err());
    assert!(linear.choices(&[usize::MAX, 2, 0]).is_err());
    let mut empty = Linear::with_parameters(LinearOptions::new(0, 0), full(&[0, 0]), Some(full(&[0]))).unwrap();
    let pass = empty.forward_pass(&full(&huge)).unwrap();
    assert_eq!(empty.backward(&pass, &full(&huge)).unwrap().input.shape(), huge);
    let relu = ReLU::new(ReLUOptions::new()).unwrap();
    assert!(relu.forward(&full(&huge)).unwrap().is_empty());
    let loss = MSELoss::new(MSELossOptions::new().reduction(Reduction::None)).unwrap();
    assert!(loss.forward(&full(&huge), &full(&[1])).unwrap().is_empty());
    assert!(loss.forward(&full(&[1 << 20, 1]), &full(&[0])).unwrap().is_empty());
    assert!(loss.forward(&full(&[1 << 40, 1, 0]), &full(&[0, 1 << 40, 1])).is_err());
    for shape in [[1 << 59, 0, 1, 2], [0, 3, 1 << 50, 3], [0, 20, 8, 8], [0, 1 << 60, 1, 1], [2, 3, 0, 2]] {
        for training in [true, false] {
            let mut norm = BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(3)).unwrap();
            Layer::set_training(&mut norm, training);
            let pass = norm.forward_pass(&full(&shape)).unwrap();
            let gradients = norm.backward(&pass, &full(&shape)).unwrap();
            assert_eq!((gradients.input.shape(), gradients.weight.unwrap().as_slice()), (&shape[..], &[0.0; 3][..]));
        }
    }
    let bare = BatchNorm2dOptions::new(1 << 60).affine(false).track_running_stats(false);
    let mut norm = BatchNorm2d::<f32>::new(bare).unwrap();
    let pass = norm.forward_pass(&full(&[0, 3, 2, 2])).unwrap();
    assert!(norm.backward(&pass, &full(&[0, 3, 2, 2])).unwrap().weight.is_none());
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let linear = Linear::with_parameters(LinearOptions::new(3, 2).bias(false), full(&[2, 3]), None).unwrap();
    assert!(linear.forward(&full(&[3, 2])).is_err());
    assert!(linear.forward(&full(&[])).is_err());
    assert!(linear.forward_into(&full(&[4, 3]), &mut full(&[2, 4])).is_err());
    assert_eq!(linear.forward(&full(&[3])).unwrap().shape(), [2]);
    let norm = BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(3)).unwrap();
    assert!(norm.forward(&full(&[2, 4, 2, 2])).is_err());
    assert!(norm.forward(&full(&[1, 3, 1, 1])).is_err());
    assert!(norm.forward_into(&full(&[2, 3, 1, 1]), &mut full(&[2, 3])).is_err());
    let loss = MSELoss::new(MSELossOptions::new()).unwrap();
    assert!(loss.forward(&full(&[2, 3]), &full(&[2])).is_err());
    assert!(loss.forward(&full(&[2, 0]), &full(&[2, 3])).is_err());
    assert!(loss.forward_into(&full(&[2]), &full(&[2]), &mut full(&[1])).is_err());
    let sigmoid = Sigmoid::new(SigmoidOptions::new()).unwrap();
    assert!(sigmoid.forward_into(&full(&[2]), &mut full(&[1, 2])).is_err());
}

#[test]
fn passes_of_other_layers_are_refused() {
    let mut small = Linear::with_parameters(LinearOptions::new(3, 2).bias(false), full(&[2, 3]), None).unwrap();
    let large = Linear::with_parameters(LinearOptions::new(4, 2).bias(false), full(&[2, 4]), None).unwrap();
    let pass = small.forward_pass(&full(&[5, 3])).unwrap();
    assert!(large.backward(&pass, &full(&[5, 2])).is_err());
    assert!(small.backward(&pass, &full(&[5, 3])).is_err());
    let mut relu = ReLU::new(ReLUOptions::new()).unwrap();
    let (output, saved) = Layer::<f32>::forward_pass(&mut relu, &full(&[5, 3])).unwrap();
    assert!(Layer::backward(&small, &saved, &output).is_err());
    assert!(Layer::backward(&relu, &Saved::new(3), &output).is_err());
    // A pass of another reduction goes backward as the loss says.
    let mut sum = MSELoss::new(MSELossOptions::new().reduction(Reduction::Sum)).unwrap();
    let each = MSELoss::new(MSELossOptions::new().reduction(Reduction::None)).unwrap();
    let pass = sum.forward_pass(&full(&[2, 2]), &full(&[2, 2])).unwrap();
    assert!(each.backward(&pass, &full(&[])).is_err() && each.backward(&pass, &full(&[2, 2])).is_ok());
    // And so does a pass of an activation that would have kept another tensor.
    for (maker, taker) in [(false, true), (true, false)] {
        let of = |inplace| ELU::new(ELUOptions::new().inplace(inplace)).unwrap();
        let x = Tensor::from_vec(&[2], vec![-1.0, -3.0]).unwrap();
        let pass = of(maker).forward_pass(&x).unwrap();
        let gradient = of(taker).backward(&pass, &full(&[2])).unwrap().input;
        for (got, x) in gradient.as_slice().iter().zip(x.as_slice()) {
            assert!((got - x.exp()).abs() < 1e-6, "{got} at {x}");
        }
    }
    // A pass of a layer with other channels carries all that its gradients need.
    let mut three = BatchNorm2d::new(BatchNorm2dOptions::new(3)).unwrap();
    let two = BatchNorm2d::<f32>::new(BatchNorm2dOptions::new(2)).unwrap();
    let pass = three.forward_pass(&full(&[2, 3, 2, 2])).unwrap();
    assert!(two.backward(&pass, &full(&[2, 3, 2, 2])).is_ok());
}

#[test]
fn executions_that_are_not_possible_are_refused() {
    let mut relu = ReLU::new(ReLUOptions::new()).unwrap();
    for isa in Isa::ALL {
        assert_eq!(relu.set_execution(Execution::default().isa(isa)).is_ok(), Isa::available().contains(&isa));
    }
    let error = relu.set_execution(Execution::default().algorithm("gemm".to_owned())).unwrap_err();
    assert_eq!((error.layer(), error.argument()), ("ReLU", "algorithm"));
    relu.set_execution(Execution::default().threads(Threads::new(NonZeroUsize::MAX))).unwrap();
    assert_eq!(relu.forward(&full(&[200_000])).unwrap(), full(&[200_000]));
}

#[test]
fn layers_without_parameters_take_any_number_of_channels() {
    let options = BatchNorm2dOptions::new(3).affine(false).track_running_stats(false);
    let mut norm = BatchNorm2d::<f32>::new(options).unwrap();
    let pass = norm.forward_pass(&full(&[2, 20, 9, 9])).unwrap();
    assert!(pass.output.as_slice().iter().all(|&y| y == 0.0));
    let gradients = norm.backward(&pass, &full(&[2, 20, 9, 9])).unwrap();
    assert!(gradients.weight.is_none() && gradients.bias.is_none());
}

/// As above, of layers that go along lines, and of losses.
#[test]
fn huge_and_empty_lines_are_computed_or_refused() {
    let mut softmax = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
    assert!(softmax.choices(&[usize::MAX, 2, 3]).is_ok() && softmax.choices(&[3]).is_err());
    for shape in [[1 << 59, 2, 0], [0, 1 << 59, 2], [1 << 59, 0, 2], [2, 0, 1 << 40]] {
        for dim in 0..3 {
            softmax = Softmax::new(SoftmaxOptions::new().dim(dim)).unwrap();
            let pass = softmax.forward_pass(&full(&shape)).unwrap();
            assert_eq!(softmax.backward(&pass, &full(&shape)).unwrap().input.shape(), shape);
        }
        let mut loss = L1Loss::new(L1LossOptions::new()).unwrap();
        let pass = loss.forward_pass(&full(&shape), &full(&shape)).unwrap();
        assert!(pass.output.as_slice()[0].is_nan());
        assert!(loss.backward(&pass, &full(&[])).unwrap().target.is_empty());
        for reduction in [Reduction::None, Reduction::Mean] {
            let options = BCEWithLogitsLossOptions::new().reduction(reduction);
            let mut loss = BCEWithLogitsLoss::with_weights(options, Some(full(&[1, 1])), Some(full(&[]))).unwrap();
            let pass = loss.forward_pass(&full(&shape), &full(&shape)).unwrap();
            let gradients = loss.backward(&pass, &pass.output.clone()).unwrap();
            assert!(gradients.input.is_empty() && gradients.target.shape() == shape);
        }
        let mut loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new()).unwrap();
        let pass = loss.forward_pass(&full(&shape), &full(&shape)).unwrap();
        assert_eq!(loss.backward(&pass, &full(&[])).unwrap().input.shape(), shape);
        assert!(loss.choices(&[2, 1 << 60, 1 << 60, 1 << 60], &[2, 1 << 60, 1 << 60]).is_ok());
    }
    let mut embedding = Embedding::with_parameters(EmbeddingOptions::new(3, 0), full(&[3, 0])).unwrap();
    let pass = embedding.forward_pass(&Tensor::from_vec(&[2], vec![0_i64, 2]).unwrap()).unwrap();
    assert_eq!(pass.output.shape(), [2, 0]);
    assert!(embedding.backward(&pass, &full(&[2, 0])).unwrap().weight.is_some());
    let none = Tensor::from_vec(&[1 << 59, 0], Vec::<i64>::new()).unwrap();
    let mut wide = Embedding::with_parameters(EmbeddingOptions::new(1, 9), full(&[1, 9])).unwrap();
    assert!(wide.forward(&none).is_err());
    let pass = wide.forward_pass(&Tensor::from_vec(&[0, 4], Vec::<i64>::new()).unwrap()).unwrap();
    assert!(wide.backward(&pass, &full(&[0, 4, 9])).is_ok());
}

/// A pass under other options than the loss has is refused, or goes backward as they say; it never panics.
#[test]
fn passes_of_other_losses_are_refused_or_taken_as_they_are() {
    let classes = || Tensor::from_vec(&[2], vec![0_i64, 4]).unwrap();
    let mut five = CrossEntropyLoss::with_weight(CrossEntropyLossOptions::new(), Some(full(&[5]))).unwrap();
    let pass = five.forward_pass(&full(&[2, 5]), &classes()).unwrap();
    let three = CrossEntropyLoss::with_weight(CrossEntropyLossOptions::new(), Some(full(&[3]))).unwrap();
    assert!(three.backward(&pass, &full(&[])).is_err());
    let smoothed = CrossEntropyLoss::<f32>::new(CrossEntropyLossOptions::new().label_smoothing(0.5)).unwrap();
    assert!(smoothed.backward(&pass, &full(&[])).is_ok());
    let each = CrossEntropyLoss::<f32>::new(CrossEntropyLossOptions::new().reduction(Reduction::None)).unwrap();
    assert!(each.backward(&pass, &full(&[])).is_err() && each.backward(&pass, &full(&[2])).is_ok());
    let mut ignoring = CrossEntropyLoss::new(CrossEntropyLossOptions::new().ignore_index(7)).unwrap();
    let seventh = Tensor::from_vec(&[2], vec![0_i64, 7]).unwrap();
    let pass = ignoring.forward_pass(&full(&[2, 5]), CrossEntropyTarget::Classes(seventh)).unwrap();
    assert!(each.backward(&pass, &full(&[2])).is_err());
    let mut plain = BCELoss::new(BCELossOptions::new()).unwrap();
    let pass = plain.forward_pass(&full(&[2, 3]), &full(&[2, 3])).unwrap();
    let weighted = BCELoss::with_weight(BCELossOptions::new(), Some(full(&[2]))).unwrap();
    assert!(weighted.backward(&pass, &full(&[])).is_err());
    let mut tall = Embedding::with_parameters(EmbeddingOptions::new(9, 2), full(&[9, 2])).unwrap();
    let pass = tall.forward_pass(&Tensor::from_vec(&[1], vec![8_i64]).unwrap()).unwrap();
    let short = Embedding::with_parameters(EmbeddingOptions::new(3, 2), full(&[3, 2])).unwrap();
    assert!(short.backward(&pass, &full(&[1, 2])).is_err());
    let error = short.forward(&Tensor::from_vec(&[1; 256], vec![0_i64]).unwrap()).unwrap_err();
    assert_eq!((error.layer(), error.argument()), ("Embedding", "output"));
    let mut last = Softmax::new(SoftmaxOptions::new().dim(1)).unwrap();
    let pass = last.forward_pass(&full(&[2, 3])).unwrap();
    assert!(
        Softmax::new(SoftmaxOptions::new().dim(2)).unwrap().backward(&pass, &full(&[2, 3])).unwrap_err().argument()
            == "pass"
    );
}

#[test]
fn sums_of_nothing_are_positive_zeros() {
    let sum = |shape: &[usize]| {
        let loss = BCELoss::new(BCELossOptions::new().reduction(Reduction::Sum)).unwrap();
        loss.forward(&full(shape), &full(shape)).unwrap().as_slice()[0].to_bits()
    };
    assert_eq!(sum(&[0]), 0.0_f32.to_bits());
    let one_class = CrossEntropyLoss::new(CrossEntropyLossOptions::new()).unwrap();
    let loss = one_class.forward(&full(&[3, 1]), &Tensor::from_vec(&[3], vec![0_i64; 3]).unwrap()).unwrap();
    assert_eq!(loss.as_slice()[0].to_bits(), 0.0_f32.to_bits());
}
