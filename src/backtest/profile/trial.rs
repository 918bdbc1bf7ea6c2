//! How detectors fare on a series: what each finds of disturbances that are put into a copy of it, and how often it
//! calls on the series as it is.
//!
//! The disturbances are spikes of three samples and shifts of twenty, up and down, in the second half of the series;
//! six, twelve, 24 and 48 times as large as the best forecast usually errs. Both runs are on the production path.

use serde::Serialize;

use super::forecasts::Forecasts;
use crate::backtest::{Corridor, CorridorError, Series};
use crate::batch::Sample;
use crate::detect::Method;
use crate::model::Model;
use crate::rules::RawRule;
use crate::rules::config::RawKind;

/// How each detector fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// The sizes of the smallest and of the largest disturbances, in the unit of the judged value.
    pub sizes: [f64; 2],
    /// Each detector; the hybrid first.
    pub results: Vec<TrialResult>,
    /// The detector that suits the series.
    pub detector: Method,
}

/// How one detector fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialResult {
    /// Which it is.
    pub detector: Method,
    /// Disturbances that were put in, and those during which the score was 1 or more.
    pub disturbances: usize,
    /// Those that were found.
    pub found: usize,
    /// How often the score rose to 1 or more on the series as it is, in a week.
    pub alerts_a_week: f64,
}

/// The series cannot be scored.
pub type TrialError = CorridorError;

/// One disturbance.
#[derive(Clone, Copy, Debug)]
struct Disturbance {
    first: usize,
    samples: usize,
    size: f64,
}

/// How large disturbances are, in usual errors of the best forecast.
const SIZES: [f64; 4] = [6.0, 12.0, 24.0, 48.0];
/// Samples from one disturbance to the next, and what a spike and a shift last.
const APART: usize = 150;
const SPIKE: usize = 3;
const SHIFT: usize = 20;
/// No more disturbances than this are put in, and no fewer say anything.
const MOST: usize = 40;
const LEAST: usize = 4;
/// Samples without a score of 1 after which another is a new alert.
const QUIET: usize = 10;
const WEEK_MS: f64 = 7.0 * 86_400_000.0;
/// A detector that calls as often as this in a week, and more often than the default one, suits nobody.
const TOO_OFTEN: f64 = 7.0;
/// Another than the default one must find so much more of all disturbances.
const CLEARLY: f64 = 0.1;

// === impl Trial ===

impl Trial {
    /// The trial of every detector on `samples`; nothing where they are too few, or never err.
    ///
    /// # Errors
    ///
    /// A series that is never scored.
    pub(super) fn of(samples: &[Sample], known: &Forecasts) -> Result<Option<Self>, TrialError> {
        let mean = known.error(known.season).unwrap_or(0.0);
        // Most errors of a series that is mostly one value are 0.
        let unit = known.scale.max(mean);
        let sizes = [SIZES[0] * unit, SIZES[SIZES.len() - 1] * unit];
        let disturbances = disturbances(samples.len(), unit);
        if disturbances.len() < LEAST || !(sizes[0] > 0.0 && sizes[1].is_finite()) {
            return Ok(None);
        }
        let mut disturbed = samples.to_vec();
        for disturbance in &disturbances {
            for sample in &mut disturbed[disturbance.first..disturbance.first + disturbance.samples] {
                sample.value += disturbance.size;
            }
        }
        let result = |method: Method| {
            let calls = scores(&disturbed, method)?;
            let is_found = |disturbance: &&Disturbance| {
                let Disturbance { first, samples, .. } = **disturbance;
                calls[first..first + samples].iter().any(|score| *score >= 1.0)
            };
            Ok(TrialResult {
                detector: method,
                disturbances: disturbances.len(),
                found: disturbances.iter().filter(is_found).count(),
                alerts_a_week: alerts_a_week(samples, &scores(samples, method)?),
            })
        };
        let results = Method::ALL.into_iter().map(result).collect::<Result<Vec<_>, TrialError>>()?;
        let detector = best(&results);
        Ok(Some(Self { sizes, results, detector }))
    }
}

/// The default detector, or the one that finds clearly more and does not call too often.
fn best(results: &[TrialResult]) -> Method {
    let Some((default, others)) = results.split_first() else { return Method::default() };
    let often = TOO_OFTEN.max(default.alerts_a_week);
    let calm = others.iter().filter(|other| other.alerts_a_week <= often);
    let share = |result: &TrialResult| result.found as f64 / result.disturbances.max(1) as f64;
    // The first of equals.
    let best = calm.reduce(|best, other| if other.found > best.found { other } else { best });
    best.filter(|best| share(best) > share(default) + CLEARLY).unwrap_or(default).detector
}

/// Disturbances in the second half of `count` samples, in turn spikes and shifts, up and down, and of every size.
fn disturbances(count: usize, unit: f64) -> Vec<Disturbance> {
    let from = count / 2;
    let places = (from..count.saturating_sub(SHIFT)).step_by(APART).skip(1);
    let all: Vec<usize> = places.collect();
    // Spread over the half, where there is room for more.
    let every = all.len().div_ceil(MOST).max(1);
    let disturbance = |(at, first): (usize, usize)| {
        let size = SIZES[at / 4 % SIZES.len()] * unit;
        let samples = if at % 2 == 0 { SPIKE } else { SHIFT };
        Disturbance { first, samples, size: if at / 2 % 2 == 0 { size } else { -size } }
    };
    all.into_iter().step_by(every).enumerate().map(disturbance).collect()
}

/// What `method` says of each sample.
fn scores(samples: &[Sample], method: Method) -> Result<Vec<f64>, TrialError> {
    let rule = RawRule { kind: RawKind::Gauge, detector: method, ..RawRule::default() };
    let mut corridor = Corridor::new(Model::builtin(), rule, &Series::default())?;
    let score = |sample: &Sample| corridor.hear(*sample).map_or(0.0, |said| said.score);
    Ok(samples.iter().map(score).collect())
}

/// How often the score rises to 1 over the second half, when there is something to compare with.
fn alerts_a_week(samples: &[Sample], scores: &[f64]) -> f64 {
    let from = scores.len() / 2;
    let (mut alerts, mut quiet) = (0.0, QUIET);
    for score in &scores[from..] {
        if *score >= 1.0 {
            alerts += f64::from(u8::from(quiet >= QUIET));
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    let lasts_ms = samples.last().map_or(0, |last| last.timestamp_ms - samples[from].timestamp_ms);
    alerts * WEEK_MS / (lasts_ms.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbances_stand_apart_in_the_second_half() {
        let all = disturbances(100_000, 2.0);
        assert!(all.len() <= MOST && all.len() > MOST / 2, "{}", all.len());
        assert!(all[0].first >= 50_000);
        assert!(all.windows(2).all(|two| two[1].first - two[0].first >= APART));
        assert!(all.last().unwrap().first + SHIFT <= 100_000);
        let sizes: std::collections::BTreeSet<_> = all.iter().map(|d| (d.size / 2.0) as i64).collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [-48, -24, -12, -6, 6, 12, 24, 48]);
        assert!(disturbances(300, 1.0).len() < LEAST);
    }

    #[test]
    fn another_than_the_default_must_find_clearly_more_and_not_call_too_often() {
        use Method::{Hybrid, Mad, Zscore};
        let result =
            |detector, found, alerts_a_week| TrialResult { detector, disturbances: 20, found, alerts_a_week };
        let check = |results: &[TrialResult], want| assert_eq!(best(results), want);
        check(&[result(Hybrid, 10, 0.5), result(Mad, 12, 0.0), result(Zscore, 20, 7.5)], Hybrid);
        check(&[result(Hybrid, 10, 0.5), result(Mad, 13, 0.0), result(Zscore, 14, 6.0)], Zscore);
        check(&[result(Hybrid, 10, 9.0), result(Mad, 20, 9.0)], Mad);
    }

    #[test]
    fn alerts_close_together_are_one() {
        let samples: Vec<_> =
            (0..2_016).map(|at| Sample { timestamp_ms: at * 600_000, value: 0.0 }).collect();
        let mut scores = vec![0.0; 2_016];
        for at in [10, 1_500, 1_505, 1_800] {
            scores[at] = 2.0;
        }
        assert!((alerts_a_week(&samples, &scores) - 2.0).abs() < 0.01);
    }
}
