//! The errors that the code states of its elementary functions, against the committed table of those that were found.

use conformance::bounded::Functions;
use optimized::{Isa, math};

/// A line of `function_errors.tsv`.
struct Line {
    function: String,
    of: String,
    dtype: String,
    inputs: u64,
    ulps: f64,
    at: f64,
    stated: f64,
}

fn table() -> Vec<Line> {
    let text = include_str!("../../../function_errors.tsv");
    let line = |line: &str| {
        let [function, of, dtype, inputs, ulps, at, stated] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has not seven fields")
        };
        let [ulps, at, stated] = [ulps, at, stated].map(|number| number.parse().unwrap());
        let [function, of, dtype] = [function, of, dtype].map(str::to_owned);
        Line { function, of, dtype, inputs: inputs.parse().unwrap(), ulps, at, stated }
    };
    text.lines().skip(1).map(line).collect()
}

/// What the code states today.
fn stated(function: &str, of: &str, dtype: &str) -> f64 {
    let system = Functions::SYSTEM;
    match (function, of, dtype) {
        ("exp", "system", _) => system.exp,
        ("exp_m1", "system", _) => system.exp_m1,
        ("ln", "system", _) => system.ln,
        ("ln_1p", "system", _) => system.ln_1p,
        ("tanh", "system", _) => system.tanh,
        ("exp", _, "f32") => math::EXP_ULPS_F32,
        ("exp", _, "f64") => math::EXP_ULPS_F64,
        other => panic!("nobody states the error of {other:?}"),
    }
}

#[test]
fn no_function_errs_by_more_than_is_stated() {
    let table = table();
    for line in &table {
        let Line { function, of, dtype, inputs, ulps, stated: of_table, .. } = line;
        let stated = stated(function, of, dtype);
        assert_eq!(stated, *of_table, "{function} of {of} in {dtype}: the table was made for another statement");
        assert!(0.5 <= *ulps && *ulps <= stated, "{function} of {of} in {dtype}: {ulps} ulps, stated {stated}");
        // A statement far above what is found is of another function.
        assert!(stated <= 2.0 * ulps, "{function} of {of} in {dtype}: {ulps} ulps, stated {stated}");
        assert!(*inputs == 1 << 32 || dtype == "f64" && *inputs >= 1 << 20, "{function} of {of} in {dtype}");
    }
    let has = |function: &str, of: &str| {
        ["f32", "f64"]
            .iter()
            .all(|dtype| table.iter().any(|l| l.function == function && l.of == of && l.dtype == *dtype))
    };
    for function in ["exp", "exp_m1", "ln", "ln_1p", "tanh"] {
        assert!(has(function, "system"), "{function} of the system was not measured");
    }
    for isa in ["scalar", "v3", "v4"] {
        assert!(has("exp", isa), "exp at {isa} was not measured");
    }
}

/// The worst input of the table errs as the table has it, today and here.
#[test]
fn the_worst_inputs_err_as_they_did() {
    let mut checked = 0;
    for line in table().iter().filter(|line| line.function == "exp" && line.dtype == "f32") {
        let Some(isa) = Isa::available().into_iter().find(|isa| isa.to_string() == line.of) else { continue };
        // The table writes the shortest decimal that is this number of the type.
        let (x, mut y) = (line.at as f32, [0.0_f32]);
        math::exp(isa, &[x], &mut y).unwrap();
        let exact = f64::from(x).exp();
        let unit = 2.0_f64.powi((exact.log2().floor() as i32).max(-126) - 23);
        let ulps = (f64::from(y[0]) - exact).abs() / unit;
        assert!(
            (ulps - line.ulps).abs() < 1e-3,
            "exp at {isa}: {ulps} ulps at {}, {} in the table",
            line.at,
            line.ulps
        );
        checked += 1;
    }
    assert!(checked > 0);
}

/// What an implementation that uses these functions declares is no less than what is stated of them.
#[test]
fn declarations_cover_what_is_stated() {
    let worst = math::EXP_ULPS_F32.max(math::EXP_ULPS_F64);
    for dtype in [conformance::DType::F32, conformance::DType::F64] {
        for layer in super::layers_of_both() {
            let declared = conformance::declarations::declared("optimized", layer, dtype).functions.exp;
            assert!(worst <= declared, "{layer} in {dtype} declares {declared} ulps of exp, and {worst} are stated");
        }
    }
}
