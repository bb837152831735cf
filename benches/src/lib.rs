//! What the benchmarks share: inputs, and groups in which reference and optimized stand side by side; and [`race`], in which
//! optimized is timed in turn with PyTorch.
//!
//! Each benchmark file is one layer and one criterion group for each direction, so that its report draws both crates into
//! one picture. `reference` is written to be read, so it runs only the sizes it can run in reasonable time.
#![forbid(unsafe_code)]

pub mod race;

use criterion::measurement::WallTime;
use criterion::{AxisScale, BenchmarkGroup, BenchmarkId, Criterion, PlotConfiguration, Throughput};
use optimized::{Execution, Tensor, Threads};
use std::num::NonZeroUsize;
use std::time::Duration;

/// The numbers of threads that optimized is timed at.
const THREADS: [usize; 2] = [1, 2];

/// A tensor of numbers in [−2, 2) that are equal on every run.
///
/// ```
/// assert_eq!(benches::tensor(&[2, 3]).shape(), [2, 3]);
/// ```
pub fn tensor(shape: &[usize]) -> Tensor<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let draw = |_: &[usize]| {
        // One step of a xorshift generator.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    match Tensor::from_fn(shape, draw) {
        Ok(tensor) => tensor,
        Err(error) => panic!("a benchmark's shape is too large: {error}"),
    }
}

/// A group of one layer and direction.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.plot_config(PlotConfiguration::default().summary_scale(AxisScale::Logarithmic));
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    group
}

/// Times both crates at one size, counting `elements` of it a second: reference where it takes part, and what `optimized`
/// makes of an execution on each number of threads.
pub fn side_by_side<R, O, F: FnMut() -> O>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    (size, elements): (&str, usize),
    reference: Option<impl FnMut() -> R>,
    optimized: impl Fn(Execution) -> F,
) {
    group.throughput(Throughput::Elements(elements as u64));
    if let Some(mut reference) = reference {
        group.bench_function(BenchmarkId::new("reference", size), |bencher| bencher.iter(&mut reference));
    }
    for threads in THREADS {
        let name = format!("optimized {threads}t");
        let threads = Threads::new(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN));
        let mut optimized = optimized(Execution::default().threads(threads));
        group.bench_function(BenchmarkId::new(name, size), |bencher| bencher.iter(&mut optimized));
    }
}

/// The benchmarks of a layer of one input: forward and backward, of the inputs that a function makes of some sizes.
#[macro_export]
macro_rules! layer {
    ($layer:ident, $options:expr, $sizes:expr, $input:expr) => {
        fn optimized(execution: optimized::Execution) -> optimized::$layer {
            let mut layer = optimized::$layer::new($options).unwrap();
            layer.set_execution(execution).unwrap();
            layer
        }

        fn forward(criterion: &mut criterion::Criterion) {
            let mut group = $crate::group(criterion, concat!(stringify!($layer), " forward"));
            let reference = reference::$layer::new($options).unwrap();
            for size in $sizes {
                let (x, name) = (&$input(size), size.to_string());
                let literal = Some(|| reference.forward(x).unwrap());
                $crate::side_by_side(&mut group, (&name, size), literal, |execution| {
                    let layer = optimized(execution);
                    move || layer.forward(x).unwrap()
                });
            }
        }

        fn backward(criterion: &mut criterion::Criterion) {
            let mut group = $crate::group(criterion, concat!(stringify!($layer), " backward"));
            let mut reference = reference::$layer::new($options).unwrap();
            for size in $sizes {
                let (x, name) = (&$input(size), size.to_string());
                let g = &x.map(|x| 0.5 - x);
                let pass = reference.forward_pass(x).unwrap();
                let literal = Some(|| reference.backward(&pass, g).unwrap());
                $crate::side_by_side(&mut group, (&name, size), literal, |execution| {
                    let mut layer = optimized(execution);
                    let pass = layer.forward_pass(x).unwrap();
                    move || layer.backward(&pass, g).unwrap()
                });
            }
        }

        criterion::criterion_group!(benches, forward, backward);
        criterion::criterion_main!(benches);
    };
}

/// The benchmarks of a loss that joins its terms: forward and backward, of the inputs and targets that a function makes of some
/// sizes.
#[macro_export]
macro_rules! loss {
    ($loss:ident, $options:expr, $sizes:expr, $operands:expr) => {
        fn forward(criterion: &mut criterion::Criterion) {
            let mut group = $crate::group(criterion, concat!(stringify!($loss), " forward"));
            let reference = reference::$loss::new($options).unwrap();
            for size in $sizes {
                let ((x, t), name) = (&$operands(size), size.to_string());
                let literal = Some(|| reference.forward(x, t).unwrap());
                $crate::side_by_side(&mut group, (&name, size), literal, |execution| {
                    let mut loss = optimized::$loss::new($options).unwrap();
                    loss.set_execution(execution).unwrap();
                    move || loss.forward(x, t).unwrap()
                });
            }
        }

        fn backward(criterion: &mut criterion::Criterion) {
            let mut group = $crate::group(criterion, concat!(stringify!($loss), " backward"));
            let mut reference = reference::$loss::new($options).unwrap();
            let g = &optimized::Tensor::scalar(0.5_f32);
            for size in $sizes {
                let ((x, t), name) = (&$operands(size), size.to_string());
                let pass = reference.forward_pass(x, t).unwrap();
                let literal = Some(|| reference.backward(&pass, g).unwrap());
                $crate::side_by_side(&mut group, (&name, size), literal, |execution| {
                    let mut loss = optimized::$loss::new($options).unwrap();
                    loss.set_execution(execution).unwrap();
                    let pass = loss.forward_pass(x, t).unwrap();
                    move || loss.backward(&pass, g).unwrap()
                });
            }
        }

        criterion::criterion_group!(benches, forward, backward);
        criterion::criterion_main!(benches);
    };
}

/// The benchmarks of a recurrent layer: forward and backward, of steps, sequences and features (as many of the input as of the hidden
/// state), and whether reference takes part. Elements are multiply-adds of a forward.
#[macro_export]
macro_rules! recurrent {
    ($layer:ident, $options:ident, gates $gates:literal) => {
        const SIZES: [(usize, usize, usize, bool); 3] = [(32, 1, 128, true), (32, 32, 128, true), (64, 64, 512, false)];

        /// One size: both layers, and their operands.
        fn setup(
            (length, batch, size): (usize, usize, usize),
        ) -> (reference::$layer<f32>, optimized::$layer<f32>, [optimized::Tensor<f32>; 2], String, usize) {
            let scaled = |shape: &[usize]| $crate::tensor(shape).map(|x| 0.05 * x);
            let parameters = || {
                vec![optimized::RecurrentParameters {
                    weight_ih: scaled(&[$gates * size, size]),
                    weight_hh: scaled(&[$gates * size, size]),
                    bias_ih: Some(scaled(&[$gates * size])),
                    bias_hh: Some(scaled(&[$gates * size])),
                }]
            };
            let options = optimized::$options::new(size, size);
            let reference = reference::$layer::with_parameters(options.clone(), parameters()).unwrap();
            let optimized = optimized::$layer::with_parameters(options, parameters()).unwrap();
            let operands = [1, 2].map(|_| $crate::tensor(&[length, batch, size]));
            let products = 2 * length * batch * $gates * size * size;
            (reference, optimized, operands, format!("{length}x{batch}x{size}"), products)
        }

        fn forward(criterion: &mut criterion::Criterion) {
            let mut group = $crate::group(criterion, concat!(stringify!($layer), " forward"));
            for (length, batch, size, with_reference) in SIZES {
                let (reference, optimized, [x, _], name, products) = &setup((length, batch, size));
                let literal = with_reference.then_some(|| reference.forward(x, None).unwrap());
                $crate::side_by_side(&mut group, (name, *products), literal, |execution| {
                    let mut layer = optimized.clone();
                    layer.set_execution(execution).unwrap();
                    move || layer.forward(x, None).unwrap()
                });
            }
        }

        fn backward(criterion: &mut criterion::Criterion) {
            let mut group = $crate::group(criterion, concat!(stringify!($layer), " backward"));
            for (length, batch, size, with_reference) in SIZES {
                let (reference, optimized, [x, g], name, products) = &setup((length, batch, size));
                let literal = with_reference.then(|| {
                    let mut layer = reference.clone();
                    let pass = layer.forward_pass(x, None).unwrap();
                    move || layer.backward(&pass, g, None).unwrap()
                });
                $crate::side_by_side(&mut group, (name, 2 * products), literal, |execution| {
                    let mut layer = optimized.clone();
                    layer.set_execution(execution).unwrap();
                    let pass = layer.forward_pass(x, None).unwrap();
                    move || layer.backward(&pass, g, None).unwrap()
                });
            }
        }

        criterion::criterion_group!(benches, forward, backward);
        criterion::criterion_main!(benches);
    };
}
