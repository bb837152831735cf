//! Odd sizes beside even ones, a kernel of each kind, on one thread: an element costs about as much at 1023 or 1031 as at 1024.
//!
//! Each family of sizes begins with an even one. Beside criterion's reports, whose throughput is by the element, each family
//! ends with a line of how many times as much an element costs at its other sizes; 1.5 times is a cliff.

use benches::{group, tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use optimized::{
    BatchNorm2d, BatchNorm2dOptions, Conv2d, Conv2dOptions, CrossEntropyLoss, CrossEntropyLossOptions, Embedding,
    EmbeddingOptions, Execution, GRU, GRUOptions, L1Loss, L1LossOptions, Linear, LinearOptions, MSELoss,
    MSELossOptions, MaxPool2d, MaxPool2dOptions, ReLU, ReLUOptions, RecurrentParameters, Sigmoid, SigmoidOptions,
    Softmax, SoftmaxOptions, Tanh, TanhOptions, Tensor, Threads,
};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Instant;

/// From so many times the cost of an element at the even size on, there is a cliff.
const CLIFF: f64 = 1.5;

/// Elements of a line.
const LENGTHS: [&[usize]; 2] = [&[1024, 1023, 1025, 1031], &[64, 63, 65, 67]];

/// Elements of a vector.
const ELEMENTS: [&[usize]; 3] = [&[65_536, 65_535, 65_537, 65_543], LENGTHS[0], LENGTHS[1]];

/// Features, of which matrices are made.
const FEATURES: [&[usize]; 2] = [&[512, 509, 513], &[64, 63, 65, 67]];

/// Height and width of an image.
const IMAGES: [&[usize]; 3] = [&[32, 31, 33, 37], &[36, 35], &[14, 13, 15]];

/// Channels, or features of a recurrent layer.
const CHANNELS: [&[usize]; 2] = [&[64, 63, 65, 67], &[16, 15, 17]];

/// Whether this is a benchmark; otherwise it is a test that everything runs.
fn is_measured() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The middle of some numbers; there must be one.
fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Times a kernel at families of sizes; `call` makes of a size the number of its elements, and a call.
fn sizes<F: FnMut()>(
    criterion: &mut Criterion,
    kernel: &str,
    families: &[&[usize]],
    call: impl Fn(usize) -> (usize, F),
) {
    let mut group = group(criterion, &format!("odd sizes, {kernel}"));
    for family in families {
        let mut costs = Vec::new();
        for &size in *family {
            let (elements, mut call) = call(size);
            let mut times = Vec::new();
            group.throughput(Throughput::Elements(elements as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter_custom(|calls| {
                    let start = Instant::now();
                    (0..calls).for_each(|_| call());
                    let time = start.elapsed();
                    times.push(time.as_secs_f64() / calls as f64);
                    time
                });
            });
            // A filter may have left it out.
            if !times.is_empty() {
                costs.push((size, middle(times) / elements as f64));
            }
        }
        if let (true, [(even, cost), others @ ..]) = (is_measured(), &costs[..]) {
            let times = others.iter().map(|(size, other)| (size, other / cost));
            let told: Vec<String> = times.clone().map(|(size, times)| format!("{times:.2} times at {size}")).collect();
            let cliff = if times.clone().any(|(_, times)| times >= CLIFF) { ": a cliff" } else { "" };
            println!("{kernel}: an element costs {:.3} ns at {even}, {}{cliff}\n", 1e9 * cost, told.join(", "));
        }
    }
}

fn one_thread() -> Execution {
    Execution::default().threads(Threads::new(NonZeroUsize::MIN))
}

/// Both directions of a layer; `$make` makes of a size the layer, its operands, under the names that follow, and how many
/// elements it has.
macro_rules! kernel {
    ($criterion:ident, $kernel:expr, $families:expr, $make:expr, $($operand:ident)*) => {
        sizes($criterion, &format!("{} forward", $kernel), &$families, |size| {
            let (mut layer, ($($operand,)*), elements) = $make(size);
            layer.set_execution(one_thread()).unwrap();
            (elements, move || drop(black_box(layer.forward($(&$operand),*).unwrap())))
        });
        sizes($criterion, &format!("{} backward", $kernel), &$families, |size| {
            let (mut layer, ($($operand,)*), elements) = $make(size);
            layer.set_execution(one_thread()).unwrap();
            let pass = layer.forward_pass($(&$operand),*).unwrap();
            let g = pass.output.map(|y| 0.5 - y);
            (elements, move || drop(black_box(layer.backward(&pass, &g).unwrap())))
        });
    };
}

fn elementwise(criterion: &mut Criterion) {
    let relu = |size| (ReLU::new(ReLUOptions::new()).unwrap(), (tensor(&[size]),), size);
    kernel!(criterion, "ReLU", ELEMENTS, relu, x);
    let sigmoid = |size| (Sigmoid::new(SigmoidOptions::new()).unwrap(), (tensor(&[size]),), size);
    kernel!(criterion, "Sigmoid", ELEMENTS, sigmoid, x);
    let tanh = |size| (Tanh::new(TanhOptions::new()).unwrap(), (tensor(&[size]),), size);
    kernel!(criterion, "Tanh", ELEMENTS, tanh, x);
}

fn softmax(criterion: &mut Criterion) {
    let along = |dim| Softmax::new(SoftmaxOptions::new().dim(dim)).unwrap();
    kernel!(criterion, "Softmax over the last dim", LENGTHS, |size| (along(1), (tensor(&[64, size]),), 64 * size), x);
    kernel!(
        criterion,
        "Softmax over dim 0 of other lengths",
        LENGTHS,
        |size| (along(0), (tensor(&[size, 64]),), 64 * size),
        x
    );
    kernel!(
        criterion,
        "Softmax over dim 0 beside others",
        LENGTHS,
        |size| (along(0), (tensor(&[64, size]),), 64 * size),
        x
    );
}

fn linear(criterion: &mut Criterion) {
    let linear = |inputs, outputs| {
        let (weight, bias) = (tensor(&[outputs, inputs]), tensor(&[outputs]));
        Linear::with_parameters(LinearOptions::new(inputs, outputs), weight, Some(bias)).unwrap()
    };
    let square = |size| (linear(size, size), (tensor(&[64, size]),), 64 * size * size);
    kernel!(criterion, "Linear of features", FEATURES, square, x);
    let rows = |size| (linear(256, 256), (tensor(&[size, 256]),), size * 256 * 256);
    kernel!(criterion, "Linear of rows", [&[64_usize, 63, 65, 67][..], &[8, 7, 9]], rows, x);
}

fn images(criterion: &mut Criterion) {
    let norm = |size: usize| {
        (BatchNorm2d::new(BatchNorm2dOptions::new(16)).unwrap(), (tensor(&[4, 16, size, size]),), 64 * size * size)
    };
    kernel!(criterion, "BatchNorm2d", IMAGES, norm, x);
    let pool = |options: MaxPool2dOptions| {
        move |size: usize| {
            let pool = MaxPool2d::new(options.clone()).unwrap();
            (pool, (tensor(&[4, 16, size, size]),), 64 * size * size)
        }
    };
    kernel!(criterion, "MaxPool2d 2x2", IMAGES, pool(MaxPool2dOptions::new(2)), x);
    kernel!(criterion, "MaxPool2d 3x3 s2", IMAGES, pool(MaxPool2dOptions::new(3).stride(2).padding(1)), x);
}

fn conv2d(criterion: &mut Criterion) {
    /// A convolution of so many images, and its multiply-adds.
    fn conv(options: Conv2dOptions, images: usize, size: usize) -> (Conv2d<f32>, (Tensor<f32>,), usize) {
        let weight = tensor(&options.weight_shape());
        let (terms, bias) = (weight.len() / options.out_channels, tensor(&[options.out_channels]));
        let x = tensor(&[images, options.in_channels, size, size]);
        let conv = Conv2d::with_parameters(options, weight, Some(bias)).unwrap();
        let outputs: usize = conv.output_shape(x.shape()).unwrap().iter().product();
        (conv, (x,), terms * outputs)
    }
    let three = |inputs, outputs| Conv2dOptions::new(inputs, outputs, 3).padding(1);
    kernel!(criterion, "Conv2d 3x3 of images", IMAGES, |size| conv(three(32, 32), 2, size), x);
    kernel!(criterion, "Conv2d 3x3 of channels", CHANNELS, |size| conv(three(size, size), 2, 14), x);
    kernel!(criterion, "Conv2d 1x1 of channels", CHANNELS, |size| conv(Conv2dOptions::new(size, size, 1), 2, 14), x);
    kernel!(criterion, "Conv2d 3x3 s2 of images", IMAGES, |size| conv(three(16, 32).stride(2), 2, size), x);
    kernel!(criterion, "Conv2d depthwise of images", IMAGES, |size| conv(three(32, 32).groups(32), 2, size), x);
}

fn losses(criterion: &mut Criterion) {
    let pair = |size: usize| (tensor(&[size]), tensor(&[size]).map(|x| 0.5 - x));
    let mse = |size| (MSELoss::new(MSELossOptions::new()).unwrap(), pair(size), size);
    kernel!(criterion, "MSELoss", ELEMENTS, mse, x t);
    let l1 = |size| (L1Loss::new(L1LossOptions::new()).unwrap(), pair(size), size);
    kernel!(criterion, "L1Loss", ELEMENTS, l1, x t);
    let entropy = |size: usize| {
        let classes = Tensor::from_fn(&[64], |place| (7919 * place[0] % size) as i64).unwrap();
        let loss = CrossEntropyLoss::new(CrossEntropyLossOptions::new()).unwrap();
        (loss, (tensor(&[64, size]), classes), 64 * size)
    };
    kernel!(criterion, "CrossEntropyLoss", LENGTHS, entropy, x t);
}

fn embedding(criterion: &mut Criterion) {
    let embedding = |size: usize| {
        let indices = Tensor::from_fn(&[128], |place| (7919 * place[0] % 100) as i64).unwrap();
        let layer = Embedding::with_parameters(EmbeddingOptions::new(100, size), tensor(&[100, size])).unwrap();
        (layer, (indices,), 128 * size)
    };
    kernel!(criterion, "Embedding", FEATURES, embedding, x);
}

/// Of 8 steps of 8 sequences. Elements are multiply-adds.
fn gru(criterion: &mut Criterion) {
    let setup = |size: usize| {
        let scaled = |shape: &[usize]| tensor(shape).map(|x| 0.05 * x);
        let parameters = vec![RecurrentParameters {
            weight_ih: scaled(&[3 * size, size]),
            weight_hh: scaled(&[3 * size, size]),
            bias_ih: Some(scaled(&[3 * size])),
            bias_hh: Some(scaled(&[3 * size])),
        }];
        let mut layer = GRU::with_parameters(GRUOptions::new(size, size), parameters).unwrap();
        layer.set_execution(one_thread()).unwrap();
        (layer, tensor(&[8, 8, size]), 64 * 6 * size * size)
    };
    sizes(criterion, "GRU forward", &CHANNELS, |size| {
        let (layer, x, elements) = setup(size);
        (elements, move || drop(black_box(layer.forward(&x, None).unwrap())))
    });
    sizes(criterion, "GRU backward", &CHANNELS, |size| {
        let (mut layer, x, elements) = setup(size);
        let pass = layer.forward_pass(&x, None).unwrap();
        let g = pass.output.map(|y| 0.5 - y);
        (elements, move || drop(black_box(layer.backward(&pass, &g, None).unwrap())))
    });
}

criterion_group!(benches, elementwise, softmax, linear, images, conv2d, losses, embedding, gru);
criterion_main!(benches);
