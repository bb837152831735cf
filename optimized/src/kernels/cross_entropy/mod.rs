//! The cross-entropy of the softmax of lines of logits, and its gradients.
//!
//! The plain loops are, for each line x of C logits, `m = max x`, `L = ln Σ exp(x[c] − m)`, `s[c] = (x[c] − m) − L`, and the
//! loss `−Σ w[c]·q[c]·s[c]`; backward, with the coefficients G of the logarithms, `dx[c] = G[c] − exp(s[c])·ΣG`. We depart from
//! them:
//! 1. s is never written: forward keeps m and L of each line, from which backward has it again;
//! 2. of a class without smoothing, one logarithm of a line is computed, and one coefficient is not 0;
//! 3. lines whose elements are not neighbours are copied, as many side by side as a cache line has elements or more, into lines
//!    that are; so are their gradients, back;
//! 4. ln of the sum is the system's, in f64 and rounded once, but for departure 6: there is one for each line;
//! 5. threads take lines that the shape alone decides on;
//! 6. lines side by side with a class each and no smoothing, as those of images are, go through the loops together, row by row: each has
//!    one sum, and ln is our own;
//! 7. m and L of a line are found in one sweep: e^(x − m) of a block is summed with the largest so far, and what was summed before is
//!    multiplied by e^(m_before − m) where that grows; numbers that are nothing beside the largest's 1 are not exact. What is
//!    read next is asked for ahead.

mod columns;
mod sweep;

use crate::counters::{self, Counter};
use crate::kernels::elementwise::{Map, Mapped, Split, Zip, zip_registers};
use crate::kernels::softmax::{Lines, STRIP};
use crate::kernels::tiles::{Tile, tiles};
use crate::math::{Exp, Ln, registers};
use crate::memory::{Block, Output};
use crate::simd::{self, Group, Isa, Kernel, LONG, Lanes, Simd};
use crate::threads::{self, Threads};
use sweep::largest_and_sum;

/// What the logits are held against.
#[derive(Clone, Copy)]
pub enum Target<'a, T> {
    /// A class for each line, one of which is ignored.
    Classes { classes: &'a [i64], ignored: i64 },
    /// A probability for each logit.
    Probabilities(&'a [T]),
}

/// Lines of logits, and what is asked of them.
#[derive(Clone, Copy)]
pub struct Problem<'a, T> {
    pub lines: Lines,
    pub x: &'a [T],
    pub target: Target<'a, T>,
    pub weight: Option<&'a [T]>,
    /// 1 − ε.
    pub kept: T,
    /// ε/C, where there is any smoothing.
    pub spread: Option<T>,
}

/// A class for each line, one of which is ignored.
#[derive(Clone, Copy)]
struct Classes<'a> {
    classes: &'a [i64],
    ignored: i64,
}

impl Classes<'_> {
    /// The class of a line, where it counts.
    fn of(&self, line: usize) -> Option<usize> {
        if self.classes[line] == self.ignored { None } else { usize::try_from(self.classes[line]).ok() }
    }
}

/// What backward needs to know of a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line<T> {
    /// The largest logit, m.
    pub largest: T,
    /// ln Σ e^(x − m).
    pub log_sum: T,
}

/// What forward finds of each line, in the order of the lines' elements.
#[derive(Debug)]
pub struct Found<T> {
    pub lines: Vec<Line<T>>,
    /// −w·s of the class; or the loss, where the target holds probabilities.
    pub hits: Vec<T>,
    /// −Σ w·s, where classes are smoothed; else nothing.
    pub all: Vec<T>,
}

/// The same of some lines, while it is being found.
struct Finding<'a, T> {
    lines: &'a mut [Line<T>],
    hits: &'a mut [T],
    all: &'a mut [T],
}

impl<T> Finding<'_, T> {
    fn set(&mut self, i: usize, line: Line<T>, hit: T, all: T) {
        (self.lines[i], self.hits[i]) = (line, hit);
        if let Some(place) = self.all.get_mut(i) {
            *place = all;
        }
    }
}

/// The target of a line.
#[derive(Clone, Copy)]
enum LineTarget<'a, T> {
    Class(Option<usize>),
    Probabilities(&'a [T]),
}

impl<'a, T: Lanes> Problem<'a, T> {
    fn count(&self) -> usize {
        self.lines.outer * self.lines.inner
    }

    /// The class of a line, where it counts.
    fn class(&self, line: usize) -> Option<usize> {
        match self.target {
            Target::Classes { classes, ignored } => Classes { classes, ignored }.of(line),
            Target::Probabilities(_) => None,
        }
    }

    /// The classes of lines side by side, where they are not smoothed.
    fn plain_classes(&self) -> Option<Classes<'a>> {
        match self.target {
            Target::Classes { classes, ignored } if self.spread.is_none() => {
                let together = self.lines.inner.min(self.lines.lines_a_task());
                (together >= columns::LEAST).then_some(Classes { classes, ignored })
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn w(&self, class: usize) -> T {
        self.weight.map_or(T::ONE, |weight| weight[class])
    }

    /// w·number, which is the number where there are no weights.
    #[inline(always)]
    fn weighted(&self, class: usize, number: T) -> T {
        self.weight.map_or(number, |weight| weight[class] * number)
    }

    /// q of a probability.
    #[inline(always)]
    fn smoothed(&self, t: T) -> T {
        self.spread.map_or(t, |spread| self.kept * t + spread)
    }

    /// The target of a line, whose probabilities are these.
    #[inline(always)]
    fn line_target<'b>(&self, line: usize, probabilities: Option<&'b [T]>) -> LineTarget<'b, T> {
        probabilities.map_or_else(|| LineTarget::Class(self.class(line)), LineTarget::Probabilities)
    }

    fn probabilities(&self) -> Option<&'a [T]> {
        match self.target {
            Target::Probabilities(probabilities) => Some(probabilities),
            Target::Classes { .. } => None,
        }
    }
}

/// What is found of every line.
pub fn forward<T: Ln>((isa, threads): (Isa, Threads), problem: Problem<'_, T>) -> Found<T> {
    let (count, size) = (problem.count(), problem.lines.lines_a_task());
    let smoothed = problem.spread.is_some() && problem.probabilities().is_none();
    let (mut lines, mut hits) = (vec![Line::default(); count], vec![T::ZERO; count]);
    let mut all = vec![T::ZERO; if smoothed { count } else { 0 }];
    let mut of_all = all.chunks_mut(size);
    let parts = lines.chunks_mut(size).zip(hits.chunks_mut(size));
    let tasks = parts.map(|(lines, hits)| Finding { lines, hits, all: of_all.next().unwrap_or_default() });
    threads::for_each(threads, tasks.enumerate(), |(task, found)| {
        simd::run(isa, Forward { problem, first: task * size, found }); // 5
    });
    Found { lines, hits, all }
}

struct Forward<'a, T> {
    problem: Problem<'a, T>,
    first: usize,
    found: Finding<'a, T>,
}

impl<T: Ln> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { problem, first, mut found } = self;
        record::<S>(problem.lines);
        let (length, inner) = (problem.lines.length, problem.lines.inner);
        if let Some(classes) = problem.plain_classes() {
            return columns::forward(s, &problem, classes, first, &mut found); // 6
        }
        let mut memory = [Vec::new(), Vec::new()];
        let mut at = 0;
        while at < found.lines.len() {
            let line = first + at;
            let count = if inner == 1 { 1 } else { STRIP.min(inner - line % inner).min(found.lines.len() - at) };
            let [of_x, of_t] = &mut memory;
            let x = side_by_side(problem.lines, problem.x, (line, count), of_x);
            let t = problem.probabilities().map(|t| side_by_side(problem.lines, t, (line, count), of_t));
            for i in 0..count {
                let part = i * length..(i + 1) * length;
                let target = problem.line_target(line + i, t.map(|t| &t[part.clone()]));
                let (line, hit, all) = forward_line(s, &problem, &x[part.start..], target);
                found.set(at + i, line, hit, all);
            }
            at += count;
        }
    }
}

/// Lines that are neighbours lie as they are.
fn record<S: Simd>(lines: Lines) {
    let counter = if lines.inner == 1 { Counter::CrossEntropyLossLines } else { Counter::CrossEntropyLossColumns };
    counters::record(counter, Isa::of::<S>());
}

/// Lines from `first` on, one after the other: as they lie, and all that follow, or copied.
#[inline(always)]
fn side_by_side<'a, T: Lanes>(
    lines: Lines,
    elements: &'a [T],
    (first, count): (usize, usize),
    memory: &'a mut Vec<T>,
) -> &'a [T] {
    let Lines { length, inner, .. } = lines;
    if inner == 1 {
        return &elements[first * length..];
    }
    memory.clear();
    memory.resize(count * length, T::ZERO);
    let start = first / inner * length * inner + first % inner;
    for c in 0..length {
        let row = &elements[start + c * inner..][..count]; // 3
        for (i, x) in row.iter().enumerate() {
            memory[i * length + c] = *x;
        }
    }
    memory
}

/// What is found of the line that the elements begin with: what backward needs, −w·s of the class (or the loss), and −Σ w·s.
#[inline(always)]
fn forward_line<T: Exp, S: Simd>(
    s: S,
    problem: &Problem<'_, T>,
    elements: &[T],
    target: LineTarget<'_, T>,
) -> (Line<T>, T, T) {
    let x = &elements[..problem.lines.length];
    let (largest, sum) = largest_and_sum::<T, S>(s, elements, x.len());
    let log_sum = T::narrow(sum.widen().ln()); // 4
    let logarithm = |c: usize| (x[c] - largest) - log_sum;
    let (hit, all) = match target {
        LineTarget::Class(None) => (T::ZERO, T::ZERO),
        LineTarget::Class(Some(y)) => {
            let hit = -problem.weighted(y, logarithm(y)); // 2
            let all = problem.spread.map(|_| -sum_of_terms(x.len(), |c| problem.weighted(c, logarithm(c))));
            (hit, all.unwrap_or(T::ZERO))
        }
        LineTarget::Probabilities(t) => {
            let term = |c: usize| problem.weighted(c, problem.smoothed(t[c])) * logarithm(c);
            (-sum_of_terms(x.len(), term), T::ZERO)
        }
    };
    (Line { largest, log_sum }, hit, all)
}

/// The sum of `count` terms, in eight short sums.
#[inline(always)]
fn sum_of_terms<T: Lanes>(count: usize, term: impl Fn(usize) -> T) -> T {
    let mut sums = [T::ZERO; 8];
    for c in 0..count {
        sums[c % 8] += term(c);
    }
    sums.into_iter().fold(T::ZERO, |total, sum| total + sum)
}

/// A backward: what forward found of the lines, and κ, the gradient of each line's loss.
pub struct Backward<'a, T> {
    pub problem: Problem<'a, T>,
    pub known: &'a [Line<T>],
    pub kappa: Kappa<'a, T>,
}

/// The gradient of each line's loss.
#[derive(Clone, Copy)]
pub enum Kappa<'a, T> {
    /// One each.
    Each(&'a [T]),
    /// The same for all.
    All(T),
}

impl<T: Exp> Backward<'_, T> {
    fn kappa(&self, line: usize) -> T {
        match self.kappa {
            Kappa::Each(kappa) => kappa[line],
            Kappa::All(kappa) => kappa,
        }
    }

    /// The gradients, where lines are neighbours; of the target, where it holds probabilities.
    pub fn lines(&self, (isa, threads): (Isa, Threads), (mut dx, dt): (Output<'_, T>, Option<Output<'_, T>>)) {
        let lines = self.problem.lines.lines_a_task();
        let size = lines * self.problem.lines.length;
        let mut dt = dt;
        let mut of_target = dt.as_mut().map(|dt| dt.blocks(size));
        let tasks: Vec<_> = dx.blocks(size).map(|dx| (dx, of_target.as_mut().and_then(Iterator::next))).collect();
        threads::for_each(threads, tasks.into_iter().enumerate(), |(task, (dx, dt))| {
            simd::run(isa, BackwardLines { backward: self, first: task * lines, dx, dt }); // 5
        });
    }

    /// The gradients, of lines side by side; of the target, where it holds probabilities.
    pub fn columns(&self, (isa, threads): (Isa, Threads), (dx, dt): (&mut [T], Option<&mut [T]>)) {
        let Lines { length, inner, .. } = self.problem.lines;
        let size = (length, self.problem.lines.columns_a_task());
        let mut of_target = dt.map(|dt| tiles(dt, inner, size).into_iter());
        let tasks: Vec<_> =
            tiles(dx, inner, size).into_iter().map(|dx| (dx, of_target.as_mut().and_then(Iterator::next))).collect();
        threads::for_each(threads, tasks.into_iter(), |(dx, dt)| {
            simd::run(isa, BackwardColumns { backward: self, dx, dt }); // 5
        });
    }

    /// The gradients of one line.
    #[inline(always)]
    fn line<S: Simd>(&self, s: S, line: usize, x: &[T], target: LineTarget<'_, T>, dx: &mut [T], dt: Option<&mut [T]>) {
        let Self { problem, known, .. } = self;
        let (kappa, Line { largest, log_sum }) = (self.kappa(line), known[line]);
        let sum = match target {
            LineTarget::Class(Some(y)) => match problem.spread {
                None => {
                    dx.fill(T::ZERO); // 2
                    dx[y] = -(kappa * problem.w(y));
                    dx[y]
                }
                Some(spread) => {
                    for (c, dx) in dx.iter_mut().enumerate() {
                        *dx = -(kappa * problem.weighted(c, spread));
                    }
                    dx[y] = -(kappa * problem.weighted(y, problem.kept + spread));
                    sum_of_terms(dx.len(), |c| dx[c])
                }
            },
            // PyTorch smooths ignored items, too, and then takes 0 of that: all that shows is what is not finite.
            LineTarget::Class(None) if problem.spread.is_some() => {
                for (c, dx) in dx.iter_mut().enumerate() {
                    *dx = problem.weighted(c, T::ZERO);
                }
                sum_of_terms(dx.len(), |c| dx[c])
            }
            LineTarget::Class(None) => {
                dx.fill(T::ZERO);
                T::ZERO
            }
            LineTarget::Probabilities(t) => {
                for (c, (dx, t)) in dx.iter_mut().zip(t).enumerate() {
                    *dx = kappa * -problem.weighted(c, problem.smoothed(*t));
                }
                sum_of_terms(dx.len(), |c| dx[c])
            }
        };
        zip_registers(s, Shares { largest, log_sum, sum }, x, dx);
        if let Some(dt) = dt {
            for (c, (dt, x)) in dt.iter_mut().zip(x).enumerate() {
                let kept = kappa * problem.kept;
                let kept = problem.weight.map_or(kept, |weight| kept * weight[c]);
                *dt = -(kept * ((*x - largest) - log_sum));
            }
        }
    }
}

impl<T: Exp> Backward<'_, T> {
    /// The same of a line with a class that is not smoothed: zeros but for the class, so that each element is written once.
    #[inline(always)]
    fn class_line<S: Simd>(&self, s: S, (line, class): (usize, usize), x: &[T], dx: Block<'_, T>) {
        let Line { largest, log_sum } = self.known[line];
        let of_class = -(self.kappa(line) * self.problem.w(class));
        let shares = Shares { largest, log_sum, sum: of_class };
        let mut of_share = [T::ZERO];
        let lanes: Group<T, S, 1> = Map::apply(shares, Group::one(s, T::splat(s, x[class])));
        T::store_partial(s, &mut of_share, lanes.register());
        dx.filled(s, Mapped { f: shares, x: Split::new(x) })[class] = of_class + of_share[0];
    }
}

/// e^s·sum, where s = (x − m) − L.
#[derive(Clone, Copy)]
struct Shares<T> {
    largest: T,
    log_sum: T,
    sum: T,
}

impl<T: Exp> Shares<T> {
    #[inline(always)]
    fn shares<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        registers::exp_without_overflow(x - self.largest - self.log_sum) * self.sum
    }
}

/// 0 − the share of x.
impl<T: Exp> Map<T> for Shares<T> {
    const COUNTER: Counter = Counter::CrossEntropyLossLines;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>) -> Group<T, S, N> {
        x.full(T::ZERO) - self.shares(x)
    }
}

/// dx − the share of x.
impl<T: Exp> Zip<T> for Shares<T> {
    const COUNTER: Counter = Counter::CrossEntropyLossLines;
    const GROUP: usize = LONG;

    #[inline(always)]
    fn apply<S: Simd, const N: usize>(self, x: Group<T, S, N>, dx: Group<T, S, N>) -> Group<T, S, N> {
        dx - self.shares(x)
    }
}

struct BackwardLines<'a, T> {
    backward: &'a Backward<'a, T>,
    first: usize,
    dx: Block<'a, T>,
    dt: Option<Block<'a, T>>,
}

impl<T: Exp> Kernel for BackwardLines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { backward, first, dx, dt } = self;
        let problem = &backward.problem;
        record::<S>(problem.lines);
        let length = problem.lines.length;
        let mut of_target = dt.map(|dt| dt.split(length));
        for (i, dx) in dx.split(length).enumerate() {
            let part = (first + i) * length..(first + i + 1) * length;
            let target = problem.line_target(first + i, problem.probabilities().map(|t| &t[part.clone()]));
            let dt = of_target.as_mut().and_then(Iterator::next).map(Block::open);
            match target {
                LineTarget::Class(Some(class)) if problem.spread.is_none() => {
                    backward.class_line(s, (first + i, class), &problem.x[part], dx);
                }
                target => backward.line(s, first + i, &problem.x[part], target, dx.open(), dt),
            }
        }
    }
}

struct BackwardColumns<'a, T> {
    backward: &'a Backward<'a, T>,
    dx: Tile<&'a mut [T]>,
    dt: Option<Tile<&'a mut [T]>>,
}

impl<T: Exp> Kernel for BackwardColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { backward, mut dx, mut dt } = self;
        let problem = &backward.problem;
        record::<S>(problem.lines);
        if let Some(classes) = problem.plain_classes() {
            return columns::backward(s, backward, classes, dx); // 6
        }
        let Lines { length, inner, .. } = problem.lines;
        let (width, first) = (dx.width(), dx.row / length * inner + dx.column);
        let mut memory = [Vec::new(), Vec::new()];
        let (mut of_dx, mut of_dt) = (vec![T::ZERO; length], vec![T::ZERO; length]);
        for from in (0..width).step_by(STRIP) {
            let count = STRIP.min(width - from);
            let line = first + from;
            let [of_x, of_t] = &mut memory;
            let x = side_by_side(problem.lines, problem.x, (line, count), of_x);
            let t = problem.probabilities().map(|t| side_by_side(problem.lines, t, (line, count), of_t));
            for i in 0..count {
                let part = i * length..(i + 1) * length;
                let target = problem.line_target(line + i, t.map(|t| &t[part.clone()]));
                let of_target = dt.is_some().then_some(&mut of_dt[..]);
                backward.line(s, line + i, &x[part], target, &mut of_dx, of_target);
                dx.rows.iter_mut().zip(&of_dx).for_each(|(row, dx)| row[from + i] = *dx);
                if let Some(dt) = &mut dt {
                    dt.rows.iter_mut().zip(&of_dt).for_each(|(row, dt)| row[from + i] = *dt);
                }
            }
        }
    }
}
