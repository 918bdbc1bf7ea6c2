//! Floats as expositions spell them.

use std::fmt::Write as _;
use std::io::Write as _;

/// `value` as Prometheus spells a bound of a protobuf bucket or quantile in its `le` or `quantile` label.
pub(super) fn openmetrics_float(value: f64) -> String {
    let mut text = go_shortest(value);
    if value.is_finite() && !text.contains(['e', '.']) {
        text.push_str(".0");
    }
    text
}

/// Appends `value` as a sample value: the shortest digits that read back as the same bits.
pub(super) fn write_value(out: &mut Vec<u8>, value: f64) {
    if value.to_bits() == 0 {
        out.push(b'0'); // the commonest score
    } else if (1e-4..1e6).contains(&value.abs()) {
        // Writing to memory cannot fail.
        let _written = write!(out, "{value}");
    } else {
        out.extend_from_slice(go_shortest(value).as_bytes());
    }
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
fn go_shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go leaves the plain form below 10^-4 and from 10^6 on, whatever the digits.
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let mut text = digits.to_owned();
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a string cannot fail.
    let _written = write!(text, "e{sign}{:02}", exponent.abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p20_bounds_are_spelled_as_prometheus_spells_them() {
        let check = |value: f64, want: &str| assert_eq!(openmetrics_float(value), want);
        check(0.0, "0.0");
        check(1.0, "1.0");
        check(-1.0, "-1.0");
        check(0.005, "0.005");
        check(2.5, "2.5");
        check(0.99, "0.99");
        check(100_000.0, "100000.0");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(1e6, "1e+06");
        check(1_234_567.0, "1.234567e+06");
        check(1.5e-9, "1.5e-09");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }
}
