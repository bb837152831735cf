//! The largest errors of the elementary functions, in units in the last place (ulps), as the table `function_errors.tsv`.
//!
//! `cargo run --release -p conformance --example function_errors > conformance/function_errors.tsv`
//!
//! f32: all 2³² inputs, against the function in f64, whose own error is below 10⁻⁸ ulps of f32. f64: a million inputs, dense in
//! each part of the range, against arithmetic of 140 bits. Of [`optimized::math`], at every instruction set of this machine, and
//! of the system's mathematical library. An ulp is the distance between the neighbours of the exact result: 2^(e − 23) or
//! 2^(e − 52) in [2^e, 2^(e+1)), and the smallest subnormal number below the normal ones. It takes some minutes. A test holds
//! the table against what the code states.

use conformance::bounded::Functions;
use dashu_float::{FBig, round::mode::HalfEven};
use indicatif::{ProgressBar, ProgressStyle};
use optimized::{Isa, math};
use rayon::prelude::*;
use std::ops::Range;

/// A number of 140 bits, of any exponent.
type Exact = FBig<HalfEven, 2>;

/// An error, and the input where it occurs.
type Worst = (f64, f64);

/// What computes a function of many numbers.
type Compute<T> = Box<dyn Fn(&[T], &mut [T]) + Sync>;

/// A function, and everything that computes it: its name, and the error that is stated of it in f32 and f64.
struct Function {
    name: &'static str,
    in_f64: fn(f64) -> f64,
    exact: fn(&Exact) -> Exact,
    /// Where it is measured in f64.
    ranges: &'static [Range<f64>],
    of: Vec<Implementation>,
}

/// Whose function, in both types, and the errors that are stated of it in them.
struct Implementation {
    name: String,
    single: Compute<f32>,
    double: Compute<f64>,
    stated: [f64; 2],
}

fn system(
    name: &'static str,
    f: fn(f32) -> f32,
    g: fn(f64) -> f64,
    exact: fn(&Exact) -> Exact,
    ranges: &'static [Range<f64>],
    stated: f64,
) -> Function {
    fn each<T: Copy + 'static>(f: fn(T) -> T) -> Compute<T> {
        Box::new(move |x: &[T], y: &mut [T]| x.iter().zip(y).for_each(|(&x, y)| *y = f(x)))
    }
    let of = Implementation { name: "system".into(), single: each(f), double: each(g), stated: [stated; 2] };
    Function { name, in_f64: g, exact, ranges, of: vec![of] }
}

/// One of [`optimized::math`]'s, in one type.
type Of<T> = fn(Isa, &[T], &mut [T]) -> vocabulary::Result<()>;

fn optimized<T: 'static>(f: Of<T>, isa: Isa) -> Compute<T> {
    // Only an instruction set that this machine lacks is refused.
    Box::new(move |x: &[T], y: &mut [T]| f(isa, x, y).unwrap_or_else(|error| panic!("{error}")))
}

impl Function {
    /// With [`optimized::math`]'s, at every instruction set.
    fn and_optimized(mut self, single: Of<f32>, double: Of<f64>, stated: [f64; 2]) -> Self {
        self.of.extend(Isa::available().into_iter().map(|isa| Implementation {
            name: isa.to_string(),
            single: optimized(single, isa),
            double: optimized(double, isa),
            stated,
        }));
        self
    }
}

fn main() {
    println!("function\tof\ttype\tinputs\tulps\tat\tstated");
    let k = Functions::SYSTEM;
    for function in [
        system("exp", f32::exp, f64::exp, Exact::exp, EXP, k.exp).and_optimized(
            math::exp,
            math::exp,
            [math::EXP_ULPS_F32, math::EXP_ULPS_F64],
        ),
        system("exp_m1", f32::exp_m1, f64::exp_m1, Exact::exp_m1, EXP_M1, k.exp_m1).and_optimized(
            math::exp_m1,
            math::exp_m1,
            [math::EXP_M1_ULPS_F32, math::EXP_M1_ULPS_F64],
        ),
        system("ln", f32::ln, f64::ln, Exact::ln, LN, k.ln).and_optimized(
            math::ln,
            math::ln,
            [math::LN_ULPS_F32, math::LN_ULPS_F64],
        ),
        system("ln_1p", f32::ln_1p, f64::ln_1p, Exact::ln_1p, LN_1P, k.ln_1p).and_optimized(
            math::ln_1p,
            math::ln_1p,
            [math::LN_1P_ULPS_F32, math::LN_1P_ULPS_F64],
        ),
        system("tanh", f32::tanh, f64::tanh, Exact::tanh, TANH, k.tanh).and_optimized(
            math::tanh,
            math::tanh,
            [math::TANH_ULPS_F32, math::TANH_ULPS_F64],
        ),
    ] {
        let (single, double) = (worst_f32(&function), worst_f64(&function));
        let inputs = function.ranges.len() * PART;
        for (Implementation { name: of, stated, .. }, (single, double)) in
            function.of.iter().zip(single.into_iter().zip(double))
        {
            let name = function.name;
            println!("{name}\t{of}\tf32\t{}\t{:.4}\t{:?}\t{}", 1_u64 << 32, single.0, single.1 as f32, stated[0]);
            println!("{name}\t{of}\tf64\t{inputs}\t{:.4}\t{:?}\t{}", double.0, double.1, stated[1]);
        }
    }
}

/// Where the functions have results, subnormal ones, and bend; and the neighbourhoods of 0 and of multiples of ln 2 / 2.
const EXP: &[Range<f64>] =
    &[-745.2..709.8, -709.0..709.0, -745.2..-708.0, -1.0..1.0, -0.36..-0.34, 0.34..0.36, -40.0..40.0, -1e-3..1e-3];
const EXP_M1: &[Range<f64>] =
    &[-40.0..709.8, -40.0..40.0, -1.0..1.0, -0.36..-0.34, 0.34..0.36, -1e-3..1e-3, -1e-8..1e-8, -3.0..-0.2];
const LN: &[Range<f64>] =
    &[0.5..2.0, 0.9..1.1, 0.999..1.001, 1e-3..1.0, 1e-300..1e-3, 1.0..1e3, 1e3..1e300, 1e-310..1e-307];
const LN_1P: &[Range<f64>] =
    &[-0.9..1.0, -0.999_999..-0.9, -0.3..0.5, 0.3..0.5, -1e-3..1e-3, -1e-8..1e-8, 1.0..1e3, 1e3..1e300];
const TANH: &[Range<f64>] =
    &[-20.0..20.0, -1.0..1.0, 0.2..0.3, -0.1..0.1, -1e-3..1e-3, 0.5..1.0, 1.0..3.0, -1e-8..1e-8];

/// Inputs of a range in f64.
const PART: usize = 1 << 17;

fn larger(a: Worst, b: Worst) -> Worst {
    if b.0 > a.0 || b.0.is_nan() { b } else { a }
}

fn all_larger(a: Vec<Worst>, b: Vec<Worst>) -> Vec<Worst> {
    if a.is_empty() { b } else { a.into_iter().zip(b).map(|(a, b)| larger(a, b)).collect() }
}

fn progress(blocks: u64, what: String) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent} % {eta} left  {msg}");
    ProgressBar::new(blocks).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}

/// Over all bit patterns, for everything that computes the function.
fn worst_f32(function: &Function) -> Vec<Worst> {
    const BLOCK: u32 = 1 << 16;
    let progress = progress(1 << 16, format!("{} in f32", function.name));
    let block = |block: u32| {
        let first = block * BLOCK;
        let x: Vec<f32> = (first..=first + (BLOCK - 1)).map(f32::from_bits).collect();
        let exact: Vec<f64> = x.iter().map(|&x| (function.in_f64)(f64::from(x))).collect();
        let mut y = vec![0.0; x.len()];
        progress.inc(1);
        let worst = |of: &Implementation| {
            (of.single)(&x, &mut y);
            let errors =
                x.iter().zip(exact.iter().zip(&y)).map(|(&x, (&exact, &y))| (error_f32(exact, y), f64::from(x)));
            errors.fold((0.0, 0.0), larger)
        };
        function.of.iter().map(worst).collect()
    };
    let worst = (0..1 << 16).into_par_iter().map(block).reduce(Vec::new, all_larger);
    progress.finish_and_clear();
    worst
}

/// Over the ranges, for everything that computes the function.
fn worst_f64(function: &Function) -> Vec<Worst> {
    const BLOCK: usize = 1 << 10;
    let progress = progress((function.ranges.len() * PART / BLOCK) as u64, format!("{} in f64", function.name));
    // Irrational steps, so that no pattern of a method's is missed.
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let block = |block: usize| {
        let (range, first) = (&function.ranges[block * BLOCK / PART], block * BLOCK % PART);
        let point = |i: usize| range.start + (range.end - range.start) * (i as f64 * golden).fract();
        let x: Vec<f64> = (first..first + BLOCK).map(point).filter(|x| *x != 0.0).collect();
        let exact: Vec<Exact> = x.iter().filter_map(|&x| Some((function.exact)(&big(x)?))).collect();
        let mut y = vec![0.0; x.len()];
        progress.inc(1);
        let worst = |of: &Implementation| {
            (of.double)(&x, &mut y);
            let errors = x.iter().zip(exact.iter().zip(&y)).map(|(&x, (exact, &y))| (error_f64(exact, y), x));
            errors.fold((0.0, 0.0), larger)
        };
        function.of.iter().map(worst).collect()
    };
    let blocks = function.ranges.len() * PART / BLOCK;
    let worst = (0..blocks).into_par_iter().map(block).reduce(Vec::new, all_larger);
    progress.finish_and_clear();
    worst
}

/// A finite number, exactly.
fn big(x: f64) -> Option<Exact> {
    Exact::try_from(x).ok().map(|x| x.with_precision(140).value())
}

/// The error of y, in ulps; infinite or NaN where it is of another class.
fn error_f32(exact: f64, y: f32) -> f64 {
    if exact.is_nan() || y.is_nan() {
        return if exact.is_nan() && y.is_nan() { 0.0 } else { f64::NAN };
    }
    if f64::from(y) == exact {
        return 0.0;
    }
    // From here on it rounds to an infinity.
    if exact.abs() >= 2.0_f64.powi(128) - 2.0_f64.powi(103) {
        return if y.is_infinite() && f64::from(y) * exact > 0.0 { 0.0 } else { f64::INFINITY };
    }
    (f64::from(y) - exact).abs() / ulp(exact, 23, -126)
}

/// The same in f64, where the result is finite but for what rounds to an infinity.
fn error_f64(exact: &Exact, y: f64) -> f64 {
    let nearest = exact.to_f64().value();
    let Some(y) = big(y).filter(|_| y.is_finite()) else { return if nearest == y { 0.0 } else { f64::INFINITY } };
    // A part of the smallest subnormal number is no number of the type: scaled, it is.
    let scale = if nearest.abs() < 1.0 { 60 } else { 0 };
    ((y - exact) << scale).to_f64().value().abs() / ulp(nearest, 52 - scale as i32, -1022)
}

/// The unit in the last place of x, in a format with so many bits after the first, whose smallest normal number is
/// 2^`smallest`.
fn ulp(x: f64, bits: i32, smallest: i32) -> f64 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    2.0_f64.powi(exponent.max(smallest) - bits)
}
