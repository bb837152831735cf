//! Kernels write all of the memory that they are given, and nothing beside it: at every instruction set, for lengths that fill no
//! register, and from places that are not aligned. What `Output::Given` lends is the middle of a larger buffer here.

use super::numbers;
use crate::counters::Counter;
use crate::kernels::activations::{PositivePart, PositivePartBackward};
use crate::kernels::conv2d::{Convolution, Problem, Way};
use crate::kernels::cross_entropy::{self, Kappa, Target};
use crate::kernels::difference::{self, Slope, Squared, Terms};
use crate::kernels::embedding::{self, Places, Sums};
use crate::kernels::entropy::{self, OfLogits, Operand};
use crate::kernels::norm::{self, Affine, Input, Moments, Planes, Way as Nesting};
use crate::kernels::packed::{self, Matrix};
use crate::kernels::recurrent::{Cell, Direction, Gated, Gradients, RELU, TANH, Trace};
use crate::kernels::softmax::{self, Lines};
use crate::kernels::strided::{self, Broadcast};
use crate::kernels::windows::Axis;
use crate::kernels::{columns, dot, elementwise, gemm, max_pool2d};
use crate::math::{Sigmoid, TanhBackward};
use crate::memory::Output;
use crate::{Conv2dOptions, Float, Isa, PaddingMode, Threads};
use std::num::NonZeroUsize;

/// Elements before and after what a kernel is given: several registers of any instruction set.
const GUARD: usize = 67;

/// A value that no kernel writes.
const SENTINEL: f64 = -1234.5;

/// Lends `N` times `len` elements of NaN to `write`, which has to write all of them, and nothing else.
fn guarded<T: Float, const N: usize>(what: &str, len: usize, write: impl FnOnce([&mut [T]; N])) {
    guarded_from(what, len, T::narrow(f64::NAN), write);
}

/// The same, over zeros, which may stay.
fn guarded_zeros<T: Float, const N: usize>(what: &str, len: usize, write: impl FnOnce([&mut [T]; N])) {
    guarded_from(what, len, T::ZERO, write);
}

fn guarded_from<T: Float, const N: usize>(what: &str, len: usize, before: T, write: impl FnOnce([&mut [T]; N])) {
    let sentinel = T::narrow(SENTINEL);
    let mut buffers: [Vec<T>; N] = std::array::from_fn(|_| vec![sentinel; GUARD + len + GUARD]);
    write(buffers.each_mut().map(|buffer| {
        let middle = &mut buffer[GUARD..GUARD + len];
        middle.fill(before);
        middle
    }));
    for buffer in buffers {
        let (guards, middle) = ([&buffer[..GUARD], &buffer[GUARD + len..]].concat(), &buffer[GUARD..GUARD + len]);
        assert!(guards.iter().all(|&x| x == sentinel), "{what} has written beside {len} elements");
        assert!(middle.iter().all(|x| !x.widen().is_nan()), "{what} has not written all of {len} elements");
    }
}

/// Numbers in [−2, 2), from a place that is not aligned.
struct Numbers<T>(Vec<T>);

impl<T: Float> Numbers<T> {
    fn new(len: usize, seed: u64) -> Self {
        Self(numbers(len + 1, seed).into_iter().map(T::narrow).collect())
    }

    fn get(&self) -> &[T] {
        &self.0[1..]
    }
}

/// Every instruction set, alone and on three threads.
fn kernels() -> Vec<(Isa, Threads)> {
    let threads = |n| Threads::new(NonZeroUsize::new(n).unwrap());
    Isa::available().into_iter().flat_map(|isa| [(isa, threads(1)), (isa, threads(3))]).collect()
}

fn elementwise_and_losses<T: Float>(kernel: (Isa, Threads), len: usize) {
    let [x, t] = [1, 2].map(|seed| Numbers::<T>::new(len, seed));
    let (x, t) = (x.get(), t.get());
    guarded("map", len, |[y]| elementwise::map(Sigmoid, kernel, x, Output::Given(y)));
    guarded("zip", len, |[y]| elementwise::zip(Terms(Squared), kernel, (x, t), Output::Given(y)));
    guarded_zeros::<T, 1>("map_in_place", len, |[y]| elementwise::map_in_place(PositivePart, kernel, y));
    guarded_zeros("zip_in_place", len, |[y]| elementwise::zip_in_place(PositivePartBackward, kernel, x, y));
    guarded_zeros("zip_in_place", len, |[y]| elementwise::zip_in_place(TanhBackward, kernel, x, y));
    for slope in [Slope::Each(x), Slope::All(T::ONE), Slope::Apart { c: T::ONE, g: T::ONE }] {
        let gradients = |outputs: [&mut [T]; 2]| {
            let [dx, dt] = outputs.map(Output::Given);
            difference::gradients(Squared, kernel, (x, t), slope, (dx, Some(dt)));
        };
        guarded("gradients of a difference", len, gradients);
    }
    let problem = entropy::Problem { x, t, weight: None, positive: None };
    guarded("terms of an entropy", len, |[y]| entropy::terms(OfLogits, kernel, &problem, Output::Given(y)));
    guarded("gradients of an entropy", len, |outputs| {
        let [dx, dt] = outputs.map(Output::Given);
        entropy::gradients(OfLogits, kernel, &problem, (Operand::All(T::ONE), None), (dx, Some(dt)));
    });
    if len > 0 {
        let broadcast = Broadcast::new(&[3, len], [&[3, len], &[len]]);
        let x = Numbers::<T>::new(3 * len, 3);
        let operands = (x.get(), t);
        guarded("broadcast terms", 3 * len, |[y]| {
            strided::terms(Squared, kernel, &broadcast, operands, Output::Given(y));
        });
        let mut other = vec![T::ZERO; len];
        guarded_zeros("broadcast gradients", 3 * len, |[dx]| {
            strided::gradients(Squared, kernel, &broadcast, operands, Slope::All(T::ONE), [dx, &mut other]);
        });
        let mut other = vec![T::ZERO; 3 * len];
        guarded_zeros("gradients of what is broadcast", len, |[dt]| {
            strided::gradients(Squared, kernel, &broadcast, operands, Slope::All(T::ONE), [&mut other, dt]);
        });
        guarded("sums of columns", len, |[sums]| columns::sums(kernel, x.get(), sums));
    }
}

#[test]
fn elementwise_kernels_and_losses_write_what_they_are_given() {
    for kernel in kernels() {
        for len in (0..70).chain([255, 1023, 131_075, 300_007]) {
            elementwise_and_losses::<f32>(kernel, len);
            elementwise_and_losses::<f64>(kernel, len);
        }
    }
}

fn of_lines<T: Float>(kernel: (Isa, Threads), lines: Lines) {
    let Lines { outer, length, inner } = lines;
    let len = outer * length * inner;
    let [x, g] = [1, 2].map(|seed| Numbers::<T>::new(len, seed));
    let (x, g) = (x.get(), g.get());
    let classes: Vec<i64> = (0..outer * inner).map(|line| (line % length) as i64).collect();
    let problem = |target| cross_entropy::Problem { lines, x, target, weight: None, kept: T::ONE, spread: None };
    let of_classes = problem(Target::Classes { classes: &classes, ignored: -100 });
    let of_probabilities = problem(Target::Probabilities(g));
    let known = cross_entropy::forward(kernel, of_classes).lines;
    let backward = |problem| cross_entropy::Backward { problem, known: &known, kappa: Kappa::All(T::ONE) };
    if inner == 1 {
        guarded("softmax by lines", len, |[y]| softmax::forward_lines(kernel, lines, x, Output::Given(y)));
        guarded_zeros::<T, 1>("softmax in place", len, |[y]| softmax::forward_lines_in_place(kernel, lines, y));
        guarded("back by lines", len, |[y]| softmax::backward_lines(kernel, lines, (x, g), Output::Given(y)));
        guarded("classes by lines", len, |[y]| backward(of_classes).lines(kernel, (Output::Given(y), None)));
        guarded("probabilities by lines", len, |outputs| {
            let [dx, dt] = outputs.map(Output::Given);
            backward(of_probabilities).lines(kernel, (dx, Some(dt)));
        });
    }
    guarded("softmax by columns", len, |[y]| softmax::forward_columns(kernel, lines, x, y));
    guarded_zeros::<T, 1>("softmax in place", len, |[y]| softmax::forward_columns_in_place(kernel, lines, y));
    guarded("back by columns", len, |[y]| softmax::backward_columns(kernel, lines, (x, g), y));
    if inner > 1 {
        guarded("classes by columns", len, |[y]| backward(of_classes).columns(kernel, (y, None)));
        guarded("probabilities by columns", len, |[dx, dt]| {
            backward(of_probabilities).columns(kernel, (dx, Some(dt)));
        });
    }
}

#[test]
fn lines_are_written_and_nothing_else() {
    for kernel in kernels() {
        for lines in (1..70).map(|length| (3, length, 1)).chain([(501, 131, 1), (2, 5, 67), (3, 130, 131), (1, 1, 3)]) {
            let (outer, length, inner) = lines;
            of_lines::<f32>(kernel, Lines { outer, length, inner });
            of_lines::<f64>(kernel, Lines { outer, length, inner });
        }
    }
}

fn of_planes<T: Float>(kernel: (Isa, Threads), planes: Planes) {
    let len = planes.images * planes.channels * planes.area;
    let [x, g] = [1, 2].map(|seed| Numbers::<T>::new(len, seed));
    let (input, g) = (Input { planes, x: x.get() }, g.get());
    let affine = Affine { eps: 1e-5, weight: None, bias: None };
    let moments = vec![Moments { mean: 0.5, variance: 2.0 }; planes.channels];
    guarded("by given moments", len, |[y]| norm::normalise_by(kernel, input, affine, &moments, &mut Output::Given(y)));
    guarded_zeros::<T, 1>("in place", len, |[y]| norm::normalise_in_place(kernel, planes, affine, &moments, y));
    for way in [Nesting::ByChannel, Nesting::ByPass] {
        guarded("by own moments", len, |[y]| {
            norm::normalise_by_own(way, kernel, input, affine, &mut Output::Given(y));
        });
        for own in [true, false] {
            let backward = norm::Backward { input, g, affine, moments: &moments, own };
            guarded("back", len, |[dx]| {
                backward.run(way, kernel, &mut Output::Given(dx));
            });
        }
    }
}

#[test]
fn normalised_planes_are_written_and_nothing_else() {
    for kernel in kernels() {
        for (images, channels, area) in (1..40).map(|area| (2, 3, area)).chain([(3, 17, 143), (2, 2, 40_003)]) {
            of_planes::<f32>(kernel, Planes { images, channels, area });
            of_planes::<f64>(kernel, Planes { images, channels, area });
        }
    }
}

fn of_products<T: Float>((isa, threads): (Isa, Threads), rows: usize, inputs: usize, outputs: usize) {
    let [x, w, g] = [(rows * inputs, 1), (outputs * inputs, 2), (rows * outputs, 3)]
        .map(|(len, seed)| Numbers::<T>::new(len, seed));
    let (x, w, g, bias) = (x.get(), w.get(), g.get(), Numbers::<T>::new(outputs, 4));
    let (kernel, operands) = ((isa, threads), (x, w, Some(bias.get())));
    let len = rows * outputs;
    let counter = Counter::LinearPacked;
    guarded("packed", len, |[y]| packed::forward(counter, kernel, operands, inputs, (y, outputs)));
    guarded("dot", len, |[y]| dot::forward(Counter::LinearDot, kernel, operands, inputs, (y, outputs)));
    guarded("packed back", rows * inputs, |[dx]| {
        packed::product(counter, kernel, Matrix::Rows(g, outputs), w, outputs, (dx, inputs));
    });
    guarded("packed back to the weight", outputs * inputs, |[dw]| {
        packed::product(counter, kernel, Matrix::Columns(g, outputs), x, rows, (dw, inputs));
    });
    guarded("dot back", rows * inputs, |[dx]| {
        let left = dot::Left { elements: g, steps: (outputs, 1) };
        dot::product(Counter::LinearDot, kernel, left, (w, outputs), (dx, inputs));
    });
    guarded("dot back to the weight", outputs * inputs, |[dw]| {
        let left = dot::Left { elements: g, steps: (1, outputs) };
        dot::product(Counter::LinearDot, kernel, left, (x, rows), (dw, inputs));
    });
    if isa == Isa::best() {
        guarded("gemm", len, |[y]| gemm::forward(threads, operands, inputs, (y, outputs)));
        guarded("gemm back", rows * inputs, |[dx]| gemm::backward_input(threads, (g, w), outputs, (dx, inputs)));
        guarded("gemm back to the weight", outputs * inputs, |[dw]| {
            gemm::backward_weight(threads, (g, x), rows, (dw, inputs));
        });
    }
}

#[test]
fn products_are_written_and_nothing_else() {
    for kernel in kernels() {
        let small = (1..20).map(|n| (n, 2 * n + 1, 39 - n));
        for (rows, inputs, outputs) in small.chain([(33, 300, 65), (131, 67, 257), (1, 1, 1)]) {
            of_products::<f32>(kernel, rows, inputs, outputs);
            of_products::<f64>(kernel, rows, inputs, outputs);
        }
    }
}

fn of_convolutions<T: Float>(
    kernel: (Isa, Threads),
    way: Way,
    options: &Conv2dOptions,
    [images, height, width]: [usize; 3],
) {
    let shape = [images, options.in_channels, height, width];
    let problem = Problem::new(options, &shape);
    let convolution = Convolution { problem, way, kernel };
    let len = images * options.out_channels * problem.positions();
    let weights = options.weight_shape().iter().product();
    let [x, w, g, bias] = [(shape.iter().product(), 1), (weights, 2), (len, 3), (options.out_channels, 4)]
        .map(|(len, seed)| Numbers::<T>::new(len, seed));
    let (x, w, g) = (x.get(), w.get(), g.get());
    guarded(&format!("{way:?}"), len, |[y]| convolution.forward((x, w, Some(bias.get())), y));
    guarded_zeros(&format!("{way:?} back"), x.len(), |[dx]| convolution.backward_input((g, w), dx));
    guarded_zeros(&format!("{way:?} back to the weight"), weights, |[dw]| convolution.backward_weight((g, x), dw));
    guarded_zeros("back to the bias", options.out_channels, |[db]| convolution.backward_bias(g, db));
}

#[test]
fn convolutions_are_written_and_nothing_else() {
    for kernel in kernels() {
        for (channels, image) in [(3, [2, 7, 9]), (17, [1, 5, 31]), (8, [3, 20, 19])] {
            let point = Conv2dOptions::new(channels, 2 * channels + 1, 1);
            let three =
                Conv2dOptions::new(channels, 2 * channels + 1, 3).padding(1).padding_mode(PaddingMode::Circular);
            let strided = Conv2dOptions::new(channels, channels, (3, 2)).groups(channels).stride(2);
            let stem = Conv2dOptions::new(channels, 2 * channels + 1, 4).stride(2).padding(2);
            for (way, options) in [
                (Way::Pointwise, &point),
                (Way::Im2col, &point),
                (Way::Im2col, &three),
                (Way::Winograd, &three),
                (Way::Im2col, &strided),
                (Way::Direct, &three),
                (Way::Direct, &strided),
                (Way::Direct, &stem),
            ] {
                of_convolutions::<f32>(kernel, way, options, image);
                of_convolutions::<f64>(kernel, way, options, image);
            }
        }
    }
}

/// The marks of windows, which nothing is written beside.
fn guarded_marks<T: Float, M: max_pool2d::Mark + PartialEq>(
    problem: &max_pool2d::Problem,
    kernel: (Isa, Threads),
    x: &[T],
    len: usize,
    sentinel: M,
) -> Vec<M> {
    let mut marks = vec![sentinel; GUARD + len + GUARD];
    guarded("windows with marks", len, |[y]| {
        let marks = &mut marks[GUARD..GUARD + len];
        max_pool2d::forward_with_marks(problem, kernel, x, (Output::Given(y), marks));
    });
    let (before, after) = (&marks[..GUARD], &marks[GUARD + len..]);
    assert!(before.iter().chain(after).all(|mark| *mark == sentinel), "marks beside the output");
    marks[GUARD..GUARD + len].to_vec()
}

/// Windows of so many taps either way, two apart.
fn of_windows<T: Float>(kernel: (Isa, Threads), channels: usize, sizes: [usize; 2], of: usize) {
    let start = of - 2;
    let windows = |size: usize| (size + 2 * start - of) / 2 + 1;
    let axis = |size| {
        let (start, mode) = (start as i64, PaddingMode::Zeros);
        Axis { size, kernel: of, stride: 2, dilation: 1, start, windows: windows(size), mode }
    };
    let problem = max_pool2d::Problem { axes: sizes.map(axis) };
    let (area, positions) = (sizes[0] * sizes[1], windows(sizes[0]) * windows(sizes[1]));
    let (x, g) = (Numbers::<T>::new(channels * area, 1), Numbers::<T>::new(channels * positions, 2));
    guarded("windows", channels * positions, |[y]| max_pool2d::forward(&problem, kernel, x.get(), Output::Given(y)));
    let places = guarded_marks(&problem, kernel, x.get(), channels * positions, -77_i64);
    assert!(places.iter().all(|&place| (0..area as i64).contains(&place)));
    if problem.remembers_input(channels * area) {
        guarded("windows back, by the input", channels * area, |[dx]| {
            max_pool2d::backward_by_input(&problem, kernel.0, (g.get(), x.get()), Output::Given(dx));
        });
    }
    guarded("windows back, by places", channels * area, |[dx]| {
        max_pool2d::backward_by_places(&problem, kernel, (g.get(), &places), Output::Given(dx));
    });
    let taps = guarded_marks(&problem, kernel, x.get(), channels * positions, 77_u8);
    assert!(taps.iter().all(|&tap| usize::from(tap) < of * of));
    if problem.remembers_taps() {
        guarded("windows back, by taps", channels * area, |[dx]| {
            max_pool2d::backward_by_taps(&problem, kernel, (g.get(), &taps), Output::Given(dx));
        });
    }
}

#[test]
fn windows_and_rows_are_written_and_nothing_else() {
    for kernel in kernels() {
        of_windows::<f32>(kernel, 1, [1, 1], 3);
        of_windows::<f64>(kernel, 1, [1, 1], 3);
        for (channels, sizes) in
            [(1, [2, 2]), (3, [7, 9]), (2, [3, 16]), (2, [6, 17]), (2, [31, 67]), (33, [40, 41]), (3, [23, 115])]
        {
            for of in [2, 3] {
                of_windows::<f32>(kernel, channels, sizes, of);
                of_windows::<f64>(kernel, channels, sizes, of);
            }
        }
        for (rows, size) in (1..40).map(|size| (5, size)).chain([(7001, 33)]) {
            let looked_up: Vec<usize> = (0..rows).map(|i| i * i % 11).collect();
            let (w, g) = (Numbers::<f32>::new(11 * size, 1), Numbers::<f32>::new(rows * size, 2));
            guarded("rows", rows * size, |[y]| {
                embedding::gather(kernel, (w.get(), size), &looked_up, Output::Given(y));
            });
            let places = Places::new(&looked_up);
            let rows: Vec<(usize, usize)> = places.rows.iter().enumerate().map(|(i, (row, _))| (i, *row)).collect();
            let sums = Sums { places: &places, rows: &rows, by_frequency: true };
            guarded("rows back", 11 * size, |[dw]| {
                embedding::scatter(kernel, &sums, (g.get(), size), Output::Given(dw));
            });
        }
    }
}

/// A layer of [`Direction`], whose buffers are lent one by one, as they are of different lengths.
fn of_steps<T: Float, C: Cell<T, G, K>, const G: usize, const K: usize>(
    cell: C,
    kernel: (Isa, Threads),
    [length, batch, inputs, hidden]: [usize; 4],
    reversed: bool,
) {
    let (rows, all, state) = (G * hidden, length * batch, batch * hidden);
    let lens = [rows * inputs, rows * hidden, rows, rows, all * inputs, all * hidden, state];
    let operands = [0, 1, 2, 3, 4, 5, 6].map(|i| Numbers::<T>::new(lens[i], i as u64));
    let [weight_ih, weight_hh, bias_ih, bias_hh, x, g, hx] = operands.each_ref().map(Numbers::get);
    let (bias_ih, bias_hh) = (Some(bias_ih), Some(bias_hh));
    let of = Direction { length, batch, inputs, hidden, reversed, weight_ih, weight_hh, bias_ih, bias_hh };
    let [states, kept] = of.lengths(cell, true);
    let mut trace = Trace { states: vec![T::ZERO; states], kept: vec![T::ZERO; kept] };
    guarded("what steps keep", kept, |[kept]| {
        of.forward(cell, kernel, x, Some(hx), (&mut trace.states, kept)).unwrap();
        trace.kept.copy_from_slice(kept);
    });
    guarded_zeros("states", states, |[states]| {
        of.forward(cell, kernel, x, None, (states, &mut vec![T::ZERO; kept])).unwrap();
    });
    for lent in [0, 1, 2, 3, 4, 6] {
        // The last is the gradient of the last state, and becomes that of the first.
        let before = T::narrow(if lent == 6 { 0.0 } else { f64::NAN });
        guarded_from(&format!("back through steps: {lent}"), lens[lent], before, |[buffer]| {
            let mut others = lens.map(|len| vec![T::ZERO; len]);
            let mut buffers = others.each_mut().map(Vec::as_mut_slice);
            buffers[lent] = buffer;
            let [weight_ih, weight_hh, bias_ih, bias_hh, dx, _, of_state] = buffers;
            let gradients = Gradients { weight_ih, weight_hh, bias_ih: Some(bias_ih), bias_hh: Some(bias_hh) };
            of.backward(cell, kernel, (x, &trace), (g, of_state), (gradients, dx)).unwrap();
        });
    }
}

#[test]
fn steps_are_written_and_nothing_else() {
    for kernel in kernels() {
        for sizes in [[1, 1, 1, 1], [3, 2, 5, 7], [2, 9, 33, 17], [4, 1, 3, 40], [2, 33, 65, 67]] {
            for reversed in [false, true] {
                of_steps::<f32, _, 3, 4>(Gated, kernel, sizes, reversed);
                of_steps::<f64, _, 3, 4>(Gated, kernel, sizes, reversed);
                of_steps::<f32, _, 1, 0>(TANH, kernel, sizes, reversed);
                of_steps::<f64, _, 1, 0>(RELU, kernel, sizes, reversed);
            }
        }
    }
}
