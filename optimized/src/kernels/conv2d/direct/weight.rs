//! The gradient of the weight.

use super::super::Problem;
use super::lines::{self, Lines};
use super::{BLOCK, COUNTER};
use crate::counters;
use crate::memory::scratch;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// The weight's gradient.
pub fn backward_weight<T: Lanes>(
    problem: &Problem,
    (isa, threads): (Isa, Threads),
    (g, x): (&[T], &[T]),
    dw: &mut [T],
) {
    threads::for_each(threads, dw.chunks_mut(problem.depth()).enumerate(), |(o, dw)| {
        scratch(lines::memory(problem, BLOCK.min(problem.axes[1].windows)), |memory| {
            simd::run(isa, Terms { problem, o, x, g, dw, memory }); // 5
        });
    });
}

/// The terms of an output channel.
struct Terms<'a, T> {
    problem: &'a Problem,
    o: usize,
    x: &'a [T],
    g: &'a [T],
    dw: &'a mut [T],
    memory: &'a mut [T],
}

impl<T: Lanes> Kernel for Terms<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { problem, o, x, g, dw, memory } = self;
        let (positions, columns) = (problem.positions(), problem.axes[1].windows);
        let (channels, group) = (problem.groups * problem.outputs, problem.inputs * problem.area());
        let mut sums = vec![T::splat(s, T::ZERO); dw.len()];
        for start in (0..columns).step_by(BLOCK) {
            let windows = start..columns.min(start + BLOCK);
            let memory = &mut memory[..lines::memory(problem, windows.len())];
            let mut lines = Lines::new(problem, windows.clone(), memory);
            for image in 0..problem.images {
                let x = &x[(image * problem.groups + o / problem.outputs) * group..][..group];
                let g = &g[(image * channels + o) * positions..][..positions];
                lines.forget();
                for (a, g) in g.chunks(columns).enumerate() {
                    let (lines, places) = lines.of_row(x, a); // 1
                    let g = &g[windows.clone()];
                    let (places, last_places) = places.as_chunks::<4>();
                    let (sums, last_sums) = sums.as_chunks_mut::<4>();
                    for (sums, places) in sums.iter_mut().zip(places) {
                        add_products(s, g, lines, places, sums); // 4
                    }
                    for (sum, place) in last_sums.iter_mut().zip(last_places) {
                        add_products(s, g, lines, &[*place], std::array::from_mut(sum));
                    }
                }
            }
        }
        dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw = T::sum(s, sum));
    }
}

/// Adds the products of g with the windows of J terms to their sums.
#[inline(always)]
fn add_products<T: Lanes, S: Simd, const J: usize>(
    s: S,
    g: &[T],
    lines: &[T],
    places: &[usize; J],
    sums: &mut [T::Register<S>; J],
) {
    let (whole, rest) = T::registers::<S>(g);
    let lines: [_; J] = places.map(|place| T::registers::<S>(&lines[place..][..g.len()]));
    let mut products = *sums;
    for (i, g) in whole.iter().enumerate() {
        for j in 0..J {
            products[j] = T::multiply_add(s, *g, lines[j].0[i], products[j]);
        }
    }
    if !rest.is_empty() {
        let g = T::load_partial(s, rest);
        for j in 0..J {
            products[j] = T::multiply_add(s, g, T::load_partial(s, lines[j].1), products[j]);
        }
    }
    *sums = products;
}
