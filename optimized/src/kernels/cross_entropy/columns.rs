//! Lines side by side, each with a class: departure 6.

use super::{Backward, Classes, Finding, Line, Problem};
use crate::counters::Counter;
use crate::kernels::elementwise::{Map, map_registers};
use crate::kernels::softmax::{Places, raise};
use crate::kernels::tiles::Tile;
use crate::math::{Exp, Ln, registers};
use crate::simd::{Group, LONG, MOST_LANES, Simd};

/// Lines that go through the loops together: 2 KiB of f32 of each row.
const WIDTH: usize = 512;

/// Fewer lines do not go together: they do not fill a register.
pub const LEAST: usize = MOST_LANES;

/// What is found of the lines from `first` on.
#[inline(always)]
pub fn forward<T: Ln, S: Simd>(
    s: S,
    problem: &Problem<'_, T>,
    classes: Classes<'_>,
    first: usize,
    found: &mut Finding<'_, T>,
) {
    let (length, inner) = (problem.lines.length, problem.lines.inner);
    let mut at = 0;
    while at < found.lines.len() {
        let line = first + at;
        let width = WIDTH.min(inner - line % inner).min(found.lines.len() - at);
        let start = line / inner * length * inner + line % inner;
        let (mut most, mut sums, mut powers) = ([-T::INFINITY; WIDTH], [T::ZERO; WIDTH], [T::ZERO; WIDTH]);
        let (most, sums, powers) = (&mut most[..width], &mut sums[..width], &mut powers[..width]);
        for c in 0..length {
            raise(most, &problem.x[start + c * inner..][..width]);
        }
        for c in 0..length {
            let x = &problem.x[start + c * inner..][..width];
            for (power, (x, m)) in powers.iter_mut().zip(x.iter().zip(&*most)) {
                *power = *x - *m;
            }
            map_registers(s, Power, powers);
            for (sum, power) in sums.iter_mut().zip(&*powers) {
                *sum += *power;
            }
        }
        map_registers(s, Logarithm, sums);
        for i in 0..width {
            let (largest, log_sum) = (most[i], sums[i]);
            let mut hit = T::ZERO;
            if let Some(class) = classes.of(line + i) {
                hit = -problem.weighted(class, (problem.x[start + class * inner + i] - largest) - log_sum);
            }
            found.set(at + i, Line { largest, log_sum }, hit, T::ZERO);
        }
        at += width;
    }
}

/// eˣ, of x that do not overflow.
#[derive(Clone, Copy)]
struct Power;

impl<T: Exp> Map<T> for Power {
    const COUNTER: Counter = Counter::CrossEntropyLossColumns;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        registers::exp_without_overflow(x)
    }
}

/// ln x.
#[derive(Clone, Copy)]
struct Logarithm;

impl<T: Ln> Map<T> for Logarithm {
    const COUNTER: Counter = Counter::CrossEntropyLossColumns;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        registers::ln(x)
    }
}

/// The gradients of the lines of a tile.
#[inline(always)]
pub fn backward<T: Exp, S: Simd>(s: S, backward: &Backward<'_, T>, classes: Classes<'_>, dx: Tile<&mut [T]>) {
    let problem = &backward.problem;
    let (length, inner) = (problem.lines.length, problem.lines.inner);
    let (places, all, first) = (Places::of(problem.lines, &dx), dx.width(), dx.row / length * inner + dx.column);
    let mut rows = dx.rows;
    for from in (0..all).step_by(WIDTH) {
        let columns = from..all.min(from + WIDTH);
        let (mut most, mut log_sums, mut totals) = ([T::ZERO; WIDTH], [T::ZERO; WIDTH], [T::ZERO; WIDTH]);
        for (i, line) in (first + columns.start..first + columns.end).enumerate() {
            (most[i], log_sums[i]) = (backward.known[line].largest, backward.known[line].log_sum);
            if let Some(class) = classes.of(line) {
                totals[i] = -(backward.kappa(line) * problem.w(class));
            }
        }
        for (row, dx) in rows.iter_mut().enumerate() {
            let x = &problem.x[places.of_row(row)][columns.clone()];
            let dx = &mut dx[columns.clone()];
            for (dx, (x, (m, log_sum))) in dx.iter_mut().zip(x.iter().zip(most.iter().zip(&log_sums))) {
                *dx = (*x - *m) - *log_sum;
            }
            map_registers(s, Power, dx);
            for (dx, total) in dx.iter_mut().zip(&totals) {
                *dx = T::ZERO - *dx * *total;
            }
        }
        for (i, column) in columns.enumerate() {
            if let Some(class) = classes.of(first + column) {
                rows[class][column] = totals[i] + rows[class][column];
            }
        }
    }
}
