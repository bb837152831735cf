//! Files that are wrong: one line, never a panic, never memory exhausted; and cases that ask for more than there is.

use conformance::case_file::Invalid;
use conformance::{Case, CaseFile, Conclusion, Expect, Group, Limits, Mode, Optimized, Reference, Variant, replay};
use serde_json::json;
use vocabulary::Tensor;

/// A safetensors file of a header and zeros.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// A header with the given metadata field `cases` and further entries.
fn header(cases: &str, entries: &str) -> String {
    let cases = serde_json::Value::String(cases.to_owned());
    format!(r#"{{"__metadata__":{{"format":"layerproof.cases.v1","generator":"a test","cases":{cases}}}{entries}}}"#)
}

const HEAD: &str = r#"{"name":"a","layer":"ReLU","options":{},"mode":"train","expect":"values"}"#;

fn reason(bytes: &[u8]) -> String {
    match CaseFile::from_bytes(bytes) {
        Err(invalid @ Invalid(_)) => invalid.to_string(),
        Ok(_) => String::new(),
    }
}

#[test]
fn a_valid_file_is_read() {
    let entries = r#","a/in.input":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let read = CaseFile::from_bytes(&file(&header(&format!("[{HEAD}]"), entries), 8)).unwrap();
    assert_eq!(read.cases[0].tensor(Group::In, "input").unwrap().shape(), [2]);
}

#[test]
fn every_fault_of_a_file_is_one_line() {
    let one = format!("[{HEAD}]");
    let tensor = |name: &str, dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#","{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let with = |old: &str, new: &str| format!("[{}]", HEAD.replace(old, new));
    let input = |dtype, shape, to| tensor("a/in.input", dtype, shape, 0, to);
    let valid = file(&header(&one, &input("F32", "[2]", 8)), 8);
    let faults: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("truncated length", vec![1, 2, 3]),
        ("truncated header", valid[..40].to_vec()),
        ("truncated data", valid[..valid.len() - 1].to_vec()),
        ("a header of 2⁶⁴ − 1 bytes", [&[0xff; 8][..], b"{}"].concat()),
        ("a header that is not UTF-8", file("", 0).into_iter().chain([0xff; 4]).collect()),
        ("no JSON", file("{]", 0)),
        ("deep JSON", file(&"[".repeat(100_000), 0)),
        ("no metadata", file("{}", 0)),
        ("another format", file(&header(&one, "").replace("cases.v1", "cases.v2"), 0)),
        ("no cases", file(r#"{"__metadata__":{"format":"layerproof.cases.v1","generator":""}}"#, 0)),
        ("cases that are no JSON", file(&header("[{", ""), 0)),
        ("cases that are no array", file(&header("{}", ""), 0)),
        ("a case that is no object", file(&header("[1]", ""), 0)),
        ("a number too large", file(&header(&with("{}", r#"{"x":1e999}"#), ""), 0)),
        ("no name", file(&header(&with(r#""name":"a","#, ""), ""), 0)),
        ("an empty name", file(&header(&with(r#""a""#, r#""""#), ""), 0)),
        ("a long name", file(&header(&with(r#""a""#, &format!(r#""{}""#, "a".repeat(121))), ""), 0)),
        ("a name with a slash", file(&header(&with(r#""a""#, r#""a/b""#), ""), 0)),
        ("no layer", file(&header(&with(r#""layer":"ReLU","#, ""), ""), 0)),
        ("options that are no object", file(&header(&with("{}", "[]"), ""), 0)),
        ("an unknown mode", file(&header(&with("train", "test"), ""), 0)),
        ("an unknown expectation", file(&header(&with("values", "nothing"), ""), 0)),
        ("a duplicated case", file(&header(&format!("[{HEAD},{HEAD}]"), ""), 0)),
        ("a duplicated field", file(&header(&with("{}", r#"{},"name":"a""#), ""), 0)),
        ("a duplicated option", file(&header(&with("{}", r#"{"inplace":true,"inplace":false}"#), ""), 0)),
        ("a duplicated tensor", file(&header(&one, &[input("F32", "[2]", 8), input("F32", "[2]", 8)].concat()), 8)),
        ("a tensor of no case", file(&header(&one, &tensor("b/in.input", "F32", "[2]", 0, 8)), 8)),
        ("a tensor without a case", file(&header(&one, &tensor("in.input", "F32", "[2]", 0, 8)), 8)),
        ("a tensor of no group", file(&header(&one, &tensor("a/into.input", "F32", "[2]", 0, 8)), 8)),
        ("a tensor without a group", file(&header(&one, &tensor("a/input", "F32", "[2]", 0, 8)), 8)),
        ("a tensor without a name", file(&header(&one, &tensor("a/in.", "F32", "[2]", 0, 8)), 8)),
        ("a name with two slashes", file(&header(&one, &tensor("a/in.b/c", "F32", "[2]", 0, 8)), 8)),
        ("another type", file(&header(&one, &input("F16", "[4]", 8)), 8)),
        ("a narrow count", file(&header(&one, &tensor("a/state.num_batches_tracked", "I32", "[]", 0, 4)), 4)),
        ("an unknown type", file(&header(&one, &input("F31", "[2]", 8)), 8)),
        ("a wrong length", file(&header(&one, &input("F32", "[3]", 8)), 8)),
        ("sizes that overflow", file(&header(&one, &input("F32", "[4294967296,4294967296,4294967296]", 8)), 8)),
        ("a size that is negative", file(&header(&one, &input("F32", "[-1]", 8)), 8)),
        ("offsets the wrong way", file(&header(&one, &tensor("a/in.input", "F32", "[2]", 8, 0)), 8)),
        ("data that nothing names", file(&header(&one, &input("F32", "[2]", 8)), 16)),
    ];
    for (fault, bytes) in &faults {
        let reason = reason(bytes);
        assert!(!reason.is_empty(), "{fault} was accepted");
        assert_eq!(reason.lines().count(), 1, "{fault}: {reason}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = conformance::fixtures::FILES[1].2;
    for length in (0..whole.len()).step_by(whole.len() / 500) {
        assert!(CaseFile::from_bytes(&whole[..length]).is_err(), "{length} bytes");
    }
}

fn conclusions(case: &Case, memory: u64) -> Vec<Conclusion> {
    let limits = Limits { memory };
    [&Reference as &dyn conformance::Implementation, &Optimized]
        .map(|implementation| replay(case, "a test", implementation, &Variant::default(), &limits).conclusion)
        .to_vec()
}

fn case(layer: &str, options: serde_json::Value, tensors: &[(Group, &str, &[usize])]) -> Case {
    let options = options.as_object().unwrap().clone();
    let mut case = Case::new("huge", layer, options, Mode::Train, Expect::Error);
    for (group, name, shape) in tensors {
        case.insert(*group, name, Tensor::full(shape, 0.5_f32).unwrap());
    }
    case
}

/// Each is refused before anything is allocated: the test would not end otherwise.
#[test]
fn what_would_exhaust_memory_is_refused_beforehand() {
    let many = 1_u64 << 40;
    let huge = [
        case("Linear", json!({"in_features": many, "out_features": many}), &[(Group::In, "input", &[3])]),
        case("Linear", json!({"in_features": 2, "out_features": u64::MAX}), &[(Group::In, "input", &[3, 2])]),
        case("Linear", json!({"in_features": 0, "out_features": many}), &[(Group::In, "input", &[9, 0])]),
        case("Linear", json!({"in_features": 0, "out_features": many}), &[(Group::In, "input", &[0, 0])]),
        case("BatchNorm2d", json!({"num_features": many}), &[(Group::In, "input", &[2, 3, 2, 2])]),
        case("MSELoss", json!({}), &[(Group::In, "input", &[70_000, 1]), (Group::In, "target", &[1, 70_000])]),
    ];
    for case in &huge {
        for conclusion in conclusions(case, Limits::default().memory) {
            assert_eq!(conclusion, Conclusion::Passed, "{} {:?}", case.layer, case.options);
        }
        let mut expecting_values = case.clone();
        expecting_values.expect = Expect::Values;
        for conclusion in conclusions(&expecting_values, Limits::default().memory) {
            assert!(matches!(conclusion, Conclusion::Failed(_)), "{conclusion}");
        }
    }
    let mut small = case("ReLU", json!({}), &[(Group::In, "input", &[100])]);
    small.expect = Expect::Values;
    assert!(
        conclusions(&small, 10_000)
            .iter()
            .all(|c| matches!(c, Conclusion::Failed(reason) if reason.contains("memory limit")))
    );
    assert!(conclusions(&small, 1_000_000).iter().all(|c| *c == Conclusion::Passed));
}

/// Options of the wrong kind are refused, one clear line each.
#[test]
fn options_convert_only_from_integer_to_float() {
    let tensors: &[(Group, &str, &[usize])] = &[(Group::In, "input", &[2, 3, 2, 2])];
    let refused = [
        json!({"num_features": "3"}),
        json!({"num_features": 3.0}),
        json!({"num_features": -3}),
        json!({"num_features": null}),
        json!({"num_features": true}),
        json!({"num_features": [3]}),
        json!({"num_features": 3, "eps": "small"}),
        json!({"num_features": 3, "eps": null}),
        json!({"num_features": 3, "eps": true}),
        json!({"num_features": 3, "affine": 1}),
        json!({"num_features": 3, "momentum": "0.1"}),
        json!({"num_features": 3, "device": "cuda"}),
        json!({"num_features": 3, "dtype": "int64"}),
        json!({"num_features": 3, "dtype": "float64"}),
        json!({"num_features": 3, "unknown": 1}),
        json!({}),
    ];
    for options in refused {
        let case = case("BatchNorm2d", options, tensors);
        assert!(conclusions(&case, u64::MAX).iter().all(|c| *c == Conclusion::Passed), "{:?}", case.options);
    }
    let accepted = [
        json!({"num_features": 3, "eps": 1}),
        json!({"num_features": 3, "eps": "inf"}),
        json!({"num_features": 3, "momentum": null, "device": "cpu", "dtype": "float32"}),
        json!({"num_features": 3, "momentum": "nan"}),
    ];
    for options in accepted {
        // The case expects a refusal, and so fails where the layer computes.
        let case = case("BatchNorm2d", options, tensors);
        assert!(conclusions(&case, u64::MAX).iter().all(|c| *c != Conclusion::Passed), "{:?}", case.options);
    }
}

/// A reduction is a string, whatever else an enumeration may be written as; where a legacy argument overrides it, it is anything.
#[test]
fn a_reduction_is_a_string_unless_nobody_looks_at_it() {
    let tensors: &[(Group, &str, &[usize])] = &[(Group::In, "input", &[2]), (Group::In, "target", &[2])];
    for value in
        [json!({"sum": null}), json!({"sum": {}}), json!(["sum"]), json!("max"), json!(null), json!(1), json!(true)]
    {
        let refused = case("MSELoss", json!({"reduction": value}), tensors);
        assert!(conclusions(&refused, u64::MAX).iter().all(|c| *c == Conclusion::Passed), "{value}");
        for legacy in ["reduce", "size_average"] {
            let mut accepted = case("MSELoss", json!({"reduction": value, legacy: true}), tensors);
            accepted.expect = Expect::Values;
            assert!(conclusions(&accepted, u64::MAX).iter().all(|c| *c == Conclusion::Passed), "{value} {legacy}");
        }
        let refused = case("MSELoss", json!({"reduction": value, "reduce": null}), tensors);
        assert!(conclusions(&refused, u64::MAX).iter().all(|c| *c == Conclusion::Passed), "{value}");
    }
}

/// A case that expects values brings exactly the state of its layer.
#[test]
fn missing_and_superfluous_state_is_an_error() {
    let input: (Group, &str, &[usize]) = (Group::In, "input", &[2, 3]);
    let weight: (Group, &str, &[usize]) = (Group::State, "weight", &[4, 3]);
    let bias: (Group, &str, &[usize]) = (Group::State, "bias", &[4]);
    let options = json!({"in_features": 3, "out_features": 4});
    let without = json!({"in_features": 3, "out_features": 4, "bias": false});
    let missing = [
        case("Linear", options.clone(), &[input, weight]),
        case("Linear", options.clone(), &[input, bias]),
        case("Linear", options.clone(), &[input]),
    ];
    for case in &missing {
        // What is missing is never itself the refusal that a case expects: the layer is initialised, and computes.
        assert!(
            conclusions(case, u64::MAX).iter().all(|c| matches!(c, Conclusion::Failed(_))),
            "{:?}",
            case.tensors.keys()
        );
        let mut expecting_values = case.clone();
        expecting_values.expect = Expect::Values;
        let refused = |c: &Conclusion| matches!(c, Conclusion::Failed(reason) if reason.contains("is missing"));
        assert!(conclusions(&expecting_values, u64::MAX).iter().all(refused), "{:?}", case.tensors.keys());
    }
    let wrong = [
        case("Linear", without, &[input, weight, bias]),
        case("Linear", options.clone(), &[input, weight, bias, (Group::State, "gain", &[4])]),
        case("Linear", options.clone(), &[input, weight, bias, (Group::In, "target", &[4])]),
        case("Linear", options.clone(), &[weight, bias]),
        case("Linear", options.clone(), &[input, weight, bias, (Group::GradOut, "output", &[2, 5])]),
        case("Linear", options.clone(), &[input, weight, bias, (Group::GradOut, "h_n", &[2, 4])]),
    ];
    for case in &wrong {
        assert!(conclusions(case, u64::MAX).iter().all(|c| *c == Conclusion::Passed), "{:?}", case.tensors.keys());
    }
    let mut right = case("Linear", options, &[input, weight, bias]);
    right.expect = Expect::Values;
    assert_eq!(conclusions(&right, u64::MAX), [Conclusion::Passed, Conclusion::Passed]);
}

/// What a few bytes ask for is counted before anything of it is made.
#[test]
fn memory_is_counted_before_anything_is_made() {
    let limits = Limits::default();
    let hollow: &[(Group, &str, &[usize])] =
        &[(Group::In, "input", &[1 << 27, 0]), (Group::In, "target", &[1 << 27, 0])];
    let step: &[(Group, &str, &[usize])] = &[(Group::In, "input", &[1, 1])];
    let image: &[(Group, &str, &[usize])] = &[(Group::In, "input", &[1, 4, 4])];
    let conv = |more: serde_json::Value| {
        let mut options = json!({"in_channels": 1, "out_channels": 1, "kernel_size": 1});
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    let too_large = [
        case("CrossEntropyLoss", json!({"reduction": "none"}), hollow),
        case("RNN", json!({"input_size": 1, "hidden_size": 1, "num_layers": 5_100_000}), step),
        case("GRU", json!({"input_size": 1, "hidden_size": 1, "num_layers": 1_u64 << 62, "bidirectional": true}), step),
        case("GRU", json!({"input_size": 1, "hidden_size": u64::MAX}), step),
        case("Conv2d", conv(json!({"padding": 1 << 20})), image),
        case("Conv2d", conv(json!({"padding": 1_u64 << 40, "padding_mode": "circular"})), image),
        case("Conv2d", conv(json!({"kernel_size": 1_u64 << 40})), image),
        case("Conv2d", conv(json!({"out_channels": 1_u64 << 62})), image),
        case("Embedding", json!({"num_embeddings": 1_u64 << 40, "embedding_dim": 1}), &[]),
    ];
    for case in &too_large {
        let computing = conformance::check_memory(case, conformance::Purpose::Computing, &limits);
        let refused_by_itself = conclusions(case, limits.memory).contains(&Conclusion::Passed);
        assert!(computing.is_err() || refused_by_itself, "{} {:?}", case.layer, case.options);
    }
    // Whatever it looks like, nothing panics.
    for layer in conformance::LAYERS {
        for shape in [&[][..], &[0], &[3], &[0, 0], &[2, 3], &[1, 0, 2], &[1, 2, 2, 2], &[1, 1, 1, 1, 1]] {
            let tensors: &[(Group, &str, &[usize])] = &[(Group::In, "input", shape), (Group::In, "hx", shape)];
            for options in [json!({}), conv(json!({})), json!({"kernel_size": [0, 2]}), json!({"dim": i64::MIN})] {
                conclusions(&case(layer, options, tensors), limits.memory);
            }
        }
    }
}

/// What PyTorch dropped in training, nobody can know: without the mask a case is unsupported, whoever computes it.
#[test]
fn dropout_needs_its_mask() {
    let two_layers = json!({"input_size": 1, "hidden_size": 2, "num_layers": 2, "bias": false, "dropout": 0.5});
    let tensors: &[(Group, &str, &[usize])] = &[
        (Group::In, "input", &[3, 1]),
        (Group::State, "weight_ih_l0", &[2, 1]),
        (Group::State, "weight_hh_l0", &[2, 2]),
        (Group::State, "weight_ih_l1", &[2, 2]),
        (Group::State, "weight_hh_l1", &[2, 2]),
    ];
    let mut training = case("RNN", two_layers, tensors);
    training.expect = Expect::Values;
    let judged = |case: &Case| replay(case, "a test", &Reference, &Variant::default(), &Limits::default()).conclusion;
    assert!(matches!(judged(&training), Conclusion::Unsupported(_)));
    let mut values = conformance::Named::default();
    values.insert(Group::Out, "output", Tensor::full(&[3, 2], 0.5_f32).unwrap());
    let theirs = conformance::Outcome::Values(conformance::Results::F32(values));
    let verdict = conformance::Trial::new(&training, "a test").judge(&theirs, conformance::Declaration::foreign, true);
    assert!(matches!(verdict.conclusion, Conclusion::Unsupported(_)), "{}", verdict.conclusion);

    let mut evaluating = training.clone();
    evaluating.mode = Mode::Eval;
    assert_eq!(judged(&evaluating), Conclusion::Passed);
    let mask = |factors: [f32; 6]| {
        let mut masked = training.clone();
        masked.insert(Group::In, "dropout_mask", Tensor::from_vec(&[1, 3, 1, 2], factors.to_vec()).unwrap());
        judged(&masked)
    };
    assert_eq!(mask([0.0, 2.0, 2.0, 2.0, 0.0, 2.0]), Conclusion::Passed);
    let refused = mask([0.0, 2.0, 7.0, 2.0, 0.0, 2.0]);
    assert!(matches!(&refused, Conclusion::Failed(reason) if reason.contains("dropout_mask holds 7")), "{refused}");
}
