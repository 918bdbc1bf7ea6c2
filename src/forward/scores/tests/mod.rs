//! The way of scores, with the clock stopped: time moves when nothing else does, so that what leaves when is
//! known to the millisecond and no test waits.

mod order;
mod pace;
mod queue;
mod retry;
mod size;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::{LaneKey, Route, ScoreForwarder, ScoreMetrics};
use crate::batch::Sample;
use crate::config::sections::{self, Protocol};
use crate::forward::Downstream;
use crate::forward::testing::{Reply, Script, Seen};
use crate::inject::{Emit, Injected, Names, ScoreSample};
use crate::series::labels::{Interner, Pair, SeriesLabels};
use crate::wire::compression::{Buffer, Cap, decompress_snappy};
use crate::wire::generated::io::prometheus::write::v2;
use crate::wire::generated::prometheus::WriteRequest;
use crate::wire::remote_write::Tape;

/// A forwarder before a downstream that does what it is told.
struct World {
    script: Script,
    forwarder: ScoreForwarder,
    metrics: Arc<ScoreMetrics>,
    stop: CancellationToken,
    interner: Interner,
    name: &'static Pair,
}

// === impl World ===

impl World {
    /// A downstream of version 1.0 that answers by `say`, and the default configuration.
    fn new(say: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::with(say, Protocol::V1, sections::Scores::default())
    }

    fn with(
        say: impl FnMut(&Seen) -> Reply + Send + 'static,
        protocol: Protocol,
        config: sections::Scores,
    ) -> Self {
        let (script, metrics, stop) = (Script::new(say), Arc::default(), CancellationToken::new());
        let route = route("http://downstream/", &script, protocol, config);
        let forwarder = ScoreForwarder::new(route, Arc::clone(&metrics), stop.clone());
        let interner = Interner::default();
        let name = Names::new("$VAR", &interner).expect("a template").of(Injected::AnomalyScore);
        Self { script, forwarder, metrics, stop, interner, name }
    }

    /// One score of each series called so, at `timestamp`.
    fn scores(&self, series: &[&str], timestamp: i64) -> Vec<ScoreSample> {
        let score = |series: &&str| ScoreSample {
            labels: Arc::new(SeriesLabels::of_scored(&[("__name__", series), ("job", "it")], &self.interner)),
            name: self.name,
            sample: Sample { timestamp_ms: timestamp, value: 0.5 },
        };
        series.iter().map(score).collect()
    }

    /// Sends one score of each series for `tenant`, as what came of one request.
    fn send(&self, tenant: &'static str, series: &[&str], timestamp: i64) {
        self.give(tenant, &self.scores(series, timestamp), false);
    }

    /// The same with a score of 1 among them.
    fn send_urgent(&self, tenant: &'static str, series: &[&str], timestamp: i64) {
        self.give(tenant, &self.scores(series, timestamp), true);
    }

    /// `count` scores of one series, each a millisecond younger than the one before.
    fn send_many(&self, tenant: &'static str, series: &str, from: i64, count: i64) {
        let scores: Vec<_> = (from..from + count).flat_map(|at| self.scores(&[series], at)).collect();
        self.give(tenant, &scores, false);
    }

    fn give(&self, tenant: &'static str, scores: &[ScoreSample], urgent: bool) {
        let key = key(tenant);
        let mut outbox = self.forwarder.outbox(&key, scores.len(), Tape::default());
        for score in scores {
            outbox.emit(&score.labels, score.name, score.sample);
        }
        if urgent {
            outbox.urgent();
        }
        self.forwarder.send(&key, outbox);
    }

    /// Waits until so many scores have met a fate.
    async fn settled(&self, scores: u64) {
        let all = |metrics: &ScoreMetrics| {
            let dropped = [
                &metrics.queue_full,
                &metrics.too_old,
                &metrics.refused,
                &metrics.too_large,
                &metrics.shutdown,
            ];
            metrics.sent.get() + dropped.iter().map(|fate| fate.get()).sum::<u64>()
        };
        while all(&self.metrics) < scores {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The way to a receiver at `url` that `script` plays.
fn route(url: &str, script: &Script, protocol: Protocol, scores: sections::Scores) -> Route {
    let mut receiver = sections::Downstream::at(url.parse().expect("a URL"));
    receiver.protocol = protocol;
    let downstream = Downstream::scripted(&receiver, script.clone());
    Route { scores, receiver, downstream, tenant_header: http::HeaderName::from_static("x-scope-orgid") }
}

fn key(tenant: &'static str) -> LaneKey {
    LaneKey { tenant: Some(HeaderValue::from_static(tenant)), ..LaneKey::default() }
}

/// The scores of a request: which series they judge, and when.
fn points(seen: &Seen) -> Vec<(String, i64)> {
    let mut raw = Buffer::new();
    decompress_snappy(&seen.body, Cap::default(), &mut raw).expect("snappy");
    if seen.header("content-type").contains("write.v2.Request") {
        return points_v2(&v2::Request::decode(&*raw).expect("a 2.0 request"));
    }
    let request = WriteRequest::decode(&*raw).expect("a 1.0 request");
    let judged = |labels: &[crate::wire::generated::prometheus::Label]| {
        labels.iter().find(|label| label.name == "for").expect("a label for").value.clone()
    };
    let of_series = |series: &crate::wire::generated::prometheus::TimeSeries| {
        let name = judged(&series.labels);
        series.samples.iter().map(|sample| (name.clone(), sample.timestamp)).collect::<Vec<_>>()
    };
    request.timeseries.iter().flat_map(of_series).collect()
}

fn points_v2(request: &v2::Request) -> Vec<(String, i64)> {
    let text = |reference: u32| request.symbols[reference as usize].as_str();
    let of_series = |series: &v2::TimeSeries| {
        let name = series.labels_refs.chunks(2).find(|pair| text(pair[0]) == "for").expect("a label for");
        let name = text(name[1]).to_owned();
        series.samples.iter().map(|sample| (name.clone(), sample.timestamp)).collect::<Vec<_>>()
    };
    request.timeseries.iter().flat_map(of_series).collect()
}

/// A 2.0 receiver's yes.
fn written() -> Reply {
    Reply::status(204).with("x-prometheus-remote-write-samples-written", "1")
}

fn all_points(seen: &[Seen]) -> Vec<(String, i64)> {
    seen.iter().flat_map(points).collect()
}
