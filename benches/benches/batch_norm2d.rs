//! BatchNorm2d, in training and in evaluation.

use benches::{THREADS, group, tensor, threads, time};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::BatchNorm2dOptions;

const SHAPES: [[usize; 4]; 3] = [[4, 16, 14, 14], [8, 64, 28, 28], [8, 64, 56, 56]];

fn bench(criterion: &mut Criterion) {
    for shape in SHAPES {
        let (x, g, size) = (tensor(&shape), tensor(&shape), shape.iter().product());
        let name = shape.map(|size| size.to_string()).join("x");
        let mut reference = reference::BatchNorm2d::new(BatchNorm2dOptions::new(shape[1])).unwrap();
        let optimized = |count: usize| {
            let mut layer = optimized::BatchNorm2d::new(BatchNorm2dOptions::new(shape[1])).unwrap();
            layer.set_execution(threads(count)).unwrap();
            layer
        };
        let mut train = group(criterion, "BatchNorm2d train forward");
        time(&mut train, "reference", &name, size, || reference.forward_pass(&x).unwrap());
        for count in THREADS {
            let mut layer = optimized(count);
            time(&mut train, &format!("optimized, {count} threads"), &name, size, || layer.forward_pass(&x).unwrap());
        }
        train.finish();
        let mut backward = group(criterion, "BatchNorm2d train backward");
        let pass = reference.forward_pass(&x).unwrap();
        time(&mut backward, "reference", &name, size, || reference.backward(&pass, &g).unwrap());
        for count in THREADS {
            let mut layer = optimized(count);
            let pass = layer.forward_pass(&x).unwrap();
            let label = format!("optimized, {count} threads");
            time(&mut backward, &label, &name, size, || layer.backward(&pass, &g).unwrap());
        }
        backward.finish();
        let mut eval = group(criterion, "BatchNorm2d eval forward");
        reference.eval();
        time(&mut eval, "reference", &name, size, || reference.forward(&x).unwrap());
        for count in THREADS {
            let mut layer = optimized(count);
            layer.eval();
            time(&mut eval, &format!("optimized, {count} threads"), &name, size, || layer.forward(&x).unwrap());
        }
        eval.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
