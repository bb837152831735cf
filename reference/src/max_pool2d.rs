//! MaxPool2d, transcribed: the equation of the torch.nn.MaxPool2d page.

use crate::elementwise::layer_without_parameters;
use crate::{Condition, Real, check_grad_output, indices};
use vocabulary::{Error, MaxPool2dGradients, MaxPool2dOptions, Pair, Result, Tensor};

const LAYER: &str = "MaxPool2d";

/// The largest element of each window of each channel.
///
/// With s = `stride`, d = `dilation` and p = `padding`, over the window's elements (i, j) that lie inside the input — what is
/// padded is −∞, and never the largest:
///
/// ```math
/// y_{ncab} = \max_{i, j}\; x_{n,\,c,\;a s_h + i d_h - p_h,\;b s_w + j d_w - p_w} \tag{1}
/// ```
///
/// As in PyTorch, the first of equals counts, row by row; NaN counts as larger than everything, and of several the last counts;
/// where all are −∞, the first does. A window of padding alone, which dilation makes possible, gives −∞ with the index −1 and has
/// no gradient (PyTorch's index is outside the input there). The outputs along an axis of size S are
///
/// ```math
/// S' = \Bigl\lfloor\frac{S + 2p - d(k - 1) - 1}{s}\Bigr\rfloor + 1 \tag{2}
/// ```
///
/// or, with `ceil_mode`, the same with ⌈⌉, less one where the last window would start beyond the input and its first padding.
/// The index of an output is the place h·W + w of its element in the input's channel. Each output's gradient goes there:
///
/// ```math
/// \frac{\partial L}{\partial x_q} = \sum_{\text{outputs whose index is } q} g \tag{3}
/// ```
///
/// Shapes: input [N, C, H, W] or [C, H, W]; output and indices [N, C, H', W'] or [C, H', W'].
///
/// Source: [torch.nn.MaxPool2d](https://docs.pytorch.org/docs/2.15/generated/torch.nn.MaxPool2d.html).
///
/// ```
/// use reference::{MaxPool2d, MaxPool2dOptions, Tensor};
/// let mut pool = MaxPool2d::new(MaxPool2dOptions::new((1, 2)).stride(1).return_indices(true))?;
/// let pass = pool.forward_pass(&Tensor::from_vec(&[1, 1, 4], vec![1.0, 5.0, 5.0, 2.0])?)?;
/// assert_eq!(pass.output.as_slice(), [5.0, 5.0, 5.0]);
/// assert_eq!(pass.indices.as_ref().unwrap().as_slice(), [1, 1, 2]);
/// let gradients = pool.backward(&pass, &Tensor::from_vec(&[1, 1, 3], vec![1.0, 2.0, 4.0])?)?;
/// assert_eq!(gradients.input.as_slice(), [0.0, 3.0, 4.0, 0.0]);
/// # Ok::<(), reference::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MaxPool2d {
    options: MaxPool2dOptions,
}

/// What a training step's forward gives and keeps.
#[derive(Debug, Clone)]
pub struct MaxPool2dPass<T> {
    /// [N, C, H', W'] or [C, H', W'].
    pub output: Tensor<T>,
    /// In the output's shape, where the options ask for it.
    pub indices: Option<Tensor<i64>>,
    input_shape: Vec<usize>,
    places: Tensor<i64>,
}

impl MaxPool2d {
    /// A layer with the given options.
    ///
    /// # Errors
    /// Where a size is 0 or has more than 31 bits, or the padding is more than half the window.
    pub fn new(options: MaxPool2dOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options })
    }

    /// The options that the layer was built with.
    pub fn options(&self) -> &MaxPool2dOptions {
        &self.options
    }

    /// The output's shape: the input's with height and width as equation (2) has them.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], is empty but for N, or smaller than a window.
    pub fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        self.options.check_input(input_shape)?;
        let mut shape = input_shape.to_vec();
        for (axis, size) in shape.iter_mut().rev().take(2).rev().enumerate() {
            *size = self.windows(axis, *size);
        }
        Ok(shape)
    }

    /// Equation (2).
    fn windows(&self, axis: usize, size: usize) -> usize {
        let of = |pair: Pair| pair.axes()[axis] as u128;
        let (stride, padding) = (of(self.options.effective_stride()), of(self.options.padding));
        let reach = of(self.options.dilation) * (of(self.options.kernel_size) - 1) + 1;
        let (padded, size) = (size as u128 + 2 * padding, size as u128);
        let windows = if self.options.ceil_mode {
            let windows = (padded + stride - 1 - reach) / stride + 1; // (2)
            if (windows - 1) * stride >= size + padding { windows - 1 } else { windows }
        } else {
            (padded - reach) / stride + 1 // (2)
        };
        usize::try_from(windows).unwrap_or(usize::MAX)
    }

    /// Equation (1): the largest elements; [`MaxPool2d::forward_with_indices`] tells where they stand, too.
    ///
    /// # Errors
    /// Where the input is not [N, C, H, W] or [C, H, W], is empty but for N, or smaller than a window.
    pub fn forward<T: Real>(&self, input: &Tensor<T>) -> Result<Tensor<T>> {
        self.forward_with_indices(input).map(|(output, _)| output)
    }

    /// Equation (1), and the place h·W + w of each output's element in its channel.
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`].
    pub fn forward_with_indices<T: Real>(&self, input: &Tensor<T>) -> Result<(Tensor<T>, Tensor<i64>)> {
        let shape = self.output_shape(input.shape())?;
        let [.., height, width] = *input.shape() else { unreachable!("the input's shape was checked") };
        let planes = Planes { area: height * width };
        let places = Tensor::from_fn(&shape, |index| {
            let [leading @ .., a, b] = index else { unreachable!("an output's index has at least three parts") };
            let channel = &input.as_slice()[planes.of(input.shape(), leading)..][..planes.area];
            let rows = self.elements(0, *a, height);
            let window = rows.flat_map(|h| self.elements(1, *b, width).map(move |w| h * width + w));
            let largest = window.reduce(|best, place| {
                let larger = channel[best].less(channel[place]) == Condition::True; // (1)
                if larger || channel[place].to_f64().is_nan() { place } else { best }
            });
            largest.map_or(-1, |place| place as i64)
        });
        let places = places.map_err(|error| error.of(LAYER, "output"))?;
        let largest = indices(&shape).zip(places.as_slice()).map(|(index, &place)| {
            let channel = planes.of(input.shape(), &index[..index.len() - 2]);
            let place = usize::try_from(place);
            place.map_or(T::from_f64(f64::NEG_INFINITY), |place| input.as_slice()[channel + place])
        });
        Ok((Tensor::from_vec(&shape, largest.collect())?, places))
    }

    /// The elements along an axis that window `a` holds, inside the input.
    fn elements(&self, axis: usize, a: usize, size: usize) -> impl Iterator<Item = usize> {
        let of = |pair: Pair| pair.axes()[axis];
        let (dilation, padding) = (of(self.options.dilation), of(self.options.padding));
        let start = a * of(self.options.effective_stride());
        let first = padding.saturating_sub(start).div_ceil(dilation);
        let beyond = (size + padding).saturating_sub(start).div_ceil(dilation).min(of(self.options.kernel_size));
        (first..beyond).map(move |i| start + i * dilation - padding)
    }

    /// Equation (1), and what backward needs.
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`].
    pub fn forward_pass<T: Real>(&mut self, input: &Tensor<T>) -> Result<MaxPool2dPass<T>> {
        let (output, places) = self.forward_with_indices(input)?;
        let indices = self.options.return_indices.then(|| places.clone());
        Ok(MaxPool2dPass { output, indices, input_shape: input.shape().to_vec(), places })
    }

    /// Equation (3).
    ///
    /// # Errors
    /// Where `grad_output` does not have the output's shape.
    pub fn backward<T: Real>(&self, pass: &MaxPool2dPass<T>, grad_output: &Tensor<T>) -> Result<MaxPool2dGradients<T>> {
        check_grad_output(LAYER, grad_output, self.output_shape(&pass.input_shape))?;
        if pass.places.shape() != grad_output.shape() {
            let expected = format!("{:?}, a pass of a layer of these sizes", grad_output.shape());
            return Err(Error::shape(LAYER, "pass", pass.places.shape(), expected));
        }
        let mut dx = Tensor::full(&pass.input_shape, T::zero())?;
        let [.., height, width] = *pass.input_shape else { unreachable!("the input's shape was checked") };
        let planes = Planes { area: height * width };
        let gradients = grad_output.as_slice().iter().zip(pass.places.as_slice());
        for (index, (&g, &place)) in indices(grad_output.shape()).zip(gradients) {
            let Ok(place) = usize::try_from(place) else { continue };
            let channel = planes.of(&pass.input_shape, &index[..index.len() - 2]);
            let sum = &mut dx.as_mut_slice()[channel + place];
            *sum = *sum + g; // (3)
        }
        Ok(MaxPool2dGradients { input: dx })
    }
}

/// The channels of an input, one after the other.
#[derive(Debug, Clone, Copy)]
struct Planes {
    area: usize,
}

impl Planes {
    /// Where the channel [n, c], or [c], of an input begins.
    fn of(self, input: &[usize], leading: &[usize]) -> usize {
        input.iter().zip(leading).fold(0, |channel, (size, i)| channel * size + i) * self.area
    }
}

layer_without_parameters!(MaxPool2d);
