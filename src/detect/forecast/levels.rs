//! Where a series is and where it is going, over about one horizon: exponential means, and a line through two of them.
//!
//! The line is Brown's double exponential smoothing (*Smoothing, Forecasting and Prediction*, 1963) with the mean times
//! kept beside the mean values, so that it is exact for any straight line however irregular the steps are and from the
//! second sample on.

use super::super::hybrid::math::clip;
use crate::detect::kept::kept;

/// Parts of a horizon that the pulse and the near mean remember, and samples that the pulse does at the least.
const PULSE: f64 = 1.0 / 64.0;
const PULSE_STEPS: f64 = 1.0;
const NEAR: f64 = 1.0 / 12.0;
/// The line remembers half an hour at the least, that of whole days a day.
const LEAST_LINE_S: f64 = 1_800.0;
const LEAST_DAYS_S: f64 = 86_400.0;
/// Usual distances from the pulse up to which a value teaches it: a spike moves it little, and what stays soon.
const CLIP: f64 = 4.0;
/// Samples before values are clipped.
const SETTLED: u32 = 30;

/// Means of a series over parts of a horizon, and lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Levels {
    last_ms: i64,
    samples: u32,
    /// A short mean that spikes move little, and the mean distance of values from it; without the season.
    pulse: f64,
    distance: f64,
    /// The mean over an eighth of a horizon, season and all.
    pub(super) near: f64,
    /// The same without the season.
    pub(super) near_bare: f64,
    /// A line through the pulse, and the mean distance of the pulse from it.
    line: Line,
    pub(super) around: f64,
    /// A line through means over whole days, which no season of the day bends.
    days: Line,
}

/// Two means of values, the second of the first, and the mean times, in seconds before the newest sample, beside them.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    once: f64,
    twice: f64,
    once_ago: f64,
    twice_ago: f64,
    values: u32,
}

/// One sample as it teaches [`Levels`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    pub(super) at_ms: i64,
    pub(super) value: f64,
    /// What of it is season.
    pub(super) season: f64,
    /// The mean over the last day, once there was one.
    pub(super) day: Option<f64>,
    pub(super) step_s: f64,
}

// === impl Levels ===

impl Levels {
    /// Lets a sample teach.
    #[inline]
    pub(super) fn learn(&mut self, horizon_s: f64, lesson: &Lesson) {
        let Lesson { at_ms, value, season, day, step_s } = *lesson;
        let bare = value - season;
        let since_s = at_ms.saturating_sub(self.last_ms).max(0) as f64 * 1e-3;
        self.last_ms = at_ms;
        if self.samples == 0 {
            (self.pulse, self.near, self.near_bare, self.samples) = (bare, value, bare, 1);
            return self.line.learn(bare, 0.0, horizon_s);
        }
        let first = 1.0 / (f64::from(self.samples) + 1.0);
        self.samples = self.samples.saturating_add(1);
        let weight = |memory_s: f64| (since_s / (memory_s + since_s)).max(first);
        let off = bare - self.pulse;
        let bound = CLIP * self.distance;
        let off = if self.samples > SETTLED && bound > 0.0 { clip(off, bound) } else { off };
        let pulse = weight((PULSE * horizon_s).max(PULSE_STEPS * step_s));
        self.pulse += pulse * off;
        self.distance += pulse * (off.abs() - self.distance);
        let near = weight(NEAR * horizon_s);
        self.near += near * (self.pulse + season - self.near);
        self.near_bare += near * (self.pulse - self.near_bare);
        let from_line = self.pulse - self.line.at(since_s);
        let memory_s = horizon_s.max(LEAST_LINE_S);
        self.around += weight(memory_s) * (from_line.abs() - self.around);
        self.line.learn(self.pulse, since_s, memory_s);
        if let Some(day) = day {
            self.days.learn(day, since_s, horizon_s.max(LEAST_DAYS_S));
        }
    }

    /// Where the line leads in `ahead_s`, without the season.
    pub(super) fn line(&self, ahead_s: f64) -> f64 {
        self.line.at(ahead_s)
    }

    /// The slope of the line, in units a second.
    pub(super) fn slope(&self) -> f64 {
        self.line.slope()
    }

    /// The slope from day to day, in units a second.
    pub(super) fn drift(&self) -> f64 {
        self.days.slope()
    }
}

// === impl Line ===

impl Line {
    /// Lets a value teach that comes `since_s` after the one before; about `memory_s` are remembered.
    #[inline]
    fn learn(&mut self, value: f64, since_s: f64, memory_s: f64) {
        let first = 1.0 / (f64::from(self.values) + 1.0);
        self.values = self.values.saturating_add(1);
        let weight = (since_s / (memory_s + since_s)).max(first);
        self.once_ago += since_s;
        self.twice_ago += since_s;
        self.once += weight * (value - self.once);
        self.once_ago -= weight * self.once_ago;
        self.twice += weight * (self.once - self.twice);
        self.twice_ago += weight * (self.once_ago - self.twice_ago);
    }

    #[inline]
    fn slope(&self) -> f64 {
        let apart_s = self.twice_ago - self.once_ago;
        if apart_s > 0.0 { (self.once - self.twice) / apart_s } else { 0.0 }
    }

    #[inline]
    fn at(&self, ahead_s: f64) -> f64 {
        self.once + self.slope() * (self.once_ago + ahead_s)
    }
}

// === kept ===

kept!(Line { once, twice, once_ago, twice_ago, values });
kept!(Levels { last_ms, samples, pulse, distance, near, near_bare, line, around, days });
