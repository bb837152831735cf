//! Layers that several threads call at once, and workspaces that they share.

use super::assert_same_bits;
use super::calls::{Call, Tensors, calls};
use crate::*;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

fn threads(n: usize) -> Execution {
    Execution::default().threads(Threads::new(NonZeroUsize::new(n).unwrap()))
}

#[test]
fn everything_may_be_sent_and_shared() {
    fn shared<T: Send + Sync>() {}
    macro_rules! all {
        ($($type:ty),* $(,)?) => { $(shared::<$type>();)* };
    }
    all!(Execution, Workspace, Threads, Isa, Choice, Error, Tensor<f32>);
    all!(ReLU, Sigmoid, Tanh, LogSigmoid, LeakyReLU, ELU, Softmax, MaxPool2d, L1Loss, MSELoss);
    all!(Linear<f32>, Conv2d<f32>, BatchNorm2d<f32>, RNN<f32>, GRU<f32>, Embedding<f32>);
    all!(BCELoss<f32>, BCEWithLogitsLoss<f32>, CrossEntropyLoss<f32>);
    all!(ReLUPass<f32>, SigmoidPass<f32>, TanhPass<f32>, LogSigmoidPass<f32>, LeakyReLUPass<f32>, ELUPass<f32>);
    all!(SoftmaxPass<f32>, MaxPool2dPass<f32>, L1LossPass<f32>, MSELossPass<f32>, BCELossPass<f32>);
    all!(BCEWithLogitsLossPass<f32>, CrossEntropyLossPass<f32>, LinearPass<f32>, Conv2dPass<f32>);
    all!(BatchNorm2dPass<f32>, RNNPass<f32>, GRUPass<f32>, EmbeddingPass<f32>);
    all!(ReLUGradients<f32>, SigmoidGradients<f32>, TanhGradients<f32>, LogSigmoidGradients<f32>);
    all!(LeakyReLUGradients<f32>, ELUGradients<f32>, SoftmaxGradients<f32>, MaxPool2dGradients<f32>);
    all!(L1LossGradients<f32>, MSELossGradients<f32>, BCELossGradients<f32>, BCEWithLogitsLossGradients<f32>);
    all!(CrossEntropyLossGradients<f32>, LinearGradients<f32>, Conv2dGradients<f32>, BatchNorm2dGradients<f32>);
    all!(RecurrentGradients<f32>, EmbeddingGradients<f32>);
}

fn assert_all_same(got: &Tensors, due: &Tensors, what: &str) {
    assert_eq!(got.len(), due.len(), "{what}");
    got.iter().zip(due).for_each(|(got, due)| assert_same_bits(got, due, what));
}

/// Calls the same layer from eight threads at once, two times each.
fn check_at_once(call: &Call, due: &Tensors) {
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let results = if caller % 2 == 0 { call.results() } else { call.results_into() };
                assert_all_same(&results, due, call.name);
                assert_all_same(&call.results(), due, call.name);
            });
        }
    });
    call.check_inputs();
}

#[test]
fn many_threads_may_call_a_layer_at_once() {
    let alone: Vec<_> = calls(&threads(1)).iter().map(Call::results).collect();
    for n in [1, 3] {
        for (call, due) in calls(&threads(n)).iter().zip(&alone) {
            check_at_once(call, due);
        }
    }
}

#[test]
fn a_workspace_grows_no_more_after_the_first_of_equal_calls() {
    let mut takers = BTreeSet::new();
    let without = calls(&threads(1));
    for (i, plain) in without.iter().enumerate() {
        let workspace = Workspace::new();
        let call = &calls(&threads(1).workspace(workspace.clone()))[i];
        workspace.clear(); // what the pass has left there
        let due = plain.results();
        assert_all_same(&call.results(), &due, call.name);
        let bytes = workspace.bytes();
        for _ in 1..10 {
            assert_all_same(&call.results_into(), &due, call.name);
            assert_eq!(workspace.bytes(), bytes, "{} {i}", call.name);
        }
        if bytes > 0 {
            takers.insert(call.name);
        }
        workspace.clear();
        assert_eq!(workspace.bytes(), 0);
        assert_all_same(&call.results(), &due, call.name);
        assert_eq!(workspace.bytes(), bytes, "{} {i}", call.name);
    }
    assert!(["Conv2d", "GRU", "Linear", "RNN"].iter().all(|layer| takers.contains(layer)), "{takers:?}");
}

#[test]
fn many_threads_may_share_a_workspace() {
    let alone: Vec<_> = calls(&threads(1)).iter().map(Call::results).collect();
    let workspace = Workspace::new();
    for n in [1, 3] {
        for (call, due) in calls(&threads(n).workspace(workspace.clone())).iter().zip(&alone) {
            check_at_once(call, due);
        }
    }
    assert!(workspace.bytes() > 0);
}

#[test]
fn threads_that_help_take_from_the_callers_workspace() {
    let workspace = Workspace::new();
    let weight = Tensor::full(&[256, 256], 0.5_f32).unwrap();
    let mut linear = Linear::with_parameters(LinearOptions::new(256, 256).bias(false), weight, None).unwrap();
    let of = |n| threads(n).workspace(workspace.clone()).algorithm("packed".to_owned());
    linear.set_execution(of(1)).unwrap();
    let x = Tensor::full(&[512, 256], 1.0).unwrap();
    linear.forward(&x).unwrap();
    let alone = workspace.bytes();
    linear.set_execution(of(4)).unwrap();
    // Helpers may come too late for a call, but not for all of these.
    let grown = (0..10_000).any(|_| {
        linear.forward(&x).unwrap();
        workspace.bytes() > alone
    });
    assert!(grown, "only the caller has taken from the workspace");
    assert!(workspace.bytes() < 5 * alone);
}
