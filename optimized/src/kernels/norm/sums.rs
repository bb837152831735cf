//! The sums over a channel. Numbers are those of the departures that the parent file lists.

use super::{Input, Planes};
use crate::counters::{self, Counter};
use crate::simd::{self, Isa, Kernel, Lanes, Simd, prefetch_all};
use crate::threads::{self, Threads};
use std::ops::Range;

/// Elements summed apart.
const PIECE: usize = 1 << 14;

/// Planes of f32 that have from so many elements to [`PIECE`] are asked for while the channel's plane before is summed, since the machine
/// does not know where they lie. Of 64 images of 512 channels of 28² elements, backward takes 10.1 ms so on one thread of Zen 5, and 14.0
/// otherwise, forward 8.6 and 9.3. Smaller planes gain nothing, nor do those of f64, which nothing widens before it is added.
const LEAST_ASKED_FOR: usize = 512;

/// Σ f(x), in four registers of f64, by pieces; `f` is given registers, and `g` does the same to the elements left over. `next` is asked
/// for meanwhile.
#[inline(always)]
fn sum<T: Lanes, S: Simd>(
    s: S,
    (x, next): (&[T], &[T]),
    f: impl Fn(S::f64s) -> S::f64s,
    g: impl Fn(f64) -> f64,
) -> f64 {
    let lanes = f64::lanes::<S>();
    let mut next = next.chunks_exact(4 * lanes);
    let mut total = 0.0;
    for piece in x.chunks(PIECE) {
        let mut sums = [f64::splat(s, 0.0); 4]; // 2
        let mut fours = piece.chunks_exact(4 * lanes);
        let rest = fours.remainder().iter().fold(0.0, |sum, x| sum + g(x.widen()));
        // `next` first: whichever ends, no four is lost.
        for (next, four) in next.by_ref().zip(&mut fours) {
            prefetch_all(next); // 5
            add(s, four, &f, &mut sums);
        }
        for four in fours {
            add(s, four, &f, &mut sums);
        }
        total += fold(s, sums) + rest;
    }
    total
}

/// Adds f(x) of four registers.
#[inline(always)]
fn add<T: Lanes, S: Simd>(s: S, x: &[T], f: impl Fn(S::f64s) -> S::f64s, sums: &mut [S::f64s; 4]) {
    let lanes = f64::lanes::<S>();
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum = f64::plus(s, *sum, f(T::load_wide(s, &x[i * lanes..][..lanes])));
    }
}

#[inline(always)]
fn fold<S: Simd>(s: S, [a, b, c, d]: [S::f64s; 4]) -> f64 {
    f64::sum(s, f64::plus(s, f64::plus(s, a, b), f64::plus(s, c, d)))
}

/// Σg and Σg·(x − μ)·r, each term formed as it stands: without r, f64 might overflow. What is next of both is asked for meanwhile.
#[inline(always)]
fn sum_of_products<T: Lanes, S: Simd>(
    s: S,
    (x, next_x): (&[T], &[T]),
    (g, next_g): (&[T], &[T]),
    (mean, r): (f64, f64),
) -> [f64; 2] {
    let lanes = f64::lanes::<S>();
    let mut next = next_x.chunks_exact(4 * lanes).zip(next_g.chunks_exact(4 * lanes));
    let mut totals = [0.0; 2];
    for (x, g) in x.chunks(PIECE).zip(g.chunks(PIECE)) {
        let (mut plain, mut weighted) = ([f64::splat(s, 0.0); 4], [f64::splat(s, 0.0); 4]); // 2
        let (x_fours, g_fours) = (x.chunks_exact(4 * lanes), g.chunks_exact(4 * lanes));
        let rest = x_fours.remainder().iter().zip(g_fours.remainder());
        let rest = rest.fold([0.0; 2], |[plain, weighted], (x, g)| {
            [plain + g.widen(), weighted + g.widen() * ((x.widen() - mean) * r)]
        });
        let mut fours = x_fours.zip(g_fours);
        for ((next_x, next_g), four) in next.by_ref().zip(&mut fours) {
            prefetch_all(next_x); // 5
            prefetch_all(next_g);
            add_products(s, four, (mean, r), (&mut plain, &mut weighted));
        }
        for four in fours {
            add_products(s, four, (mean, r), (&mut plain, &mut weighted));
        }
        totals[0] += fold(s, plain) + rest[0];
        totals[1] += fold(s, weighted) + rest[1];
    }
    totals
}

/// Adds g, and g·(x − μ)·r, of four registers.
#[inline(always)]
fn add_products<T: Lanes, S: Simd>(
    s: S,
    (x, g): (&[T], &[T]),
    (mean, r): (f64, f64),
    (plain, weighted): (&mut [S::f64s; 4], &mut [S::f64s; 4]),
) {
    let lanes = f64::lanes::<S>();
    for i in 0..4 {
        let x = T::load_wide(s, &x[i * lanes..][..lanes]);
        let g = T::load_wide(s, &g[i * lanes..][..lanes]);
        plain[i] = f64::plus(s, plain[i], g);
        let normalised = f64::times(s, f64::minus(s, x, f64::splat(s, mean)), f64::splat(s, r));
        weighted[i] = f64::multiply_add(s, g, normalised, weighted[i]);
    }
}

/// What is summed over a channel.
#[derive(Clone, Copy)]
pub(super) enum Pass<'a, T> {
    /// Σx.
    Sum,
    /// Σ(x − μ)².
    Squares(f64),
    /// Σg and Σg·(x − μ)·r: g, and μ with r.
    Products(&'a [T], (f64, f64)),
}

impl<T: Lanes> Input<'_, T> {
    /// The sums of a pass over the plane of the first of some images, of which the next plane is asked for, where it pays; squares find
    /// theirs in cache, where a channel fits.
    #[inline(always)]
    fn sums_of_plane<S: Simd>(&self, s: S, pass: Pass<'_, T>, images: Range<usize>, channel: usize) -> [f64; 2] {
        let image = images.start;
        let plane = |elements| self.planes.plane(elements, image, channel);
        let suits = size_of::<T>() < size_of::<f64>() && (LEAST_ASKED_FOR..=PIECE).contains(&self.planes.area);
        let asked_for = suits && image + 1 < images.end;
        let next = |elements| if asked_for { self.planes.plane(elements, image + 1, channel) } else { &[] };
        let x = plane(self.x);
        match pass {
            Pass::Sum => [sum(s, (x, next(self.x)), |x| x, |x| x), 0.0],
            Pass::Squares(mean) => {
                let means = f64::splat(s, mean);
                let square = |x| {
                    let difference = f64::minus(s, x, means);
                    f64::times(s, difference, difference)
                };
                [sum(s, (x, &[]), square, |x| (x - mean) * (x - mean)), 0.0]
            }
            Pass::Products(g, how) => sum_of_products(s, (x, next(self.x)), (plane(g), next(g)), how),
        }
    }

    /// The sums of a pass over a channel's planes in `images`.
    #[inline(always)]
    pub(super) fn sums<S: Simd>(&self, s: S, pass: Pass<'_, T>, images: Range<usize>, channel: usize) -> [f64; 2] {
        // A loop, as all loops here: closures given to `fold` are not always compiled for the instruction set.
        let mut totals = [0.0; 2];
        let last = images.end;
        for image in images {
            let sums = self.sums_of_plane(s, pass, image..last, channel);
            totals = [totals[0] + sums[0], totals[1] + sums[1]];
        }
        totals
    }

    /// The sums of a pass over each channel, its tasks shared out.
    pub(super) fn sums_by_channel<'b>(
        &self,
        (isa, threads): (Isa, Threads),
        pass: impl Fn(usize) -> Pass<'b, T> + Sync,
    ) -> Vec<[f64; 2]> {
        let Planes { images, channels, .. } = self.planes;
        let run = |channel, images| simd::run(isa, Sums { input: *self, pass: pass(channel), images, channel });
        let mut totals = vec![[0.0; 2]; channels];
        if self.planes.share_channels() {
            let some = self.planes.channels_a_task();
            threads::for_each(threads, totals.chunks_mut(some).enumerate(), |(task, totals)| {
                for (i, total) in totals.iter_mut().enumerate() {
                    *total = run(task * some + i, 0..images);
                }
            });
        } else {
            let mut sums = vec![[0.0; 2]; channels * images];
            threads::for_each(threads, sums.iter_mut().enumerate(), |(plane, sums)| {
                *sums = run(plane / images, plane % images..plane % images + 1);
            });
            for (total, sums) in totals.iter_mut().zip(sums.chunks(images)) {
                *total = sums.iter().fold([0.0; 2], |total, sums| [total[0] + sums[0], total[1] + sums[1]]);
            }
        }
        totals
    }
}

struct Sums<'a, T> {
    input: Input<'a, T>,
    pass: Pass<'a, T>,
    images: Range<usize>,
    channel: usize,
}

impl<T: Lanes> Kernel for Sums<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> [f64; 2] {
        counters::record(Counter::BatchNorm2dByPass, Isa::of::<S>());
        self.input.sums(s, self.pass, self.images, self.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σx, and Σg and Σg·(x − μ)·r, with what is next given.
    struct Both<'a>([&'a [f32]; 2], [&'a [f32]; 2]);

    impl Kernel for Both<'_> {
        type Output = [u64; 3];

        #[inline(always)]
        fn with_simd<S: Simd>(self, s: S) -> [u64; 3] {
            let Self([x, g], [next_x, next_g]) = self;
            let [plain, weighted] = sum_of_products(s, (x, next_x), (g, next_g), (0.25, 1.5));
            [sum(s, (x, next_x), |x| x, |x| x), plain, weighted].map(f64::to_bits)
        }
    }

    /// However much is next: none, less, as much or more; of one piece and of several.
    #[test]
    fn what_is_asked_for_changes_no_sum() {
        let numbers: Vec<f32> = (0..3 * PIECE).map(|i| ((i * 7919) % 1013) as f32 / 64.0 - 7.0).collect();
        for isa in Isa::available() {
            for len in [1, 31, 600, PIECE, PIECE + 77] {
                let [x, g] = [&numbers[..len], &numbers[5..len + 5]];
                let due = simd::run(isa, Both([x, g], [&[]; 2]));
                for next in [1, 500, len, len + 300] {
                    let got = simd::run(isa, Both([x, g], [&numbers[..next]; 2]));
                    assert_eq!(got, due, "{isa}, {len} elements, {next} next");
                }
            }
        }
    }
}
