//! A range query to a Prometheus, window by window.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Api, ApiError, Row};
use crate::backtest::{Moment, Series};
use crate::batch::Sample;
use crate::config::sections::HttpUrl;
use crate::net::client::HttpClient;

/// Asks for one expression over a range, in windows that a Prometheus answers.
#[derive(Debug)]
pub struct RangeQuery {
    api: Api,
    range: Range,
    /// The first moment that was not asked for yet.
    next_ms: i64,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// A PromQL expression with an instant vector as its value.
    pub promql: String,
    /// The first moment; it is moved on to a multiple of the step, so that a range asked for later has the
    /// same moments.
    pub from: Moment,
    /// The last moment.
    pub to: Moment,
    /// Time from one moment to the next, at least a millisecond.
    pub step: Duration,
    /// Time that the answer to one window has.
    pub timeout: Duration,
}

/// The answer to one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// The series that have values in it.
    pub stretches: Vec<Stretch>,
    /// What the server has to remark.
    pub remarks: Vec<String>,
}

/// The rows of one series in one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Its labels.
    pub series: Series,
    /// Its values in order of time.
    pub rows: Vec<Row>,
}

/// Why a range cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// Nothing lies between the ends.
    #[error("the range from {from} to {to} holds no moment; --from must lie before --to")]
    Empty {
        /// The first moment.
        from: Moment,
        /// The last moment.
        to: Moment,
    },
    /// A server that does not answer, or refuses.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// An answer that is no matrix.
    #[error("the answer is not that of a Prometheus")]
    Malformed(#[from] serde_json::Error),
    /// A number that is none.
    #[error("the answer holds {0:?}, which is no number")]
    NoNumber(String),
    /// Native histograms, which have no one value.
    #[error(
        "{0} is a native histogram; ask for a number of it, such as histogram_quantile(0.99, rate(...[5m]))"
    )]
    Histogram(Series),
}

/// What Prometheus' HTTP API answers.
#[derive(Debug, Deserialize)]
struct Answer {
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Element>,
}

#[derive(Debug, Deserialize)]
struct Element {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    histograms: Option<IgnoredAny>,
}

/// Moments of one window: Prometheus answers no more than 11,000 for a series.
const WINDOW: i64 = 11_000;

// === impl RangeQuery ===

impl RangeQuery {
    /// Asks the Prometheus at `base`, the prefix of its API's paths, for `range`.
    ///
    /// # Errors
    ///
    /// A range without a moment in it.
    pub fn new(
        client: HttpClient,
        base: &HttpUrl,
        headers: HeaderMap,
        range: Range,
    ) -> Result<Self, RangeError> {
        let step = range.step_ms();
        let first = range.from.0.div_euclid(step) * step;
        let next_ms = if first < range.from.0 { first + step } else { first };
        if next_ms > range.to.0 {
            return Err(RangeError::Empty { from: range.from, to: range.to });
        }
        let api = Api::new(client, base.clone(), headers, range.timeout);
        Ok(Self { api, range, next_ms })
    }

    /// How many moments are still to be asked for.
    pub fn left(&self) -> u64 {
        let left = self.range.to.0 - self.next_ms;
        if left < 0 { 0 } else { left as u64 / self.range.step_ms() as u64 + 1 }
    }

    /// The next window; none when the range is at its end.
    ///
    /// # Errors
    ///
    /// A server that does not answer as a Prometheus does.
    pub async fn next(&mut self) -> Result<Option<Window>, RangeError> {
        let left = self.left() as i64;
        if left == 0 {
            return Ok(None);
        }
        let step = self.range.step_ms();
        let (start, end) = (self.next_ms, self.next_ms + (left.min(WINDOW) - 1) * step);
        let window = self.ask(start, end).await?;
        self.next_ms = end + step;
        Ok(Some(window))
    }

    async fn ask(&self, start_ms: i64, end_ms: i64) -> Result<Window, RangeError> {
        let seconds = |ms: i64| (ms as f64 / 1e3).to_string();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &self.range.promql)
            .append_pair("start", &seconds(start_ms))
            .append_pair("end", &seconds(end_ms))
            .append_pair("step", &seconds(self.range.step_ms()))
            .finish();
        let body = self.api.post("/api/v1/query_range", form).await?;
        window(serde_json::from_slice(&body)?)
    }
}

impl Range {
    fn step_ms(&self) -> i64 {
        i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

fn window(answer: Answer) -> Result<Window, RangeError> {
    let elements = answer.data.map(|data| data.result).unwrap_or_default();
    let stretches = elements.into_iter().map(stretch).collect::<Result<_, _>>()?;
    Ok(Window { stretches, remarks: [answer.warnings, answer.infos].concat() })
}

fn stretch(element: Element) -> Result<Stretch, RangeError> {
    let series: Series = element.metric.into_iter().collect();
    if element.histograms.is_some() {
        return Err(RangeError::Histogram(series));
    }
    Ok(Stretch { series, rows: element.values.into_iter().map(row).collect::<Result<_, _>>()? })
}

fn row((seconds, text): (f64, String)) -> Result<Row, RangeError> {
    let value = text.parse().map_err(|_| RangeError::NoNumber(text.clone()))?;
    let sample = Sample { timestamp_ms: (seconds * 1e3).round() as i64, value };
    Ok(Row { timestamp: seconds.to_string(), value: text, sample })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net::client::{ClientLimits, ClientMetrics, HttpClientConfig};

    fn query(from: i64, to: i64, step: u64) -> Result<RangeQuery, RangeError> {
        let metrics = Arc::<ClientMetrics>::default();
        let client = HttpClient::new(&HttpClientConfig::default(), ClientLimits::default(), metrics).unwrap();
        let range = Range {
            promql: "up".into(),
            from: Moment(from),
            to: Moment(to),
            step: Duration::from_millis(step),
            timeout: Duration::from_secs(1),
        };
        RangeQuery::new(client, &"http://h:9090/prometheus/".parse().unwrap(), HeaderMap::new(), range)
    }

    #[test]
    fn moments_are_multiples_of_the_step() {
        let asked = query(61_000, 240_000, 60_000).unwrap();
        assert_eq!((asked.next_ms, asked.left()), (120_000, 3));
        assert_eq!(asked.api.url("/api/v1/x").unwrap(), "http://h:9090/prometheus/api/v1/x");
        assert_eq!(query(-61_000, 0, 60_000).unwrap().next_ms, -60_000);
        assert!(matches!(query(61_000, 119_999, 60_000), Err(RangeError::Empty { .. })));
    }

    #[test]
    fn an_answer_is_rows_by_series() {
        let json = r#"{"status": "success", "warnings": ["w"], "data": {"resultType": "matrix", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "values": [[1500000000.123, "1"], [1500000060, "NaN"]]}]}}"#;
        let window = window(serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(window.remarks, ["w"]);
        let Stretch { series, rows } = &window.stretches[0];
        assert_eq!(series.to_string(), r#"up{job="a"}"#);
        assert_eq!(
            (rows[0].timestamp.as_str(), rows[0].sample.timestamp_ms),
            ("1500000000.123", 1_500_000_000_123)
        );
        assert!(rows[1].sample.value.is_nan() && rows[1].value == "NaN");
    }

    #[test]
    fn what_is_no_series_of_numbers_is_refused() {
        let json = r#"{"data": {"result": [{"metric": {"__name__": "h"}, "histograms": [[1, {}]]}]}}"#;
        let error = window(serde_json::from_str(json).unwrap()).unwrap_err();
        assert!(error.to_string().contains("h is a native histogram"), "{error}");
        assert!(matches!(row((1.0, "x".into())), Err(RangeError::NoNumber(_))));
    }
}
