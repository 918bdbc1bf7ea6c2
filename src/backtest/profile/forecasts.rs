//! What forecasts err: with no season, and with that of an hour, a day and a week.
//!
//! Each forecast is a level that follows the series, plus a profile: a number for each part of the period, learned
//! from the visits before. All are judged over the last third of the series, one step ahead, by what came before.

use std::fmt;

use serde::Serialize;

use super::median;
use super::times::Times;
use crate::batch::Sample;

/// What the forecasts err, and which season follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecasts {
    /// The season that suits the series.
    pub season: Season,
    /// The forecasts, each with what it errs.
    pub errors: Vec<Contest>,
    /// The usual size of the best forecast's error: 1.4826 times the median, a standard deviation of normal errors.
    pub scale: f64,
    /// Samples that were forecast.
    pub judged: usize,
}

/// One forecast and what it errs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contest {
    /// The season that it heeds.
    pub season: Season,
    /// The mean absolute error; nothing where the series is too short for the season, or its step too long.
    pub error: Option<f64>,
}

/// A period by which a series may repeat itself, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// No period: a level alone.
    None,
    /// The minute of the hour.
    Hour,
    /// The time of the day.
    Day,
    /// The time of the day and the day of the week.
    Week,
}

/// A level with a profile over it.
struct Forecaster {
    /// Nothing where there is no season.
    period_ms: Option<i64>,
    bins: Vec<Bin>,
    /// Whether a part holds several samples, so that the profile is read by straight lines between their middles.
    is_smooth: bool,
    /// What the present visit of a part has brought.
    visit: Visit,
    /// Follows what the profile leaves over.
    level: f64,
    /// Follows the series slowly, over a period: what profiles are counted from.
    mean: f64,
    slow: f64,
    seen: u32,
}

/// What is known of one part of the period.
#[derive(Clone, Copy, Default)]
struct Bin {
    above: f64,
    visits: f64,
}

/// The samples of one part of the period on end.
#[derive(Clone, Copy, Default)]
struct Visit {
    place: usize,
    sum: f64,
    samples: f64,
}

/// How fast the level follows, and a part of the period at each visit once there were several.
const LEVEL: f64 = 0.3;
const PROFILE: f64 = 0.2;
/// A part with so many samples is read by straight lines.
const SMOOTH: i64 = 3;
/// A season must err so much less than what has fewer ways to be wrong.
const MARGIN: f64 = 0.97;
/// Fewer samples than this compare nothing.
const LEAST_SAMPLES: usize = 60;
/// Parts of a period: no more than this, and no fewer.
const LEAST_BINS: i64 = 4;

// === impl Forecasts ===

impl Forecasts {
    /// The forecasts of `samples`; nothing of too few.
    pub(super) fn of(samples: &[Sample], times: &Times) -> Option<Self> {
        if samples.len() < LEAST_SAMPLES {
            return None;
        }
        let from = samples.len() - samples.len() / 3;
        let learned_ms = samples[from].timestamp_ms - samples[0].timestamp_ms;
        let contest = |season: Season| {
            let fits = season
                .period_ms()
                .is_none_or(|period| period <= learned_ms && season.bins(times) >= LEAST_BINS);
            let errors = fits.then(|| Forecaster::new(season, times).errors(samples, from));
            (season, errors)
        };
        let contests = Season::ALL.map(contest);
        let mean = |errors: &Vec<f64>| {
            let count = errors.len().max(1) as f64;
            // Divided first: the sum of huge errors is beyond all numbers.
            errors.iter().map(|error| error / count).sum::<f64>()
        };
        let error = |(season, errors): &(Season, Option<Vec<f64>>)| Contest {
            season: *season,
            error: errors.as_ref().map(mean),
        };
        let errors: Vec<Contest> = contests.iter().map(error).collect();
        let season = best(&errors);
        let of_best = contests.into_iter().find(|(of, _)| *of == season).and_then(|(_, errors)| errors);
        let scale = 1.4826 * median(of_best.unwrap_or_default());
        Some(Self { season, errors, scale, judged: samples.len() - from })
    }

    /// What the forecast with this season errs.
    pub(super) fn error(&self, season: Season) -> Option<f64> {
        self.errors.iter().find(|contest| contest.season == season).and_then(|contest| contest.error)
    }
}

/// The season that errs least; a longer one only where it errs clearly less.
fn best(errors: &[Contest]) -> Season {
    let mut best = (Season::None, f64::INFINITY);
    for contest in errors {
        if let Some(error) = contest.error.filter(|error| *error < MARGIN * best.1) {
            best = (contest.season, error);
        }
    }
    best.0
}

// === impl Season ===

impl Season {
    const ALL: [Self; 4] = [Self::None, Self::Hour, Self::Day, Self::Week];

    /// The period in milliseconds.
    fn period_ms(self) -> Option<i64> {
        match self {
            Self::None => None,
            Self::Hour => Some(3_600_000),
            Self::Day => Some(86_400_000),
            Self::Week => Some(7 * 86_400_000),
        }
    }

    /// Parts that its period is looked at in: a minute of an hour, a quarter of an hour of a day and a week, or a step
    /// if that is longer.
    fn bins(self, times: &Times) -> i64 {
        let part = if self == Self::Hour { 60_000 } else { 900_000 };
        self.period_ms().map_or(1, |period| period / times.step_ms.max(part))
    }
}

impl fmt::Display for Season {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        })
    }
}

// === impl Forecaster ===

impl Forecaster {
    fn new(season: Season, times: &Times) -> Self {
        let (period_ms, step_ms) = (season.period_ms(), times.step_ms.max(1));
        let bins = season.bins(times).max(1);
        Self {
            period_ms,
            bins: vec![Bin::default(); usize::try_from(bins).unwrap_or(1)],
            is_smooth: period_ms.is_some_and(|period| period / bins >= SMOOTH * step_ms),
            visit: Visit::default(),
            level: 0.0,
            mean: 0.0,
            slow: (step_ms as f64 / period_ms.unwrap_or(86_400_000) as f64).min(1.0),
            seen: 0,
        }
    }

    /// The absolute errors of what is forecast for the samples after the first `from`.
    fn errors(mut self, samples: &[Sample], from: usize) -> Vec<f64> {
        let mut errors = Vec::with_capacity(samples.len() - from);
        for (at, sample) in samples.iter().enumerate() {
            let error = self.step(sample);
            if at >= from {
                errors.push(error);
            }
        }
        errors
    }

    /// The absolute error of the forecast for `sample`, which then teaches.
    fn step(&mut self, sample: &Sample) -> f64 {
        // Halves: the difference of huge numbers would be beyond all.
        let value = sample.value / 2.0;
        let first = 1.0 / (f64::from(self.seen) + 1.0);
        self.seen = self.seen.saturating_add(1);
        self.mean += self.slow.max(first) * (value - self.mean);
        let season =
            self.period_ms.map_or(0.0, |period_ms| self.season(sample.timestamp_ms, period_ms, value));
        let error = value - (self.level + season);
        self.level += LEVEL.max(first) * (value - season - self.level);
        (2.0 * error.abs()).min(f64::MAX)
    }

    /// What the profile says of a moment, at which `value` then teaches it.
    fn season(&mut self, at_ms: i64, period_ms: i64, value: f64) -> f64 {
        let bins = self.bins.len();
        let at = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64 * bins as f64;
        let place = (at as usize).min(bins - 1);
        if place != self.visit.place {
            self.end_visit();
            self.visit = Visit { place, ..Visit::default() };
        }
        self.visit.sum += value - self.mean;
        self.visit.samples += 1.0;
        let from_middle = at - place as f64 - 0.5;
        let beside = if from_middle < 0.0 { (place + bins - 1) % bins } else { (place + 1) % bins };
        let (own, beside) = (self.bins[place], self.bins[beside]);
        let share = if self.is_smooth && beside.visits > 0.0 { from_middle.abs() } else { 0.0 };
        // Of a part that was never visited nothing is known.
        if own.visits > 0.0 { own.above + share * (beside.above - own.above) } else { 0.0 }
    }

    /// What the visit brought teaches the profile, now that no forecast of it is to come.
    fn end_visit(&mut self) {
        let Visit { place, sum, samples } = self.visit;
        if samples > 0.0 {
            let bin = &mut self.bins[place];
            bin.visits += 1.0;
            bin.above += PROFILE.max(1.0 / bin.visits) * (sum / samples - bin.above);
        }
    }
}
