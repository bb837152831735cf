//! Every layer with a pass and what its calls are given, for the tests that ask the same of all of them.

use super::{assert_same_bits, tensor_f32};
use crate::{
    BCELoss, BCELossGradients, BCELossOptions, BCEWithLogitsLoss, BCEWithLogitsLossGradients, BCEWithLogitsLossOptions,
    BatchNorm2d, BatchNorm2dGradients, BatchNorm2dOptions, Conv2d, Conv2dGradients, Conv2dOptions, CrossEntropyLoss,
    CrossEntropyLossGradients, CrossEntropyLossOptions, CrossEntropyTarget, ELU, ELUGradients, ELUOptions, Embedding,
    EmbeddingGradient, EmbeddingGradients, EmbeddingOptions, Execution, GRU, GRUOptions, L1Loss, L1LossGradients,
    L1LossOptions, LeakyReLU, LeakyReLUGradients, LeakyReLUOptions, Linear, LinearGradients, LinearOptions, LogSigmoid,
    LogSigmoidGradients, LogSigmoidOptions, MSELoss, MSELossGradients, MSELossOptions, MaxPool2d, MaxPool2dGradients,
    MaxPool2dOptions, PaddingMode, RNN, RNNOptions, ReLU, ReLUGradients, ReLUOptions, RecurrentGradients, Reduction,
    Result, Sigmoid, SigmoidGradients, SigmoidOptions, Softmax, SoftmaxGradients, SoftmaxOptions, Tanh, TanhGradients,
    TanhOptions, Tensor,
};
use rand::{SeedableRng, rngs::SmallRng};

/// Gradients as tensors, each with what an error calls it.
pub trait Gradients: Clone + Send + Sync + 'static {
    fn named(&mut self) -> Vec<(String, &mut Tensor<f32>)>;
}

macro_rules! gradients {
    ($($gradients:ident: $($field:ident)*, $($optional:ident)*;)*) => {$(
        impl Gradients for $gradients<f32> {
            fn named(&mut self) -> Vec<(String, &mut Tensor<f32>)> {
                let always = [$((stringify!($field), Some(&mut self.$field))),*].into_iter();
                let optional = [$((stringify!($optional), self.$optional.as_mut())),*].into_iter();
                always.chain(optional).filter_map(|(name, tensor)| Some((format!("grad_{name}"), tensor?))).collect()
            }
        }
    )*};
}

gradients! {
    ReLUGradients: input,;
    SigmoidGradients: input,;
    TanhGradients: input,;
    LogSigmoidGradients: input,;
    LeakyReLUGradients: input,;
    ELUGradients: input,;
    SoftmaxGradients: input,;
    MaxPool2dGradients: input,;
    LinearGradients: input weight, bias;
    Conv2dGradients: input weight, bias;
    BatchNorm2dGradients: input, weight bias;
    L1LossGradients: input target,;
    MSELossGradients: input target,;
    BCELossGradients: input target,;
    BCEWithLogitsLossGradients: input target,;
    CrossEntropyLossGradients: input, target;
}

impl Gradients for RecurrentGradients<f32> {
    fn named(&mut self) -> Vec<(String, &mut Tensor<f32>)> {
        let Self { input, hx, parameters } = self;
        let mut named = vec![("grad_input".to_owned(), input), ("grad_hx".to_owned(), hx)];
        for (one, suffix) in parameters.iter_mut().zip(["l0", "l0_reverse", "l1", "l1_reverse"]) {
            named.extend(one.named_mut(&format!("_{suffix}")).map(|(name, tensor)| (format!("grad_{name}"), tensor)));
        }
        named
    }
}

impl Gradients for EmbeddingGradients<f32> {
    fn named(&mut self) -> Vec<(String, &mut Tensor<f32>)> {
        let tensor = match self.weight.as_mut() {
            Some(EmbeddingGradient::Dense(tensor) | EmbeddingGradient::Sparse { values: tensor, .. }) => Some(tensor),
            None => None,
        };
        tensor.map(|tensor| ("grad_weight".to_owned(), tensor)).into_iter().collect()
    }
}

pub type Tensors = Vec<Tensor<f32>>;
type OnGradient<'a> = &'a dyn Fn(&str, usize, &mut Tensor<f32>);
type Into = dyn Fn(&mut [Tensor<f32>]) -> Result<()> + Send + Sync;
type IntoChanged = dyn Fn(OnGradient<'_>) -> (Result<()>, Tensors) + Send + Sync;

/// A layer with a pass and what its calls are given. All calls go by `&self`.
pub struct Call {
    pub name: &'static str,
    /// What the calls read, and deep copies of it.
    inputs: [Tensors; 2],
    pub forward: Box<dyn Fn() -> Tensors + Send + Sync>,
    /// `forward_into`.
    pub forward_into: Box<Into>,
    pub backward: Box<dyn Fn() -> Tensors + Send + Sync>,
    /// `backward_into` gradients of an earlier call, each of which the caller may change before: what it gives, and the gradients.
    pub backward_into: Box<IntoChanged>,
}

fn deep(tensors: &[Tensor<f32>]) -> Tensors {
    tensors.iter().map(|tensor| tensor.map(|x| x)).collect()
}

impl Call {
    /// Refuses inputs that are not as they were.
    pub fn check_inputs(&self) {
        let [now, before] = &self.inputs;
        now.iter().zip(before).for_each(|(now, before)| assert_same_bits(now, before, self.name));
    }

    /// What `forward` and `backward` give.
    pub fn results(&self) -> Tensors {
        [(self.forward)(), (self.backward)()].concat()
    }

    /// What `forward_into` and `backward_into` write over NaN.
    pub fn results_into(&self) -> Tensors {
        let nan = |tensor: &Tensor<f32>| tensor.map(|_| f32::NAN);
        let mut outputs: Tensors = (self.forward)().iter().map(nan).collect();
        (self.forward_into)(&mut outputs).unwrap();
        let (done, gradients) = (self.backward_into)(&|_, _, gradient| *gradient = nan(gradient));
        done.unwrap();
        [outputs, gradients].concat()
    }
}

/// The calls of one layer: forward and back, plain and into.
type Four<L, P, G> = (
    fn(&L, &[Tensor<f32>]) -> Result<Tensors>,
    fn(&L, &[Tensor<f32>], &mut [Tensor<f32>]) -> Result<()>,
    fn(&L, &P, &[Tensor<f32>]) -> Result<G>,
    fn(&L, &P, &[Tensor<f32>], &mut G) -> Result<()>,
);

/// `inputs` are the operands, of which the last is the output's gradient. None where the forced algorithm refuses.
fn call<L, P, G>(
    name: &'static str,
    mut layer: L,
    inputs: Tensors,
    pass: fn(&mut L, &[Tensor<f32>]) -> Result<P>,
    (forward, forward_into, backward, backward_into): Four<L, P, G>,
) -> Option<Call>
where
    L: Send + Sync + Clone + 'static,
    P: Send + Sync + Clone + 'static,
    G: Gradients,
{
    let pass = pass(&mut layer, &inputs).ok()?;
    let list = |mut gradients: G| gradients.named().into_iter().map(|(_, tensor)| tensor.clone()).collect::<Tensors>();
    let shared = std::sync::Arc::new((layer, pass, inputs.clone()));
    let [one, two, three, four] = std::array::from_fn(|_| std::sync::Arc::clone(&shared));
    Some(Call {
        name,
        inputs: [inputs.clone(), deep(&inputs)],
        forward: Box::new(move || forward(&one.0, &one.2).unwrap()),
        forward_into: Box::new(move |outputs| forward_into(&two.0, &two.2, outputs)),
        backward: Box::new(move || list(backward(&three.0, &three.1, &three.2).unwrap())),
        backward_into: Box::new(move |change| {
            let mut gradients = backward(&four.0, &four.1, &four.2).unwrap();
            let named = gradients.named().into_iter().enumerate();
            named.for_each(|(i, (name, tensor))| change(&name, i, tensor));
            (backward_into(&four.0, &four.1, &four.2, &mut gradients), list(gradients))
        }),
    })
}

/// A layer of one input.
macro_rules! of_one {
    ($calls:ident, $execution:ident, $layer:ident, $new:expr, $x:expr, $g:expr) => {
        let mut layer = $new;
        let accepted = layer.set_execution($execution.clone()).is_ok();
        $calls.extend(
            accepted
                .then(|| {
                    call(
                        stringify!($layer),
                        layer,
                        vec![$x, $g],
                        |layer, x| layer.forward_pass(&x[0]),
                        (
                            |layer, x| Ok(vec![layer.forward(&x[0])?]),
                            |layer, x, y| layer.forward_into(&x[0], &mut y[0]),
                            |layer, pass, x| layer.backward(pass, &x[1]),
                            |layer, pass, x, gradients| layer.backward_into(pass, &x[1], gradients),
                        ),
                    )
                })
                .flatten(),
        );
    };
}

/// A loss of input and target; the target may be made of the tensor that stands for it.
macro_rules! of_two {
    ($calls:ident, $execution:ident, $loss:ident, $new:expr, $x:expr, $t:expr, $g:expr, $target:expr) => {
        let mut loss = $new;
        let accepted = loss.set_execution($execution.clone()).is_ok();
        $calls.extend(
            accepted
                .then(|| {
                    call(
                        stringify!($loss),
                        loss,
                        vec![$x, $t, $g],
                        |loss, x| loss.forward_pass(&x[0], $target(&x[1])),
                        (
                            |loss, x| Ok(vec![loss.forward(&x[0], $target(&x[1]))?]),
                            |loss, x, y| loss.forward_into(&x[0], $target(&x[1]), &mut y[0]),
                            |loss, pass, x| loss.backward(pass, &x[2]),
                            |loss, pass, x, gradients| loss.backward_into(pass, &x[2], gradients),
                        ),
                    )
                })
                .flatten(),
        );
    };
}

/// RNN or GRU, from given hidden states.
macro_rules! recurrent {
    ($calls:ident, $execution:ident, $layer:ident, $options:expr, $x:expr, $hx:expr, $g:expr) => {
        let mut layer = $layer::init($options, &mut SmallRng::seed_from_u64(1)).unwrap();
        let accepted = layer.set_execution($execution.clone()).is_ok();
        $calls.extend(
            accepted
                .then(|| {
                    call(
                        stringify!($layer),
                        layer,
                        vec![$x, $hx, $g, $hx],
                        |layer, x| layer.forward_pass(&x[0], Some(&x[1])),
                        (
                            |layer, x| layer.forward(&x[0], Some(&x[1])).map(|y| vec![y.output, y.h_n]),
                            |layer, x, y| {
                                let [output, h_n] = y else { panic!("an output and h_n") };
                                layer.forward_into(&x[0], Some(&x[1]), output, h_n)
                            },
                            |layer, pass, x| layer.backward(pass, &x[2], Some(&x[3])),
                            |layer, pass, x, gradients| layer.backward_into(pass, &x[2], Some(&x[3]), gradients),
                        ),
                    )
                })
                .flatten(),
        );
    };
}

/// Calls of all layers, of some with several options, and of several tasks of work each; those that the forced algorithm refuses
/// are left out, as are those of layers that have not got it.
pub fn calls(execution: &Execution) -> Vec<Call> {
    let mut calls = Vec::new();
    let long = |seed| tensor_f32(&[300_007], seed);
    of_one!(calls, execution, ReLU, ReLU::new(ReLUOptions::new()).unwrap(), long(1), long(2));
    of_one!(calls, execution, Sigmoid, Sigmoid::new(SigmoidOptions::new()).unwrap(), long(1), long(2));
    of_one!(calls, execution, Tanh, Tanh::new(TanhOptions::new()).unwrap(), long(1), long(2));
    of_one!(calls, execution, LogSigmoid, LogSigmoid::new(LogSigmoidOptions::new()).unwrap(), long(1), long(2));
    of_one!(calls, execution, LeakyReLU, LeakyReLU::new(LeakyReLUOptions::new()).unwrap(), long(1), long(2));
    of_one!(calls, execution, ELU, ELU::new(ELUOptions::new()).unwrap(), long(1), long(2));
    for (dim, shape) in
        [(-1, &[301, 333][..]), (-1, &[3001, 37]), (-1, &[3001, 21]), (0, &[70, 1001]), (1, &[5, 100, 130])]
    {
        let new = Softmax::new(SoftmaxOptions::new().dim(dim)).unwrap();
        of_one!(calls, execution, Softmax, new, tensor_f32(shape, 1), tensor_f32(shape, 2));
    }
    let pool = MaxPool2d::new(MaxPool2dOptions::new(3).stride(2).padding(1)).unwrap();
    of_one!(calls, execution, MaxPool2d, pool, tensor_f32(&[2, 9, 61, 63], 1), tensor_f32(&[2, 9, 31, 32], 2));
    for (rows, bias) in [(3, true), (130, true), (130, false)] {
        let bias_of = bias.then(|| tensor_f32(&[131], 4));
        let linear =
            Linear::with_parameters(LinearOptions::new(67, 131).bias(bias), tensor_f32(&[131, 67], 3), bias_of);
        of_one!(calls, execution, Linear, linear.unwrap(), tensor_f32(&[rows, 67], 1), tensor_f32(&[rows, 131], 2));
    }
    for (options, shape, output) in [
        (Conv2dOptions::new(6, 20, 3).padding(1).padding_mode(PaddingMode::Reflect), [5, 6, 19, 21], [5, 20, 19, 21]),
        (Conv2dOptions::new(6, 6, 3).groups(6).stride(2).bias(false), [2, 6, 19, 21], [2, 6, 9, 10]),
        (Conv2dOptions::new(12, 30, 1), [3, 12, 17, 17], [3, 30, 17, 17]),
        (Conv2dOptions::new(16, 18, 3).padding(1), [5, 16, 19, 21], [5, 18, 19, 21]),
    ] {
        let conv = Conv2d::init(options, &mut SmallRng::seed_from_u64(1)).unwrap();
        of_one!(calls, execution, Conv2d, conv, tensor_f32(&shape, 1), tensor_f32(&output, 2));
    }
    for (training, shape) in [(true, [4, 17, 9, 11]), (false, [4, 17, 9, 11]), (true, [8, 3, 60, 60])] {
        let mut norm = BatchNorm2d::new(BatchNorm2dOptions::new(shape[1])).unwrap();
        if !training {
            norm.eval();
        }
        of_one!(calls, execution, BatchNorm2d, norm, tensor_f32(&shape, 1), tensor_f32(&shape, 2));
    }
    losses(&mut calls, execution);
    let (x, g) = (|| tensor_f32(&[9, 5, 10], 1), || tensor_f32(&[9, 5, 40], 2));
    let states = || tensor_f32(&[4, 5, 20], 3);
    let rnn = RNNOptions::new(10, 20).num_layers(2).bidirectional(true).dropout(0.25);
    recurrent!(calls, execution, RNN, rnn, x(), states(), g());
    let gru = GRUOptions::new(10, 20).num_layers(2).bidirectional(true).batch_first(true).bias(false);
    let by_sequence = |tensor: Tensor<f32>| tensor.permute(&[1, 0, 2]).unwrap();
    recurrent!(calls, execution, GRU, gru, by_sequence(x()), states(), by_sequence(g()));
    let gru = GRUOptions::new(70, 90);
    recurrent!(
        calls,
        execution,
        GRU,
        gru,
        tensor_f32(&[6, 33, 70], 1),
        tensor_f32(&[1, 33, 90], 3),
        tensor_f32(&[6, 33, 90], 2)
    );
    calls.extend([false, true].into_iter().filter_map(|sparse| embedding(execution, sparse)));
    calls
}

fn losses(calls: &mut Vec<Call>, execution: &Execution) {
    fn same(target: &Tensor<f32>) -> &Tensor<f32> {
        target
    }
    /// Classes of 21, from numbers in [−2, 2).
    fn classes(target: &Tensor<f32>) -> CrossEntropyTarget<f32> {
        CrossEntropyTarget::from(&target.map(|x| (5.0 * (x + 2.0)) as i64))
    }
    let shape = [331, 307];
    let probabilities = |shape: &[usize], seed| tensor_f32(shape, seed).map(|x| 0.25 * (x + 2.0));
    for (reduction, g) in [(Reduction::None, tensor_f32(&shape, 3)), (Reduction::Mean, Tensor::scalar(0.7))] {
        let l1 = L1Loss::new(L1LossOptions::new().reduction(reduction)).unwrap();
        of_two!(calls, execution, L1Loss, l1, tensor_f32(&shape, 1), tensor_f32(&shape, 2), g.clone(), same);
        let mse = MSELoss::new(MSELossOptions::new().reduction(reduction)).unwrap();
        of_two!(calls, execution, MSELoss, mse.clone(), tensor_f32(&shape, 1), tensor_f32(&shape, 2), g.clone(), same);
        of_two!(calls, execution, MSELoss, mse, tensor_f32(&shape, 1), tensor_f32(&[331, 1], 2), g.clone(), same);
        let weight = || Some(tensor_f32(&[331, 1], 4));
        let bce = BCELoss::with_weight(BCELossOptions::new().reduction(reduction), weight()).unwrap();
        of_two!(calls, execution, BCELoss, bce, probabilities(&shape, 1), probabilities(&shape, 2), g.clone(), same);
        let options = BCEWithLogitsLossOptions::new().reduction(reduction);
        let bce = BCEWithLogitsLoss::with_weights(options, weight(), Some(tensor_f32(&[307], 5))).unwrap();
        of_two!(calls, execution, BCEWithLogitsLoss, bce, tensor_f32(&shape, 1), probabilities(&shape, 2), g, same);
    }
    for (shape, items) in [(&[700, 21][..], &[700][..]), (&[3, 21, 40, 37], &[3, 40, 37])] {
        let weight = Some(tensor_f32(&[21], 4).map(|w| w + 2.5));
        let options = CrossEntropyLossOptions::new().label_smoothing(0.1);
        let loss = CrossEntropyLoss::with_weight(options, weight).unwrap();
        let (x, g) = (tensor_f32(shape, 1), Tensor::scalar(0.7));
        of_two!(calls, execution, CrossEntropyLoss, loss.clone(), x.clone(), tensor_f32(items, 2), g.clone(), classes);
        of_two!(calls, execution, CrossEntropyLoss, loss, x, probabilities(shape, 2), g, same);
    }
}

fn embedding(execution: &Execution, sparse: bool) -> Option<Call> {
    fn indices() -> Tensor<i64> {
        Tensor::from_fn(&[70, 130], |i| (i[0] * i[1] % 977) as i64).unwrap()
    }
    let options = EmbeddingOptions::new(1000, 33).padding_idx(7).sparse(sparse);
    let mut layer = Embedding::with_parameters(options, tensor_f32(&[1000, 33], 1)).unwrap();
    layer.set_execution(execution.clone()).ok()?;
    call(
        "Embedding",
        layer,
        vec![tensor_f32(&[70, 130, 33], 2)],
        |layer, _| layer.forward_pass(&indices()),
        (
            |layer, _| Ok(vec![layer.forward(&indices())?]),
            |layer, _, y| layer.forward_into(&indices(), &mut y[0]),
            |layer, pass, x| layer.backward(pass, &x[0]),
            |layer, pass, x, gradients| layer.backward_into(pass, &x[0], gradients),
        ),
    )
}

/// The names of all layers.
pub const LAYERS: [&str; 19] = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "ELU",
    "Embedding",
    "GRU",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "MSELoss",
    "MaxPool2d",
    "RNN",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
];
