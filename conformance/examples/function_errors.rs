//! The largest errors of the elementary functions, in units in the last place (ulps), as the table `function_errors.tsv`.
//!
//! `cargo run --release -p conformance --example function_errors > conformance/function_errors.tsv`
//!
//! f32: all 2³² inputs, against the function in f64, whose own error is below 10⁻⁸ ulps of f32; of [`optimized::math`] at every
//! instruction set of this machine, and of the system's mathematical library. f64: some eight million inputs of
//! `optimized::math::exp`, dense in each part of the range, against exp in double-double arithmetic, accurate to about 100 bits.
//! An ulp is the distance between the neighbours of the exact result: 2^(e − 23) or 2^(e − 52) in [2^e, 2^(e+1)), and the
//! smallest subnormal number below the normal ones. It takes some minutes. A test holds the table against what the code states.

use conformance::bounded::Functions;
use indicatif::{ProgressBar, ProgressStyle};
use optimized::{Isa, math};
use rayon::prelude::*;
use std::ops::Range;

/// What computes a function of many numbers in f32.
type Compute<'a> = &'a (dyn Fn(&[f32], &mut [f32]) + Sync);

/// An error, and the input where it occurs.
type Worst = (f64, f64);

fn main() -> optimized::Result<()> {
    println!("function\tof\ttype\tinputs\tulps\tat\tstated");
    let stated = Functions::SYSTEM;
    let of_system: [(&str, fn(f32) -> f32, fn(f64) -> f64, f64); 5] = [
        ("exp", f32::exp, f64::exp, stated.exp),
        ("exp_m1", f32::exp_m1, f64::exp_m1, stated.exp_m1),
        ("ln", f32::ln, f64::ln, stated.ln),
        ("ln_1p", f32::ln_1p, f64::ln_1p, stated.ln_1p),
        ("tanh", f32::tanh, f64::tanh, stated.tanh),
    ];
    for (name, function, exact, stated) in of_system {
        let compute = |x: &[f32], y: &mut [f32]| x.iter().zip(y).for_each(|(&x, y)| *y = function(x));
        let worst = worst_f32(&format!("{name}, system"), &compute, exact);
        row(name, "system", "f32", 1 << 32, worst, stated);
    }
    for isa in Isa::available() {
        // Only an instruction set that this machine lacks is refused.
        let compute = |x: &[f32], y: &mut [f32]| math::exp(isa, x, y).unwrap_or_else(|error| panic!("{error}"));
        let worst = worst_f32(&format!("exp, optimized at {isa}"), &compute, f64::exp);
        row("exp", &isa.to_string(), "f32", 1 << 32, worst, math::EXP_ULPS_F32);
        let parts = (0..RANGES.len()).into_par_iter().map(|part| worst_f64(isa, part));
        let worst = parts.try_reduce(|| (0.0, 0.0), |a, b| Ok(larger(a, b)))?;
        row("exp", &isa.to_string(), "f64", (RANGES.len() * PART) as u64, worst, math::EXP_ULPS_F64);
    }
    Ok(())
}

fn row(name: &str, of: &str, dtype: &str, inputs: u64, (ulps, x): Worst, stated: f64) {
    let x = if dtype == "f32" { format!("{:?}", x as f32) } else { format!("{x:?}") };
    println!("{name}\t{of}\t{dtype}\t{inputs}\t{ulps:.4}\t{x}\t{stated}");
}

fn larger(a: Worst, b: Worst) -> Worst {
    if b.0 > a.0 || b.0.is_nan() { b } else { a }
}

/// Over all bit patterns.
fn worst_f32(what: &str, compute: Compute<'_>, exact: fn(f64) -> f64) -> Worst {
    const BLOCK: u32 = 1 << 16;
    let style = ProgressStyle::with_template("{bar:30} {percent} % {eta} left  {msg}");
    let progress = ProgressBar::new(1 << 16).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let progress = progress.with_message(what.to_owned());
    let block = |block: u32| {
        let first = block * BLOCK;
        let x: Vec<f32> = (first..=first + (BLOCK - 1)).map(f32::from_bits).collect();
        let mut y = vec![0.0; x.len()];
        compute(&x, &mut y);
        progress.inc(1);
        let errors = x.iter().zip(&y).map(|(&x, &y)| (error_f32(exact(f64::from(x)), y), f64::from(x)));
        errors.fold((0.0, 0.0), larger)
    };
    let worst = (0..1 << 16).into_par_iter().map(block).reduce(|| (0.0, 0.0), larger);
    progress.finish_and_clear();
    worst
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

/// Inputs of a part in f64.
const PART: usize = 1 << 20;

/// The ranges of the parts: all finite results, subnormal ones, and the neighbourhoods of 0 and of multiples of ln 2 / 2.
const RANGES: [Range<f64>; 8] =
    [-745.2..709.8, -709.0..709.0, -745.2..-708.0, -1.0..1.0, -0.36..-0.34, 0.34..0.36, -40.0..40.0, -1e-3..1e-3];

fn worst_f64(isa: Isa, part: usize) -> optimized::Result<Worst> {
    let Range { start, end } = RANGES[part].clone();
    // Irrational steps, so that no pattern of the method's is missed.
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let x: Vec<f64> = (0..PART).map(|i| start + (end - start) * (i as f64 * golden).fract()).collect();
    let mut y = vec![0.0; PART];
    math::exp(isa, &x, &mut y)?;
    Ok(x.iter().zip(&y).map(|(&x, &y)| (error_f64(x, y), x)).fold((0.0, 0.0), larger))
}

/// The error of y as e^x, in ulps.
fn error_f64(x: f64, y: f64) -> f64 {
    // All is scaled by 2^−n, so that nothing here overflows or is subnormal: e^x = (high + low)·2^n.
    let (high, low, n) = exp_in_double_double(x);
    if n > 1023 || (n == 1023 && high >= 2.0) {
        return if y == f64::INFINITY { 0.0 } else { f64::INFINITY };
    }
    let scaled = scale(y, -n);
    let unit = ulp(high, 52, -1022 - n);
    ((scaled - high) - low).abs() / unit
}

/// x·2^n, exact for the x that come here.
fn scale(x: f64, n: i32) -> f64 {
    let half = n / 2;
    x * 2.0_f64.powi(half) * 2.0_f64.powi(n - half)
}

/// The unit in the last place of x, in a format with so many bits after the first, whose smallest normal number is
/// 2^`smallest`.
fn ulp(x: f64, bits: i32, smallest: i32) -> f64 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    2.0_f64.powi(exponent.max(smallest) - bits)
}

/// A number as the unevaluated sum of two, the second below half a unit in the last place of the first.
type DoubleDouble = (f64, f64);

fn two_sum(a: f64, b: f64) -> DoubleDouble {
    let sum = a + b;
    let c = sum - a;
    (sum, (a - (sum - c)) + (b - c))
}

fn two_product(a: f64, b: f64) -> DoubleDouble {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

fn add(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    let (high, low) = two_sum(a.0, b.0);
    let (tail, rest) = two_sum(a.1, b.1);
    let (high, low) = two_sum(high, low + tail);
    two_sum(high, low + rest)
}

fn multiply(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    let (high, low) = two_product(a.0, b.0);
    two_sum(high, low + (a.0 * b.1 + a.1 * b.0))
}

/// ln 2, in two parts.
const LN_2: DoubleDouble = (std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);

/// e^x = (high + low)·2^n with high in [1, 2): the Taylor series of r/2⁸, |r| ≤ ½ln 2, squared eight times.
fn exp_in_double_double(x: f64) -> (f64, f64, i32) {
    let mut n = (x / std::f64::consts::LN_2).round();
    let product = two_product(n, LN_2.0);
    let r = add(add((x, 0.0), (-product.0, -product.1)), (-n * LN_2.1, 0.0));
    let r = (r.0 / 256.0, r.1 / 256.0);
    // e^r − 1, by Horner's scheme; r^13/13! is below 2^−149.
    let mut sum = (0.0, 0.0);
    for k in (1..=13).rev() {
        // sum = r/k·(1 + sum)
        let next = multiply(r, add((1.0, 0.0), sum));
        sum = divide(next, f64::from(k));
    }
    for _ in 0..8 {
        // (1 + s)² − 1 = 2s + s²
        sum = add((2.0 * sum.0, 2.0 * sum.1), multiply(sum, sum));
    }
    let mut result = add((1.0, 0.0), sum);
    if result.0 < 1.0 {
        result = (2.0 * result.0, 2.0 * result.1);
        n -= 1.0;
    }
    (result.0, result.1, n as i32)
}

fn divide(a: DoubleDouble, k: f64) -> DoubleDouble {
    let quotient = a.0 / k;
    let (product, rest) = two_product(quotient, k);
    two_sum(quotient, (((a.0 - product) - rest) + a.1) / k)
}
