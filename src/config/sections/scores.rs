//! `scores`: what is sent, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, NameTemplate, SectionError};
use crate::config::units::{ByteSize, PromDuration};
use crate::rules::config::RawEmit;

/// What the scores are called, and how they travel to the downstream. They go in requests of their own,
/// after the samples that they judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scores {
    /// The metric names of the scores: `$VAR` stands for `anomaly_score`, `yhat`, `yhat_lower`, `yhat_upper`,
    /// `anomaly_confidence` or `anomaly_part`. Write for example `sidelong_$VAR` to run beside another detector.
    pub name_template: NameTemplate,
    /// When a score is sent, for rules that do not say it themselves: `always`, or `above(0.5)`.
    pub emit: RawEmit,
    /// Score series that may exist at the same time, over all rules. Further ones are not sent.
    pub max_series: u32,
    /// A batch of this many scores leaves at once.
    pub batch_size: u32,
    /// A score request is no longer than this, as it travels. Receivers and proxies refuse longer ones: nginx
    /// above 1 MiB, unless told otherwise. What is refused for its length is sent again in halves.
    pub max_request_size: ByteSize,
    /// A smaller batch leaves after this time.
    pub batch_interval: PromDuration,
    /// A batch that holds a score of at least 1 leaves after this time.
    pub urgent_within: PromDuration,
    /// Scores that wait for the downstream, in bytes, over all tenants. Over it, the oldest of the tenant with
    /// the most of them are dropped and counted.
    pub max_queue_size: ByteSize,
    /// Scores that have waited longer are dropped and counted.
    pub max_queue_age: PromDuration,
    /// How long scores stop after the downstream refused something for a limit, unless it says how long.
    /// They then come back by doubling the share of series, each step as long as this.
    pub yield_for: PromDuration,
    /// Labels by which a receiver tells the replicas of a highly available pair. A score request never
    /// mixes two of their values.
    pub ha_labels: Vec<String>,
    /// Which of `ha_labels` names the replica, such as `__replica__`; the others name the pair. Then one replica of a
    /// pair is elected, as Mimir's HA tracker does it, and the other's samples pass through unscored: the series of
    /// both have one state, and each alert is one. Default: none, the replicas are scored apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_replica_label: Option<String>,
    /// After this time without the elected replica another takes over, with all that was learned.
    pub ha_failover_timeout: PromDuration,
    /// Labels that make a workload. For each, the numbers of its scored and of its anomalous series are
    /// sent, whatever `emit` says.
    pub workload_labels: Vec<String>,
    /// Combinations of tenant, credentials and replica whose scores may wait for requests of their own.
    pub max_lanes: u32,
    /// The first pause before a failed score request is sent again; each further one is twice as long.
    pub min_backoff: PromDuration,
    /// The longest such pause; a minute at the most.
    pub max_backoff: PromDuration,
}

// === impl Scores ===

impl Default for Scores {
    fn default() -> Self {
        Self {
            name_template: NameTemplate::default(),
            emit: RawEmit::Always,
            max_series: 200_000,
            batch_size: 2_000,
            max_request_size: ByteSize::from_kib(512),
            batch_interval: PromDuration::from_secs(1),
            urgent_within: PromDuration::from_millis(10),
            max_queue_size: ByteSize::from_mib(32),
            max_queue_age: PromDuration::from_secs(300),
            yield_for: PromDuration::from_secs(60),
            ha_labels: vec!["cluster".to_owned(), "__replica__".to_owned()],
            ha_replica_label: None,
            ha_failover_timeout: PromDuration::from_secs(30),
            workload_labels: vec!["namespace".to_owned(), "job".to_owned()],
            max_lanes: 1_000,
            min_backoff: PromDuration::from_millis(30),
            max_backoff: PromDuration::from_secs(5),
        }
    }
}

impl Scores {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        let zero = [
            ("max_series", self.max_series == 0),
            ("batch_size", self.batch_size == 0),
            ("max_request_size", self.max_request_size.as_bytes() == 0),
            ("batch_interval", self.batch_interval.is_zero()),
            ("max_queue_size", self.max_queue_size.as_bytes() == 0),
            ("max_queue_age", self.max_queue_age.is_zero()),
            ("yield_for", self.yield_for.is_zero()),
            ("ha_failover_timeout", self.ha_failover_timeout.is_zero()),
            ("max_lanes", self.max_lanes == 0),
            ("min_backoff", self.min_backoff.is_zero()),
            ("emit.above", matches!(self.emit, RawEmit::Above(score) if score <= 0.0 || !score.is_finite())),
        ];
        for (option, is_zero) in zero {
            findings.require(!is_zero, format!("scores.{option}"), SectionError::Zero);
        }
        if let Some(label) = &self.ha_replica_label {
            let unknown = SectionError::NotAmong(label.clone(), "scores.ha_labels");
            findings.require(self.ha_labels.contains(label), "scores.ha_replica_label", unknown);
        }
        // F3: a receiver that is back is noticed within a minute.
        let minute = PromDuration::from_secs(60);
        let too_long = SectionError::Above(self.max_backoff.to_string(), format!("or equal to {minute}"));
        findings.require(self.max_backoff <= minute, "scores.max_backoff", too_long);
        let mut at_least = |option: &str, value: PromDuration, floor: &str, least: PromDuration| {
            let cause = SectionError::Below(value.to_string(), format!("{floor}, which is {least}"));
            findings.require(value >= least, format!("scores.{option}"), cause);
        };
        at_least("max_backoff", self.max_backoff, "min_backoff", self.min_backoff);
        at_least("batch_interval", self.batch_interval, "urgent_within", self.urgent_within);
    }
}
