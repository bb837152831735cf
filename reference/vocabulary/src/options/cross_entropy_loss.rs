//! `torch.nn.CrossEntropyLoss(weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean',
//! label_smoothing=0.0)`.

use super::require_shape;
use crate::reduction::loss_options;
use crate::{CrossEntropyTarget, Error, Result, Tensor};

const LAYER: &str = "CrossEntropyLoss";

loss_options! {
    /// Arguments of `torch.nn.CrossEntropyLoss`.
    ///
    /// ```
    /// use vocabulary::{CrossEntropyLossOptions, Reduction};
    /// let options = CrossEntropyLossOptions::new().reduction(Reduction::Sum);
    /// assert_eq!(options.effective_reduction(), Reduction::Sum);
    /// assert_eq!(options.reduce(Some(false)).effective_reduction(), Reduction::None);
    /// ```
    pub struct CrossEntropyLossOptions {
        /// The class whose targets count for nothing.
        pub ignore_index: i64 = -100,
        /// ε: how much of each target is spread evenly over all classes; none where it is not positive.
        #[cfg_attr(feature = "serde", serde(serialize_with = "super::float::serialize"))]
        pub label_smoothing: f64 = 0.0,
    }
    arguments CrossEntropyLossArguments, "CrossEntropyLossArguments";
}

impl CrossEntropyLossOptions {
    /// Checks what is known of the loss before it is called.
    ///
    /// # Errors
    /// Names `weight`, where it is no list of numbers.
    pub fn check_weight(&self, weight: Option<&[usize]>) -> Result<()> {
        match weight {
            Some(shape) if shape.len() != 1 => Err(Error::shape(LAYER, "weight", shape, "[C]")),
            _ => Ok(()),
        }
    }

    /// ε, where there is any smoothing.
    pub fn smoothing(&self) -> Option<f64> {
        (self.label_smoothing > 0.0).then_some(self.label_smoothing)
    }

    /// Checks the shapes of input, target and weight against each other, the classes, and the options that concern them; tells
    /// the dimension of the classes.
    ///
    /// # Errors
    /// Names `input`, where it has no classes; `target`, where its shape or a class does not fit; `weight`, where it does not
    /// have one number a class; `label_smoothing` above 1; `ignore_index`, where probabilities cannot be ignored.
    pub fn check_call<T>(
        &self,
        input: &[usize],
        target: &CrossEntropyTarget<T>,
        weight: Option<&[usize]>,
    ) -> Result<usize> {
        let axis = usize::from(input.len() > 1);
        let Some(&count) = input.get(axis) else {
            return Err(Error::shape(LAYER, "input", input, "[C], [N, C] or [N, C, …]"));
        };
        if self.label_smoothing > 1.0 {
            let got = format!("is {}", self.label_smoothing);
            return Err(Error::new(LAYER, "label_smoothing", got, "at most 1"));
        }
        if let Some(weight) = weight {
            require_shape(LAYER, "weight", weight, &[count])?;
        }
        match target {
            CrossEntropyTarget::Probabilities(probabilities) => {
                require_shape(LAYER, "target", probabilities.shape(), input)?;
                if self.ignore_index >= 0 {
                    let got = format!("is {}", self.ignore_index);
                    let expected = "negative, where the target holds probabilities";
                    return Err(Error::new(LAYER, "ignore_index", got, expected));
                }
            }
            CrossEntropyTarget::Classes(classes) => {
                let mut due = input.to_vec();
                due.remove(axis);
                // PyTorch takes the class of a single item from a vector, too; backward does not.
                let in_a_vector = input.len() == 1 && classes.shape() == [1] && self.smoothing().is_none();
                // Of equal shapes, PyTorch takes a target for probabilities; and it does not reduce no classes along a middle axis.
                if classes.shape() == input || count == 0 && input.len() > 2 && !classes.is_empty() {
                    return Err(Error::shape(
                        LAYER,
                        "target",
                        classes.shape(),
                        "probabilities, or classes of which there are any",
                    ));
                }
                if !in_a_vector {
                    require_shape(LAYER, "target", classes.shape(), &due)?;
                }
                let known = |class: i64| class == self.ignore_index || usize::try_from(class).is_ok_and(|c| c < count);
                if let Some(class) = classes.as_slice().iter().copied().find(|&class| !known(class)) {
                    let expected = format!("only classes in 0..{count}, or ignore_index = {}", self.ignore_index);
                    return Err(Error::new(LAYER, "target", format_args!("holds {class}"), expected));
                }
            }
        }
        Ok(axis)
    }
}

/// What `CrossEntropyLoss`'s backward gives.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropyLossGradients<T> {
    /// In the input's shape.
    pub input: Tensor<T>,
    /// In the target's shape, where the target holds probabilities.
    pub target: Option<Tensor<T>>,
}
