//! Every layer of either crate, made ready to be called on a workload's operands.

use super::Failure;
use super::contender::{Contender, Executed, in_process};
use super::workload::{Mode, Workload, normal};
use optimized::{Execution, Float};
use reference::Real;
use vocabulary::{Result, StateDict, StateTensor, Tensor};

/// The number types of the race.
pub(super) trait Number: Float + Real {}
impl Number for f32 {}
impl Number for f64 {}

macro_rules! executed {
    ($($plain:ident),*; $($generic:ident),*) => {
        $(
            impl Executed for optimized::$plain {
                fn execute_by(&mut self, execution: Execution) -> Result<()> {
                    self.set_execution(execution)
                }
            }
            impl Executed for reference::$plain {
                fn execute_by(&mut self, _: Execution) -> Result<()> {
                    Ok(())
                }
            }
        )*
        $(
            impl<T: Float> Executed for optimized::$generic<T> {
                fn execute_by(&mut self, execution: Execution) -> Result<()> {
                    self.set_execution(execution)
                }
            }
            impl<T: Real> Executed for reference::$generic<T> {
                fn execute_by(&mut self, _: Execution) -> Result<()> {
                    Ok(())
                }
            }
        )*
    };
}
executed! {
    ReLU, Sigmoid, Tanh, LogSigmoid, LeakyReLU, ELU, Softmax, MaxPool2d, L1Loss, MSELoss;
    Linear, Conv2d, BatchNorm2d, RNN, GRU, Embedding, CrossEntropyLoss, BCELoss, BCEWithLogitsLoss
}

/// A workload's operands: inputs, and parameters as PyTorch would initialise them.
pub(super) fn operands<T: Number>(workload: &Workload) -> std::result::Result<StateDict, Failure> {
    let (mut operands, mut rng) = (workload.inputs::<T>()?, workload.rng("parameters"));
    let rng = &mut rng;
    let parameters = match workload.layer.as_str() {
        "Linear" => optimized::Linear::<T>::init(workload.options()?, rng)?.state_dict(),
        "Conv2d" => optimized::Conv2d::<T>::init(workload.options()?, rng)?.state_dict(),
        "BatchNorm2d" => optimized::BatchNorm2d::<T>::new(workload.options()?)?.state_dict(),
        "RNN" => optimized::RNN::<T>::init(workload.options()?, rng)?.state_dict(),
        "GRU" => optimized::GRU::<T>::init(workload.options()?, rng)?.state_dict(),
        "Embedding" => optimized::Embedding::<T>::init(workload.options()?, rng)?.state_dict(),
        _ => StateDict::new(),
    };
    for (name, tensor) in parameters.iter() {
        operands.insert(format!("state.{name}"), tensor.clone());
    }
    Ok(operands)
}

/// The gradient of the output: drawn where there is none yet; 1 of a loss that joins its terms.
fn grad_output<T: Number>(
    workload: &Workload,
    operands: &mut StateDict,
    shape: impl FnOnce() -> Result<Vec<usize>>,
) -> Result<Tensor<T>> {
    const NAME: &str = "grad_out.output";
    if operands.get(NAME).is_none() {
        let shape = shape()?;
        let drawn = match shape[..] {
            [] => Tensor::scalar(T::from_f64(1.0)),
            _ => normal::<T>(&mut workload.rng(NAME), &shape, 1.0)?,
        };
        operands.insert(NAME, T::wrap(drawn));
    }
    operands.tensor(&workload.layer, NAME)
}

/// The parameters among the operands, under their own names.
fn parameters(operands: &StateDict) -> StateDict {
    let mut state = StateDict::new();
    for (name, tensor) in operands.iter() {
        if let Some(name) = name.strip_prefix("state.") {
            state.insert(name, tensor.clone());
        }
    }
    state
}

/// Tensors under their names, without those that are not there.
fn named<const N: usize>(tensors: [(&str, Option<StateTensor>); N]) -> StateDict {
    let mut state = StateDict::new();
    for (name, tensor) in tensors {
        tensor.into_iter().for_each(|tensor| state.insert(name, tensor));
    }
    state
}

/// A tensor of numbers, as `named` takes it.
fn some<T: Number>(tensor: &Tensor<T>) -> Option<StateTensor> {
    Some(T::wrap(tensor.clone()))
}

/// A contender; with the forms that write into the results of earlier calls, which `optimized` alone has: that of inference where
/// `$there` holds.
macro_rules! with_into {
    (optimized, $contender:expr, $inference:expr, none) => {
        Box::new($contender.inference_into(true, $inference))
    };
    (reference, $contender:expr, $inference:expr, none) => {
        Box::new($contender)
    };
    ($crate_name:ident, $contender:expr, $inference:expr, $backward:expr) => {
        with_into!($crate_name, $contender, $inference, $backward, true)
    };
    (optimized, $contender:expr, $inference:expr, $backward:expr, $there:expr) => {
        Box::new($contender.inference_into($there, $inference).backward_into($backward))
    };
    (reference, $contender:expr, $inference:expr, $backward:expr, $there:expr) => {
        Box::new($contender)
    };
}

/// Layers of one input, one output, and parameters, whose gradients `$gradients` names; none without parameters.
macro_rules! of_one {
    ($crate_name:ident, $layer:expr, $workload:expr, $operands:expr, $gradients:expr) => {{
        let layer = $layer;
        let x: Tensor<T> = $operands.tensor(&$workload.layer, "in.input")?;
        let g: Tensor<T> = grad_output($workload, $operands, || Ok(layer.forward(&x)?.shape().to_vec()))?;
        let contender = in_process(
            layer,
            (x, g),
            |layer, (x, _)| layer.forward(x),
            |layer, (x, _)| layer.forward_pass(x),
            |layer, (_, g), pass| layer.backward(pass, g),
            |output, pass, gradients| {
                let [weight, bias] = $gradients(gradients);
                Ok(named([
                    ("inference.output", some(output)),
                    ("out.output", some(&pass.output)),
                    ("grad_in.input", some(&gradients.input)),
                    ("grad_state.weight", weight),
                    ("grad_state.bias", bias),
                ]))
            },
        );
        with_into!(
            $crate_name,
            contender,
            |layer, (x, _), output| layer.forward_into(x, output),
            |layer, (_, g), pass, gradients| layer.backward_into(pass, g, gradients)
        )
    }};
    ($crate_name:ident, $layer:expr, $workload:expr, $operands:expr) => {
        of_one!($crate_name, $layer, $workload, $operands, |_| [None, None])
    };
}

/// MaxPool2d, which may have to give indices; those are written into nothing.
macro_rules! max_pool2d {
    ($crate_name:ident, $layer:expr, $workload:expr, $operands:expr) => {{
        let layer = $layer;
        let with_indices = layer.options().return_indices;
        let x: Tensor<T> = $operands.tensor(&$workload.layer, "in.input")?;
        let g: Tensor<T> = grad_output($workload, $operands, || Ok(layer.forward(&x)?.shape().to_vec()))?;
        let contender = in_process(
            layer,
            (x, g),
            move |layer, (x, _)| match with_indices {
                true => layer.forward_with_indices(x).map(|(output, indices)| (output, Some(indices))),
                false => layer.forward(x).map(|output| (output, None)),
            },
            |layer, (x, _)| layer.forward_pass(x),
            |layer, (_, g), pass| layer.backward(pass, g),
            |(output, indices), pass, gradients| {
                Ok(named([
                    ("inference.output", some(output)),
                    ("inference.indices", indices.clone().map(StateTensor::from)),
                    ("out.output", some(&pass.output)),
                    ("out.indices", pass.indices.clone().map(StateTensor::from)),
                    ("grad_in.input", some(&gradients.input)),
                ]))
            },
        );
        with_into!(
            $crate_name,
            contender,
            |layer, (x, _), (output, _)| layer.forward_into(x, output),
            |layer, (_, g), pass, gradients| layer.backward_into(pass, g, gradients),
            !with_indices
        )
    }};
}

/// RNN and GRU.
macro_rules! recurrent {
    ($crate_name:ident, $layer:expr, $workload:expr, $operands:expr) => {{
        let mut layer = $layer;
        if $workload.mode == Mode::Eval {
            layer.eval();
        }
        let suffixes: Vec<String> = layer.options().suffixes().collect();
        let x: Tensor<T> = $operands.tensor(&$workload.layer, "in.input")?;
        let hx: Option<Tensor<T>> = $operands.tensor_if($workload.hx, &$workload.layer, "in.hx")?;
        let g: Tensor<T> =
            grad_output($workload, $operands, || Ok(layer.forward(&x, hx.as_ref())?.output.shape().to_vec()))?;
        let contender = in_process(
            layer,
            (x, hx, g),
            |layer, (x, hx, _)| layer.forward(x, hx.as_ref()),
            |layer, (x, hx, _)| layer.forward_pass(x, hx.as_ref()),
            |layer, (.., g), pass| layer.backward(pass, g, None),
            move |outputs, pass, gradients| {
                let mut results = named([
                    ("inference.output", some(&outputs.output)),
                    ("inference.h_n", some(&outputs.h_n)),
                    ("out.output", some(&pass.output)),
                    ("out.h_n", some(&pass.h_n)),
                    ("grad_in.input", some(&gradients.input)),
                    ("grad_in.hx", some(&gradients.hx)),
                ]);
                for (one, suffix) in gradients.parameters.iter().zip(&suffixes) {
                    for (name, tensor) in one.named(suffix) {
                        results.insert(format!("grad_state.{name}"), T::wrap(tensor.clone()));
                    }
                }
                Ok(results)
            },
        );
        with_into!(
            $crate_name,
            contender,
            |layer, (x, hx, _), y| layer.forward_into(x, hx.as_ref(), &mut y.output, &mut y.h_n),
            |layer, (.., g), pass, gradients| layer.backward_into(pass, g, None, gradients)
        )
    }};
}

/// Embedding, whose input has no gradient.
macro_rules! embedding {
    ($crate_name:ident, $layer:expr, $workload:expr, $operands:expr) => {{
        let layer = $layer;
        let rows = layer.options().num_embeddings;
        let x: Tensor<i64> = $operands.tensor(&$workload.layer, "in.input")?;
        let g: Tensor<T> = grad_output($workload, $operands, || Ok(layer.forward(&x)?.shape().to_vec()))?;
        let contender = in_process(
            layer,
            (x, g),
            |layer, (x, _)| layer.forward(x),
            |layer, (x, _)| layer.forward_pass(x),
            |layer, (_, g), pass| layer.backward(pass, g),
            move |output, pass, gradients| {
                let weight = gradients.weight.clone().map(|gradient| gradient.to_dense(rows)).transpose()?;
                Ok(named([
                    ("inference.output", some(output)),
                    ("out.output", some(&pass.output)),
                    ("grad_state.weight", weight.as_ref().and_then(some)),
                ]))
            },
        );
        with_into!(
            $crate_name,
            contender,
            |layer, (x, _), output| layer.forward_into(x, output),
            |layer, (_, g), pass, gradients| layer.backward_into(pass, g, gradients)
        )
    }};
}

/// Losses of an input and a target, whose gradient `$target_gradient` names.
macro_rules! loss {
    ($crate_name:ident, $layer:expr, $target:expr, $workload:expr, $operands:expr, $target_gradient:expr) => {{
        let (layer, t) = ($layer, $target);
        let x: Tensor<T> = $operands.tensor(&$workload.layer, "in.input")?;
        let g: Tensor<T> = grad_output($workload, $operands, || Ok(layer.forward(&x, &t)?.shape().to_vec()))?;
        let contender = in_process(
            layer,
            (x, t, g),
            |layer, (x, t, _)| layer.forward(x, t),
            |layer, (x, t, _)| layer.forward_pass(x, t),
            |layer, (.., g), pass| layer.backward(pass, g),
            move |output, pass, gradients| {
                Ok(named([
                    ("inference.output", some(output)),
                    ("out.output", some(&pass.output)),
                    ("grad_in.input", some(&gradients.input)),
                    ("grad_in.target", $target_gradient(gradients)),
                ]))
            },
        );
        with_into!(
            $crate_name,
            contender,
            |layer, (x, t, _), output| layer.forward_into(x, t, output),
            |layer, (.., g), pass, gradients| layer.backward_into(pass, g, gradients)
        )
    }};
}

/// The gradient of a loss's input alone, where its target is data.
trait InputGradient<P, T> {
    fn input_gradient(&self, pass: &P, grad_output: &Tensor<T>) -> Result<Tensor<T>>;
}

macro_rules! input_gradient {
    ($($pass:ident, $optimized:ty, $reference:ty);*) => {$(
        impl<T: Float> InputGradient<optimized::$pass<T>, T> for $optimized {
            fn input_gradient(&self, pass: &optimized::$pass<T>, grad_output: &Tensor<T>) -> Result<Tensor<T>> {
                self.backward_input(pass, grad_output)
            }
        }
        impl<T: Real> InputGradient<reference::$pass<T>, T> for $reference {
            fn input_gradient(&self, pass: &reference::$pass<T>, grad_output: &Tensor<T>) -> Result<Tensor<T>> {
                Ok(self.backward(pass, grad_output)?.input)
            }
        }
    )*};
}
input_gradient! {
    L1LossPass, optimized::L1Loss, reference::L1Loss;
    MSELossPass, optimized::MSELoss, reference::MSELoss;
    BCELossPass, optimized::BCELoss<T>, reference::BCELoss<T>;
    BCEWithLogitsLossPass, optimized::BCEWithLogitsLoss<T>, reference::BCEWithLogitsLoss<T>
}

/// Losses of an input and a target that is data.
macro_rules! loss_of_data {
    ($crate_name:ident, $layer:expr, $target:expr, $workload:expr, $operands:expr) => {{
        let (layer, t) = ($layer, $target);
        let x: Tensor<T> = $operands.tensor(&$workload.layer, "in.input")?;
        let g: Tensor<T> = grad_output($workload, $operands, || Ok(layer.forward(&x, &t)?.shape().to_vec()))?;
        let contender = in_process(
            layer,
            (x, t, g),
            |layer, (x, t, _)| layer.forward(x, t),
            |layer, (x, t, _)| layer.forward_pass(x, t),
            |layer, (.., g), pass| layer.input_gradient(pass, g),
            |output, pass, gradient| {
                Ok(named([
                    ("inference.output", some(output)),
                    ("out.output", some(&pass.output)),
                    ("grad_in.input", some(gradient)),
                ]))
            },
        );
        with_into!($crate_name, contender, |layer, (x, t, _), output| layer.forward_into(x, t, output), none)
    }};
}

/// The layer of a workload in one of the crates.
macro_rules! contender {
    ($(#[$doc:meta])* $name:ident, $layers:ident) => {
        $(#[$doc])*
        pub(super) fn $name<T: Number>(
            workload: &Workload,
            operands: &mut StateDict,
        ) -> std::result::Result<Box<dyn Contender>, Failure> {
            use $layers::*;
            // What follows has all kernels compiled, here once more than for the race itself, which takes minutes.
            if cfg!(test) {
                return Err(Failure::new("unit tests have no layers"));
            }
            let state = parameters(operands);
            Ok(match workload.layer.as_str() {
                "ReLU" => of_one!($layers, ReLU::new(workload.options()?)?, workload, operands),
                "Sigmoid" => of_one!($layers, Sigmoid::new(workload.options()?)?, workload, operands),
                "Tanh" => of_one!($layers, Tanh::new(workload.options()?)?, workload, operands),
                "LogSigmoid" => of_one!($layers, LogSigmoid::new(workload.options()?)?, workload, operands),
                "LeakyReLU" => of_one!($layers, LeakyReLU::new(workload.options()?)?, workload, operands),
                "ELU" => of_one!($layers, ELU::new(workload.options()?)?, workload, operands),
                "Softmax" => of_one!($layers, Softmax::new(workload.options()?)?, workload, operands),
                "MaxPool2d" => max_pool2d!($layers, MaxPool2d::new(workload.options()?)?, workload, operands),
                "Linear" => {
                    let layer = Linear::<T>::from_state_dict(workload.options()?, &state)?;
                    of_one!($layers, layer, workload, operands, |gradients: &LinearGradients<T>| {
                        [some(&gradients.weight), gradients.bias.as_ref().and_then(some)]
                    })
                }
                "Conv2d" => {
                    let layer = Conv2d::<T>::from_state_dict(workload.options()?, &state)?;
                    of_one!($layers, layer, workload, operands, |gradients: &Conv2dGradients<T>| {
                        [some(&gradients.weight), gradients.bias.as_ref().and_then(some)]
                    })
                }
                "BatchNorm2d" => {
                    let mut layer = BatchNorm2d::<T>::from_state_dict(workload.options()?, &state)?;
                    if workload.mode == Mode::Eval {
                        layer.eval();
                    }
                    of_one!($layers, layer, workload, operands, |gradients: &BatchNorm2dGradients<T>| {
                        [&gradients.weight, &gradients.bias].map(|gradient| gradient.as_ref().and_then(some))
                    })
                }
                "RNN" => recurrent!($layers, RNN::<T>::from_state_dict(workload.options()?, &state)?, workload, operands),
                "GRU" => recurrent!($layers, GRU::<T>::from_state_dict(workload.options()?, &state)?, workload, operands),
                "Embedding" => {
                    embedding!($layers, Embedding::<T>::from_state_dict(workload.options()?, &state)?, workload, operands)
                }
                "L1Loss" => {
                    let target: Tensor<T> = operands.tensor("L1Loss", "in.target")?;
                    if !workload.target_gradient {
                        let layer = L1Loss::new(workload.options()?)?;
                        return Ok(loss_of_data!($layers, layer, target, workload, operands));
                    }
                    let of_target = |gradients: &L1LossGradients<T>| some(&gradients.target);
                    loss!($layers, L1Loss::new(workload.options()?)?, target, workload, operands, of_target)
                }
                "MSELoss" => {
                    let target: Tensor<T> = operands.tensor("MSELoss", "in.target")?;
                    if !workload.target_gradient {
                        let layer = MSELoss::new(workload.options()?)?;
                        return Ok(loss_of_data!($layers, layer, target, workload, operands));
                    }
                    let of_target = |gradients: &MSELossGradients<T>| some(&gradients.target);
                    loss!($layers, MSELoss::new(workload.options()?)?, target, workload, operands, of_target)
                }
                "BCELoss" => {
                    let target: Tensor<T> = operands.tensor("BCELoss", "in.target")?;
                    if !workload.target_gradient {
                        let layer = BCELoss::new(workload.options()?)?;
                        return Ok(loss_of_data!($layers, layer, target, workload, operands));
                    }
                    let of_target = |gradients: &BCELossGradients<T>| some(&gradients.target);
                    loss!($layers, BCELoss::new(workload.options()?)?, target, workload, operands, of_target)
                }
                "BCEWithLogitsLoss" => {
                    let target: Tensor<T> = operands.tensor("BCEWithLogitsLoss", "in.target")?;
                    if !workload.target_gradient {
                        let layer = BCEWithLogitsLoss::new(workload.options()?)?;
                        return Ok(loss_of_data!($layers, layer, target, workload, operands));
                    }
                    let of_target = |gradients: &BCEWithLogitsLossGradients<T>| some(&gradients.target);
                    loss!($layers, BCEWithLogitsLoss::new(workload.options()?)?, target, workload, operands, of_target)
                }
                "CrossEntropyLoss" => {
                    let target: CrossEntropyTarget<T> = match operands.get("in.target") {
                        Some(StateTensor::I64(classes)) => classes.into(),
                        _ => CrossEntropyTarget::Probabilities(operands.tensor("CrossEntropyLoss", "in.target")?),
                    };
                    let of_target =
                        |gradients: &CrossEntropyLossGradients<T>| gradients.target.as_ref().and_then(some);
                    loss!($layers, CrossEntropyLoss::new(workload.options()?)?, target, workload, operands, of_target)
                }
                other => return Err(Failure::new(format!("there is no layer {other}"))),
            })
        }
    };
}

contender!(
    /// The workload's layer in `optimized`; the gradient of its output comes to the operands.
    optimized, optimized
);
contender!(
    /// The workload's layer in `reference`; the gradient of its output comes to the operands.
    reference, reference
);
