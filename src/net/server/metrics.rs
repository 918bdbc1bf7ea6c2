//! What a listener counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters and gauges of one listener; register them under a label that names it.
#[derive(Clone, Debug, Default)]
pub struct ServerMetrics {
    pub(super) connections: Gauge,
    pub(super) connection_limit: Gauge,
    pub(super) accepted: Counter,
    pub(super) accept_errors: Counter,
    closed: Family<ClosedLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
}

/// Why we ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Closed {
    FirstByteTimeout,
    HeaderTimeout,
    IdleTimeout,
    WriteTimeout,
    Evicted,
    Shed,
    FileLimit,
    Tls,
    Drained,
    Cut,
}

/// Why we refused a request before any door saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Refused {
    Framing,
    Path,
    UriLength,
    Unauthorized,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    reason: Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: Refused,
}

impl ServerMetrics {
    /// Makes the metrics of this listener visible.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sidelong_connections", "Open connections", self.connections.clone());
        registry.register(
            "sidelong_connections_limit",
            "Connections at which the longest-idle one is closed (max_connections)",
            self.connection_limit.clone(),
        );
        registry.register("sidelong_connections_accepted", "Connections accepted", self.accepted.clone());
        registry.register(
            "sidelong_accept_errors",
            "Failed accepts, of which running out of files is the usual cause",
            self.accept_errors.clone(),
        );
        registry.register(
            "sidelong_connections_closed",
            "Connections that Sidelong ended, by reason",
            self.closed.clone(),
        );
        registry.register(
            "sidelong_requests_refused",
            "Requests refused before they reached a door, by reason",
            self.refused.clone(),
        );
    }

    pub(super) fn closed(&self, reason: Closed) {
        self.closed.get_or_create(&ClosedLabels { reason }).inc();
    }

    pub(super) fn refused(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// How often a connection was ended for `reason`.
    #[cfg(test)]
    pub(super) fn closed_count(&self, reason: Closed) -> u64 {
        self.closed.get_or_create(&ClosedLabels { reason }).get()
    }
}
