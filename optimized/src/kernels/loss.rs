//! The squared difference, summed or not, and its gradients; input and target of one shape.
//!
//! The plain loop is `for i in 0..n { sum += (x[i] - t[i]).powi(2) }`. We depart from it:
//! 1. four accumulators, each of a register: a sum does not wait for the one before;
//! 2. each block of [`BLOCK`] elements is summed in the elements' own type, in so many short sums that it rounds little; the
//!    sums of the blocks, and of the tasks, are added in f64, in their order;
//! 3. the gradients of input and target are written in one sweep; the factor 2g/n that they share is computed once in f64
//!    and rounded once, unless it is too small or too large for that.

use super::elementwise::{BLOCK, Split, TASK, Zip};
use crate::counters::{self, Counter};
use crate::memory::{Block, Output, Source};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// (x − t)².
#[derive(Clone, Copy)]
pub struct SquaredDifference;

impl<T: Lanes> Zip<T> for SquaredDifference {
    const COUNTER: Counter = Counter::MSELossOnePass;

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: T::Register<S>, t: T::Register<S>) -> T::Register<S> {
        let difference = T::minus(s, x, t);
        T::times(s, difference, difference)
    }
}

/// Σ (x − t)².
pub fn sum_of_squares<T: Lanes>((isa, threads): (Isa, Threads), x: &[T], t: &[T]) -> f64 {
    let run = |x: &[T], t: &[T]| simd::run(isa, SumOfSquares { x, t });
    if x.len() <= TASK {
        return run(x, t);
    }
    let mut sums = vec![0.0; x.len().div_ceil(TASK)];
    threads::for_each(threads, sums.iter_mut().zip(x.chunks(TASK).zip(t.chunks(TASK))), |(sum, (x, t))| {
        *sum = run(x, t);
    });
    sums.iter().sum() // 2
}

struct SumOfSquares<'a, T> {
    x: &'a [T],
    t: &'a [T],
}

impl<T: Lanes> Kernel for SumOfSquares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f64 {
        counters::record(Counter::MSELossOnePass, Isa::of::<S>());
        let mut sum = 0.0;
        for (x, t) in self.x.chunks(BLOCK).zip(self.t.chunks(BLOCK)) {
            sum += sum_block(s, x, t).widen();
        }
        sum
    }
}

#[inline(always)]
fn sum_block<T: Lanes, S: Simd>(s: S, x: &[T], t: &[T]) -> T {
    let ((x, x_tail), (t, t_tail)) = (T::registers::<S>(x), T::registers::<S>(t));
    let ((x_fours, x_rest), (t_fours, t_rest)) = (x.as_chunks::<4>(), t.as_chunks::<4>());
    let mut sums = [T::splat(s, T::ZERO); 4]; // 1
    for (x, t) in x_fours.iter().zip(t_fours) {
        for i in 0..4 {
            let difference = T::minus(s, x[i], t[i]);
            sums[i] = T::multiply_add(s, difference, difference, sums[i]);
        }
    }
    for (x, t) in x_rest.iter().zip(t_rest) {
        let difference = T::minus(s, *x, *t);
        sums[0] = T::multiply_add(s, difference, difference, sums[0]);
    }
    if !x_tail.is_empty() {
        let difference = T::minus(s, T::load_partial(s, x_tail), T::load_partial(s, t_tail));
        sums[1] = T::multiply_add(s, difference, difference, sums[1]);
    }
    T::sum(s, T::plus(s, T::plus(s, sums[0], sums[1]), T::plus(s, sums[2], sums[3])))
}

/// What (x − t) is multiplied by.
#[derive(Clone, Copy)]
pub enum Slope<'a, T> {
    /// 2·g, g of each element.
    Each(&'a [T]),
    /// 2·g/n of all, rounded once.
    All(T),
    /// 2/n and g of all, where their product would be subnormal or overflow.
    Apart { c: T, g: T },
}

impl<'a, T: Lanes> Slope<'a, T> {
    /// Of a loss with one output: g is its gradient, and `n` what its sum is divided by.
    pub fn of_all(g: T, n: f64) -> Self {
        let factor = T::narrow(2.0 * g.widen() / n);
        let safe = factor.magnitude() >= T::SMALLEST_NORMAL && factor.magnitude() <= T::MAX;
        if safe || g == T::ZERO { Self::All(factor) } else { Self::Apart { c: T::narrow(2.0 / n), g } } // 3
    }

    /// The part for elements from `start` on.
    #[inline(always)]
    pub fn part(self, start: usize, len: usize) -> Self {
        match self {
            Self::Each(g) => Self::Each(&g[start..start + len]),
            other => other,
        }
    }
}

/// The gradients of input and target.
pub fn gradients<T: Lanes>(
    (isa, threads): (Isa, Threads),
    (x, t): (&[T], &[T]),
    slope: Slope<'_, T>,
    [mut dx, mut dt]: [Output<'_, T>; 2],
) {
    let operands = x.chunks(TASK).zip(t.chunks(TASK)).enumerate();
    threads::for_each(threads, dx.blocks(TASK).zip(dt.blocks(TASK)).zip(operands), |((dx, dt), (task, (x, t)))| {
        simd::run(isa, Gradients { x, t, slope: slope.part(task * TASK, x.len()), dx, dt });
    });
}

struct Gradients<'a, T> {
    x: &'a [T],
    t: &'a [T],
    slope: Slope<'a, T>,
    dx: Block<'a, T>,
    dt: Block<'a, T>,
}

impl<T: Lanes> Kernel for Gradients<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::MSELossOnePass, Isa::of::<S>());
        let outputs = self.dx.split(BLOCK).zip(self.dt.split(BLOCK));
        for (i, ((dx, dt), (x, t))) in outputs.zip(self.x.chunks(BLOCK).zip(self.t.chunks(BLOCK))).enumerate() {
            let (x, t) = (Split::new(x), Split::new(t));
            let dx: &[T] = match self.slope.part(i * BLOCK, dx.len()) {
                Slope::Each(g) => {
                    let (c, g) = (T::splat(s, T::TWO), Split::new(g));
                    dx.fill(s, Gradient { x, t, c, g })
                }
                Slope::All(factor) => {
                    let (c, g) = (T::splat(s, factor), Equal(T::splat(s, T::ONE)));
                    dx.fill(s, Gradient { x, t, c, g })
                }
                Slope::Apart { c, g } => {
                    let (c, g) = (T::splat(s, c), Equal(T::splat(s, g)));
                    dx.fill(s, Gradient { x, t, c, g })
                }
            };
            dt.fill(s, Negated(Split::new(dx)));
        }
    }
}

/// `c·(x − t)·g`.
struct Gradient<X, C, G> {
    x: X,
    t: X,
    c: C,
    g: G,
}

impl<X, C: Copy, G> Gradient<X, C, G> {
    #[inline(always)]
    fn of<T: Lanes<Register<S> = C>, S: Simd>(&self, s: S, x: C, t: C, g: C) -> C {
        T::times(s, T::times(s, self.c, T::minus(s, x, t)), g)
    }
}

impl<T: Lanes, S: Simd, X: Source<T, S>, G: Source<T, S>> Source<T, S> for Gradient<X, T::Register<S>, G> {
    #[inline(always)]
    fn four(&self, s: S, i: usize) -> [T::Register<S>; 4] {
        let (x, t, g) = (self.x.four(s, i), self.t.four(s, i), self.g.four(s, i));
        let of = |k: usize| self.of::<T, S>(s, x[k], t[k], g[k]);
        [of(0), of(1), of(2), of(3)]
    }
    #[inline(always)]
    fn register(&self, s: S, i: usize) -> T::Register<S> {
        self.of::<T, S>(s, self.x.register(s, i), self.t.register(s, i), self.g.register(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> T::Register<S> {
        self.of::<T, S>(s, self.x.rest(s), self.t.rest(s), self.g.rest(s))
    }
}

/// The same register everywhere.
struct Equal<R>(R);

impl<T: Lanes, S: Simd> Source<T, S> for Equal<T::Register<S>> {
    #[inline(always)]
    fn four(&self, _: S, _: usize) -> [T::Register<S>; 4] {
        [self.0; 4]
    }
    #[inline(always)]
    fn register(&self, _: S, _: usize) -> T::Register<S> {
        self.0
    }
    #[inline(always)]
    fn rest(&self, _: S) -> T::Register<S> {
        self.0
    }
}

/// −x.
struct Negated<X>(X);

impl<T: Lanes, S: Simd, X: Source<T, S>> Source<T, S> for Negated<X> {
    #[inline(always)]
    fn four(&self, s: S, i: usize) -> [T::Register<S>; 4] {
        let x = self.0.four(s, i);
        [T::negated(s, x[0]), T::negated(s, x[1]), T::negated(s, x[2]), T::negated(s, x[3])]
    }
    #[inline(always)]
    fn register(&self, s: S, i: usize) -> T::Register<S> {
        T::negated(s, self.0.register(s, i))
    }
    #[inline(always)]
    fn rest(&self, s: S) -> T::Register<S> {
        T::negated(s, self.0.rest(s))
    }
}
