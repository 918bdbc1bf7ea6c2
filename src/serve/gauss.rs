//! From a z-score to how rare it is.

use std::f64::consts::{FRAC_1_SQRT_2, LN_10, PI};

/// No z-score is larger: its square must be a number.
const LARGEST: f64 = 1e6;
/// Up to here the series of the error function loses no digits that matter; beyond, the continued fraction is quick.
const SERIES_UP_TO: f64 = 2.0;
/// Steps after which neither changes.
const STEPS: u32 = 100;

/// How rare `z` is: `-log10` of the probability that a normally distributed number lies at least as many standard deviations
/// from its mean, on either side. It is finite, the same for `z` and `-z`, and rises with the distance.
///
/// ```
/// use sidelong::serve::gauss::rarity;
///
/// assert_eq!(rarity(0.0), 0.0);
/// assert!((rarity(1.96) - 1.301).abs() < 1e-3, "one in twenty");
/// ```
pub fn rarity(z: f64) -> f64 {
    let x = z.abs().min(LARGEST) * FRAC_1_SQRT_2;
    if x <= SERIES_UP_TO {
        return -(1.0 - erf(x)).log10();
    }
    // In logarithms from the start: the probability itself is 0 from 39 standard deviations on.
    x * x / LN_10 + (PI.sqrt() * fraction(x)).log10()
}

/// The error function, by a series of which no term is negative.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..STEPS {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// `exp(-x²) / (√π erfc(x))`: Laplace's continued fraction `x + (1/2)/(x + 1/(x + (3/2)/(x + …)))`.
fn fraction(x: f64) -> f64 {
    (1..=STEPS).rev().fold(x, |rest, n| x + f64::from(n) / 2.0 / rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rarities_are_those_of_the_tables() {
        // -log10 of 2 (1 - Φ(z)), to 12 digits by mpmath.
        for (z, want) in [
            (0.5, 0.209_661_993_601),
            (1.0, 0.498_515_545_828),
            (1.5, 0.874_146_725_951),
            (2.1, 1.446_981_070_025),
            (3.0, 2.568_669_040_265),
            (5.0, 6.241_615_676_727),
            (10.0, 22.817_023_409_822),
            (40.0, 349.135_976_463_682),
        ] {
            assert!((rarity(z) - want).abs() < 1e-9 * want, "{z}: {} {want}", rarity(z));
        }
    }

    #[test]
    fn both_ways_meet() {
        let x = SERIES_UP_TO / FRAC_1_SQRT_2;
        let (below, above) = (rarity(x * (1.0 - 1e-9)), rarity(x * (1.0 + 1e-9)));
        assert!(below < above && above - below < 1e-7, "{below} {above}");
    }

    proptest! {
        #[test]
        fn the_farther_the_rarer(z in -1e3..1e3_f64, further in 1e-6..1e3_f64) {
            let more = if z < 0.0 { z - further } else { z + further };
            prop_assert!(rarity(more) > rarity(z));
            prop_assert_eq!(rarity(z), rarity(-z));
        }

        #[test]
        fn whatever_comes_is_finite(z in any::<f64>()) {
            prop_assume!(!z.is_nan());
            prop_assert!(rarity(z).is_finite() && rarity(z) >= 0.0);
        }
    }
}
