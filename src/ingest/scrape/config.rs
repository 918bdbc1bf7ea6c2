//! Configuration of the pull door.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::address::Scheme;
use crate::config::secret::Secret;
use crate::config::units::{ByteSize, PromDuration};
use crate::net::client::HttpClientConfig;

/// What the pull door may fetch, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScrapeConfig {
    /// Targets that are fetched for `/scrape/NAME`. Default: none.
    pub targets: Vec<TargetConfig>,
    /// Targets that may be fetched for `/proxy?target=URL` and by Prometheus' `proxy_url`, as plain requests or
    /// as tunnels (CONNECT), which pass unscored. The first rule that fits decides. Default: none, so that every
    /// such request is refused.
    pub allow: Vec<AllowConfig>,
    /// One target that is fetched for `/metrics` on the data port, where Sidelong stands beside an application.
    /// Default: none.
    pub upstream: Option<UpstreamConfig>,
    /// How long a page may wait for its scores once it has been read whole; it ends without them after.
    /// Default: 50ms.
    pub score_budget: PromDuration,
    /// The number of samples of one page beyond which the page passes unscored. Default: 500000.
    pub page_sample_limit: usize,
    /// The number of scrapes that may run at one time; one more is refused with status 503. Default: 256.
    pub max_concurrent_scrapes: usize,
    /// The number of tunnels (CONNECT) that may be open at one time; one more is refused with status 503.
    /// Default: 64.
    pub max_tunnels: usize,
    /// How long a tunnel may be silent in both directions before it is closed. Default: 5m.
    pub tunnel_idle_timeout: PromDuration,
}

/// A target that is fetched for `/scrape/NAME`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// The name in the path, of letters, digits, dots, dashes and underscores.
    pub name: String,
    /// The absolute http or https URL of the target's page.
    pub url: String,
    /// Headers that are sent to the target in place of the scraper's own of the same names. Default: none.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What the scrape job says of the target.
    #[serde(flatten)]
    pub job: JobConfig,
    /// How the target is authenticated to, and by which certificates it is known.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

/// The one target that is fetched for `/metrics`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// The absolute http or https URL of the application's page.
    pub url: String,
    /// Headers that are sent to the target in place of the scraper's own of the same names. Default: none.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What the scrape job says of the target.
    #[serde(flatten)]
    pub job: JobConfig,
    /// How the target is authenticated to, and by which certificates it is known.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

/// Targets that a request may name.
///
/// Loopback, link-local, unique-local, carrier and other reserved addresses are refused unless `hosts` names
/// their range; addresses of metadata services always are. No credentials are ever sent to such a target
/// but those of the request itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowConfig {
    /// Host names, names after `*.` for all below one, addresses, and address ranges like `10.0.0.0/8`.
    pub hosts: Vec<String>,
    /// Ports.
    pub ports: Vec<u16>,
    /// Schemes, of which a tunnel is `https`. Default: both.
    #[serde(default = "both_schemes")]
    pub schemes: Vec<Scheme>,
    /// What the scrape job says of these targets.
    #[serde(flatten)]
    pub job: JobConfig,
}

/// What the scrape job of a target says, in its own words, so that scores never make it fail.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JobConfig {
    /// The interval of the scrape job: one scrape in each teaches the detector. Default: 1m.
    pub scrape_interval: PromDuration,
    /// The time for a whole scrape where the scraper does not name one. Default: 10s.
    pub scrape_timeout: PromDuration,
    /// The scrape job's limit of samples, which scores never make a page exceed; 0 where the job has none.
    /// Default: 0.
    pub sample_limit: usize,
    /// The scrape job's limit of labels, which scores never make a series exceed; 0 where the job has none.
    /// Default: 0.
    pub label_limit: usize,
    /// The number of labels that the scrape job adds to each series; they count against `label_limit`.
    /// Default: 2, which are `job` and `instance`.
    pub target_labels: usize,
    /// The uncompressed size of a page beyond which it passes unscored. Default: 64MiB.
    pub body_size_limit: ByteSize,
}

// === impl ScrapeConfig ===

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            allow: Vec::new(),
            upstream: None,
            score_budget: PromDuration::from_millis(50),
            page_sample_limit: 500_000,
            max_concurrent_scrapes: 256,
            max_tunnels: 64,
            tunnel_idle_timeout: PromDuration::from_secs(300),
        }
    }
}

// === impl JobConfig ===

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            scrape_interval: PromDuration::from_secs(60),
            scrape_timeout: PromDuration::from_secs(10),
            sample_limit: 0,
            label_limit: 0,
            target_labels: 2,
            body_size_limit: ByteSize::from_mib(64),
        }
    }
}

fn both_schemes() -> Vec<Scheme> {
    vec![Scheme::Http, Scheme::Https]
}
