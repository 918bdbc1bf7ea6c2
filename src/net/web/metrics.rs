//! What shows how the web configuration fares.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::config::Loaded;

/// Gauges and counters of the web configuration.
#[derive(Clone, Debug, Default)]
pub struct WebMetrics {
    pub(super) successful: Gauge,
    pub(super) reloads: Counter,
    pub(super) failures: Counter,
    pub(super) expiry: Gauge<i64, AtomicI64>,
}

impl WebMetrics {
    /// Makes the metrics visible.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sidelong_web_config_last_reload_successful",
            "Whether the newest web configuration file is in force",
            self.successful.clone(),
        );
        registry.register(
            "sidelong_web_config_loads",
            "Web configurations taken over, the first included",
            self.reloads.clone(),
        );
        registry.register(
            "sidelong_web_config_failures",
            "Changed web configurations that could not be used",
            self.failures.clone(),
        );
        registry.register(
            "sidelong_tls_certificate_not_after_timestamp_seconds",
            "When the certificate of our listeners expires, in seconds since the epoch; 0 without TLS",
            self.expiry.clone(),
        );
    }

    pub(super) fn loaded(&self, loaded: &Loaded) {
        self.successful.set(1);
        self.reloads.inc();
        self.expiry.set(loaded.not_after.unwrap_or(0));
    }

    pub(super) fn failed(&self) {
        self.successful.set(0);
        self.failures.inc();
    }
}
