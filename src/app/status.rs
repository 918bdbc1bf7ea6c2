//! What the rooms tell the admin listener of themselves.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::{Value, json};

use super::house::House;
use crate::admin::Status;
use crate::config::Config;
use crate::forward::scores::ScoreForwarder;
use crate::ingest::Scorers;

/// The configuration in force.
#[derive(Debug)]
pub(super) struct Current {
    config: RwLock<Arc<Config>>,
}

/// Reads the scorers' backlog when the metrics are read.
#[derive(Debug)]
pub(super) struct Backlog(pub(super) Arc<Scorers>);

/// Reads which scores give way to samples when the metrics are read.
#[derive(Debug)]
pub(super) struct Pauses(pub(super) Arc<Mutex<Option<ScoreForwarder>>>);

// === impl Current ===

impl Current {
    pub(super) fn new(config: Config) -> Self {
        Self { config: RwLock::new(Arc::new(config)) }
    }

    pub(super) fn replace(&self, config: Config) {
        *self.config.write() = Arc::new(config);
    }

    pub(super) fn get(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }
}

/// The sources of `/api/v1/status`.
pub(super) fn of(house: &Arc<House>, current: &Arc<Current>) -> Status {
    let (config, targets) = (Arc::clone(current), Arc::clone(current));
    let (model, budget) = (Arc::clone(house), Arc::clone(house));
    let (explained, highest) = (Arc::clone(house), Arc::clone(house));
    Status {
        config: Arc::new(move || config.get().to_yaml().unwrap_or_else(|error| format!("# {error}"))),
        targets: Arc::new(move || targets_of(&targets.get())),
        model: Arc::new(move || model_of(&model)),
        budget: Arc::new(move || json!(budget.pipeline.budget())),
        explain: Arc::new(move |series, limit| explain(&explained, series, limit)),
        highest: Arc::new(move |limit| json!(highest.pipeline.highest(limit))),
    }
}

/// Secrets stand in headers and credentials, neither of which is shown here.
fn targets_of(config: &Config) -> Value {
    let target = |target: &crate::config::sections::Target| {
        json!({
            "name": target.name,
            "url": target.url.to_string(),
            "scrapeInterval": target.scrape_interval.to_string(),
            "sampleLimit": target.sample_limit,
            "labelLimit": target.label_limit,
        })
    };
    json!({
        "targets": config.scrape.targets.iter().map(target).collect::<Vec<_>>(),
        "upstream": config.scrape.upstream.as_ref().map(target),
        "downstream": config.downstream.as_ref().map(|downstream| downstream.url.to_string()),
    })
}

fn model_of(house: &House) -> Value {
    let model = house.model.handle().current();
    json!({
        "version": model.version,
        "sha256": model.sha256,
        "role": "champion",
        "source": model.source.name(),
        "createdMs": model.created_ms,
    })
}

fn explain(house: &House, series: &str, limit: usize) -> Result<Value, String> {
    let selector = series.parse().map_err(|error| format!("series: {error}"))?;
    Ok(json!(house.pipeline.explain(&selector, limit)))
}

impl Collector for Backlog {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(self.0.waiting_bytes() as i64);
        let encoded = encoder.encode_descriptor(
            "sidelong_scorer_backlog_bytes",
            "Bytes of bodies that wait to be scored; bounded by limits.max_scorer_backlog for each scorer thread",
            None,
            gauge.metric_type(),
        )?;
        gauge.encode(encoded)
    }
}

impl Collector for Pauses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (paused, returning) = self.0.lock().as_ref().map(ScoreForwarder::restrained).unwrap_or_default();
        let gauges = [
            (
                "sidelong_score_paused_tenants",
                "Tenants whose scores pause, since the downstream refused something for a limit",
                paused,
            ),
            ("sidelong_score_returning_tenants", "Tenants whose scores come back after a pause", returning),
        ];
        for (name, help, tenants) in gauges {
            let gauge = ConstGauge::new(tenants as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
