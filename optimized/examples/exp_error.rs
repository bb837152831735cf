//! The largest error of `math::exp` at every instruction set of this machine, in units in the last place (ulps).
//!
//! `cargo run --release -p optimized --example exp_error`
//!
//! f32: all 2³² inputs, against exp in f64, whose own error is below 10⁻⁸ ulps of f32. f64: some ten million inputs, dense in
//! each part of the range, against exp in double-double arithmetic, accurate to about 100 bits. An ulp is the distance
//! between the neighbours of the exact result: 2^(e − 23) or 2^(e − 52) in [2^e, 2^(e+1)), and the smallest subnormal number
//! below the normal ones.

use optimized::{Isa, math};
use std::ops::Range;

fn main() -> optimized::Result<()> {
    for isa in Isa::available() {
        let worst = worst_of(8, |i| worst_f32(isa, i));
        println!("{isa:>6} f32, all inputs:       {:.4} ulps, at x = {:?}", worst.0, worst.1 as f32);
        let worst = worst_of(8, |i| worst_f64(isa, i));
        println!("{isa:>6} f64, {} inputs: {:.4} ulps, at x = {:?}", 8 * PART, worst.0, worst.1);
    }
    println!("stated: {} ulps in f32, {} in f64", math::EXP_ULPS_F32, math::EXP_ULPS_F64);
    Ok(())
}

/// An error, and the input where it occurs.
type Worst = (f64, f64);

fn worst_of(parts: u32, part: impl Fn(u32) -> Worst + Sync) -> Worst {
    let part = &part;
    let larger = |a: Worst, b: Worst| if b.0 > a.0 || b.0.is_nan() { b } else { a };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parts).map(|i| scope.spawn(move || part(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or((f64::NAN, 0.0))).fold((0.0, 0.0), larger)
    })
}

/// Over an eighth of all bit patterns.
fn worst_f32(isa: Isa, part: u32) -> Worst {
    const BLOCK: u32 = 1 << 16;
    let (mut x, mut y) = (vec![0.0_f32; BLOCK as usize], vec![0.0_f32; BLOCK as usize]);
    let mut worst = (0.0, 0.0);
    for block in 0..(1 << 29) / BLOCK {
        let first = (part << 29) + block * BLOCK;
        x.iter_mut().zip(first..=first + (BLOCK - 1)).for_each(|(x, bits)| *x = f32::from_bits(bits));
        math::exp(isa, &x, &mut y).expect("an instruction set of this machine");
        for (&x, &y) in x.iter().zip(&y) {
            let exact = f64::from(x).exp();
            let error = if x.is_nan() || f64::from(y) == exact {
                if x.is_nan() == y.is_nan() { 0.0 } else { f64::NAN }
            } else if exact >= 2.0_f64.powi(128) - 2.0_f64.powi(103) {
                // It rounds to infinity.
                if y == f32::INFINITY { 0.0 } else { f64::INFINITY }
            } else {
                (f64::from(y) - exact).abs() / ulp(exact, 23, -126)
            };
            if error > worst.0 || error.is_nan() {
                worst = (error, f64::from(x));
            }
        }
    }
    worst
}

/// Inputs of a part in f64.
const PART: usize = 1 << 20;

/// The ranges of the parts: all finite results, subnormal ones, and the neighbourhoods of 0 and of multiples of ln 2 / 2.
const RANGES: [Range<f64>; 8] =
    [-745.2..709.8, -709.0..709.0, -745.2..-708.0, -1.0..1.0, -0.36..-0.34, 0.34..0.36, -40.0..40.0, -1e-3..1e-3];

fn worst_f64(isa: Isa, part: u32) -> Worst {
    let Range { start, end } = RANGES[part as usize].clone();
    // Irrational steps, so that no pattern of the method's is missed.
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let x: Vec<f64> = (0..PART).map(|i| start + (end - start) * (i as f64 * golden).fract()).collect();
    let mut y = vec![0.0; PART];
    math::exp(isa, &x, &mut y).expect("an instruction set of this machine");
    let mut worst = (0.0, 0.0);
    for (&x, &y) in x.iter().zip(&y) {
        let error = error_f64(x, y);
        if error > worst.0 || error.is_nan() {
            worst = (error, x);
        }
    }
    worst
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
