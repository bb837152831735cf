//! What holds of the losses of an input and a target.

use super::{assert_same_bits, executions, numbers, tensor_f32};
use crate::{
    BCELoss, BCELossOptions, BCEWithLogitsLoss, BCEWithLogitsLossOptions, L1Loss, L1LossOptions, MSELoss,
    MSELossOptions, Reduction, Tensor,
};

/// Numbers in [0, 1).
fn shares(shape: &[usize], seed: u64) -> Tensor<f32> {
    let numbers = numbers(shape.iter().product(), seed).into_iter().map(|x| ((x + 2.0) / 4.0) as f32);
    Tensor::from_vec(shape, numbers.collect()).unwrap()
}

#[test]
fn the_gradient_of_the_input_alone_is_that_beside_the_targets() {
    for execution in executions().concat() {
        for (shape, target) in [(&[1][..], &[1][..]), (&[3, 7], &[3, 7]), (&[50, 700], &[50, 700]), (&[3, 7], &[7])] {
            for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
                let g = if reduction == Reduction::None { tensor_f32(shape, 3) } else { Tensor::scalar(1.5) };
                let what = format!("{execution:?}, {shape:?}, {target:?}, {reduction:?}");
                macro_rules! check {
                    ($loss:expr, $x:expr, $t:expr) => {
                        let mut loss = $loss.unwrap();
                        loss.set_execution(execution.clone()).unwrap();
                        let pass = loss.forward_pass(&$x, &$t).unwrap();
                        let due = loss.backward(&pass, &g).unwrap().input;
                        assert_same_bits(&loss.backward_input(&pass, &g).unwrap(), &due, &what);
                        assert!(due.as_slice().iter().any(|x| *x != 0.0));
                        assert!(loss.backward_input(&pass, &Tensor::full(&[9, 9], 1.0).unwrap()).is_err());
                    };
                }
                let (x, t) = (tensor_f32(shape, 1), tensor_f32(target, 2));
                check!(L1Loss::new(L1LossOptions::new().reduction(reduction)), x, t);
                check!(MSELoss::new(MSELossOptions::new().reduction(reduction)), x, t);
                if shape == target {
                    let t = shares(target, 4);
                    check!(BCELoss::new(BCELossOptions::new().reduction(reduction)), shares(shape, 5), t);
                    let logits = BCEWithLogitsLossOptions::new().reduction(reduction);
                    check!(BCEWithLogitsLoss::new(logits), x, t);
                }
            }
        }
    }
}
