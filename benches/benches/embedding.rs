//! Embedding, of 10,000 rows.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{EmbeddingOptions, Tensor};

const ROWS: usize = 10_000;
const SIZES: [usize; 2] = [64, 4096];
const DIMENSION: usize = 256;

fn indices(count: usize) -> Tensor<i64> {
    Tensor::from_fn(&[count], |place| (7919 * place[0] % ROWS) as i64).unwrap()
}

fn options() -> EmbeddingOptions {
    EmbeddingOptions::new(ROWS, DIMENSION)
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "Embedding forward");
    let weight = tensor(&[ROWS, DIMENSION]);
    let reference = reference::Embedding::with_parameters(options(), weight.clone()).unwrap();
    for size in SIZES {
        let (x, name) = (&indices(size), size.to_string());
        let literal = Some(|| reference.forward(x).unwrap());
        side_by_side(&mut group, (&name, size * DIMENSION), literal, |execution| {
            let mut layer = optimized::Embedding::with_parameters(options(), weight.clone()).unwrap();
            layer.set_execution(execution).unwrap();
            move || layer.forward(x).unwrap()
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "Embedding backward");
    let weight = tensor(&[ROWS, DIMENSION]);
    let mut reference = reference::Embedding::with_parameters(options(), weight.clone()).unwrap();
    for size in SIZES {
        let (x, g, name) = (&indices(size), &tensor(&[size, DIMENSION]), size.to_string());
        let pass = reference.forward_pass(x).unwrap();
        let literal = Some(|| reference.backward(&pass, g).unwrap());
        side_by_side(&mut group, (&name, size * DIMENSION), literal, |execution| {
            let mut layer = optimized::Embedding::with_parameters(options(), weight.clone()).unwrap();
            layer.set_execution(execution).unwrap();
            let pass = layer.forward_pass(x).unwrap();
            move || layer.backward(&pass, g).unwrap()
        });
    }
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
