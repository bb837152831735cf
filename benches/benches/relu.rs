//! ReLU.

use benches::{THREADS, group, tensor, threads, time};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::ReLUOptions;

const SIZES: [usize; 3] = [1024, 65_536, 1 << 20];

fn bench(criterion: &mut Criterion) {
    for size in SIZES {
        let (x, g, name) = (tensor(&[size]), tensor(&[size]), size.to_string());
        let mut reference = reference::ReLU::new(ReLUOptions::new()).unwrap();
        let pass = reference.forward_pass(&x).unwrap();
        let mut forward = group(criterion, "ReLU forward");
        time(&mut forward, "reference", &name, size, || reference.forward(&x).unwrap());
        for count in THREADS {
            let mut layer = optimized::ReLU::new(ReLUOptions::new()).unwrap();
            layer.set_execution(threads(count)).unwrap();
            time(&mut forward, &format!("optimized, {count} threads"), &name, size, || layer.forward(&x).unwrap());
        }
        forward.finish();
        let mut backward = group(criterion, "ReLU backward");
        time(&mut backward, "reference", &name, size, || reference.backward(&pass, &g).unwrap());
        for count in THREADS {
            let mut layer = optimized::ReLU::new(ReLUOptions::new()).unwrap();
            layer.set_execution(threads(count)).unwrap();
            let pass = layer.forward_pass(&x).unwrap();
            time(&mut backward, &format!("optimized, {count} threads"), &name, size, || {
                layer.backward(&pass, &g).unwrap()
            });
        }
        backward.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
