//! What the machine can do at most, measured at the start of a run: fused multiply-adds, and bytes copied.

use indicatif::ProgressBar;
use memmap2::MmapMut;
use pulp::{Arch, Simd, WithSimd};
use serde_json::{Map, Value as Json, json};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// The best of so many tries is the limit: a tenth of a second of them, which a disturbance seldom fills.
const TRIES: usize = 25;

/// Sums that do not wait for each other: more than the latency of a multiply-add, 4 cycles, times the two that some cores
/// start in each.
const CHAINS: usize = 12;

/// Multiply-adds of each chain in a try: some milliseconds.
const STEPS: usize = 1 << 20;

/// The working sets, source and destination together, in bytes: from the first-level cache to main memory.
const WORKING_SETS: [usize; 9] =
    [16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 12 << 20, 32 << 20, 96 << 20, 256 << 20];

/// What a try copies at least, so that it takes some milliseconds.
const COPIED: usize = 64 << 20;

/// The limits at some number of threads.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limits {
    pub threads: usize,
    /// Operations a second, a multiply-add being two.
    pub flops_f32: f64,
    pub flops_f64: f64,
    /// Bytes a second, read and written, by working set in bytes; ascending.
    pub copy: Vec<(usize, f64)>,
}

impl Limits {
    /// Measures them.
    pub(super) fn measure(threads: usize, progress: &ProgressBar) -> Self {
        progress.set_message(format!("the machine's limits at {threads} threads"));
        let flops_f32 = at_once(threads, || (), |()| Arch::new().dispatch(MultiplyAddF32));
        let flops_f64 = at_once(threads, || (), |()| Arch::new().dispatch(MultiplyAddF64));
        let copy = WORKING_SETS.iter().map(|&bytes| (bytes, copying(threads, bytes))).collect();
        Self { threads, flops_f32, flops_f64, copy }
    }

    /// Bytes a second at a working set: between those that were measured, in proportion by the logarithms.
    pub(super) fn bandwidth(&self, working_set: usize) -> f64 {
        let after = self.copy.partition_point(|(bytes, _)| *bytes < working_set);
        match (after.checked_sub(1).and_then(|before| self.copy.get(before)), self.copy.get(after)) {
            (Some(&(below, slow)), Some(&(above, fast))) => {
                let logarithm = |bytes: usize| (bytes.max(1) as f64).ln();
                let part = (logarithm(working_set) - logarithm(below)) / (logarithm(above) - logarithm(below));
                slow * (fast / slow).powf(part)
            }
            (Some(&(_, rate)), None) | (None, Some(&(_, rate))) => rate,
            (None, None) => f64::INFINITY,
        }
    }

    /// As a report has them.
    pub(super) fn json(&self) -> Json {
        let gigas = |rate: f64| (rate / 1e7).round() / 100.0;
        let copy: Map<String, Json> =
            self.copy.iter().map(|(bytes, rate)| (bytes.to_string(), json!(gigas(*rate)))).collect();
        json!({
            "fma_f32_gflops": gigas(self.flops_f32),
            "fma_f64_gflops": gigas(self.flops_f64),
            "copy_gbytes_per_second": copy,
        })
    }
}

/// The best rate of so many threads that do the same at once: `work` tells how much it did, on what `prepare` made in its thread.
fn at_once<S>(threads: usize, prepare: impl Fn() -> S + Sync, work: impl Fn(&mut S) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let of_thread = || {
        let mut prepared = prepare();
        work(&mut prepared);
        let each = (0..TRIES).map(|_| {
            barrier.wait();
            let start = Instant::now();
            let amount = work(&mut prepared);
            (amount, start.elapsed())
        });
        each.collect::<Vec<(f64, Duration)>>()
    };
    let tries: Vec<Vec<(f64, Duration)>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(of_thread)).collect();
        let own = of_thread();
        std::iter::once(own).chain(others.into_iter().filter_map(|other| other.join().ok())).collect()
    });
    let rate = |index: usize| {
        let amount: f64 = tries.iter().map(|thread| thread[index].0).sum();
        let slowest = tries.iter().map(|thread| thread[index].1).max().unwrap_or_default();
        amount / slowest.as_secs_f64().max(1e-9)
    };
    (0..TRIES).map(rate).fold(0.0, f64::max)
}

/// Multiply-adds in registers, in f32 and in f64; how many operations were done.
struct MultiplyAddF32;
struct MultiplyAddF64;

macro_rules! multiply_add {
    ($name:ident, $number:ty, $splat:ident, $mul_add:ident, $sum:ident, $lanes:ident) => {
        impl WithSimd for $name {
            type Output = f64;

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) -> f64 {
                let number = |x: $number| simd.$splat(black_box(x));
                let (factor, addend) = (number(0.999), number(1e-3));
                let mut sums = [number(1.0); CHAINS];
                for _ in 0..STEPS {
                    for sum in &mut sums {
                        *sum = simd.$mul_add(*sum, factor, addend);
                    }
                }
                for sum in sums {
                    black_box(simd.$sum(sum));
                }
                (2 * S::$lanes * CHAINS * STEPS) as f64
            }
        }
    };
}
multiply_add!(MultiplyAddF32, f32, splat_f32s, mul_add_e_f32s, reduce_sum_f32s, F32_LANES);
multiply_add!(MultiplyAddF64, f64, splat_f64s, mul_add_e_f64s, reduce_sum_f64s, F64_LANES);

/// Bytes a second that threads read and write, each copying its share of a working set over and over: as the standard library
/// copies, or register by register, whichever is faster.
fn copying(threads: usize, working_set: usize) -> f64 {
    let half = working_set / threads / 2 / size_of::<f32>();
    let repetitions = COPIED / (2 * half * size_of::<f32>() * threads) + 1;
    let amount = (repetitions * 2 * half * size_of::<f32>()) as f64;
    let prepare = || (Numbers::new(half), Numbers::new(half));
    let library = at_once(threads, prepare, |(from, to)| {
        for _ in 0..repetitions {
            to.as_mut_slice().copy_from_slice(black_box(from.as_mut_slice()));
            black_box(to.as_mut_slice());
        }
        amount
    });
    let registers = at_once(threads, prepare, |(from, to)| {
        for _ in 0..repetitions {
            Arch::new().dispatch(Scale { from: black_box(from.as_mut_slice()), to: to.as_mut_slice() });
            black_box(to.as_mut_slice());
        }
        amount
    });
    library.max(registers)
}

/// Every number times 1, so that the loop is no copy that the compiler would know.
struct Scale<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let one = simd.splat_f32s(black_box(1.0));
        let (from, from_rest) = S::as_simd_f32s(self.from);
        let (to, to_rest) = S::as_mut_simd_f32s(self.to);
        for (to, from) in to.iter_mut().zip(from) {
            *to = simd.mul_f32s(*from, one);
        }
        to_rest.copy_from_slice(from_rest);
    }
}

/// Memory of numbers that were written once, on huge pages where the system has them.
enum Numbers {
    Mapped(MmapMut, usize),
    Owned(Vec<f32>),
}

impl Numbers {
    fn new(len: usize) -> Self {
        let mut numbers = match MmapMut::map_anon((len * size_of::<f32>()).max(1)) {
            Ok(map) => {
                // Without huge pages, memory is slower and the limit lower.
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage);
                Self::Mapped(map, len)
            }
            Err(_) => Self::Owned(vec![0.0; len]),
        };
        numbers.as_mut_slice().fill(1.0);
        numbers
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        match self {
            // Pages are aligned to more than any number.
            Self::Mapped(map, len) => bytemuck::cast_slice_mut(&mut map[..*len * size_of::<f32>()]),
            Self::Owned(numbers) => numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_lies_between_what_was_measured() {
        let limits =
            Limits { threads: 1, flops_f32: 1.0, flops_f64: 1.0, copy: vec![(1 << 10, 80.0), (1 << 14, 20.0)] };
        for (working_set, expected) in [(1, 80.0), (1 << 10, 80.0), (1 << 12, 40.0), (1 << 14, 20.0), (1 << 30, 20.0)] {
            assert!((limits.bandwidth(working_set) - expected).abs() < 1e-9, "{working_set}");
        }
    }

    #[test]
    fn work_of_several_threads_adds_up() {
        let rate = at_once(
            3,
            || 0,
            |calls| {
                *calls += 1;
                std::thread::sleep(Duration::from_millis(2));
                1.0
            },
        );
        assert!(rate > 0.0 && rate <= 1500.0, "{rate}");
    }

    #[test]
    fn numbers_are_as_many_as_were_asked_for() {
        assert_eq!(Numbers::new(1000).as_mut_slice(), [1.0; 1000]);
        assert!(Numbers::new(0).as_mut_slice().is_empty());
    }
}
