//! Scores into a Prometheus, by remote write 1.0.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::sleep;

use super::{Said, Series};
use crate::batch::Sample;
use crate::forward::{Answer, Downstream, DownstreamError, Version};
use crate::inject::{Injected, Names, TemplateError};
use crate::series::labels::{Interner, METRIC_NAME, Pair, SeriesLabels};
use crate::wire::remote_write::{ScoreBlock, Tape};

/// Collects scores and writes them in requests of bounded size, each when it is full.
#[derive(Debug)]
pub struct ScoreWriter {
    downstream: Downstream,
    headers: HeaderMap,
    names: Names,
    interner: Interner,
    with_values: bool,
    tape: Tape,
    block: ScoreBlock,
    written: u64,
}

/// The series that are written of one series.
#[derive(Debug)]
pub struct Written {
    scores: Arc<SeriesLabels>,
    value: Option<(Arc<SeriesLabels>, &'static Pair)>,
}

/// Why scores could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Names that cannot be.
    #[error("the names of the scores are wrong")]
    Names(#[from] TemplateError),
    /// A series without a metric name, which its scores would stand for.
    #[error("{0} has no metric name that its scores could stand for; give it one with --series")]
    Nameless(Series),
    /// The receiver was not reached, time and again.
    #[error("the receiver did not take the scores")]
    Unreached(#[from] DownstreamError),
    /// The receiver refused.
    #[error("the receiver answered {status}: {reason}{}", hint(.reason))]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says.
        reason: String,
    },
}

/// Samples of one request.
const REQUEST: usize = 5_000;
/// How often a request is sent that may get through the next time.
const TRIES: u32 = 6;
/// The first pause before another try; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);
/// No pause that a receiver asks for is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

// === impl ScoreWriter ===

impl ScoreWriter {
    /// Writes to `downstream`, with `headers` on every request; the samples as well where `with_values` is set.
    ///
    /// # Errors
    ///
    /// None that depends on what is given.
    pub fn new(
        downstream: Downstream,
        mut headers: HeaderMap,
        with_values: bool,
    ) -> Result<Self, WriteError> {
        headers.insert(CONTENT_TYPE, Version::V1.content_type());
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sidelong/", env!("CARGO_PKG_VERSION"))));
        let version = HeaderName::from_static("x-prometheus-remote-write-version");
        headers.insert(version, Version::V1.number());
        let interner = Interner::default();
        let names = Names::new("$VAR", &interner)?;
        let block = ScoreBlock::with_capacity(REQUEST);
        let tape = Tape::default();
        Ok(Self { downstream, headers, names, interner, with_values, tape, block, written: 0 })
    }

    /// The series that are written of `series`.
    ///
    /// # Errors
    ///
    /// A series without a metric name.
    pub fn series(&self, series: &Series) -> Result<Written, WriteError> {
        if series.metric_name().is_empty() {
            return Err(WriteError::Nameless(series.clone()));
        }
        let labels: Vec<(&str, &str)> = series.labels().collect();
        let scores = Arc::new(SeriesLabels::of_scored(&labels, &self.interner));
        let value = self.with_values.then(|| {
            let rest: Vec<_> = labels.iter().copied().filter(|(name, _)| *name != METRIC_NAME).collect();
            let name = self.interner.lasting_pair(METRIC_NAME, series.metric_name());
            (Arc::new(SeriesLabels::of_itself(&rest, &self.interner)), name)
        });
        Ok(Written { scores, value })
    }

    /// Adds a sample and what was said of it; whether it is time to [send](Self::send).
    pub fn push(&mut self, series: &Written, sample: Sample, said: &Said) -> bool {
        let Sample { timestamp_ms, .. } = sample;
        if let Some((labels, name)) = &series.value {
            self.block.push(&mut self.tape, labels, name, sample);
        }
        let outputs = [
            (Injected::AnomalyScore, said.score),
            (Injected::Yhat, said.expected),
            (Injected::YhatLower, said.lower),
            (Injected::YhatUpper, said.upper),
        ];
        // A forecast that does not exist yet is not written.
        for (output, value) in outputs.into_iter().filter(|(_, value)| !value.is_nan()) {
            let sample = Sample { timestamp_ms, value };
            self.block.push(&mut self.tape, &series.scores, self.names.of(output), sample);
        }
        self.block.len() >= REQUEST
    }

    /// Writes what was added; tries again where that may help.
    ///
    /// # Errors
    ///
    /// A receiver that refuses, or cannot be reached.
    pub async fn send(&mut self) -> Result<(), WriteError> {
        let samples = self.block.len() as u64;
        if samples == 0 {
            return Ok(());
        }
        let body = self.block.finish();
        let mut pause = PAUSE;
        for try_number in 1.. {
            let outcome = self.downstream.post(self.headers.clone(), body.clone()).await;
            let is_last = try_number == TRIES;
            match outcome {
                Ok(answer) if answer.status.is_success() => break,
                Ok(answer) if is_last || !may_pass(answer.status) => return Err(refused(&answer)),
                Err(error) if is_last => return Err(error.into()),
                Ok(answer) => sleep(asked_for(&answer).unwrap_or(pause).min(LONGEST_PAUSE)).await,
                Err(_) => sleep(pause).await,
            }
            pause *= 2;
        }
        self.written += samples;
        Ok(())
    }

    /// Samples that the receiver took, those of scores and of values.
    pub fn written(&self) -> u64 {
        self.written
    }
}

/// Whether the same request may be taken another time.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// The pause that the receiver asks for, in seconds.
fn asked_for(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

fn refused(answer: &Answer) -> WriteError {
    let reason = String::from_utf8_lossy(&answer.body).trim().chars().take(300).collect();
    WriteError::Refused { status: answer.status, reason }
}

/// What a Prometheus needs that refuses the past.
fn hint(reason: &str) -> &'static str {
    let past = ["out of bounds", "out of order", "too old", "too far in the past"];
    if past.iter().any(|words| reason.contains(words)) {
        " (a Prometheus takes samples of the past within storage.tsdb.out_of_order_time_window)"
    } else {
        ""
    }
}
