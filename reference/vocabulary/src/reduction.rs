//! How a loss joins its terms, and PyTorch's older way of saying so.

/// How a loss joins its terms into its output (`reduction` of every torch.nn loss).
///
/// ```
/// use vocabulary::Reduction;
/// assert_eq!(Reduction::default(), Reduction::Mean);
/// assert_eq!(Reduction::Mean.with_legacy(Some(false), None), Reduction::Sum);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Reduction {
    /// No joining: one output a term.
    None,
    /// The sum of the terms divided by their number (or by their weight, where a loss has weights). PyTorch also accepts
    /// its older name, `elementwise_mean`.
    #[default]
    #[cfg_attr(feature = "serde", serde(alias = "elementwise_mean"))]
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
