//! Whether what two contenders computed is the same, before either is timed. `conformance` judges by derived bounds; here it is
//! enough to know that both did the same work.

use vocabulary::{StateDict, StateTensor};

/// How many epsilons of its type an element may be away, counted in the tensor's root mean square and the element itself. The
/// errors of the longest sums here, in blocks, are a hundred; a term that is missing or wrong is thousands.
const EPSILONS: f64 = 1024.0;

/// Holds everything that the peer computed against ours, which may have more. Where results come of the exponentials of `classes`,
/// added up one after the other as candle does, they may be off by half an epsilon for each: then a single class that is missing
/// would not show. Of peers that add in blocks, it is 0.
///
/// # Errors
/// Says which tensor differs, and how.
pub(super) fn compare(ours: &StateDict, peers: &StateDict, classes: usize) -> Result<(), String> {
    let epsilons = EPSILONS.max(classes as f64 / 2.0);
    for (name, theirs) in peers.iter() {
        let our = ours.get(name).ok_or_else(|| format!("{name}: ours gives none"))?;
        if our.shape() != theirs.shape() || our.dtype() != theirs.dtype() {
            let told = |tensor: &StateTensor| format!("{} {:?}", tensor.dtype(), tensor.shape());
            return Err(format!("{name}: ours is {}, the peer's {}", told(our), told(theirs)));
        }
        match (our, theirs) {
            (StateTensor::F32(our), StateTensor::F32(theirs)) => {
                let pairs = our.as_slice().iter().zip(theirs.as_slice()).map(|(&x, &y)| (f64::from(x), f64::from(y)));
                close(name, pairs, epsilons * f64::from(f32::EPSILON))?;
            }
            (StateTensor::F64(our), StateTensor::F64(theirs)) => {
                let pairs = our.as_slice().iter().copied().zip(theirs.as_slice().iter().copied());
                close(name, pairs, epsilons * f64::EPSILON)?;
            }
            (our, theirs) if our != theirs => return Err(format!("{name}: integers differ")),
            _ => {}
        }
    }
    match peers.get("out.output") {
        Some(_) => Ok(()),
        None => Err("out.output: the peer gives none".to_owned()),
    }
}

/// Holds pairs of numbers, ours and the peer's, against each other, `share` of the root mean square and of the element apart at
/// most; infinities and NaN must be the same.
fn close(name: &str, pairs: impl ExactSizeIterator<Item = (f64, f64)> + Clone, share: f64) -> Result<(), String> {
    let square: f64 = pairs.clone().map(|(_, y)| if y.is_finite() { y * y } else { 0.0 }).sum();
    let rms = (square / pairs.len().max(1) as f64).sqrt();
    for (place, (x, y)) in pairs.enumerate() {
        let allowed = share * (rms + y.abs());
        let agree = x == y || (x.is_nan() && y.is_nan()) || (y.is_finite() && (x - y).abs() <= allowed);
        if !agree {
            return Err(format!(
                "{name}: element {place} is {x:.6e}, the peer's {y:.6e}: {:.1e} away, where {allowed:.1e} is allowed",
                (x - y).abs()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::Tensor;

    fn output(values: Vec<f32>) -> StateDict {
        let mut state = StateDict::new();
        state.insert("out.output", Tensor::from_vec(&[values.len()], values).unwrap());
        state
    }

    #[test]
    fn rounding_agrees_and_a_missing_term_does_not() {
        let ours = output(vec![1.0, -2.0, 3.0]);
        assert_eq!(compare(&ours, &output(vec![1.00001, -2.00001, 3.0]), 0), Ok(()));
        let message = compare(&ours, &output(vec![1.0, -2.01, 3.0]), 0).unwrap_err();
        assert!(message.starts_with("out.output: element 1 is -2.000000e0, the peer's -2.010000e0"), "{message}");
        assert!(compare(&ours, &output(vec![1.0, f32::NAN, 3.0]), 0).is_err());
        assert_eq!(compare(&output(vec![f32::NAN]), &output(vec![f32::NAN]), 0), Ok(()));
        assert!(compare(&output(vec![f32::INFINITY]), &output(vec![1.0]), 0).is_err());
        assert!(compare(&output(vec![1.0]), &output(vec![f32::INFINITY]), 0).is_err());
    }

    #[test]
    fn what_comes_of_a_long_sum_may_be_off_by_its_terms() {
        let (ours, theirs) = (output(vec![1.0, 2.0]), output(vec![1.001, 2.002]));
        assert!(compare(&ours, &theirs, 1000).is_err());
        assert_eq!(compare(&ours, &theirs, 32_000), Ok(()));
        assert!(compare(&ours, &output(vec![1.01, 2.0]), 32_000).is_err());
    }

    #[test]
    fn what_is_missing_or_of_another_shape_does_not_agree() {
        assert!(compare(&StateDict::new(), &output(vec![1.0]), 0).unwrap_err().contains("ours gives none"));
        assert!(compare(&output(vec![1.0]), &StateDict::new(), 0).unwrap_err().contains("the peer gives none"));
        assert!(compare(&output(vec![1.0]), &output(vec![1.0, 1.0]), 0).unwrap_err().contains("F32 [2]"));
    }
}
