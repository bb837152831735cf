//! The layers that candle has, on a workload's operands.

use candle_core::{D, Tensor, Var};
use candle_nn::rnn::{GRUConfig, RNN};
use candle_nn::{BatchNorm, Conv2d, Conv2dConfig, Embedding, Linear, Module, ModuleT, VarBuilder, loss, ops};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::rc::Rc;

/// Why a request is not carried out.
#[derive(Debug)]
pub enum Refusal {
    /// It went wrong.
    Error(String),
    /// candle has no such thing.
    NotThere(String),
}

impl From<candle_core::Error> for Refusal {
    fn from(error: candle_core::Error) -> Self {
        Self::Error(error.to_string())
    }
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Without a graph.
    Inference,
    /// With the graph that backward needs.
    Forward,
    /// Through a graph made before.
    Backward,
}

/// Tensors by name: `in.…`, `state.…`, `grad_out.output`.
type Tensors = HashMap<String, Tensor>;

/// A forward, with its operands.
type Forward = Rc<dyn Fn() -> candle_core::Result<Tensor>>;

/// A call that is timed.
pub type Call = Box<dyn Fn() -> Result<Box<dyn std::any::Any>, Refusal>>;

/// A layer with its operands.
#[derive(Clone)]
pub struct Layer {
    inference: Forward,
    forward: Forward,
    /// What has a gradient, by the gradient's name.
    leaves: Vec<(String, Var)>,
    grad_output: Tensor,
    /// Why there is no backward, where there is none.
    no_backward: Option<String>,
}

impl Layer {
    /// The layer of a torch.nn class name.
    pub fn new(
        layer: &str,
        options: &Map<String, Json>,
        train: bool,
        target_gradient: bool,
        mut tensors: Tensors,
    ) -> Result<Self, Refusal> {
        let options = Options { layer, options };
        let inference = forward(&options, train, true, &tensors)?;
        let has_gradient = |name: &str, tensor: &Tensor| {
            let is_leaf = match name.strip_prefix("state.") {
                Some(name) => !name.starts_with("running_"),
                None => name == "in.input" || (name == "in.target" && target_gradient),
            };
            is_leaf && tensor.dtype().is_float()
        };
        let names = tensors.iter().filter(|(name, tensor)| has_gradient(name, tensor)).map(|(name, _)| name.clone());
        let mut leaves = Vec::new();
        for name in names.collect::<Vec<_>>() {
            let leaf = Var::from_tensor(&tensors[&name])?;
            tensors.insert(name.clone(), leaf.as_tensor().clone());
            leaves.push((format!("grad_{name}"), leaf));
        }
        let forward = forward(&options, train, false, &tensors)?;
        let grad_output = tensor(&tensors, "grad_out.output")?;
        Ok(Self { inference, forward, leaves, grad_output, no_backward: options.no_backward() })
    }

    /// A number that candle can go back from, whose gradients are those of the output by the output's gradient.
    fn scalar(&self) -> Result<Tensor, Refusal> {
        let output = (self.forward)()?;
        match output.rank() {
            0 => Ok((output * &self.grad_output)?),
            _ => Ok((output * &self.grad_output)?.sum_all()?),
        }
    }

    /// Every output and gradient, to be compared.
    pub fn compute(&self) -> Result<Tensors, Refusal> {
        let mut computed = Tensors::new();
        computed.insert("inference.output".to_owned(), (self.inference)()?.contiguous()?);
        computed.insert("out.output".to_owned(), (self.forward)()?.detach().contiguous()?);
        if self.no_backward.is_none() {
            let gradients = self.scalar()?.backward()?;
            for (name, leaf) in &self.leaves {
                let gradient = gradients.get(leaf).ok_or_else(|| Refusal::Error(format!("candle gives no {name}")))?;
                computed.insert(name.clone(), gradient.contiguous()?);
            }
        }
        Ok(computed)
    }

    /// What is timed. What it returns is dropped at once.
    pub fn call(&self, direction: Direction) -> Result<Call, Refusal> {
        let of = |forward: &Forward| {
            let forward = Rc::clone(forward);
            let call: Call = Box::new(move || Ok(Box::new(forward()?)));
            call
        };
        match (direction, &self.no_backward) {
            (Direction::Inference, _) => Ok(of(&self.inference)),
            (Direction::Forward, _) => Ok(of(&self.forward)),
            (Direction::Backward, Some(reason)) => Err(Refusal::NotThere(reason.clone())),
            (Direction::Backward, None) => {
                let scalar = self.scalar()?;
                Ok(Box::new(move || Ok(Box::new(scalar.backward()?))))
            }
        }
    }
}

fn tensor(tensors: &Tensors, name: &str) -> Result<Tensor, Refusal> {
    tensors.get(name).cloned().ok_or_else(|| Refusal::Error(format!("{name} is missing")))
}

/// A layer's options, under PyTorch's names.
struct Options<'a> {
    layer: &'a str,
    options: &'a Map<String, Json>,
}

impl Options<'_> {
    fn not_there(&self, what: &str) -> Refusal {
        Refusal::NotThere(format!("{} {what}", self.layer))
    }

    /// Refuses all options but these.
    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.options.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.not_there(&format!("has no option {name}"))),
            None => Ok(()),
        }
    }

    /// A size, the same in both dimensions.
    fn size(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        match self.options.get(name) {
            None => Ok(default),
            Some(value) => {
                let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
                size.ok_or_else(|| self.not_there(&format!("takes one number as {name}")))
            }
        }
    }

    fn number(&self, name: &str, default: f64) -> f64 {
        self.options.get(name).and_then(Json::as_f64).unwrap_or(default)
    }

    /// Why candle cannot go back through the layer: of windows that overlap it says so, and of those that touch each other it
    /// multiplies the gradient by the share of the maxima in a window, 1/4 of 2x2, where it would have to divide by their count.
    fn no_backward(&self) -> Option<String> {
        (self.layer == "MaxPool2d").then(|| "MaxPool2d has no gradient, or another".to_owned())
    }
}

/// A layer's forward; `inference`: by what is faster, and cannot be gone back through.
fn forward(options: &Options<'_>, train: bool, inference: bool, tensors: &Tensors) -> Result<Forward, Refusal> {
    let x = tensor(tensors, "in.input")?;
    let state = |name: &str| tensor(tensors, &format!("state.{name}"));
    let target = || tensor(tensors, "in.target");
    let bias = tensors.get("state.bias").cloned();
    Ok(match options.layer {
        "ReLU" => {
            options.only(&["inplace"])?;
            Rc::new(move || x.relu())
        }
        "Sigmoid" => Rc::new(move || ops::sigmoid(&x)),
        "Tanh" => Rc::new(move || x.tanh()),
        "LeakyReLU" => {
            let slope = options.number("negative_slope", 0.01);
            Rc::new(move || ops::leaky_relu(&x, slope))
        }
        "ELU" => {
            let alpha = options.number("alpha", 1.0);
            Rc::new(move || x.elu(alpha))
        }
        "Softmax" => {
            let dim = options.options.get("dim").and_then(Json::as_i64).unwrap_or(-1);
            let rank = x.rank();
            let dim = if dim < 0 { rank.saturating_sub(dim.unsigned_abs() as usize) } else { dim as usize };
            match inference && dim + 1 == rank {
                true => Rc::new(move || ops::softmax_last_dim(&x)),
                false => Rc::new(move || ops::softmax(&x, dim)),
            }
        }
        "Linear" => {
            options.only(&["in_features", "out_features", "bias"])?;
            let linear = Linear::new(state("weight")?, bias);
            Rc::new(move || linear.forward(&x))
        }
        "Conv2d" => {
            let known =
                ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"];
            options.only(&known)?;
            let config = Conv2dConfig {
                padding: options.size("padding", 0)?,
                stride: options.size("stride", 1)?,
                dilation: options.size("dilation", 1)?,
                groups: options.size("groups", 1)?,
                cudnn_fwd_algo: None,
            };
            let conv = Conv2d::new(state("weight")?, bias, config);
            Rc::new(move || conv.forward(&x))
        }
        "MaxPool2d" => {
            options.only(&["kernel_size", "stride", "padding"])?;
            let kernel = options.size("kernel_size", 1)?;
            let stride = options.size("stride", kernel)?;
            if options.size("padding", 0)? > 0 {
                return Err(options.not_there("has no padding"));
            }
            Rc::new(move || x.max_pool2d_with_stride(kernel, stride))
        }
        "BatchNorm2d" => {
            options.only(&["num_features", "eps", "momentum"])?;
            let norm = BatchNorm::new_with_momentum(
                options.size("num_features", 0)?,
                state("running_mean")?,
                state("running_var")?,
                state("weight")?,
                state("bias")?,
                options.number("eps", 1e-5),
                options.number("momentum", 0.1),
            )?;
            Rc::new(move || norm.forward_t(&x, train))
        }
        "GRU" => {
            options.only(&["input_size", "hidden_size"])?;
            if tensors.contains_key("in.hx") {
                return Err(options.not_there("begins from zeros here"));
            }
            let parameters = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
            let parameters = parameters.map(|name| Ok((name.to_owned(), state(name)?)));
            let parameters = parameters.into_iter().collect::<Result<Tensors, Refusal>>()?;
            let builder = VarBuilder::from_tensors(parameters, x.dtype(), x.device());
            let sizes = [options.size("input_size", 0)?, options.size("hidden_size", 0)?];
            let gru = candle_nn::rnn::gru(sizes[0], sizes[1], GRUConfig::default(), builder)?;
            Rc::new(move || {
                // Sequences come first in candle, and steps first in PyTorch.
                let states = gru.seq(&x.transpose(0, 1)?)?;
                Tensor::stack(&states.iter().map(|state| state.h()).collect::<Vec<_>>(), 0)
            })
        }
        "Embedding" => {
            options.only(&["num_embeddings", "embedding_dim"])?;
            let weight = state("weight")?;
            let size = weight.dim(D::Minus1)?;
            let embedding = Embedding::new(weight, size);
            Rc::new(move || embedding.forward(&x))
        }
        "MSELoss" => {
            options.only(&[])?;
            let target = target()?;
            Rc::new(move || loss::mse(&x, &target))
        }
        "BCEWithLogitsLoss" => {
            options.only(&[])?;
            let target = target()?;
            Rc::new(move || loss::binary_cross_entropy_with_logit(&x, &target))
        }
        "CrossEntropyLoss" => {
            options.only(&[])?;
            let target = target()?;
            if x.rank() != 2 || !target.dtype().is_int() {
                return Err(options.not_there("takes a class for each row of a matrix only"));
            }
            Rc::new(move || loss::cross_entropy(&x, &target))
        }
        _ => return Err(options.not_there("is not there")),
    })
}
