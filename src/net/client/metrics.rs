//! What a client counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of outgoing requests; all clients of the process share one of these.
#[derive(Clone, Debug, Default)]
pub struct ClientMetrics {
    pub(super) connects: Counter,
    pub(super) connect_errors: Counter,
    pub(super) repeated: Counter,
    pub(super) file_errors: Counter,
}

impl ClientMetrics {
    /// Makes the counters visible.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sidelong_client_connects", "Outgoing connections begun", self.connects.clone());
        registry.register(
            "sidelong_client_connect_errors",
            "Outgoing connections that failed",
            self.connect_errors.clone(),
        );
        registry.register(
            "sidelong_client_repeated_requests",
            "Requests sent once more because a kept-alive connection was closed before any answer",
            self.repeated.clone(),
        );
        registry.register(
            "sidelong_client_file_errors",
            "Changed certificates or secrets that could not be used, the old ones being kept",
            self.file_errors.clone(),
        );
    }
}
