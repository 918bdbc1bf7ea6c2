//! Numbers as they stand on a page.

use crate::config::units::PromDuration;

/// Powers of a thousand with their letters.
const THOUSANDS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")];

/// `number` in about four digits, for an axis: `1.5`, `23.4k`, `7.2e-9`.
pub(in crate::backtest) fn short(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() || size >= 1e15 || (size > 0.0 && size < 1e-4) {
        return format!("{number:.3e}").replace(".000e", "e");
    }
    let found = THOUSANDS.iter().find(|(from, _)| size >= *from);
    let (unit, letter) = found.map_or((1.0, ""), |(from, letter)| (from.max(1e3), *letter));
    // Ten thousand and more are counted in thousands.
    let unit = if unit == 1e4 { 1e3 } else { unit };
    let scaled = number / unit;
    let digits = 3_usize.saturating_sub(scaled.abs().max(1.0).log10() as usize);
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{letter}")
}

/// `number` with all its digits, and nothing where it does not exist.
pub(super) fn exact(number: f64) -> String {
    match number {
        number if number.is_nan() => String::new(),
        f64::INFINITY => "\u{221e}".to_owned(),
        f64::NEG_INFINITY => "\u{2212}\u{221e}".to_owned(),
        number => number.to_string(),
    }
}

/// Milliseconds as Prometheus writes a duration.
pub(in crate::backtest) fn duration(ms: i64) -> String {
    PromDuration::from_millis(ms.unsigned_abs()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_digits() {
        let check = |number: f64, want| assert_eq!(short(number), want, "{number}");
        check(0.0, "0");
        check(1.5, "1.5");
        check(-0.25, "-0.25");
        check(1234.5, "1234");
        check(23_400.0, "23.4k");
        check(5e6, "5M");
        check(7.2e-9, "7.200e-9");
        check(1e18, "1e18");
        check(0.1 + 0.2, "0.3");
    }

    #[test]
    fn what_does_not_exist_is_left_empty() {
        assert_eq!((exact(f64::NAN), exact(0.1)), (String::new(), "0.1".to_owned()));
        assert_eq!(exact(f64::NEG_INFINITY), "\u{2212}\u{221e}");
        assert_eq!(duration(90_000), "1m30s");
    }
}
