//! The rule that suits a series, and why.

use super::forecasts::Season;
use super::shape::Trait;
use super::{Profile, median};
use crate::backtest::Series;
use crate::backtest::report::short;
use crate::batch::Sample;
use crate::rules::Kind;
use crate::rules::RawRule;
use crate::rules::config::{Deviation, OneOrMany, Range, RawKind};

/// A deviation of fewer steps than this of whole numbers is no anomaly.
const LEAST_OF_WHOLE: f64 = 1.0;

// === impl Profile ===

impl Profile {
    /// The rule for `series`, of which `judged` is judged, and the reasons for what is in it.
    pub(super) fn advice(&self, series: &Series, judged: &[Sample]) -> (RawRule, Vec<String>) {
        let mut reasons = Vec::new();
        let selector =
            if series.is_nameless() { "{__name__=\"NAME\"}".to_owned() } else { series.to_string() };
        let mut rule = RawRule { matches: OneOrMany(vec![selector]), ..RawRule::default() };
        if self.is_counter != Kind::Auto.is_counter(series.metric_name()) {
            rule.kind = if self.is_counter { RawKind::Counter } else { RawKind::Gauge };
        }
        if self.is_counter {
            let (rises, falls) = (percent(self.shape.rises), percent(self.shape.falls));
            reasons.push(format!(
                "a counter, judged by its rate per second: it rises at {rises} of the steps and falls at {falls}"
            ));
        } else {
            self.advise_on_values(&mut rule, &mut reasons, judged);
        }
        rule.detector = self.trial.as_ref().map_or(rule.detector, |trial| trial.detector);
        reasons.push(self.season_reason());
        reasons.push(self.detector_reason());
        (rule, reasons)
    }

    fn advise_on_values(&self, rule: &mut RawRule, reasons: &mut Vec<String>, judged: &[Sample]) {
        let shape = &self.shape;
        if shape.has(Trait::UnitInterval) && !shape.has(Trait::Integer) {
            rule.data_range = Some(Range { lower: 0.0, upper: 1.0 });
            reasons.push("data_range: all values lie between 0 and 1, as shares do".to_owned());
        }
        let is_still = shape.has(Trait::Constant) || shape.has(Trait::NearlyConstant);
        let step = typical_step(judged);
        if shape.has(Trait::Integer) && !is_still && step <= LEAST_OF_WHOLE {
            rule.min_dev_from_expected = Deviation { below: LEAST_OF_WHOLE, above: LEAST_OF_WHOLE };
            reasons.push("min_dev_from_expected: whole numbers that change by one at a time".to_owned());
        }
        if is_still {
            reasons.push("nearly always one value: any other is an anomaly when it first comes".to_owned());
        }
        if shape.has(Trait::MostlyZero) {
            let zeros = percent(shape.zeros);
            reasons.push(format!(
                "0 in {zeros} of the samples: what comes in between is judged by its own past"
            ));
        }
        if shape.has(Trait::Trending) {
            let trend = short(shape.trend);
            reasons.push(format!("trending: its last quarter is {trend} spreads away from its first"));
        }
        if shape.has(Trait::Bursty) {
            let tail = short(shape.tail);
            reasons.push(format!(
                "bursty: one sample in a hundred is {tail} times as far from the median as most"
            ));
        }
    }

    fn season_reason(&self) -> String {
        let Some(forecasts) = &self.forecasts else {
            return "season: too few samples to compare any".to_owned();
        };
        let error = |season| forecasts.error(season).unwrap_or(0.0);
        let (best, level) = (error(forecasts.season), error(Season::None));
        let seasons = forecasts.errors.iter().filter(|contest| contest.season != Season::None);
        let nearest = seasons.filter_map(|contest| contest.error.map(|error| (contest.season, error)));
        match (forecasts.season, nearest.min_by(|a, b| a.1.total_cmp(&b.1))) {
            (Season::None, None) => "season: none; the series is too short for one".to_owned(),
            (Season::None, Some((season, error))) => format!(
                "season: none; a level alone errs by {}, with the profile of the {season} by {}",
                short(level),
                short(error)
            ),
            (season, _) => {
                let less = percent(1.0 - best / level);
                format!(
                    "season: {season}; its profile errs by {}, {less} less than a level alone",
                    short(best)
                )
            }
        }
    }

    fn detector_reason(&self) -> String {
        let Some(trial) = &self.trial else {
            return "detector: hybrid, the default; there is too little to try others on".to_owned();
        };
        let chosen = trial.results.iter().find(|result| result.detector == trial.detector);
        let told = chosen.map_or_else(String::new, |result| {
            let (found, all, alerts) = (result.found, result.disturbances, short(result.alerts_a_week));
            format!(" it found {found} of {all} disturbances, and calls {alerts} times a week without them")
        });
        format!("detector: {};{told}", trial.detector.name())
    }
}

/// The median of the changes, of those that are any.
fn typical_step(samples: &[Sample]) -> f64 {
    let steps = samples.windows(2).map(|two| (two[1].value - two[0].value).abs());
    median(steps.filter(|step| *step > 0.0).collect())
}

pub(super) fn percent(share: f64) -> String {
    format!("{} %", short((share * 1_000.0).round() / 10.0))
}
