//! Central differences with Romberg's extrapolation.

use super::{Coordinate, Testimony, evaluate};
use crate::bounded::{Bounded, Declaration, UNIT_64, under};
use crate::case_file::Case;
use crate::layers::has_domain;
use crate::tensors::DType;
use vocabulary::Result;

/// What differences say of a coordinate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Romberg {
    /// The derivative, and how far it may be off.
    Derivative(Testimony),
    /// The point is a kink, or an end of the domain: however small the step, the branches on its two sides differ. What holds
    /// there is a convention, and tested as one.
    Kink,
    /// A kink, or too much curvature, lies too close.
    Skipped,
}

/// The first step, and how often it is halved to get away from a kink or into the range where the differences converge.
const STEP: f64 = 1.0 / 256.0;
const HALVINGS: i32 = 12;
/// From where on the step grows with x, so that x ± h/4 remain numbers of their own.
const COARSE: f64 = 1.0 / (1 << 20) as f64;

/// ∂F/∂x by central differences D(h) = (F(x+h) − F(x−h))/2h at h, h/2 and h/4, extrapolated twice:
///
/// ```math
/// R_1 = \frac{4D(h/2) - D(h)}{3}, \quad R_2 = \frac{4D(h/4) - D(h/2)}{3}, \quad Q = \frac{16R_2 - R_1}{15}
/// ```
///
/// Its bound is |Q − R₂| + 7E/h + 2u|Q|, where E bounds the rounding of each F; the F enter Q with coefficients whose
/// magnitudes sum to 297/45 < 7. That |Q − R₂| bounds the truncation supposes that the differences converge, so h is halved
/// where |R₂ − R₁| exceeds an eighth of |D(h/2) − D(h)| (a sixteenth is due), or |D(h/4) − D(h/2)| half of it (a quarter is
/// due), and is not mere rounding; likewise where the
/// branches taken differ among the points. The step does not grow with |x| as long as it need not: a layer that subtracts
/// its mean bends on the scale of its deviation, however large x is.
///
/// # Errors
/// Where the layer refuses the case.
pub fn romberg(case: &Case, coordinate: &Coordinate) -> Result<Romberg> {
    // F at a point as bounded numbers see it: its bound, its branches, and the point itself, as rounded.
    let at = |offset: f64, scale: f64| -> Result<(f64, f64, f64, u64)> {
        let point = std::cell::Cell::new(0.0);
        let bounded = || {
            evaluate(case, coordinate, |x| {
                point.set(x + offset * scale * (x.abs() * COARSE).max(1.0));
                Bounded::<false>::exact(point.get())
            })
            .map(Bounded::settled)
        };
        let (f, branches) = under(DType::F64, Declaration::LITERAL, bounded);
        let f = f?;
        Ok((point.get(), f.value(), f.bound(), branches.hash ^ branches.ambiguous.rotate_left(32)))
    };
    let (.., centre_branches) = at(0.0, 0.0)?;
    let mut kink = false;
    for halving in 0..=HALVINGS {
        let step = STEP * f64::powi(0.5, halving);
        let mut differences = [0.0; 3];
        let (mut rounding, mut width, mut smooth) = (0.0_f64, 0.0, true);
        for (difference, scale) in differences.iter_mut().zip([1.0, 0.5, 0.25]) {
            let (right, left) = match (at(step, scale), at(-step, scale)) {
                (Ok(right), Ok(left)) => (right, left),
                // The layer takes the point itself: what it refuses beside it lies outside its domain.
                _ if has_domain(&case.layer) => {
                    (kink, smooth) = (true, false);
                    continue;
                }
                (right, left) => (right?, left?),
            };
            let ((right, f_right, e_right, branches_right), (left, f_left, e_left, branches_left)) = (right, left);
            kink = branches_right != branches_left;
            smooth &= branches_right == centre_branches && branches_left == centre_branches;
            smooth &= f_right.is_finite() && f_left.is_finite();
            *difference = (f_right - f_left) / (right - left);
            rounding = rounding.max(e_right).max(e_left);
            if scale == 1.0 {
                width = 0.5 * (right - left);
            }
        }
        if !smooth || !rounding.is_finite() {
            continue;
        }
        let [d1, d2, d4] = differences;
        let (r1, r2) = ((4.0 * d2 - d1) / 3.0, (4.0 * d4 - d2) / 3.0);
        let noise = 7.0 * rounding / width;
        let converges = (d4 - d2).abs() <= 0.5 * (d2 - d1).abs() + noise;
        if !converges || (r2 - r1).abs() > 0.125 * (d2 - d1).abs() + noise {
            continue;
        }
        let q = (16.0 * r2 - r1) / 15.0;
        let bound = (q - r2).abs() + noise + 2.0 * UNIT_64 * q.abs();
        if !bound.is_finite() {
            continue;
        }
        return Ok(Romberg::Derivative(Testimony { derivative: q, bound }));
    }
    Ok(if kink { Romberg::Kink } else { Romberg::Skipped })
}
