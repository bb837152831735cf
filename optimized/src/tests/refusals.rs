//! What a user can pass wrongly is an error, never a panic.

use crate::{
    BatchNorm2d, BatchNorm2dOptions, Execution, Isa, Layer, Linear, LinearOptions, MSELoss, MSELossOptions, ReLU,
    ReLUOptions, Reduction, Saved, Sigmoid, SigmoidOptions, Tensor, Threads,
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
    let mut sum = MSELoss::new(MSELossOptions::new().reduction(Reduction::Sum)).unwrap();
    let each = MSELoss::new(MSELossOptions::new().reduction(Reduction::None)).unwrap();
    let pass = sum.forward_pass(&full(&[2, 2]), &full(&[2, 2])).unwrap();
    assert!(each.backward(&pass, &full(&[])).is_err());
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
