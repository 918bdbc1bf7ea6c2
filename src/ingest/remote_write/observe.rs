//! Has a write request scored, on a scorer thread, after it was accepted.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::PushMetrics;
use crate::batch::LabelSource;
use crate::config::sections::Limits;
use crate::forward::Version;
use crate::forward::scores::{LaneKey, Outbox, ScoreForwarder};
use crate::ingest::tenant::scope_name;
use crate::ingest::{Desk, Scorers, kept};
use crate::inject::{Emit, Keep};
use crate::pipeline::{Pipeline, Reason, Tally, Visit, Wiring};
use crate::series::{Scope, Spelling};
use crate::wire::compression::{Cap, decompress_snappy};
use crate::wire::remote_write::{Tape, receive, v1, v2};

/// Scores accepted requests.
#[derive(Clone, Debug)]
pub struct Observer {
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    pipeline: Arc<Pipeline>,
    scorers: Arc<Scorers>,
    limits: Limits,
    /// Where scores go; nowhere in loop-back mode, where they are read at `/scores`.
    forwarder: Option<ScoreForwarder>,
    ha_labels: Vec<String>,
    metrics: Arc<PushMetrics>,
    clock: fn() -> i64,
    /// Who keeps what the corridor has heard.
    keep: Option<Arc<dyn Keep>>,
}

/// A request that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) version: Version,
    pub(super) body: Bytes,
    pub(super) tenant: Option<HeaderValue>,
    pub(super) authorization: Option<HeaderValue>,
    /// Some of it was refused.
    pub(super) partial: bool,
}

/// Scores that nobody waits for.
struct Unsent;

// === impl Observer ===

impl Observer {
    /// Scores through `pipeline` on `scorers`, and sends scores by `forwarder`. `clock` gives milliseconds
    /// since the epoch.
    pub fn new(
        pipeline: Arc<Pipeline>,
        scorers: Arc<Scorers>,
        limits: Limits,
        forwarder: Option<ScoreForwarder>,
        ha_labels: Vec<String>,
        metrics: Arc<PushMetrics>,
        clock: fn() -> i64,
    ) -> Self {
        let keep = None;
        let shared = Shared { pipeline, scorers, limits, forwarder, ha_labels, metrics, clock, keep };
        Self { shared: Arc::new(shared) }
    }

    /// The same where `keep` is handed what the corridor has heard.
    #[must_use]
    pub fn kept_by(self, keep: Option<Arc<dyn Keep>>) -> Self {
        let shared = Shared { keep, ..(*self.shared).clone() };
        Self { shared: Arc::new(shared) }
    }

    /// Hands `accepted` to its scorer. Costs the sender nothing but this call, unless the scorer is far
    /// behind: then it waits for room, no longer than `limits.scorer_patience`.
    pub(super) async fn observe(&self, accepted: Accepted) {
        let shared = &self.shared;
        if shared.pipeline.settings().select_nothing() {
            return; // nothing can be selected, so nothing needs to be understood
        }
        let name = scope_name(accepted.tenant.as_ref());
        let Some(scope) = shared.pipeline.scope(&name, (shared.clock)()) else {
            return shared.metrics.unscored(Reason::TenantLimit);
        };
        let (work, home) = (Arc::clone(shared), Arc::clone(&scope));
        let bytes = accepted.body.len();
        let job = move |desk: &mut Desk| work.score(&home, &accepted, desk);
        if shared.scorers.submit(&scope, bytes, job).await.is_err() {
            shared.metrics.unscored(Reason::Overload);
        }
    }

    /// The downstream refused samples for a limit.
    pub(super) fn give_way(
        &self,
        tenant: Option<HeaderValue>,
        headers: &HeaderMap,
        status: http::StatusCode,
        body: &[u8],
    ) {
        let limited = crate::forward::scores::limited(status, headers, body);
        if let (Some(retry_after), Some(forwarder)) = (limited, &self.shared.forwarder) {
            forwarder.yield_to_samples(&LaneKey { tenant, ..LaneKey::default() }, retry_after);
        }
    }

    /// The corridor that requests are scored in.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.shared.pipeline
    }
}

// === impl Shared ===

impl Shared {
    fn score(&self, scope: &Arc<Scope>, accepted: &Accepted, desk: &mut Desk) {
        match self.decode(scope, accepted, desk) {
            Ok(()) => {
                self.metrics.samples.inc_by(desk.batch.samples.len() as u64);
                self.metrics.add(&self.walk(scope, accepted, desk));
            }
            Err(reason) => self.metrics.unscored(reason),
        }
    }

    /// Fills the desk's batch from the body.
    fn decode(&self, scope: &Scope, accepted: &Accepted, desk: &mut Desk) -> Result<(), Reason> {
        let limits = &self.limits;
        let cap = Cap { bytes: limits.max_decoded_size.as_usize(), ratio: limits.max_decoded_ratio as usize };
        decompress_snappy(&accepted.body, cap, &mut desk.raw)
            .map_err(|error| if error.is_limit() { Reason::Limit } else { Reason::Undecodable })?;
        desk.batch.histograms.wanted = self.pipeline.settings().take_histograms();
        if accepted.partial && self.forwarder.is_none() {
            return self.decode_sound(scope, accepted.version, desk);
        }
        let decoded = match accepted.version {
            Version::V1 => v1::decode(
                &desk.raw,
                scope.seed(Spelling::RemoteWrite1),
                &limits.elements,
                Some(&mut desk.walked),
                &mut desk.batch,
            ),
            Version::V2 => v2::decode(
                &desk.raw,
                scope.seed(Spelling::RemoteWrite2),
                &limits.elements,
                &mut desk.symbols,
                &mut desk.batch,
            ),
        };
        decoded.map(drop).map_err(|error| if error.is_limit() { Reason::Limit } else { Reason::Undecodable })
    }

    /// Leaves those series in the batch that were taken: in loop-back mode it is known which.
    fn decode_sound(&self, scope: &Scope, version: Version, desk: &mut Desk) -> Result<(), Reason> {
        let limits = &self.limits;
        let latest_ms = (self.clock)().saturating_add(limits.max_future.as_millis() as i64);
        let Desk { raw, batch, symbols, .. } = desk;
        let received = match version {
            Version::V1 => {
                receive::v1(raw, scope.seed(Spelling::RemoteWrite1), &limits.elements, latest_ms, batch)
            }
            Version::V2 => {
                let seed = scope.seed(Spelling::RemoteWrite2);
                receive::v2(raw, seed, &limits.elements, latest_ms, symbols, batch)
            }
        };
        received.map(drop).map_err(|_| Reason::Undecodable)
    }

    /// Scores the desk's batch and sends what came of it.
    fn walk(&self, scope: &Arc<Scope>, accepted: &Accepted, desk: &mut Desk) -> Tally {
        let labels: &dyn LabelSource = match accepted.version {
            Version::V1 => &v1::Labels { raw: &desk.raw },
            Version::V2 => &v2::Labels { raw: &desk.raw, symbols: &desk.symbols },
        };
        let wiring = if self.forwarder.is_some() { Wiring::Gateway } else { Wiring::LoopBack };
        let visit = Visit { scope, batch: &desk.batch, labels, now_ms: (self.clock)(), wiring };
        match &self.forwarder {
            None => kept::score(&self.pipeline, &visit, &mut Unsent, self.keep.as_deref()),
            Some(forwarder) => self.send(forwarder, accepted, &visit, &mut desk.tape),
        }
    }

    fn send(
        &self,
        forwarder: &ScoreForwarder,
        accepted: &Accepted,
        visit: &Visit<'_>,
        tape: &mut Tape,
    ) -> Tally {
        tape.trim(self.pipeline.series().len());
        let key = LaneKey {
            tenant: accepted.tenant.clone(),
            authorization: accepted.authorization.clone(),
            replica: replica(visit, &self.ha_labels),
        };
        let mut outbox: Outbox = forwarder.outbox(&key, visit.batch.samples.len(), std::mem::take(tape));
        let tally = kept::score(&self.pipeline, visit, &mut outbox, self.keep.as_deref());
        *tape = outbox.take_tape();
        if tally.anomalous > 0 {
            outbox.urgent();
        }
        forwarder.send(&key, outbox);
        tally
    }
}

impl Emit for Unsent {
    fn emit(
        &mut self,
        _: &Arc<crate::series::labels::SeriesLabels>,
        _: &'static crate::series::labels::Pair,
        _: crate::batch::Sample,
    ) {
    }
}

/// The values of the replica labels of the batch's first series. A receiver that keeps one replica of a
/// highly available pair decides by a request's first series, so scores of two replicas never share one.
fn replica(visit: &Visit<'_>, ha_labels: &[String]) -> Box<str> {
    let mut text = String::new();
    if let Some(first) = visit.batch.series.first() {
        visit.labels.for_each_label(&first.labels, &mut |name, value| {
            if ha_labels.iter().any(|label| label.as_bytes() == name) {
                text.push_str(&String::from_utf8_lossy(name));
                text.push('=');
                text.push_str(&String::from_utf8_lossy(value));
                text.push('\n');
            }
        });
    }
    text.into()
}
