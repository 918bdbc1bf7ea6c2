//! A rule as it is written, and what it means.

mod values;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::values::{Deviation, OneOrMany, Range, RawAbsence, RawEmit};
use super::rule::{Absence, Bounds, Direction, Emit, Inheritance, Kind, Output, Outputs, Rule, Sides};
use super::selector::NAME;
use super::{Selector, SelectorError, timezone};
use crate::config::units::PromDuration;
use crate::detect::{AlertBudget, HorizonError, Horizons, Method, Zone};

/// One entry of `rules`: which series are scored, and how. The first rule that matches a series
/// decides; a series without a rule is passed through unscored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRule {
    /// A name for status pages and error texts. Default: the first selector of `match`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// One PromQL series selector or a list of them, such as `node_load1` or
    /// `{__name__=~"node_disk_.*", device!="sr0"}`. A series that any of them selects falls under
    /// this rule. Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// When there are more series than `limits.max_series`, those of a lower priority are given up
    /// first.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i32,
    /// What the series measure. A counter is judged by its rate per second, with resets understood.
    /// `auto` takes names that end in `_total`, `_sum` or `_count` for counters and all others for
    /// gauges.
    #[serde(skip_serializing_if = "is_default")]
    pub kind: RawKind,
    /// Which detector judges: `hybrid` (a forecast, how rare its errors are in the past of the series,
    /// and an isolation forest over them), or a simpler one: `zscore` (the distance to the mean), `mad`
    /// (to the median), `seasonal` (the error of the day's and the week's profile), `arima` (of the
    /// autoregression) or `isolation_forest`.
    #[serde(skip_serializing_if = "is_default")]
    pub detector: Method,
    /// `[lower, upper]`: the values that are possible at all, such as `[0, 100]` for percentages or
    /// `[0, inf]`. A value outside scores 1.01 at least. Default: no range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_range: Option<Range>,
    /// Which deviations count: `both`, `above_expected` or `below_expected`.
    #[serde(skip_serializing_if = "is_default")]
    pub detection_direction: RawDirection,
    /// The smallest deviation from the expected value that can be an anomaly, in the unit of the
    /// judged value (of a counter: per second). One number, or `[below, above]` for either side of the
    /// expected value.
    #[serde(skip_serializing_if = "is_default")]
    pub min_dev_from_expected: Deviation,
    /// The same in percent of the expected value. One number, or `[below, above]`.
    #[serde(skip_serializing_if = "is_default")]
    pub min_rel_dev_from_expected: Deviation,
    /// The share of ordinary samples that the band between `yhat_lower` and `yhat_upper` holds, from 0.5
    /// to 0.9999. It has nothing to do with the score. Default: 0.99.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// `[below, above]`: widens (above 1) or narrows (below 1) the expected band on either side.
    /// Default: `[1, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Deviation>,
    /// Clips the expected value and its band to `data_range`, which must then be set.
    #[serde(skip_serializing_if = "is_default")]
    pub clip_predictions: bool,
    /// How many samples of a series are seen before it is scored. Until then its score is 0, but 1.01 outside
    /// a `data_range` that is set. Default: 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_n_samples_seen: Option<u32>,
    /// How many standard deviations from the expected value score 1. Default: for `hybrid` what it has
    /// learned to be rare on each series, for the others 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z_threshold: Option<f64>,
    /// How many false alerts a series and week a score of 1 stands for, from 0.05 (one in twenty weeks) to 28 (four
    /// a day). Only `hybrid` without `z_threshold` has a measure of it. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_budget: Option<f64>,
    /// The time zone whose clock the day and the week of the series go by, with its summer time, by its IANA name,
    /// such as `Europe/Berlin`. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When a score is sent: `always`, or `above(0.5)` to send it only from the first score of at
    /// least 0.5 until one falls below half of that. A stale marker then ends the score series.
    /// Default: `scores.emit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emit: Option<RawEmit>,
    /// Which series are sent for each scored one: `anomaly_score`, `yhat` (the expected value),
    /// `yhat_lower` and `yhat_upper` (its band), `anomaly_confidence` (how far the score is to be trusted, 0
    /// to 1) and `anomaly_part` (what share of the score is due to what: five series that differ in the
    /// label `part` and sum to 1, none while the score is 0). Default: `[anomaly_score]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provide_series: Option<Vec<RawOutput>>,
    /// Labels that do not count for who a series is, such as `[pod, instance, container_id]`: what a rollout changes.
    /// A new series that else equals one that ended within `inherit_within` goes on with what that one has learned,
    /// instead of warming up; it is not judged for its first three minutes, in which it finds its own level. Of a label `pod` what its controller did not generate still counts: `api` of
    /// `api-7d9f8b6c5-x2x9z`. Default: none, every new series begins anew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity_without: Vec<String>,
    /// The most time, by the timestamps of the samples, between the end of a series and the beginning of its heir,
    /// whichever was first, from `1s` to `1d`. Default: 10m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit_within: Option<PromDuration>,
    /// How far ahead each series is forecast: 1 to 4 durations of 5m to 30d in whole minutes, such as `[1h, 1d, 7d]`.
    /// Each makes three series more, named by the largest unit that divides it: `yhat_1h`, `yhat_lower_1h` and
    /// `yhat_upper_1h`, whose band is as wide as `coverage` says. A forecast stands at the time at which it is made, once
    /// in a tenth of the duration at the most: ask for it by `last_over_time`. Default: no forecasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast_at: Option<Vec<PromDuration>>,
    /// Whether a series that stops, against its own habit, is told by `anomaly_score{for="<metric>:absent"}`, with a label
    /// `reason`: `true`, or a mapping of the options below. Default: `false`.
    #[serde(deserialize_with = "values::absence", skip_serializing_if = "Option::is_none")]
    pub absence: Option<RawAbsence>,
    /// Leaves the selected series unscored, although a later rule or preset would take them.
    #[serde(skip_serializing_if = "is_default")]
    pub exclude: bool,
}

/// What the series of a rule measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawKind {
    /// Told from the metric name.
    #[default]
    Auto,
    /// Judged by its value.
    Gauge,
    /// Judged by its rate.
    Counter,
}

/// Which deviations count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawDirection {
    /// Both sides.
    #[default]
    Both,
    /// Only values above the expected one.
    AboveExpected,
    /// Only values below the expected one.
    BelowExpected,
}

/// A series that is sent for a scored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawOutput {
    /// The score.
    AnomalyScore,
    /// The expected value.
    Yhat,
    /// The lower edge of the band.
    YhatLower,
    /// The upper edge of the band.
    YhatUpper,
    /// How far the score is to be trusted.
    AnomalyConfidence,
    /// What share of it is due to what.
    AnomalyPart,
}

/// What is wrong with one field of a rule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// `match` is absent or empty.
    #[error("a rule needs at least one series selector; write for example match: node_load1")]
    NoSelector,
    /// A selector cannot be read.
    #[error("the selector {text:?} cannot be read: {source}")]
    Selector {
        /// Its place in the list.
        index: usize,
        /// The selector.
        text: String,
        /// Where and why.
        source: SelectorError,
    },
    /// `[lower, upper]` in the wrong order, or without any limit.
    #[error("{lower} to {upper} is not a range; write [lower, upper] with at most one side infinite")]
    BadRange {
        /// The lower limit.
        lower: f64,
        /// The upper limit.
        upper: f64,
    },
    /// A number that must be finite and not negative.
    #[error("{value} cannot be used; write a finite number of at least 0")]
    Negative {
        /// The field.
        field: &'static str,
        /// The number.
        value: f64,
    },
    /// A number that must be finite and greater than 0.
    #[error("{value} cannot be used; write a finite number greater than 0")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// The number.
        value: f64,
    },
    /// A band that holds too little or all.
    #[error(
        "{value} cannot be the coverage; write a share from {low} to {high}, such as 0.99",
        low = COVERAGES.start(),
        high = COVERAGES.end()
    )]
    BadCoverage {
        /// The number.
        value: f64,
    },
    /// A budget that is too small or too large, or that nobody spends.
    #[error(
        "{value} alerts a series and week cannot be the budget; write a number from {low} to {high}",
        low = AlertBudget::RANGE.start(),
        high = AlertBudget::RANGE.end()
    )]
    BadBudget {
        /// The number.
        value: f64,
    },
    /// A budget beside a detector that has no measure of it.
    #[error("alert_budget is for detector: hybrid without z_threshold; leave it out, or leave those out")]
    NoBudget,
    /// A zone that is not in the database.
    #[error("there is no time zone {name:?}; did you mean {nearest:?}? Names are those of the IANA database")]
    BadTimezone {
        /// The name.
        name: String,
        /// The one most like it.
        nearest: String,
    },
    /// Durations that nothing is forecast for.
    #[error(transparent)]
    BadHorizons(#[from] HorizonError),
    /// Clipping without a range.
    #[error("clip_predictions needs data_range; set it to [lower, upper] or leave clip_predictions out")]
    NothingToClipTo,
    /// A warm-up outside of what is possible.
    #[error("{value} samples cannot be the warm-up; write a number from 1 to {max}", max = MAX_WARM_UP)]
    BadWarmUp {
        /// The number.
        value: u32,
    },
    /// A label without which a series is no series, or no label.
    #[error(
        "{name:?} cannot be left out of who a series is; name labels that a rollout changes, such as pod or instance"
    )]
    NoIdentity {
        /// Its place in the list.
        index: usize,
        /// The name.
        name: String,
    },
    /// A time in which nobody could inherit, or in which anybody could.
    #[error(
        "{value} cannot be the time between an end and its heir; write a duration from {low} to {high}",
        low = PromDuration::from_secs(INHERIT_WITHIN.start().as_secs()),
        high = PromDuration::from_secs(INHERIT_WITHIN.end().as_secs())
    )]
    BadInheritance {
        /// The duration.
        value: PromDuration,
    },
    /// A time without anything to inherit.
    #[error("inherit_within needs identity_without; name there the labels that a rollout changes")]
    NobodyInherits,
    /// Too few or too many missed samples.
    #[error("{value} missed samples cannot be waited for; write a number from 1 to {MOST_MISSED}")]
    BadPatience {
        /// The number.
        value: u32,
    },
    /// An absence that nobody hears of, or that nobody forgets.
    #[error(
        "{value} cannot be how long an absence is told; write a duration from {low} to {high}",
        low = PromDuration::from_secs(TOLD.start().as_secs()),
        high = PromDuration::from_secs(TOLD.end().as_secs())
    )]
    BadForgetting {
        /// The duration.
        value: PromDuration,
    },
    /// No absence could be told.
    #[error("absence.max_series is 0; write a number of at least 1, or absence: false")]
    NothingAbsent,
    /// No series would be sent.
    #[error("provide_series is empty; name at least anomaly_score, or set exclude: true")]
    NothingProvided,
}

/// The share of ordinary samples that the band holds, and what it may be: of fewer samples outside of it than one in
/// ten thousand, too few are remembered.
pub(super) const DEFAULT_COVERAGE: f64 = 0.99;
const COVERAGES: RangeInclusive<f64> = 0.5..=0.9999;

/// Samples until a series is scored, as in vmanomaly.
pub(super) const DEFAULT_WARM_UP: u32 = 16;

/// The longest warm-up: a week of samples every five seconds and some more.
const MAX_WARM_UP: u32 = 200_000;

/// Between the end of a series and the beginning of its heir.
const DEFAULT_INHERIT_WITHIN: Duration = Duration::from_secs(600);
const INHERIT_WITHIN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Missed samples until a series is absent.
const MOST_MISSED: u32 = 1_000;
/// For how long an absence is told.
const TOLD: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Keeps what a rule leaves out from being written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

// === impl RawRule ===

impl RawRule {
    /// Checks every field and gives either the rule or all that is wrong with it.
    pub fn check(&self) -> Result<Rule, Vec<RuleError>> {
        let mut errors = Vec::new();
        let selectors = self.selectors(&mut errors);
        let rule = Rule {
            name: self.display_name().to_owned(),
            selectors,
            priority: self.priority,
            kind: self.kind.into(),
            detector: self.detector,
            data_range: self.data_range.and_then(|range| keep(bounds(range), &mut errors)),
            detection_direction: self.detection_direction.into(),
            min_dev_from_expected: not_negative(
                "min_dev_from_expected",
                self.min_dev_from_expected,
                &mut errors,
            ),
            min_rel_dev_from_expected: self.relative_deviation(&mut errors),
            coverage: self.coverage(&mut errors),
            scale: self.scale(&mut errors),
            clip_predictions: self.clip_predictions,
            min_n_samples_seen: self.warm_up(&mut errors),
            z_threshold: self.z_threshold.and_then(|z| keep(positive("z_threshold", z), &mut errors)),
            alert_budget: self.alert_budget(&mut errors),
            timezone: self.timezone(&mut errors),
            emit: self.emit(&mut errors),
            provide_series: self.outputs(&mut errors),
            inheritance: self.inheritance(&mut errors),
            forecast_at: self.horizons(&mut errors),
            absence: self.absence.map(|absence| checked_absence(absence, &mut errors)),
            exclude: self.exclude,
        };
        if self.clip_predictions && self.data_range.is_none() {
            errors.push(RuleError::NothingToClipTo);
        }
        if errors.is_empty() { Ok(rule) } else { Err(errors) }
    }

    /// The name, or the first selector where none is given.
    pub fn display_name(&self) -> &str {
        match self.name.as_str() {
            "" => self.matches.0.first().map_or("", String::as_str),
            name => name,
        }
    }

    /// Whether `output` is asked for.
    pub fn provides(&self, output: RawOutput) -> bool {
        self.provide_series.as_ref().is_some_and(|outputs| outputs.contains(&output))
    }

    fn selectors(&self, errors: &mut Vec<RuleError>) -> Vec<Selector> {
        if self.matches.0.is_empty() {
            errors.push(RuleError::NoSelector);
        }
        let parse = |(index, text): (usize, &String)| {
            text.parse().map_err(|source| RuleError::Selector { index, text: text.clone(), source })
        };
        self.matches.0.iter().enumerate().filter_map(|entry| keep(parse(entry), errors)).collect()
    }

    /// Percent in the file, a fraction from here on.
    fn relative_deviation(&self, errors: &mut Vec<RuleError>) -> Sides {
        let percent = not_negative("min_rel_dev_from_expected", self.min_rel_dev_from_expected, errors);
        Sides { lower: percent.lower / 100.0, upper: percent.upper / 100.0 }
    }

    fn coverage(&self, errors: &mut Vec<RuleError>) -> f64 {
        let value = self.coverage.unwrap_or(DEFAULT_COVERAGE);
        if !COVERAGES.contains(&value) {
            errors.push(RuleError::BadCoverage { value });
        }
        value
    }

    fn alert_budget(&self, errors: &mut Vec<RuleError>) -> AlertBudget {
        let Some(value) = self.alert_budget else { return AlertBudget::default() };
        if !AlertBudget::RANGE.contains(&value) {
            errors.push(RuleError::BadBudget { value });
        }
        if self.detector != Method::Hybrid || self.z_threshold.is_some() {
            errors.push(RuleError::NoBudget);
        }
        AlertBudget::new(value)
    }

    fn timezone(&self, errors: &mut Vec<RuleError>) -> Option<Arc<Zone>> {
        let name = self.timezone.as_ref()?;
        let zone = timezone::named(name);
        if zone.is_none() {
            let (name, nearest) = (name.clone(), timezone::nearest(name));
            errors.push(RuleError::BadTimezone { name, nearest });
        }
        zone.map(Arc::new)
    }

    fn horizons(&self, errors: &mut Vec<RuleError>) -> Horizons {
        let Some(durations) = &self.forecast_at else { return Horizons::default() };
        let horizons = Horizons::of_millis(durations.iter().map(|duration| duration.as_millis()));
        keep(horizons.map_err(RuleError::from), errors).unwrap_or_default()
    }

    fn scale(&self, errors: &mut Vec<RuleError>) -> Sides {
        let Some(Deviation { below, above }) = self.scale else { return Sides::both(1.0) };
        let mut side = |value| keep(positive("scale", value), errors).unwrap_or(1.0);
        Sides { lower: side(below), upper: side(above) }
    }

    fn warm_up(&self, errors: &mut Vec<RuleError>) -> u32 {
        let value = self.min_n_samples_seen.unwrap_or(DEFAULT_WARM_UP);
        if value == 0 || value > MAX_WARM_UP {
            errors.push(RuleError::BadWarmUp { value });
        }
        value
    }

    fn emit(&self, errors: &mut Vec<RuleError>) -> Emit {
        match self.emit {
            None | Some(RawEmit::Always) => Emit::Always,
            Some(RawEmit::Above(value)) => {
                keep(positive("emit", value), errors).map_or(Emit::Always, Emit::Above)
            }
        }
    }

    fn inheritance(&self, errors: &mut Vec<RuleError>) -> Option<Inheritance> {
        let within = self.inherit_within.map_or(DEFAULT_INHERIT_WITHIN, PromDuration::get);
        if let Some(value) = self.inherit_within.filter(|_| !INHERIT_WITHIN.contains(&within)) {
            errors.push(RuleError::BadInheritance { value });
        }
        if self.identity_without.is_empty() {
            errors.extend(self.inherit_within.map(|_| RuleError::NobodyInherits));
            return None;
        }
        for (index, name) in self.identity_without.iter().enumerate() {
            if name.is_empty() || name == NAME {
                errors.push(RuleError::NoIdentity { index, name: name.clone() });
            }
        }
        let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        Some(Inheritance { without: self.identity_without.clone(), within_ms })
    }

    fn outputs(&self, errors: &mut Vec<RuleError>) -> Outputs {
        match &self.provide_series {
            None => Outputs::SCORE,
            Some(outputs) => {
                if outputs.is_empty() {
                    errors.push(RuleError::NothingProvided);
                }
                outputs.iter().map(|output| Output::from(*output)).collect()
            }
        }
    }
}

/// The value, or `None` and one error more.
fn keep<T>(result: Result<T, RuleError>, errors: &mut Vec<RuleError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn checked_absence(raw: RawAbsence, errors: &mut Vec<RuleError>) -> Absence {
    let RawAbsence { after, seen_for, forget_after, max_series } = raw;
    if after == 0 || after > MOST_MISSED {
        errors.push(RuleError::BadPatience { value: after });
    }
    if !TOLD.contains(&forget_after.get()) {
        errors.push(RuleError::BadForgetting { value: forget_after });
    }
    if max_series == 0 {
        errors.push(RuleError::NothingAbsent);
    }
    let millis = |duration: PromDuration| i64::try_from(duration.get().as_millis()).unwrap_or(i64::MAX);
    Absence {
        after,
        seen_for_ms: millis(seen_for),
        forget_after_ms: millis(forget_after),
        max_series: max_series as usize,
    }
}

fn bounds(range: Range) -> Result<Bounds, RuleError> {
    let Range { lower, upper } = range;
    let limited = lower.is_finite() || upper.is_finite();
    if lower < upper && limited {
        Ok(Bounds { lower, upper })
    } else {
        Err(RuleError::BadRange { lower, upper })
    }
}

fn not_negative(field: &'static str, deviation: Deviation, errors: &mut Vec<RuleError>) -> Sides {
    for value in [deviation.below, deviation.above] {
        if !(value.is_finite() && value >= 0.0) {
            errors.push(RuleError::Negative { field, value });
        }
    }
    Sides { lower: deviation.below, upper: deviation.above }
}

fn positive(field: &'static str, value: f64) -> Result<f64, RuleError> {
    let usable = value.is_finite() && value > 0.0;
    if usable { Ok(value) } else { Err(RuleError::NotPositive { field, value }) }
}

// === impl RuleError ===

impl RuleError {
    /// The field that is wrong, as a path inside the rule, such as `match[1]`.
    pub fn field(&self) -> String {
        match self {
            Self::NoSelector => "match".to_owned(),
            Self::Selector { index, .. } => format!("match[{index}]"),
            Self::BadRange { .. } => "data_range".to_owned(),
            Self::Negative { field, .. } | Self::NotPositive { field, .. } => (*field).to_owned(),
            Self::BadCoverage { .. } => "coverage".to_owned(),
            Self::BadBudget { .. } | Self::NoBudget => "alert_budget".to_owned(),
            Self::BadTimezone { .. } => "timezone".to_owned(),
            Self::BadHorizons(_) => "forecast_at".to_owned(),
            Self::NothingToClipTo => "clip_predictions".to_owned(),
            Self::BadWarmUp { .. } => "min_n_samples_seen".to_owned(),
            Self::NoIdentity { index, .. } => format!("identity_without[{index}]"),
            Self::BadInheritance { .. } | Self::NobodyInherits => "inherit_within".to_owned(),
            Self::BadPatience { .. } => "absence.after".to_owned(),
            Self::BadForgetting { .. } => "absence.forget_after".to_owned(),
            Self::NothingAbsent => "absence.max_series".to_owned(),
            Self::NothingProvided => "provide_series".to_owned(),
        }
    }
}

// === what is written, and what it means ===

impl From<RawKind> for Kind {
    fn from(kind: RawKind) -> Self {
        match kind {
            RawKind::Auto => Self::Auto,
            RawKind::Gauge => Self::Gauge,
            RawKind::Counter => Self::Counter,
        }
    }
}

impl From<RawDirection> for Direction {
    fn from(direction: RawDirection) -> Self {
        match direction {
            RawDirection::Both => Self::Both,
            RawDirection::AboveExpected => Self::AboveExpected,
            RawDirection::BelowExpected => Self::BelowExpected,
        }
    }
}

impl From<RawOutput> for Output {
    fn from(output: RawOutput) -> Self {
        match output {
            RawOutput::AnomalyScore => Self::AnomalyScore,
            RawOutput::Yhat => Self::Yhat,
            RawOutput::YhatLower => Self::YhatLower,
            RawOutput::YhatUpper => Self::YhatUpper,
            RawOutput::AnomalyConfidence => Self::AnomalyConfidence,
            RawOutput::AnomalyPart => Self::AnomalyPart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(yaml: &str) -> RawRule {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn errors_of(yaml: &str) -> Vec<String> {
        let errors = rule(yaml).check().unwrap_err();
        errors.iter().map(|error| format!("{}: {error}", error.field())).collect()
    }

    #[test]
    fn the_shortest_rule_has_every_default() {
        let checked = rule("match: node_load1").check().unwrap();
        assert_eq!(checked.name, "node_load1");
        assert_eq!(checked.min_n_samples_seen, 16);
        assert_eq!((checked.scale, checked.coverage), (Sides::both(1.0), 0.99));
        assert_eq!((checked.kind, checked.detection_direction), (Kind::Auto, Direction::Both));
        assert_eq!((checked.emit, checked.provide_series), (Emit::Always, Outputs::SCORE));
        assert_eq!((checked.data_range, checked.z_threshold, checked.exclude), (None, None, false));
    }

    #[test]
    fn a_budget_nobody_can_keep_and_a_zone_nobody_knows_are_errors() {
        let told = errors_of("{match: node_load1, alert_budget: 100, timezone: Europe/Berln}");
        assert_eq!(
            told,
            [
                "alert_budget: 100 alerts a series and week cannot be the budget; write a number from 0.05 to 28",
                "timezone: there is no time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"? Names are those of \
                 the IANA database",
            ]
        );
        let told = errors_of("{match: node_load1, alert_budget: 7, detector: zscore}");
        assert!(told[0].starts_with("alert_budget: alert_budget is for detector: hybrid"), "{told:?}");
    }

    #[test]
    fn who_inherits_is_said_by_labels_and_a_time_that_has_bounds() {
        let checked =
            rule("{match: up, identity_without: [pod, instance], inherit_within: 1h}").check().unwrap();
        let heirs = checked.inheritance.unwrap();
        assert_eq!(
            (heirs.without, heirs.within_ms),
            (vec!["pod".to_owned(), "instance".to_owned()], 3_600_000)
        );
        let default = rule("{match: up, identity_without: [pod]}").check().unwrap().inheritance.unwrap();
        assert_eq!(default.within_ms, 600_000);
        assert_eq!(rule("match: up").check().unwrap().inheritance, None);
        assert_eq!(
            errors_of("{match: up, identity_without: [pod, __name__], inherit_within: 2d}"),
            [
                "inherit_within: 2d cannot be the time between an end and its heir; write a duration from 1s to 1d",
                "identity_without[1]: \"__name__\" cannot be left out of who a series is; name labels that a rollout \
                 changes, such as pod or instance",
            ]
        );
        assert!(errors_of("{match: up, inherit_within: 5m}")[0].contains("needs identity_without"));
    }

    #[test]
    fn every_field_of_vmanomalys_vocabulary_is_understood() {
        let checked = rule(
            r#"
name: disk
match: ['node_filesystem_avail_bytes{fstype!="tmpfs"}', node_filesystem_free_bytes]
priority: 7
kind: gauge
data_range: [0, 'inf']
detection_direction: below_expected
min_dev_from_expected: [1.5, 2]
min_rel_dev_from_expected: 10
coverage: 0.9
scale: [0.8, 1.2]
clip_predictions: true
min_n_samples_seen: 30
z_threshold: 3.5
timezone: Europe/Berlin
emit: {above: 0.5}
provide_series: [anomaly_score, yhat, yhat_lower, yhat_upper]
"#,
        )
        .check()
        .unwrap();
        assert_eq!(checked.selectors.len(), 2);
        assert_eq!(checked.data_range, Some(Bounds { lower: 0.0, upper: f64::INFINITY }));
        assert_eq!(checked.min_dev_from_expected, Sides { lower: 1.5, upper: 2.0 });
        assert_eq!(checked.min_rel_dev_from_expected, Sides::both(0.1));
        assert_eq!(checked.scale, Sides { lower: 0.8, upper: 1.2 });
        assert_eq!(checked.coverage, 0.9);
        assert_eq!((checked.min_n_samples_seen, checked.z_threshold), (30, Some(3.5)));
        assert_eq!((checked.emit, checked.provide_series.count()), (Emit::Above(0.5), 4));
        assert_eq!((checked.priority, checked.clip_predictions), (7, true));
        assert!(checked.timezone.is_some());
        let budgeted = rule("{match: node_load1, alert_budget: 7}").check().unwrap();
        assert_eq!(budgeted.alert_budget.a_week(), 7.0);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let yaml = r#"
match: [node_load1, 'up{job}']
data_range: [5, 1]
min_dev_from_expected: -1
coverage: 1
scale: [0, 1]
min_n_samples_seen: 0
z_threshold: -2
emit: {above: 0}
provide_series: []
"#;
        let errors = errors_of(yaml);
        let starts = [
            "match[1]: the selector",
            "data_range: 5 to 1 is not a range",
            "min_dev_from_expected: -1 cannot",
            "min_dev_from_expected: -1 cannot",
            "coverage: 1 cannot be the coverage; write a share from 0.5 to 0.9999",
            "scale: 0 cannot",
            "min_n_samples_seen: 0 samples",
            "z_threshold: -2 cannot",
            "emit: 0 cannot",
            "provide_series: provide_series is empty",
        ];
        assert_eq!(errors.len(), starts.len(), "{errors:#?}");
        for (error, start) in errors.iter().zip(starts) {
            assert!(error.starts_with(start), "{error:?} does not start with {start:?}");
        }
        assert!(errors_of("name: x")[0].contains("match: node_load1"));
        assert!(errors_of("{match: up, clip_predictions: true}")[0].contains("needs data_range"));
        assert!(errors_of("{match: up, data_range: [-inf, inf]}")[0].contains("at most one side"));
    }

    #[test]
    fn horizons_are_checked_and_spelled_one_way() {
        let checked = rule("{match: up, forecast_at: [7d, 60m]}").check().unwrap();
        let told: Vec<String> = checked.forecast_at.iter().map(|horizon| horizon.to_string()).collect();
        assert_eq!(told, ["1h", "7d"]);
        let wrong = |list: &str| errors_of(&format!("{{match: up, forecast_at: {list}}}")).remove(0);
        assert!(wrong("[1m]").starts_with("forecast_at: a forecast looks 5m to 30d ahead"));
        assert!(wrong("[1h, 60m]").contains("1h stands there twice"));
        assert!(wrong("[]").contains("name 1 to 4"));
    }

    #[test]
    fn a_threshold_is_written_as_a_text_or_as_a_mapping() {
        let check = |emit: &str, want| assert_eq!(rule(&format!("{{match: up, emit: {emit}}}")).emit, want);
        check("always", Some(RawEmit::Always));
        check("above(0.5)", Some(RawEmit::Above(0.5)));
        check("above( 2 )", Some(RawEmit::Above(2.0)));
        check("{above: 0.5}", Some(RawEmit::Above(0.5)));
        for wrong in ["above", "above()", "above(x)", "never", "{below: 1}", "0.5"] {
            let yaml = format!("{{match: up, emit: {wrong}}}");
            assert!(serde_saphyr::from_str::<RawRule>(&yaml).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        let raw = rule("{match: up, emit: {above: 0.5}, scale: [1, 2], min_dev_from_expected: 3}");
        let written = serde_saphyr::to_string(&raw).unwrap();
        assert_eq!(rule(&written), raw, "{written}");
    }
}
