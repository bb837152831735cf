//! `Bounded` against itself: right arithmetic never exceeds it, and half of it would be too little.

use conformance::DType;
use conformance::bounded::{Bounded, Centring, Declaration, under};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rand_distr::{Distribution, StandardNormal};
use reference::{Condition, Real, Scalar};

/// Ways of adding products a·b in single precision: orders, blockings, fused or not.
fn dot(a: &[f32], b: &[f32], way: usize, rng: &mut SmallRng) -> f32 {
    let mut order: Vec<usize> = (0..a.len()).collect();
    let shuffle = |order: &mut Vec<usize>, rng: &mut SmallRng| {
        for i in (1..order.len()).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
    };
    let product = |i: usize| a[i] * b[i];
    let plain = |order: &[usize]| order.iter().fold(0.0, |sum, &i| sum + product(i));
    let fused = |order: &[usize]| order.iter().fold(0.0_f32, |sum, &i| a[i].mul_add(b[i], sum));
    let lanes = |width: usize, fuse: bool| {
        let mut sums = vec![0.0_f32; width];
        for i in 0..a.len() {
            let sum = &mut sums[i % width];
            *sum = if fuse { a[i].mul_add(b[i], *sum) } else { *sum + product(i) };
        }
        sums.iter().fold(0.0, |total, sum| total + sum)
    };
    fn pairwise(terms: &[f32]) -> f32 {
        match terms {
            [] => 0.0,
            [term] => *term,
            _ => {
                let (left, right) = terms.split_at(terms.len() / 2);
                pairwise(left) + pairwise(right)
            }
        }
    }
    match way {
        0 => plain(&order),
        1 => fused(&order),
        2 | 3 => {
            order.reverse();
            if way == 2 { plain(&order) } else { fused(&order) }
        }
        4..=6 => {
            shuffle(&mut order, rng);
            if way == 4 { fused(&order) } else { plain(&order) }
        }
        7 => lanes(2, false),
        8 => lanes(4, true),
        9 => lanes(8, false),
        10 => lanes(16, true),
        11 => lanes(64, false),
        12 => pairwise(&order.iter().map(|&i| product(i)).collect::<Vec<_>>()),
        13 => {
            order.sort_by(|&i, &j| product(i).abs().total_cmp(&product(j).abs()));
            plain(&order)
        }
        14 => {
            order.sort_by(|&i, &j| product(j).abs().total_cmp(&product(i).abs()));
            plain(&order)
        }
        15 => {
            order.sort_by(|&i, &j| product(i).total_cmp(&product(j)));
            fused(&order)
        }
        16 => order.chunks(8).map(plain).fold(0.0, |total, block| total + block),
        17 => order.chunks(16).map(fused).fold(0.0, |total, block| total + block),
        18 => pairwise(&order.chunks(4).map(fused).collect::<Vec<_>>()),
        _ => order.iter().rev().fold(0.0_f32, |sum, &i| b[i].mul_add(a[i], sum)),
    }
}

/// Terms of one magnitude, of many, cancelling, or integers.
fn terms(n: usize, kind: usize, rng: &mut SmallRng) -> Vec<f32> {
    let mut draw = |_| -> f32 {
        let x: f32 = StandardNormal.sample(rng);
        match kind {
            0 => x,
            1 => x * 2_f32.powi(rng.random_range(-20..20)),
            2 => x + 100.0,
            _ => x.round(),
        }
    };
    (0..n).map(&mut draw).collect()
}

/// 10⁴ sums of products, each computed in 20 ways: none exceeds the bound. Half of it would be exceeded, by sums of one, two,
/// three and more terms alike.
#[test]
fn sums_of_products_stay_within_their_bounds() {
    const CLASSES: usize = 4;
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let (mut largest, mut beyond_half, mut exact) = ([0.0_f64; CLASSES], [0; CLASSES], 0);
    for trial in 0..10_000 {
        let n = if trial % 2 == 0 { rng.random_range(1..4) } else { rng.random_range(1..200) };
        let class = n.min(CLASSES) - 1;
        let (a, b) = (terms(n, trial % 4, &mut rng), terms(n, trial / 4 % 4, &mut rng));
        let number = |&x: &f32| Bounded::<false>::exact(f64::from(x));
        let dot_product = || Real::sum(a.iter().zip(&b).map(|(a, b)| number(a) * number(b))).settled();
        let (bounded, _) = under(DType::F32, Declaration::LITERAL, dot_product);
        exact += usize::from(bounded.bound() == 0.0);
        for way in 0..20 {
            let computed = f64::from(dot(&a, &b, way, &mut rng));
            let error = (computed - bounded.value()).abs();
            assert!(error <= bounded.bound(), "trial {trial}, way {way}, {n} terms: {error:e} > {:e}", bounded.bound());
            if bounded.bound() > 0.0 {
                largest[class] = largest[class].max(error / bounded.bound());
                beyond_half[class] += usize::from(error > 0.5 * bounded.bound());
            }
        }
    }
    println!(
        "1, 2, 3 and more terms: largest shares of the bound {largest:.3?}, beyond half of it {beyond_half:?} times"
    );
    println!("{exact} sums exact in every order");
    assert!(beyond_half.iter().all(|&count| count > 0), "half the bound would not be caught: {beyond_half:?}");
    assert!(exact > 500, "{exact} sums were exact");
}

/// Sums and products about the largest number, and of infinities: what is known of them is what every way comes to, an infinity,
/// NaN or a number within its bound.
#[test]
fn sums_about_the_largest_number_are_known_or_unknown() {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let step = 2.0_f32.powi(104);
    let (mut known, mut infinite) = (0, 0);
    for trial in 0..20_000 {
        let n = rng.random_range(1..8);
        let mut term = || match rng.random_range(0..8) {
            0 if trial % 4 == 0 => f32::INFINITY,
            0 => 0.0,
            1 => f32::MAX - step * rng.random_range(0..4) as f32,
            2 => -f32::MAX,
            3 => f32::MAX * rng.random_range(0.2..0.7),
            4 => -f32::MAX * rng.random_range(0.2..0.7),
            _ => step * rng.random_range(-1.0..1.0),
        };
        let a: Vec<f32> = (0..n).map(|_| term()).collect();
        let b: Vec<f32> = (0..n).map(|_| [1.0, 1.0, -1.0, 2.0, 0.5][rng.random_range(0..5)]).collect();
        let number = |&x: &f32| Bounded::<false>::exact(f64::from(x));
        let dot_product = || Real::sum(a.iter().zip(&b).map(|(a, b)| number(a) * number(b))).settled();
        let (bounded, _) = under(DType::F32, Declaration::LITERAL, dot_product);
        if bounded.bound() == f64::INFINITY {
            continue;
        }
        known += 1;
        infinite += usize::from(bounded.value().is_infinite());
        for way in 0..20 {
            let computed = f64::from(dot(&a, &b, way, &mut rng));
            let agrees = match bounded.value() {
                value if value.is_nan() => computed.is_nan(),
                value if value.is_infinite() => computed == value,
                value => (computed - value).abs() <= bounded.bound(),
            };
            assert!(agrees, "way {way}: {computed:e}, expected {bounded:?} of {a:?} by {b:?}");
        }
    }
    println!("{known} sums are known, {infinite} of them infinite");
    assert!(known > 4000 && infinite > 1000, "only {known} sums are known, {infinite} of them infinite");
}

/// The bound of a long sum is nearly reached where every addition rounds to the same side, far beyond the likely one.
#[test]
fn a_long_sum_nearly_reaches_its_bound() {
    // Each term is 0.51 of a unit in the last place of the sum before it, and so rounds up, by nearly half a unit.
    let terms: Vec<f32> = std::iter::once(1.0).chain([0.51 * f32::EPSILON; 2000]).collect();
    let (sum, exact) = terms.iter().fold((0.0_f32, 0.0), |(sum, exact), &x| (sum + x, exact + f64::from(x)));
    let all = || Real::sum(terms.iter().map(|&x| Bounded::<false>::exact(f64::from(x)))).settled();
    let (bounded, _) = under(DType::F32, Declaration::LITERAL, all);
    let error = (f64::from(sum) - exact).abs();
    let share = error / bounded.bound();
    assert!(0.9 < share && share <= 1.0, "{share} of the bound");
    assert!(error > bounded.likely());
}

/// A chain of all operations, written once over `Real`.
fn chain<T: Real>(x: T, y: T) -> T {
    let ratio = (x * x + y) / (T::one() + y * y);
    let root = (ratio * ratio + T::from_f64(0.3)).sqrt();
    let saturating = (x - y).tanh() + (-x).exp() * y.exp_m1();
    (saturating - root) * (T::one() + root).ln() + root.ln_1p() - (root + T::one()).powf(1.5)
}

/// Single precision stays within what is derived of it, at most of the bound being used somewhere.
#[test]
fn functions_stay_within_their_bounds() {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    let mut largest = 0.0_f64;
    for _ in 0..20_000 {
        let (x, y): (f32, f32) = (StandardNormal.sample(&mut rng), StandardNormal.sample(&mut rng));
        let number = |x: f32| Bounded::<false>::exact(f64::from(x));
        let (bounded, _) = under(DType::F32, Declaration::LITERAL, || chain(number(x), number(y)).settled());
        let error = (f64::from(chain(x, y)) - bounded.value()).abs();
        assert!(error <= bounded.bound(), "x = {x:e}, y = {y:e}: {error:e} > {:e}", bounded.bound());
        largest = largest.max(error / bounded.bound());
    }
    assert!(largest > 0.1, "the bounds are loose: at most {largest} of one was used");
}

/// Each way of centring stays within what is derived of it, means near and far; half of it would be too little.
#[test]
fn centring_stays_within_its_bounds() {
    let mut rng = SmallRng::seed_from_u64(super::seed());
    for centring in [Centring::Once, Centring::Split, Centring::Products] {
        let declaration = Declaration { centring, ..Declaration::LITERAL };
        let mut largest = 0.0_f64;
        for trial in 0..50_000 {
            let scale = 10_f64.powi(trial % 8);
            let mean: f64 = rng.random_range(-1.0..1.0) * scale;
            let noise: f64 = StandardNormal.sample(&mut rng);
            let x = (mean + noise * 10_f64.powi(-(trial / 8 % 4))) as f32;
            let centred = || Bounded::<false>::exact(f64::from(x)).centred_about(Bounded::exact(mean)).settled();
            let (bounded, _) = under(DType::F32, declaration, centred);
            let (high, scale) = (mean as f32, 3.0_f32);
            let low = (mean - f64::from(high)) as f32;
            let computed = match centring {
                Centring::Once => (f64::from(x) - mean) as f32,
                Centring::Split => (x - high) - low,
                Centring::Products => (x * scale + -(high * scale)) / scale,
            };
            let error = (f64::from(computed) - bounded.value()).abs();
            assert!(
                error <= bounded.bound(),
                "{centring:?} x = {x:e}, μ = {mean:e}: {error:e} > {:e}",
                bounded.bound()
            );
            largest = largest.max(error / bounded.bound());
        }
        println!("{centring:?}: {largest:.3} of the bound");
        assert!(largest > 0.25, "{centring:?} uses at most {largest} of its bound");
    }
}

/// A comparison closer than its bounds admits both branches; one that is not, does not.
#[test]
fn close_comparisons_admit_both_branches() {
    let run = |x: f64| {
        under(DType::F32, Declaration::LITERAL, || {
            let rounded = Bounded::<false>::from_f64(0.1) + Bounded::from_f64(x);
            let condition = rounded.less(Bounded::from_f64(0.1));
            (condition, Bounded::<false>::select(condition, Bounded::exact(1.0), Bounded::exact(5.0)))
        })
    };
    let ((condition, selected), branches) = run(1e-12);
    assert_eq!((condition, branches.ambiguous), (Condition::Either, 1));
    assert!(selected.bound() == 4.0 && selected.value() == 1.0);
    let ((condition, selected), branches) = run(-0.5);
    assert_eq!((condition, branches.ambiguous, selected.value(), selected.bound()), (Condition::True, 0, 1.0, 0.0));
}

/// Overflow is known where it is certain, unknown where it depends on the order, and infinities of the input are known.
#[test]
fn overflow_is_known_or_unknown() {
    let sum = |terms: &[f64]| {
        under(DType::F32, Declaration::LITERAL, || {
            Real::sum(terms.iter().map(|&x| Bounded::<false>::exact(x))).settled()
        })
        .0
    };
    let product = |x: f64, y: f64| {
        under(DType::F32, Declaration::LITERAL, || (Bounded::<false>::exact(x) * Bounded::exact(y)).settled()).0
    };
    assert_eq!(sum(&[3e38, 3e38, -3e38, -3e38]).bound(), f64::INFINITY);
    assert_eq!((product(1e30, -1e30).value(), product(1e30, -1e30).bound()), (f64::NEG_INFINITY, 0.0));
    assert_eq!((sum(&[f64::INFINITY, 1.0]).value(), sum(&[f64::INFINITY, 1.0]).bound()), (f64::INFINITY, 0.0));
    assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
    assert!(product(0.0, f64::INFINITY).value().is_nan());

    // The finite terms stay below the largest number; but each addition of one may round up, and so reach −inf beside +inf.
    let step = 2.0_f64.powi(104);
    let mut terms = vec![-(f64::from(f32::MAX) - 3.0 * step)];
    terms.extend([-0.51 * step; 5]);
    assert!(sum(&terms).bound() > 0.0 && terms.iter().sum::<f64>() > -f64::from(f32::MAX));
    terms.push(f64::INFINITY);
    assert_eq!(sum(&terms).bound(), f64::INFINITY);

    // A square beyond the largest number is an infinity as a result; in what follows it may be there or not.
    let of_square = |x: f64, f: fn(Bounded) -> Bounded| {
        under(DType::F32, Declaration::LITERAL, || f(Bounded::exact(x) * Bounded::exact(x)).settled()).0
    };
    let known = |number: Bounded, value: f64| number.value() == value && number.bound() == 0.0;
    assert!(known(of_square(1e20, |x| x), f64::INFINITY));
    assert!(known(of_square(1e20, |x| -x), f64::NEG_INFINITY));
    assert!(known(of_square(1e25, |x| x / Bounded::exact(1e5)), f64::INFINITY));
    assert!(known(of_square(1e25, |x| x + Bounded::exact(-3e38)), f64::INFINITY));
    assert_eq!(of_square(1e25, Real::sqrt).bound(), f64::INFINITY);
    let unknown: [fn(Bounded) -> Bounded; 5] = [
        |x| x * Bounded::exact(1e-10),
        |x| x / Bounded::exact(1e10),
        |x| x - x,
        |x| x * Bounded::exact(0.0),
        |x| x / x,
    ];
    for f in unknown {
        assert_eq!(of_square(1e20, f).bound(), f64::INFINITY);
    }
    // What is divided by it is 0, or nearly so, whichever it is.
    let quotient = of_square(1e20, |x| Bounded::exact(1.0) / x);
    assert!(quotient.value().abs() <= quotient.bound() && quotient.bound() < 1e-37);
    let logistic = of_square(1e20, |x| Bounded::exact(1.0) / (Bounded::exact(1.0) + x));
    assert!(logistic.bound() < 1e-37);
    // e^x beyond double precision, too.
    let huge = under(DType::F32, Declaration::LITERAL, || {
        let power = Bounded::<false>::exact(1000.0).exp();
        [
            power.settled(),
            (Bounded::one() / (Bounded::one() + power)).settled(),
            (power * Bounded::exact(0.5)).settled(),
        ]
    })
    .0;
    assert!(known(huge[0], f64::INFINITY) && huge[1].bound() < 1e-37 && huge[2].bound() == f64::INFINITY);
}
