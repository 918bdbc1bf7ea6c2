//! Powers and logarithms of 2, to about the last digit, and the same on every machine: of `+ - * /` alone.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// 1 / n! for the series of the exponential function, from n = 0.
const INVERSE_FACTORIALS: [f64; 18] = inverse_factorials();
/// Terms of the series of the inverse hyperbolic tangent.
const TERMS: u32 = 13;

const fn inverse_factorials() -> [f64; 18] {
    let mut all = [1.0; 18];
    let (mut n, mut factorial) = (1, 1.0);
    while n < all.len() {
        factorial *= n as f64;
        all[n] = 1.0 / factorial;
        n += 1;
    }
    all
}

/// 2 to the power of `x`.
pub(super) fn exp2(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    // Beyond these it is infinite, or 0.
    let x = x.clamp(-1_100.0, 1_100.0);
    let whole = x.round();
    let y = (x - whole) * LN_2;
    let power = INVERSE_FACTORIALS.iter().rev().fold(0.0, |sum, term| sum * y + term);
    let whole = whole as i32;
    power * power_of_2(whole / 2) * power_of_2(whole - whole / 2)
}

/// 2 to the power of `n`, which lies between -1022 and 1023.
fn power_of_2(n: i32) -> f64 {
    f64::from_bits(((n + 1_023) as u64) << 52)
}

/// The binary logarithm of `x`, which is not negative.
pub(super) fn log2(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !x.is_finite() {
        return x;
    }
    if x < f64::MIN_POSITIVE {
        return log2(x * power_of_2(64)) - 64.0;
    }
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1_023;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1_023 << 52);
    if mantissa > SQRT_2 {
        (mantissa, exponent) = (mantissa / 2.0, exponent + 1);
    }
    // ln(m) = 2 artanh((m - 1) / (m + 1))
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..TERMS).rev().fold(0.0, |sum, n| sum * (s * s) + 1.0 / f64::from(2 * n + 1));
    f64::from(exponent) + 2.0 * s * series * LOG2_E
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn powers_are_those_of_the_library_to_the_last_digits(x in -1_080.0..1_024.0f64) {
            let (got, want) = (exp2(x), x.exp2());
            prop_assert!((got - want).abs() <= 1e-13 * want || want < 1e-300, "{}: {} {}", x, got, want);
        }

        #[test]
        fn logarithms_are_those_of_the_library_to_the_last_digits(x in prop_oneof![
            any::<u64>().prop_map(|bits| f64::from_bits(bits >> 1)).prop_filter("finite", |x| x.is_finite()),
            0.5..2.0f64,
        ]) {
            let (got, want) = (log2(x), x.log2());
            prop_assert!((got - want).abs() <= 1e-13 * want.abs().max(1e-3) || got == want, "{}: {} {}", x, got, want);
        }
    }

    #[test]
    fn whole_powers_are_exact_and_the_ends_are_infinite_and_nothing() {
        assert_eq!([exp2(0.0), exp2(-3.0), exp2(1_023.0)], [1.0, 0.125, power_of_2(1_023)]);
        assert_eq!(
            [exp2(1_024.0), exp2(f64::INFINITY), exp2(f64::NEG_INFINITY)],
            [f64::INFINITY, f64::INFINITY, 0.0]
        );
        assert_eq!([log2(8.0), log2(0.0), log2(f64::INFINITY)], [3.0, f64::NEG_INFINITY, f64::INFINITY]);
        assert_eq!((exp2(-1_074.0), log2(f64::from_bits(1))), (f64::from_bits(1), -1_074.0));
        assert!(exp2(f64::NAN).is_nan());
    }
}
