//! ReLU.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{Execution, ReLUOptions};

const SIZES: [usize; 3] = [1024, 65_536, 1 << 20];

fn optimized(execution: Execution) -> optimized::ReLU {
    let mut layer = optimized::ReLU::new(ReLUOptions::new()).unwrap();
    layer.set_execution(execution).unwrap();
    layer
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "ReLU forward");
    let reference = reference::ReLU::new(ReLUOptions::new()).unwrap();
    for size in SIZES {
        let (x, name) = (&tensor(&[size]), size.to_string());
        side_by_side(&mut group, (&name, size), Some(|| reference.forward(x).unwrap()), |execution| {
            let layer = optimized(execution);
            move || layer.forward(x).unwrap()
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "ReLU backward");
    let mut reference = reference::ReLU::new(ReLUOptions::new()).unwrap();
    for size in SIZES {
        let (x, g, name) = (&tensor(&[size]), &tensor(&[size]), size.to_string());
        let pass = reference.forward_pass(x).unwrap();
        side_by_side(&mut group, (&name, size), Some(|| reference.backward(&pass, g).unwrap()), |execution| {
            let mut layer = optimized(execution);
            let pass = layer.forward_pass(x).unwrap();
            move || layer.backward(&pass, g).unwrap()
        });
    }
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
