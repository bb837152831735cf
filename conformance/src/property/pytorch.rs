//! A case as lines of Python, to be pasted where PyTorch is.

use crate::case_file::{Case, Mode};
use crate::tensors::{DType, Group};
use serde_json::Value as Json;
use std::fmt::Write;
use vocabulary::{StateTensor, Tensor};

/// The lines that run a case in PyTorch and print what it gives.
///
/// ```
/// use conformance::{Case, Expect, Group, Mode, property::to_pytorch};
/// let mut case = Case::new("one", "ReLU", Default::default(), Mode::Train, Expect::Values);
/// case.insert(Group::In, "input", vocabulary::Tensor::from_vec(&[2], vec![-1.0_f32, 0.5]).unwrap());
/// assert_eq!(
///     to_pytorch(&case),
///     "import torch\n\
///      inf, nan = float(\"inf\"), float(\"nan\")\n\
///      layer = torch.nn.ReLU()\n\
///      input = torch.tensor([-1.0, 0.5], dtype=torch.float32).reshape(2).requires_grad_()\n\
///      output = layer(input.clone())\n\
///      print(output)\n"
/// );
/// ```
pub fn to_pytorch(case: &Case) -> String {
    let mut text = String::from("import torch\ninf, nan = float(\"inf\"), float(\"nan\")\n");
    // Writing to a string does not fail.
    let mut line = |line: String| _ = writeln!(text, "{line}");
    let is_loss = case.layer.ends_with("Loss");
    // A loss takes its weights as arguments; the parameters and buffers of others are loaded.
    let options = case.options.iter().map(|(name, value)| format!("{name}={}", argument(name, value)));
    let weights =
        case.group(Group::State).filter(|_| is_loss).map(|(name, tensor)| format!("{name}={}", literal(tensor)));
    let arguments: Vec<String> = options.chain(weights).collect();
    let has_state = !is_loss && case.group(Group::State).next().is_some();
    let double = match case.compute_type() {
        Ok(DType::F64) if has_state => ".double()",
        _ => "",
    };
    line(format!("layer = torch.nn.{}({}){double}", case.layer, arguments.join(", ")));
    if has_state {
        let entries = case.group(Group::State).map(|(name, tensor)| format!("\"{name}\": {}", literal(tensor)));
        line(format!("layer.load_state_dict({{{}}})", entries.collect::<Vec<_>>().join(", ")));
    }
    if case.mode == Mode::Eval {
        line("layer.eval()".into());
    }
    let mut inputs = Vec::new();
    for (name, tensor) in case.group(Group::In) {
        if name == "dropout_mask" {
            line("# PyTorch draws a mask of its own; this case's is not among its arguments.".into());
            continue;
        }
        let integers = matches!(tensor, StateTensor::I64(_));
        let differentiable = if integers { "" } else { ".requires_grad_()" };
        line(format!("{name} = {}{differentiable}", literal(tensor)));
        inputs.push((name, integers));
    }
    // `input` comes first, then `hx` or `target`; a copy may be overwritten, where a leaf may not.
    inputs.sort_by_key(|(name, _)| *name != "input");
    let passed =
        inputs.iter().map(|(name, _)| if *name == "input" { "input.clone()".into() } else { (*name).to_owned() });
    let outputs = match case.layer.as_str() {
        "RNN" | "GRU" => "output, h_n",
        "MaxPool2d" if case.options.get("return_indices") == Some(&Json::Bool(true)) => "output, indices",
        _ => "output",
    };
    line(format!("{outputs} = layer({})", passed.collect::<Vec<_>>().join(", ")));
    line(format!("print({outputs})"));
    let cotangents: Vec<_> = case.group(Group::GradOut).collect();
    if !cotangents.is_empty() {
        let names = cotangents.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let values = cotangents.iter().map(|(_, tensor)| literal(tensor)).collect::<Vec<_>>().join(", ");
        line(format!("torch.autograd.backward([{names}], [{values}])"));
        let gradients = inputs.iter().filter(|(_, integers)| !integers).map(|(name, _)| format!("{name}.grad"));
        let parameters = has_state.then(|| "{name: p.grad for name, p in layer.named_parameters()}".to_owned());
        line(format!("print({})", gradients.chain(parameters).collect::<Vec<_>>().join(", ")));
    }
    if has_state && case.mode == Mode::Train {
        line("print(layer.state_dict())".into());
    }
    text
}

/// An option's value in Python.
fn argument(name: &str, value: &Json) -> String {
    match value {
        Json::Null => "None".into(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::String(text) => match text.as_str() {
            "inf" | "-inf" | "nan" => text.clone(),
            dtype if name == "dtype" => format!("torch.{dtype}"),
            _ => format!("{text:?}"),
        },
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| argument(name, item)).collect();
            format!("({}{})", items.join(", "), if items.len() == 1 { "," } else { "" })
        }
        other => other.to_string(),
    }
}

/// A tensor in Python. Every number is written so that it is read as the same one.
fn literal(tensor: &StateTensor) -> String {
    fn numbers<T>(tensor: &Tensor<T>, dtype: &str, write: impl Fn(&T) -> String) -> String {
        let numbers: Vec<String> = tensor.as_slice().iter().map(write).collect();
        let shape: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
        let shape = if shape.is_empty() { "()".into() } else { shape.join(", ") };
        format!("torch.tensor([{}], dtype=torch.{dtype}).reshape({shape})", numbers.join(", "))
    }
    match tensor {
        StateTensor::F32(tensor) => numbers(tensor, "float32", |x| number(format!("{x:?}"))),
        StateTensor::F64(tensor) => numbers(tensor, "float64", |x| number(format!("{x:?}"))),
        StateTensor::I64(tensor) => numbers(tensor, "int64", i64::to_string),
    }
}

fn number(text: String) -> String {
    if text == "NaN" { "nan".into() } else { text }
}
