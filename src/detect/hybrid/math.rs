//! The few functions beyond `+ - * /` and the square root, the same on every machine to the last bit.
//!
//! Platforms differ in the last digits of their logarithms; a score must not.

/// Binary logarithm of a positive, finite `x`, to about 1e-4.
#[inline]
pub(in crate::detect) fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000) - 1.0;
    // Minimax polynomial of log2(1 + m) on [0, 1), bound to 0 and 1 at its ends, so that it never falls.
    let poly = m
        * (1.441_917_1 + m * (-0.709_096_25 + m * (0.415_605_43 + m * (-0.193_574_98 + m * 0.045_148_764))));
    exponent as f32 + poly
}

/// `value` held to `-limit ..= limit`.
#[inline]
pub(in crate::detect) fn clip(value: f64, limit: f64) -> f64 {
    value.min(limit).max(-limit)
}

/// `error^2 / variance`, held to what 32 bits square: the square of how many standard deviations.
///
/// `least` is the variance below which nothing is told apart.
#[inline]
pub(super) fn squared_z(error: f64, variance: f64, least: f64) -> f32 {
    let z2 = error * error / (variance + least);
    // NaN is 0 / 0: no error and no variance.
    if z2.is_nan() { 0.0 } else { z2.min(LARGEST_Z2) as f32 }
}

/// The largest square of a z-score: a million standard deviations.
pub(super) const LARGEST_Z2: f64 = 1e12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_and_rises() {
        let mut last = f32::MIN;
        for i in 0..200_000 {
            let x = 1e-9 * 1.000_25_f64.powi(i);
            let (got, want) = (log2(x as f32), x.log2());
            assert!((f64::from(got) - want).abs() < 3e-4, "{x}: {got} {want}");
            assert!(got >= last, "{x}");
            last = got;
        }
    }

    #[test]
    fn a_z_score_is_a_number_whatever_comes() {
        assert_eq!(squared_z(0.0, 0.0, 0.0), 0.0);
        assert_eq!(squared_z(1.0, 0.0, 0.0), 1e12);
        assert_eq!(squared_z(1e200, 1e300, 0.0), 1e12);
        assert_eq!(squared_z(3.0, 9.0, 0.0), 1.0);
    }
}
