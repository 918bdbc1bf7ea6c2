//! Configuration of the way out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, PromDuration};

/// The receiver that requests are forwarded to. Without one, Sidelong is the receiver (loop-back).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DownstreamConfig {
    /// The receiver's remote-write URL, such as `http://prometheus:9090/api/v1/write`.
    pub url: String,
    /// How long the downstream may take to answer a forwarded request. Later is a 504. Default: 30s.
    #[serde(default = "default_timeout")]
    pub timeout: PromDuration,
    /// The most that is read of an answer's body. Default: 64KiB.
    #[serde(default = "default_response_bytes")]
    pub max_response_bytes: ByteSize,
}

/// What is sent besides the samples, and how.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScoresConfig {
    /// How injected series are called; `$VAR` stands for `anomaly_score`, `yhat` and so on. With
    /// `sidelong_$VAR` Sidelong runs beside another detector. Default: `$VAR`.
    pub name_template: String,
    /// Scores that a request carries at the most. Default: 2000.
    pub batch_size: usize,
    /// How long an ordinary score may wait for others to travel with. Default: 1s.
    pub batch_interval: PromDuration,
    /// How long a score of at least 1 may wait. Default: 10ms.
    pub urgent_within: PromDuration,
    /// Bytes of scores that may wait for one tenant; beyond it the oldest are dropped. Default: 32MiB.
    pub max_queue_bytes: ByteSize,
    /// Age at which a waiting score is dropped. Default: 2m.
    pub max_age: PromDuration,
    /// How long scores stop after the downstream refused something for a limit, unless it says how long.
    /// They come back by halves of the series over ten times this. Default: 1m.
    pub yield_for: PromDuration,
    /// Remote-write version of score requests: `auto` asks the downstream. Default: auto.
    pub protocol: ScoreProtocol,
    /// Labels by whose values a receiver tells replicas of a highly available pair; a score request
    /// never mixes them. Default: cluster and __replica__.
    pub ha_labels: Vec<String>,
    /// Labels that make a workload; for each, the number of its scored and of its anomalous series is
    /// sent. Default: namespace and job.
    pub workload_labels: Vec<String>,
    /// Combinations of tenant, credentials and replica that may have scores waiting. Default: 1000.
    pub max_lanes: usize,
}

/// Remote-write version of score requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ScoreProtocol {
    /// 2.0 where the downstream takes it, else 1.0.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Always 1.0.
    #[serde(rename = "1.0")]
    V1,
    /// Always 2.0.
    #[serde(rename = "2.0")]
    V2,
}

impl Default for ScoresConfig {
    fn default() -> Self {
        Self {
            name_template: "$VAR".into(),
            batch_size: 2_000,
            batch_interval: PromDuration::from_secs(1),
            urgent_within: PromDuration::from_millis(10),
            max_queue_bytes: ByteSize::from_mib(32),
            max_age: PromDuration::from_secs(120),
            yield_for: PromDuration::from_secs(60),
            protocol: ScoreProtocol::Auto,
            ha_labels: vec!["cluster".into(), "__replica__".into()],
            workload_labels: vec!["namespace".into(), "job".into()],
            max_lanes: 1_000,
        }
    }
}

fn default_timeout() -> PromDuration {
    PromDuration::from_secs(30)
}

fn default_response_bytes() -> ByteSize {
    ByteSize::from_kib(64)
}
