//! The command line, run as a user runs it: its words, its files and its exit status are relied on from outside.

use conformance::case_file::Status;
use conformance::{CaseFile, Group};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use vocabulary::{StateTensor, Tensor};

fn conformance(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance")).args(arguments).current_dir(directory).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Exit 2, nothing on standard output, and one line that says why.
fn refused(arguments: &[&str], directory: &Path) -> String {
    let output = conformance(arguments, directory);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{arguments:?}: {line}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    line
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn without_arguments_the_recorded_cases_are_checked_from_any_directory() {
    let elsewhere = TempDir::new().unwrap();
    let output = conformance(&[], elsewhere.path());
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    for layer in conformance::LAYERS {
        assert!(printed.contains(layer), "{printed}");
    }
    assert!(printed.trim_end().lines().last().unwrap().starts_with("all "), "{printed}");
    assert_eq!(stdout(&conformance(&["check"], elsewhere.path())), printed);
}

#[test]
fn bad_usage_is_one_line_and_exit_2() {
    let elsewhere = TempDir::new().unwrap();
    let here = elsewhere.path();
    let file = fixture("relu.safetensors");
    let file = text(&file);
    for arguments in [
        &["--threads", "0"][..],
        &["check", "--isa", "v9"],
        &["check", "--implementation", "pytorch"],
        &["check", "--algorithm", "magic"],
        &["check", "--case", "no_such_case"],
        &["check", "no_such_file"],
        &["check", "--memory-limit", "many"],
        &["check", "."],
        &["run", file],
        &["list", "--implementation", "nobody"],
        &["run", file, "--implementation", "nobody", "--out", "result"],
        &["run", file, "--implementation", "reference", "--out", "no/such/directory"],
        &["compare", file],
        &["compare", file, "no_such_result"],
        &["cases", "--layer", "Conv9d", "--count", "1", "--seed", "0", "--out", "x"],
        &["cases", "--layer", "ReLU", "--count", "-1", "--seed", "0", "--out", "x"],
        &[
            "cases",
            "--layer",
            "ReLU",
            "--count",
            "18446744073709551615",
            "--seed",
            "0",
            "--out",
            "x",
            "--memory-limit",
            "9999",
        ],
        &["frobnicate", "--all"],
        &["--frobnicate"],
    ] {
        refused(arguments, here);
    }
    #[cfg(target_arch = "x86_64")]
    assert!(refused(&["check", "--isa", "neon"], here).contains("neon"));
}

#[test]
fn a_run_repeats_every_head_in_order_with_its_status() {
    let elsewhere = TempDir::new().unwrap();
    for name in ["linear.safetensors", "batch_norm2d.safetensors", "mse_loss.safetensors"] {
        let file = fixture(name);
        let arguments = ["run", text(&file), "--implementation", "optimized", "--out", "result"];
        assert_eq!(conformance(&arguments, elsewhere.path()).status.code(), Some(0));
        let cases = CaseFile::from_bytes(&std::fs::read(&file).unwrap()).unwrap().cases;
        let results = CaseFile::results_from_bytes(&std::fs::read(elsewhere.path().join("result")).unwrap()).unwrap();
        assert_eq!(cases.len(), results.cases.len());
        for (case, result) in cases.iter().zip(&results.cases) {
            for (field, value) in &case.head {
                assert_eq!(result.head.get(field), Some(value), "{} {field}", case.name);
            }
            let has_values = result.status == Some(Status::Values);
            assert_eq!(has_values, case.expect == conformance::Expect::Values, "{}", case.name);
            assert_eq!(has_values, !result.tensors.is_empty());
            assert!(result.tensors.keys().all(|(group, _)| group.is_result()));
            let compute_type = case.compute_type();
            let floats = result.tensors.values().filter(|tensor| tensor.dtype() != "I64");
            assert!(
                floats
                    .into_iter()
                    .all(|tensor| compute_type.as_ref().is_ok_and(|t| t.to_string() == tensor.dtype().to_lowercase()))
            );
        }
        let arguments = ["compare", text(&file), "result", "--json", "verdicts.json"];
        let output = conformance(&arguments, elsewhere.path());
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        let verdicts: serde_json::Value =
            serde_json::from_slice(&std::fs::read(elsewhere.path().join("verdicts.json")).unwrap()).unwrap();
        assert_eq!(verdicts["passed"], cases.len());
    }
}

/// What a program in any language does: computes `cases`, writes a file of results, and has it judged.
#[test]
fn results_of_strangers_are_judged() {
    let elsewhere = TempDir::new().unwrap();
    let here = elsewhere.path();
    let arguments = ["cases", "--layer", "ReLU", "--count", "40", "--seed", "7", "--out", "cases"];
    assert_eq!(conformance(&arguments, here).status.code(), Some(0));
    let cases = CaseFile::from_bytes(&std::fs::read(here.join("cases")).unwrap()).unwrap();
    assert_eq!(cases.cases.len(), 40);

    let mut results = cases.clone();
    let mut spoilt = None;
    for (place, case) in results.cases.iter_mut().enumerate() {
        let input = case.tensor(Group::In, "input").unwrap().clone();
        case.tensors.clear();
        case.head.retain(|field, _| field == "name");
        let output: StateTensor = match input {
            StateTensor::F32(x) => x.map(|x| if x < 0.0 { 0.0 } else { x }).into(),
            StateTensor::F64(x) => x.map(|x| if x < 0.0 { 0.0 } else { x }).into(),
            StateTensor::I64(_) => unreachable!("ReLU's generator draws numbers"),
        };
        if let StateTensor::F32(tensor) = &output {
            let positive = tensor.as_slice().iter().position(|&y| y > 0.0 && y < 1e20);
            spoilt = spoilt.or(positive.map(|element| (place, element)));
        }
        case.insert(Group::Out, "output", output);
    }
    let judge = |results: &CaseFile| {
        std::fs::write(here.join("result"), results.to_bytes().unwrap()).unwrap();
        conformance(&["compare", "cases", "result"], here)
    };
    let output = judge(&results);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));

    let (place, element) = spoilt.expect("some output is positive");
    let case = &mut results.cases[place];
    let Some(StateTensor::F32(tensor)) = case.tensors.get_mut(&(Group::Out, "output".to_owned())) else { panic!() };
    let y = &mut tensor.as_mut_slice()[element];
    *y = f32::from_bits(y.to_bits() + 2);
    let output = judge(&results);
    assert_eq!(output.status.code(), Some(1));
    let printed = stdout(&output);
    assert!(printed.contains(&format!("out.output[{element}]")), "{printed}");
    assert!(replayed(&printed, here).contains(&format!("out.output[{element}]")), "{printed}");

    results.cases.remove(place);
    let output = judge(&results);
    assert_eq!(output.status.code(), Some(1), "a missing result passed");
}

#[test]
fn generated_cases_depend_on_their_seed_alone() {
    let elsewhere = TempDir::new().unwrap();
    let here = elsewhere.path();
    let cases = |seed: &str, out: &str| {
        let arguments = ["cases", "--layer", "BatchNorm2d", "--count", "12", "--seed", seed, "--out", out];
        assert_eq!(conformance(&arguments, here).status.code(), Some(0));
        let file = CaseFile::from_bytes(&std::fs::read(here.join(out)).unwrap()).unwrap();
        file.cases.into_iter().map(|case| format!("{:?} {:?}", case.head, case.tensors)).collect::<Vec<_>>()
    };
    assert_eq!(cases("1", "a"), cases("1", "b"));
    assert_ne!(cases("1", "a"), cases("2", "c"));
    let output = conformance(&["check", "a"], here);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn unknown_layers_are_unsupported_and_fail() {
    let elsewhere = TempDir::new().unwrap();
    let mut file = conformance::fixtures::file("ReLU").unwrap();
    file.cases.truncate(1);
    file.cases[0].layer = "Hardshrink".into();
    file.cases[0].head.insert("layer".into(), "Hardshrink".into());
    std::fs::write(elsewhere.path().join("file"), file.to_bytes().unwrap()).unwrap();
    let output = conformance(&["check", "file"], elsewhere.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("unsupported"), "{}", stdout(&output));
    let arguments = ["run", "file", "--implementation", "reference", "--out", "result"];
    assert_eq!(conformance(&arguments, elsewhere.path()).status.code(), Some(0));
    let results = std::fs::read(elsewhere.path().join("result")).unwrap();
    let results = CaseFile::results_from_bytes(&results).unwrap();
    assert!(matches!(results.cases[0].status, Some(Status::Unsupported(_))));
}

#[test]
fn a_failure_prints_the_line_that_reproduces_it() {
    let elsewhere = TempDir::new().unwrap();
    let mut file = conformance::fixtures::file("Sigmoid").unwrap();
    file.cases.retain(|case| case.name.starts_with("pair_f32_00"));
    file.cases.truncate(1);
    let case = &mut file.cases[0];
    let Some(StateTensor::F64(tensor)) = case.tensors.get_mut(&(Group::Out, "output".to_owned())) else { panic!() };
    tensor.as_mut_slice()[0] += 1e-4;
    std::fs::write(elsewhere.path().join("file"), file.to_bytes().unwrap()).unwrap();
    let output = conformance(&["check", "file"], elsewhere.path());
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(replayed(&printed, elsewhere.path()).contains("out.output[0]"));
}

/// What the first line prints that is said to reproduce a failure; it fails as well.
fn replayed(printed: &str, directory: &Path) -> String {
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("conformance "));
    let line = line.unwrap_or_else(|| panic!("no line reproduces this:\n{printed}"));
    let again = conformance(&line.split(' ').collect::<Vec<_>>(), directory);
    assert_eq!(again.status.code(), Some(1), "{line}");
    stdout(&again)
}

#[test]
fn recorded_files_are_carried_along() {
    let elsewhere = TempDir::new().unwrap();
    let here = elsewhere.path();
    let arguments = ["check", "fixtures/relu.safetensors", "--case", "pair_f32_00"];
    let output = conformance(&arguments, here);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    refused(&["check", "fixtures/gelu.safetensors"], here);
    std::fs::create_dir(here.join("fixtures")).unwrap();
    std::fs::write(here.join("fixtures/relu.safetensors"), "something else").unwrap();
    refused(&arguments, here);
}

/// What a case leaves out is not compared; what it has recorded is, though a result may stop at the outputs.
#[test]
fn results_are_held_against_what_is_recorded() {
    let elsewhere = TempDir::new().unwrap();
    let here = elsewhere.path();
    let arguments = ["cases", "--layer", "Linear", "--count", "30", "--seed", "3", "--out", "cases"];
    assert_eq!(conformance(&arguments, here).status.code(), Some(0));
    let arguments = ["run", "cases", "--implementation", "reference", "--out", "result"];
    assert_eq!(conformance(&arguments, here).status.code(), Some(0));
    let file = |name: &str| CaseFile::from_bytes(&std::fs::read(here.join(name)).unwrap()).unwrap();
    let (cases, results) = (file("cases"), file("result"));
    let without = |file: &CaseFile, drop: &dyn Fn(Group) -> bool| {
        let mut file = file.clone();
        file.cases.iter_mut().for_each(|case| case.tensors.retain(|(group, _), _| !drop(*group)));
        file
    };
    let spoilt = |group: Group| {
        let mut results = results.clone();
        for case in &mut results.cases {
            for (_, tensor) in case.tensors.iter_mut().filter(|((other, _), _)| *other == group) {
                *tensor = match tensor {
                    StateTensor::F64(_) => Tensor::full(&[3, 1, 4], 1.5_f64).unwrap().into(),
                    _ => Tensor::full(&[3, 1, 4], 1.5_f32).unwrap().into(),
                };
            }
        }
        results
    };
    let judge = |cases: &CaseFile, results: &CaseFile| {
        std::fs::write(here.join("a"), cases.to_bytes().unwrap()).unwrap();
        std::fs::write(here.join("b"), results.to_bytes().unwrap()).unwrap();
        let output = conformance(&["compare", "a", "b"], here);
        (output.status.code().unwrap(), stdout(&output))
    };
    let passes = |cases: &CaseFile, results: &CaseFile| {
        let (status, printed) = judge(cases, results);
        assert_eq!(status, 0, "{printed}");
    };
    let fails = |cases: &CaseFile, results: &CaseFile| {
        let (status, printed) = judge(cases, results);
        assert!(status == 1 && !printed.contains("\nall "), "{printed}");
    };
    passes(&cases, &results);
    passes(&cases, &without(&results, &Group::is_gradient));
    fails(&cases, &spoilt(Group::GradState));
    fails(&cases, &without(&results, &|group| group == Group::Out));
    fails(&cases, &without(&results, &Group::is_result));

    let no_gradients = without(&cases, &Group::is_gradient);
    passes(&no_gradients, &results);
    passes(&no_gradients, &spoilt(Group::GradState));
    fails(&no_gradients, &spoilt(Group::Out));
    let forward_alone = without(&cases, &|group| group.is_gradient() || group == Group::GradOut);
    passes(&forward_alone, &results);
    fails(&forward_alone, &spoilt(Group::Out));

    // Of a case that has recorded nothing, the reference says what is right.
    let inputs_alone = without(&cases, &Group::is_result);
    passes(&inputs_alone, &results);
    fails(&inputs_alone, &spoilt(Group::Out));
    fails(&inputs_alone, &spoilt(Group::GradState));
}

/// Text from a file cannot pretend to be a line of the report, nor a path to be more than one word.
#[test]
fn reports_keep_to_their_lines() {
    let elsewhere = TempDir::new().unwrap();
    let mut file = conformance::fixtures::file("ReLU").unwrap();
    file.cases.truncate(1);
    file.cases[0].head.insert("layer".into(), "Re\nall 9 runs of 9 cases passed\u{1b}[2J".into());
    std::fs::write(elsewhere.path().join("a file"), file.to_bytes().unwrap()).unwrap();
    let output = conformance(&["check", "a file", "--memory-limit", "1000000000"], elsewhere.path());
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(!printed.contains('\u{1b}') && !printed.lines().any(|line| line.starts_with("all ")), "{printed}");
    let name = &file.cases[0].name;
    let line = format!("conformance check 'a file' --case {name} --implementation reference --memory-limit 1000000000");
    assert!(printed.contains(&line), "{printed}");
}

#[test]
fn a_header_that_would_fill_the_memory_is_refused() {
    let elsewhere = TempDir::new().unwrap();
    let mut file = conformance::fixtures::file("ReLU").unwrap();
    file.cases.truncate(1);
    file.cases[0].head.insert("padding".into(), vec![0; 100_000].into());
    std::fs::write(elsewhere.path().join("file"), file.to_bytes().unwrap()).unwrap();
    assert_eq!(conformance(&["check", "file"], elsewhere.path()).status.code(), Some(0));
    let line = refused(&["check", "file", "--memory-limit", "10000000"], elsewhere.path());
    assert!(line.contains("header"), "{line}");
}

/// `conformance check | head -1`: what nobody reads is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(["check", "--case", "pair_f32_00"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An algorithm that other layers have leaves this one's cases out of a check, and unsupported in a run.
#[test]
fn an_algorithm_of_another_layer_is_unsupported() {
    let elsewhere = TempDir::new().unwrap();
    let file = fixture("relu.safetensors");
    let arguments = ["run", text(&file), "--implementation", "optimized", "--algorithm", "gemm", "--out", "result"];
    assert_eq!(conformance(&arguments, elsewhere.path()).status.code(), Some(0));
    let results = std::fs::read(elsewhere.path().join("result")).unwrap();
    let results = CaseFile::results_from_bytes(&results).unwrap();
    assert!(results.cases.iter().all(|case| matches!(case.status, Some(Status::Unsupported(_)))));
}

/// A cotangent of the other type is converted, as PyTorch does; inputs and state of two types are refused.
#[test]
fn a_cotangent_takes_the_type_of_the_inputs() {
    let elsewhere = TempDir::new().unwrap();
    let here = elsewhere.path();
    let mut file = conformance::fixtures::file("Linear").unwrap();
    file.cases.retain(|case| case.name == "pair_f32_00");
    let check = |file: &CaseFile| {
        std::fs::write(here.join("file"), file.to_bytes().unwrap()).unwrap();
        let output = conformance(&["check", "file"], here);
        (output.status.code().unwrap(), stdout(&output))
    };
    let widen = |file: &mut CaseFile, group: Group, name: &str| {
        let case = &mut file.cases[0];
        let Some(StateTensor::F32(tensor)) = case.tensor(group, name).cloned() else { panic!("no {group}.{name}") };
        case.insert(group, name, tensor.map(f64::from));
    };
    widen(&mut file, Group::GradOut, "output");
    let (status, printed) = check(&file);
    assert_eq!(status, 0, "{printed}");
    widen(&mut file, Group::State, "weight");
    let (status, printed) = check(&file);
    assert!(status == 1 && printed.contains("one floating-point type"), "{printed}");
}

#[test]
fn the_list_names_everything() {
    let elsewhere = TempDir::new().unwrap();
    let arguments = ["list", "--json", "list.json", "--implementation", "reference", "--threads", "2", "--all"];
    let output = conformance(&arguments, elsewhere.path());
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    for word in ["Linear", "in_features", "reference", "optimized", "scalar", "gemm"] {
        assert!(printed.contains(word), "{word} is missing:\n{printed}");
    }
    let list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(elsewhere.path().join("list.json")).unwrap()).unwrap();
    assert_eq!(list["layers"].as_array().unwrap().len(), conformance::LAYERS.len());
}
