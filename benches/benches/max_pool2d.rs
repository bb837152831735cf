//! MaxPool2d. Elements are those of the output.

use benches::{group, side_by_side, tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use optimized::{Execution, MaxPool2dOptions};

/// Name, options, input, and whether reference takes part.
fn sizes() -> [(&'static str, MaxPool2dOptions, [usize; 4], bool); 3] {
    let three = MaxPool2dOptions::new(3).stride(2).padding(1);
    [
        ("2x2 N1 8 28²", MaxPool2dOptions::new(2), [1, 8, 28, 28], true),
        ("2x2 N8 64 112²", MaxPool2dOptions::new(2), [8, 64, 112, 112], false),
        ("3x3 s2 N8 64 112²", three, [8, 64, 112, 112], false),
    ]
}

fn optimized(options: &MaxPool2dOptions, execution: Execution) -> optimized::MaxPool2d {
    let mut layer = optimized::MaxPool2d::new(options.clone()).unwrap();
    layer.set_execution(execution).unwrap();
    layer
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "MaxPool2d forward");
    for (name, options, input, with_reference) in sizes() {
        let x = &tensor(&input);
        let reference = reference::MaxPool2d::new(options.clone()).unwrap();
        let elements = reference.output_shape(&input).unwrap().iter().product();
        let reference = with_reference.then_some(|| reference.forward(x).unwrap());
        side_by_side(&mut group, (name, elements), reference, |execution| {
            let layer = optimized(&options, execution);
            move || layer.forward(x).unwrap()
        });
    }
}

fn backward(criterion: &mut Criterion) {
    let mut group = group(criterion, "MaxPool2d backward");
    for (name, options, input, with_reference) in sizes() {
        let x = &tensor(&input);
        let mut reference = reference::MaxPool2d::new(options.clone()).unwrap();
        let g = &tensor(&reference.output_shape(&input).unwrap());
        let reference = with_reference.then(|| {
            let pass = reference.forward_pass(x).unwrap();
            move || reference.backward(&pass, g).unwrap()
        });
        side_by_side(&mut group, (name, g.len()), reference, |execution| {
            let mut layer = optimized(&options, execution);
            let pass = layer.forward_pass(x).unwrap();
            move || layer.backward(&pass, g).unwrap()
        });
    }
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
