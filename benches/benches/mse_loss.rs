//! MSELoss, the mean.

use benches::{THREADS, group, tensor, threads, time};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{MSELossOptions, Tensor};

const SIZES: [usize; 3] = [1024, 65_536, 1 << 20];

fn bench(criterion: &mut Criterion) {
    for size in SIZES {
        let (x, t, g, name) = (tensor(&[size]), tensor(&[size]), Tensor::scalar(0.5), size.to_string());
        let mut reference = reference::MSELoss::new(MSELossOptions::new()).unwrap();
        let pass = reference.forward_pass(&x, &t).unwrap();
        let mut forward = group(criterion, "MSELoss forward");
        time(&mut forward, "reference", &name, size, || reference.forward(&x, &t).unwrap());
        for count in THREADS {
            let mut layer = optimized::MSELoss::new(MSELossOptions::new()).unwrap();
            layer.set_execution(threads(count)).unwrap();
            time(&mut forward, &format!("optimized, {count} threads"), &name, size, || layer.forward(&x, &t).unwrap());
        }
        forward.finish();
        let mut backward = group(criterion, "MSELoss backward");
        time(&mut backward, "reference", &name, size, || reference.backward(&pass, &g).unwrap());
        for count in THREADS {
            let mut layer = optimized::MSELoss::new(MSELossOptions::new()).unwrap();
            layer.set_execution(threads(count)).unwrap();
            let pass = layer.forward_pass(&x, &t).unwrap();
            let label = format!("optimized, {count} threads");
            time(&mut backward, &label, &name, size, || layer.backward(&pass, &g).unwrap());
        }
        backward.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
