//! Limits of the push door.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, PromDuration};
use crate::wire::remote_write::ElementLimits;

/// What one write request may be, and how long it may take to come in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PushLimits {
    /// Size of a request body as it comes over the wire. Larger is a 413. Default: 8MiB.
    pub max_body_size: ByteSize,
    /// Size that the body may decompress to, read from its header before anything is allocated. Larger is
    /// a 413. Default: 32MiB.
    pub max_decoded_size: ByteSize,
    /// Decompressed bytes for each byte of the body; beyond it the body passes unscored. Default: 64.
    pub max_decompression_ratio: usize,
    /// Time that a body may take whatever its size. Default: 10s.
    pub body_timeout: PromDuration,
    /// Bytes a second that a body must keep once `body_timeout` is over. Default: 1KiB.
    pub min_body_rate: ByteSize,
    /// Write requests handled at the same time; more are answered 429. Default: 256.
    pub max_concurrent_requests: usize,
    /// Bytes of bodies that may wait for each scorer thread; beyond it they pass unscored. Default: 64MiB.
    pub max_waiting_for_scorer: ByteSize,
    /// Tenants whose series are kept apart; more pass unscored. Default: 1000.
    pub max_tenants: usize,
    /// How far ahead of the clock a sample may be to be scored. Default: 2h.
    pub max_future: PromDuration,
    /// Elements that are decoded of one request.
    #[serde(flatten)]
    pub elements: ElementLimits,
}

/// How tenants are told apart.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantsConfig {
    /// The header that names the tenant. Default: X-Scope-OrgID.
    pub header: String,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self {
            max_body_size: ByteSize::from_mib(8),
            max_decoded_size: ByteSize::from_mib(32),
            max_decompression_ratio: 64,
            body_timeout: PromDuration::from_secs(10),
            min_body_rate: ByteSize::from_kib(1),
            max_concurrent_requests: 256,
            max_waiting_for_scorer: ByteSize::from_mib(64),
            max_tenants: 1_000,
            max_future: PromDuration::from_secs(7_200),
            elements: ElementLimits::default(),
        }
    }
}

impl Default for TenantsConfig {
    fn default() -> Self {
        Self { header: "X-Scope-OrgID".into() }
    }
}
