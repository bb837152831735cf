//! ReLU, LeakyReLU, ELU, Sigmoid, LogSigmoid, Tanh and Softmax.

use super::harness::{Fault, Mistake, Mistake::Call, Mistake::Results};
use super::reading::{integer, is_single, number, set, tensor, update};
use conformance::{Case, Group, Named};
use serde_json::json;

/// What a formula gives in the type that the layer computes in, where it matters what overflows and what is rounded.
macro_rules! in_its_type {
    ($case:expr, |$x:ident| $formula:expr) => {
        |number: f64| {
            if is_single($case) {
                let $x = number as f32;
                f64::from($formula)
            } else {
                let $x = number;
                $formula
            }
        }
    };
}

/// What the mistakes change, without any; most are made in a formula of one line.
pub fn kernels() -> Vec<Fault> {
    let sigmoid = |case: &Case, results: &mut Named<f64>| {
        output(case, results, in_its_type!(case, |x| 1.0 / (1.0 + (-x).exp())));
        slope(case, results, in_its_type!(case, |x| 1.0 / (1.0 + (-x).exp())), |_, y| (1.0 - y) * y);
    };
    vec![
        Fault::new("Sigmoid", "kernel", Results(sigmoid)),
        Fault::new(
            "Softmax",
            "kernel",
            Results(|case, results| {
                softmax(case, results, |line| {
                    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    quotients(line.iter().map(|x| (x - largest).exp()))
                });
            }),
        ),
    ]
}

pub fn faults() -> Vec<Fault> {
    let parts = [relu(), leaky_relu(), elu(), sigmoid(), log_sigmoid(), tanh(), softmax_faults()];
    parts.into_iter().flatten().collect()
}

/// The output as a function of the input.
fn output(case: &Case, results: &mut Named<f64>, f: impl Fn(f64) -> f64) {
    let Some(x) = tensor(case, Group::In, "input") else { return };
    update(results, Group::Out, "output", |k, _| f(x.as_slice()[k]));
}

/// The gradient as the cotangent times a function of input and output.
fn slope(case: &Case, results: &mut Named<f64>, y: impl Fn(f64) -> f64, f: impl Fn(f64, f64) -> f64) {
    let (Some(x), Some(g)) = (tensor(case, Group::In, "input"), tensor(case, Group::GradOut, "output")) else { return };
    update(results, Group::GradIn, "input", |k, _| {
        let x = x.as_slice()[k];
        g.as_slice()[k] * f(x, y(x))
    });
}

/// The gradient as a function of input, cotangent and what is right.
fn gradient(case: &Case, results: &mut Named<f64>, f: impl Fn(f64, f64, f64) -> f64) {
    let (Some(x), Some(g)) = (tensor(case, Group::In, "input"), tensor(case, Group::GradOut, "output")) else { return };
    update(results, Group::GradIn, "input", |k, dx| f(x.as_slice()[k], g.as_slice()[k], dx));
}

fn relu() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("ReLU", name, mistake);
    vec![
        fault(
            "a zero loses its sign",
            Results(|case, results| output(case, results, |x| if x > 0.0 || x.is_nan() { x } else { 0.0 })),
        ),
        fault(
            "NaN becomes 0",
            Results(|case, results| output(case, results, |x| x.max(if x == 0.0 { x } else { 0.0 }))),
        ),
        fault(
            "negative inputs give −0",
            Results(|case, results| output(case, results, |x| if x < 0.0 { -0.0 } else { x })),
        ),
        fault(
            "the gradient at 0 is 1",
            Results(|case, results| gradient(case, results, |x, g, _| if x < 0.0 { 0.0 } else { g })),
        ),
        fault(
            "the gradient at NaN is 0",
            Results(|case, results| gradient(case, results, |x, g, _| if x > 0.0 { g } else { 0.0 })),
        ),
        fault(
            "the gradient is masked by multiplying",
            Results(|case, results| gradient(case, results, |x, g, _| g * f64::from(x > 0.0 || x.is_nan()))),
        ),
        fault("it ends at 6", Results(|case, results| output(case, results, |x| x.clamp(0.0, 6.0)))),
    ]
}

fn negative_slope(case: &Case) -> f64 {
    number(case, "negative_slope").unwrap_or(0.01)
}

fn leaky_relu() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("LeakyReLU", name, mistake);
    vec![
        fault(
            "the slope is on the wrong side",
            Results(|case, results| {
                output(case, results, |x| if x > 0.0 { x * negative_slope(case) } else { x });
            }),
        ),
        fault(
            "the gradient at 0 is the other side's",
            Results(|case, results| {
                gradient(case, results, |x, g, dx| if x == 0.0 { g } else { dx });
            }),
        ),
        fault("negative_slope is always the default", Call(|case| _ = case.options.remove("negative_slope"))),
        // Right for slopes from 0 to 1.
        fault(
            "the larger of x and slope·x is taken",
            Results(|case, results| {
                output(case, results, |x| if x.is_nan() || x == 0.0 { x } else { x.max(x * negative_slope(case)) });
            }),
        ),
        fault(
            "the gradient's slope is 0",
            Results(|case, results| {
                gradient(case, results, |x, g, dx| if x < 0.0 { g * 0.0 } else { dx });
            }),
        ),
        fault(
            "the gradient looks at the output's sign",
            Results(|case, results| {
                gradient(case, results, |x, g, dx| {
                    let y = if x > 0.0 { x } else { x * negative_slope(case) };
                    if y > 0.0 {
                        g
                    } else if x > 0.0 {
                        dx
                    } else {
                        g * negative_slope(case)
                    }
                });
            }),
        ),
    ]
}

fn alpha(case: &Case) -> f64 {
    number(case, "alpha").unwrap_or(1.0)
}

fn elu() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("ELU", name, mistake);
    vec![
        fault(
            "alpha is missing from the gradient",
            Results(|case, results| {
                gradient(case, results, |x, g, dx| if x <= 0.0 { g * x.exp() } else { dx });
            }),
        ),
        fault(
            "alpha is missing from the output",
            Results(|case, results| {
                let Some(x) = tensor(case, Group::In, "input") else { return };
                update(
                    results,
                    Group::Out,
                    "output",
                    |k, y| if x.as_slice()[k] < 0.0 { x.as_slice()[k].exp_m1() } else { y },
                );
            }),
        ),
        fault(
            "the gradient at 0 is 1",
            Results(|case, results| {
                gradient(case, results, |x, g, dx| if x == 0.0 { g } else { dx });
            }),
        ),
        fault(
            "exp(x) − 1 cancels near 0",
            Results(|case, results| {
                let Some(x) = tensor(case, Group::In, "input") else { return };
                let cancelling = in_its_type!(case, |x| x.exp() - 1.0);
                update(results, Group::Out, "output", |k, y| {
                    if x.as_slice()[k] < 0.0 { alpha(case) * cancelling(x.as_slice()[k]) } else { y }
                });
            }),
        ),
        // Right where alpha is 1.
        fault(
            "the gradient from the output is y + 1",
            Results(|case, results| {
                gradient(case, results, |x, g, dx| if x < 0.0 { g * (alpha(case) * x.exp_m1() + 1.0) } else { dx });
            }),
        ),
        fault(
            "alpha is taken for the slope of positive inputs",
            Results(|case, results| {
                let Some(x) = tensor(case, Group::In, "input") else { return };
                update(results, Group::Out, "output", |k, y| if x.as_slice()[k] > 0.0 { y * alpha(case) } else { y });
            }),
        ),
    ]
}

fn sigmoid() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("Sigmoid", name, mistake);
    vec![
        fault("the gradient is σ", Results(|case, results| slope(case, results, logistic, |_, y| y))),
        fault("the gradient is 1 − σ", Results(|case, results| slope(case, results, logistic, |_, y| 1.0 - y))),
        fault(
            "the gradient is σ(1 − σ) of the output",
            Results(|case, results| {
                slope(case, results, |x| logistic(logistic(x)), |_, y| y * (1.0 - y));
            }),
        ),
        fault(
            "eˣ/(1 + eˣ) overflows",
            Results(|case, results| {
                output(case, results, in_its_type!(case, |x| x.exp() / (1.0 + x.exp())));
            }),
        ),
        fault(
            "it is a half and half a tanh of x",
            Results(|case, results| output(case, results, |x| 0.5 + 0.5 * x.tanh())),
        ),
        // As if a table ended there: off by e⁻¹⁶ at most.
        fault(
            "it saturates beyond ±16",
            Results(|case, results| {
                output(case, results, |x| {
                    if x < -16.0 {
                        0.0
                    } else if x > 16.0 {
                        1.0
                    } else {
                        logistic(x)
                    }
                });
            }),
        ),
    ]
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn log_sigmoid() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("LogSigmoid", name, mistake);
    vec![
        fault(
            "ln(1/(1 + e⁻ˣ)) is rounded to 0 or overflows",
            Results(|case, results| {
                output(case, results, in_its_type!(case, |x| (1.0 / (1.0 + (-x).exp())).ln()));
            }),
        ),
        fault(
            "it is computed in single precision",
            Results(|case, results| {
                output(case, results, |x| f64::from((1.0 / (1.0 + (-x as f32).exp())).ln()));
            }),
        ),
        fault(
            "−ln(1 + e⁻ˣ) overflows",
            Results(|case, results| {
                output(case, results, in_its_type!(case, |x| -(-x).exp().ln_1p()));
            }),
        ),
        fault("the gradient is σ(x)", Results(|case, results| slope(case, results, logistic, |_, y| y))),
        fault(
            "the gradient is 1 − σ(x), which cancels",
            Results(|case, results| {
                gradient(case, results, |x, g, _| g * in_its_type!(case, |x| 1.0 - 1.0 / (1.0 + (-x).exp()))(x));
            }),
        ),
        fault(
            "it is softplus",
            Results(|case, results| output(case, results, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())),
        ),
    ]
}

fn tanh() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("Tanh", name, mistake);
    vec![
        fault("the gradient is 1 − y", Results(|case, results| slope(case, results, f64::tanh, |_, y| 1.0 - y))),
        fault("the gradient is 1 − x²", Results(|case, results| slope(case, results, f64::tanh, |x, _| 1.0 - x * x))),
        fault(
            "(e²ˣ − 1)/(e²ˣ + 1) overflows",
            Results(|case, results| {
                output(case, results, in_its_type!(case, |x| ((2.0 * x).exp() - 1.0) / ((2.0 * x).exp() + 1.0)));
            }),
        ),
        fault(
            "1 − 2/(e²ˣ + 1) cancels near 0",
            Results(|case, results| {
                output(case, results, in_its_type!(case, |x| 1.0 - 2.0 / ((2.0 * x).exp() + 1.0)));
            }),
        ),
        fault("a zero loses its sign", Results(|case, results| output(case, results, |x| x.tanh() + 0.0))),
        // A rational approximation that engineers like, off by a few percent at most.
        fault(
            "it is x(27 + x²)/(27 + 9x²)",
            Results(|case, results| {
                output(case, results, |x| (x * (27.0 + x * x) / (27.0 + 9.0 * x * x)).clamp(-1.0, 1.0));
            }),
        ),
    ]
}

/// The output of each line along the dimension.
fn softmax(case: &Case, results: &mut Named<f64>, f: impl Fn(&[f64]) -> Vec<f64>) {
    let Some(x) = tensor(case, Group::In, "input") else { return };
    let Some(y) = results.float_mut(Group::Out, "output") else { return };
    let shape = y.shape().to_vec();
    for line in lines(&shape, axis(case, shape.len())) {
        let values: Vec<f64> = line.iter().map(|&k| x.as_slice()[k]).collect();
        line.iter().zip(f(&values)).for_each(|(&k, value)| y.as_mut_slice()[k] = value);
    }
}

/// The dimension that a case sums over; PyTorch's implicit choice where it gives none.
fn axis(case: &Case, rank: usize) -> usize {
    let implicit = if matches!(rank, 0 | 1 | 3) { 0 } else { 1 };
    let dim = integer(case, "dim").unwrap_or(implicit);
    (if dim < 0 { dim + rank.max(1) as i64 } else { dim }) as usize
}

/// The places of each line of a shape along an axis.
pub fn lines(shape: &[usize], axis: usize) -> Vec<Vec<usize>> {
    let Some(&size) = shape.get(axis) else { return vec![vec![0]] };
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let starts = (0..outer).flat_map(|o| (0..inner).map(move |i| o * size * inner + i));
    starts.map(|start| (0..size).map(|k| start + k * inner).collect()).collect()
}

/// Each term's share of their sum.
fn quotients(terms: impl Iterator<Item = f64>) -> Vec<f64> {
    let terms: Vec<f64> = terms.collect();
    let sum: f64 = terms.iter().sum();
    terms.iter().map(|term| term / sum).collect()
}

fn softmax_faults() -> Vec<Fault> {
    let fault = |name, mistake: Mistake| Fault::new("Softmax", name, mistake);
    vec![
        fault(
            "it overflows without the maximum",
            Results(|case, results| {
                let exp = in_its_type!(case, |x| x.exp());
                softmax(case, results, |line| quotients(line.iter().map(|x| exp(*x))));
            }),
        ),
        fault(
            "the tensor's first element stands for the maximum",
            Results(|case, results| {
                let exp = in_its_type!(case, |x| x.exp());
                softmax(case, results, |line| quotients(line.iter().map(|x| exp(x - line[0]))));
            }),
        ),
        fault("the last dimension is always taken", Call(|case| set(case, "dim", json!(-1)))),
        fault("the first dimension is always taken", Call(|case| set(case, "dim", json!(0)))),
        // Right for two dimensions, and 0, 1 and 3 with dim = None.
        fault(
            "dim = None is the last dimension",
            Call(|case| {
                if integer(case, "dim").is_none() {
                    set(case, "dim", json!(-1));
                }
            }),
        ),
        fault(
            "a negative dim counts from the last but one",
            Call(|case| {
                if let Some(dim) = integer(case, "dim").filter(|dim| *dim < 0) {
                    set(case, "dim", json!(dim - 1));
                }
            }),
        ),
        fault(
            "the gradient has no sum",
            Results(|case, results| {
                let (Some(g), Some(y)) =
                    (tensor(case, Group::GradOut, "output"), results.float(Group::Out, "output").cloned())
                else {
                    return;
                };
                update(results, Group::GradIn, "input", |k, _| {
                    y.as_slice()[k] * (1.0 - y.as_slice()[k]) * g.as_slice()[k]
                });
            }),
        ),
        fault(
            "the gradient's sum goes over the whole tensor",
            Results(|case, results| {
                let (Some(g), Some(y)) =
                    (tensor(case, Group::GradOut, "output"), results.float(Group::Out, "output").cloned())
                else {
                    return;
                };
                let sum: f64 = g.as_slice().iter().zip(y.as_slice()).map(|(g, y)| g * y).sum();
                update(results, Group::GradIn, "input", |k, _| y.as_slice()[k] * (g.as_slice()[k] - sum));
            }),
        ),
    ]
}
