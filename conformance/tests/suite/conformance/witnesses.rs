//! Gradients against calculus: the hand-written backward, dual numbers through the forward, and differences of the forward.

use conformance::witness::{Romberg, dual, gradients, romberg};
use conformance::{Case, DType, Expect, fixtures, generator, generators};
use proptest::strategy::{Strategy, ValueTree};
use vocabulary::StateTensor;

/// Coordinates checked in each layer, at least; and the share of them that may be skipped.
const LEAST: usize = 300;
const SKIPPED: f64 = 0.1;

/// What has been checked.
#[derive(Default)]
struct Count {
    checked: usize,
    kinks: usize,
    skipped: usize,
}

fn check_case(case: &Case, count: &mut Count) {
    let gradients = gradients(case).unwrap_or_else(|error| panic!("{} is refused: {error}", case.name));
    for (coordinate, backward) in gradients {
        if !backward.derivative.is_finite() || !backward.bound.is_finite() {
            continue;
        }
        let at = format!("{} {}, {coordinate:?}", case.layer, case.name);
        let differences = match romberg(case, &coordinate).unwrap() {
            Romberg::Derivative(testimony) => testimony,
            Romberg::Kink => {
                count.kinks += 1;
                continue;
            }
            Romberg::Skipped => {
                count.skipped += 1;
                continue;
            }
        };
        let dual = dual(case, &coordinate).unwrap();
        let apart = |a: f64, b: f64| (a - b).abs();
        let with_dual = apart(backward.derivative, dual.derivative) <= backward.bound + dual.bound;
        let with_differences = apart(backward.derivative, differences.derivative) <= backward.bound + differences.bound;
        let among_themselves = apart(dual.derivative, differences.derivative) <= dual.bound + differences.bound;
        let odd = match (with_dual, with_differences, among_themselves) {
            (true, true, _) => {
                count.checked += 1;
                continue;
            }
            (_, _, true) => "backward is",
            (true, ..) => "the differences are",
            (_, true, _) => "the dual numbers are",
            _ => "all of them are",
        };
        panic!("{at}: {odd} at odds: backward {backward:?}, dual {dual:?}, differences {differences:?}");
    }
}

/// Recorded cases in double precision with all options in pairs, then generated ones.
fn gradients_agree_with_calculus(layer: &str) {
    let mut count = Count::default();
    let file = fixtures::file(layer).expect("the layer has recorded cases");
    let recorded = file.cases.iter().filter(|case| {
        let plain = case.name.starts_with("pair") || case.name.starts_with("module");
        case.expect == Expect::Values && case.compute_type() == Ok(DType::F64) && plain
    });
    recorded.for_each(|case| check_case(case, &mut count));
    let strategy = generator(layer, DType::F64).expect("the layer has a generator");
    let mut runner = generators::runner(super::seed());
    for _ in 0..40 {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        if is_tame(&case) {
            check_case(&case, &mut count);
        }
    }
    let Count { checked, kinks, skipped } = count;
    println!("{layer}: {checked} coordinates checked by three witnesses, {kinks} at kinks, {skipped} skipped");
    assert!(checked >= LEAST, "only {checked} coordinates");
    assert!(skipped as f64 <= SKIPPED * (checked + skipped) as f64, "{skipped} skipped, {checked} checked");
}

/// Few numbers, none of them infinite, NaN or extreme: calculus has nothing to say of those.
fn is_tame(case: &Case) -> bool {
    let numbers = case.tensors.values().filter_map(|tensor| match tensor {
        StateTensor::F64(tensor) => Some(tensor.as_slice()),
        _ => None,
    });
    let tame = |x: &f64| *x == 0.0 || (1e-10..1e15).contains(&x.abs());
    numbers.clone().flatten().all(tame) && numbers.map(<[f64]>::len).sum::<usize>() < 200
}

for_each_layer!(gradients_agree_with_calculus);

/// The whole Jacobian of a small case, column by column from dual numbers, is the transpose of backward's, row by row.
#[test]
fn backward_is_the_transpose_of_forward() {
    use nalgebra::DMatrix;
    use reference::{Dual, Linear, LinearOptions, Tensor};
    let (rows, inputs, outputs) = (2, 3, 4);
    let number = |i: usize| ((7 * i + 3) % 11) as f64 / 4.0 - 1.0;
    let weight = Tensor::from_fn(&[outputs, inputs], |i| number(i[0] * inputs + i[1])).unwrap();
    let bias = Tensor::from_fn(&[outputs], |i| number(i[0])).unwrap();
    let input = Tensor::from_fn(&[rows, inputs], |i| number(5 * i[0] + i[1])).unwrap();
    let options = LinearOptions::new(inputs, outputs);

    let constant = |x: f64| Dual::new(x, 0.0);
    let linear = Linear::with_parameters(options.clone(), weight.map(constant), Some(bias.map(constant))).unwrap();
    let columns: Vec<Vec<f64>> = (0..rows * inputs)
        .map(|coordinate| {
            let mut input = input.map(constant);
            let element = &mut input.as_mut_slice()[coordinate];
            *element = Dual::new(element.0.re, 1.0);
            linear.forward(&input).unwrap().as_slice().iter().map(|y| y.derivative()).collect()
        })
        .collect();
    let forward = DMatrix::from_fn(rows * outputs, rows * inputs, |i, j| columns[j][i]);

    let mut linear = Linear::with_parameters(options, weight, Some(bias)).unwrap();
    let pass = linear.forward_pass(&input).unwrap();
    let mut backward = DMatrix::zeros(rows * inputs, rows * outputs);
    for output in 0..rows * outputs {
        let mut cotangent = Tensor::full(&[rows, outputs], 0.0).unwrap();
        cotangent.as_mut_slice()[output] = 1.0;
        let gradients = linear.backward(&pass, &cotangent).unwrap();
        gradients.input.as_slice().iter().enumerate().for_each(|(i, &dx)| backward[(i, output)] = dx);
    }
    assert_eq!(backward, forward.transpose());
    assert!(forward.iter().filter(|x| **x != 0.0).count() > 10);
}
