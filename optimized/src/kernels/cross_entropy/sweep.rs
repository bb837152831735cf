//! The largest element of a line, and the sum of its exponentials, in one sweep: departure 7.

use crate::kernels::softmax::larger_lanes;
use crate::math::{Exp, registers};
use crate::simd::{Group, LONG, SHORT, Simd, prefetch};

/// Elements of a line that are summed once their largest is known: so few that memory goes on ahead of the sweep while they are
/// summed. 1024 lines of 32,000 f32 took 10.9 ms by blocks of 512, on one thread of Zen 4, when powers took longer; by
/// 4096, 14.9; in two sweeps, 16.5. On Zen 5, 256 take as long as 512, and 1024 more of `f64`.
const BLOCK: usize = 512;

/// Bytes by which memory, of a line and of those behind it, is asked for ahead of the sums, which would wait for it once for each block:
/// of 1024 lines of 32,000 f32, a tenth of the time on one thread of Zen 5, a fifth on two; by 8 KiB it takes a twentieth longer on one
/// thread, and as long on two.
const AHEAD: usize = 1 << 14;

/// m and Σ e^(x − m), of a line of `length` elements, one at least, and of what follows it, which is asked for.
#[inline(always)]
pub fn largest_and_sum<T: Exp, S: Simd>(s: S, elements: &[T], length: usize) -> (T, T) {
    let (mut m, mut halves) = (-T::INFINITY, [T::splat(s, T::ZERO); 4]);
    for (block, x) in elements[..length].chunks(BLOCK).enumerate() {
        let lanes = larger_lanes::<T, S>(s, x, m);
        // The largest so far seldom grows but in the first blocks, and only then is a register reduced to its largest lane.
        if T::any_less(s, T::splat(s, m), lanes) {
            let most = T::largest(s, lanes);
            let difference: Group<T, S, 1> = Group::one(s, T::splat(s, m - most));
            let factor = registers::exp_without_overflow(difference).register(); // 7
            for half in &mut halves {
                *half = T::times(s, *half, factor);
            }
            m = most;
        }
        // As long as all are −∞ (or NaN), they are held against 0: a later factor of 0 forgets them.
        let centre = if m == -T::INFINITY { T::ZERO } else { m };
        let ahead = elements.get(block * BLOCK + AHEAD / size_of::<T>()..).unwrap_or_default();
        add_half_exponentials::<T, S>(s, (x, ahead), centre, &mut halves);
    }
    if m == -T::INFINITY {
        return (m, T::narrow(f64::NAN));
    }
    let half = T::sum(s, T::plus(s, T::plus(s, halves[0], halves[1]), T::plus(s, halves[2], halves[3])));
    (m, half + half)
}

/// Adds ½e^(x − m) to four sums, and asks for as many of the elements ahead, as far as they come in groups of registers.
#[inline(always)]
fn add_half_exponentials<T: Exp, S: Simd>(s: S, (x, ahead): (&[T], &[T]), m: T, sums: &mut [T::Register<S>; 4]) {
    let (registers, tail) = T::registers::<S>(x);
    let (groups, rest) = registers.as_chunks::<LONG>();
    let mut ahead = T::registers::<S>(ahead).0.chunks_exact(LONG);
    for x in groups {
        if let Some(ahead) = ahead.next() {
            ahead.iter().for_each(prefetch);
        }
        let halves = registers::half_exp_of_sums(Group::<T, S, LONG>::new(s, *x) - m).registers();
        for (i, half) in halves.into_iter().enumerate() {
            sums[i % 4] = T::plus(s, sums[i % 4], half);
        }
    }
    let (fours, rest) = rest.as_chunks::<SHORT>();
    for x in fours {
        let halves = registers::half_exp_of_sums(Group::<T, S, SHORT>::new(s, *x) - m).registers();
        for (sum, half) in sums.iter_mut().zip(halves) {
            *sum = T::plus(s, *sum, half);
        }
    }
    // Over the sums, whose number the compiler knows, so that they stay in registers, and not over the rest.
    for (i, sum) in sums.iter_mut().enumerate() {
        if let Some(x) = rest.get(i) {
            let half = registers::half_exp_of_sums(Group::one(s, *x) - m).register();
            *sum = T::plus(s, *sum, half);
        }
    }
    if !tail.is_empty() {
        // Each lane beyond the tail adds the least power that there is, which is nothing beside the largest's.
        let last = T::load_partial_over(s, tail, T::splat(s, -T::INFINITY));
        let half = registers::half_exp_of_sums(Group::one(s, last) - m).register();
        sums[3] = T::plus(s, sums[3], half);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Isa, Kernel};

    /// Of so many elements, and what follows.
    struct Sweep<'a, T>(&'a [T], usize);

    impl<T: Exp> Kernel for Sweep<'_, T> {
        type Output = (T, T);

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) -> (T, T) {
            largest_and_sum::<T, S>(s, self.0, self.1)
        }
    }

    /// m exactly, and the sum within n + 4 units of roundoff (the four are the error of the exponentials), of lines whose largest stands,
    /// or grows, in any block.
    fn lines_are_swept<T: Exp>() {
        let rising = |n: usize, step: f64| (0..n).map(|i| i as f64 * step).collect::<Vec<_>>();
        let falling = |n: usize, step: f64| rising(n, -step);
        let infinite = |n: usize| vec![f64::NEG_INFINITY; n];
        let mut lines = Vec::new();
        for n in [1, 2, 31, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 77] {
            lines.extend([rising(n, 0.25), falling(n, 0.25), rising(n, 1e-4), rising(n, 50.0), falling(n, 0.0)]);
            lines.extend([[infinite(n), rising(7, 1.0)].concat(), [rising(7, 1.0), infinite(n)].concat()]);
        }
        for isa in Isa::available() {
            for line in &lines {
                let x: Vec<T> = line.iter().map(|x| T::narrow(*x)).collect();
                let followed = [&x[..], &[T::narrow(1e4); BLOCK + 3]].concat();
                let (m, sum) = simd::run(isa, Sweep(&followed, x.len()));
                let largest = x.iter().fold(-T::INFINITY, |m, x| if m < *x { *x } else { m });
                let exact: f64 = x.iter().map(|x| (x.widen() - largest.widen()).exp()).sum();
                let unit = if size_of::<T>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON } / 2.0;
                assert_eq!(m, largest);
                let error = (sum.widen() - exact).abs();
                assert!(error <= (x.len() as f64 + 4.0) * unit * exact, "{isa}, {} elements: {error:e}", x.len());
            }
        }
    }

    #[test]
    fn a_line_is_swept_once_for_its_largest_and_its_sum() {
        lines_are_swept::<f32>();
        lines_are_swept::<f64>();
    }

    #[test]
    fn no_number_comes_of_none_and_of_infinities() {
        for isa in Isa::available() {
            for (place, special) in
                [(0, f32::NAN), (BLOCK, f32::NAN), (3, f32::INFINITY), (2 * BLOCK + 1, f32::INFINITY)]
            {
                for other in [0.0, f32::NEG_INFINITY] {
                    let mut x = vec![other; 2 * BLOCK + 9];
                    x[place] = special;
                    let (m, sum) = simd::run(isa, Sweep(&x, x.len()));
                    assert!(sum.is_nan(), "{isa}: {special} at {place} among {other}");
                    assert!(m == other.max(special), "{isa}: {m} of {special} at {place} among {other}");
                }
            }
            let (m, sum) = simd::run(isa, Sweep(&[f32::NEG_INFINITY; BLOCK + 1], BLOCK + 1));
            assert!(m == f32::NEG_INFINITY && sum.is_nan());
        }
    }
}
