//! Lines of neighbouring elements: departure 1.

use super::Lines;
use super::short::{self, of_registers};
use crate::counters::{self, Counter};
use crate::kernels::elementwise::{Zip, Zipped};
use crate::math::{Exp, registers};
use crate::memory::{Block, Output};
use crate::simd::{self, Group, Isa, Kernel, LONG, Lanes, MOST_LANES, SHORT, Simd};
use crate::threads::{self, Threads};

/// y of each line whose elements are neighbours.
pub fn forward_lines<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, x: &[T], mut y: Output<'_, T>) {
    let size = lines.length * lines.lines_a_task();
    threads::for_each(threads, y.blocks(size).zip(x.chunks(size)), |(y, x)| {
        simd::run(isa, ForwardLines { length: lines.length, x, y });
    });
}

struct ForwardLines<'a, T> {
    length: usize,
    x: &'a [T],
    y: Block<'a, T>,
}

impl<T: Exp> Kernel for ForwardLines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxLines, Isa::of::<S>());
        let Self { length, x, y } = self;
        of_registers!([1 2 3 4 5 6 7 8], length.div_ceil(T::lanes::<S>()), forward::<T, S, N>(s, length, x, y), else {
            for (x, y) in x.chunks(length).zip(y.split(length)) {
                let (y, mut sums) = (y.open(), [T::splat(s, T::ZERO); 4]); // 1
                let last = add_exponentials::<T, S>(s, x, largest::<T, S>(s, x), y, &mut sums);
                divide::<T, S>(s, y, last, total::<T, S>(s, sums));
            }
        });
    }
}

/// y of each line whose elements are neighbours, written over it.
pub fn forward_lines_in_place<T: Exp>((isa, threads): (Isa, Threads), lines: Lines, elements: &mut [T]) {
    let size = lines.length * lines.lines_a_task();
    threads::for_each(threads, elements.chunks_mut(size), |elements| {
        simd::run(isa, LinesInPlace { length: lines.length, elements });
    });
}

struct LinesInPlace<'a, T> {
    length: usize,
    elements: &'a mut [T],
}

/// Elements of a line in place that are copied together: whole groups, at any instruction set, so that sums are those of a line apart.
const COPIED: usize = 2 * LONG * MOST_LANES;

impl<T: Exp> Kernel for LinesInPlace<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxLines, Isa::of::<S>());
        let Self { length, elements } = self;
        of_registers!([1 2 3 4 5 6 7 8], length.div_ceil(T::lanes::<S>()), forward_in_place::<T, S, N>(s, length, elements), else {
            for line in elements.chunks_mut(length) {
                let zero = T::splat(s, T::ZERO);
                let (largest, mut sums, mut last) = (largest::<T, S>(s, line), [zero; 4], zero);
                for y in line.chunks_mut(COPIED) {
                    let mut x = [T::ZERO; COPIED];
                    let x = &mut x[..y.len()];
                    x.copy_from_slice(y);
                    last = add_exponentials::<T, S>(s, x, largest, y, &mut sums);
                }
                divide::<T, S>(s, line, last, total::<T, S>(s, sums));
            }
        });
    }
}

/// Lanes of which the largest is that of m and of some elements; NaN counts for nothing.
#[inline(always)]
pub fn larger_lanes<T: Exp, S: Simd>(s: S, x: &[T], m: T) -> T::Register<S> {
    let (registers, tail) = T::registers::<S>(x);
    let (fours, rest) = registers.as_chunks::<4>();
    let mut most = [T::splat(s, m); 4];
    for x in fours {
        for i in 0..4 {
            most[i] = T::larger(s, x[i], most[i]);
        }
    }
    // Over the maxima, whose number the compiler knows, so that they stay in registers, and not over the rest.
    for (i, most) in most.iter_mut().enumerate() {
        if let Some(x) = rest.get(i) {
            *most = T::larger(s, *x, *most);
        }
    }
    if !tail.is_empty() {
        // The last register's worth: a maximum may see an element twice.
        let last = match x.len().checked_sub(T::lanes::<S>()) {
            Some(start) => T::registers::<S>(&x[start..]).0[0],
            None => T::load_partial_over(s, tail, T::splat(s, m)),
        };
        most[3] = T::larger(s, last, most[3]);
    }
    let [mut all, others @ ..] = most;
    for most in others {
        all = T::larger(s, most, all);
    }
    all
}

/// The largest of some elements; −∞ of none, and of NaN.
#[inline(always)]
fn largest<T: Exp, S: Simd>(s: S, x: &[T]) -> T {
    T::largest(s, larger_lanes::<T, S>(s, x, -T::INFINITY))
}

/// Adds y = e^(x − m) to four sums; writes those that fill registers, and gives the others back in one.
#[inline(always)]
fn add_exponentials<T: Exp, S: Simd>(
    s: S,
    x: &[T],
    m: T,
    y: &mut [T],
    sums: &mut [T::Register<S>; 4],
) -> T::Register<S> {
    let ((x, x_tail), y) = (T::registers::<S>(x), T::registers_mut::<S>(y).0);
    let ((x_groups, x_rest), (y_groups, y_rest)) = (x.as_chunks::<LONG>(), y.as_chunks_mut::<LONG>());
    for (x, y) in x_groups.iter().zip(y_groups) {
        *y = registers::exp_without_overflow(Group::<T, S, LONG>::new(s, *x) - m).registers();
        for (i, y) in y.iter().enumerate() {
            sums[i % 4] = T::plus(s, sums[i % 4], *y);
        }
    }
    let ((x_fours, x_rest), (y_fours, y_rest)) = (x_rest.as_chunks::<SHORT>(), y_rest.as_chunks_mut::<SHORT>());
    for (x, y) in x_fours.iter().zip(y_fours) {
        *y = registers::exp_without_overflow(Group::<T, S, SHORT>::new(s, *x) - m).registers();
        for (sum, y) in sums.iter_mut().zip(&*y) {
            *sum = T::plus(s, *sum, *y);
        }
    }
    // Over the sums, whose number the compiler knows, so that they stay in registers, and not over the rest.
    for (i, sum) in sums.iter_mut().enumerate() {
        if let (Some(x), Some(y)) = (x_rest.get(i), y_rest.get_mut(i)) {
            *y = registers::exp_without_overflow(Group::one(s, *x) - m).register();
            *sum = T::plus(s, *sum, *y);
        }
    }
    if x_tail.is_empty() {
        return T::splat(s, T::ZERO);
    }
    // Beyond the tail, e^(−∞ − m) is 0; where m is −∞, all of the line is NaN anyway.
    let tail = T::load_partial_over(s, x_tail, T::splat(s, -T::INFINITY));
    let power = registers::exp_without_overflow(Group::one(s, tail) - m).register();
    sums[3] = T::plus(s, sums[3], power);
    power
}

/// The sum of all lanes of four.
#[inline(always)]
pub(super) fn total<T: Lanes, S: Simd>(s: S, sums: [T::Register<S>; 4]) -> T {
    T::sum(s, T::plus(s, T::plus(s, sums[0], sums[1]), T::plus(s, sums[2], sums[3])))
}

/// y, whose elements that do not fill a register are `last`'s, divided by their sum.
#[inline(always)]
fn divide<T: Lanes, S: Simd>(s: S, y: &mut [T], last: T::Register<S>, sum: T) {
    let sum = T::splat(s, sum);
    let (y, tail) = T::registers_mut::<S>(y);
    for y in y {
        *y = T::over(s, *y, sum);
    }
    if !tail.is_empty() {
        T::store_partial(s, tail, T::over(s, last, sum));
    }
}

/// dx of each line whose elements are neighbours.
pub fn backward_lines<T: Lanes>(
    (isa, threads): (Isa, Threads),
    lines: Lines,
    (y, g): (&[T], &[T]),
    mut dx: Output<'_, T>,
) {
    let size = lines.length * lines.lines_a_task();
    threads::for_each(threads, dx.blocks(size).zip(y.chunks(size).zip(g.chunks(size))), |(dx, (y, g))| {
        simd::run(isa, BackwardLines { length: lines.length, y, g, dx });
    });
}

struct BackwardLines<'a, T> {
    length: usize,
    y: &'a [T],
    g: &'a [T],
    dx: Block<'a, T>,
}

impl<T: Lanes> Kernel for BackwardLines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::SoftmaxLines, Isa::of::<S>());
        let Self { length, y, g, dx } = self;
        of_registers!([1 2 3 4 5 6 7 8], length.div_ceil(T::lanes::<S>()), backward::<T, S, N>(s, length, (y, g), dx), else {
            for ((y, g), dx) in y.chunks(length).zip(g.chunks(length)).zip(dx.split(length)) {
                dx.fill(s, Zipped::new(Gradient { dot: dot::<T, S>(s, y, g) }, y, g));
            }
        });
    }
}

/// y·(g − dot).
#[derive(Clone, Copy)]
struct Gradient<T> {
    dot: T,
}

impl<T: Lanes> Zip<T> for Gradient<T> {
    const COUNTER: Counter = Counter::SoftmaxLines;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, y: Group<T, S, N>, g: Group<T, S, N>) -> Group<T, S, N> {
        y * (g - self.dot)
    }
}

/// Σ a·b.
#[inline(always)]
fn dot<T: Lanes, S: Simd>(s: S, a: &[T], b: &[T]) -> T {
    let ((a, a_tail), (b, b_tail)) = (T::registers::<S>(a), T::registers::<S>(b));
    let ((a_fours, a_rest), (b_fours, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [T::splat(s, T::ZERO); 4]; // 1
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = T::multiply_add(s, a[i], b[i], sums[i]);
        }
    }
    // Over the sums, whose number the compiler knows, so that they stay in registers, and not over the rest.
    for (i, sum) in sums.iter_mut().enumerate() {
        if let (Some(a), Some(b)) = (a_rest.get(i), b_rest.get(i)) {
            *sum = T::multiply_add(s, *a, *b, *sum);
        }
    }
    if !a_tail.is_empty() {
        sums[3] = T::multiply_add(s, T::load_partial(s, a_tail), T::load_partial(s, b_tail), sums[3]);
    }
    total::<T, S>(s, sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of so many elements, and what y, dx and their tolerances are by the formulas, in double precision.
    fn lines_are_what_the_formula_says<T: Exp>(roundoff: f64) {
        for isa in Isa::available() {
            let kernel = (isa, Threads::ONE);
            for length in 1..=3 * LONG * MOST_LANES + 1 {
                let lines = Lines { outer: 3, length, inner: 1 };
                let of = |i: usize| match i {
                    _ if i == length / 2 && length > 2 => f64::NEG_INFINITY,
                    _ => (i * 37 % 101) as f64 / 8.0 + [-300.0, 0.0, 600.0][i / length],
                };
                let x: Vec<f64> = (0..3 * length).map(of).collect();
                let mut in_place: Vec<T> = x.iter().map(|x| T::narrow(*x)).collect();
                let (mut y, mut dx) = (vec![T::narrow(f64::NAN); x.len()], vec![T::narrow(f64::NAN); x.len()]);
                forward_lines(kernel, lines, &in_place, Output::Given(&mut y));
                forward_lines_in_place(kernel, lines, &mut in_place);
                assert!(in_place == y, "{isa}, of {length}: in place");
                let g: Vec<T> = (0..x.len()).map(|i| T::narrow((i * 29 % 64) as f64 / 4.0 - 8.0)).collect();
                backward_lines(kernel, lines, (&y, &g), Output::Given(&mut dx));
                for ((x, y), (g, dx)) in
                    x.chunks(length).zip(y.chunks(length)).zip(g.chunks(length).zip(dx.chunks(length)))
                {
                    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = x.iter().map(|x| (x - most).exp()).sum();
                    let products: Vec<f64> = y.iter().zip(g).map(|(y, g)| y.widen() * g.widen()).collect();
                    let (dot, size) = (products.iter().sum::<f64>(), products.iter().map(|x| x.abs()).sum::<f64>());
                    // A power and those in the sum, each wrong by 1.5 units of roundoff, the additions, the division; and the products,
                    // their additions, the difference and what it is multiplied by.
                    let additions = length as f64 + 4.0;
                    for (((x, y), g), dx) in x.iter().zip(y).zip(g).zip(dx) {
                        let due = (x - most).exp() / sum;
                        let error = (y.widen() - due).abs();
                        assert!(error <= additions * roundoff * due + 1e-37, "{isa}, of {length}: {y:?} for {due}");
                        let due = y.widen() * (g.widen() - dot);
                        let tolerance = roundoff * (2.0 * due.abs() + y.widen() * (additions * size + g.widen().abs()));
                        assert!((dx.widen() - due).abs() <= tolerance, "{isa}, of {length}: {dx:?} for {due}");
                    }
                }
            }
        }
    }

    #[test]
    fn single_lines_are_what_the_formula_says() {
        lines_are_what_the_formula_says::<f32>(f64::from(f32::EPSILON));
    }

    #[test]
    fn double_lines_are_what_the_formula_says() {
        lines_are_what_the_formula_says::<f64>(f64::EPSILON);
    }

    /// Of NaN, of +∞, and of −∞ alone, a line is NaN, wherever it stands, and so are its gradients; the others are not touched.
    fn what_spoils_a_line_spoils_no_other<T: Exp>() {
        for isa in Isa::available() {
            let kernel = (isa, Threads::ONE);
            for length in [1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 200] {
                let lines = Lines { outer: 3, length, inner: 1 };
                for spoiled in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(T::narrow) {
                    for place in 0..length {
                        let mut x = vec![T::ONE; 3 * length];
                        if spoiled < T::ZERO {
                            x[length..2 * length].fill(spoiled);
                        } else {
                            x[length + place] = spoiled;
                        }
                        let (mut y, mut dx, even) = (x.clone(), x.clone(), vec![T::HALF; x.len()]);
                        forward_lines(kernel, lines, &x, Output::Given(&mut y));
                        backward_lines(kernel, lines, (&even, &x), Output::Given(&mut dx));
                        forward_lines_in_place(kernel, lines, &mut x);
                        for i in 0..x.len() {
                            let ([x, y, dx], what) =
                                ([x[i], y[i], dx[i]], format!("{isa}, {length}, {spoiled:?} at {place}"));
                            if i / length == 1 {
                                assert!(
                                    x.is_nan() && y.is_nan() && (dx.is_nan() || dx.magnitude() > T::MAX),
                                    "{what}: {x:?}, {y:?}, {dx:?}"
                                );
                            } else {
                                let due = 1.0 / length as f64;
                                assert!((y.widen() - due).abs() <= 1e-6 && x == y, "{what}: {x:?}, {y:?}");
                                let due = 0.5 - 0.25 * length as f64;
                                assert!((dx.widen() - due).abs() <= 1e-4, "{what}: {dx:?} for {due}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_spoils_a_single_line_spoils_no_other() {
        what_spoils_a_line_spoils_no_other::<f32>();
    }

    #[test]
    fn what_spoils_a_double_line_spoils_no_other() {
        what_spoils_a_line_spoils_no_other::<f64>();
    }

    /// Wherever the largest stands, and whatever it is: what is far below is 0.
    #[test]
    fn the_largest_of_a_line_is_found_wherever_it_stands() {
        for isa in Isa::available() {
            for length in 1..=2 * LONG * MOST_LANES {
                for (place, most) in (0..length).flat_map(|place| [(place, 0.0), (place, -9000.0)]) {
                    let (mut x, mut y) = (vec![most - 1000.0_f32; length], vec![f32::NAN; length]);
                    x[place] = most;
                    let lines = Lines { outer: 1, length, inner: 1 };
                    forward_lines((isa, Threads::ONE), lines, &x, Output::Given(&mut y));
                    x.fill(0.0);
                    x[place] = 1.0;
                    assert!(x == y, "{isa}: {most} at {place} of {length}: {y:?}");
                }
            }
        }
    }
}
