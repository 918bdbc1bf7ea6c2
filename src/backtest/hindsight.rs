//! Forecasts against what came: how often the band held it, and what they erred beside a seasonal naive forecast.

use serde::Serialize;

use super::Series;
use crate::detect::{Foretold, Horizon};

/// A series with what was forecast of it.
#[derive(Clone, Debug, Default)]
pub struct Foreseen {
    /// What it is called.
    pub series: Series,
    /// Its samples: milliseconds since the epoch, and the value that is judged, or of a counter its rate per second. Each
    /// has a later time than the one before.
    pub samples: Vec<(i64, f64)>,
    /// What was forecast, in the order in which it was made.
    pub foretold: Vec<Foretold>,
}

/// How the forecasts of one horizon went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hindsight {
    /// How far ahead they looked.
    #[serde(serialize_with = "as_text")]
    pub horizon: Horizon,
    /// Forecasts whose moment has come.
    pub judged: usize,
    /// The share of them whose band held what came.
    pub coverage: f64,
    /// Their mean absolute error.
    pub error: f64,
    /// The mean width of the band.
    pub width: f64,
    /// What they erred beside a forecast that repeats the day, and the week.
    pub day: Option<Beside>,
    /// See [`Self::day`].
    pub week: Option<Beside>,
}

/// Forecasts beside a seasonal naive one of the same moments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Beside {
    /// Moments for which there are both.
    pub judged: usize,
    /// The mean absolute error of ours over that of the naive: below 1 ours was better. Nothing where the naive one never
    /// erred.
    pub mase: Option<f64>,
}

/// Sums up one horizon.
#[derive(Default)]
struct Sum {
    judged: usize,
    held: usize,
    error: f64,
    width: f64,
    day: Pair,
    week: Pair,
}

/// Errors of ours and of a naive forecast.
#[derive(Default)]
struct Pair {
    judged: usize,
    ours: f64,
    naive: f64,
}

const DAY_MS: i64 = 86_400_000;

// === impl Foreseen ===

impl Foreseen {
    /// How the forecasts of each horizon went of which some have come true, the nearest first.
    ///
    /// What came is the sample nearest to the forecast's moment, within half a step. A seasonal naive forecast of a moment
    /// is the sample as many whole days (weeks) before it as are needed to be known when ours was made.
    pub fn hindsight(&self) -> Vec<Hindsight> {
        let mut horizons: Vec<Horizon> = self.foretold.iter().map(|told| told.horizon).collect();
        horizons.sort_unstable();
        horizons.dedup();
        let step_ms = self.step_ms();
        horizons.into_iter().filter_map(|horizon| self.of_horizon(horizon, step_ms)).collect()
    }

    fn of_horizon(&self, horizon: Horizon, step_ms: i64) -> Option<Hindsight> {
        let mut sum = Sum::default();
        for told in self.foretold.iter().filter(|told| told.horizon == horizon) {
            let moment_ms = told.made_ms + horizon.millis();
            let Some(came) = self.at(moment_ms, step_ms) else { continue };
            let before = |period_ms: i64| {
                let periods = (horizon.millis() + period_ms - 1) / period_ms;
                self.at(moment_ms - periods * period_ms, step_ms)
            };
            sum.add(told, came, before(DAY_MS), before(7 * DAY_MS));
        }
        sum.hindsight(horizon)
    }

    /// What came of a forecast, if its moment has come.
    pub fn came(&self, told: &Foretold) -> Option<f64> {
        self.at(told.made_ms + told.horizon.millis(), self.step_ms())
    }

    /// The usual time from one sample to the next.
    fn step_ms(&self) -> i64 {
        let mut steps: Vec<i64> = self.samples.windows(2).map(|two| two[1].0 - two[0].0).collect();
        let middle = steps.len() / 2;
        if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 }
    }

    /// The value at `at_ms`: that of the nearest sample, no more than half a step away.
    fn at(&self, at_ms: i64, step_ms: i64) -> Option<f64> {
        let next = self.samples.partition_point(|(sample_ms, _)| *sample_ms < at_ms);
        let beside =
            [next.checked_sub(1), Some(next)].into_iter().flatten().filter_map(|at| self.samples.get(at));
        let (sample_ms, value) = beside.min_by_key(|(sample_ms, _)| (sample_ms - at_ms).abs())?;
        ((sample_ms - at_ms).abs() <= step_ms / 2).then_some(*value)
    }
}

// === impl Hindsight ===

impl Hindsight {
    /// The larger of the ratios to a day's and a week's naive forecast: what the harder of the two leaves of us.
    pub fn mase(&self) -> Option<f64> {
        let ratios = [self.day, self.week].into_iter().flatten().filter_map(|beside| beside.mase);
        ratios.reduce(f64::max)
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, told: &Foretold, came: f64, day: Option<f64>, week: Option<f64>) {
        let error = (came - told.expected).abs();
        self.judged += 1;
        self.held += usize::from((told.lower..=told.upper).contains(&came));
        self.error += error;
        self.width += told.upper - told.lower;
        self.day.add(error, came, day);
        self.week.add(error, came, week);
    }

    fn hindsight(&self, horizon: Horizon) -> Option<Hindsight> {
        let count = self.judged as f64;
        (self.judged > 0).then(|| Hindsight {
            horizon,
            judged: self.judged,
            coverage: self.held as f64 / count,
            error: self.error / count,
            width: self.width / count,
            day: self.day.beside(),
            week: self.week.beside(),
        })
    }
}

// === impl Pair ===

impl Pair {
    fn add(&mut self, error: f64, came: f64, naive: Option<f64>) {
        if let Some(naive) = naive {
            self.judged += 1;
            self.ours += error;
            self.naive += (came - naive).abs();
        }
    }

    fn beside(&self) -> Option<Beside> {
        let mase = (self.naive > 0.0).then(|| self.ours / self.naive);
        (self.judged > 0).then_some(Beside { judged: self.judged, mase })
    }
}

fn as_text<S: serde::Serializer>(horizon: &Horizon, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(horizon)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Ten days of hours; `off` is what each forecast for a day later is off by, whose band reaches 1 to either side.
    fn foreseen(value: impl Fn(i64) -> f64, off: f64) -> Foreseen {
        let horizon = Horizon::of_millis(DAY_MS as u64).unwrap();
        let told = |hour: i64| {
            let expected = value(hour + 24) + off;
            let made_ms = hour * HOUR_MS;
            Foretold { horizon, made_ms, expected, lower: expected - 1.0, upper: expected + 1.0 }
        };
        Foreseen {
            series: Series::default(),
            samples: (0..240).map(|hour| (hour * HOUR_MS, value(hour))).collect(),
            foretold: (24..240).map(told).collect(),
        }
    }

    #[test]
    fn errors_stand_beside_those_of_repeating_the_day_and_the_week() {
        // A day later it is 24 more, so repeating the day is off by 24, the week by 168.
        let told = foreseen(|hour| hour as f64, 12.0).hindsight();
        assert_eq!(told.len(), 1);
        let (day, week) = (told[0].day.unwrap(), told[0].week.unwrap());
        assert_eq!((told[0].judged, told[0].error, told[0].coverage), (192, 12.0, 0.0));
        assert_eq!((day.judged, day.mase), (192, Some(0.5)));
        assert_eq!((week.judged, week.mase), (72, Some(12.0 / 168.0)));
        assert_eq!(told[0].mase(), Some(0.5));
        assert_eq!(foreseen(|hour| hour as f64, 0.5).hindsight()[0].coverage, 1.0);
    }

    #[test]
    fn a_naive_forecast_that_never_errs_has_no_ratio() {
        let told = foreseen(|hour| (hour % 24) as f64, 0.5).hindsight();
        assert_eq!(told[0].day.unwrap().mase, None);
        assert_eq!(told[0].mase(), None);
    }

    #[test]
    fn what_did_not_come_is_not_judged() {
        let mut early = foreseen(|hour| hour as f64, 0.0);
        early.samples.retain(|(at_ms, _)| *at_ms < 30 * HOUR_MS);
        assert!(early.hindsight().is_empty());
        assert_eq!(early.came(&early.foretold[0]), None);
    }
}
