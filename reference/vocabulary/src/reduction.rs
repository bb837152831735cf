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

/// PyTorch's argument `reduction`, whatever it is: where a legacy one is given, PyTorch does not look at it; so it is judged last.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum ReductionArgument {
    Text(String),
    Other(serde::de::IgnoredAny),
}

#[cfg(feature = "serde")]
impl Default for ReductionArgument {
    fn default() -> Self {
        Self::Text("mean".into())
    }
}

#[cfg(feature = "serde")]
impl ReductionArgument {
    /// The reduction; any, where a legacy argument overrides it.
    pub fn beside(&self, size_average: Option<bool>, reduce: Option<bool>) -> Result<Reduction, String> {
        let reduction = match self {
            Self::Text(name) => name.parse(),
            Self::Other(_) => Err("no string, expected \"none\", \"mean\" or \"sum\"".into()),
        };
        match reduction {
            Err(_) if size_average.is_some() || reduce.is_some() => Ok(Reduction::default()),
            reduction => reduction.map_err(|error| format!("reduction {error}")),
        }
    }
}

/// The options of a loss: its own fields, and `size_average`, `reduce` and `reduction` with what every loss does with them.
///
/// `arguments` is the name, as a literal too, of the keyword arguments that serde reads.
macro_rules! loss_options {
    (
        $(#[$doc:meta])*
        pub struct $options:ident {
            $($(#[$field_doc:meta])* pub $field:ident: $type:ty = $default:expr,)*
        }
        arguments $arguments:ident, $path:literal;
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = $path))]
        pub struct $options {
            /// Deprecated in PyTorch: see [`Reduction::with_legacy`](crate::Reduction::with_legacy).
            pub size_average: Option<bool>,
            /// Deprecated in PyTorch: see [`Reduction::with_legacy`](crate::Reduction::with_legacy).
            pub reduce: Option<bool>,
            /// How the terms are joined.
            pub reduction: crate::Reduction,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $options {
            fn default() -> Self {
                Self {
                    size_average: None,
                    reduce: None,
                    reduction: crate::Reduction::default(),
                    $($field: $default,)*
                }
            }
        }

        impl $options {
            /// PyTorch's defaults.
            pub fn new() -> Self {
                Self::default()
            }

            /// Sets the deprecated `size_average`.
            pub fn size_average(mut self, size_average: Option<bool>) -> Self {
                self.size_average = size_average;
                self
            }

            /// Sets the deprecated `reduce`.
            pub fn reduce(mut self, reduce: Option<bool>) -> Self {
                self.reduce = reduce;
                self
            }

            /// Sets how the terms are joined.
            pub fn reduction(mut self, reduction: crate::Reduction) -> Self {
                self.reduction = reduction;
                self
            }

            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*

            /// The reduction in force, the deprecated arguments considered.
            pub fn effective_reduction(&self) -> crate::Reduction {
                self.reduction.with_legacy(self.size_average, self.reduce)
            }
        }

        /// The keyword arguments, before `reduction` is judged.
        #[cfg(feature = "serde")]
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $arguments {
            #[serde(default)]
            size_average: Option<bool>,
            #[serde(default)]
            reduce: Option<bool>,
            #[serde(default)]
            reduction: crate::reduction::ReductionArgument,
            $(#[serde(default, deserialize_with = "crate::options::given")] $field: Option<$type>,)*
        }

        #[cfg(feature = "serde")]
        impl TryFrom<$arguments> for $options {
            type Error = String;

            fn try_from(arguments: $arguments) -> std::result::Result<Self, String> {
                Ok(Self {
                    reduction: arguments.reduction.beside(arguments.size_average, arguments.reduce)?,
                    size_average: arguments.size_average,
                    reduce: arguments.reduce,
                    $($field: arguments.$field.unwrap_or($default),)*
                })
            }
        }
    };
}
pub(crate) use loss_options;
