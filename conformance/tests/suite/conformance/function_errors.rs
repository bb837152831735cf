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
        ("exp_m1", _, "f32") => math::EXP_M1_ULPS_F32,
        ("exp_m1", _, "f64") => math::EXP_M1_ULPS_F64,
        ("ln", _, "f32") => math::LN_ULPS_F32,
        ("ln", _, "f64") => math::LN_ULPS_F64,
        ("ln_1p", _, "f32") => math::LN_1P_ULPS_F32,
        ("ln_1p", _, "f64") => math::LN_1P_ULPS_F64,
        ("tanh", _, "f32") => math::TANH_ULPS_F32,
        ("tanh", _, "f64") => math::TANH_ULPS_F64,
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
    for (isa, function) in ["scalar", "v3", "v4"].iter().flat_map(|isa| FUNCTIONS.map(|(function, ..)| (isa, function)))
    {
        assert!(has(function, isa), "{function} at {isa} was not measured");
    }
}

type Of<T> = fn(Isa, &[T], &mut [T]) -> vocabulary::Result<()>;

/// A function's name, `optimized`'s, and the same in double precision.
type Function = (&'static str, Of<f32>, fn(f64) -> f64);

const FUNCTIONS: [Function; 5] = [
    ("exp", math::exp, f64::exp),
    ("exp_m1", math::exp_m1, f64::exp_m1),
    ("ln", math::ln, f64::ln),
    ("ln_1p", math::ln_1p, f64::ln_1p),
    ("tanh", math::tanh, f64::tanh),
];

/// The error of y in ulps of the exact result.
fn ulps(y: f32, exact: f64) -> f64 {
    let unit = 2.0_f64.powi((exact.abs().log2().floor() as i32).max(-126) - 23);
    (f64::from(y) - exact).abs() / unit
}

/// The worst input of the table errs as the table has it, today and here.
#[test]
fn the_worst_inputs_err_as_they_did() {
    let mut checked = 0;
    for line in table().iter().filter(|line| line.dtype == "f32") {
        let Some(isa) = Isa::available().into_iter().find(|isa| isa.to_string() == line.of) else { continue };
        let (name, f, exact) = FUNCTIONS.into_iter().find(|(name, ..)| *name == line.function).unwrap();
        // The table writes the shortest decimal that is this number of the type.
        let (x, mut y) = (line.at as f32, [0.0_f32]);
        f(isa, &[x], &mut y).unwrap();
        let ulps = ulps(y[0], exact(f64::from(x)));
        let Line { at, ulps: of_table, .. } = line;
        assert!((ulps - of_table).abs() < 1e-3, "{name} at {isa}: {ulps} ulps at {at}, {of_table} in the table");
        checked += 1;
    }
    assert!(checked > 0);
}

/// A sample of what the table has of all inputs, every 16,381st number of single precision and where functions bend; with NaN where
/// it is due, infinities, and the signs of zeros.
#[test]
fn functions_err_by_no_more_than_stated() {
    let ends = [0.0, 1.0, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-45, 0.55, 88.73, 104.0, 20.0];
    let sample = (0..=u32::MAX).step_by(16_381).map(f32::from_bits);
    let x: Vec<f32> = sample.chain(ends).chain(ends.map(|x| -x)).chain([f32::NAN]).collect();
    for (name, f, exact) in FUNCTIONS {
        for isa in Isa::available() {
            let mut y = vec![0.0; x.len()];
            f(isa, &x, &mut y).unwrap();
            let mut worst = 0.0_f64;
            for (&x, &y) in x.iter().zip(&y) {
                let exact = exact(f64::from(x));
                let nearest = exact as f32;
                if nearest.is_nan() || nearest.is_infinite() || exact == 0.0 {
                    let same = y.to_bits() == nearest.to_bits() || y.is_nan() && nearest.is_nan();
                    assert!(same, "{name}({x:?}) = {y:?} at {isa}, {nearest:?} is due");
                } else {
                    worst = worst.max(ulps(y, exact));
                }
            }
            let stated = stated(name, &isa.to_string(), "f32");
            assert!(0.5 < worst && worst <= stated, "{name} at {isa}: {worst} ulps, {stated} are stated");
        }
    }
}

/// What an implementation that uses these functions declares is no less than what is stated of them.
#[test]
fn declarations_cover_what_is_stated() {
    for dtype in [conformance::DType::F32, conformance::DType::F64] {
        let stated = Functions::optimized(dtype);
        for layer in super::layers_of_both() {
            let declared = conformance::declarations::declared("optimized", layer, dtype).functions;
            for (of, least) in [
                (declared.exp, stated.exp),
                (declared.exp_m1, stated.exp_m1),
                (declared.ln, stated.ln),
                (declared.ln_1p, stated.ln_1p),
                (declared.tanh, stated.tanh),
            ] {
                assert!(least <= of, "{layer} in {dtype} declares {of} ulps, and {least} are stated");
            }
        }
    }
}
