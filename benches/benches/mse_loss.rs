//! MSELoss, the mean.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{Execution, MSELossOptions, Tensor};

const SIZES: [usize; 3] = [1024, 65_536, 1 << 20];

fn optimized(execution: Execution) -> optimized::MSELoss {
    let mut loss = optimized::MSELoss::new(MSELossOptions::new()).unwrap();
    loss.set_execution(execution).unwrap();
    loss
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "MSELoss forward");
    let reference = reference::MSELoss::new(MSELossOptions::new()).unwrap();
    for size in SIZES {
        let (x, t, name) = (&tensor(&[size]), &tensor(&[size]).map(|x| 0.5 - x), size.to_string());
        side_by_side(&mut group, (&name, size), Some(|| reference.forward(x, t).unwrap()), |execution| {
            let loss = optimized(execution);
            move || loss.forward(x, t).unwrap()
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "MSELoss backward");
    let mut reference = reference::MSELoss::new(MSELossOptions::new()).unwrap();
    let g = &Tensor::scalar(0.5);
    for size in SIZES {
        let (x, t, name) = (&tensor(&[size]), &tensor(&[size]).map(|x| 0.5 - x), size.to_string());
        let pass = reference.forward_pass(x, t).unwrap();
        side_by_side(&mut group, (&name, size), Some(|| reference.backward(&pass, g).unwrap()), |execution| {
            let mut loss = optimized(execution);
            let pass = loss.forward_pass(x, t).unwrap();
            move || loss.backward(&pass, g).unwrap()
        });
    }
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
