//! Tensors as PyTorch prints them: four decimals, columns aligned, long tensors summarised.

use crate::Tensor;
use std::fmt;

/// PyTorch's `threshold`, `edgeitems`, `precision` and `linewidth`.
const THRESHOLD: usize = 1000;
const EDGE_ITEMS: usize = 3;
const PRECISION: usize = 4;
const LINE_WIDTH: usize = 80;

/// An element that a tensor can print.
trait Element: Copy {
    /// PyTorch's name of the type, where it prints one.
    const SUFFIX: &'static str = "";

    /// How to print all elements of one tensor, judged from those that are shown, and the width they take.
    fn format(shown: &[Self]) -> (Box<dyn Fn(Self) -> String>, usize);
}

impl Element for i64 {
    fn format(shown: &[Self]) -> (Box<dyn Fn(Self) -> String>, usize) {
        (Box::new(|x| x.to_string()), shown.iter().map(|x| x.to_string().len()).max().unwrap_or(1))
    }
}

impl Element for f64 {
    const SUFFIX: &'static str = "dtype=torch.float64";

    fn format(shown: &[Self]) -> (Box<dyn Fn(Self) -> String>, usize) {
        let judged = || shown.iter().copied().filter(|x| x.is_finite() && *x != 0.0);
        let least = judged().map(f64::abs).fold(f64::INFINITY, f64::min);
        let most = judged().map(f64::abs).fold(0.0, f64::max);
        let whole = judged().all(|x| x == x.ceil());
        let scientific = most > 0.0 && (most / least > 1000.0 || most > 1e8 || least < 1e-4);
        let format = move |x: f64| match (scientific, whole) {
            _ if !x.is_finite() => non_finite(x),
            (true, _) => scientific_notation(x),
            (false, true) => format!("{x:.0}."),
            (false, false) => format!("{x:.PRECISION$}"),
        };
        let width = judged().map(|x| format(x).len()).max().unwrap_or(1);
        (Box::new(format), width)
    }
}

impl Element for f32 {
    fn format(shown: &[Self]) -> (Box<dyn Fn(Self) -> String>, usize) {
        let shown: Vec<f64> = shown.iter().copied().map(f64::from).collect();
        let (format, width) = f64::format(&shown);
        (Box::new(move |x| format(f64::from(x))), width)
    }
}

fn non_finite(x: f64) -> String {
    if x.is_nan() { "nan".into() } else { x.to_string() }
}

/// As C prints it: a sign and at least two digits in the exponent.
fn scientific_notation(x: f64) -> String {
    let rust = format!("{x:.PRECISION$e}");
    let (mantissa, exponent) = rust.split_once('e').unwrap_or((&rust, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The indices shown along a dimension: all, or the first and last few.
fn shown(size: usize, summarise: bool) -> impl Iterator<Item = usize> + Clone {
    let gap = if summarise && size > 2 * EDGE_ITEMS { EDGE_ITEMS..size - EDGE_ITEMS } else { size..size };
    (0..size).filter(move |i| !gap.contains(i))
}

struct Printer<'a, T> {
    shape: &'a [usize],
    data: &'a [T],
    summarise: bool,
}

impl<T: Element> Printer<'_, T> {
    /// The elements that are shown, below `depth` dimensions from `offset` on.
    fn collect(&self, depth: usize, offset: usize, into: &mut Vec<T>) {
        if depth == self.shape.len() {
            return into.push(self.data[offset]);
        }
        let stride: usize = self.shape[depth + 1..].iter().product();
        shown(self.shape[depth], self.summarise).for_each(|i| self.collect(depth + 1, offset + i * stride, into));
    }

    fn print(&self, depth: usize, offset: usize, element: &dyn Fn(T) -> String, width: usize) -> String {
        if depth == self.shape.len() {
            return element(self.data[offset]);
        }
        let stride: usize = self.shape[depth + 1..].iter().product();
        let (size, last) = (self.shape[depth], depth + 1 == self.shape.len());
        let indent = "tensor(".len() + depth + 1;
        let mut parts: Vec<String> = Vec::new();
        let mut previous = None;
        for i in shown(size, self.summarise) {
            if previous.is_some_and(|p| p + 1 != i) {
                parts.push(if last { " ...".into() } else { "...".into() });
            }
            previous = Some(i);
            let part = self.print(depth + 1, offset + i * stride, element, width);
            parts.push(if last { format!("{part:>width$}") } else { part });
        }
        let joined = if last {
            let a_line = usize::max(1, (LINE_WIDTH + 1).saturating_sub(indent) / (width + 2));
            let lines: Vec<String> = parts.chunks(a_line).map(|line| line.join(", ")).collect();
            lines.join(&format!(",\n{}", " ".repeat(indent)))
        } else {
            let gap = "\n".repeat(self.shape.len() - depth - 1);
            parts.join(&format!(",{gap}{}", " ".repeat(indent)))
        };
        format!("[{joined}]")
    }
}

fn display<T: Element>(tensor: &Tensor<T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = if tensor.is_empty() && tensor.rank() != 1 {
        let sizes: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
        format!("tensor([], size=({})", sizes.join(", "))
    } else {
        let printer = Printer { shape: tensor.shape(), data: tensor.as_slice(), summarise: tensor.len() > THRESHOLD };
        let mut elements = Vec::new();
        printer.collect(0, 0, &mut elements);
        let (element, width) = T::format(&elements);
        format!("tensor({}", printer.print(0, 0, &*element, width))
    };
    if !T::SUFFIX.is_empty() {
        let last_line = text.len() - text.rfind('\n').map_or(0, |newline| newline + 1);
        let fits = last_line + T::SUFFIX.len() + 2 < LINE_WIDTH;
        text += if fits { ", " } else { ",\n       " };
        text += T::SUFFIX;
    }
    write!(f, "{text})")
}

impl fmt::Display for Tensor<f32> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

impl fmt::Display for Tensor<f64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

impl fmt::Display for Tensor<i64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

#[cfg(test)]
mod tests {
    use crate::Tensor;

    fn show(shape: &[usize], data: Vec<f32>) -> String {
        Tensor::from_vec(shape, data).unwrap().to_string()
    }

    /// Each expectation is what PyTorch 2.15 prints for the same tensor.
    #[test]
    fn tensors_print_as_in_pytorch() {
        assert_eq!(show(&[], vec![0.5]), "tensor(0.5000)");
        assert_eq!(show(&[], vec![1e9]), "tensor(1.0000e+09)");
        assert_eq!(show(&[0], vec![]), "tensor([])");
        assert_eq!(show(&[2, 0], vec![]), "tensor([], size=(2, 0))");
        assert_eq!(show(&[2], vec![1.5, -2.0]), "tensor([ 1.5000, -2.0000])");
        assert_eq!(show(&[2], vec![1.0, f32::NAN]), "tensor([1., nan])");
        assert_eq!(show(&[2], vec![f32::INFINITY, 1.5]), "tensor([   inf, 1.5000])");
        assert_eq!(show(&[2], vec![f32::INFINITY, -1.0]), "tensor([inf, -1.])");
        assert_eq!(show(&[2], vec![1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])");
        assert_eq!(show(&[2], vec![0.0, 1e-5]), "tensor([0.0000e+00, 1.0000e-05])");
        assert_eq!(show(&[2], vec![1e5, 1.0]), "tensor([1.0000e+05, 1.0000e+00])");
        assert_eq!(show(&[2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]), "tensor([[[1., 2.]],\n\n        [[3., 4.]]])");
        let ramp = (0..1001).map(|i| i as f32).collect();
        assert_eq!(show(&[1001], ramp), "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])");
        let sevenths = (0..2000).map(|i| i as f32 / 7.0).collect();
        assert_eq!(
            show(&[2, 1000], sevenths),
            "tensor([[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 1.4243e+02, 1.4257e+02,\n         1.4271e+02],\n        \
             [1.4286e+02, 1.4300e+02, 1.4314e+02,  ..., 2.8529e+02, 2.8543e+02,\n         2.8557e+02]])"
        );
        let integers = Tensor::from_vec(&[2], vec![1_i64, -20]).unwrap();
        assert_eq!(integers.to_string(), "tensor([  1, -20])");
        let double = Tensor::from_vec(&[2], vec![0.5_f64, 1.0]).unwrap();
        assert_eq!(double.to_string(), "tensor([0.5000, 1.0000], dtype=torch.float64)");
    }
}
