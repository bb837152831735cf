//! Binary cross-entropies: a term for each element of input and target, under weights; summed or not; and their gradients.
//!
//! The plain loop is `for i in 0..n { sum += term(x[i], t[i]) * w[i] }`. We depart from it:
//! 1. registers instead of elements; the ones that do not fill a register are one masked register more;
//! 2. a weight that is broadcast is written out for one block of [`BLOCK`] elements at a time, which stays in cache;
//! 3. each block is summed in the elements' own type, in so many short sums that it rounds little; the sums of the blocks, and
//!    of the tasks, are added in f64, in their order;
//! 4. both gradients of a block are written one after the other, while its operands are in cache.

use super::activations::power_of_minus_size;
use super::elementwise::{BLOCK, Equal, FUNCTION_TASK, Split};
use super::strided::Broadcast;
use crate::counters::{self, Counter};
use crate::math::{Ln, registers};
use crate::memory::{Block, Output, Source};
use crate::simd::{self, Group, Isa, Kernel, LONG, Lanes, SHORT, Simd};
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

impl<T: Lanes, S: Simd> Source<T, S> for Operand<'_, T> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        match *self {
            Self::Each(elements) => Split::new(elements).group(s, i),
            Self::All(number) => Equal(number).group(s, i),
        }
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        match *self {
            Self::Each(elements) => Split::new(elements).rest(s),
            Self::All(number) => Equal(number).rest(s),
        }
    }
}

impl<T: Lanes> Operand<'_, T> {
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
pub struct Pair<T: Lanes, S: Simd, const N: usize> {
    pub x: Group<T, S, N>,
    pub t: Group<T, S, N>,
    pub p: Option<Group<T, S, N>>,
}

/// A cross-entropy of an element.
pub trait Entropy<T: Ln>: Copy + Sync {
    const COUNTER: Counter;
    /// Registers whose terms, and whose gradients, are computed together: [`SHORT`] or [`LONG`].
    const GROUP: usize;
    /// The term of an element, before its weight.
    fn term<S: Simd, const N: usize>(self, pair: Pair<T, S, N>) -> Group<T, S, N>;
    /// The gradient of the input, where `share` is what the term's own gradient is.
    fn of_input<S: Simd, const N: usize>(self, pair: Pair<T, S, N>, share: Group<T, S, N>) -> Group<T, S, N>;
    /// That of the target.
    fn of_target<S: Simd, const N: usize>(self, pair: Pair<T, S, N>, share: Group<T, S, N>) -> Group<T, S, N>;
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
    const GROUP: usize = SHORT;

    #[inline(always)]
    fn term<S: Simd, const N: usize>(self, Pair { x, t, .. }: Pair<T, S, N>) -> Group<T, S, N> {
        let least = T::narrow(LEAST_LOGARITHM);
        let hit = t * registers::ln(x).larger(least);
        let miss = (x.full(T::ONE) - t) * registers::ln_1p(-x).larger(least);
        -(hit + miss)
    }

    #[inline(always)]
    fn of_input<S: Simd, const N: usize>(
        self,
        Pair { x, t, .. }: Pair<T, S, N>,
        share: Group<T, S, N>,
    ) -> Group<T, S, N> {
        let product = (x.full(T::ONE) - x) * x;
        share * (x - t) / product.larger(T::narrow(LEAST_PRODUCT))
    }

    #[inline(always)]
    fn of_target<S: Simd, const N: usize>(
        self,
        Pair { x, .. }: Pair<T, S, N>,
        share: Group<T, S, N>,
    ) -> Group<T, S, N> {
        share * (registers::ln_1p(-x) - registers::ln(x))
    }
}

/// `p·t·s(−x) + (1 − t)·s(x)` with s(a) = max(a, 0) + ln(1 + e^−|a|), where all is finite; otherwise, as PyTorch,
/// `(1 − t)·x − (1 + (p − 1)·t)·(min(x, 0) − ln(1 + e^−|x|))`.
#[derive(Clone, Copy)]
pub struct OfLogits;

/// max(x, 0), max(−x, 0) and ln(1 + e^−|x|).
#[inline(always)]
fn parts<T: Ln, S: Simd, const N: usize>(x: Group<T, S, N>) -> [Group<T, S, N>; 3] {
    [x.larger(T::ZERO), (-x).larger(T::ZERO), registers::ln_1p(power_of_minus_size(x))]
}

impl<T: Ln> Entropy<T> for OfLogits {
    const COUNTER: Counter = Counter::BCEWithLogitsLoss;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn term<S: Simd, const N: usize>(self, Pair { x, t, p }: Pair<T, S, N>) -> Group<T, S, N> {
        let (zero, one) = (x.full(T::ZERO), x.full(T::ONE));
        let [above, below, logarithm] = parts(x);
        let rest = one - t;
        let positive = if let Some(p) = p { p * t } else { t };
        let literal = positive * (below + logarithm) + rest * (above + logarithm);

        let weight = if let Some(p) = p { (p - one) * t + one } else { one };
        let other = rest * x - weight * (zero - below - logarithm);
        let mut term = literal;
        for number in [x, t, p.unwrap_or(one)] {
            term = number.absolute().where_less_or_equal(T::MAX, term, other);
        }
        term
    }

    #[inline(always)]
    fn of_input<S: Simd, const N: usize>(
        self,
        Pair { x, t, p }: Pair<T, S, N>,
        share: Group<T, S, N>,
    ) -> Group<T, S, N> {
        let one = x.full(T::ONE);
        let sigmoid = one / (one + registers::exp(-x));
        let gradient = match p {
            None => sigmoid - t,
            Some(p) => {
                let positive = p * t;
                (positive + one - t) * sigmoid - positive
            }
        };
        share * gradient
    }

    #[inline(always)]
    fn of_target<S: Simd, const N: usize>(
        self,
        Pair { x, p, .. }: Pair<T, S, N>,
        share: Group<T, S, N>,
    ) -> Group<T, S, N> {
        let gradient = match p {
            None => -x,
            Some(p) => {
                let [above, below, logarithm] = parts(x);
                p * (below + logarithm) - (above + logarithm)
            }
        };
        share * gradient
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
    /// The operands at places N·i to N·i + N − 1, and the weight.
    #[inline(always)]
    #[expect(clippy::manual_map, reason = "a closure would not be compiled for the instruction set")]
    fn group<S: Simd, const N: usize>(&self, s: S, i: usize) -> (Pair<T, S, N>, Group<T, S, N>) {
        let p = if let Some(p) = self.p { Some(p.group(s, i)) } else { None };
        (Pair { x: Split::new(self.x).group(s, i), t: Split::new(self.t).group(s, i), p }, self.w.group(s, i))
    }

    #[inline(always)]
    #[expect(clippy::manual_map, reason = "a closure would not be compiled for the instruction set")]
    fn rest<S: Simd>(&self, s: S) -> (Pair<T, S, 1>, Group<T, S, 1>) {
        let p = if let Some(p) = self.p { Some(p.rest(s)) } else { None };
        (Pair { x: Split::new(self.x).rest(s), t: Split::new(self.t).rest(s), p }, self.w.rest(s))
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

/// The terms of a block's elements, times their weights.
struct Terms<'a, T, E> {
    of: E,
    operands: Operands<'a, T>,
}

impl<T: Ln, S: Simd, E: Entropy<T>> Source<T, S> for Terms<'_, T, E> {
    const GROUP: usize = E::GROUP;

    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        let (pair, w) = self.operands.group(s, i);
        self.of.term(pair) * w
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        let (pair, w) = self.operands.rest(s);
        self.of.term(pair) * w
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
        let mut buffers = [[T::ZERO; BLOCK]; 2];
        for (block, y) in output.split(BLOCK).enumerate() {
            let from = first + block * BLOCK;
            let operands = problem.operands(from..from + y.len(), &mut buffers);
            y.fill(s, Terms { of, operands });
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
            let operands = problem.operands(places, &mut buffers);
            Block::from(&mut *terms).fill(s, Terms { of, operands });
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
        let mut of_target = dt.map(|dt| dt.split(BLOCK));
        let mut buffers = [[T::ZERO; BLOCK]; 2];
        for (block, dx) in dx.split(BLOCK).enumerate() {
            let places = first + block * BLOCK..first + block * BLOCK + dx.len();
            let operands = problem.operands(places.clone(), &mut buffers);
            let of_block = OfBlock { of, operands, g: g.part(places), n };
            dx.fill(s, OfInput(&of_block));
            if let Some(dt) = of_target.as_mut().and_then(Iterator::next) {
                dt.fill(s, OfTarget(&of_block)); // 4
            }
        }
    }
}

/// What the gradients of a block are computed from.
struct OfBlock<'a, T, E> {
    of: E,
    operands: Operands<'a, T>,
    g: Operand<'a, T>,
    n: Option<T>,
}

impl<T: Lanes, E> OfBlock<'_, T, E> {
    /// The operands, and g·w or g·w/n.
    #[inline(always)]
    fn group<S: Simd, const N: usize>(&self, s: S, i: usize) -> (Pair<T, S, N>, Group<T, S, N>) {
        let (pair, w) = self.operands.group(s, i);
        (pair, self.share(self.g.group(s, i) * w))
    }

    #[inline(always)]
    fn rest<S: Simd>(&self, s: S) -> (Pair<T, S, 1>, Group<T, S, 1>) {
        let (pair, w) = self.operands.rest(s);
        (pair, self.share(self.g.rest(s) * w))
    }

    #[inline(always)]
    fn share<S: Simd, const N: usize>(&self, weighted: Group<T, S, N>) -> Group<T, S, N> {
        if let Some(n) = self.n { weighted / n } else { weighted }
    }
}

struct OfInput<'a, 'b, T, E>(&'a OfBlock<'b, T, E>);

impl<T: Ln, S: Simd, E: Entropy<T>> Source<T, S> for OfInput<'_, '_, T, E> {
    const GROUP: usize = E::GROUP;

    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        let (pair, share) = self.0.group(s, i);
        self.0.of.of_input(pair, share)
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        let (pair, share) = self.0.rest(s);
        self.0.of.of_input(pair, share)
    }
}

struct OfTarget<'a, 'b, T, E>(&'a OfBlock<'b, T, E>);

impl<T: Ln, S: Simd, E: Entropy<T>> Source<T, S> for OfTarget<'_, '_, T, E> {
    const GROUP: usize = E::GROUP;

    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        let (pair, share) = self.0.group(s, i);
        self.0.of.of_target(pair, share)
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        let (pair, share) = self.0.rest(s);
        self.0.of.of_target(pair, share)
    }
}
