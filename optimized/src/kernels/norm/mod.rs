//! Normalisation of each channel by its mean and variance, and its gradients.
//!
//! The plain loops are, for each channel, Σx, then Σ(x − μ)², then `y = (x - mean) * r * weight + bias` over its planes.
//! We depart from them:
//! 1. *by channel*, a channel goes through all of its loops before the next one starts, so that all but the first find it in
//!    cache; *by pass*, each loop is shared out over all channels, which is better where these are few, or their planes small;
//! 2. sums are carried in f64, in four registers, by pieces of planes that the shape alone decides on, added in their order;
//!    so a channel's sums are the same by channel and by pass, to the last bit;
//! 3. x − μ of f32 is (x − high) − low with μ = high + low: two roundings, in f32, exact where x is close to μ;
//! 4. r·weight is one factor, computed in f64 and rounded once, unless it is too small or too large for that;
//! 5. while a plane of f32 that is neither small nor large is summed, the channel's next one is asked for;
//! 6. outputs are written past the caches where these would not hold them, by channel together with what they are computed from.

mod rules;
mod sums;

pub use rules::Affine;

use super::elementwise::{Mapped, Split, Zipped, map_registers};
use crate::counters::{self, Counter};
use crate::memory::{Block, Output};
use crate::simd::{self, Isa, Kernel, Lanes, Simd};
use crate::threads::{self, Threads};
use rules::{Centre, Normalisation, Slope, joined};
use sums::Pass;

/// Elements of a task of one thread, about.
const TASK: usize = 1 << 15;

/// By channel is better where a channel's planes have so many elements,
const SMALLEST_PLANE: usize = 64;
/// where it fits into the second-level cache with room to spare,
const LARGEST_CHANNEL: usize = 1 << 17;
/// and where there are channels enough to keep threads busy to the end.
const FEWEST_CHANNELS: usize = 16;

/// The sizes of an input [N, C, H, W].
#[derive(Debug, Clone, Copy)]
pub struct Planes {
    pub images: usize,
    pub channels: usize,
    /// H·W.
    pub area: usize,
}

impl Planes {
    /// The number of values in a channel.
    pub fn values(&self) -> usize {
        self.images.saturating_mul(self.area)
    }

    /// Whether work is better done by channel than by pass.
    pub fn suit_channels(&self) -> bool {
        self.area >= SMALLEST_PLANE && self.values() <= LARGEST_CHANNEL && self.channels >= FEWEST_CHANNELS
    }

    /// Whether sums are shared out by channel, each with all of its planes; otherwise by plane, as channels are few.
    fn share_channels(&self) -> bool {
        self.channels >= FEWEST_CHANNELS || self.images <= 1
    }

    /// So many channels make a task: two at least, as planes that are neighbours in memory are best left to one thread.
    fn channels_a_task(&self) -> usize {
        (TASK / self.values().max(1)).max(2)
    }

    fn plane<'a, T>(&self, elements: &'a [T], image: usize, channel: usize) -> &'a [T] {
        &elements[(image * self.channels + channel) * self.area..][..self.area]
    }
}

/// How the loops are nested: departure 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ByChannel,
    ByPass,
}

/// A channel's mean μ and biased variance σ².
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    pub mean: f64,
    pub variance: f64,
}

/// An input [N, C, H, W].
#[derive(Clone, Copy)]
pub struct Input<'a, T> {
    pub planes: Planes,
    pub x: &'a [T],
}

/// What is written, by channel.
#[derive(Clone, Copy)]
enum How<'a, T> {
    Normalise(&'a [Normalisation<T>]),
    Differentiate(&'a [T], &'a [Slope<T>]),
}

/// Writes elements that follow one another, from `start` on.
struct Write<'a, T> {
    input: Input<'a, T>,
    how: How<'a, T>,
    start: usize,
    block: Block<'a, T>,
}

impl<T: Lanes> Kernel for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::BatchNorm2dByPass, Isa::of::<S>());
        let Planes { channels, area, .. } = self.input.planes;
        let (mut at, mut rest) = (self.start, self.block);
        while rest.len() > 0 {
            let len = (area - at % area).min(rest.len());
            let (part, others) = rest.split_at(len);
            let (x, channel) = (&self.input.x[at..at + len], at / area % channels);
            match self.how {
                How::Normalise(how) => part.fill(s, Mapped { f: how[channel], x: Split::new(x) }),
                How::Differentiate(g, how) => part.fill(s, Zipped::new(how[channel], x, &g[at..at + len])),
            }
            (at, rest) = (at + len, others);
        }
    }
}

/// Writes all elements, the tasks shared out.
fn write<T: Lanes>((isa, threads): (Isa, Threads), input: Input<'_, T>, how: How<'_, T>, output: &mut Output<'_, T>) {
    threads::for_each(threads, output.blocks(TASK).enumerate(), |(task, block)| {
        simd::run(isa, Write { input, how, start: task * TASK, block });
    });
}

/// A channel's planes of an output.
type ChannelBlocks<'a, T> = Vec<Block<'a, T>>;

/// What `work` makes of each channel and its planes of the output.
fn by_channel<T: Lanes, R: Send>(
    (planes, read): (Planes, usize),
    output: &mut Output<'_, T>,
    threads: Threads,
    results: &mut [R],
    work: impl Fn(usize, ChannelBlocks<'_, T>) -> R + Sync,
) {
    let mut channels: Vec<ChannelBlocks<'_, T>> = Vec::with_capacity(planes.channels);
    channels.resize_with(planes.channels, || Vec::with_capacity(planes.images));
    for (plane, block) in output.blocks_beside(read, planes.area).enumerate() {
        channels[plane % planes.channels].push(block);
    }
    let some = planes.channels_a_task();
    let tasks = channels.chunks_mut(some).zip(results.chunks_mut(some)).enumerate();
    threads::for_each(threads, tasks, |(task, (channels, results))| {
        for (i, (blocks, result)) in channels.iter_mut().zip(results).enumerate() {
            *result = work(task * some + i, std::mem::take(blocks));
        }
    });
}

/// Normalises by the given moments, one a channel.
pub fn normalise_by<T: Lanes>(
    kernel: (Isa, Threads),
    input: Input<'_, T>,
    affine: Affine<'_, T>,
    moments: &[Moments],
    output: &mut Output<'_, T>,
) {
    let how: Vec<_> = moments.iter().enumerate().map(|(c, moments)| affine.normalisation(c, *moments)).collect();
    write(kernel, input, How::Normalise(&how), output);
}

/// Normalises elements [N, C, H, W] by the given moments, one a channel, in place.
pub fn normalise_in_place<T: Lanes>(
    (isa, threads): (Isa, Threads),
    planes: Planes,
    affine: Affine<'_, T>,
    moments: &[Moments],
    elements: &mut [T],
) {
    let how: Vec<_> = moments.iter().enumerate().map(|(c, moments)| affine.normalisation(c, *moments)).collect();
    threads::for_each(threads, elements.chunks_mut(TASK).enumerate(), |(task, elements)| {
        simd::run(isa, WriteInPlace { planes, how: &how, start: task * TASK, elements });
    });
}

/// Writes elements that follow one another, from `start` on, over themselves.
struct WriteInPlace<'a, T> {
    planes: Planes,
    how: &'a [Normalisation<T>],
    start: usize,
    elements: &'a mut [T],
}

impl<T: Lanes> Kernel for WriteInPlace<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        counters::record(Counter::BatchNorm2dByPass, Isa::of::<S>());
        let Planes { channels, area, .. } = self.planes;
        let (mut at, mut rest) = (self.start, self.elements);
        while !rest.is_empty() {
            let len = (area - at % area).min(rest.len());
            let (part, others) = rest.split_at_mut(len);
            map_registers(s, self.how[at / area % channels], part);
            (at, rest) = (at + len, others);
        }
    }
}

/// Normalises by the input's own moments, by channel or by pass, and gives them; none of an input without elements.
pub fn normalise_by_own<T: Lanes>(
    way: Way,
    (isa, threads): (Isa, Threads),
    input: Input<'_, T>,
    affine: Affine<'_, T>,
    output: &mut Output<'_, T>,
) -> Vec<Moments> {
    let planes = input.planes;
    if input.x.is_empty() {
        return Vec::new();
    }
    let mut moments = vec![Moments { mean: 0.0, variance: 0.0 }; planes.channels];
    if way == Way::ByChannel {
        by_channel((planes, input.x.len()), output, threads, &mut moments, |channel, blocks| {
            simd::run(isa, Forward { input, affine, channel, blocks }) // 1
        });
    } else {
        let n = planes.values() as f64;
        let sums = input.sums_by_channel((isa, threads), |_| Pass::Sum);
        moments.iter_mut().zip(sums).for_each(|(moments, sums)| moments.mean = sums[0] / n);
        let squares = input.sums_by_channel((isa, threads), |channel| Pass::Squares(moments[channel].mean));
        moments.iter_mut().zip(squares).for_each(|(moments, sums)| moments.variance = sums[0] / n);
        normalise_by((isa, threads), input, affine, &moments, output);
    }
    moments
}

/// All loops over one channel.
struct Forward<'a, T> {
    input: Input<'a, T>,
    affine: Affine<'a, T>,
    channel: usize,
    blocks: ChannelBlocks<'a, T>,
}

impl<T: Lanes> Kernel for Forward<'_, T> {
    type Output = Moments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> Moments {
        counters::record(Counter::BatchNorm2dByChannel, Isa::of::<S>());
        let Self { input, affine, channel, blocks } = self;
        let (n, images) = (input.planes.values() as f64, 0..input.planes.images);
        let mean = input.sums(s, Pass::Sum, images.clone(), channel)[0] / n;
        let variance = input.sums(s, Pass::Squares(mean), images, channel)[0] / n;
        let moments = Moments { mean, variance };
        let how = affine.normalisation(channel, moments);
        for (image, block) in blocks.into_iter().enumerate() {
            block.fill(s, Mapped { f: how, x: Split::new(input.planes.plane(input.x, image, channel)) }); // 6
        }
        moments
    }
}

/// A backward: the output's gradient, and the moments that the forward normalised by.
#[derive(Clone, Copy)]
pub struct Backward<'a, T> {
    pub input: Input<'a, T>,
    pub g: &'a [T],
    pub affine: Affine<'a, T>,
    pub moments: &'a [Moments],
    /// Whether the moments are the input's own, and so depend on it.
    pub own: bool,
}

impl<T: Lanes> Backward<'_, T> {
    /// What is summed over a channel.
    fn pass(&self, channel: usize) -> Pass<'_, T> {
        let moments = self.moments[channel];
        Pass::Products(self.g, (moments.mean, self.affine.inverse_deviation(moments)))
    }

    /// How the input's gradient is written, from Σg and Σg·x̂ of a channel.
    fn slope(&self, channel: usize, [sum_g, sum_gx]: [f64; 2]) -> Slope<T> {
        let moments = self.moments[channel];
        let r = self.affine.inverse_deviation(moments);
        let factors = joined(r, self.affine.weight(channel));
        if !self.own {
            return Slope::Constant { factors };
        }
        let n = self.input.planes.values() as f64;
        let (mean_g, projection) = (T::narrow(sum_g / n), joined(r, sum_gx / n));
        Slope::Batch { centre: Centre::new(moments.mean), mean_g, projection, factors }
    }

    /// Writes the input's gradient, and gives Σg and Σg·x̂ of each channel; none of an input without elements.
    pub fn run(self, way: Way, (isa, threads): (Isa, Threads), output: &mut Output<'_, T>) -> Vec<[f64; 2]> {
        let planes = self.input.planes;
        if self.input.x.is_empty() {
            return Vec::new();
        }
        if way == Way::ByChannel {
            let mut sums = vec![[0.0; 2]; planes.channels];
            by_channel((planes, 2 * self.g.len()), output, threads, &mut sums, |channel, blocks| {
                simd::run(isa, BackwardChannel { backward: self, channel, blocks }) // 1
            });
            return sums;
        }
        let sums = self.input.sums_by_channel((isa, threads), |channel| self.pass(channel));
        let slopes: Vec<_> = sums.iter().enumerate().map(|(channel, sums)| self.slope(channel, *sums)).collect();
        write((isa, threads), self.input, How::Differentiate(self.g, &slopes), output);
        sums
    }
}

/// All loops over one channel.
struct BackwardChannel<'a, T> {
    backward: Backward<'a, T>,
    channel: usize,
    blocks: ChannelBlocks<'a, T>,
}

impl<T: Lanes> Kernel for BackwardChannel<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> [f64; 2] {
        counters::record(Counter::BatchNorm2dByChannel, Isa::of::<S>());
        let Self { backward, channel, blocks } = self;
        let Backward { input, g, .. } = backward;
        let sums = input.sums(s, backward.pass(channel), 0..input.planes.images, channel);
        let slope = backward.slope(channel, sums);
        for (image, block) in blocks.into_iter().enumerate() {
            let (x, g) = (input.planes.plane(input.x, image, channel), input.planes.plane(g, image, channel));
            block.fill(s, Zipped::new(slope, x, g)); // 6
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(images: usize, channels: usize, area: usize) -> Planes {
        Planes { images, channels, area }
    }

    #[test]
    fn many_channels_of_planes_that_fit_into_cache_go_by_channel() {
        assert!(planes(32, 16, 4096).suit_channels());
        assert!(planes(1, 64, 64).suit_channels());
        assert!(!planes(32, 15, 4096).suit_channels());
        assert!(!planes(33, 16, 4096).suit_channels());
        assert!(!planes(32, 16, 63).suit_channels());
    }

    #[test]
    fn sums_are_shared_out_by_plane_where_channels_are_few() {
        assert!(planes(8, 16, 9).share_channels());
        assert!(planes(1, 3, 9).share_channels());
        assert!(!planes(2, 15, 9).share_channels());
    }

    #[test]
    fn a_task_takes_as_many_channels_as_make_it_worth_waking_a_thread() {
        assert_eq!(planes(32, 64, 49).channels_a_task(), 20);
        assert_eq!(planes(32, 64, 3136).channels_a_task(), 2);
        assert_eq!(planes(0, 64, 49).channels_a_task(), 1 << 15);
    }
}
