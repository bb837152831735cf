//! Gradients against calculus: the hand-written backwards of both crates, dual numbers through the forward, and differences
//! of the forward.

use conformance::witness::{Romberg, Testimony, dual, gradients, romberg};
use conformance::{Case, DType, Expect, Implementation, Optimized, Reference, fixtures, generator, generators};
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
    let by = |implementation: &dyn Implementation| {
        gradients(case, implementation).unwrap_or_else(|error| panic!("{} is refused: {error}", case.name))
    };
    let ours = by(&Reference);
    // Where optimized does not have the layer yet, the others bear witness without it.
    let theirs = (!Optimized.still_to_come(&case.layer)).then(|| by(&Optimized));
    assert!(theirs.as_ref().is_none_or(|theirs| theirs.len() == ours.len()), "{} {}", case.layer, case.name);
    for (place, (coordinate, reference)) in ours.into_iter().enumerate() {
        let optimized = theirs.as_ref().map(|theirs| &theirs[place]);
        assert!(optimized.is_none_or(|(also, _)| *also == coordinate));
        let at = format!("{} {}, {coordinate:?}", case.layer, case.name);
        let dual = dual(case, &coordinate).unwrap();
        let finite = dual.derivative.is_finite() && dual.bound.is_finite() && reference.bound.is_finite();
        if !finite {
            count.skipped += 1;
            continue;
        }
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
        // NaN is apart from everything.
        let agree = |a: &Testimony, b: &Testimony| (a.derivative - b.derivative).abs() <= a.bound + b.bound;
        let mut witnesses = vec![("reference", reference), ("dual", dual), ("differences", differences)];
        witnesses.extend(optimized.map(|(_, optimized)| ("optimized", *optimized)));
        let odd: Vec<&str> = witnesses
            .iter()
            .filter(|(_, one)| 2 * witnesses.iter().filter(|(_, other)| agree(one, other)).count() <= witnesses.len())
            .map(|(name, _)| *name)
            .collect();
        let all_agree = witnesses.iter().all(|(_, a)| witnesses.iter().all(|(_, b)| agree(a, b)));
        assert!(all_agree, "{at}: at odds with most others: {odd:?}, of {witnesses:?}");
        count.checked += 1;
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
    for _ in 0..80 {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        if is_tame(&case) {
            check_case(&case, &mut count);
        }
    }
    let Count { checked, kinks, skipped } = count;
    println!(
        "{layer}: {checked} coordinates checked by dual numbers and differences, {kinks} at kinks, {skipped} skipped"
    );
    assert!(checked >= LEAST, "only {checked} coordinates");
    assert!(skipped as f64 <= SKIPPED * (checked + skipped) as f64, "{skipped} skipped, {checked} checked");
}

/// Few numbers, none of them infinite, NaN or extreme: calculus has nothing to say of those. What gates are closed or opened by
/// is moderate: e^x beyond the largest number has no derivative.
fn is_tame(case: &Case) -> bool {
    let most = if matches!(case.layer.as_str(), "RNN" | "GRU") { 8.0 } else { 1e15 };
    let numbers = case.tensors.values().filter_map(|tensor| match tensor {
        StateTensor::F64(tensor) => Some(tensor.as_slice()),
        _ => None,
    });
    let tame = |x: &f64| *x == 0.0 || (1e-10..=most).contains(&x.abs());
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
