//! Powers of two whose exponents are sixteenths.

/// 2^(j/16), rounded.
pub const POWERS: [f64; 16] = [
    1.0,
    1.0442737824274138,
    1.0905077326652577,
    1.1387886347566916,
    1.189207115002721,
    1.241857812073484,
    1.2968395546510096,
    1.3542555469368927,
    std::f64::consts::SQRT_2,
    1.4768261459394993,
    1.5422108254079407,
    1.6104903319492543,
    1.681792830507429,
    1.7562521603732995,
    1.8340080864093424,
    1.9152065613971474,
];

/// What rounding dropped of each, in parts of it.
pub const LOST: [f64; 16] = [
    0.0,
    8.189_317_638_195_515e-17,
    -2.793_911_485_951_573_3e-17,
    7.826_573_258_636_076e-17,
    3.348_462_333_625_152_4e-17,
    3.750_854_201_303_127e-17,
    1.957_258_529_311_203_6e-17,
    5.686_480_957_911_74e-17,
    -6.835_808_657_661_922e-17,
    -2.359_109_477_085_005_3e-17,
    5.154_830_117_078_678_3e-17,
    1.534_141_005_360_372_3e-17,
    4.875_160_526_227_062e-17,
    1.685_487_290_628_973e-17,
    1.790_126_907_604_513e-17,
    -5.545_065_618_639_427e-17,
];

/// Half of each, less j sixteenths of an exponent, which [`Lanes::raised_by_sixteenths`](crate::simd::Lanes::raised_by_sixteenths) adds
/// again, beside whole ones.
pub const HALVES: [f64; 16] = {
    let mut halves = [0.0; 16];
    let mut j = 0;
    while j < 16 {
        halves[j] = f64::from_bits((0.5 * POWERS[j]).to_bits() - ((j as u64) << 48));
        j += 1;
    }
    halves
};

/// `POWERS` in single precision.
pub const SINGLE_POWERS: [f32; 16] = {
    let mut powers = [0.0; 16];
    let mut j = 0;
    while j < 16 {
        powers[j] = POWERS[j] as f32;
        j += 1;
    }
    powers
};

/// `HALVES` of these.
pub const SINGLE_HALVES: [f32; 16] = {
    let mut halves = [0.0; 16];
    let mut j = 0;
    while j < 16 {
        halves[j] = f32::from_bits((0.5 * SINGLE_POWERS[j]).to_bits() - ((j as u32) << 19));
        j += 1;
    }
    halves
};

/// What rounding dropped of each of these, in parts of it.
pub const SINGLE_LOST: [f32; 16] = {
    let mut lost = [0.0; 16];
    let mut j = 0;
    while j < 16 {
        lost[j] = (POWERS[j] / SINGLE_POWERS[j] as f64 - 1.0) as f32;
        j += 1;
    }
    lost
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The eighth powers of the table are powers of √2, in two parts each.
    #[test]
    fn powers_are_rounded_to_the_nearest_and_what_is_lost_is_known() {
        let root = std::f64::consts::SQRT_2;
        // √2 to twice the precision, from what its square lacks of 2.
        let low = (-root).mul_add(root, 2.0) / (2.0 * root);
        for (j, power) in POWERS.iter().enumerate() {
            // The relative error of power⁸ is eight times that of the power.
            let (mut high, mut rest) = (*power, 0.0);
            for _ in 0..3 {
                let square = high * high;
                (high, rest) = (square, high.mul_add(high, -square) + 2.0 * high * rest);
            }
            let whole = 2_f64.powi(j as i32 / 2);
            let (due, due_rest) = if j % 2 == 0 { (whole, 0.0) } else { (root * whole, low * whole) };
            let lost = ((due - high) + (due_rest - rest)) / due / 8.0;
            assert!(lost.abs() * power <= 0.5005 * f64::EPSILON, "{j}: {:e} units", lost * power / f64::EPSILON);
            assert!((lost - LOST[j]).abs() <= 1e-3 * f64::EPSILON, "{j}: {lost:e} for {:e}", LOST[j]);
            let whole = f64::from(SINGLE_POWERS[j]) * (1.0 + f64::from(SINGLE_LOST[j]));
            assert!((whole / power - 1.0).abs() <= 1e-14, "{j}: {whole} for {power}");
        }
    }
}
