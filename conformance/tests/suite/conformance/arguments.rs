//! Every argument of PyTorch's constructors, as `fixtures/signatures.json` has recorded them, against ours: the same names, order
//! and defaults, each of them varied by the recorded cases and by the random ones.

use conformance::{Case, DType, Expect, Group, LAYERS, fixtures, generator, generators, signature};
use proptest::strategy::{Strategy, ValueTree};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use vocabulary::*;

/// What PyTorch says of one argument.
struct Argument {
    name: String,
    keyword_only: bool,
    required: bool,
    default: Json,
}

fn arguments(layer: &str) -> Vec<Argument> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/signatures.json");
    let document: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let argument = |one: &Json| Argument {
        name: one["name"].as_str().unwrap().to_owned(),
        keyword_only: one["keyword_only"].as_bool().unwrap(),
        required: one["required"].as_bool().unwrap(),
        default: one["default"].clone(),
    };
    document["layers"][layer]
        .as_array()
        .unwrap_or_else(|| panic!("{layer} is not recorded"))
        .iter()
        .map(argument)
        .collect()
}

/// As Python writes it.
fn written(argument: &Argument) -> String {
    match &argument.default {
        _ if argument.required => argument.name.clone(),
        Json::Null => format!("{}=None", argument.name),
        Json::Bool(true) => format!("{}=True", argument.name),
        Json::Bool(false) => format!("{}=False", argument.name),
        Json::String(text) => format!("{}='{text}'", argument.name),
        // As small as that, Python writes an exponent of two digits.
        Json::Number(number) if number.as_f64() == Some(1e-5) => format!("{}=1e-05", argument.name),
        other => format!("{}={other}", argument.name),
    }
}

/// Options of which only what must be given is, as they are written.
fn defaults<O: DeserializeOwned + Serialize>(required: Map<String, Json>) -> Json {
    serde_json::to_value(serde_json::from_value::<O>(Json::Object(required)).unwrap()).unwrap()
}

fn ours(layer: &str, required: Map<String, Json>) -> Json {
    match layer {
        "Linear" => defaults::<LinearOptions>(required),
        "ReLU" => defaults::<ReLUOptions>(required),
        "Sigmoid" => defaults::<SigmoidOptions>(required),
        "BatchNorm2d" => defaults::<BatchNorm2dOptions>(required),
        "MSELoss" => defaults::<MSELossOptions>(required),
        "Conv2d" => defaults::<Conv2dOptions>(required),
        "MaxPool2d" => defaults::<MaxPool2dOptions>(required),
        "LogSigmoid" => defaults::<LogSigmoidOptions>(required),
        "Tanh" => defaults::<TanhOptions>(required),
        "LeakyReLU" => defaults::<LeakyReLUOptions>(required),
        "ELU" => defaults::<ELUOptions>(required),
        "Softmax" => defaults::<SoftmaxOptions>(required),
        "RNN" => defaults::<RNNOptions>(required),
        "GRU" => defaults::<GRUOptions>(required),
        "Embedding" => defaults::<EmbeddingOptions>(required),
        "L1Loss" => defaults::<L1LossOptions>(required),
        "CrossEntropyLoss" => defaults::<CrossEntropyLossOptions>(required),
        "BCELoss" => defaults::<BCELossOptions>(required),
        "BCEWithLogitsLoss" => defaults::<BCEWithLogitsLossOptions>(required),
        other => panic!("{other} has no options"),
    }
}

/// Whether a default is PyTorch's: integers are as good as floats, and a number stands for height and width.
fn is_default(ours: &Json, theirs: &Json) -> bool {
    match ours {
        Json::Array(axes) if !theirs.is_array() => axes.iter().all(|axis| is_default(axis, theirs)),
        Json::Number(number) => number.as_f64() == theirs.as_f64(),
        other => other == theirs,
    }
}

/// How many values of an argument occur in cases; one that is left out has the default.
fn values<'a>(cases: impl Iterator<Item = &'a Case>, argument: &Argument) -> usize {
    let value = |case: &Case| {
        let tensor = case.tensor(Group::State, argument.name.trim_start_matches('_'));
        let is_tensor = matches!(argument.name.as_str(), "weight" | "pos_weight" | "_weight");
        match case.options.get(&argument.name) {
            _ if is_tensor => format!("{}", tensor.is_some()),
            given => given.unwrap_or(&argument.default).to_string(),
        }
    };
    cases.map(value).collect::<BTreeSet<_>>().len()
}

/// No argument is missing, superfluous, in another place or of another default, and none has one value alone.
fn every_argument_is_there_and_varied(layer: &str) {
    let arguments = arguments(layer);
    let mut theirs: Vec<String> = arguments.iter().map(written).collect();
    if let Some(place) = arguments.iter().position(|argument| argument.keyword_only) {
        theirs.insert(place, "*".into());
    }
    assert_eq!(signature(layer), theirs.join(", "), "{layer}");

    let required = arguments.iter().filter(|argument| argument.required);
    let ours = ours(layer, required.map(|argument| (argument.name.clone(), 2.into())).collect());
    let recorded = fixtures::file(layer).unwrap().cases;
    let recorded: Vec<Case> = recorded.into_iter().filter(|case| case.expect == Expect::Values).collect();
    let strategy = generator(layer, DType::F32).unwrap();
    let mut runner = generators::runner_of(DType::F32, super::seed(), super::draws());
    let drawn: Vec<Case> = (0..super::draws()).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    println!(
        "{layer:18} {:20} {:8} {:>8} {:>8}   values recorded and drawn",
        "argument", "default", "recorded", "drawn"
    );
    for argument in &arguments {
        let (of_recorded, of_drawn) = (values(recorded.iter(), argument), values(drawn.iter(), argument));
        let default = if argument.required { "–".to_owned() } else { argument.default.to_string() };
        println!("{:18} {:20} {default:8} {of_recorded:>8} {of_drawn:>8}", "", argument.name);
        // Placement changes nothing, and tensors stand in the state: neither is among our options.
        let beside = ["device", "dtype", "weight", "pos_weight", "_weight"].contains(&argument.name.as_str());
        let own = ours.get(&argument.name);
        match (argument.required, own) {
            (false, Some(own)) => assert!(is_default(own, &argument.default), "{layer}: {} is {own}", argument.name),
            (false, None) => assert!(beside, "{layer} lacks {}", argument.name),
            (true, own) => assert!(own.is_some(), "{layer} lacks {}", argument.name),
        }
        // Whoever has an Embedding has its weight.
        let always = argument.name == "_weight";
        assert!(always || of_recorded > 1 && of_drawn > 1, "{layer}: {} is always the same", argument.name);
    }
    let known = |name: &&String| arguments.iter().any(|argument| argument.name == **name);
    let superfluous: Vec<_> = ours.as_object().unwrap().keys().filter(|name| !known(name)).collect();
    assert!(superfluous.is_empty(), "PyTorch's {layer} has no {superfluous:?}");
}

for_each_layer!(every_argument_is_there_and_varied);

#[test]
fn no_recorded_signature_is_of_another_layer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/signatures.json");
    let document: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let names: BTreeSet<&str> = document["layers"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, LAYERS.iter().copied().collect());
}
