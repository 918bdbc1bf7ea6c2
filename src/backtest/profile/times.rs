//! When the samples of a series come.

use serde::Serialize;

use crate::batch::Sample;

/// When the samples come. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// How many samples there are.
    pub samples: usize,
    /// The first moment, since the Unix epoch.
    pub from_ms: i64,
    /// The last moment, since the Unix epoch.
    pub to_ms: i64,
    /// The median time from sample to sample; 0 for fewer than two.
    pub step_ms: i64,
    /// Steps that are off the median by more than a tenth, gaps left aside.
    pub irregular: usize,
    /// Times of more than one and a half steps without a sample.
    pub gaps: usize,
    /// The longest of them.
    pub longest_gap_ms: i64,
    /// Samples that are missing in gaps.
    pub missing: u64,
}

/// A distance of more steps than this is a gap.
const GAP: f64 = 1.5;
/// A step is irregular that is off by more than this share.
const IRREGULAR: f64 = 0.1;

impl Times {
    /// The times of `samples`, which are in order; nothing of no samples.
    pub(super) fn of(samples: &[Sample]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let steps = || samples.windows(2).map(|two| two[1].timestamp_ms - two[0].timestamp_ms);
        let mut sorted: Vec<i64> = steps().collect();
        let middle = sorted.len() / 2;
        let step_ms = if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 };
        let step = step_ms as f64;
        let is_gap = |step_ms: &i64| *step_ms as f64 > GAP * step;
        let off = |step_ms: &i64| (*step_ms as f64 - step).abs() > IRREGULAR * step;
        let gaps = || steps().filter(is_gap);
        Some(Self {
            samples: samples.len(),
            from_ms: first.timestamp_ms,
            to_ms: last.timestamp_ms,
            step_ms,
            irregular: steps().filter(|step_ms| !is_gap(step_ms) && off(step_ms)).count(),
            gaps: gaps().count(),
            longest_gap_ms: gaps().max().unwrap_or(0),
            missing: gaps().map(|gap| (gap as f64 / step.max(1.0)).round() as u64 - 1).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_irregular_steps_are_told_apart() {
        let at = [0, 60, 120, 180, 250, 300, 360, 660, 720, 780].map(|s| s * 1_000);
        let samples = at.map(|timestamp_ms| Sample { timestamp_ms, value: 1.0 });
        let times = Times::of(&samples).unwrap();
        assert_eq!((times.step_ms, times.gaps, times.longest_gap_ms, times.missing), (60_000, 1, 300_000, 4));
        assert_eq!(times.irregular, 2);
        assert_eq!(Times::of(&samples[..1]).unwrap().step_ms, 0);
    }
}
