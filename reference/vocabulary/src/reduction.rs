//! How a loss joins its terms, and PyTorch's older way of saying so.

use std::str::FromStr;

/// How a loss joins its terms into its output (`reduction` of every torch.nn loss).
///
/// ```
/// use vocabulary::Reduction;
/// assert_eq!(Reduction::default(), Reduction::Mean);
/// assert_eq!(Reduction::Mean.with_legacy(Some(false), None), Reduction::Sum);
/// assert_eq!("none".parse(), Ok(Reduction::None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase", try_from = "String"))]
pub enum Reduction {
    /// No joining: one output a term.
    None,
    /// The sum of the terms divided by their number (or by their weight, where a loss has weights). PyTorch also accepts
    /// its older name, `elementwise_mean`.
    #[default]
    Mean,
    /// The sum of the terms.
    Sum,
}

impl Reduction {
    /// The reduction that PyTorch's deprecated arguments stand for.
    ///
    /// Where either is given, it overrides `reduction`: `reduce = false` is `None`; otherwise `size_average` chooses
    /// between `Mean` (its default) and `Sum`. Source: `torch.nn._reduction.legacy_get_string`.
    pub fn with_legacy(self, size_average: Option<bool>, reduce: Option<bool>) -> Self {
        match (size_average, reduce) {
            (None, None) => self,
            (_, Some(false)) => Self::None,
            (Some(false), _) => Self::Sum,
            _ => Self::Mean,
        }
    }
}

impl FromStr for Reduction {
    type Err = String;

    /// PyTorch's name of a reduction.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" => Ok(Self::None),
            "mean" | "elementwise_mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            other => Err(format!("{other:?}, expected \"none\", \"mean\" or \"sum\"")),
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<String> for Reduction {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

/// The keyword arguments that every loss has. Where a legacy one is given, PyTorch does not look at `reduction`, whatever that
/// is; so it is judged last.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReductionArguments {
    pub size_average: Option<bool>,
    pub reduce: Option<bool>,
    reduction: Argument,
}

#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Argument {
    Text(String),
    Other(serde::de::IgnoredAny),
}

#[cfg(feature = "serde")]
impl Default for ReductionArguments {
    fn default() -> Self {
        Self { size_average: None, reduce: None, reduction: Argument::Text("mean".into()) }
    }
}

#[cfg(feature = "serde")]
impl ReductionArguments {
    /// The reduction; any, where a legacy argument overrides it.
    pub fn reduction(&self) -> Result<Reduction, String> {
        let reduction = match &self.reduction {
            Argument::Text(name) => name.parse(),
            Argument::Other(_) => Err("no string, expected \"none\", \"mean\" or \"sum\"".into()),
        };
        match reduction {
            Err(_) if self.size_average.is_some() || self.reduce.is_some() => Ok(Reduction::default()),
            reduction => reduction.map_err(|error| format!("reduction {error}")),
        }
    }
}
