//! `/api/v1/score`: series with their past, each led through the corridor that scores live samples.
//!
//! Nothing is remembered between two requests: each series begins anew, and what it should be judged by is sent along. The
//! scores are those that `sidelong backtest` gives, to the last bit.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rule::RuleOptions;
use super::{Failure, finite};
use crate::backtest::{Corridor, Said, Series};
use crate::batch::Sample;
use crate::config::sections::Serving;
use crate::model::Model;
use crate::rules::RawRule;

use std::sync::Arc;

/// The newest second there can be, in the year 2106. What is later are milliseconds.
const LATEST_S: f64 = u32::MAX as f64;
/// Labels of one series.
const MOST_LABELS: u32 = 64;

/// Series to be scored.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreRequest {
    /// The series, each with its past.
    #[schemars(length(min = 1))]
    pub series: Vec<PastSeries>,
    /// How they are judged.
    #[serde(default)]
    pub rule: RuleOptions,
}

/// One series, from its oldest sample to its newest.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastSeries {
    /// Its labels, the metric name as `__name__`. By the name counters are told: `_total`, `_sum`, `_count`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_LABELS, "propertyNames" = { "minLength": 1 }))]
    pub labels: BTreeMap<String, String>,
    /// Its samples, in the order of their times, no two of one millisecond.
    #[schemars(length(min = 1))]
    pub samples: Vec<TimedValue>,
}

/// `[timestamp, value]`: Unix seconds, with up to three decimals that count, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct TimedValue(pub f64, pub f64);

/// What is said of the series of a request, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ScoreAnswer {
    /// The version of the model that said so.
    pub model_version: String,
    /// The series, in the order of the request.
    pub series: Vec<ScoredSeries>,
}

/// What is said of one series.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ScoredSeries {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its samples, in the order of the request.
    pub samples: Vec<ScoredSample>,
}

/// What is said of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ScoredSample {
    /// Its time, as it was sent.
    pub timestamp: f64,
    /// From 0; 1 and above is an anomaly.
    #[schemars(range(min = 0.0))]
    pub score: f64,
    /// Whether the score is at least 1.
    pub is_anomaly: bool,
    /// What was expected, before the sample was seen; null while nothing is. Of a counter it is a rate per second.
    pub yhat: Option<f64>,
    /// The lower edge of the band that holds ordinary values; null where it is open.
    pub yhat_lower: Option<f64>,
    /// The upper edge of the band; null where it is open.
    pub yhat_upper: Option<f64>,
    /// Whether too little had been seen for a score: it is 0 then, but outside of a `data_range`.
    pub warm_up: bool,
}

/// Answers `/api/v1/score`.
///
/// # Errors
///
/// [`Failure`], by what is wrong, and with which sample of which series.
pub fn answer(model: &Arc<Model>, limits: &Serving, request: &ScoreRequest) -> Result<ScoreAnswer, Failure> {
    let series = &request.series;
    if series.is_empty() {
        return Err(Failure::Wrong("series is empty; send one at least".to_owned()));
    }
    Failure::unless_within(series.len(), limits.max_series, "series", "max_series")?;
    let samples = series.iter().map(|series| series.samples.len()).sum();
    Failure::unless_within(samples, limits.max_samples, "samples", "max_samples")?;
    let rule = request.rule.rule()?;
    let scored = series.iter().enumerate().map(|(at, series)| {
        let labels = series.labels.clone();
        if series.samples.is_empty() {
            return Err(Failure::Wrong(format!("series[{at}].samples is empty; send one at least")));
        }
        Failure::unless_within(labels.len(), MOST_LABELS, "labels of a series", "a series' bound")?;
        let samples = score(model, &rule, &series.labels, &series.samples)
            .map_err(|wrong| Failure::Wrong(format!("series[{at}]{wrong}")))?;
        Ok(ScoredSeries { labels, samples })
    });
    Ok(ScoreAnswer { model_version: model.version.clone(), series: scored.collect::<Result<_, _>>()? })
}

/// What is said of each sample of a series.
///
/// # Errors
///
/// What is wrong, to be written behind the place of the series.
pub(super) fn score(
    model: &Arc<Model>,
    rule: &RawRule,
    labels: &BTreeMap<String, String>,
    samples: &[TimedValue],
) -> Result<Vec<ScoredSample>, String> {
    if labels.keys().any(String::is_empty) {
        return Err(".labels: a label has no name".to_owned());
    }
    let series: Series = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut corridor =
        Corridor::new(Arc::clone(model), rule.clone(), &series).map_err(|wrong| format!(": {wrong}"))?;
    let (mut before, mut warm_up, mut scored) = (None, true, Vec::with_capacity(samples.len()));
    for (at, TimedValue(timestamp, value)) in samples.iter().enumerate() {
        let place = format_args!(".samples[{at}]").to_string();
        let timestamp_ms = milliseconds(*timestamp)
            .ok_or_else(|| format!("{place}: {timestamp} is no time in Unix seconds, 0 to {LATEST_S}"))?;
        if before.replace(timestamp_ms).is_some_and(|before| before >= timestamp_ms) {
            return Err(format!(
                "{place}: {timestamp} is not later than the sample before it; send them in order"
            ));
        }
        if !value.is_finite() {
            return Err(format!("{place}: {value} is no number; leave the sample out"));
        }
        let heard = corridor.hear(Sample { timestamp_ms, value: *value });
        warm_up = warm_up && corridor.is_warming_up();
        scored.push(ScoredSample::new(*timestamp, &heard.unwrap_or(corridor.last()), warm_up));
    }
    Ok(scored)
}

/// A time in Unix seconds as milliseconds, if it can be one.
pub(super) fn milliseconds(seconds: f64) -> Option<i64> {
    (0.0..=LATEST_S).contains(&seconds).then(|| (seconds * 1e3).round() as i64)
}

// === impl ScoredSample ===

impl ScoredSample {
    fn new(timestamp: f64, said: &Said, warm_up: bool) -> Self {
        Self {
            timestamp,
            score: said.score,
            is_anomaly: said.score >= 1.0,
            yhat: finite(said.expected),
            yhat_lower: finite(said.lower),
            yhat_upper: finite(said.upper),
            warm_up,
        }
    }
}

// === impl TimedValue ===

impl JsonSchema for TimedValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimedValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "[timestamp, value]: Unix seconds, of which milliseconds count, and a number.",
            "type": "array",
            "prefixItems": [{ "type": "number", "minimum": 0, "maximum": LATEST_S }, { "type": "number" }],
            "items": false,
            "minItems": 2,
            "maxItems": 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn answer_to(request: Value) -> Result<ScoreAnswer, Failure> {
        let limits = Serving { max_series: 2, max_samples: 500, ..Serving::default() };
        let request = super::super::read(request.to_string().as_bytes())?;
        answer(&Arc::new(Model::builtin()), &limits, &request)
    }

    /// A series with a jump at its end.
    fn samples(count: i64) -> Vec<(i64, f64)> {
        let value = |at: i64| if at == count - 1 { 500.0 } else { 10.0 + (at * 7919 % 13) as f64 };
        (0..count).map(|at| (1_700_000_000 + at * 60, value(at))).collect()
    }

    #[test]
    fn each_sample_is_told_as_the_corridor_scores_it() {
        let answer = answer_to(json!({ "series": [{ "samples": samples(200) }] })).unwrap();
        let (rule, series) = (RawRule::default(), Series::default());
        let mut corridor = Corridor::new(Model::builtin(), rule, &series).unwrap();
        for ((at, value), told) in samples(200).into_iter().zip(&answer.series[0].samples) {
            let said = corridor.hear(Sample { timestamp_ms: at * 1_000, value }).unwrap();
            assert_eq!((told.score, told.yhat), (said.score, finite(said.expected)));
        }
        let (jump, before) = answer.series[0].samples.split_last().unwrap();
        assert!(jump.is_anomaly && jump.yhat_upper < Some(500.0), "{jump:?}");
        assert!(before.iter().all(|told| !told.is_anomaly));
        let warm = before.iter().position(|told| !told.warm_up);
        assert_eq!((warm, before.iter().filter(|told| told.warm_up).count()), (Some(16), 16));
        assert_eq!(before[0].yhat, None);
    }

    #[test]
    fn a_rule_says_how_it_is_judged() {
        let told = |rule: Value| {
            let series = json!([{ "samples": [[0, 1.0], [60, 200.0]] }]);
            answer_to(json!({ "series": series, "rule": rule })).unwrap().series[0].samples[1]
        };
        assert_eq!(told(json!({})).score, 0.0);
        let outside = told(json!({ "data_range": [0, 100] }));
        assert!(outside.score == 1.01 && outside.is_anomaly && outside.warm_up, "{outside:?}");
        let rises = told(json!({ "detection_direction": "above_expected" }));
        assert!(rises.yhat_lower.is_none() && rises.yhat_upper.is_some(), "{rises:?}");
    }

    #[test]
    fn what_cannot_be_scored_is_named() {
        let wrong = |request: Value| answer_to(request).unwrap_err().to_string();
        let of = |samples: Value| wrong(json!({ "series": [{ "samples": samples }] }));
        assert!(of(json!([[60, 1], [60, 2]])).starts_with("series[0].samples[1]: 60 is not later"));
        assert!(of(json!([[1_700_000_000_000_i64, 1]])).contains("is no time in Unix seconds"));
        assert!(of(json!([])).contains("series[0].samples is empty"));
        assert!(of(json!([[1]])).contains("length 1"), "{}", of(json!([[1]])));
        assert!(wrong(json!({ "series": [] })).contains("series is empty"));
        assert!(wrong(json!({ "samples": [] })).contains("unknown field `samples`"));
        let own = json!({ "series": [{ "labels": { "__name__": "anomaly_score" }, "samples": [[1, 1]] }] });
        assert!(wrong(own).contains("is what Sidelong itself says"));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let one = json!({ "samples": samples(251) });
        let error = answer_to(json!({ "series": [one, one] })).unwrap_err();
        assert!(matches!(error, Failure::TooMany { what: "samples", found: 502, .. }), "{error}");
        let error = answer_to(json!({ "series": [one, one, one] })).unwrap_err();
        assert!(matches!(error, Failure::TooMany { what: "series", found: 3, .. }), "{error}");
    }
}
