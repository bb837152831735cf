//! Conv2d. Elements are multiply-adds.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{Conv2dOptions, Execution, Tensor};

/// Name, options, input, and whether reference takes part.
fn sizes() -> Vec<(&'static str, Conv2dOptions, [usize; 4], bool)> {
    vec![
        ("3x3 N1 8→8 14²", Conv2dOptions::new(8, 8, 3).padding(1), [1, 8, 14, 14], true),
        ("3x3 N8 64→64 56²", Conv2dOptions::new(64, 64, 3).padding(1), [8, 64, 56, 56], false),
        ("1x1 N8 256→64 56²", Conv2dOptions::new(256, 64, 1), [8, 256, 56, 56], false),
        ("depthwise 3x3 N8 128 56²", Conv2dOptions::new(128, 128, 3).padding(1).groups(128), [8, 128, 56, 56], false),
        ("stem 7x7 s2 N8 3→64 224²", Conv2dOptions::new(3, 64, 7).stride(2).padding(3), [8, 3, 224, 224], false),
    ]
}

/// One size: both layers, and their operands.
struct Setup {
    reference: reference::Conv2d<f32>,
    optimized: optimized::Conv2d<f32>,
    x: Tensor<f32>,
    g: Tensor<f32>,
    products: usize,
}

impl Setup {
    fn new(options: Conv2dOptions, input: [usize; 4]) -> Self {
        let (weight, bias) = (tensor(&options.weight_shape()), tensor(&[options.out_channels]));
        let terms: usize = options.weight_shape()[1..].iter().product();
        let reference =
            reference::Conv2d::with_parameters(options.clone(), weight.clone(), Some(bias.clone())).unwrap();
        let optimized = optimized::Conv2d::with_parameters(options, weight, Some(bias)).unwrap();
        let g = tensor(&optimized.output_shape(&input).unwrap());
        Self { reference, optimized, x: tensor(&input), products: terms * g.len(), g }
    }

    fn optimized(&self, execution: Execution) -> optimized::Conv2d<f32> {
        let mut layer = self.optimized.clone();
        layer.set_execution(execution).unwrap();
        layer
    }
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "Conv2d forward");
    for (name, options, input, with_reference) in sizes() {
        let setup = &Setup::new(options, input);
        let reference = with_reference.then_some(|| setup.reference.forward(&setup.x).unwrap());
        side_by_side(&mut group, (name, setup.products), reference, |execution| {
            let layer = setup.optimized(execution);
            move || layer.forward(&setup.x).unwrap()
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "Conv2d backward");
    for (name, options, input, with_reference) in sizes() {
        let setup = &Setup::new(options, input);
        let reference = with_reference.then(|| {
            let mut layer = setup.reference.clone();
            let pass = layer.forward_pass(&setup.x).unwrap();
            move || layer.backward(&pass, &setup.g).unwrap()
        });
        side_by_side(&mut group, (name, 2 * setup.products), reference, |execution| {
            let mut layer = setup.optimized(execution);
            let pass = layer.forward_pass(&setup.x).unwrap();
            move || layer.backward(&pass, &setup.g).unwrap()
        });
    }
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
