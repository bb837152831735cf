//! Functions of the difference of input and target, summed or not, and their gradients; input and target of one shape.
//!
//! The plain loop is `for i in 0..n { sum += (x[i] - t[i]).powi(2) }`, or of `(x[i] - t[i]).abs()`. We depart from it:
//! 1. four accumulators, each of a register: a sum does not wait for the one before;
//! 2. each block of [`BLOCK`] elements is summed in the elements' own type, in so many short sums that it rounds little; the
//!    sums of the blocks, and of the tasks, are added in f64, in their order;
//! 3. the gradients of input and target are written in one sweep; the factor 2g/n or g/n that they share is computed once in f64
//!    and rounded once, unless it is too small or too large for that.

use super::elementwise::{BLOCK, Equal, Split, TASK, Zip};
use crate::counters::{self, Counter};
use crate::memory::{Block, Output, Source};
use crate::simd::{self, Group, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// A loss of the difference d = x − t.
pub trait Difference: Copy + Sync {
    /// The kernel of this file, and that of [`super::strided`].
    const COUNTERS: [Counter; 2];
    /// What the derivative has beside its [`Difference::direction`].
    const SCALE: f64;

    /// The term of an element.
    fn term<T: Lanes>(self, d: T) -> T;
    /// The derivative of the term is `SCALE` times this.
    fn direction<T: Lanes>(self, d: T) -> T;
    /// The terms of registers, added to `sum`.
    fn add<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>, sum: Group<T, S, N>) -> Group<T, S, N>;
    /// The terms of registers.
    fn terms<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>) -> Group<T, S, N>;
    /// The directions of registers.
    fn directions<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>) -> Group<T, S, N>;
}

/// d².
#[derive(Clone, Copy)]
pub struct Squared;

impl Difference for Squared {
    const COUNTERS: [Counter; 2] = [Counter::MSELossOnePass, Counter::MSELossStrided];
    const SCALE: f64 = 2.0;

    #[inline(always)]
    fn term<T: Lanes>(self, d: T) -> T {
        d * d
    }
    #[inline(always)]
    fn direction<T: Lanes>(self, d: T) -> T {
        d
    }
    #[inline(always)]
    fn add<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>, sum: Group<T, S, N>) -> Group<T, S, N> {
        d.multiply_add(d, sum)
    }
    #[inline(always)]
    fn terms<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>) -> Group<T, S, N> {
        d * d
    }
    #[inline(always)]
    fn directions<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>) -> Group<T, S, N> {
        d
    }
}

/// |d|, whose derivative is the sign of d: 0 at 0 and, as in PyTorch, at NaN.
#[derive(Clone, Copy)]
pub struct Absolute;

impl Difference for Absolute {
    const COUNTERS: [Counter; 2] = [Counter::L1LossOnePass, Counter::L1LossStrided];
    const SCALE: f64 = 1.0;

    #[inline(always)]
    fn term<T: Lanes>(self, d: T) -> T {
        d.magnitude()
    }
    #[inline(always)]
    fn direction<T: Lanes>(self, d: T) -> T {
        let negative = if d < T::ZERO { -T::ONE } else { T::ZERO };
        if d > T::ZERO { T::ONE } else { negative }
    }
    #[inline(always)]
    fn add<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>, sum: Group<T, S, N>) -> Group<T, S, N> {
        sum + d.absolute()
    }
    #[inline(always)]
    fn terms<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>) -> Group<T, S, N> {
        d.absolute()
    }
    #[inline(always)]
    fn directions<T: Lanes, S: Simd, const N: usize>(self, d: Group<T, S, N>) -> Group<T, S, N> {
        let zero = d.full(T::ZERO);
        zero.where_less(d, T::ONE, d.where_less(zero, -T::ONE, zero))
    }
}

/// The term of each pair of elements.
#[derive(Clone, Copy)]
pub struct Terms<D>(pub D);

impl<T: Lanes, D: Difference> Zip<T> for Terms<D> {
    const COUNTER: Counter = D::COUNTERS[0];

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>, t: Group<T, S, N>) -> Group<T, S, N> {
        self.0.terms(x - t)
    }
}

/// The sum of the terms.
pub fn sum<T: Lanes, D: Difference>(of: D, (isa, threads): (Isa, Threads), x: &[T], t: &[T]) -> f64 {
    let run = |x: &[T], t: &[T]| simd::run(isa, Sum { of, x, t });
    if x.len() <= TASK {
        return run(x, t);
    }
    let mut sums = vec![0.0; x.len().div_ceil(TASK)];
    threads::for_each(threads, sums.iter_mut().zip(x.chunks(TASK).zip(t.chunks(TASK))), |(sum, (x, t))| {
        *sum = run(x, t);
    });
    sums.iter().sum() // 2
}

struct Sum<'a, T, D> {
    of: D,
    x: &'a [T],
    t: &'a [T],
}

impl<T: Lanes, D: Difference> Kernel for Sum<'_, T, D> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f64 {
        counters::record(D::COUNTERS[0], Isa::of::<S>());
        let mut sum = 0.0;
        for (x, t) in self.x.chunks(BLOCK).zip(self.t.chunks(BLOCK)) {
            sum += sum_block(self.of, s, x, t).widen();
        }
        sum
    }
}

#[inline(always)]
fn sum_block<T: Lanes, S: Simd, D: Difference>(of: D, s: S, x: &[T], t: &[T]) -> T {
    let ((x, x_tail), (t, t_tail)) = (T::registers::<S>(x), T::registers::<S>(t));
    let ((x_fours, x_rest), (t_fours, t_rest)) = (x.as_chunks::<4>(), t.as_chunks::<4>());
    let mut sums = Group::<T, S, 4>::new(s, [T::splat(s, T::ZERO); 4]); // 1
    for (x, t) in x_fours.iter().zip(t_fours) {
        sums = of.add(Group::new(s, *x) - Group::new(s, *t), sums);
    }
    let mut sums = sums.registers();
    for (x, t) in x_rest.iter().zip(t_rest) {
        let (x, t): (Group<T, S, 1>, _) = (Group::one(s, *x), Group::one(s, *t));
        sums[0] = of.add(x - t, Group::one(s, sums[0])).register();
    }
    if !x_tail.is_empty() {
        let (x, t) = (T::load_partial(s, x_tail), T::load_partial(s, t_tail));
        let (x, t): (Group<T, S, 1>, _) = (Group::one(s, x), Group::one(s, t));
        sums[1] = of.add(x - t, Group::one(s, sums[1])).register();
    }
    T::sum(s, T::plus(s, T::plus(s, sums[0], sums[1]), T::plus(s, sums[2], sums[3])))
}

/// What the direction is multiplied by.
#[derive(Clone, Copy)]
pub enum Slope<'a, T> {
    /// `SCALE`·g, g of each element.
    Each(&'a [T]),
    /// `SCALE`·g/n of all, rounded once.
    All(T),
    /// `SCALE`/n and g of all, where their product would be subnormal or overflow.
    Apart { c: T, g: T },
}

impl<'a, T: Lanes> Slope<'a, T> {
    /// Of a loss with one output: g is its gradient, and `n` what its sum is divided by.
    pub fn of_all<D: Difference>(_: D, g: T, n: f64) -> Self {
        let factor = T::narrow(D::SCALE * g.widen() / n);
        let safe = factor.magnitude() >= T::SMALLEST_NORMAL && factor.magnitude() <= T::MAX;
        if safe || g == T::ZERO { Self::All(factor) } else { Self::Apart { c: T::narrow(D::SCALE / n), g } } // 3
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

/// The gradients of input and, where it is asked for, target.
pub fn gradients<T: Lanes, D: Difference>(
    of: D,
    (isa, threads): (Isa, Threads),
    (x, t): (&[T], &[T]),
    slope: Slope<'_, T>,
    (mut dx, mut dt): (Output<'_, T>, Option<Output<'_, T>>),
) {
    let operands = x.chunks(TASK).zip(t.chunks(TASK)).enumerate();
    let mut of_target = dt.as_mut().map(|dt| dt.blocks(TASK));
    let outputs = dx.blocks(TASK).map(|dx| (dx, of_target.as_mut().and_then(Iterator::next)));
    threads::for_each(threads, outputs.zip(operands), |((dx, dt), (task, (x, t)))| {
        simd::run(isa, Gradients { of, x, t, slope: slope.part(task * TASK, x.len()), dx, dt });
    });
}

struct Gradients<'a, T, D> {
    of: D,
    x: &'a [T],
    t: &'a [T],
    slope: Slope<'a, T>,
    dx: Block<'a, T>,
    dt: Option<Block<'a, T>>,
}

impl<T: Lanes, D: Difference> Kernel for Gradients<'_, T, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(D::COUNTERS[0], Isa::of::<S>());
        let of = self.of;
        let mut of_target = self.dt.map(|dt| dt.split(BLOCK));
        let operands = self.x.chunks(BLOCK).zip(self.t.chunks(BLOCK));
        for (i, (dx, (x, t))) in self.dx.split(BLOCK).zip(operands).enumerate() {
            let dt = of_target.as_mut().and_then(Iterator::next);
            let (x, t) = (Split::new(x), Split::new(t));
            match self.slope.part(i * BLOCK, dx.len()) {
                Slope::Each(g) => {
                    let (c, g) = (T::narrow(D::SCALE), Split::new(g));
                    fill_both(s, (dx, dt), Gradient { of, x, t, c, g });
                }
                Slope::All(factor) => {
                    let (c, g) = (factor, Equal(T::ONE));
                    fill_both(s, (dx, dt), Gradient { of, x, t, c, g });
                }
                Slope::Apart { c, g } => {
                    let g = Equal(g);
                    fill_both(s, (dx, dt), Gradient { of, x, t, c, g });
                }
            }
        }
    }
}

/// Fills a block with the gradient of x and, where there is one, another with that of t, which is computed again: dx may be out
/// of reach by then.
#[inline(always)]
fn fill_both<T: Lanes, S: Simd>(
    s: S,
    (dx, dt): (Block<'_, T>, Option<Block<'_, T>>),
    gradient: impl Source<T, S> + Copy,
) {
    dx.fill(s, gradient);
    if let Some(dt) = dt {
        dt.fill(s, Negated(gradient));
    }
}

/// `c·direction(x − t)·g`.
#[derive(Clone, Copy)]
struct Gradient<D, X, C, G> {
    of: D,
    x: X,
    t: X,
    c: C,
    g: G,
}

impl<T: Lanes, S: Simd, D: Difference, X: Source<T, S>, G: Source<T, S>> Source<T, S> for Gradient<D, X, T, G> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        self.of.directions(self.x.group(s, i) - self.t.group(s, i)) * self.c * self.g.group(s, i)
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        self.of.directions(self.x.rest(s) - self.t.rest(s)) * self.c * self.g.rest(s)
    }
}

/// −x.
struct Negated<X>(X);

impl<T: Lanes, S: Simd, X: Source<T, S>> Source<T, S> for Negated<X> {
    #[inline(always)]
    fn group<const N: usize>(&self, s: S, i: usize) -> Group<T, S, N> {
        -self.0.group(s, i)
    }
    #[inline(always)]
    fn rest(&self, s: S) -> Group<T, S, 1> {
        -self.0.rest(s)
    }
}
