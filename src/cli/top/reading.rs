//! What a running Sidelong says of itself at one moment.

use std::time::Instant;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::TopArgs;
use crate::cli::admin::Metrics;

/// Its answers, read one after the other.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// Since the epoch.
    pub(super) now_s: f64,
    pub(super) url: String,
    pub(super) ready: bool,
    pub(super) metrics: Metrics,
    pub(super) budget: Budget,
    pub(super) highest: Vec<Highest>,
}

/// What it says of the room for series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Budget {
    pub(super) series: u64,
    pub(super) max_series: u64,
    pub(super) bytes_per_series: u64,
    pub(super) label_bytes: u64,
}

/// A series with a high score.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Highest {
    pub(super) series: std::collections::BTreeMap<String, String>,
    pub(super) explanation: Option<Explained>,
}

/// Why it has it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Explained {
    pub(super) value: f64,
    pub(super) score: f64,
    pub(super) expected: f64,
    /// JSON knows no infinity.
    pub(super) lower: Option<f64>,
    pub(super) upper: Option<f64>,
}

/// Prometheus' envelope.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

// === impl Reading ===

impl Reading {
    pub(super) fn take(args: &TopArgs) -> anyhow::Result<Self> {
        let (status, _) = args.admin.ask("/-/ready")?;
        let now_s = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
        Ok(Self {
            at: Instant::now(),
            now_s,
            url: args.admin.url.to_string(),
            ready: status == 200,
            metrics: args.admin.metrics()?,
            budget: json(&args.admin.page("/api/v1/status/budget")?)?,
            highest: json(&args.admin.page(&format!("/api/v1/highest?limit={}", args.series))?)?,
        })
    }
}

/// What is in an envelope.
pub(super) fn json<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    let envelope: Envelope<T> =
        serde_json::from_str(body).context("the answer is of no Sidelong that this one knows")?;
    Ok(envelope.data)
}
