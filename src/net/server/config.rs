//! The limits of one listener.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, PromDuration};

/// Limits and timers of a listener. Every one of them is finite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Connections open at the same time. At the limit the longest-idle connection is closed to let a new
    /// one in; if none is idle, the one whose request has been coming for the longest; if all have come whole,
    /// the new one is closed. Default: 512. Where the process may open few files, the limit in force is lower.
    pub max_connections: u32,
    /// Headers of one request. Default: 64.
    pub max_headers: u16,
    /// Size of a request line and its headers, in bytes. Default: 16KiB.
    pub max_header_size: ByteSize,
    /// Length of a request target, in bytes. Default: 8KiB.
    pub max_uri_length: ByteSize,
    /// Time from the accept to the first byte of the first request, TLS handshake included. Default: 10s.
    pub first_byte_timeout: PromDuration,
    /// Time from the first byte of a request to the end of its headers. Default: 10s.
    pub header_timeout: PromDuration,
    /// Time that a connection may wait for its next request. It is longer than the 5m after which
    /// Prometheus closes an idle connection, so that no request meets a closing one. Default: 6m.
    pub idle_timeout: PromDuration,
    /// Time that an answer may be stuck because the client does not read. Default: 30s.
    pub write_timeout: PromDuration,
    /// Time that requests in flight have when the process ends. Default: 30s.
    pub drain_timeout: PromDuration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_headers: 64,
            max_header_size: ByteSize::from_kib(16),
            max_uri_length: ByteSize::from_kib(8),
            first_byte_timeout: PromDuration::from_secs(10),
            header_timeout: PromDuration::from_secs(10),
            idle_timeout: PromDuration::from_secs(360),
            write_timeout: PromDuration::from_secs(30),
            drain_timeout: PromDuration::from_secs(30),
        }
    }
}
