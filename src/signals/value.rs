//! What of a series is judged: its value, or the rate of a counter with its resets understood.

use crate::batch::Sample;

/// What of a series is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The value itself.
    Value,
    /// The increase per second since the sample before.
    Rate,
}

impl Signal {
    /// The signal at `now`, `previous` being the sample before it.
    ///
    /// `None` where there is none: the first sample of a counter, a value that is not finite.
    #[inline]
    pub fn at(self, previous: Option<Sample>, now: Sample) -> Option<f64> {
        let signal = match self {
            Self::Value => now.value,
            Self::Rate => rate(previous?, now),
        };
        signal.is_finite().then_some(signal)
    }
}

/// Increase per second between two samples of a counter. A counter that fell was reset and started
/// from 0, as in Prometheus' `rate`.
#[inline]
fn rate(previous: Sample, now: Sample) -> f64 {
    let increase = if now.value < previous.value { now.value } else { now.value - previous.value };
    let seconds = (now.timestamp_ms - previous.timestamp_ms) as f64 / 1e3;
    increase / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timestamp_ms: i64, value: f64) -> Sample {
        Sample { timestamp_ms, value }
    }

    #[test]
    fn a_counter_is_judged_by_its_increase_per_second() {
        let check = |previous, now, want: Option<f64>| assert_eq!(Signal::Rate.at(previous, now), want);
        check(None, at(0, 5.0), None);
        check(Some(at(0, 5.0)), at(10_000, 25.0), Some(2.0));
        check(Some(at(0, 5.0)), at(10_000, 3.0), Some(0.3));
        check(Some(at(0, f64::NAN)), at(10_000, 3.0), None);
        check(Some(at(0, 5.0)), at(10_000, f64::INFINITY), None);
    }

    #[test]
    fn a_gauge_is_judged_by_its_value() {
        assert_eq!(Signal::Value.at(None, at(0, -3.5)), Some(-3.5));
        assert_eq!(Signal::Value.at(None, at(0, f64::NAN)), None);
    }
}
