//! Winograd's formula for windows of 3x3, over [`Bounded`] numbers: what an implementation that computes by it is judged by.
//!
//! For the outputs y of a tile, two by two, with the 4x4 elements d that they read of each channel c, and its taps g,
//!
//! ```math
//! y = A^T \Big[ \sum_c (G\,g_c\,G^T) \odot (B^T d_c B) \Big] A + \beta
//! \tag{1}
//! ```
//!
//! (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.) The sum over channels, in any order, is
//! rounded before A adds up what it has come to: it is not one long sum, which would say less. The input's gradient, where zeros
//! are padded, is the same of the output's, by the taps in the opposite order; the weight's is
//!
//! ```math
//! \frac{\partial L}{\partial g_c} = G^T \Big[ \sum (A\,\frac{\partial L}{\partial y} A^T) \odot (B^T d_c B) \Big] G
//! \tag{2}
//! ```
//!
//! summed over all tiles of all images. An infinity would spread over a tile as NaN; there an implementation has to compute the
//! literal formula. So the bound admits both.

use crate::bounded::Bounded;
use crate::task::Task;
use crate::tensors::{Group, Named};
use reference::{Condition, Conv2d, Real};
use vocabulary::{Conv2dOptions, Padding, PaddingMode, Result, Tensor};

/// Bᵀ, G and Aᵀ.
const INPUT: [[f64; 4]; 4] =
    [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
const WEIGHT: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const OUTPUT: [[f64; 4]; 2] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];

/// Makes the results of Conv2d's literal formula admit those of Winograd's, where windows are of 3x3 neighbours at every element.
pub(crate) fn admit(task: &Task<'_, Bounded>, results: &mut Named<Bounded>) -> Result<()> {
    let options: Conv2dOptions = task.options_with_placement(&[])?;
    // An input without channels has an output without any, whatever the options say.
    let is_empty = options.in_channels == 0;
    if is_empty
        || [options.kernel_size, options.stride, options.dilation].map(|pair| pair.axes()) != [[3; 2], [1; 2], [1; 2]]
    {
        return Ok(());
    }
    let padding = match options.padding {
        Padding::Explicit(padding) => padding,
        Padding::Same => [1, 1],
        Padding::Valid => [0, 0],
    };
    let Some(weight) = task.state("weight")? else { return Ok(()) };
    let (inputs, outputs) = (options.in_channels / options.groups, options.out_channels / options.groups);
    let taps = |group: usize, o: usize, c: usize| {
        let first = ((group * outputs + o) * inputs + c) * 9;
        move |i: usize, j: usize| first + 3 * i + j
    };
    let input = task.input("input")?;
    let gradient = results.float(Group::Out, "output").map(|output| task.cotangent("output", output)).transpose()?;
    let gradient = gradient.flatten();
    let read = padded(&options, padding, &input)?;
    let x = Images { tensor: &read, offset: [0, 0] };
    let sizes = Sizes { groups: options.groups, inputs, outputs };
    if let Some(output) = results.float_mut(Group::Out, "output") {
        let bias = task.state("bias")?;
        let w = |group, o, c| {
            let tap = taps(group, o, c);
            std::array::from_fn(|i| std::array::from_fn(|j| weight.as_slice()[tap(i, j)]))
        };
        sizes.convolve(&x, w, output, |o, y| bias.as_ref().map_or(y, |bias| y + bias.as_slice()[o]));
    }
    let Some(gradient) = &gradient else { return Ok(()) };
    if let Some(of_weight) = results.float_mut(Group::GradState, "weight") {
        sizes.gradient(&x, &Images { tensor: gradient, offset: [0, 0] }, of_weight);
    }
    let of_input = results.float_mut(Group::GradIn, "input").filter(|_| options.padding_mode == PaddingMode::Zeros);
    if let Some(of_input) = of_input {
        let g = Images { tensor: gradient, offset: padding.map(|padding| padding - 2) };
        let sizes = Sizes { groups: options.groups, inputs: outputs, outputs: inputs };
        let w = |group, c, o| {
            let tap = taps(group, o, c);
            std::array::from_fn(|i| std::array::from_fn(|j| weight.as_slice()[tap(2 - i, 2 - j)]))
        };
        sizes.convolve(&g, w, of_input, |_, dx| dx);
    }
    Ok(())
}

/// What windows read, padding included: the windows of one tap.
fn padded(options: &Conv2dOptions, padding: [i64; 2], input: &Tensor<Bounded>) -> Result<Tensor<Bounded>> {
    let channels = options.in_channels;
    let mut each = Conv2dOptions::new(channels, channels, 1).groups(channels.max(1)).bias(false);
    each.padding = Padding::Explicit(padding);
    each.padding_mode = options.padding_mode;
    let ones = Tensor::full(&each.weight_shape(), Bounded::one())?;
    Conv2d::with_parameters(each, ones, None)?.forward(input)
}

/// Images, with or without a batch, beyond which there are zeros; the place [0, 0] reads at `offset`.
struct Images<'a> {
    tensor: &'a Tensor<Bounded>,
    offset: [i64; 2],
}

impl Images<'_> {
    fn at(&self, image: usize, channel: usize, place: [usize; 2]) -> Bounded {
        let (_, [channels, height, width]) = sizes(self.tensor);
        let [h, w] = [0, 1].map(|axis| usize::try_from(place[axis] as i64 + self.offset[axis]).unwrap_or(usize::MAX));
        if h >= height || w >= width {
            return Bounded::zero();
        }
        self.tensor.as_slice()[((image * channels + channel) * height + h) * width + w]
    }

    /// What a tile has, from its first row and column on.
    fn tile<const N: usize>(&self, image: usize, channel: usize, [row, column]: [usize; 2]) -> [[Bounded; N]; N] {
        from_fn(|i, j| self.at(image, channel, [2 * row + i, 2 * column + j]))
    }
}

/// How many groups, and of each how many channels are read and written.
struct Sizes {
    groups: usize,
    inputs: usize,
    outputs: usize,
}

impl Sizes {
    /// Equation (1), which `output` is to admit; `finish` adds what an output channel's sums lack.
    fn convolve(
        &self,
        x: &Images<'_>,
        weights: impl Fn(usize, usize, usize) -> [[Bounded; 3]; 3],
        output: &mut Tensor<Bounded>,
        finish: impl Fn(usize, Bounded) -> Bounded,
    ) {
        let &Self { groups, inputs, outputs } = self;
        let (images, [_, height, width]) = sizes(output);
        let output = output.as_mut_slice();
        for group in 0..groups {
            let pairs = (0..outputs).flat_map(|o| (0..inputs).map(move |c| (o, c)));
            let transformed: Vec<_> = pairs.map(|(o, c)| sandwich(&WEIGHT, &weights(group, o, c))).collect();
            for image in 0..images {
                for (row, column) in (0..height.div_ceil(2)).flat_map(|a| (0..width.div_ceil(2)).map(move |b| (a, b))) {
                    let tile = |c| sandwich(&INPUT, &x.tile(image, group * inputs + c, [row, column]));
                    let tiles: Vec<[[Bounded; 4]; 4]> = (0..inputs).map(tile).collect();
                    for o in 0..outputs {
                        let weights = &transformed[o * inputs..][..inputs];
                        let products: [[Bounded; 4]; 4] = from_fn(|i, j| {
                            let terms = tiles.iter().zip(weights).map(|(tile, weight)| tile[i][j] * weight[i][j]);
                            terms.fold(Bounded::zero(), |sum, term| sum + term).closed()
                        });
                        let y: [[Bounded; 2]; 2] = sandwich(&OUTPUT, &products);
                        let channel = group * outputs + o;
                        let plane = (image * groups * outputs + channel) * height * width;
                        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                            let (a, b) = (2 * row + i, 2 * column + j);
                            if a < height && b < width {
                                let literal = &mut output[plane + a * width + b];
                                *literal = or(*literal, finish(channel, y[i][j]));
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Sizes {
    /// Equation (2), which `of_weight` is to admit.
    fn gradient(&self, x: &Images<'_>, g: &Images<'_>, of_weight: &mut Tensor<Bounded>) {
        let &Self { groups, inputs, outputs } = self;
        let (images, [_, height, width]) = sizes(g.tensor);
        for (group, of_weight) in
            of_weight.as_mut_slice().chunks_mut((outputs * inputs * 9).max(1)).take(groups).enumerate()
        {
            let mut sums = vec![[[Bounded::zero(); 4]; 4]; outputs * inputs];
            for image in 0..images {
                for tile in (0..height.div_ceil(2)).flat_map(|a| (0..width.div_ceil(2)).map(move |b| [a, b])) {
                    let of_x = |c| sandwich(&INPUT, &x.tile(image, group * inputs + c, tile));
                    let of_x: Vec<[[Bounded; 4]; 4]> = (0..inputs).map(of_x).collect();
                    for (o, sums) in sums.chunks_mut(inputs).enumerate() {
                        let of_g: [[Bounded; 4]; 4] =
                            sandwich(&transposed(&OUTPUT), &g.tile(image, group * outputs + o, tile));
                        for (sum, of_x) in sums.iter_mut().zip(&of_x) {
                            *sum = from_fn(|i, j| sum[i][j] + of_g[i][j] * of_x[i][j]);
                        }
                    }
                }
            }
            for (sum, of_weight) in sums.iter().zip(of_weight.chunks_mut(9)) {
                let taps: [[Bounded; 3]; 3] = sandwich(&transposed(&WEIGHT), &from_fn(|i, j| sum[i][j].closed()));
                for (literal, tap) in of_weight.iter_mut().zip(taps.as_flattened()) {
                    *literal = or(*literal, *tap);
                }
            }
        }
    }
}

/// The number of images, and their channels, height and width, with or without a batch.
fn sizes(tensor: &Tensor<Bounded>) -> (usize, [usize; 3]) {
    let shape = tensor.shape();
    (if shape.len() == 4 { shape[0] } else { 1 }, [3, 2, 1].map(|from_last| shape[shape.len() - from_last]))
}

fn transposed<const R: usize, const C: usize>(m: &[[f64; C]; R]) -> [[f64; R]; C] {
    std::array::from_fn(|i| std::array::from_fn(|j| m[j][i]))
}

/// A number that may be computed in either way. An infinity or NaN of the second is none of the first's, which is computed there.
fn or(literal: Bounded, other: Bounded) -> Bounded {
    // An infinity that may have come instead is not shown either.
    let (literal, other) = (literal.closed(), other.closed().held_finite());
    let alike = literal.value() == other.value() && literal.bound() == 0.0 && other.bound() == 0.0;
    if alike || !other.value().is_finite() { literal } else { Real::select(Condition::Either, literal, other) }
}

fn from_fn<const R: usize, const C: usize>(f: impl Fn(usize, usize) -> Bounded) -> [[Bounded; C]; R] {
    std::array::from_fn(|i| std::array::from_fn(|j| f(i, j)))
}

/// M·X·Mᵀ, columns first, as sums of what M does not have times 0.
fn sandwich<const R: usize, const C: usize>(m: &[[f64; C]; R], x: &[[Bounded; C]; C]) -> [[Bounded; R]; R] {
    let sum = |row: &[f64; C], of: &dyn Fn(usize) -> Bounded| {
        let terms = row.iter().enumerate().filter(|(_, factor)| **factor != 0.0);
        terms.fold(Bounded::zero(), |sum, (k, factor)| sum + Bounded::exact(*factor) * of(k))
    };
    let rows: [[Bounded; C]; R] = from_fn(|i, j| sum(&m[i], &|k| x[k][j]).closed());
    from_fn(|i, j| sum(&m[j], &|k| rows[i][k]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::{Declaration, under};
    use crate::tensors::DType;
    use vocabulary::Scalar;

    /// Without roundings, Winograd's outputs are those of the windows.
    #[test]
    fn a_tile_is_what_its_windows_sum_up_to() {
        let (value, _) = under(DType::F64, Declaration::LITERAL, || {
            let d: [[Bounded; 4]; 4] = from_fn(|i, j| Bounded::from_f64((7 * i * i + 3 * j + i * j) as f64));
            let g: [[Bounded; 3]; 3] = from_fn(|i, j| Bounded::from_f64((2 * i + 5 * j * j + 1) as f64));
            let (d_, g_) = (sandwich(&INPUT, &d), sandwich(&WEIGHT, &g));
            let y: [[Bounded; 2]; 2] = sandwich(&OUTPUT, &from_fn(|i, j| d_[i][j] * g_[i][j]));
            for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let taps = (0..3).flat_map(|i| (0..3).map(move |j| (i, j)));
                let sum = Bounded::sum(taps.map(|(i, j)| d[a + i][b + j] * g[i][j])).closed();
                assert_eq!((y[a][b].closed().value(), y[a][b].closed().bound()), (sum.value(), 0.0));
            }
            y[0][0].closed().value()
        });
        assert!(value > 0.0);
    }
}
