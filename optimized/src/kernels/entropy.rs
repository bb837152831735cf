//! Binary cross-entropies: a term for each element of input and target, under weights; summed or not; and their gradients.
//!
//! The plain loop is `for i in 0..n { sum += term(x[i], t[i]) * w[i] }`. We depart from it:
//! 1. registers instead of elements; the ones that do not fill a register are one masked register more;
//! 2. a weight that is broadcast is written out for one block of [`BLOCK`] elements at a time, which stays in cache;
//! 3. each block is summed in the elements' own type, in so many short sums that it rounds little; the sums of the blocks, and
//!    of the tasks, are added in f64, in their order;
//! 4. both gradients of a block are written one after the other, while its operands are in cache.

use super::elementwise::{BLOCK, FUNCTION_TASK};
use super::strided::Broadcast;
use crate::counters::{self, Counter};
use crate::math::{Ln, registers};
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use std::ops::Range;

/// Numbers of some elements.
#[derive(Clone, Copy)]
pub enum Operand<'a, T> {
    /// One each.
    Each(&'a [T]),
    /// The same for all.
    All(T),
}

impl<T: Lanes> Operand<'_, T> {
    #[inline(always)]
    fn register<S: Simd>(self, s: S, i: usize) -> T::Register<S> {
        match self {
            Self::Each(elements) => T::registers::<S>(elements).0[i],
            Self::All(number) => T::splat(s, number),
        }
    }

    #[inline(always)]
    fn rest<S: Simd>(self, s: S) -> T::Register<S> {
        match self {
            Self::Each(elements) => T::load_partial(s, T::registers::<S>(elements).1),
            Self::All(number) => T::splat(s, number),
        }
    }

    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::Each(elements) => Self::Each(&elements[range]),
            all => all,
        }
    }
}

/// A weight of elements, which may be broadcast to them.
pub enum Weight<'a, T> {
    /// One for each, or the same for all.
    Plain(Operand<'a, T>),
    /// The second operand of the broadcast.
    Repeated(&'a [T], Broadcast),
}

impl<'a, T: Lanes> Weight<'a, T> {
    /// Of `weight`, whose shape broadcasts to that of `len` elements, `shape`.
    pub fn new(weight: &'a [T], weight_shape: &[usize], shape: &[usize]) -> Self {
        match weight {
            [one] => Self::Plain(Operand::All(*one)),
            each if each.len() == shape.iter().product::<usize>() => Self::Plain(Operand::Each(each)),
            repeated => Self::Repeated(repeated, Broadcast::new(shape, [shape, weight_shape])),
        }
    }

    /// The weights of some elements, written to the buffer where they are repeated.
    #[inline(always)]
    fn part<'b>(&self, range: Range<usize>, buffer: &'b mut [T]) -> Operand<'b, T>
    where
        'a: 'b,
    {
        match self {
            Self::Plain(operand) => operand.part(range),
            Self::Repeated(weight, broadcast) => {
                let buffer = &mut buffer[..range.len()];
                broadcast.copy_second(weight, range, buffer); // 2
                Operand::Each(buffer)
            }
        }
    }
}

/// Registers of input, target and, where there is one, positive weight.
#[derive(Clone, Copy)]
pub struct Pair<R> {
    pub x: R,
    pub t: R,
    pub p: Option<R>,
}

/// A cross-entropy of an element.
pub trait Entropy<T: Ln>: Copy + Sync {
    const COUNTER: Counter;
    /// The term of an element, before its weight.
    fn term<S: Simd>(self, s: S, pair: Pair<T::Register<S>>) -> T::Register<S>;
    /// The gradient of the input, where `share` is what the term's own gradient is.
    fn of_input<S: Simd>(self, s: S, pair: Pair<T::Register<S>>, share: T::Register<S>) -> T::Register<S>;
    /// That of the target.
    fn of_target<S: Simd>(self, s: S, pair: Pair<T::Register<S>>, share: T::Register<S>) -> T::Register<S>;
}

/// `−(t·max(ln x, −100) + (1 − t)·max(ln(1 − x), −100))`.
#[derive(Clone, Copy)]
pub struct OfProbabilities;

/// The bound of a logarithm.
const LEAST_LOGARITHM: f64 = -100.0;

/// The bound of (1 − x)·x in the gradient.
const LEAST_PRODUCT: f64 = 1e-12_f32 as f64;

impl<T: Ln> Entropy<T> for OfProbabilities {
    const COUNTER: Counter = Counter::BCELoss;

    #[inline(always)]
    fn term<S: Simd>(self, s: S, Pair { x, t, .. }: Pair<T::Register<S>>) -> T::Register<S> {
        let (one, least) = (T::splat(s, T::ONE), T::splat(s, T::narrow(LEAST_LOGARITHM)));
        let (of_hit, of_miss) = (registers::ln::<T, S>(s, x), registers::ln_1p::<T, S>(s, T::negated(s, x)));
        let hit = T::times(s, t, T::larger(s, of_hit, least));
        let miss = T::times(s, T::minus(s, one, t), T::larger(s, of_miss, least));
        T::negated(s, T::plus(s, hit, miss))
    }

    #[inline(always)]
    fn of_input<S: Simd>(self, s: S, Pair { x, t, .. }: Pair<T::Register<S>>, share: T::Register<S>) -> T::Register<S> {
        let (one, least) = (T::splat(s, T::ONE), T::splat(s, T::narrow(LEAST_PRODUCT)));
        let product = T::times(s, T::minus(s, one, x), x);
        let product = T::larger(s, product, least);
        T::over(s, T::times(s, share, T::minus(s, x, t)), product)
    }

    #[inline(always)]
    fn of_target<S: Simd>(self, s: S, Pair { x, .. }: Pair<T::Register<S>>, share: T::Register<S>) -> T::Register<S> {
        let logarithms = T::minus(s, registers::ln_1p::<T, S>(s, T::negated(s, x)), registers::ln::<T, S>(s, x));
        T::times(s, share, logarithms)
    }
}

/// `p·t·s(−x) + (1 − t)·s(x)` with s(a) = max(a, 0) + ln(1 + e^−|a|), where all is finite; otherwise, as PyTorch,
/// `(1 − t)·x − (1 + (p − 1)·t)·(min(x, 0) − ln(1 + e^−|x|))`.
#[derive(Clone, Copy)]
pub struct OfLogits;

/// max(x, 0), max(−x, 0) and ln(1 + e^−|x|).
#[inline(always)]
fn parts<T: Ln, S: Simd>(s: S, x: T::Register<S>) -> [T::Register<S>; 3] {
    let zero = T::splat(s, T::ZERO);
    let minus_x = T::negated(s, x);
    let logarithm =
        registers::ln_1p::<T, S>(s, registers::exp_without_overflow::<T, S>(s, T::negated(s, T::absolute(s, x))));
    [T::larger(s, x, zero), T::larger(s, minus_x, zero), logarithm]
}

impl<T: Ln> Entropy<T> for OfLogits {
    const COUNTER: Counter = Counter::BCEWithLogitsLoss;

    #[inline(always)]
    fn term<S: Simd>(self, s: S, Pair { x, t, p }: Pair<T::Register<S>>) -> T::Register<S> {
        let (one, most) = (T::splat(s, T::ONE), T::splat(s, T::MAX));
        let [above, below, logarithm] = parts::<T, S>(s, x);
        let rest = T::minus(s, one, t);
        let positive = if let Some(p) = p { T::times(s, p, t) } else { t };
        let hit = T::times(s, positive, T::plus(s, below, logarithm));
        let literal = T::plus(s, hit, T::times(s, rest, T::plus(s, above, logarithm)));

        let weight = if let Some(p) = p { T::plus(s, T::times(s, T::minus(s, p, one), t), one) } else { one };
        let log_sigmoid = T::minus(s, T::minus(s, T::splat(s, T::ZERO), below), logarithm);
        let other = T::minus(s, T::times(s, rest, x), T::times(s, weight, log_sigmoid));
        let mut term = literal;
        for number in [x, t, p.unwrap_or(one)] {
            term = T::where_less_or_equal(s, (T::absolute(s, number), most), term, other);
        }
        term
    }

    #[inline(always)]
    fn of_input<S: Simd>(self, s: S, Pair { x, t, p }: Pair<T::Register<S>>, share: T::Register<S>) -> T::Register<S> {
        let one = T::splat(s, T::ONE);
        let sigmoid = T::over(s, one, T::plus(s, one, registers::exp::<T, S>(s, T::negated(s, x))));
        let gradient = match p {
            None => T::minus(s, sigmoid, t),
            Some(p) => {
                let positive = T::times(s, p, t);
                let factor = T::minus(s, T::plus(s, positive, one), t);
                T::minus(s, T::times(s, factor, sigmoid), positive)
            }
        };
        T::times(s, share, gradient)
    }

    #[inline(always)]
    fn of_target<S: Simd>(
        self,
        s: S,
        Pair { x, p, .. }: Pair<T::Register<S>>,
        share: T::Register<S>,
    ) -> T::Register<S> {
        let gradient = match p {
            None => T::negated(s, x),
            Some(p) => {
                let [above, below, logarithm] = parts::<T, S>(s, x);
                T::minus(s, T::times(s, p, T::plus(s, below, logarithm)), T::plus(s, above, logarithm))
            }
        };
        T::times(s, share, gradient)
    }
}

/// What a call is about: n elements of input and target, and their weights.
pub struct Problem<'a, T> {
    pub x: &'a [T],
    pub t: &'a [T],
    pub weight: Option<Weight<'a, T>>,
    pub positive: Option<Weight<'a, T>>,
}

/// The operands of a block.
struct Operands<'a, T> {
    x: &'a [T],
    t: &'a [T],
    w: Operand<'a, T>,
    p: Option<Operand<'a, T>>,
}

impl<T: Lanes> Operands<'_, T> {
    /// The operands at register `i`, and the weight.
    #[inline(always)]
    #[expect(clippy::manual_map, reason = "a closure would not be compiled for the instruction set")]
    fn pair<S: Simd>(&self, s: S, i: usize) -> (Pair<T::Register<S>>, T::Register<S>) {
        let p = if let Some(p) = self.p { Some(p.register(s, i)) } else { None };
        let pair = Pair { x: T::registers::<S>(self.x).0[i], t: T::registers::<S>(self.t).0[i], p };
        (pair, self.w.register(s, i))
    }

    #[inline(always)]
    #[expect(clippy::manual_map, reason = "a closure would not be compiled for the instruction set")]
    fn rest<S: Simd>(&self, s: S) -> (Pair<T::Register<S>>, T::Register<S>) {
        let p = if let Some(p) = self.p { Some(p.rest(s)) } else { None };
        (Pair { x: Operand::Each(self.x).rest(s), t: Operand::Each(self.t).rest(s), p }, self.w.rest(s))
    }
}

impl<T: Lanes> Problem<'_, T> {
    /// The operands of a block of elements, weights that are repeated being written to the buffers.
    #[inline(always)]
    fn operands<'b>(
        &'b self,
        places: Range<usize>,
        [of_weight, of_positive]: &'b mut [[T; BLOCK]; 2],
    ) -> Operands<'b, T> {
        let w = match &self.weight {
            Some(weight) => weight.part(places.clone(), of_weight),
            None => Operand::All(T::ONE),
        };
        let p = match &self.positive {
            Some(weight) => Some(weight.part(places.clone(), of_positive)),
            None => None,
        };
        Operands { x: &self.x[places.clone()], t: &self.t[places], w, p }
    }
}

/// A range in blocks. The kernels loop over these themselves: a closure would not be compiled for their instruction set.
fn blocks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(BLOCK).map(move |from| from..range.end.min(from + BLOCK))
}

/// Writes the terms of a block.
#[inline(always)]
fn write_terms<T: Ln, S: Simd>(s: S, of: impl Entropy<T>, operands: &Operands<'_, T>, y: &mut [T]) {
    let (y, tail) = T::registers_mut::<S>(y);
    for (i, y) in y.iter_mut().enumerate() {
        let (pair, w) = operands.pair(s, i);
        *y = T::times(s, of.term(s, pair), w);
    }
    if !tail.is_empty() {
        let (pair, w) = operands.rest(s);
        T::store_partial(s, tail, T::times(s, of.term(s, pair), w));
    }
}

/// The term of each element.
pub fn terms<T: Ln, E: Entropy<T>>(
    of: E,
    (isa, threads): (Isa, Threads),
    problem: &Problem<'_, T>,
    mut output: Output<'_, T>,
) {
    threads::for_each(threads, output.blocks(FUNCTION_TASK).enumerate(), |(task, output)| {
        simd::run(isa, TermsOf { of, problem, first: task * FUNCTION_TASK, output });
    });
}

struct TermsOf<'a, T, E> {
    of: E,
    problem: &'a Problem<'a, T>,
    first: usize,
    output: Block<'a, T>,
}

impl<T: Ln, E: Entropy<T>> Kernel for TermsOf<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(E::COUNTER, Isa::of::<S>());
        let Self { of, problem, first, output } = self;
        let y = output.open();
        let mut buffers = [[T::ZERO; BLOCK]; 2];
        for places in blocks(first..first + y.len()) {
            let operands = problem.operands(places.clone(), &mut buffers);
            write_terms(s, of, &operands, &mut y[places.start - first..places.end - first]);
        }
    }
}

/// The sum of the terms.
pub fn sum<T: Ln, E: Entropy<T>>(of: E, (isa, threads): (Isa, Threads), problem: &Problem<'_, T>) -> f64 {
    let len = problem.x.len();
    let mut sums = vec![0.0; len.div_ceil(FUNCTION_TASK)];
    threads::for_each(threads, sums.iter_mut().enumerate(), |(task, sum)| {
        let range = task * FUNCTION_TASK..len.min((task + 1) * FUNCTION_TASK);
        *sum = simd::run(isa, SumOf { of, problem, range });
    });
    sums.iter().fold(0.0, |total, sum| total + sum) // 3, and +0 of nothing
}

struct SumOf<'a, T, E> {
    of: E,
    problem: &'a Problem<'a, T>,
    range: Range<usize>,
}

impl<T: Ln, E: Entropy<T>> Kernel for SumOf<'_, T, E> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f64 {
        counters::record(E::COUNTER, Isa::of::<S>());
        let Self { of, problem, range } = self;
        let (mut buffer, mut buffers, mut total) = ([T::ZERO; BLOCK], [[T::ZERO; BLOCK]; 2], 0.0);
        for places in blocks(range) {
            let terms = &mut buffer[..places.len()];
            write_terms(s, of, &problem.operands(places, &mut buffers), terms);
            total += sum_of::<T, S>(s, terms).widen(); // 3
        }
        total
    }
}

#[inline(always)]
fn sum_of<T: Lanes, S: Simd>(s: S, elements: &[T]) -> T {
    let (registers, tail) = T::registers::<S>(elements);
    let (fours, rest) = registers.as_chunks::<4>();
    let mut sums = [T::splat(s, T::ZERO); 4];
    for four in fours {
        for i in 0..4 {
            sums[i] = T::plus(s, sums[i], four[i]);
        }
    }
    for x in rest {
        sums[0] = T::plus(s, sums[0], *x);
    }
    if !tail.is_empty() {
        sums[1] = T::plus(s, sums[1], T::load_partial(s, tail));
    }
    T::sum(s, T::plus(s, T::plus(s, sums[0], sums[1]), T::plus(s, sums[2], sums[3])))
}

/// The gradients of input and, where it is asked for, target; g is the gradient of each term, or of their sum, and `n` what the sum
/// is divided by.
pub fn gradients<T: Ln, E: Entropy<T>>(
    of: E,
    (isa, threads): (Isa, Threads),
    problem: &Problem<'_, T>,
    (g, n): (Operand<'_, T>, Option<T>),
    (mut dx, mut dt): (Output<'_, T>, Option<Output<'_, T>>),
) {
    let mut of_target = dt.as_mut().map(|dt| dt.blocks(FUNCTION_TASK));
    let outputs = dx.blocks(FUNCTION_TASK).map(|dx| (dx, of_target.as_mut().and_then(Iterator::next)));
    threads::for_each(threads, outputs.enumerate(), |(task, outputs)| {
        simd::run(isa, GradientsOf { of, problem, g, n, first: task * FUNCTION_TASK, outputs });
    });
}

struct GradientsOf<'a, T, E> {
    of: E,
    problem: &'a Problem<'a, T>,
    g: Operand<'a, T>,
    n: Option<T>,
    first: usize,
    outputs: (Block<'a, T>, Option<Block<'a, T>>),
}

impl<T: Ln, E: Entropy<T>> Kernel for GradientsOf<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(E::COUNTER, Isa::of::<S>());
        let Self { of, problem, g, n, first, outputs: (dx, dt) } = self;
        let (dx, mut dt) = (dx.open(), dt.map(Block::open));
        let mut buffers = [[T::ZERO; BLOCK]; 2];
        for places in blocks(first..first + dx.len()) {
            let operands = problem.operands(places.clone(), &mut buffers);
            let g = g.part(places.clone());
            let places = places.start - first..places.end - first;
            let (dx, tail) = T::registers_mut::<S>(&mut dx[places.clone()]);
            for (i, dx) in dx.iter_mut().enumerate() {
                let (pair, w) = operands.pair(s, i);
                *dx = of.of_input(s, pair, share::<T, S>(s, g.register(s, i), w, n));
            }
            if !tail.is_empty() {
                let (pair, w) = operands.rest(s);
                T::store_partial(s, tail, of.of_input(s, pair, share::<T, S>(s, g.rest(s), w, n)));
            }
            if let Some(dt) = &mut dt {
                let (dt, tail) = T::registers_mut::<S>(&mut dt[places]);
                for (i, dt) in dt.iter_mut().enumerate() {
                    let (pair, w) = operands.pair(s, i);
                    *dt = of.of_target(s, pair, share::<T, S>(s, g.register(s, i), w, n));
                }
                if !tail.is_empty() {
                    let (pair, w) = operands.rest(s);
                    T::store_partial(s, tail, of.of_target(s, pair, share::<T, S>(s, g.rest(s), w, n)));
                }
            }
        }
    }
}

/// g·w, or g·w/n.
#[inline(always)]
fn share<T: Lanes, S: Simd>(s: S, g: T::Register<S>, w: T::Register<S>, n: Option<T>) -> T::Register<S> {
    let share = T::times(s, g, w);
    match n {
        Some(n) => T::over(s, share, T::splat(s, n)),
        None => share,
    }
}
