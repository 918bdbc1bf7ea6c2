//! What a rule demands before a deviation counts, in vmanomaly's vocabulary.

use std::sync::Arc;

use super::hybrid::math::log2;
use super::{Judgement, MAX_SCORE, Method, OUTSIDE_DATA_RANGE, Zone};

/// Standard deviations that score 1 where neither the rule nor the past of a series says otherwise.
pub(super) const DEFAULT_THRESHOLD: f64 = 5.0;

/// The side on which a deviation counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Either side.
    #[default]
    Both,
    /// Only values above the expected one.
    AboveExpected,
    /// Only values below the expected one.
    BelowExpected,
}

/// A rule's demands on a judgement. Pairs are `[below, above]` the expected value.
#[derive(Clone, Debug, PartialEq)]
pub struct Demands {
    /// Which detector judges.
    pub method: Method,
    /// Values outside score at least [`super::OUTSIDE_DATA_RANGE`], even during warm-up.
    pub data_range: Option<[f64; 2]>,
    /// The side that counts.
    pub direction: Direction,
    /// Absolute deviations smaller than this score 0.
    pub min_dev: [f64; 2],
    /// Deviations smaller than this fraction of the expected value score 0.
    pub min_rel_dev: [f64; 2],
    /// The share of ordinary values that the band holds.
    pub coverage: f64,
    /// Factors on the width of the band.
    pub scale: [f64; 2],
    /// Whether the forecast and its band are held inside `data_range`.
    pub clip_predictions: bool,
    /// Samples that a series must have shown before it scores.
    pub min_samples: u32,
    /// Standard deviations at which the score is 1, in place of the detector's own measure.
    pub threshold: Option<f64>,
    /// How many false alerts a series and week a score of 1 stands for.
    pub budget: AlertBudget,
    /// Whose clock seasons go by; UTC where there is none.
    pub zone: Option<Arc<Zone>>,
}

/// How many false alerts a series and week a score of 1 stands for, and what that is worth in the detector's own
/// measure, in which 1 stands for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertBudget {
    a_week: f64,
    /// The score, by a budget of one a week, that is worth an alert.
    pub(super) unit: f64,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            method: Method::Hybrid,
            data_range: None,
            direction: Direction::Both,
            min_dev: [0.0; 2],
            min_rel_dev: [0.0; 2],
            coverage: 0.99,
            scale: [1.0; 2],
            clip_predictions: false,
            min_samples: 16,
            threshold: None,
            budget: AlertBudget::default(),
            zone: None,
        }
    }
}

impl Demands {
    /// What the clock on the wall says at `at_ms` where the series is at home.
    #[inline]
    pub(super) fn local_ms(&self, at_ms: i64) -> i64 {
        self.zone.as_ref().map_or(at_ms, |zone| zone.local_ms(at_ms))
    }

    /// Whether every deviation counts as it is.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.direction == Direction::Both
            && self.min_dev == [0.0; 2]
            && self.min_rel_dev == [0.0; 2]
            && self.scale == [1.0; 2]
    }

    /// The part of `error = value - expected` that counts: 0 on the side that does not count and for
    /// deviations that are too small to matter.
    #[inline]
    pub(super) fn counted(&self, error: f64, expected: f64) -> f64 {
        let side = usize::from(error > 0.0);
        let counts = self.heeds(side);
        let size = error.abs();
        let relative = self.min_rel_dev[side] * expected.abs();
        if counts && size >= self.min_dev[side] && size >= relative { error } else { 0.0 }
    }

    /// Whether deviations on `side` (0 below, 1 above the expected value) count at all.
    #[inline]
    pub(super) fn heeds(&self, side: usize) -> bool {
        match self.direction {
            Direction::Both => true,
            Direction::AboveExpected => side == 1,
            Direction::BelowExpected => side == 0,
        }
    }

    /// The sum of what was counted on the sides that count.
    #[inline]
    pub(super) fn sides(&self, [below, above]: [f32; 2]) -> f32 {
        match self.direction {
            Direction::Both => below + above,
            Direction::AboveExpected => above,
            Direction::BelowExpected => below,
        }
    }

    /// Whether the rule sets a range and `value` is outside of it.
    #[inline]
    pub(super) fn outside_range(&self, value: f64) -> bool {
        self.data_range.is_some_and(|[low, high]| value < low || value > high)
    }

    /// `forecast` (or an edge of its band) held inside the range, if the rule asks for it.
    #[inline]
    pub(super) fn clip(&self, forecast: f64) -> f64 {
        match self.data_range {
            Some([low, high]) if self.clip_predictions => forecast.max(low).min(high),
            _ => forecast,
        }
    }

    /// The band `expected - width .. expected + width`, open on the side that does not count.
    pub(super) fn band(&self, expected: f64, width: f64) -> [f64; 2] {
        let side = |side: usize| {
            let floor = self.min_dev[side].max(self.min_rel_dev[side] * expected.abs());
            (width * self.scale[side]).max(floor)
        };
        let lower = match self.direction {
            Direction::AboveExpected => f64::NEG_INFINITY,
            _ => self.clip(expected - side(0)),
        };
        let upper = match self.direction {
            Direction::BelowExpected => f64::INFINITY,
            _ => self.clip(expected + side(1)),
        };
        [lower, upper]
    }
}

impl Demands {
    /// The judgement of `value` that is known to be `distance` standard deviations of the size `spread` away from
    /// `expected`, by what needs no history. Without a threshold of the rule, 5 of them score 1.
    pub fn judge_distance(&self, value: f64, expected: f64, spread: f64, distance: f64) -> Judgement {
        let threshold = self.threshold.unwrap_or(DEFAULT_THRESHOLD);
        let error = self.counted(value - expected, expected);
        let mut score = 0.0;
        if error != 0.0 {
            score = (distance / (threshold * self.scale[usize::from(error > 0.0)])).min(MAX_SCORE);
        }
        if self.outside_range(value) {
            score = score.max(OUTSIDE_DATA_RANGE);
        }
        let [lower, upper] = self.band(expected, threshold * spread);
        Judgement { score, expected: self.clip(expected), lower, upper }
    }
}

// === impl AlertBudget ===

impl AlertBudget {
    /// Budgets that are possible: from one alert a series in twenty weeks to four a day.
    pub const RANGE: std::ops::RangeInclusive<f64> = 0.05..=28.0;
    /// Alerts a week, and the score that was exceeded by so many on labelled series (`docs/detection.md`).
    const SCORES: [(f64, f64); 8] = [
        (0.05, 2.8),
        (0.1, 2.3),
        (0.2, 1.75),
        (0.5, 1.2),
        (1.0, 1.0),
        (2.0, 0.88),
        (7.0, 0.66),
        (28.0, 0.36),
    ];

    /// The budget of `a_week` false alerts a series and week, held to [`Self::RANGE`]. What is between the measured
    /// ones is on straight lines over the logarithm of the budget.
    pub fn new(a_week: f64) -> Self {
        let a_week = a_week.clamp(*Self::RANGE.start(), *Self::RANGE.end());
        let beside = |two: &[(f64, f64)]| match two {
            [(rare, high), (often, low)] if a_week <= *often => {
                let share = f64::from(log2((a_week / rare) as f32) / log2((often / rare) as f32));
                Some(high + share * (low - high))
            }
            _ => None,
        };
        let unit = Self::SCORES.windows(2).find_map(beside).unwrap_or(1.0);
        Self { a_week, unit }
    }

    /// False alerts a series and week.
    pub fn a_week(self) -> f64 {
        self.a_week
    }
}

impl Default for AlertBudget {
    fn default() -> Self {
        Self { a_week: 1.0, unit: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarer_an_alert_may_be_the_more_it_takes() {
        assert_eq!(AlertBudget::new(1.0), AlertBudget::default());
        let units: Vec<f64> = [0.0, 0.05, 0.07, 0.3, 1.0, 3.0, 7.0, 20.0, 28.0, 1e9]
            .map(|a_week| AlertBudget::new(a_week).unit)
            .to_vec();
        assert!(units.windows(2).all(|two| two[0] >= two[1]), "{units:?}");
        assert_eq!((units[0], units[9]), (2.8, 0.36));
    }
}
