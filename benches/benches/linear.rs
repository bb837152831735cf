//! Linear. Elements are multiply-adds.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{Execution, LinearOptions, Tensor};

/// Rows, in_features, out_features; and whether reference takes part.
const SIZES: [(usize, usize, usize, bool); 4] =
    [(1, 512, 512, true), (32, 128, 128, true), (64, 1024, 1024, false), (1024, 1024, 1024, false)];

/// One size: both layers, and their operands.
struct Setup {
    reference: reference::Linear<f32>,
    optimized: optimized::Linear<f32>,
    x: Tensor<f32>,
    g: Tensor<f32>,
    name: String,
    products: usize,
}

impl Setup {
    fn new(rows: usize, inputs: usize, outputs: usize) -> Self {
        let options = LinearOptions::new(inputs, outputs);
        let (weight, bias) = (tensor(&[outputs, inputs]), tensor(&[outputs]));
        let reference = reference::Linear::with_parameters(options.clone(), weight.clone(), Some(bias.clone()));
        let optimized = optimized::Linear::with_parameters(options, weight, Some(bias));
        Self {
            reference: reference.unwrap(),
            optimized: optimized.unwrap(),
            x: tensor(&[rows, inputs]),
            g: tensor(&[rows, outputs]),
            name: format!("{rows}x{inputs}→{outputs}"),
            products: rows * inputs * outputs,
        }
    }

    fn optimized(&self, execution: Execution) -> optimized::Linear<f32> {
        let mut layer = self.optimized.clone();
        layer.set_execution(execution).unwrap();
        layer
    }
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "Linear forward");
    for (rows, inputs, outputs, with_reference) in SIZES {
        let setup = &Setup::new(rows, inputs, outputs);
        let reference = with_reference.then_some(|| setup.reference.forward(&setup.x).unwrap());
        side_by_side(&mut group, (&setup.name, setup.products), reference, |execution| {
            let layer = setup.optimized(execution);
            move || layer.forward(&setup.x).unwrap()
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "Linear backward");
    for (rows, inputs, outputs, with_reference) in SIZES {
        let setup = &Setup::new(rows, inputs, outputs);
        let reference = with_reference.then(|| {
            let mut layer = setup.reference.clone();
            let pass = layer.forward_pass(&setup.x).unwrap();
            move || layer.backward(&pass, &setup.g).unwrap()
        });
        side_by_side(&mut group, (&setup.name, 2 * setup.products), reference, |execution| {
            let mut layer = setup.optimized(execution);
            let pass = layer.forward_pass(&setup.x).unwrap();
            move || layer.backward(&pass, &setup.g).unwrap()
        });
    }
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
