//! How much of the budget of series is spent, by whom, and who would be shed first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::Pipeline;

/// The budget of series.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Scored series.
    pub series: usize,
    /// Scored series at the most (`limits.max_series`).
    pub max_series: usize,
    /// Score series that are being sent.
    pub injected: usize,
    /// Score series at the most (`scores.max_series`).
    pub max_injected: usize,
    /// Tenants whose series are kept apart.
    pub tenants: usize,
    /// Tenants at the most (`limits.max_tenants`).
    pub max_tenants: usize,
    /// Targets whose series are kept apart.
    pub targets: usize,
    /// Targets at the most (`scrape.max_targets`).
    pub max_targets: usize,
    /// Groups of series of which others are made.
    pub groups: usize,
    /// Such groups at the most (`signals.max_groups`).
    pub max_groups: usize,
    /// Workloads that are counted.
    pub workloads: usize,
    /// Bytes of a series' state and its place, without its labels.
    pub bytes_per_series: usize,
    /// Bytes of what a series has learned, which are part of those.
    pub state_bytes_per_series: usize,
    /// Bytes of distinct label text.
    pub label_bytes: usize,
    /// The rules, the one that would be shed first in front.
    pub rules: Vec<RuleBudget>,
}

/// What one rule spends of the budget, and what it brought.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleBudget {
    /// The rule.
    pub name: String,
    /// Its priority.
    pub priority: i32,
    /// Its series in the table.
    pub series: usize,
    /// Anomalies found among them, each counted when it began.
    pub findings: usize,
    /// Series for each finding: of two rules of one priority, the dearer is shed first.
    pub series_per_finding: f64,
}

/// Reads the corridor's gauges when the metrics are read.
#[derive(Debug)]
struct Gauges(Arc<Pipeline>);

impl Pipeline {
    /// How much of the budget is spent.
    pub fn budget(&self) -> Budget {
        let settings = self.settings();
        let mut rules: Vec<RuleBudget> = settings
            .rules
            .iter()
            .map(|(id, rule)| {
                let plan = &settings.plans[id.index()];
                let (series, findings) =
                    (plan.series.load(Ordering::Relaxed), plan.findings.load(Ordering::Relaxed));
                let series_per_finding = series as f64 / (findings + 1) as f64;
                RuleBudget {
                    name: rule.name.clone(),
                    priority: rule.priority,
                    series,
                    findings,
                    series_per_finding,
                }
            })
            .collect();
        rules.sort_by(|a, b| {
            a.priority.cmp(&b.priority).then(b.series_per_finding.total_cmp(&a.series_per_finding))
        });
        Budget {
            series: self.series.len(),
            max_series: settings.limits.max_series,
            injected: self.injected.load(Ordering::Relaxed),
            max_injected: settings.limits.max_injected,
            tenants: self.scopes.tenants(),
            max_tenants: settings.limits.scopes.tenants,
            targets: self.scopes.targets(),
            max_targets: settings.limits.scopes.targets,
            groups: settings.signals.groups(),
            max_groups: settings.signals.max_groups(),
            workloads: self.workloads.len(),
            bytes_per_series: self.series.bytes_per_series(),
            state_bytes_per_series: crate::detect::State::BYTES,
            label_bytes: self.series.label_bytes(),
            rules,
        }
    }

    /// Adds the gauges of the budget to `registry`.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Gauges(Arc::clone(self))));
        registry.register_collector(Box::new(super::context::Gauges(Arc::clone(self))));
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let settings = self.0.settings();
        let (series, max) = (self.0.series.len(), settings.limits.max_series);
        let (injected, max_injected) =
            (self.0.injected.load(Ordering::Relaxed), settings.limits.max_injected);
        let gauges = [
            ("sidelong_series", "Scored series in the table", series),
            ("sidelong_series_limit", "Scored series at the most (limits.max_series)", max),
            (
                "sidelong_signal_groups",
                "Groups of series of which others are made",
                settings.signals.groups(),
            ),
            (
                "sidelong_signal_groups_limit",
                "Groups at the most (signals.max_groups)",
                settings.signals.max_groups(),
            ),
            ("sidelong_score_series", "Score series that are being sent", injected),
            ("sidelong_score_series_limit", "Score series at the most (scores.max_series)", max_injected),
            (
                "sidelong_tenants",
                "Tenants kept apart; bounded by limits.max_tenants",
                self.0.scopes.tenants(),
            ),
            (
                "sidelong_targets",
                "Targets kept apart; bounded by scrape.max_targets",
                self.0.scopes.targets(),
            ),
            ("sidelong_workloads", "Workloads; bounded by limits.max_workloads", self.0.workloads.len()),
            (
                "sidelong_label_bytes",
                "Bytes of distinct label text of scored series",
                self.0.series.label_bytes(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
