//! Onset: that something begins. It calls early and falls back soon.
//!
//! Where at least two of three calibrated errors agree that a sample is rare, and an isolation forest finds
//! them and the energy rare together; and more where the value has left its whole past range or the seasonal
//! error is the largest ever. Records are rare by construction
//! (the n-th of n alike samples is one with probability 1/n) and silence themselves.

use super::clock::at_least;
use crate::detect::kept::kept;

/// How far beyond its past range, as a share of it, a value counts in full as a new extreme.
const EXTREME: f64 = 0.05;
/// How far beyond the record, as a share of its distance to the mean, an error counts in full as a new one.
const RECORD: f32 = 0.2;
/// Samples before there are extremes, and records.
const EXTREME_AFTER: u32 = 50;
const RECORD_AFTER: u32 = 100;
/// Samples that the mean seasonal error remembers.
const MEAN_ROWS: f64 = 5_000.0;
/// How much the forest is heeded, beside the median.
const FOREST: f32 = 0.3;
/// What a new extreme and a new record add.
const BONUS: f32 = 2.0;

/// What one series' past holds of extremes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extremes {
    lowest: f64,
    highest: f64,
    /// The largest seasonal error, in standard deviations, and the mean one.
    record: f32,
    mean: f32,
}

// === impl Extremes ===

impl Extremes {
    /// Makes room for values `factor` times as large; errors are in standard deviations. What was no extreme before is
    /// none now: a factor is not exact.
    pub(super) fn scale(&mut self, factor: f64) {
        self.lowest = self.lowest.min(self.lowest * factor);
        self.highest = self.highest.max(self.highest * factor);
    }

    /// How far `value` is outside of the past's range, 0 to 1, on `side` (0 below, 1 above).
    #[inline]
    pub(super) fn extreme(&self, value: f64, side: usize, seen: u32) -> f32 {
        let range = self.highest - self.lowest;
        if seen < EXTREME_AFTER || range <= 0.0 {
            return 0.0;
        }
        let beyond = if side == 0 { self.lowest - value } else { value - self.highest };
        (beyond / (EXTREME * range)).clamp(0.0, 1.0) as f32
    }

    /// How far the error `z` is beyond the largest so far, 0 to 1.
    #[inline]
    pub(super) fn record(&self, z: f32, seen: u32) -> f32 {
        let height = self.record - self.mean;
        if seen < RECORD_AFTER || height <= 0.0 {
            return 0.0;
        }
        ((z - self.record) / (RECORD * height)).clamp(0.0, 1.0)
    }

    /// Lets a value and its seasonal error teach. Extremes fade by `fade` of their distance.
    #[inline]
    pub(super) fn learn(&mut self, value: f64, z: f32, seen: u32, fade: f64) {
        if seen == 0 {
            (self.lowest, self.highest) = (value, value);
            return;
        }
        self.lowest = (self.lowest + fade * (value - self.lowest)).min(value);
        self.highest = (self.highest + fade * (value - self.highest)).max(value);
        self.mean += at_least(1.0 / MEAN_ROWS, seen) as f32 * (z - self.mean);
        self.record = (self.record - fade as f32 * (self.record - self.mean)).max(z);
    }
}

/// What of a sample calls someone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onset {
    /// How rare its short-term, its seasonal and its hourly error are.
    pub(super) errors: [f32; 3],
    /// How rare the forest's answer is; none without a forest.
    pub(super) isolation: Option<f32>,
    /// How far it is outside of the past's range, 0 to 1, and beyond the largest seasonal error.
    pub(super) extreme: f32,
    pub(super) record: f32,
}

// === impl Onset ===

impl Onset {
    /// What of its rarity comes of errors, of the forest, and of extremes and records.
    pub(super) fn causes(&self) -> [f32; 3] {
        let [a, b, c] = self.errors;
        let median = a.min(b).max(a.max(b).min(c));
        let isolation = self.isolation.unwrap_or(median);
        [(1.0 - FOREST) * median, FOREST * isolation, BONUS * (self.extreme + self.record)]
    }

    /// In orders of magnitude: what two of three errors agree on and what the forest finds in all, and more
    /// for extremes and records.
    #[inline]
    pub(super) fn rarity(&self) -> f32 {
        let [a, b, c] = self.errors;
        let median = a.min(b).max(a.max(b).min(c));
        let isolation = self.isolation.unwrap_or(median);
        median + FOREST * (isolation - median) + BONUS * (self.extreme + self.record)
    }
}

// === kept ===

kept!(Extremes { lowest, highest, record, mean });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three_must_agree() {
        let onset = Onset { errors: [9.0, 0.1, 0.2], isolation: None, extreme: 0.0, record: 0.0 };
        assert_eq!(onset.rarity(), 0.2);
        assert_eq!(Onset { errors: [3.0, 0.1, 4.0], ..onset }.rarity(), 3.0);
        assert!(Onset { errors: [3.0, 0.1, 4.0], isolation: Some(4.0), ..onset }.rarity() > 3.0);
        assert!((Onset { record: 1.0, ..onset }.rarity() - 0.2 - BONUS).abs() < 1e-6);
    }

    #[test]
    fn extremes_and_records_silence_themselves() {
        let mut extremes = Extremes::default();
        for seen in 0..200 {
            extremes.learn(f64::from(seen % 10), (seen % 7) as f32, seen, 1e-5);
        }
        assert!(extremes.extreme(9.0, 1, 200) < 0.01 && extremes.extreme(20.0, 1, 200) == 1.0);
        assert!(extremes.record(6.0, 200) < 0.01 && extremes.record(60.0, 200) == 1.0);
        extremes.learn(20.0, 60.0, 200, 1e-5);
        assert!(extremes.extreme(20.0, 1, 201) < 0.01 && extremes.record(60.0, 201) < 0.01);
    }
}
