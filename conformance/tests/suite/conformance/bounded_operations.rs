//! The rules of `Bounded` that formulas of several layers lean on, each against single-precision arithmetic in the ways that
//! implementations have it; and that half of the bound would be too little, or that what must be exact is.

use conformance::bounded::{Bounded, Declaration, under};
use conformance::{Case, Conclusion, DType, Expect, Group, Implementation, Limits, Mode, Named, Outcome, Results};
use conformance::{Reference, Variant, replay};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, StandardNormal};
use reference::{Real, Scalar};
use serde_json::json;
use vocabulary::Tensor;

type Number = Bounded<false>;

fn literal(f: impl FnOnce() -> Number) -> Number {
    under(DType::F32, Declaration::LITERAL, || f().settled()).0
}

fn foreign(f: impl FnOnce() -> Number) -> Number {
    under(DType::F32, Declaration::foreign(DType::F32), || f().settled()).0
}

fn exact(x: f32) -> Number {
    Number::exact(f64::from(x))
}

/// The largest share of the bound that the computed numbers' errors take.
#[derive(Default)]
struct Shares(f64);

impl Shares {
    fn add(&mut self, computed: f32, bounded: Number, what: &str) {
        let error = (f64::from(computed) - bounded.value()).abs();
        assert!(
            error <= bounded.bound(),
            "{what}: {computed:e} is {error:e} off {:e} ± {:e}",
            bounded.value(),
            bounded.bound()
        );
        if bounded.bound() > 0.0 && bounded.bound().is_finite() {
            self.0 = self.0.max(error / bounded.bound());
        }
    }
}

#[test]
fn an_exponent_is_rounded_to_the_type() {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let (mut shares, mut beyond) = (Shares::default(), 0);
    for exponent in [1.0 / 3.0, 3.0, 1.1, 1.0 / 1.1, 0.1, 7.0, 1.0 / 7.0] {
        for _ in 0..2000 {
            let x = 2_f32.powf(rng.random_range(-16.0..16.0));
            let bounded = literal(|| exact(x).powf(exponent));
            shares.add(x.powf(exponent as f32), bounded, &format!("{x:e} to {exponent}"));
            // Without the exponent's rounding, two ulps and a half would be all.
            let without = 2.5 * f64::from(f32::EPSILON) * bounded.value();
            beyond += usize::from((f64::from(x.powf(exponent as f32)) - bounded.value()).abs() > without);
        }
    }
    assert!(shares.0 > 0.4, "the bounds are loose: {}", shares.0);
    assert!(beyond > 50, "the exponent's rounding shows only {beyond} times");
    assert_eq!(literal(|| exact(1.0).powf(1.0 / 3.0)).value(), 1.0);
}

#[test]
fn differences_are_rounded_once_whoever_takes_them() {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let mut shares = Shares::default();
    for _ in 0..10_000 {
        let (x, m): (f32, f32) = (rng.random_range(-1e3..1e3), 1e3);
        let bounded = foreign(|| exact(x).difference(exact(m)));
        assert!(bounded.bound() <= 1.01 * f64::from(0.5 * f32::EPSILON) * bounded.value().abs() + 1e-30);
        shares.add(x - m, bounded, "x − m");
        assert!(foreign(|| exact(x) - exact(m)).bound() >= bounded.bound());
    }
    assert!(shares.0 > 0.5, "half the bound would not be caught: {}", shares.0);
    // log-softmax as nobody may compute it: the largest logit does not cancel first.
    let s = foreign(|| exact(1000.0).difference(exact(1000.0)) - (Number::one() + exact(-10.0).exp()).ln());
    let wrong = 1000.0 - (1000.0 + (1.0_f32 + (-10.0_f32).exp()).ln());
    assert!(
        (f64::from(wrong) - s.value()).abs() > s.bound(),
        "{wrong:e} is let pass by {:e} ± {:e}",
        s.value(),
        s.bound()
    );
}

#[test]
fn roots_of_sums_of_squares_are_known_down_to_nothing() {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    for exponent in [-80, -74, -70, -66, -60, 0] {
        for _ in 0..500 {
            let [a, b]: [f32; 2] = [0; 2].map(|_| {
                let x: f32 = StandardNormal.sample(&mut rng);
                x * 2_f32.powi(exponent)
            });
            let norm = |[a, b]: [Number; 2]| (a * a + b * b).sqrt();
            let bounded = literal(|| norm([exact(a), exact(b)]));
            assert!(bounded.bound().is_finite(), "nothing is known of the norm of {a:e}, {b:e}");
            Shares::default().add((a * a + b * b).sqrt(), bounded, "a norm");
            // Results below the smallest normal number may be flushed.
            let flush = |x: f32| if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x };
            Shares::default().add(flush(flush(a * a) + flush(b * b)).sqrt(), bounded, "a norm, flushed");
        }
    }
    // Of what may be negative, there is no root.
    assert_eq!(literal(|| (exact(1.0) / exact(3.0) - exact(1.0 / 3.0)).sqrt()).bound(), f64::INFINITY);
}

#[test]
fn what_must_be_exact_is() {
    let cases: [(&str, Number); 9] = [
        ("x − x", literal(|| exact(0.934_578) - exact(0.934_578))),
        ("0 · e", literal(|| Number::zero() * exact(0.3).exp())),
        ("tanh 0", foreign(|| exact(0.0).tanh())),
        ("expm1 0", foreign(|| exact(-0.0).exp_m1())),
        ("exp 0", foreign(|| exact(0.0).exp())),
        ("ln 1", foreign(|| exact(1.0).ln())),
        ("log1p 0", foreign(|| exact(0.0).ln_1p())),
        ("log1p −1", foreign(|| exact(-1.0).ln_1p())),
        ("NaN · e", literal(|| exact(f32::NAN) * exact(0.3).exp())),
    ];
    for (what, number) in cases {
        assert_eq!(number.bound(), 0.0, "{what}");
    }
    assert!(foreign(|| exact(-0.0).tanh()).value().is_sign_negative());
    // Not so beside it.
    assert!(foreign(|| exact(1e-3).tanh()).bound() > 0.0);
    assert!(foreign(|| (exact(0.1) / exact(3.0) - exact(0.1) / exact(3.0)).tanh()).bound() > 0.0);
    assert_eq!(literal(|| exact(f32::INFINITY) * (exact(0.1) / exact(3.0) - exact(1.0 / 30.0))).bound(), f64::INFINITY);
}

#[test]
fn magnitudes_and_signs_are_known_as_far_as_their_numbers() {
    let near_zero = || exact(1.0) / exact(3.0) - Number::from_f64(1.0 / 3.0);
    let (number, magnitude) = (literal(near_zero), literal(|| near_zero().abs()));
    assert_eq!(magnitude.bound(), number.bound(), "||a| − |b|| ≤ |a − b|");
    assert!(literal(|| near_zero().sign()).bound() >= 1.0, "either sign");
    assert_eq!(literal(|| exact(-2.0).sign()).value(), -1.0);
    assert_eq!(literal(|| exact(f32::NAN).sign()).value(), 0.0);
}

/// The second way of writing a number counts for strangers alone, and only as far as it is the same number.
#[test]
fn the_other_form_of_a_number_excuses_rounding_and_nothing_else() {
    let (z, n, h) = (0.999_9_f32, 0.3_f32, -0.7_f32);
    let first = || (Number::one() - exact(z)) * exact(n) + exact(z) * exact(h);
    let second = || (exact(h) - exact(n)) * exact(z) + exact(n);
    let both = || first().or_written(second);
    assert_eq!(literal(both).bound(), literal(first).bound());
    let (alone, admitted) = (foreign(first), foreign(both));
    assert!(
        admitted.bound() >= foreign(second).bound() && admitted.bound() < 4.0 * foreign(second).bound() + alone.bound()
    );
    Shares::default().add((h - n) * z + n, admitted, "the second form");
    let wrong = || first().or_written(|| exact(0.5));
    assert_eq!(foreign(wrong).bound(), alone.bound(), "a wrong form is not let in");
    let infinite = || exact(f32::INFINITY).or_written(|| exact(f32::NAN));
    assert_eq!((foreign(infinite).value(), foreign(infinite).bound()), (f64::INFINITY, 0.0));
}

/// A case of Linear without a bias, in f32.
fn linear(weight: &[f32], input: &[f32]) -> Case {
    let options = json!({"in_features": weight.len(), "out_features": 1, "bias": false});
    let mut case = Case::new("a", "Linear", options.as_object().unwrap().clone(), Mode::Eval, Expect::Values);
    case.insert(Group::State, "weight", Tensor::from_vec(&[1, weight.len()], weight.to_vec()).unwrap());
    let rows = input.len() / weight.len();
    case.insert(Group::In, "input", Tensor::from_vec(&[rows, weight.len()], input.to_vec()).unwrap());
    case
}

/// That some element is NaN excuses nothing of the others.
#[test]
fn an_overflow_of_finite_numbers_is_mistrusted_beside_nan_too() {
    let of = |case: &Case| replay(case, "test", &Reference, &Variant::default(), &Limits::default()).conclusion;
    for input in [&[2.0, 2.0][..], &[2.0, 2.0, f32::NAN, 0.0]] {
        let conclusion = of(&linear(&[3e38, -3e38], input));
        assert!(matches!(conclusion, Conclusion::Mistrusted(_)), "{input:?}: {conclusion}");
    }
    assert_eq!(of(&linear(&[1.0, -1.0], &[2.0, 2.0, f32::NAN, 0.0, f32::INFINITY, 1.0])), Conclusion::Passed);
}

/// Tanh, with a zero of the wrong sign.
struct Unsigned;

impl Implementation for Unsigned {
    fn name(&self) -> &str {
        "unsigned"
    }
    fn run(&self, case: &Case, variant: &Variant) -> Outcome {
        let mut outcome = Reference.run(case, variant);
        if let Outcome::Values(Results::F32(results)) = &mut outcome {
            let results: &mut Named<f32> = results;
            let output = results.float_mut(Group::Out, "output").unwrap();
            output.as_mut_slice().iter_mut().for_each(|y| *y += 0.0);
        }
        outcome
    }
}

#[test]
fn the_sign_of_zero_is_compared_where_it_is_kept() {
    for layer in ["Tanh", "ELU", "LeakyReLU", "ReLU"] {
        let mut case = Case::new("a", layer, serde_json::Map::new(), Mode::Eval, Expect::Values);
        case.insert(Group::In, "input", Tensor::from_vec(&[2], vec![-0.0_f32, 1.5]).unwrap());
        let judge = |implementation: &dyn Implementation| {
            replay(&case, "test", implementation, &Variant::default(), &Limits::default()).conclusion
        };
        assert_eq!(judge(&Reference), Conclusion::Passed, "{layer}");
        assert!(matches!(judge(&Unsigned), Conclusion::Failed(_)), "{layer}: +0 for −0 passes");
    }
}

/// The sign of zero is kept where arithmetic keeps it: in magnitudes, which have none, and in quotients by what may be infinite.
#[test]
fn zeros_have_their_signs() {
    let run = |f: fn() -> Bounded| under(DType::F32, Declaration::LITERAL, || f().settled()).0;
    assert!(run(|| Bounded::exact(-0.0).abs()).value().is_sign_positive());
    assert_eq!(run(|| Bounded::exact(-0.0).abs().powf(-1.0)).value(), f64::INFINITY);
    let huge = || Bounded::<false>::exact(1e30) * Bounded::exact(1e30);
    let quotient = under(DType::F32, Declaration::LITERAL, || Bounded::exact(-1.0) / huge()).0;
    assert!(quotient.value().is_sign_negative(), "{quotient:?}");
}
