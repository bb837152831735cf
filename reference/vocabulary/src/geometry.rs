//! Sizes along height and width, and how an image is padded.

use crate::{Error, Result};

/// A size along height and a size along width; one number stands for both.
///
/// ```
/// use vocabulary::Pair;
/// assert_eq!(Pair::from(3), Pair(3, 3));
/// assert_eq!(Pair::from((2, 1)), Pair(2, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(from = "Sizes", into = "[usize; 2]"))]
pub struct Pair(pub usize, pub usize);

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Self(both, both)
    }
}

impl From<(usize, usize)> for Pair {
    fn from((height, width): (usize, usize)) -> Self {
        Self(height, width)
    }
}

impl From<[usize; 2]> for Pair {
    fn from([height, width]: [usize; 2]) -> Self {
        Self(height, width)
    }
}

impl From<Pair> for [usize; 2] {
    fn from(Pair(height, width): Pair) -> Self {
        [height, width]
    }
}

impl Pair {
    /// Height and width, in this order.
    ///
    /// ```
    /// assert_eq!(vocabulary::Pair(5, 7).axes(), [5, 7]);
    /// ```
    pub fn axes(self) -> [usize; 2] {
        self.into()
    }

    /// Refuses sizes of 0.
    pub(crate) fn require_positive(self, layer: &str, argument: &str) -> Result<()> {
        match self.axes() {
            axes if axes.contains(&0) => {
                Err(Error::new(layer, argument, format_args!("is {axes:?}"), "positive sizes"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses sizes above `most`: those that PyTorch holds, so that no sum or product of three of them overflows 128 bits.
    pub(crate) fn require_at_most(self, layer: &str, argument: &str, most: u64) -> Result<()> {
        match self.axes().into_iter().find(|&size| size as u64 > most) {
            Some(size) => Err(Error::new(layer, argument, format_args!("is {size}"), format_args!("at most {most}"))),
            None => Ok(()),
        }
    }
}

/// Sizes as PyTorch takes them: one for both axes, or one for each.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "a size, or [height, width]")]
enum Sizes {
    Both(usize),
    Each([usize; 2]),
}

#[cfg(feature = "serde")]
impl From<Sizes> for Pair {
    fn from(sizes: Sizes) -> Self {
        match sizes {
            Sizes::Both(both) => both.into(),
            Sizes::Each(each) => each.into(),
        }
    }
}

/// How much a convolution pads its input.
///
/// ```
/// use vocabulary::Padding;
/// assert_eq!(Padding::from(1), Padding::Explicit([1, 1]));
/// assert_eq!(Padding::from((1, 2)), Padding::Explicit([1, 2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(from = "PaddingArgument"))]
pub enum Padding {
    /// As much as keeps the size, at a stride of 1: d·(k − 1) in all, the odd one at the end.
    #[cfg_attr(feature = "serde", serde(rename = "same"))]
    Same,
    /// None.
    #[cfg_attr(feature = "serde", serde(rename = "valid"))]
    Valid,
    /// So much at both ends of height and of width. As in PyTorch, a negative one crops, unless it is zeros that are padded.
    #[cfg_attr(feature = "serde", serde(untagged))]
    Explicit([i64; 2]),
}

impl<P: Into<Pair>> From<P> for Padding {
    fn from(sizes: P) -> Self {
        Self::Explicit(sizes.into().axes().map(|size| i64::try_from(size).unwrap_or(i64::MAX)))
    }
}

#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "a size, [height, width], \"same\" or \"valid\"")]
enum PaddingArgument {
    Both(i64),
    Each([i64; 2]),
    Name(PaddingName),
}

#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum PaddingName {
    Same,
    Valid,
}

#[cfg(feature = "serde")]
impl From<PaddingArgument> for Padding {
    fn from(argument: PaddingArgument) -> Self {
        match argument {
            PaddingArgument::Both(both) => Self::Explicit([both, both]),
            PaddingArgument::Each(each) => Self::Explicit(each),
            PaddingArgument::Name(PaddingName::Same) => Self::Same,
            PaddingArgument::Name(PaddingName::Valid) => Self::Valid,
        }
    }
}

/// What stands where an input is padded.
///
/// ```
/// assert_eq!(vocabulary::PaddingMode::default(), vocabulary::PaddingMode::Zeros);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum PaddingMode {
    /// 0.
    #[default]
    Zeros,
    /// The input mirrored at its first and last element, which are not repeated.
    Reflect,
    /// The nearest element of the input.
    Replicate,
    /// The input, repeated.
    Circular,
}
