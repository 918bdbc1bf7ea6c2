//! How far a value is from where its series has long been: from its mean, from its mean less the season,
//! and, for the band of the last hour, from that hour's mean.

use super::clock::{DAY_S, Pace, at_least};
use super::math::clip;
use crate::detect::kept::kept;

/// Standard deviations up to which a distance teaches.
const TEACH_CLIP: f64 = 3.0;
/// Samples after which clipping starts.
const SETTLED: u32 = 30;
/// Seconds that the mean less the season remembers: what drifts from one day to the next is no distance.
const SEASONLESS_S: f64 = DAY_S;
/// Samples that the median remembers.
const MEDIAN_ROWS: f64 = 1_000.0;

/// A slow mean and variance; robust where distances are clipped before they teach.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// A median and the median distance to it, each moved by a step towards where more samples lie (Robbins and
/// Monro, 1951).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Median {
    pub(super) median: f64,
    pub(super) distance: f64,
}

/// What one series has taught of its distances.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Distances {
    /// The long mean, robust.
    pub(super) long: Mean,
    /// The long mean of what the season leaves over, robust.
    pub(super) seasonless: Mean,
    /// The long mean as it is, outliers in full.
    pub(super) plain: Mean,
    /// The median, for the detector of that name.
    pub(super) median: Median,
    /// The mean of the last hour.
    pub(super) hour: f64,
}

// === impl Mean ===

impl Mean {
    fn scale(&mut self, factor: f64) {
        self.mean *= factor;
        self.variance *= factor * factor;
    }

    #[inline]
    fn learn(&mut self, value: f64, mean_weight: f64, weight: f64, is_clipped: bool) {
        let mut distance = value - self.mean;
        let bound = TEACH_CLIP * TEACH_CLIP * self.variance;
        if is_clipped && bound > 0.0 && distance * distance > bound {
            distance = clip(distance, bound.sqrt());
        }
        self.mean += mean_weight * distance;
        self.variance += weight * (distance * distance - self.variance);
    }
}

// === impl Median ===

impl Median {
    fn scale(&mut self, factor: f64) {
        self.median *= factor;
        self.distance *= factor;
    }

    #[inline]
    fn learn(&mut self, value: f64, weight: f64) {
        let distance = value - self.median;
        if self.distance == 0.0 {
            self.distance = distance.abs();
        }
        let towards = |x: f64| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        };
        self.median += 2.0 * weight * self.distance * towards(distance);
        self.distance *= 1.0 + weight * towards(distance.abs() - self.distance);
    }
}

// === impl Distances ===

impl Distances {
    /// Makes of them what values `factor` times as large would have taught.
    pub(super) fn scale(&mut self, factor: f64) {
        [&mut self.long, &mut self.seasonless, &mut self.plain]
            .into_iter()
            .for_each(|mean| mean.scale(factor));
        self.median.scale(factor);
        self.hour *= factor;
    }

    /// Lets `value` teach. `season` is what of it is expected to be season, and how many samples had one before
    /// it; `None` before there is one.
    #[inline]
    pub(super) fn learn(
        &mut self,
        value: f64,
        season: Option<(f64, u32)>,
        pace: &Pace,
        seen: u32,
        share: f64,
    ) {
        if seen == 0 {
            (self.long.mean, self.plain.mean, self.hour, self.median.median) = (value, value, value, value);
            return;
        }
        let weight = at_least(share, seen);
        self.long.learn(value, weight, weight, seen > SETTLED);
        self.plain.learn(value, weight, weight, false);
        self.median.learn(value, at_least(1.0 / MEDIAN_ROWS, seen));
        let hour = pace.share_of(3_600.0, 1.0 / 3.0);
        self.hour += at_least(pace.weight(hour), seen) * (value - self.hour);
        if let Some((season, before)) = season {
            if before == 0 {
                self.seasonless = Mean { mean: self.long.mean, variance: 0.0 };
            }
            let day = at_least(pace.share_of(SEASONLESS_S, 1.0 / 24.0), before);
            self.seasonless.learn(value - season, day, at_least(share, before), before > SETTLED);
        }
    }
}

// === kept ===

kept!(Mean { mean, variance });
kept!(Median { median, distance });
kept!(Distances { long, seasonless, plain, median, hour });
