//! Arithmetic over the values of one step.

use super::steps::Closed;

/// The part is the sum of a histogram or summary.
pub(super) const SUM: u16 = 1;
/// The part is its count.
pub(super) const COUNT: u16 = 2;
/// The part is counted in the numerator of a ratio. One part may be in both.
pub(super) const OF: u16 = 1;
/// The part is counted in its denominator.
pub(super) const TO: u16 = 2;

/// The mean observation and the observations per second of a histogram whose sum and count are given by their
/// increase per second, as `rate(x_sum[…]) / rate(x_count[…])` and `rate(x_count[…])`. There is no mean where nothing
/// was observed.
pub(super) fn histogram(closed: &Closed<'_>) -> (Option<f64>, Option<f64>) {
    let of = |wanted| closed.values().find(|(role, ..)| *role == wanted).map(|(.., value)| value);
    let (Some(sum), Some(count)) = (of(SUM), of(COUNT)) else { return (None, None) };
    (quotient(sum, count), Some(count))
}

/// The sum of the numerators over the sum of the denominators, as `sum(of) / sum(to)`; 0 where there are only
/// denominators, as where no error was ever counted.
pub(super) fn ratio(closed: &Closed<'_>) -> Option<f64> {
    let total =
        |wanted| total(closed.values().filter(|(role, ..)| role & wanted != 0).map(|(.., value)| value));
    quotient(total(OF).unwrap_or(0.0), total(TO)?)
}

/// The sum of all values; none where no value counts.
pub(super) fn sum(closed: &Closed<'_>) -> Option<f64> {
    total(closed.values().map(|(.., value)| value))
}

fn total(mut values: impl Iterator<Item = f64>) -> Option<f64> {
    let first = values.next()?;
    Some(values.fold(first, |sum, value| sum + value))
}

fn quotient(of: f64, to: f64) -> Option<f64> {
    let quotient = of / to;
    quotient.is_finite().then_some(quotient)
}
