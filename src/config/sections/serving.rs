//! `serving`: scores on request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::units::ByteSize;

/// Scores on request: `/predict`, `/api/v1/score` and `/invocations` of the admin listener, and what one request may be. Read at
/// the start; a reload changes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Serving {
    /// Whether the admin listener has these paths.
    pub enabled: bool,
    /// Size of a request body. A larger one is answered 413.
    pub max_body_size: ByteSize,
    /// Rows of one request to `/invocations`.
    pub max_rows: u32,
    /// Series of one request.
    pub max_series: u32,
    /// Samples of one request, all series together; of rows, their values.
    pub max_samples: u32,
    /// Requests that are scored at the same time, each on a thread of its own; others are answered 503.
    pub max_requests_in_flight: u32,
    /// Requests a second, as many of them at once; others are answered 429. 0: no limit.
    pub max_requests_per_second: u32,
}

// === impl Serving ===

impl Default for Serving {
    fn default() -> Self {
        Self {
            enabled: true,
            max_body_size: ByteSize::from_mib(4),
            max_rows: 10_000,
            max_series: 1_000,
            max_samples: 100_000,
            max_requests_in_flight: 2,
            max_requests_per_second: 100,
        }
    }
}

impl Serving {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        for (option, is_zero) in [
            ("max_body_size", self.max_body_size.as_bytes() == 0),
            ("max_rows", self.max_rows == 0),
            ("max_series", self.max_series == 0),
            ("max_samples", self.max_samples == 0),
            ("max_requests_in_flight", self.max_requests_in_flight == 0),
        ] {
            findings.require(!is_zero, format!("serving.{option}"), SectionError::Zero);
        }
    }
}
