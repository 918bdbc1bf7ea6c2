//! `limits`: what one request may be, and how much is scored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::units::{ByteSize, PromDuration};
use crate::wire::remote_write::ElementLimits;

/// Bounds on what is taken in and kept. Every one is finite, shown by a metric, and named by the error
/// text of whoever meets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Size of a request body as it travels, in bytes.
    pub max_body_size: ByteSize,
    /// Size of a request body after decompression, in bytes.
    pub max_decoded_size: ByteSize,
    /// How many times larger than its body a request may become by decompression.
    pub max_decoded_ratio: u32,
    /// Time that a body may take to arrive, whatever its size.
    pub body_timeout: PromDuration,
    /// How slow a body may arrive after `body_timeout`, in bytes per second. A sender that falls behind by more
    /// than `body_timeout` is cut off.
    pub min_body_rate: ByteSize,
    /// Bytes of remote-write bodies that are held at the same time, counted as they arrive. Over it, the body
    /// that has been arriving for the longest is answered 503; where all have arrived, the newest is.
    pub max_body_bytes_in_flight: ByteSize,
    /// Remote-write requests that are worked on at the same time once their bodies are read, most of them
    /// waiting for the downstream; others are answered 503.
    pub max_requests_in_flight: u32,
    /// Series that are scored at the same time. Over it, series are given up by rank; the samples of all
    /// pass through in any case.
    pub max_series: u32,
    /// Series of one tenant or scrape target that are scored at the same time.
    pub max_series_per_tenant: u32,
    /// Tenants whose series are kept apart. The samples of further ones pass through unscored, until one that
    /// was not heard of for `series_idle_timeout` makes room.
    pub max_tenants: u32,
    /// Workloads whose series are counted; see `scores.workload_labels`.
    pub max_workloads: u32,
    /// Bytes of request bodies that may wait for a scorer. Over it, requests pass through unscored.
    pub max_scorer_backlog: ByteSize,
    /// How long an answer is held back at the most where the scorers are behind by `max_scorer_backlog`.
    pub scorer_patience: PromDuration,
    /// After this time without a sample a series' scores end, it is not counted any more, and it may be forgotten
    /// in favour of a new one; so may a tenant or a target, with all that was learned of its series.
    pub series_idle_timeout: PromDuration,
    /// How far ahead of now a sample may be to be scored. One further ahead passes through unscored.
    pub max_future: PromDuration,
    /// How many elements one request may hold.
    pub elements: ElementLimits,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_size: ByteSize::from_mib(8),
            max_decoded_size: ByteSize::from_mib(32),
            max_decoded_ratio: 64,
            body_timeout: PromDuration::from_secs(10),
            min_body_rate: ByteSize::from_kib(1),
            max_body_bytes_in_flight: ByteSize::from_mib(256),
            max_requests_in_flight: 256,
            max_series: 1_000_000,
            max_series_per_tenant: 1_000_000,
            max_tenants: 1_000,
            max_workloads: 10_000,
            max_scorer_backlog: ByteSize::from_mib(64),
            scorer_patience: PromDuration::from_millis(20),
            series_idle_timeout: PromDuration::from_secs(600),
            max_future: PromDuration::from_secs(2 * 3600),
            elements: ElementLimits::default(),
        }
    }
}

impl Limits {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        let zero = [
            ("max_body_size", self.max_body_size.as_bytes() == 0),
            ("max_decoded_ratio", self.max_decoded_ratio == 0),
            ("max_requests_in_flight", self.max_requests_in_flight == 0),
            ("max_series", self.max_series == 0),
            ("max_series_per_tenant", self.max_series_per_tenant == 0),
            ("max_tenants", self.max_tenants == 0),
            ("max_scorer_backlog", self.max_scorer_backlog.as_bytes() == 0),
            ("series_idle_timeout", self.series_idle_timeout.is_zero()),
            ("elements.max_series_per_request", self.elements.max_series_per_request == 0),
            ("elements.max_labels_per_series", self.elements.max_labels_per_series == 0),
            ("elements.max_label_name_length", self.elements.max_label_name_length == 0),
            ("elements.max_label_value_length", self.elements.max_label_value_length == 0),
            ("elements.max_samples_per_series", self.elements.max_samples_per_series == 0),
            ("elements.max_samples_per_request", self.elements.max_samples_per_request == 0),
            ("elements.max_symbols_per_request", self.elements.max_symbols_per_request == 0),
            ("elements.max_buckets_per_histogram", self.elements.max_buckets_per_histogram == 0),
        ];
        for (option, is_zero) in zero {
            findings.require(!is_zero, format!("limits.{option}"), SectionError::Zero);
        }
        findings.require(
            self.max_decoded_size >= self.max_body_size,
            "limits.max_decoded_size",
            SectionError::Below(self.max_decoded_size.to_string(), "max_body_size".to_owned()),
        );
        findings.require(
            self.max_body_bytes_in_flight >= self.max_body_size,
            "limits.max_body_bytes_in_flight",
            SectionError::Below(self.max_body_bytes_in_flight.to_string(), "max_body_size".to_owned()),
        );
        // Spans into a decoded body are 32 bits wide.
        let too_large = SectionError::Above(self.max_decoded_size.to_string(), "4GiB".to_owned());
        findings.require(self.max_decoded_size.as_bytes() < 1 << 32, "limits.max_decoded_size", too_large);
    }
}
