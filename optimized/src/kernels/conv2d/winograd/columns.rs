//! The transforms of a column: each of Winograd's matrices times what its row or column has, and registers to and from memory.

use crate::simd::{Lanes, Simd};

/// Bᵀ·d.
#[inline(always)]
pub fn of_input<T: Lanes, S: Simd>(s: S, [a, b, c, d]: [T::Register<S>; 4]) -> [T::Register<S>; 4] {
    [T::minus(s, a, c), T::plus(s, b, c), T::minus(s, c, b), T::minus(s, b, d)]
}

/// Aᵀ·m.
#[inline(always)]
pub fn of_products<T: Lanes, S: Simd>(s: S, [a, b, c, d]: [T::Register<S>; 4]) -> [T::Register<S>; 2] {
    [T::plus(s, T::plus(s, a, b), c), T::minus(s, T::minus(s, b, c), d)]
}

/// A·g.
#[inline(always)]
pub fn of_gradient<T: Lanes, S: Simd>(s: S, [a, b]: [T::Register<S>; 2]) -> [T::Register<S>; 4] {
    [a, T::plus(s, a, b), T::minus(s, a, b), T::negated(s, b)]
}

/// G·w.
#[inline(always)]
pub fn of_weight<T: Lanes>([a, b, c]: [T; 3]) -> [T; 4] {
    let ends = a + c;
    [a, T::HALF * (ends + b), T::HALF * (ends - b), c]
}

/// Gᵀ·u.
#[inline(always)]
pub fn of_sums<T: Lanes>([a, b, c, d]: [T; 4]) -> [T; 3] {
    let half = T::HALF * (b + c);
    [a + half, T::HALF * (b - c), half + d]
}

/// A register from `at` on.
#[inline(always)]
pub fn load<T: Lanes, S: Simd>(slice: &[T], at: usize) -> T::Register<S> {
    T::registers::<S>(&slice[at..][..T::lanes::<S>()]).0[0]
}

/// The first elements of a register, as many as the slice has, up to all.
#[inline(always)]
pub fn store<T: Lanes, S: Simd>(s: S, slice: &mut [T], x: T::Register<S>) {
    match T::registers_mut::<S>(slice) {
        ([slot, ..], _) => *slot = x,
        ([], slice) => T::store_partial(s, slice, x),
    }
}
