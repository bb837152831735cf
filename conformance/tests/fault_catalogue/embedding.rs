//! Embedding.

use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results, Source, rerun};
use super::reading::{flag, integer, integers, number, replace, set, tensor, update};
use conformance::{Case, DType, Group, Named};
use serde_json::json;
use vocabulary::Tensor;

const LAYER: &str = "Embedding";

/// The kernel without a mistake.
pub fn kernels() -> Vec<Fault> {
    vec![Fault::new(LAYER, "kernel", Results(|case, results| gradient(case, results, |sum, g, _| sum + g)))]
}

pub fn faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new(LAYER, name, mistake);
    vec![
        fault("the row padding_idx has a gradient", Call(|case| set(case, "padding_idx", json!(null)))),
        fault(
            "a negative padding_idx is not wrapped",
            Call(|case| {
                if integer(case, "padding_idx").is_some_and(|row| row < 0) {
                    set(case, "padding_idx", json!(null));
                }
            }),
        ),
        fault(
            "the row padding_idx is looked up as 0",
            Results(|case, results| {
                let (Some(indices), Some(row), Some(rows)) =
                    (integers(case, "input"), integer(case, "padding_idx"), integer(case, "num_embeddings"))
                else {
                    return;
                };
                let columns = integer(case, "embedding_dim").unwrap_or(0) as usize;
                let row = if row < 0 { row + rows } else { row };
                update(
                    results,
                    Group::Out,
                    "output",
                    |k, y| if indices.as_slice()[k / columns] == row { 0.0 } else { y },
                );
            }),
        ),
        fault("scale_grad_by_freq is ignored", Call(|case| set(case, "scale_grad_by_freq", json!(false)))),
        fault("repeated indices overwrite the gradient", Results(|case, results| gradient(case, results, |_, g, _| g))),
        fault(
            "repeated indices count once",
            Results(|case, results| {
                gradient(case, results, |sum, g, seen| if seen { sum } else { g });
            }),
        ),
        fault("max_norm is ignored", Call(|case| set(case, "max_norm", json!(null)))),
        fault("norm_type is always 2", Call(|case| set(case, "norm_type", json!(2.0)))),
        fault(
            "rows that are not looked up are renormalised, too",
            Results(|case, results| {
                let rows = integer(case, "num_embeddings").unwrap_or(0);
                let all = rerun(case, |case| {
                    if let Ok(indices) = Tensor::from_vec(&[rows as usize], (0..rows).collect::<Vec<i64>>()) {
                        case.insert(Group::In, "input", indices);
                    }
                    case.tensors.retain(|(group, _), _| *group != Group::GradOut);
                });
                let weight = all.and_then(|all| all.float(Group::After, "weight").cloned());
                if let Some(weight) = weight {
                    replace(results, Group::After, "weight", weight.into_vec());
                }
            }),
        ),
        fault(
            "rows are looked up before they are renormalised",
            Results(|case, results| {
                let before = rerun(case, |case| set(case, "max_norm", json!(null)));
                let output = before.and_then(|before| before.float(Group::Out, "output").cloned());
                if let Some(output) = output {
                    replace(results, Group::Out, "output", output.into_vec());
                }
            }),
        ),
        fault(
            "the renormalised weight is not kept",
            Results(|case, results| {
                if let Some(weight) = tensor(case, Group::State, "weight") {
                    replace(results, Group::After, "weight", weight.into_vec());
                }
            }),
        ),
        fault(
            "the norm's 1e-7 is forgotten",
            Results(|case, results| {
                let Some(most) = number(case, "max_norm").filter(|most| *most > 0.0 && most.is_finite()) else {
                    return;
                };
                let (Some(before), 2.0) =
                    (tensor(case, Group::State, "weight"), number(case, "norm_type").unwrap_or(2.0))
                else {
                    return;
                };
                let columns = integer(case, "embedding_dim").unwrap_or(0) as usize;
                let looked_up = results.float(Group::After, "weight").cloned();
                update(results, Group::After, "weight", |k, w| {
                    let row = &before.as_slice()[k / columns * columns..][..columns];
                    let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
                    let is_scaled = looked_up.as_ref().is_some_and(|after| after.as_slice()[k] != before.as_slice()[k]);
                    if is_scaled && norm > most { before.as_slice()[k] * (most / norm) } else { w }
                });
            }),
        )
        .by_chance(Source::Generated, &[DType::F32], "1e-7 is within the bound but of norms of a few tenths"),
    ]
}

/// The weight's gradient, where `add` puts the gradient of one more copy into the sum, told whether the row was seen before.
fn gradient(case: &Case, results: &mut Named<f64>, add: impl Fn(f64, f64, bool) -> f64) {
    let (Some(indices), Some(g)) = (integers(case, "input"), tensor(case, Group::GradOut, "output")) else { return };
    let (Some(rows), Some(columns)) = (integer(case, "num_embeddings"), integer(case, "embedding_dim")) else { return };
    let padding = integer(case, "padding_idx").map(|row| if row < 0 { row + rows } else { row });
    let columns = columns as usize;
    let mut sums = vec![0.0; rows as usize * columns];
    let mut counts = vec![0_usize; rows as usize];
    indices.as_slice().iter().for_each(|&row| counts[row as usize] += 1);
    let scaled = flag(case, "scale_grad_by_freq") == Some(true);
    let mut seen = vec![false; rows as usize];
    for (place, &row) in indices.as_slice().iter().enumerate().filter(|(_, row)| Some(**row) != padding) {
        let row = row as usize;
        for column in 0..columns {
            let share = if scaled { 1.0 / counts[row] as f64 } else { 1.0 };
            let sum = &mut sums[row * columns + column];
            *sum = add(*sum, g.as_slice()[place * columns + column] * share, seen[row]);
        }
        seen[row] = true;
    }
    replace(results, Group::GradState, "weight", sums);
}
