//! How many elements of a request are decoded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds on what a remote-write request may hold, checked while it is walked. In gateway mode a request
/// over them is forwarded all the same and stays unscored; in loop-back mode it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ElementLimits {
    /// Series entries in one request. The default is 50000.
    pub max_series_per_request: u32,
    /// Labels of one series, the metric name among them. The default is 64.
    pub max_labels_per_series: u32,
    /// Length of a label name in bytes. The default is 1024.
    pub max_label_name_length: u32,
    /// Length of a label value in bytes. The default is 8192.
    pub max_label_value_length: u32,
    /// Samples in one series entry. The default is 10000.
    pub max_samples_per_series: u32,
    /// Samples in one request. The default is 1000000.
    pub max_samples_per_request: u32,
    /// Strings in the symbol table of one 2.0 request. The default is 250000.
    pub max_symbols_per_request: u32,
    /// Buckets of a native histogram of which something is made. A larger one is stepped over and counted. The default is
    /// 500.
    pub max_buckets_per_histogram: u32,
}

impl Default for ElementLimits {
    fn default() -> Self {
        Self {
            max_series_per_request: 50_000,
            max_labels_per_series: 64,
            max_label_name_length: 1024,
            max_label_value_length: 8192,
            max_samples_per_series: 10_000,
            max_samples_per_request: 1_000_000,
            max_symbols_per_request: 250_000,
            max_buckets_per_histogram: 500,
        }
    }
}
