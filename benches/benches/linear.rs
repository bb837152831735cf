//! Linear. Elements are multiply-adds.

use benches::{THREADS, group, tensor, threads, time};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::LinearOptions;

/// Rows, in_features, out_features; and whether reference takes part.
const SIZES: [(usize, usize, usize, bool); 4] =
    [(1, 512, 512, true), (32, 128, 128, true), (64, 1024, 1024, false), (1024, 1024, 1024, false)];

fn bench(criterion: &mut Criterion) {
    for (rows, inputs, outputs, with_reference) in SIZES {
        let options = LinearOptions::new(inputs, outputs);
        let (weight, bias) = (tensor(&[outputs, inputs]), tensor(&[outputs]));
        let (x, g) = (tensor(&[rows, inputs]), tensor(&[rows, outputs]));
        let (name, products) = (format!("{rows}x{inputs}→{outputs}"), rows * inputs * outputs);
        let reference = reference::Linear::with_parameters(options.clone(), weight.clone(), Some(bias.clone()));
        let mut reference = reference.unwrap();
        let optimized = |count: usize| {
            let layer = optimized::Linear::with_parameters(options.clone(), weight.clone(), Some(bias.clone()));
            let mut layer = layer.unwrap();
            layer.set_execution(threads(count)).unwrap();
            layer
        };
        let mut forward = group(criterion, "Linear forward");
        if with_reference {
            time(&mut forward, "reference", &name, products, || reference.forward(&x).unwrap());
        }
        for count in THREADS {
            let layer = optimized(count);
            time(&mut forward, &format!("optimized, {count} threads"), &name, products, || layer.forward(&x).unwrap());
        }
        forward.finish();
        let mut backward = group(criterion, "Linear backward");
        if with_reference {
            let pass = reference.forward_pass(&x).unwrap();
            time(&mut backward, "reference", &name, 2 * products, || reference.backward(&pass, &g).unwrap());
        }
        for count in THREADS {
            let mut layer = optimized(count);
            let pass = layer.forward_pass(&x).unwrap();
            let label = format!("optimized, {count} threads");
            time(&mut backward, &label, &name, 2 * products, || layer.backward(&pass, &g).unwrap());
        }
        backward.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
