//! Lines of few registers: departure 7.

use super::lines::total;
use crate::math::{Exp, registers};
use crate::memory::Block;
use crate::simd::{Group, Lanes, Simd};

/// Calls a function of this file for lines of so many registers, N, where that is one of the numbers given, or does the other.
macro_rules! of_registers {
    ([$($n:literal)*], $count:expr, $function:ident::<$T:ident, $S:ident, N>$arguments:tt, else $other:block) => {
        match $count {
            $($n => short::$function::<$T, $S, $n>$arguments,)*
            _ => $other
        }
    };
}
pub(super) use of_registers;

/// A line that stays in registers from the first loop to the last; in the lanes beyond its end there is what the loops pass over.
type Line<T, S, const N: usize> = [<T as Lanes>::Register<S>; N];

/// A line of N − 1 registers and of some lanes of one more, or of all of them; `beyond` stands in the others.
#[inline(always)]
fn load<T: Lanes, S: Simd, const N: usize>(s: S, x: &[T], beyond: T) -> Line<T, S, N> {
    let (registers, tail) = T::registers::<S>(x);
    let beyond = T::splat(s, beyond);
    let mut line = [beyond; N];
    if tail.is_empty() {
        line.copy_from_slice(registers);
    } else {
        line[..N - 1].copy_from_slice(registers);
        line[N - 1] = T::load_partial_over(s, tail, beyond);
    }
    line
}

/// y of a line, beyond whose end there is −∞.
#[inline(always)]
fn probabilities<T: Exp, S: Simd, const N: usize>(s: S, x: Line<T, S, N>) -> Line<T, S, N> {
    let mut most = T::splat(s, -T::INFINITY);
    for x in &x {
        most = T::larger(s, *x, most); // 4
    }
    let largest = T::largest(s, most);
    let powers = registers::exp_without_overflow(Group::<T, S, N>::new(s, x) - largest).registers();
    let sum = sum::<T, S, N>(s, powers);
    (Group::<T, S, N>::new(s, powers) / sum).registers()
}

/// dx of a line, beyond whose end y and g are 0.
#[inline(always)]
fn gradients<T: Lanes, S: Simd, const N: usize>(s: S, y: Line<T, S, N>, g: Line<T, S, N>) -> Line<T, S, N> {
    let (y, g) = (Group::<T, S, N>::new(s, y), Group::<T, S, N>::new(s, g));
    let dot = sum::<T, S, N>(s, (y * g).registers());
    (y * (g - dot)).registers()
}

/// The sum of all elements.
#[inline(always)]
fn sum<T: Lanes, S: Simd, const N: usize>(s: S, line: Line<T, S, N>) -> T {
    let mut sums = [T::splat(s, T::ZERO); 4];
    for i in 0..N {
        sums[i % 4] = if i < 4 { line[i] } else { T::plus(s, sums[i % 4], line[i]) };
    }
    total::<T, S>(s, sums)
}

/// y of each line of so many elements, which take N registers.
#[inline(always)]
pub(super) fn forward<T: Exp, S: Simd, const N: usize>(s: S, length: usize, x: &[T], y: Block<'_, T>) {
    for (x, y) in x.chunks(length).zip(y.split(length)) {
        y.store(s, probabilities::<T, S, N>(s, load(s, x, -T::INFINITY)));
    }
}

/// The same, written over it.
#[inline(always)]
pub(super) fn forward_in_place<T: Exp, S: Simd, const N: usize>(s: S, length: usize, elements: &mut [T]) {
    for line in elements.chunks_mut(length) {
        let x = load(s, line, -T::INFINITY);
        Block::from(line).store(s, probabilities::<T, S, N>(s, x));
    }
}

/// dx of each line of so many elements, which take N registers.
#[inline(always)]
pub(super) fn backward<T: Lanes, S: Simd, const N: usize>(s: S, length: usize, (y, g): (&[T], &[T]), dx: Block<'_, T>) {
    for ((y, g), dx) in y.chunks(length).zip(g.chunks(length)).zip(dx.split(length)) {
        dx.store(s, gradients::<T, S, N>(s, load(s, y, T::ZERO), load(s, g, T::ZERO)));
    }
}
