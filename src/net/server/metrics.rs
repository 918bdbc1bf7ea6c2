//! What listeners count.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::label_values::label_values;

/// Counters and gauges of every listener of the process, told apart by the label `listener`.
#[derive(Clone, Debug, Default)]
pub struct ServerMetrics {
    connections: Family<ListenerLabels, Gauge>,
    connection_limit: Family<ListenerLabels, Gauge>,
    accepted: Family<ListenerLabels, Counter>,
    accept_errors: Family<ListenerLabels, Counter>,
    closed: Family<ClosedLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
}

/// The counters and gauges of one listener.
#[derive(Clone, Debug)]
pub(super) struct ListenerMetrics {
    listener: &'static str,
    all: Arc<ServerMetrics>,
    pub(super) connections: Gauge,
    pub(super) connection_limit: Gauge,
    pub(super) accepted: Counter,
    pub(super) accept_errors: Counter,
}

label_values! {
    /// Why we ended a connection.
    pub(super) enum Closed {
        FirstByteTimeout = "first_byte_timeout",
        HeaderTimeout = "header_timeout",
        IdleTimeout = "idle_timeout",
        WriteTimeout = "write_timeout",
        /// The longest idle, at the cap.
        Evicted = "evicted",
        /// None was idle, at the cap, and its request had been coming for the longest.
        SlowBody = "slow_body",
        Shed = "shed",
        FileLimit = "file_limit",
        Tls = "tls",
        Drained = "drained",
        Cut = "cut",
    }
}

label_values! {
    /// Why we refused a request before any door saw it.
    pub(super) enum Refused {
        Framing = "framing",
        Path = "path",
        UriLength = "uri_length",
        Unauthorized = "unauthorized",
        /// `rate_limit` of the web configuration.
        RateLimit = "rate_limit",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    listener: &'static str,
    reason: Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    listener: &'static str,
    reason: Refused,
}

// === impl ServerMetrics ===

impl ServerMetrics {
    /// Makes the metrics of all listeners visible.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sidelong_connections", "Open connections", self.connections.clone());
        registry.register(
            "sidelong_connections_limit",
            "Connections at which the longest-idle or slowest one is closed (max_connections)",
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

    pub(super) fn of(self: &Arc<Self>, listener: &'static str) -> Arc<ListenerMetrics> {
        let labels = ListenerLabels { listener };
        // Each is there from the start: a rate needs a zero to begin from.
        for reason in Closed::ALL {
            drop(self.closed.get_or_create(&ClosedLabels { listener, reason }));
        }
        for reason in Refused::ALL {
            drop(self.refused.get_or_create(&RefusedLabels { listener, reason }));
        }
        Arc::new(ListenerMetrics {
            listener,
            all: Arc::clone(self),
            connections: self.connections.get_or_create_owned(&labels),
            connection_limit: self.connection_limit.get_or_create_owned(&labels),
            accepted: self.accepted.get_or_create_owned(&labels),
            accept_errors: self.accept_errors.get_or_create_owned(&labels),
        })
    }
}

// === impl ListenerMetrics ===

impl ListenerMetrics {
    pub(super) fn closed(&self, reason: Closed) {
        self.all.closed.get_or_create(&ClosedLabels { listener: self.listener, reason }).inc();
    }

    pub(super) fn refused(&self, reason: Refused) {
        self.all.refused.get_or_create(&RefusedLabels { listener: self.listener, reason }).inc();
    }

    /// How often a connection was ended for `reason`.
    #[cfg(test)]
    pub(super) fn closed_count(&self, reason: Closed) -> u64 {
        self.all.closed.get_or_create(&ClosedLabels { listener: self.listener, reason }).get()
    }
}
