//! What became of the scores.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the score forwarder.
#[derive(Debug)]
pub struct ScoreMetrics {
    pub(super) sent: Counter,
    pub(super) requests: Counter,
    pub(super) retries: Counter,
    pub(super) lanes: Gauge,
    pub(super) queued_bytes: Gauge,
    pub(super) yielded: Counter,
    pub(super) queue_full: Counter,
    pub(super) too_old: Counter,
    pub(super) refused: Counter,
    pub(super) too_large: Counter,
    pub(super) no_lane: Counter,
    pub(super) shutdown: Counter,
    dropped: Family<Why, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

impl Default for ScoreMetrics {
    fn default() -> Self {
        let dropped = Family::<Why, Counter>::default();
        let because = |reason| dropped.get_or_create(&Why { reason }).clone();
        Self {
            sent: Counter::default(),
            requests: Counter::default(),
            retries: Counter::default(),
            lanes: Gauge::default(),
            queued_bytes: Gauge::default(),
            yielded: because("yielded"),
            queue_full: because("queue_full"),
            too_old: because("too_old"),
            refused: because("refused"),
            too_large: because("too_large"),
            no_lane: because("lane_limit"),
            shutdown: because("shutdown"),
            dropped,
        }
    }
}

impl ScoreMetrics {
    /// Adds the counters to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sidelong_scores_sent",
            "Score samples that the downstream has confirmed",
            self.sent.clone(),
        );
        registry.register(
            "sidelong_score_requests",
            "Score requests sent, repeated ones included",
            self.requests.clone(),
        );
        registry.register(
            "sidelong_score_retries",
            "Score requests that were repeated",
            self.retries.clone(),
        );
        registry.register(
            "sidelong_score_lanes",
            "Combinations of tenant, credentials and replica with a queue of scores; bounded by scores.max_lanes",
            self.lanes.clone(),
        );
        registry.register(
            "sidelong_score_queue_bytes",
            "Bytes of scores that wait for the downstream, over all lanes; bounded by scores.max_queue_size",
            self.queued_bytes.clone(),
        );
        registry.register(
            "sidelong_scores_dropped",
            "Score samples that never reached the downstream, by reason",
            self.dropped.clone(),
        );
    }
}
