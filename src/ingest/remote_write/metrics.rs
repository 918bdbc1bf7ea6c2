//! What came through the push door, and what became of it.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::label_values::label_values;
use crate::pipeline::{Reason, Tally};
use crate::signals::absence::Cause;

/// Counters of the push door and of the corridor behind both doors.
#[derive(Debug)]
pub struct PushMetrics {
    requests: Family<Code, Counter>,
    refused: [Counter; Refused::ALL.len()],
    refused_family: Family<Why, Counter>,
    pub(super) body_bytes: Gauge,
    in_flight: Gauge,
    pub(super) received_bytes: Counter,
    pub(super) forwarded_bytes: Counter,
    pub(super) samples: Counter,
    scored: Counter,
    anomalous: Counter,
    alerts: Counter,
    scored_seconds: Counter<f64, AtomicU64>,
    /// The same, each series by the alerts a week that its rule allows.
    allowed_seconds: Counter<f64, AtomicU64>,
    alert_rate: Gauge<f64, AtomicU64>,
    alert_budget: Gauge<f64, AtomicU64>,
    unselected: Counter,
    stale: Counter,
    late: Counter,
    groups_refused: Counter,
    inherited: Counter,
    absences: [Counter; Cause::ALL.len()],
    absences_family: Family<Why, Counter>,
    unscored: [Counter; Reason::ALL.len()],
    unscored_family: Family<Why, Counter>,
    pub(super) hashed: Counter,
    pub(super) altered: Counter,
    pub(super) turn: AtomicU64,
}

/// A request that is worked on.
#[derive(Debug)]
pub(super) struct Seated<'a>(&'a Gauge);

/// Seconds of a week.
const WEEK_S: f64 = 604_800.0;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

label_values! {
    /// The class of a status: the status itself is the downstream's and may be anything.
    enum Class {
        Success = "2xx",
        Redirection = "3xx",
        TooManyRequests = "429",
        Refused = "4xx",
        Failed = "5xx",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: Class,
}

label_values! {
    /// Why a write request was refused.
    pub(super) enum Refused {
        /// Another method or media type.
        NoWriteRequest = "no_write_request",
        /// Larger than allowed, or than is decoded.
        TooLarge = "too_large",
        /// Its body came too slowly.
        TooSlow = "too_slow",
        /// Its body gave way: `limits.max_body_bytes_in_flight`.
        BodyBytes = "body_bytes",
        /// Its body was cut short.
        Broken = "broken",
        /// No snappy; in loop-back mode, no write request either.
        Undecodable = "undecodable",
        /// No seat: `limits.max_requests_in_flight`.
        RequestsInFlight = "requests_in_flight",
        /// It has been here already.
        Loop = "loop",
        /// The downstream gave no answer.
        Downstream = "downstream",
    }
}

// === impl Seated ===

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl PushMetrics ===

impl Default for PushMetrics {
    fn default() -> Self {
        let unscored_family = Family::<Why, Counter>::default();
        let unscored =
            Reason::ALL.map(|reason| unscored_family.get_or_create(&Why { reason: reason.as_str() }).clone());
        let refused_family = Family::<Why, Counter>::default();
        let refused =
            Refused::ALL.map(|reason| refused_family.get_or_create(&Why { reason: reason.as_str() }).clone());
        let absences_family = Family::<Why, Counter>::default();
        let absences =
            Cause::ALL.map(|cause| absences_family.get_or_create(&Why { reason: cause.as_str() }).clone());
        let requests = Family::default();
        Class::ALL.into_iter().for_each(|code| drop(requests.get_or_create(&Code { code })));
        Self {
            requests,
            refused,
            refused_family,
            body_bytes: Gauge::default(),
            in_flight: Gauge::default(),
            received_bytes: Counter::default(),
            forwarded_bytes: Counter::default(),
            samples: Counter::default(),
            scored: Counter::default(),
            anomalous: Counter::default(),
            alerts: Counter::default(),
            scored_seconds: Counter::default(),
            allowed_seconds: Counter::default(),
            alert_rate: Gauge::default(),
            alert_budget: Gauge::default(),
            unselected: Counter::default(),
            stale: Counter::default(),
            late: Counter::default(),
            groups_refused: Counter::default(),
            inherited: Counter::default(),
            absences,
            absences_family,
            unscored,
            unscored_family,
            hashed: Counter::default(),
            altered: Counter::default(),
            turn: AtomicU64::new(0),
        }
    }
}

impl PushMetrics {
    /// Counts a request as worked on until what is given is dropped.
    pub(super) fn seated(&self) -> Seated<'_> {
        self.in_flight.inc();
        Seated(&self.in_flight)
    }

    /// Adds what came of one batch.
    pub fn add(&self, tally: &Tally) {
        self.scored.inc_by(tally.scored);
        self.anomalous.inc_by(tally.anomalous);
        self.alerts.inc_by(tally.alerts);
        let (more, allowed) = (tally.scored_ms as f64 / 1e3, tally.allowed_ms as f64 / 1e3);
        let seconds = more + self.scored_seconds.inc_by(more);
        let allowed = allowed + self.allowed_seconds.inc_by(allowed);
        if tally.scored_ms > 0 {
            self.alert_rate.set(self.alerts.get() as f64 * WEEK_S / seconds);
            self.alert_budget.set(allowed / seconds);
        }
        self.unselected.inc_by(tally.unselected);
        self.stale.inc_by(tally.stale);
        self.late.inc_by(tally.late);
        self.groups_refused.inc_by(tally.groups_refused);
        self.inherited.inc_by(tally.inherited);
        for (counter, count) in self.absences.iter().zip(tally.absences).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
        for (counter, reason) in self.unscored.iter().zip(Reason::ALL) {
            let count = tally.unscored_for(reason);
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// Counts a whole batch that passed unscored.
    pub fn unscored(&self, reason: Reason) {
        self.unscored[reason as usize].inc();
    }

    pub(super) fn answered(&self, status: http::StatusCode) {
        let code = match status.as_u16() {
            200..300 => Class::Success,
            300..400 => Class::Redirection,
            429 => Class::TooManyRequests,
            400..500 => Class::Refused,
            _ => Class::Failed,
        };
        self.requests.get_or_create(&Code { code }).inc();
    }

    pub(super) fn refused(&self, reason: Refused) {
        self.refused[reason as usize].inc();
    }

    /// Whether this request is the one in a thousand whose bytes are compared.
    pub(super) fn is_hashed(&self) -> bool {
        self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(1_000)
    }

    /// Adds the counters to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sidelong_write_requests",
            "Write requests answered, by class of status",
            self.requests.clone(),
        );
        registry.register(
            "sidelong_write_refused",
            "Write requests that got no answer of the downstream's, by reason",
            self.refused_family.clone(),
        );
        registry.register(
            "sidelong_body_bytes_in_flight",
            "Bytes of write requests held; bounded by limits.max_body_bytes_in_flight",
            self.body_bytes.clone(),
        );
        registry.register(
            "sidelong_requests_in_flight",
            "Write requests that are worked on; bounded by limits.max_requests_in_flight",
            self.in_flight.clone(),
        );
        registry.register(
            "sidelong_write_received_bytes",
            "Bytes of the bodies of write requests, compressed as they came",
            self.received_bytes.clone(),
        );
        registry.register(
            "sidelong_write_forwarded_bytes",
            "Of them, those that the downstream has answered",
            self.forwarded_bytes.clone(),
        );
        registry.register(
            "sidelong_write_samples",
            "Samples of the write requests that were decoded for scoring",
            self.samples.clone(),
        );
        registry.register("sidelong_samples_scored", "Samples that were given a score", self.scored.clone());
        registry.register(
            "sidelong_samples_anomalous",
            "Samples that were given a score of at least 1",
            self.anomalous.clone(),
        );
        registry.register(
            "sidelong_alerts",
            "How often the score of a series rose to 1 or more",
            self.alerts.clone(),
        );
        registry.register(
            "sidelong_scored_series_seconds",
            "The time that was scored, summed over all series; gaps count up to an hour",
            self.scored_seconds.clone(),
        );
        registry.register(
            "sidelong_alerts_per_series_week",
            "Alerts a series and week since the start; a score of 1 is meant to be as rare as sidelong_alert_budget_per_series_week",
            self.alert_rate.clone(),
        );
        registry.register(
            "sidelong_alert_budget_per_series_week",
            "False alerts a series and week that the rules allow, on average over the time that was scored",
            self.alert_budget.clone(),
        );
        registry.register(
            "sidelong_signal_samples_late",
            "Samples that came after the step of their group was closed; see signals.watermark",
            self.late.clone(),
        );
        registry.register(
            "sidelong_signal_groups_refused",
            "Times that a series found no room in a group (signals.max_groups, max_series of an entry), or among those whose absence is told (64 replicas)",
            self.groups_refused.clone(),
        );
        registry.register(
            "sidelong_samples_unselected",
            "Samples of series that no rule selects",
            self.unselected.clone(),
        );
        registry.register(
            "sidelong_stale_markers",
            "Stale markers sent for score series",
            self.stale.clone(),
        );
        registry.register(
            "sidelong_inherited_states",
            "Series that went on with what another one had learned (identity_without, scores.ha_replica_label)",
            self.inherited.clone(),
        );
        registry.register(
            "sidelong_absences",
            "Series that became absent against their habit, by how they stopped",
            self.absences_family.clone(),
        );
        registry.register(
            "sidelong_unscored",
            "What passed without a score: whole batches for limit, undecodable, tenant_limit and overload, samples else",
            self.unscored_family.clone(),
        );
        registry.register(
            "sidelong_batches_hashed",
            "Batches whose bytes were compared on the way in and on the way out, one in a thousand",
            self.hashed.clone(),
        );
        registry.register(
            "sidelong_batches_altered",
            "Compared batches whose bytes differed; must be 0",
            self.altered.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_a_week_stand_beside_those_that_the_rules_allow() {
        let metrics = PushMetrics::default();
        let week_ms = 7 * 86_400_000;
        for (alerts, allowed_ms) in [(3, week_ms), (1, 7 * week_ms)] {
            let mut tally = Tally::default();
            (tally.alerts, tally.scored_ms, tally.allowed_ms) = (alerts, week_ms, allowed_ms);
            metrics.add(&tally);
        }
        assert_eq!((metrics.alert_rate.get(), metrics.alert_budget.get()), (2.0, 4.0));
    }
}
