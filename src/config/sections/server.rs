//! `server`: where Sidelong listens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, ListenAddress, SectionError};
use crate::net::server::ServerConfig;

/// Where Sidelong listens, and what a client may do to the listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The data listener: remote write, `/scrape`, `/proxy`, `/scores` and the HTTP proxy.
    pub listen: ListenAddress,
    /// The admin listener: own metrics, health, status and reload. Bind it to loopback, or protect it with
    /// `--web.config.file`.
    pub admin_listen: ListenAddress,
    /// Limits and timers of the connections of each listener.
    pub connections: ServerConfig,
}

// === impl Server ===

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: ListenAddress::everywhere(10_990),
            admin_listen: ListenAddress::local(10_991),
            connections: ServerConfig::default(),
        }
    }
}

impl Server {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        let (data, admin) = (self.listen.get(), self.admin_listen.get());
        let same = data.port() == admin.port()
            && data.port() != 0
            && (data.ip() == admin.ip() || data.ip().is_unspecified() || admin.ip().is_unspecified());
        let cause = || SectionError::Same(admin.to_string(), "server.listen".to_owned());
        findings.require(!same, "server.admin_listen", cause());
        let connections = &self.connections;
        let zero = [
            ("max_connections", connections.max_connections == 0),
            ("max_headers", connections.max_headers == 0),
            ("max_header_size", connections.max_header_size.as_bytes() == 0),
            ("max_uri_length", connections.max_uri_length.as_bytes() == 0),
            ("first_byte_timeout", connections.first_byte_timeout.is_zero()),
            ("header_timeout", connections.header_timeout.is_zero()),
            ("idle_timeout", connections.idle_timeout.is_zero()),
            ("write_timeout", connections.write_timeout.is_zero()),
        ];
        for (option, is_zero) in zero {
            findings.require(!is_zero, format!("server.connections.{option}"), SectionError::Zero);
        }
    }
}
