//! Element by element: is what was computed within its bound?

use crate::bounded::Bounded;
use crate::tensors::Group;
use std::fmt;

/// Which tensor of a case, and against what.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The tensor's group.
    pub group: Group,
    /// The tensor's name.
    pub name: String,
    /// How many elements were compared.
    pub compared: usize,
    /// How many of them had to be exact: a bound of 0, or an infinity or NaN.
    pub exact: usize,
    /// How many elements nothing is known of, since some right order of operations would overflow.
    pub unknown: usize,
    /// The largest err/bound over the elements whose bound is not 0, against the reference and against recorded values.
    pub slack: f64,
    /// How many elements have a likely bound below the bound: those that sums of 64 terms and more have come to.
    pub probabilistic: usize,
    /// How many of them exceed it, though not the bound.
    pub unlikely: usize,
    /// The smallest error of a single term that is certain to be seen, as a share of the mean term, in the median element:
    /// twice the bound, by what the terms are on average; 0 in exact elements.
    pub detectable: f64,
    /// Whether the bounds say too little: their median exceeds a tenth of the tensor's root mean square.
    pub mistrusted: bool,
    /// Whether the same holds for a gradient or a loss that vanishes by saturation or cancellation, which is no reason for
    /// mistrust: the bounds are below a thousandth of the terms that it remains of.
    pub saturated: bool,
    /// The element that is furthest outside its bound, where one is.
    pub worst: Option<Worst>,
}

/// By what an element is judged, or a fault seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// The bound is 0, or the value an infinity or NaN: nothing but the value itself passes.
    Exact,
    /// The derived bound about the reference's value.
    Bound,
    /// The recorded value, within the recorder's bound and ours.
    Recorded,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exact => "exact",
            Self::Bound => "bound",
            Self::Recorded => "recorded",
        })
    }
}

/// An element outside its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    /// Its place in row-major order.
    pub place: usize,
    /// What was computed.
    pub actual: f64,
    /// What was expected.
    pub expected: f64,
    /// How far it might have been from that.
    pub bound: f64,
    /// In which lane it is seen.
    pub lane: Lane,
    /// How many elements of the tensor are outside.
    pub outside: usize,
}

/// What an element is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub value: f64,
    pub bound: f64,
    pub likely: f64,
    /// The magnitude of the terms that the value remains of, in all and on average.
    pub scale: f64,
    pub term: f64,
}

impl Target {
    /// What has to be met exactly.
    pub fn exact(value: f64) -> Self {
        Self { value, bound: 0.0, likely: 0.0, scale: value.abs(), term: value.abs() }
    }

    /// The smallest error of a term of mean size that is certain to be seen, as a share of it.
    fn detectable(&self) -> f64 {
        if self.bound == 0.0 { 0.0 } else { 2.0 * self.bound / self.term }
    }
}

impl From<Bounded> for Target {
    fn from(number: Bounded) -> Self {
        Self {
            value: number.value(),
            bound: number.bound(),
            likely: number.likely(),
            scale: number.scale(),
            term: number.mean_term(),
        }
    }
}

/// How one element compares: the error and whether it is inside.
fn compare(actual: f64, target: &Target, keeps_sign_of_zero: bool) -> (f64, bool) {
    if target.value.is_nan() || actual.is_nan() {
        return (0.0, target.value.is_nan() && actual.is_nan());
    }
    if target.value.is_infinite() || actual.is_infinite() {
        return (0.0, target.value == actual);
    }
    let error = (actual - target.value).abs();
    let same_zero = !(keeps_sign_of_zero && target.bound == 0.0 && actual == 0.0)
        || actual.is_sign_negative() == target.value.is_sign_negative();
    (error, error <= target.bound && same_zero)
}

/// Judges a tensor's elements against the bounded reference and, where a case has recorded some, against expected values.
pub(crate) struct Judge {
    pub group: Group,
    /// The smallest normal number of the type.
    pub smallest: f64,
    pub keeps_sign_of_zero: bool,
    /// Whether the tensor is what large terms may leave nothing of: a gradient, or the output of a loss.
    pub may_vanish: bool,
    /// Whether the case itself holds infinities or NaN.
    pub holds_non_finite: bool,
}

impl Judge {
    /// `recorded` holds each element's recorded value and the distance that is allowed from it.
    pub(crate) fn judge(
        &self,
        name: &str,
        actual: &[f64],
        bounded: &[Target],
        recorded: Option<&[Target]>,
    ) -> Judgement {
        let mut judgement = Judgement {
            group: self.group,
            name: name.to_owned(),
            compared: 0,
            exact: 0,
            unknown: 0,
            slack: 0.0,
            probabilistic: 0,
            unlikely: 0,
            detectable: 0.0,
            mistrusted: false,
            saturated: false,
            worst: None,
        };
        let lane = |target: &Target| if target.bound == 0.0 { Lane::Exact } else { Lane::Bound };
        let against_bounds = bounded.iter().enumerate().map(|(place, target)| (place, target, lane(target)));
        let recorded = recorded.unwrap_or(&[]);
        let against_recorded = recorded.iter().enumerate().map(|(place, target)| (place, target, Lane::Recorded));
        let (mut worst, mut outside, mut last_outside) = (-1.0, 0, None);
        for (place, target, lane) in against_bounds.chain(against_recorded) {
            let recorded = lane == Lane::Recorded;
            if target.bound == f64::INFINITY {
                judgement.unknown += usize::from(!recorded);
                continue;
            }
            let (error, inside) = compare(actual[place], target, self.keeps_sign_of_zero);
            let ratio = if error == 0.0 { 0.0 } else { error / target.bound };
            if !recorded {
                judgement.compared += 1;
                judgement.exact += usize::from(target.bound == 0.0);
                judgement.probabilistic += usize::from(target.likely < target.bound);
                judgement.unlikely += usize::from(error > target.likely && inside);
            }
            if inside {
                judgement.slack = judgement.slack.max(ratio);
                continue;
            }
            if last_outside != Some(place) || !recorded {
                outside += 1;
            }
            last_outside = Some(place);
            if ratio > worst {
                worst = ratio;
                let Target { value: expected, bound, .. } = *target;
                judgement.worst = Some(Worst { place, actual: actual[place], expected, bound, lane, outside: 0 });
            }
        }
        judgement.worst.iter_mut().for_each(|worst| worst.outside = outside);
        let compared = bounded.iter().filter(|target| target.bound.is_finite());
        judgement.detectable = median(compared.map(Target::detectable).filter(|share| !share.is_nan()).collect());
        let trust = trust(bounded, self.smallest, self.holds_non_finite);
        judgement.saturated = trust == Trust::Vanishing && self.may_vanish;
        judgement.mistrusted = trust != Trust::Tight && !judgement.saturated;
        judgement
    }
}

/// The median, the upper one of two; 0 of nothing.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

/// How much the bounds of a tensor say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Their median is below a tenth of the root mean square of the values.
    Tight,
    /// It is not; but it is below a thousandth of that of the terms which the values remain of.
    Vanishing,
    /// Neither.
    Loose,
}

/// Judges the bounds of the elements that are not exact. Those of which nothing is known have infinite ones, and count, unless an
/// infinity or NaN of the case itself has come to them.
fn trust(bounded: &[Target], smallest: f64, holds_non_finite: bool) -> Trust {
    let counts = |target: &&Target| {
        let excused = holds_non_finite && target.bound == f64::INFINITY && !target.value.is_finite();
        target.bound > 0.0 && !excused
    };
    let rounded = || bounded.iter().filter(counts);
    if rounded().next().is_none() {
        return Trust::Tight;
    }
    let median = median(rounded().map(|target| target.bound).collect());
    let root_mean_square = |number: fn(&Target) -> f64| {
        let numbers = || rounded().map(number).filter(|number| number.is_finite());
        // Scaled, so that squares do not overflow.
        let largest = numbers().map(f64::abs).fold(0.0, f64::max);
        let squares: f64 = numbers().map(|number| (number / largest).powi(2)).sum();
        if largest == 0.0 { 0.0 } else { largest * (squares / numbers().count() as f64).sqrt() }
    };
    // What is lost below the smallest normal numbers is negligible, whatever the values.
    const NEGLIGIBLE: f64 = 4096.0;
    match median {
        _ if median <= 0.1 * root_mean_square(|target| target.value) || median <= NEGLIGIBLE * smallest => Trust::Tight,
        _ if median <= root_mean_square(|target| target.scale) / 1024.0 => Trust::Vanishing,
        _ => Trust::Loose,
    }
}
