use super::{assert_close, assert_same_bits, executions, tensor_f32};
use crate::{Isa, ReLU, ReLUOptions, Sigmoid, SigmoidOptions, Tensor, math};

const SPECIAL: [f32; 16] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    f32::MAX,
    f32::MIN,
    88.8,
    -88.8,
    104.0,
    -104.0,
    1.0,
];

#[test]
fn relu_keeps_nan_and_the_sign_of_zero() {
    let x = Tensor::from_vec(&[16], SPECIAL.to_vec()).unwrap();
    let expected = x.map(|x| if x < 0.0 { 0.0 } else { x });
    let g = tensor_f32(&[16], 1);
    for execution in executions().into_iter().flatten() {
        let mut relu = ReLU::new(ReLUOptions::new()).unwrap();
        relu.set_execution(execution).unwrap();
        let pass = relu.forward_pass(&x).unwrap();
        assert_same_bits(&pass.output, &expected, "relu");
        let gradient = relu.backward(&pass, &g).unwrap().input;
        for i in 0..16 {
            let due = if expected[[i]] <= 0.0 { 0.0 } else { g[[i]] };
            assert_eq!(gradient[[i]].to_bits(), due.to_bits(), "at {}", x[[i]]);
        }
    }
}

#[test]
fn every_length_is_covered_once() {
    for len in (0..70).chain([4095, 4096, 4097, 3 * 32768 + 5]) {
        let (x, g) = (tensor_f32(&[len], 2), tensor_f32(&[len], 3));
        for execution in executions().into_iter().flatten() {
            let what = format!("{len} elements, {execution:?}");
            let mut relu = ReLU::new(ReLUOptions::new()).unwrap();
            relu.set_execution(execution.clone()).unwrap();
            let pass = relu.forward_pass(&x).unwrap();
            assert_same_bits(&pass.output, &x.map(|x| x.max(0.0)), &what);
            let expected = Tensor::from_fn(&[len], |i| if x[[i[0]]] <= 0.0 { 0.0 } else { g[[i[0]]] }).unwrap();
            assert_same_bits(&relu.backward(&pass, &g).unwrap().input, &expected, &what);

            let mut sigmoid = Sigmoid::new(SigmoidOptions::new()).unwrap();
            sigmoid.set_execution(execution).unwrap();
            let pass = sigmoid.forward_pass(&x).unwrap();
            for (x, y) in x.as_slice().iter().zip(pass.output.as_slice()) {
                assert_close(f64::from(*y), 1.0 / (1.0 + (-f64::from(*x)).exp()), 1e-7, &what);
            }
            let gradient = sigmoid.backward(&pass, &g).unwrap().input;
            let expected = Tensor::from_fn(&[len], |i| g[[i[0]]] * (1.0 - pass.output[[i[0]]]) * pass.output[[i[0]]]);
            assert_same_bits(&gradient, &expected.unwrap(), &what);

            let (mut into, mut in_place) = (Tensor::full(&[len], f32::NAN).unwrap(), x.clone());
            sigmoid.forward_into(&x, &mut into).unwrap();
            sigmoid.forward_in_place(&mut in_place).unwrap();
            assert_same_bits(&into, &pass.output, &what);
            assert_same_bits(&in_place, &pass.output, &what);
        }
    }
}

#[test]
fn sigmoid_of_special_values() {
    let x = Tensor::from_vec(&[16], SPECIAL.to_vec()).unwrap();
    for execution in executions().into_iter().flatten() {
        let mut sigmoid = Sigmoid::new(SigmoidOptions::new()).unwrap();
        sigmoid.set_execution(execution).unwrap();
        let y = sigmoid.forward(&x).unwrap();
        assert!(y[[0]].is_nan());
        for i in 1..16 {
            let expected = 1.0 / (1.0 + (-f64::from(x[[i]])).exp());
            // Below −88.73 e^−x overflows, as in the formula's own f32.
            let tolerance = expected * 2e-7 + if x[[i]] < -88.0 { 3e-39 } else { 0.0 };
            assert_close(f64::from(y[[i]]), expected, tolerance, &format!("sigmoid({})", x[[i]]));
        }
        let y = sigmoid.forward(&x.map(f64::from)).unwrap();
        assert!(y[[0]].is_nan());
        for i in 1..16 {
            let expected = 1.0 / (1.0 + (-f64::from(x[[i]])).exp());
            assert_close(y[[i]], expected, expected * 4e-16, &format!("sigmoid({})", x[[i]]));
        }
    }
}

#[test]
fn exp_of_special_values() {
    let near = |x: f64, y: f64| (x - y).abs() <= 1.01 * y.max(f64::MIN_POSITIVE) * f64::EPSILON;
    for isa in Isa::available() {
        let x = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 709.7, 709.8, -745.1, -745.2, 1e300, -1e300];
        let mut y = [0.0; 11];
        math::exp(isa, &x, &mut y).unwrap();
        assert!(y[0].is_nan(), "{isa}");
        for (x, y) in x[1..].iter().zip(&y[1..]) {
            assert!(*y == x.exp() || near(*y, x.exp()), "{isa}: exp({x}) = {y}");
        }
        let mut y = [0.0; 16];
        math::exp(isa, &SPECIAL, &mut y).unwrap();
        assert!(y[0].is_nan(), "{isa}");
        for (x, y) in SPECIAL[1..].iter().zip(&y[1..]) {
            let expected = f64::from(*x).exp() as f32;
            let tolerance = expected.max(f32::MIN_POSITIVE) * f32::EPSILON;
            assert!(*y == expected || (y - expected).abs() <= tolerance, "{isa}: exp({x}) = {y}");
        }
        assert!(math::exp(isa, &[0.0_f32; 2], &mut [0.0; 3]).is_err());
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let (x, g) = (tensor_f32(&[300_007], 4), tensor_f32(&[300_007], 5));
    for executions in executions() {
        let outputs = executions.map(|execution| {
            let mut sigmoid = Sigmoid::new(SigmoidOptions::new()).unwrap();
            sigmoid.set_execution(execution).unwrap();
            let pass = sigmoid.forward_pass(&x).unwrap();
            (sigmoid.backward(&pass, &g).unwrap().input, pass.output)
        });
        for other in &outputs[1..] {
            assert_same_bits(&outputs[0].0, &other.0, "gradient");
            assert_same_bits(&outputs[0].1, &other.1, "output");
        }
    }
}

/// A sample of what `conformance/examples/function_errors.rs` proves over all inputs: every 2,039th number of single precision.
#[test]
fn exp_errs_by_no_more_than_stated() {
    let x: Vec<f32> = (0..=u32::MAX).step_by(2039).map(f32::from_bits).filter(|x| *x <= 88.722_83).collect();
    assert!(x.len() > 500_000);
    for isa in Isa::available() {
        let mut y = vec![0.0; x.len()];
        math::exp(isa, &x, &mut y).unwrap();
        // Of subnormal results, which are rounded twice, and of the others.
        let mut largest = [0.0_f64; 2];
        for (&x, &y) in x.iter().zip(&y) {
            let exact = f64::from(x).exp();
            let largest = &mut largest[usize::from(exact >= f64::from(f32::MIN_POSITIVE))];
            // The distance of the neighbours of the exact result: 2^(e − 23) in [2^e, 2^(e + 1)), 2^−149 below 2^−126.
            let exponent = ((exact.to_bits() >> 52) as i32 - 1023).max(-126);
            *largest = largest.max((f64::from(y) - exact).abs() / 2.0_f64.powi(exponent - 23));
        }
        // AVX-512's normal results: `math/exp.rs`, 6.
        let stated = [math::EXP_ULPS_F32, if isa == Isa::V4 { 0.6 } else { math::EXP_ULPS_F32 }];
        assert!((0..2).all(|i| 0.5 < largest[i] && largest[i] <= stated[i]), "{isa}: {largest:?} ulps");
    }
}
