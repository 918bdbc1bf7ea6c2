//! What is told of models: which one serves, since when, and why others do not.

use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::ModelHandle;
use super::bake::Fault;
use super::bundle::Refusal;

/// The reasons for which a look at the store comes to nothing.
const STORE_REASONS: [&str; 8] =
    ["conflict", "content", "denied", "failed", "local", "lost", "slow", "too_large"];

/// What a watcher counts.
#[derive(Clone, Debug, Default)]
pub struct ModelMetrics {
    pub(super) swaps: Counter,
    pub(super) rollbacks: Family<Reason, Counter>,
    pub(super) baking: Gauge,
    pub(super) refused: Family<Reason, Counter>,
    pub(super) store_errors: Family<Reason, Counter>,
    pub(super) checked: Gauge<f64, AtomicU64>,
    pub(super) wanted: Gauge,
    pub(super) pinned: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

/// Tells of the model that serves when the metrics are read, so that they follow each swap.
#[derive(Debug)]
struct Serving(ModelHandle);

// === impl ModelMetrics ===

impl ModelMetrics {
    /// Registers what is counted, and what is told of the model that `handle` reads.
    pub fn register(&self, handle: ModelHandle, registry: &mut Registry) {
        // A counter that begins with its first event hides that event from increase().
        for reason in Refusal::REASONS {
            drop(self.refused.get_or_create(&Reason { reason }));
        }
        for reason in STORE_REASONS {
            drop(self.store_errors.get_or_create(&Reason { reason }));
        }
        for reason in Fault::REASONS {
            drop(self.rollbacks.get_or_create(&Reason { reason }));
        }
        registry.register_collector(Box::new(Serving(handle)));
        registry.register(
            "sidelong_model_rollbacks",
            "Models that went back by themselves, since they did not do well; they do not serve here again",
            self.rollbacks.clone(),
        );
        registry.register(
            "sidelong_model_baking",
            "Whether the model in force is being watched, since it is new: 1 or 0",
            self.baking.clone(),
        );
        registry.register(
            "sidelong_model_swaps",
            "Models that took the place of another one",
            self.swaps.clone(),
        );
        registry.register(
            "sidelong_model_refused",
            "Models that were not taken up, by reason; docs/models.md says what to do",
            self.refused.clone(),
        );
        registry.register(
            "sidelong_model_store_errors",
            "Looks at the store that failed; the model that serves goes on",
            self.store_errors.clone(),
        );
        registry.register(
            "sidelong_model_wanted_version",
            "The version that the store last said is to serve; 0 while it has said nothing",
            self.wanted.clone(),
        );
        registry.register(
            "sidelong_model_pinned_version",
            "The version that is pinned here, so that the store is not followed; 0 for none",
            self.pinned.clone(),
        );
        registry.register(
            "sidelong_model_checked_timestamp_seconds",
            "When the store last said which model is to serve; 0 while it has not",
            self.checked.clone(),
        );
    }
}

impl Collector for Serving {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let model = self.0.current();
        let labels = [
            ("version", model.version.as_str()),
            ("sha256", model.sha256.as_str()),
            ("role", "champion"),
            ("source", model.source.name()),
        ];
        let mut info = encoder.encode_descriptor(
            "sidelong_model_info",
            "The model in force; always 1",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(1_i64).encode(info.encode_family(&labels)?)?;
        let numbers = [
            (
                "sidelong_model_version",
                "The version of the model in force; 0 of the one that is built in",
                i64::try_from(model.number).unwrap_or(i64::MAX),
            ),
            (
                "sidelong_model_created_timestamp_seconds",
                "When the model in force was made; 0 of the one that is built in",
                model.created_ms / 1_000,
            ),
        ];
        for (name, help, value) in numbers {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        Ok(())
    }
}
