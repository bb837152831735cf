//! What holds of the forms that write into the caller's memory, of every layer: the same results as the plain form, to the last bit,
//! whatever the memory held before; inputs stay as they are; and what does not fit is refused before anything is written.

use super::calls::{LAYERS, calls};
use super::{assert_same_bits, executions, tensor_f32};
use crate::{
    BatchNorm2d, BatchNorm2dOptions, ELU, ELUOptions, Embedding, EmbeddingGradient, EmbeddingGradients,
    EmbeddingOptions, Execution, Linear, LinearOptions, RNN, RNNOptions, ReLU, ReLUOptions, Softmax, SoftmaxOptions,
    Tensor, algorithms,
};
use std::collections::BTreeSet;

#[test]
fn every_layer_writes_the_same_over_nan_and_leaves_inputs_alone() {
    let mut seen = BTreeSet::new();
    let algorithms: BTreeSet<_> = LAYERS.iter().flat_map(|layer| algorithms(layer)).collect();
    for execution in executions().into_iter().flat_map(|[one, _, three]| [one, three]) {
        for &&algorithm in &algorithms {
            for call in calls(&execution.clone().algorithm(algorithm.to_owned())) {
                let (plain, into) = (call.results(), call.results_into());
                assert_eq!(plain.len(), into.len(), "{}", call.name);
                let what = format!("{}, {execution:?}, {algorithm}", call.name);
                plain.iter().zip(&into).for_each(|(plain, into)| assert_same_bits(plain, into, &what));
                call.check_inputs();
                seen.insert(call.name);
            }
        }
    }
    assert!(seen.into_iter().eq(LAYERS));
}

#[test]
fn gradients_that_do_not_fit_are_refused_before_anything_is_written() {
    for call in calls(&Execution::default()) {
        let gradients = (call.backward)().len();
        for wrong in 0..gradients {
            let argument = std::cell::RefCell::new(String::new());
            let (done, after) = (call.backward_into)(&|name, i, gradient| {
                *gradient = gradient.map(|_| f32::NAN);
                if i == wrong {
                    *argument.borrow_mut() = name.to_owned();
                    *gradient = Tensor::full(&[1, 2, 1, 2, 1], f32::NAN).unwrap();
                }
            });
            // Of another number of rows, a sparse gradient's values are replaced.
            let replaced = call.name == "Embedding" && done.is_ok();
            if !replaced {
                let error = done.unwrap_err();
                assert_eq!((error.layer(), error.argument()), (call.name, argument.borrow().as_str()));
                assert!(after.iter().all(|gradient| gradient.as_slice().iter().all(|x| x.is_nan())), "{error}");
            }
        }
    }
}

#[test]
fn gradients_that_are_missing_or_superfluous_are_refused() {
    let full = |shape: &[usize]| Tensor::full(shape, 1.0_f32).unwrap();
    let mut with = Linear::with_parameters(LinearOptions::new(3, 2), full(&[2, 3]), Some(full(&[2]))).unwrap();
    let mut without = Linear::with_parameters(LinearOptions::new(3, 2).bias(false), full(&[2, 3]), None).unwrap();
    let (x, g) = (full(&[5, 3]), full(&[5, 2]));
    let (pass, bare) = (with.forward_pass(&x).unwrap(), without.forward_pass(&x).unwrap());
    let (mut of_with, mut of_without) = (with.backward(&pass, &g).unwrap(), without.backward(&bare, &g).unwrap());
    let error = with.backward_into(&pass, &g, &mut of_without).unwrap_err();
    assert_eq!(error.to_string(), "Linear: grad_bias is missing, expected [2]");
    let error = without.backward_into(&bare, &g, &mut of_with).unwrap_err();
    assert_eq!((error.layer(), error.argument()), ("Linear", "grad_bias"));
    assert!(with.backward_into(&pass, &full(&[5, 3]), &mut of_with).unwrap_err().argument() == "grad_output");

    let bare = BatchNorm2dOptions::new(2).affine(false);
    let mut norm = BatchNorm2d::<f32>::new(bare).unwrap();
    let x = full(&[2, 2, 3, 3]);
    let pass = norm.forward_pass(&x).unwrap();
    let mut gradients = norm.backward(&pass, &x).unwrap();
    gradients.weight = Some(full(&[2]));
    assert_eq!(norm.backward_into(&pass, &x, &mut gradients).unwrap_err().argument(), "grad_weight");

    let mut rnn =
        RNN::init(RNNOptions::new(3, 2), &mut <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(1)).unwrap();
    let pass = rnn.forward_pass(&full(&[5, 3]), None).unwrap();
    let mut gradients = rnn.backward(&pass, &full(&[5, 2]), None).unwrap();
    gradients.parameters[0].bias_hh = None;
    let refused = |gradients: &mut _| rnn.backward_into(&pass, &full(&[5, 2]), None, gradients).unwrap_err();
    assert_eq!(refused(&mut gradients).argument(), "grad_bias_hh_l0");
    gradients.parameters.clear();
    assert_eq!(refused(&mut gradients).argument(), "grad_parameters");
}

#[test]
fn the_gradient_of_an_embedding_is_of_the_kind_that_its_options_say() {
    let layer = |options: EmbeddingOptions| Embedding::with_parameters(options, tensor_f32(&[9, 3], 1)).unwrap();
    let [mut dense, mut sparse] = [false, true].map(|sparse| layer(EmbeddingOptions::new(9, 3).sparse(sparse)));
    let mut frozen = layer(EmbeddingOptions::new(9, 3).freeze(true));
    let indices = |of: &[i64]| Tensor::from_vec(&[of.len()], of.to_vec()).unwrap();
    let (three, g) = (indices(&[8, 1, 1, 4]), tensor_f32(&[4, 3], 2));
    let of_dense = dense.forward_pass(&three).unwrap();
    let of_sparse = sparse.forward_pass(&three).unwrap();
    let of_frozen = frozen.forward_pass(&three).unwrap();
    let [full, rows] = [dense.backward(&of_dense, &g), sparse.backward(&of_sparse, &g)].map(Result::unwrap);
    let none = frozen.backward(&of_frozen, &g).unwrap();
    for (given, fits) in [(&full, [true, false, false]), (&rows, [false, true, false]), (&none, [false, false, true])] {
        let mut given = [(); 3].map(|()| EmbeddingGradients::clone(given));
        let [a, b, c] = &mut given;
        let done = [
            dense.backward_into(&of_dense, &g, a),
            sparse.backward_into(&of_sparse, &g, b),
            frozen.backward_into(&of_frozen, &g, c),
        ];
        for (done, fits) in done.into_iter().zip(fits) {
            assert_eq!(done.as_ref().err().map(|error| error.argument()), (!fits).then_some("grad_weight"));
        }
    }
    // Another pass has other rows, as many or not.
    let mut gradients = rows;
    for of in [&[0, 2, 3, 3][..], &[5, 5, 5, 5]] {
        let pass = sparse.forward_pass(&indices(of)).unwrap();
        sparse.backward_into(&pass, &g, &mut gradients).unwrap();
        assert_eq!(gradients, sparse.backward(&pass, &g).unwrap());
    }
    assert!(matches!(gradients.weight, Some(EmbeddingGradient::Sparse { rows, .. }) if rows == [5]));
}

#[test]
fn a_clone_of_a_gradient_keeps_its_elements() {
    let mut relu = ReLU::new(ReLUOptions::new()).unwrap();
    let pass = relu.forward_pass(&tensor_f32(&[99], 1)).unwrap();
    let mut gradients = relu.backward(&pass, &tensor_f32(&[99], 2)).unwrap();
    let (kept, before) = (gradients.input.clone(), gradients.input.map(|x| x));
    relu.backward_into(&pass, &tensor_f32(&[99], 3), &mut gradients).unwrap();
    assert_same_bits(&kept, &before, "a clone");
    assert!(gradients.input != kept);
}

#[test]
fn what_is_written_in_place_is_the_same() {
    for len in (0..70).chain([300_007]) {
        let (x, g) = (tensor_f32(&[len], 1), tensor_f32(&[len], 2));
        for execution in executions().into_iter().flat_map(|[one, _, three]| [one, three]) {
            let mut elu = ELU::new(ELUOptions::new()).unwrap();
            elu.set_execution(execution.clone()).unwrap();
            let pass = elu.forward_pass(&x).unwrap();
            let mut in_place = g.clone();
            elu.backward_in_place(&pass, &mut in_place).unwrap();
            assert_same_bits(&in_place, &elu.backward(&pass, &g).unwrap().input, "ELU");
            assert!(elu.backward_in_place(&pass, &mut tensor_f32(&[len, 1], 1)).is_err());
        }
    }
    let shapes = (1..70).map(|n| vec![3, n]).chain([
        vec![7, 1023],
        vec![70, 3001],
        vec![5, 30, 130],
        vec![1, 70_001],
        vec![3, 0],
    ]);
    for shape in shapes {
        let x = tensor_f32(&shape, 1);
        for execution in executions().into_iter().flat_map(|[one, _, three]| [one, three]) {
            for dim in 0..2 {
                let mut softmax = Softmax::new(SoftmaxOptions::new().dim(dim)).unwrap();
                softmax.set_execution(execution.clone()).unwrap();
                let mut in_place = x.clone();
                softmax.forward_in_place(&mut in_place).unwrap();
                assert_same_bits(&in_place, &softmax.forward(&x).unwrap(), &format!("{shape:?} along {dim}"));
            }
        }
    }
    for shape in [[3, 5, 1, 1], [2, 17, 9, 11], [4, 3, 100, 101], [0, 3, 2, 2]] {
        let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(shape[1])).unwrap();
        if shape[0] > 0 {
            norm.forward_pass(&tensor_f32(&shape, 3)).unwrap();
        }
        for execution in executions().into_iter().flat_map(|[one, _, three]| [one, three]) {
            norm.set_execution(execution).unwrap();
            let x = tensor_f32(&shape, 1);
            let mut in_place = x.clone();
            norm.train();
            let refused = norm.forward_in_place(&mut in_place).is_err();
            assert!(refused && in_place == x);
            norm.eval();
            norm.forward_in_place(&mut in_place).unwrap();
            assert_same_bits(&in_place, &norm.forward(&x).unwrap(), "BatchNorm2d");
        }
    }
}
