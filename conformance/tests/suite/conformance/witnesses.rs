//! Gradients against calculus: the hand-written backwards of both crates, dual numbers through the forward, differences of the
//! forward, and what PyTorch recorded; and the whole Jacobian of small cases.

use conformance::witness::{Agreement, Coordinate, Romberg, agreement, dual, gradients, is_tame, romberg};
use conformance::{Case, DType, Expect, Group, Implementation, fixtures, generator, generators, ours};
use nalgebra::DMatrix;
use proptest::strategy::{Strategy, ValueTree};
use vocabulary::StateTensor;

/// Coordinates checked in each layer, at least.
const LEAST: usize = 300;
/// How many cases are drawn, at least.
const DRAWN: usize = 60;
/// The share of them that may be skipped.
const SKIPPED: f64 = 0.1;

/// Those that have the layer: where optimized is still to get it, the others bear witness without it.
fn implementations(layer: &str) -> Vec<&'static dyn Implementation> {
    ours().into_iter().filter(|implementation| !implementation.still_to_come(layer)).collect()
}

/// The first tame cases that are drawn.
fn drawn(layer: &str, count: usize) -> impl Iterator<Item = Case> {
    let strategy = generator(layer, DType::F64).expect("the layer has a generator");
    let mut runner = generators::runner(super::seed());
    (0..count).map(move |_| strategy.new_tree(&mut runner).unwrap().current()).filter(is_tame)
}

/// Recorded cases in double precision with all options in pairs, then generated ones.
fn gradients_agree_with_calculus(layer: &str) {
    let file = fixtures::file(layer).expect("the layer has recorded cases");
    let plain = |case: &Case| case.name.starts_with("pair") || case.name.starts_with("module");
    let recorded = file
        .cases
        .into_iter()
        .filter(|case| case.expect == Expect::Values && case.compute_type() == Ok(DType::F64) && plain(case));
    let mut sum = Agreement::default();
    let hear = |case: &Case, sum: &mut Agreement| {
        sum.join(agreement(case, &implementations(layer)).unwrap_or_else(|odd| panic!("{odd}")));
    };
    recorded.for_each(|case| hear(&case, &mut sum));
    // Some cases have few coordinates that calculus has something to say of, Embedding's above all: there, more are drawn.
    for (number, case) in drawn(layer, 1000).enumerate() {
        if number >= DRAWN && sum.checked >= 2 * LEAST {
            break;
        }
        hear(&case, &mut sum);
    }
    let Agreement { checked, recorded, kinks, skipped } = sum;
    println!("{layer}: {checked} coordinates, {recorded} of them by PyTorch, too, {kinks} at kinks, {skipped} skipped");
    assert!(checked >= LEAST && recorded >= LEAST / 4, "only {checked} coordinates, {recorded} by PyTorch");
    assert!(skipped as f64 <= SKIPPED * (checked + skipped) as f64, "{skipped} skipped, {checked} checked");
}

/// The case with a cotangent that is 1 at one element of one output and 0 elsewhere.
fn with_unit_cotangent(case: &Case, output: &str, place: usize) -> Case {
    let mut case = case.clone();
    for ((group, name), tensor) in &mut case.tensors {
        if let (Group::GradOut, StateTensor::F64(tensor)) = (group, tensor) {
            let one = |i: usize| if name == output && i == place { 1.0 } else { 0.0 };
            tensor.as_mut_slice().iter_mut().enumerate().for_each(|(i, g)| *g = one(i));
        }
    }
    case
}

/// Few outputs with a cotangent, and few inputs.
fn is_small(case: &Case) -> bool {
    let count = |wanted: Group| {
        let of_group = case.tensors.iter().filter(move |((group, _), _)| *group == wanted);
        of_group.map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum::<usize>()
    };
    let (outputs, inputs) = (count(Group::GradOut), count(Group::In) + count(Group::State));
    (1..=9).contains(&outputs) && (1..=40).contains(&inputs)
}

/// The whole Jacobian of small cases: forward's, by dual numbers, is the transpose of backward's, from cotangents that are 1 at
/// one element. So backward is right whatever the cotangent.
fn backward_is_the_transpose_of_forward(layer: &str) {
    let (mut entries, mut others) = (0, 0);
    for (number, case) in drawn(layer, 2000).filter(is_small).enumerate() {
        if number >= 12 && entries >= 200 {
            break;
        }
        let outputs: Vec<(String, usize)> = case
            .group(Group::GradOut)
            .flat_map(|(name, tensor)| (0..tensor.shape().iter().product()).map(|place| (name.to_owned(), place)))
            .collect();
        let rows: Vec<Case> = outputs.iter().map(|(name, place)| with_unit_cotangent(&case, name, *place)).collect();
        for implementation in implementations(layer) {
            let backward: Vec<_> = rows.iter().map(|row| gradients(row, implementation).unwrap()).collect();
            let coordinates: Vec<Coordinate> = backward[0].iter().map(|(coordinate, _)| coordinate.clone()).collect();
            let forward: Vec<Vec<_>> =
                rows.iter().map(|row| coordinates.iter().map(|i| dual(row, i).unwrap()).collect()).collect();
            let (m, n) = (rows.len(), coordinates.len());
            let jacobian = DMatrix::from_fn(m, n, |j, i| forward[j][i].derivative);
            let of_backward = DMatrix::from_fn(n, m, |i, j| backward[j][i].1.derivative);
            let bounds = DMatrix::from_fn(n, m, |i, j| backward[j][i].1.bound + forward[j][i].bound);
            let apart = of_backward - jacobian.transpose();
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let known = apart[(i, j)].is_finite() && bounds[(i, j)].is_finite();
                // At kinks there is a convention, and no derivative.
                if !known || romberg(&rows[j], &coordinates[i]) == Ok(Romberg::Kink) {
                    others += 1;
                    continue;
                }
                let at = format!("{} by {:?} in {}: {case:?}", coordinates[i].name, outputs[j], implementation.name());
                assert!(apart[(i, j)].abs() <= bounds[(i, j)], "{layer}, {:e} apart, {at}", apart[(i, j)]);
                entries += 1;
            }
        }
    }
    println!("{layer}: {entries} entries of Jacobians, {others} at kinks or unknown");
    assert!(entries >= 50 && entries > others, "only {entries} entries, {others} others");
}

for_each_layer!(gradients_agree_with_calculus, backward_is_the_transpose_of_forward);
