//! The gradient of the input.

use super::super::Problem;
use super::{COUNTER, MOST_TERMS, output};
use crate::counters;
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};

/// Elements of a task, where channels are smaller.
const TASK: usize = 1 << 12;

/// The input's gradient, into zeros.
pub fn backward_input<T: Lanes>(problem: &Problem, (isa, threads): (Isa, Threads), (g, w): (&[T], &[T]), dx: &mut [T]) {
    let turned = problem.turned().filter(|turned| turned.depth() <= MOST_TERMS);
    if let Some((turned, w)) = turned.and_then(|turned| Some((turned, turn(problem, w)?))) {
        return output::forward(&turned, (isa, threads), (g, &w, None), dx); // 3
    }
    let area = problem.area();
    let planes = (TASK / area).max(1);
    threads::for_each(threads, dx.chunks_mut(planes * area).enumerate(), |(task, dx)| {
        simd::run(isa, Planes { problem, first: task * planes, g, w, dx }); // 5
    });
}

/// The weight with its channels exchanged, and its taps in the opposite order; none where an element is infinite or NaN,
/// of which padded zeros would make NaN, or where there is no memory for it.
fn turn<T: Lanes>(problem: &Problem, w: &[T]) -> Option<Vec<T>> {
    let mut turned = Vec::new();
    if !w.iter().all(|w| w.magnitude() <= T::MAX) || turned.try_reserve_exact(w.len()).is_err() {
        return None;
    }
    let (depth, taps) = (problem.depth(), problem.taps());
    for w in w.chunks(problem.outputs * depth) {
        for channel in (0..depth).step_by(taps) {
            for w in w.chunks(depth) {
                turned.extend(w[channel..][..taps].iter().rev());
            }
        }
    }
    Some(turned)
}

/// Some channels, those of an image after those of the one before.
struct Planes<'a, T> {
    problem: &'a Problem,
    first: usize,
    g: &'a [T],
    w: &'a [T],
    dx: &'a mut [T],
}

impl<T: Lanes> Kernel for Planes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        counters::record(COUNTER, Isa::of::<S>());
        let Self { problem, first, g, w, dx } = self;
        let ([height, width], outputs) = (&problem.axes, problem.outputs);
        let (positions, depth, taps) = (problem.positions(), problem.depth(), problem.taps());
        for (plane, dx) in (first..).zip(dx.chunks_mut(problem.area())) {
            let (group, c) = (plane / problem.inputs, plane % problem.inputs);
            let w = &w[group % problem.groups * outputs * depth + c * taps..];
            let channels = g[group * outputs * positions..].chunks(positions).take(outputs);
            for (w, g) in w.chunks(depth).zip(channels) {
                for (a, g) in g.chunks(width.windows).enumerate() {
                    for (i, w) in w[..taps].chunks(width.kernel).enumerate() {
                        let Some(h) = height.source(a, i) else { continue };
                        let row = &mut dx[h * width.size..][..width.size];
                        for (j, w) in w.iter().enumerate() {
                            width.add(row, j, 0..width.windows, *w, g);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Conv2dOptions;

    #[test]
    fn a_weight_that_is_turned_twice_is_as_it_was() {
        let options = Conv2dOptions::new(6, 4, (2, 3)).groups(2);
        let problem = Problem::new(&options, &[5, 6, 8, 9]);
        let w: Vec<f64> = (0..72).map(f64::from).collect();
        let once = turn(&problem, &w).unwrap();
        assert_eq!(once[..12], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 23.0, 22.0, 21.0, 20.0, 19.0, 18.0]);
        assert_eq!(turn(&problem.turned().unwrap(), &once).unwrap(), w);
    }

    #[test]
    fn only_finite_weights_are_turned() {
        let problem = Problem::new(&Conv2dOptions::new(3, 2, 2), &[3, 9, 9]);
        for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut w = vec![f32::MAX; 24];
            assert!(turn(&problem, &w).is_some());
            w[23] = special;
            assert!(turn(&problem, &w).is_none());
        }
    }
}
