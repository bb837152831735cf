use super::{assert_close, assert_same_bits, executions, integers, tensor_f32, tensor_f64};
use crate::{Execution, Isa, Linear, LinearOptions, Tensor, algorithms};

/// Batch, inputs, outputs: one row, few, tails of every tile, more terms than a panel, nothing, more than is packed at once.
const SHAPES: [[usize; 3]; 18] = [
    [1, 1, 1],
    [1, 70, 33],
    [2, 3, 5],
    [3, 17, 129],
    [5, 97, 50],
    [16, 16, 16],
    [17, 200, 47],
    [33, 31, 100],
    [64, 64, 64],
    [65, 193, 49],
    [84, 40, 33],
    [130, 90, 145],
    [200, 5, 7],
    [0, 3, 4],
    [3, 0, 4],
    [3, 4, 0],
    [300, 300, 300],
    [135, 17_000, 3],
];

/// Every algorithm with every execution that it accepts.
fn accepted() -> Vec<(&'static str, Execution)> {
    let every = executions().into_iter().flatten();
    every
        .flat_map(|execution| {
            algorithms("Linear").iter().map(move |&name| (name, execution.clone().algorithm(name.to_owned())))
        })
        .filter(|(name, execution)| *name != "gemm" || execution.isa == Some(Isa::best()))
        .collect()
}

#[test]
fn small_integers_are_multiplied_exactly() {
    for [b, i, o] in SHAPES {
        let (x, w, bias, g) = (integers(&[b, i], 1), integers(&[o, i], 2), integers(&[o], 3), integers(&[b, o], 4));
        let y = Tensor::from_fn(&[b, o], |k| (0..i).map(|i| x[[k[0], i]] * w[[k[1], i]]).sum::<f32>() + bias[[k[1]]]);
        let dx = Tensor::from_fn(&[b, i], |k| (0..o).map(|o| g[[k[0], o]] * w[[o, k[1]]]).sum::<f32>()).unwrap();
        let dw = Tensor::from_fn(&[o, i], |k| (0..b).map(|b| g[[b, k[0]]] * x[[b, k[1]]]).sum::<f32>()).unwrap();
        let db = Tensor::from_fn(&[o], |k| (0..b).map(|b| g[[b, k[0]]]).sum::<f32>()).unwrap();
        let y = y.unwrap();
        for (name, execution) in accepted() {
            let what = format!("[{b}, {i}] to {o}, {name}, {execution:?}");
            let options = LinearOptions::new(i, o);
            let mut linear = Linear::with_parameters(options, w.clone(), Some(bias.clone())).unwrap();
            linear.set_execution(execution).unwrap();
            let pass = linear.forward_pass(&x).unwrap();
            assert!(pass.output == y, "{what}");
            let gradients = linear.backward(&pass, &g).unwrap();
            assert!(gradients.input == dx, "{what}");
            assert!(gradients.weight == dw, "{what}");
            assert!(gradients.bias.as_ref() == Some(&db), "{what}");
            let mut into = Tensor::full(&[b, o], f32::NAN).unwrap();
            linear.forward_into(&x, &mut into).unwrap();
            assert!(into == y, "{what}");
        }
    }
}

#[test]
fn without_bias_in_double_precision() {
    let (x, w) = (tensor_f64(&[3, 7, 41], 1), tensor_f64(&[53, 41], 2));
    for (name, execution) in accepted() {
        let mut linear = Linear::with_parameters(LinearOptions::new(41, 53).bias(false), w.clone(), None).unwrap();
        linear.set_execution(execution).unwrap();
        let y = linear.forward(&x).unwrap();
        assert_eq!(y.shape(), [3, 7, 53]);
        for [a, b, o] in [[0, 0, 0], [2, 6, 52], [1, 3, 17]] {
            let expected: f64 = (0..41).map(|i| x[[a, b, i]] * w[[o, i]]).sum();
            assert_close(y[[a, b, o]], expected, 1e-13, name);
        }
        let pass = linear.forward_pass(&x).unwrap();
        assert!(linear.backward(&pass, &y).unwrap().bias.is_none());
    }
}

#[test]
fn results_do_not_depend_on_threads_nor_on_runs() {
    for [b, i, o] in [[70, 300, 210], [1, 300, 1000], [400, 120, 130]] {
        let (x, w, bias, g) =
            (tensor_f32(&[b, i], 1), tensor_f32(&[o, i], 2), tensor_f32(&[o], 3), tensor_f32(&[b, o], 4));
        for name in algorithms("Linear") {
            for executions in executions() {
                if *name == "gemm" && executions[0].isa != Some(Isa::best()) {
                    continue;
                }
                let results = executions.map(|execution| {
                    let mut linear =
                        Linear::with_parameters(LinearOptions::new(i, o), w.clone(), Some(bias.clone())).unwrap();
                    linear.set_execution(execution.algorithm((*name).to_owned())).unwrap();
                    let pass = linear.forward_pass(&x).unwrap();
                    assert_same_bits(&linear.forward(&x).unwrap(), &pass.output, name);
                    let gradients = linear.backward(&pass, &g).unwrap();
                    [pass.output, gradients.input, gradients.weight, gradients.bias.unwrap()]
                });
                for other in &results[1..] {
                    results[0].iter().zip(other).for_each(|(a, b)| assert_same_bits(a, b, name));
                }
            }
        }
    }
}

#[test]
fn gemm_refuses_an_instruction_set_that_it_would_not_choose() {
    let mut linear = Linear::with_parameters(LinearOptions::new(2, 2).bias(false), integers(&[2, 2], 1), None).unwrap();
    let x = integers(&[4, 2], 2);
    assert!(linear.choices(&[4, 2]).unwrap().iter().all(|choice| choice.refusal.is_none()));
    if Isa::best() != Isa::Scalar {
        linear.set_execution(Execution::default().isa(Isa::Scalar).algorithm("gemm".to_owned())).unwrap();
        let error = linear.forward(&x).unwrap_err();
        assert_eq!((error.layer(), error.argument()), ("Linear", "algorithm"));
        assert!(linear.choices(&[4, 2]).unwrap().iter().any(|c| c.name == "gemm" && c.refusal.is_some()));
        linear.set_execution(Execution::default().isa(Isa::Scalar)).unwrap();
        assert!(linear.forward(&x).is_ok());
    }
}
