//! BatchNorm2d, in training and in evaluation.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{BatchNorm2dOptions, Execution};

const SHAPES: [[usize; 4]; 3] = [[4, 16, 14, 14], [8, 64, 28, 28], [8, 64, 56, 56]];

fn name(shape: [usize; 4]) -> String {
    shape.map(|size| size.to_string()).join("x")
}

fn reference(channels: usize) -> reference::BatchNorm2d<f32> {
    reference::BatchNorm2d::new(BatchNorm2dOptions::new(channels)).unwrap()
}

fn optimized(channels: usize, execution: Execution) -> optimized::BatchNorm2d<f32> {
    let mut layer = optimized::BatchNorm2d::new(BatchNorm2dOptions::new(channels)).unwrap();
    layer.set_execution(execution).unwrap();
    layer
}

fn train_forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "BatchNorm2d train forward");
    for shape in SHAPES {
        let (x, size) = (&tensor(&shape), shape.iter().product());
        let mut reference = reference(shape[1]);
        side_by_side(&mut group, (&name(shape), size), Some(|| reference.forward_pass(x).unwrap()), |execution| {
            let mut layer = optimized(shape[1], execution);
            move || layer.forward_pass(x).unwrap()
        });
    }
}

fn train_backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "BatchNorm2d train backward");
    for shape in SHAPES {
        let (x, g, size) = (&tensor(&shape), &tensor(&shape), shape.iter().product());
        let mut reference = reference(shape[1]);
        let pass = reference.forward_pass(x).unwrap();
        side_by_side(&mut group, (&name(shape), size), Some(|| reference.backward(&pass, g).unwrap()), |execution| {
            let mut layer = optimized(shape[1], execution);
            let pass = layer.forward_pass(x).unwrap();
            move || layer.backward(&pass, g).unwrap()
        });
    }
}

fn eval_forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "BatchNorm2d eval forward");
    for shape in SHAPES {
        let (x, size) = (&tensor(&shape), shape.iter().product());
        let mut reference = reference(shape[1]);
        reference.eval();
        side_by_side(&mut group, (&name(shape), size), Some(|| reference.forward(x).unwrap()), |execution| {
            let mut layer = optimized(shape[1], execution);
            layer.eval();
            move || layer.forward(x).unwrap()
        });
    }
}

criterion_group!(benches, train_forward, train_backward, eval_forward);
criterion_main!(benches);
