//! Workloads: what a file of them says, and the numbers that a layer is called with.

use super::Failure;
use optimized::Float;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, StandardNormal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::path::Path;
use vocabulary::{StateDict, Tensor};

/// The workloads that are raced where no file is named.
const DEFAULT: &str = include_str!("../../race/workloads.json");

/// Probabilities lie so far away from 0 and 1, where the losses' gradients would be those of the clamped logarithm.
const MARGIN: f64 = 1e-3;

/// The deviation of an activation's input: numbers that reach to where it saturates.
const ACTIVATION_SCALE: f64 = 3.0;

/// The layers of one input that act on each element alone.
const ACTIVATIONS: [&str; 6] = ["ReLU", "Sigmoid", "Tanh", "LogSigmoid", "LeakyReLU", "ELU"];

/// Whether a layer is in training or in evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// As after `train()`.
    #[default]
    Train,
    /// As after `eval()`.
    Eval,
}

impl Mode {
    /// As a file of workloads names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Eval => "eval",
        }
    }
}

/// One layer at one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Workload {
    /// A name of its own.
    pub name: String,
    /// The torch.nn class name.
    pub layer: String,
    /// PyTorch's keyword arguments.
    pub options: Map<String, Json>,
    /// The input's shape.
    pub input: Vec<usize>,
    /// The target's shape; of a CrossEntropyLoss, classes unless it is the input's.
    #[serde(default)]
    pub target: Option<Vec<usize>>,
    /// Training, unless it is said otherwise.
    #[serde(default)]
    pub mode: Mode,
    /// Whether a recurrent layer is given initial hidden states.
    #[serde(default)]
    pub hx: bool,
    /// Whether the target of a loss of numbers has a gradient, too, which training has no use for.
    #[serde(default)]
    pub target_gradient: bool,
    /// Whether it is raced in f64, too, where no type is asked for.
    #[serde(default)]
    pub f64: bool,
}

/// The workloads of a file, or the default ones.
pub(super) fn load(path: Option<&Path>) -> Result<Vec<Workload>, Failure> {
    match path {
        None => parse(DEFAULT).map_err(|error| Failure::new(format!("the default workloads: {error}"))),
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            parse(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
        }
    }
}

/// The workloads of a text: a list that is not empty, of names that differ.
fn parse(text: &str) -> Result<Vec<Workload>, Failure> {
    let workloads: Vec<Workload> = serde_json::from_str(text).map_err(|error| Failure::new(error.to_string()))?;
    if workloads.is_empty() {
        return Err(Failure::new("it holds no workload"));
    }
    for (place, workload) in workloads.iter().enumerate() {
        if workloads[..place].iter().any(|before| before.name == workload.name) {
            return Err(Failure::new(format!("two workloads are named {:?}", workload.name)));
        }
    }
    Ok(workloads)
}

impl Workload {
    /// The options, as the layer takes them.
    pub(super) fn options<O: DeserializeOwned>(&self) -> Result<O, Failure> {
        let options = serde_json::from_value(Json::Object(self.options.clone()));
        options.map_err(|error| Failure::new(format!("options: {error}")))
    }

    /// A generator that depends on the workload's name alone, and on what it is for.
    pub(super) fn rng(&self, purpose: &str) -> SmallRng {
        // FNV-1a: any hash that stays the same will do.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let bytes = self.name.bytes().chain([0]).chain(purpose.bytes());
        SmallRng::seed_from_u64(bytes.fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// What the layer is called with: `in.input`, and `in.target` or `in.hx` where it takes them.
    pub(super) fn inputs<T: Float>(&self) -> Result<StateDict, Failure> {
        let (mut inputs, mut rng) = (StateDict::new(), self.rng("inputs"));
        let (rng, shape) = (&mut rng, &self.input[..]);
        match self.layer.as_str() {
            "Embedding" => inputs.insert("in.input", integers(rng, shape, self.count("num_embeddings")?)?),
            "BCELoss" => inputs.insert("in.input", T::wrap(probabilities(rng, shape)?)),
            layer => {
                let scale = if ACTIVATIONS.contains(&layer) { ACTIVATION_SCALE } else { 1.0 };
                inputs.insert("in.input", T::wrap(normal::<T>(rng, shape, scale)?));
            }
        }
        let target = self.target.as_deref();
        match self.layer.as_str() {
            "L1Loss" | "MSELoss" => {
                inputs.insert("in.target", T::wrap(normal::<T>(rng, target.unwrap_or(shape), 1.0)?))
            }
            "BCELoss" | "BCEWithLogitsLoss" => {
                inputs.insert("in.target", T::wrap(probabilities(rng, target.unwrap_or(shape))?));
            }
            "CrossEntropyLoss" => {
                let axis = usize::from(shape.len() > 1);
                let items: Vec<usize> = shape.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &n)| n).collect();
                match target {
                    Some(target) if target == shape => {
                        inputs.insert("in.target", T::wrap(probabilities(rng, target)?));
                    }
                    target => {
                        let classes = shape.get(axis).copied().unwrap_or(0);
                        inputs.insert("in.target", integers(rng, target.unwrap_or(&items), classes)?);
                    }
                }
            }
            _ if target.is_some() => return Err(Failure::new(format!("target: {} takes none", self.layer))),
            "RNN" | "GRU" if self.hx => {
                inputs.insert("in.hx", T::wrap(normal::<T>(rng, &self.hidden_shape()?, 1.0)?));
            }
            _ if self.hx => return Err(Failure::new(format!("hx: {} takes none", self.layer))),
            _ => {}
        }
        Ok(inputs)
    }

    /// An option that is a size.
    fn count(&self, option: &str) -> Result<usize, Failure> {
        let count = self.options.get(option).and_then(Json::as_u64).and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| Failure::new(format!("options: {option} is missing, or no size")))
    }

    /// Whether an option is set.
    pub(super) fn flag(&self, option: &str) -> bool {
        self.options.get(option).and_then(Json::as_bool).unwrap_or(false)
    }

    /// The classes of a CrossEntropyLoss; of other layers 0.
    pub(super) fn classes(&self) -> usize {
        let is_entropy = self.layer == "CrossEntropyLoss";
        self.input.get(1).or(self.input.first()).filter(|_| is_entropy).copied().unwrap_or(0)
    }

    /// How many steps, and how many sequences, a recurrent layer's input has.
    pub(super) fn steps(&self) -> (usize, usize) {
        match *self.input {
            [first, second, _] if self.flag("batch_first") => (second, first),
            [first, second, _] => (first, second),
            [first, ..] => (first, 1),
            [] => (1, 1),
        }
    }

    fn hidden_shape(&self) -> Result<Vec<usize>, Failure> {
        let layers = if self.options.contains_key("num_layers") { self.count("num_layers")? } else { 1 };
        let states = layers * if self.flag("bidirectional") { 2 } else { 1 };
        let batch = (self.input.len() == 3).then_some(self.steps().1);
        Ok(std::iter::once(states).chain(batch).chain([self.count("hidden_size")?]).collect())
    }
}

/// Normally distributed about 0.
pub(super) fn normal<T: Float>(rng: &mut impl Rng, shape: &[usize], scale: f64) -> vocabulary::Result<Tensor<T>> {
    Tensor::from_fn(shape, |_| {
        let x: f64 = StandardNormal.sample(rng);
        T::from_f64(scale * x)
    })
}

fn probabilities<T: Float>(rng: &mut impl Rng, shape: &[usize]) -> vocabulary::Result<Tensor<T>> {
    Tensor::from_fn(shape, |_| T::from_f64(rng.random_range(MARGIN..1.0 - MARGIN)))
}

fn integers(rng: &mut impl Rng, shape: &[usize], below: usize) -> Result<Tensor<i64>, Failure> {
    if below == 0 {
        return Err(Failure::new("there is no class to draw"));
    }
    Ok(Tensor::from_fn(shape, |_| rng.random_range(0..below as i64))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_default_workloads_hold_every_layer() {
        let workloads = load(None).unwrap();
        let layers: BTreeSet<_> = workloads.iter().map(|workload| workload.layer.as_str()).collect();
        assert_eq!(layers.len(), 19, "{layers:?}");
        let double: BTreeSet<_> = workloads.iter().filter(|one| one.f64).map(|one| one.layer.as_str()).collect();
        assert_eq!(double, layers);
        let sizes = || workloads.iter().map(|workload| workload.input.iter().product::<usize>());
        assert_eq!((sizes().min(), sizes().max()), (Some(1), Some(1024 * 32_000)));
    }

    #[test]
    fn a_workload_has_its_defaults() {
        let [workload] = &parse(r#"[{"name": "r", "layer": "ReLU", "options": {}, "input": [2, 3]}]"#).unwrap()[..]
        else {
            panic!("one workload was written")
        };
        assert_eq!((workload.mode, workload.target.is_none()), (Mode::Train, true));
        assert!(!workload.hx && !workload.target_gradient && !workload.f64);
        assert_eq!(workload.input, [2, 3]);
    }

    #[test]
    fn what_is_no_list_of_workloads_is_refused() {
        let twice = r#"{"name": "r", "layer": "ReLU", "options": {}, "input": [1]}"#;
        for (text, reason) in [
            ("[]", "no workload"),
            ("{}", "expected a sequence"),
            (&format!("[{twice}, {twice}]"), "two workloads"),
            (r#"[{"name": "r", "layer": "ReLU", "input": [1]}]"#, "options"),
            (r#"[{"name": "r", "layer": "ReLU", "options": {}, "input": [1], "size": 2}]"#, "size"),
            (r#"[{"name": "r", "layer": "ReLU", "options": {}, "input": [1], "mode": "test"}]"#, "test"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    fn workload(text: &str) -> Workload {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn classes_lie_below_their_count() {
        let entropy =
            workload(r#"{"name": "c", "layer": "CrossEntropyLoss", "options": {}, "input": [50, 3], "target": [50]}"#);
        let inputs = entropy.inputs::<f32>().unwrap();
        let classes: Tensor<i64> = inputs.tensor("", "in.target").unwrap();
        assert!(classes.as_slice().iter().all(|class| (0..3).contains(class)) && classes.as_slice().contains(&2));
        assert_eq!(entropy.inputs::<f32>().unwrap(), inputs);
    }

    #[test]
    fn classes_are_counted_where_there_are_any() {
        let classes = |layer: &str, input: &str| {
            workload(&format!(r#"{{"name": "w", "layer": "{layer}", "options": {{}}, "input": {input}}}"#)).classes()
        };
        assert_eq!([classes("CrossEntropyLoss", "[7]"), classes("CrossEntropyLoss", "[50, 3, 4]")], [7, 3]);
        assert_eq!([classes("CrossEntropyLoss", "[]"), classes("MSELoss", "[50, 3]")], [0, 0]);
    }

    #[test]
    fn hidden_states_have_their_shape() {
        let options =
            r#"{"input_size": 2, "hidden_size": 5, "num_layers": 3, "bidirectional": true, "batch_first": true}"#;
        let text = format!(r#"{{"name": "g", "layer": "GRU", "options": {options}, "input": [4, 7, 2], "hx": true}}"#);
        let gru = workload(&text);
        assert_eq!(gru.steps(), (7, 4));
        assert_eq!(gru.inputs::<f64>().unwrap().get("in.hx").unwrap().shape(), [6, 4, 5]);
    }

    #[test]
    fn what_a_layer_does_not_take_is_refused() {
        let target = workload(r#"{"name": "r", "layer": "ReLU", "options": {}, "input": [1], "target": [1]}"#);
        assert!(target.inputs::<f32>().unwrap_err().to_string().starts_with("target"));
        let hx = workload(r#"{"name": "r", "layer": "ReLU", "options": {}, "input": [1], "hx": true}"#);
        assert!(hx.inputs::<f32>().unwrap_err().to_string().starts_with("hx"));
    }
}
