//! The step of a series, learned from its timestamps, and what a memory in time means in samples.

use super::math::log2;
use crate::detect::kept::kept;

/// Seconds in a day.
pub(super) const DAY_S: f64 = 86_400.0;
/// No memory is shorter than this many samples, however long the step: fewer say nothing about rare events.
const LEAST_ROWS: f64 = 3_000.0;
/// A distance of more steps than this is a gap.
const GAP: f64 = 1.5;
/// No gap counts for more steps: the forecast is as uncertain as it gets.
const LONGEST_GAP: f64 = 1_000.0;

/// What one series' timestamps have taught.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    last_ms: i64,
    /// Seconds from sample to sample; 0 before the second sample.
    step_s: f32,
    /// Seconds since the first sample, as far as anybody asks.
    age_s: f32,
    /// By how many powers of ten samples are more than one a minute.
    decades: f32,
}

/// The step as the parts of the detector need it, at one sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) step_s: f64,
    /// Steps since the sample before: 1, or more after a gap.
    pub(super) steps: f64,
    /// By how many powers of ten samples are more than one a minute.
    pub(super) decades: f32,
}

// === impl Clock ===

impl Clock {
    /// The pace at a sample of `at_ms`.
    #[inline]
    pub(super) fn pace(&self, at_ms: i64) -> Pace {
        let step_s = if self.step_s > 0.0 { f64::from(self.step_s) } else { 60.0 };
        let since = self.since_s(at_ms);
        let is_gap = since > GAP * step_s && self.step_s > 0.0;
        let steps = if is_gap { (since / step_s).min(LONGEST_GAP) } else { 1.0 };
        Pace { step_s, steps, decades: self.decades }
    }

    /// Lets a sample of `at_ms` teach: a shorter distance moves the step at once, a longer one slowly, so
    /// that gaps are not taken for it.
    #[inline]
    pub(super) fn learn(&mut self, at_ms: i64) {
        let since = self.since_s(at_ms) as f32;
        let is_first = self.last_ms == 0;
        self.last_ms = at_ms;
        if is_first || since <= 0.0 {
            return;
        }
        self.age_s = (self.age_s + since).min(1e7);
        let step_s = match since / self.step_s {
            _ if self.step_s == 0.0 => since,
            less if less < 0.7 => self.step_s + 0.3 * (since - self.step_s),
            alike if alike <= 1.5 => self.step_s + 0.05 * (since - self.step_s),
            _ => self.step_s * 1.03,
        };
        if step_s != self.step_s {
            self.step_s = step_s;
            self.decades = log2((60.0 / step_s).clamp(1e-3, 1e3)) * std::f32::consts::LOG10_2;
        }
    }

    /// Seconds since the first sample, up to some months.
    #[inline]
    pub(super) fn age_s(&self) -> f64 {
        f64::from(self.age_s)
    }

    fn since_s(&self, at_ms: i64) -> f64 {
        if self.last_ms == 0 { 0.0 } else { at_ms.saturating_sub(self.last_ms).max(0) as f64 * 1e-3 }
    }
}

// === impl Pace ===

impl Pace {
    /// The weight of a sample in a memory of `days`: that of one step in it, and at most one in 3,000.
    #[inline]
    pub(super) fn share_of_days(&self, days: f64) -> f64 {
        (self.step_s * (1.0 / (days * DAY_S))).min(1.0 / LEAST_ROWS)
    }

    /// The share of one step in `seconds`, at most `most`.
    #[inline]
    pub(super) fn share_of(&self, seconds: f64, most: f64) -> f64 {
        (self.step_s * (1.0 / seconds)).min(most)
    }

    /// The weight of this sample in an average of weight `each` a step: more after a gap, as if the samples
    /// that are missing had been like this one. The rational form of `1 - (1 - each)^steps`.
    #[inline]
    pub(super) fn weight(&self, each: f64) -> f64 {
        if self.steps == 1.0 { each } else { self.steps * each / (1.0 + (self.steps - 1.0) * each) }
    }
}

/// The weight of a sample in a plain average, `before` having come before it; 0 where that no longer matters
/// beside a lasting memory.
#[inline]
pub(super) fn first(before: u32) -> f64 {
    if before < 1 << 20 { 1.0 / (f64::from(before) + 1.0) } else { 0.0 }
}

/// The weight of a sample in an average that is plain at first, and a memory of weight `lasting` later.
#[inline]
pub(super) fn at_least(lasting: f64, before: u32) -> f64 {
    // Nearly always it is later, and a product is cheaper than a quotient.
    if lasting * (f64::from(before) + 1.0) >= 1.0 { lasting } else { lasting.max(first(before)) }
}

// === kept ===

kept!(Clock { last_ms, step_s, age_s, decades });

#[cfg(test)]
mod tests {
    use super::*;

    fn after(distances: &[i64]) -> Clock {
        let (mut clock, mut at) = (Clock::default(), 1_700_000_000_000);
        clock.learn(at);
        for distance in distances {
            at += distance;
            clock.learn(at);
        }
        clock
    }

    #[test]
    fn the_step_is_known_from_the_second_sample_and_gaps_do_not_move_it() {
        assert_eq!(after(&[15_000]).step_s, 15.0);
        let mut distances = vec![60_000; 50];
        distances[10] = 3_600_000;
        assert!((after(&distances).step_s - 60.0).abs() < 1.0);
        assert!((after(&[3_600_000, 15_000, 15_000, 15_000, 15_000, 15_000]).step_s - 15.0).abs() < 700.0);
        assert!((after(&[&[3_600_000][..], &[15_000; 60]].concat()).step_s - 15.0).abs() < 1.0);
    }

    #[test]
    fn a_changed_step_is_learned_both_ways() {
        assert!((after(&[vec![60_000; 50], vec![15_000; 50]].concat()).step_s - 15.0).abs() < 1.0);
        assert!((after(&[vec![15_000; 50], vec![60_000; 200]].concat()).step_s - 60.0).abs() < 3.0);
    }

    #[test]
    fn a_gap_is_counted_in_steps() {
        let clock = after(&[10_000; 30]);
        let at = 1_700_000_300_000;
        assert_eq!(clock.pace(at + 10_000).steps, 1.0);
        assert!((clock.pace(at + 100_000).steps - 10.0).abs() < 0.1);
        assert_eq!(clock.pace(i64::MAX).steps, LONGEST_GAP);
        assert!((clock.pace(at + 10_000).share_of_days(1.0) * 8_640.0 - 1.0).abs() < 1e-12);
        assert!((clock.pace(at + 10_000).decades - 6.0_f32.log10()).abs() < 1e-3);
    }
}
