//! RNN and GRU against the plain loops: sequence by sequence, step by step, element by element.

use super::every_layer::check;
use super::{assert_close, assert_same_bits, executions, tensor_f32, tensor_f64};
use crate::{
    GRU, GRUOptions, Isa, Layer, Nonlinearity, RNN, RNNOptions, RecurrentGradients, RecurrentOutput,
    RecurrentParameters, Result, Tensor,
};

/// What a step computes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Tanh,
    Relu,
    Gated,
}

impl Cell {
    fn gates(self) -> usize {
        if self == Self::Gated { 3 } else { 1 }
    }
}

/// Layers, directions, steps, sequences, features of input and hidden state.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    layers: usize,
    directions: usize,
    length: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    bias: bool,
    batch_first: bool,
}

/// W·v + b.
fn affine(weight: &Tensor<f64>, bias: Option<&Tensor<f64>>, v: &[f64]) -> Vec<f64> {
    let rows = weight.as_slice().chunks(v.len()).enumerate();
    let sum = |row: &[f64]| row.iter().zip(v).map(|(w, v)| w * v).sum::<f64>();
    rows.map(|(i, row)| sum(row) + bias.map_or(0.0, |bias| bias.as_slice()[i])).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// h' of one sequence, and what its backward needs.
fn step(cell: Cell, p: &RecurrentParameters<f64>, x: &[f64], h: &[f64]) -> (Vec<f64>, Vec<[f64; 4]>) {
    let (a, b) = (affine(&p.weight_ih, p.bias_ih.as_ref(), x), affine(&p.weight_hh, p.bias_hh.as_ref(), h));
    let size = h.len();
    let element = |k: usize| match cell {
        Cell::Tanh => ((a[k] + b[k]).tanh(), [0.0; 4]),
        Cell::Relu => ((a[k] + b[k]).max(0.0), [0.0; 4]),
        Cell::Gated => {
            let (r, z) = (sigmoid(a[k] + b[k]), sigmoid(a[size + k] + b[size + k]));
            let q = b[2 * size + k];
            let n = (a[2 * size + k] + r * q).tanh();
            ((1.0 - z) * n + z * h[k], [r, z, n, q])
        }
    };
    (0..size).map(element).unzip()
}

/// Gradients of the two sums, gate by gate, and of h but for what goes through W_hh.
fn step_back(cell: Cell, gates: &[[f64; 4]], h: &[f64], next: &[f64], g: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let each = |k: usize| match cell {
        Cell::Tanh => (vec![g[k] * (1.0 - next[k] * next[k])], None, 0.0),
        Cell::Relu => (vec![if next[k] > 0.0 { g[k] } else { 0.0 }], None, 0.0),
        Cell::Gated => {
            let [r, z, n, q] = gates[k];
            let da_n = g[k] * (1.0 - z) * (1.0 - n * n);
            let sums = vec![da_n * q * r * (1.0 - r), g[k] * (h[k] - n) * z * (1.0 - z), da_n];
            (sums, Some(da_n * r), g[k] * z)
        }
    };
    let all: Vec<_> = (0..h.len()).map(each).collect();
    let gate = |i: usize| all.iter().map(move |(sums, ..)| sums[i]);
    let da: Vec<f64> = (0..cell.gates()).flat_map(gate).collect();
    let mut db = da.clone();
    for (k, (_, last, _)) in all.iter().enumerate() {
        if let Some(last) = last {
            db[2 * h.len() + k] = *last;
        }
    }
    (da, db, all.iter().map(|(.., rest)| *rest).collect())
}

/// Adds Wᵀ·g to v, and g·vᵀ to the gradient of W.
fn back(weight: &Tensor<f64>, gradient: &mut Tensor<f64>, g: &[f64], v: &[f64], dv: &mut [f64]) {
    let columns = v.len();
    for (i, g) in g.iter().enumerate() {
        for j in 0..columns {
            gradient.as_mut_slice()[i * columns + j] += g * v[j];
            dv[j] += weight.as_slice()[i * columns + j] * g;
        }
    }
}

/// Output and gradients, from hx, without dropout.
fn plain(
    cell: Cell,
    of: Sizes,
    parameters: &[RecurrentParameters<f64>],
    [x, hx, dy, dh_n]: [&Tensor<f64>; 4],
) -> (RecurrentOutput<f64>, RecurrentGradients<f64>) {
    let Sizes { directions, length, batch, inputs, hidden, .. } = of;
    let width = directions * hidden;
    let zero = |tensor: &Tensor<f64>| tensor.map(|_| 0.0);
    let mut gradients: Vec<_> = parameters
        .iter()
        .map(|p| RecurrentParameters {
            weight_ih: zero(&p.weight_ih),
            weight_hh: zero(&p.weight_hh),
            bias_ih: p.bias_ih.as_ref().map(zero),
            bias_hh: p.bias_hh.as_ref().map(zero),
        })
        .collect();
    let place = |t: usize, n: usize| if of.batch_first { n * length + t } else { t * batch + n };
    let mut shape = x.shape().to_vec();
    shape[2] = width;
    let (mut output, mut h_n) = (Tensor::full(&shape, 0.0).unwrap(), zero(hx));
    let (mut dx, mut dhx) = (zero(x), zero(hx));
    for n in 0..batch {
        let state = |number: usize| (number * batch + n) * hidden..(number * batch + n + 1) * hidden;
        let row =
            |tensor: &Tensor<f64>, t: usize, size: usize| tensor.as_slice()[place(t, n) * size..][..size].to_vec();
        let order = |direction: usize| -> Vec<usize> {
            if direction == 1 { (0..length).rev().collect() } else { (0..length).collect() }
        };
        // Of each layer its inputs; of each layer and direction, at each step, the states before and after and the gates.
        let mut xs: Vec<Vec<Vec<f64>>> = vec![(0..length).map(|t| row(x, t, inputs)).collect()];
        let mut moments = Vec::new();
        for layer in 0..of.layers {
            let mut above = vec![Vec::new(); length];
            for direction in 0..directions {
                let number = layer * directions + direction;
                let mut h = hx.as_slice()[state(number)].to_vec();
                let mut steps = vec![(Vec::new(), Vec::new(), Vec::new()); length];
                for t in order(direction) {
                    let (next, gates) = step(cell, &parameters[number], &xs[layer][t], &h);
                    above[t].extend_from_slice(&next);
                    steps[t] = (std::mem::replace(&mut h, next.clone()), next, gates);
                }
                h_n.as_mut_slice()[state(number)].copy_from_slice(&h);
                moments.push(steps);
            }
            xs.push(above);
        }
        for (t, y) in xs[of.layers].iter().enumerate() {
            output.as_mut_slice()[place(t, n) * width..][..width].copy_from_slice(y);
        }
        let mut above: Vec<Vec<f64>> = (0..length).map(|t| row(dy, t, width)).collect();
        for layer in (0..of.layers).rev() {
            let mut below: Vec<Vec<f64>> = xs[layer].iter().map(|x| vec![0.0; x.len()]).collect();
            for direction in 0..directions {
                let number = layer * directions + direction;
                let mut dh = dh_n.as_slice()[state(number)].to_vec();
                for t in order(direction).into_iter().rev() {
                    let (h, next, gates) = &moments[number][t];
                    let g = &above[t][direction * hidden..][..hidden];
                    dh.iter_mut().zip(g).for_each(|(dh, g)| *dh += g);
                    let (da, db, rest) = step_back(cell, gates, h, next, &dh);
                    dh = rest;
                    let (p, sums) = (&parameters[number], &mut gradients[number]);
                    back(&p.weight_ih, &mut sums.weight_ih, &da, &xs[layer][t], &mut below[t]);
                    back(&p.weight_hh, &mut sums.weight_hh, &db, h, &mut dh);
                    for (bias, terms) in [(&mut sums.bias_ih, &da), (&mut sums.bias_hh, &db)] {
                        if let Some(bias) = bias {
                            bias.as_mut_slice().iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
                        }
                    }
                }
                dhx.as_mut_slice()[state(number)].copy_from_slice(&dh);
            }
            above = below;
        }
        for (t, g) in above.iter().enumerate() {
            dx.as_mut_slice()[place(t, n) * inputs..][..inputs].copy_from_slice(g);
        }
    }
    (RecurrentOutput { output, h_n }, RecurrentGradients { input: dx, hx: dhx, parameters: gradients })
}

/// Every number of an output and of gradients, with what it is.
fn named(output: &RecurrentOutput<f64>, gradients: &RecurrentGradients<f64>) -> Vec<(String, Tensor<f64>)> {
    let mut all = vec![
        ("output".into(), output.output.clone()),
        ("h_n".into(), output.h_n.clone()),
        ("dx".into(), gradients.input.clone()),
        ("dhx".into(), gradients.hx.clone()),
    ];
    for (number, one) in gradients.parameters.iter().enumerate() {
        all.extend(one.named(&format!(" {number}")).map(|(name, tensor)| (name, tensor.clone())));
    }
    all
}

macro_rules! run {
    ($layer:ident, $options:expr, $parameters:expr, $operands:expr, $execution:expr) => {{
        let [x, hx, dy, dh_n] = $operands;
        let mut layer = $layer::with_parameters($options, $parameters)?;
        layer.set_execution($execution)?;
        let pass = layer.forward_pass(x, Some(hx))?;
        let gradients = layer.backward(&pass, dy, Some(dh_n))?;
        Ok((RecurrentOutput { output: pass.output, h_n: pass.h_n }, gradients))
    }};
}

fn layer(
    cell: Cell,
    of: Sizes,
    parameters: Vec<RecurrentParameters<f64>>,
    operands: [&Tensor<f64>; 4],
    execution: crate::Execution,
) -> Result<(RecurrentOutput<f64>, RecurrentGradients<f64>)> {
    let both = of.directions == 2;
    let gru = GRUOptions::new(of.inputs, of.hidden).num_layers(of.layers).bidirectional(both).bias(of.bias);
    let rnn = RNNOptions::new(of.inputs, of.hidden).num_layers(of.layers).bidirectional(both).bias(of.bias);
    let (gru, rnn) = (gru.batch_first(of.batch_first), rnn.batch_first(of.batch_first));
    match cell {
        Cell::Tanh => run!(RNN, rnn, parameters, operands, execution),
        Cell::Relu => run!(RNN, rnn.nonlinearity(Nonlinearity::Relu), parameters, operands, execution),
        Cell::Gated => run!(GRU, gru, parameters, operands, execution),
    }
}

/// The layer is the plain loop, at every instruction set and number of threads: within `tolerance`, where numbers are what `round`
/// makes of those of [`tensor_f64`].
fn compare(cell: Cell, of: Sizes, round: impl Fn(f64) -> f64, tolerance: f64) {
    let Sizes { layers, directions, length, batch, inputs, hidden, bias, batch_first } = of;
    let (width, rows) = (directions * hidden, cell.gates() * hidden);
    let made = |shape: &[usize], seed: u64| tensor_f64(shape, seed).map(&round);
    let parameters: Vec<_> = (0..layers * directions)
        .map(|number| {
            let below = if number < directions { inputs } else { width };
            let seed = 10 * number as u64;
            RecurrentParameters {
                weight_ih: made(&[rows, below], seed + 11),
                weight_hh: made(&[rows, hidden], seed + 12),
                bias_ih: bias.then(|| made(&[rows], seed + 13)),
                bias_hh: bias.then(|| made(&[rows], seed + 14)),
            }
        })
        .collect();
    let sequence = |features: usize| match batch_first {
        true => [batch, length, features],
        false => [length, batch, features],
    };
    let states = [layers * directions, batch, hidden];
    let (x, dy) = (made(&sequence(inputs), 1), made(&sequence(width), 2));
    let (hx, dh_n) = (made(&states, 3), made(&states, 4));
    let operands = [&x, &hx, &dy, &dh_n];
    let (output, gradients) = plain(cell, of, &parameters, operands);
    let expected = named(&output, &gradients);
    for execution in executions().into_iter().flatten() {
        let (output, gradients) = layer(cell, of, parameters.clone(), operands, execution.clone()).unwrap();
        for ((name, got), (_, expected)) in named(&output, &gradients).iter().zip(&expected) {
            assert_eq!(got.shape(), expected.shape(), "{cell:?} {of:?} {name}");
            for (i, (&got, &expected)) in got.as_slice().iter().zip(expected.as_slice()).enumerate() {
                assert_close(got, expected, tolerance, &format!("{cell:?} {of:?} {execution:?} {name} {i}"));
            }
        }
    }
}

fn sizes() -> Vec<Sizes> {
    let mut all = Vec::new();
    for (layers, directions) in [(1, 1), (1, 2), (2, 1), (3, 2)] {
        for (length, batch, inputs, hidden) in [(1, 1, 1, 1), (4, 3, 2, 5), (3, 11, 9, 17), (2, 1, 33, 20)] {
            let (bias, batch_first) = (length != 3, layers == directions || batch == 11);
            all.push(Sizes { layers, directions, length, batch, inputs, hidden, bias, batch_first });
        }
    }
    all
}

/// Of integers from −1 to 1, sums of products are exact in any order.
#[test]
fn relu_of_integers_is_exact() {
    for of in sizes() {
        compare(Cell::Relu, of, |x| (0.7 * x).round(), 0.0);
    }
}

/// No number exceeds ¼, and no sum has more than 70 terms: a step rounds by less than 100·2⁻⁵³, about 10⁻¹⁴. Weights of either
/// sign let that grow little from step to step, and a hundred times as much is allowed.
#[test]
fn tanh_and_gates_are_close_to_the_plain_loop() {
    for of in sizes() {
        compare(Cell::Tanh, of, |x| x / 8.0, 1e-12);
        compare(Cell::Gated, of, |x| x / 8.0, 1e-12);
    }
}

/// Several tasks of gates and tiles of products; two layers, both directions, and dropout.
macro_rules! on_any_number_of_threads {
    ($layer:ident, $options:expr, $batch:literal) => {
        check(stringify!($layer), |execution| {
            let options = $options.num_layers(2).bidirectional(true).dropout(0.25);
            let mut layer = $layer::<f32>::init(options, &mut rng()).unwrap();
            layer.set_execution(execution).unwrap();
            let (x, hx) = (tensor_f32(&[2, $batch, 70], 1), tensor_f32(&[4, $batch, 128], 2));
            let (dy, dh_n) = (tensor_f32(&[2, $batch, 256], 3), tensor_f32(&[4, $batch, 128], 4));
            let mut output = dy.map(|_| f32::NAN);
            let mut h_n = dh_n.map(|_| f32::NAN);
            layer.forward_into(&x, Some(&hx), &mut output, &mut h_n).unwrap();
            let pass = layer.forward_pass(&x, Some(&hx)).unwrap();
            assert_same_bits(&output, &pass.output, stringify!($layer));
            assert_same_bits(&h_n, &pass.h_n, stringify!($layer));
            let gradients = layer.backward(&pass, &dy, Some(&dh_n)).unwrap();
            let mut all = vec![output, h_n, gradients.input, gradients.hx];
            for one in gradients.parameters {
                all.extend(one.named("").map(|(_, tensor)| tensor.clone()));
            }
            Some(all)
        });
    };
}

fn rng() -> rand::rngs::SmallRng {
    rand::SeedableRng::seed_from_u64(7)
}

#[test]
fn results_are_the_same_on_any_number_of_threads() {
    on_any_number_of_threads!(RNN, RNNOptions::new(70, 128), 300);
    on_any_number_of_threads!(GRU, GRUOptions::new(70, 128), 130);
}

#[test]
fn an_empty_batch_has_outputs_and_gradients() {
    let mut gru = GRU::<f64>::init(GRUOptions::new(2, 3).num_layers(2).bidirectional(true), &mut rng()).unwrap();
    for length in [4, 1 << 40] {
        let x = Tensor::full(&[length, 0, 2], 1.0).unwrap();
        let pass = gru.forward_pass(&x, None).unwrap();
        assert_eq!((pass.output.shape(), pass.h_n.shape()), (&[length, 0, 6][..], &[4, 0, 3][..]));
        let gradients = gru.backward(&pass, &pass.output, None).unwrap();
        assert_eq!(gradients.input.shape(), x.shape());
        let weights = gradients.parameters.iter().flat_map(|one| one.weight_hh.as_slice());
        assert!(weights.chain(gradients.parameters[0].weight_ih.as_slice()).all(|&g| g == 0.0));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_left_alone() {
    let mut rnn = RNN::<f32>::init(RNNOptions::new(2, 3), &mut rng()).unwrap();
    let (x, mut output, mut h_n) = (tensor_f32(&[4, 1, 2], 1), tensor_f32(&[4, 1, 3], 2), tensor_f32(&[1, 1, 3], 3));
    let before = (output.clone(), h_n.clone());
    let mut smaller = tensor_f32(&[3], 2);
    let refused = |result: Result<()>| result.unwrap_err().argument().to_owned();
    assert_eq!(refused(rnn.forward_into(&x, None, &mut smaller, &mut h_n)), "output");
    assert_eq!(refused(rnn.forward_into(&x, None, &mut output, &mut smaller)), "h_n");
    assert_eq!((&output, &h_n), (&before.0, &before.1));
    assert!(rnn.forward(&tensor_f32(&[0, 1, 2], 1), None).is_err());
    assert!(rnn.choices(&[4, 1, 3]).is_err() && rnn.choices(&[4, 1, 2]).unwrap().len() == 1);
    let isa = crate::Execution::default().isa(Isa::Scalar).algorithm("dot".to_owned());
    assert!(rnn.set_execution(isa).is_err());
    let (_, saved) = Layer::forward_pass(&mut rnn, &x).unwrap();
    assert!(Layer::backward(&rnn, &saved, &tensor_f32(&[4, 1, 2], 1)).is_err());
}
