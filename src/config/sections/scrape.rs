//! `scrape`: what the pull door fetches.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, HttpUrl, SectionError, auth};
use crate::config::secret::Secret;
use crate::config::units::{ByteSize, PromDuration};
use crate::net::client::{AuthorizationConfig, BasicAuthConfig, HttpClientConfig, OAuth2Config, TlsConfig};

/// What the pull door fetches: configured targets at `/scrape/NAME`, one fixed upstream, and what the
/// allow-list names at `/proxy?target=` and through `proxy_url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scrape {
    /// Targets by name, each at `/scrape/NAME`.
    pub targets: Vec<Target>,
    /// What may be fetched at `/proxy?target=` and through `proxy_url`. Nothing by default. Loopback,
    /// link-local and private ranges are refused unless an entry names them; metadata services always are.
    pub allow: Vec<Allow>,
    /// Hosts and ports to which CONNECT tunnels may be opened. Their traffic passes through unscored.
    pub allow_connect: Vec<Allow>,
    /// The one upstream of an application's sidecar, served at `/metrics` of the data listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Target>,
    /// Targets whose series are kept apart. Pages of further ones pass unscored, until one that was not scraped
    /// for `limits.series_idle_timeout` makes room.
    pub max_targets: u32,
    /// How long a page may wait for its scores once it has been read whole; it ends without them after.
    pub score_budget: PromDuration,
    /// Samples of one page; a page with more passes unscored.
    pub page_sample_limit: u32,
    /// Scrapes at one time; one more is refused with status 503.
    pub max_concurrent_scrapes: u32,
    /// Tunnels open at one time; one more is refused with status 503.
    pub max_tunnels: u32,
    /// How long a tunnel may be silent in both directions before it is closed.
    pub tunnel_idle_timeout: PromDuration,
}

/// Something that is scraped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name in `/scrape/NAME`. Not needed for `upstream`.
    #[serde(default)]
    pub name: String,
    /// The address of the exposition, such as `http://localhost:9100/metrics`. Required.
    pub url: HttpUrl,
    /// The interval at which Prometheus scrapes this target. The first scrape of an interval teaches; any
    /// other (of a second replica, of a person) is scored and teaches nothing.
    #[serde(default = "default_scrape_interval")]
    pub scrape_interval: PromDuration,
    /// How long the target may take to answer, where Prometheus does not send its own timeout.
    #[serde(default = "default_scrape_timeout")]
    pub scrape_timeout: PromDuration,
    /// Size of an exposition after decompression, in bytes. A larger one passes unscored.
    #[serde(default = "default_body_size_limit")]
    pub body_size_limit: ByteSize,
    /// The `sample_limit` of the scrape job: scores are left out where they would exceed it. `0` stands for
    /// no limit, as in Prometheus.
    #[serde(default)]
    pub sample_limit: u32,
    /// The `label_limit` of the scrape job; a score has one label more than its series. `0` stands for no
    /// limit.
    #[serde(default)]
    pub label_limit: u32,
    /// Labels that the scrape job adds to every series, which count against `label_limit`: `job`,
    /// `instance` and those of relabelling.
    #[serde(default = "default_target_labels")]
    pub target_labels: u32,
    /// The `label_name_length_limit` of the scrape job. `0` stands for no limit.
    #[serde(default)]
    pub label_name_length_limit: u32,
    /// The `label_value_length_limit` of the scrape job. `0` stands for no limit.
    #[serde(default)]
    pub label_value_length_limit: u32,
    /// Headers that are added to the request.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// User and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuthConfig>,
    /// An `Authorization` header, such as the bearer token that the kubelet needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationConfig>,
    /// OAuth 2.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Config>,
    /// TLS towards the target.
    #[serde(default)]
    pub tls_config: TlsConfig,
}

/// One entry of an allow-list. A request passes if scheme, port and host all do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// Host names that may be asked for, in full; `*.example.org` takes every name below that domain.
    pub hosts: Vec<String>,
    /// Networks that the host may resolve to, such as `10.0.0.0/8` or `fd00::/8`.
    pub networks: Vec<String>,
    /// Ports. Default: 80 and 443.
    pub ports: Vec<u16>,
    /// Schemes. Default: `http` alone. A tunnel has none.
    pub schemes: Vec<Scheme>,
    /// The interval at which Prometheus scrapes these targets, as in `targets`.
    pub scrape_interval: PromDuration,
    /// How long these targets may take to answer, as in `targets`.
    pub scrape_timeout: PromDuration,
    /// Size of an exposition after decompression, as in `targets`.
    pub body_size_limit: ByteSize,
    /// The `sample_limit` of the scrape job, as in `targets`.
    pub sample_limit: u32,
    /// The `label_limit` of the scrape job, as in `targets`.
    pub label_limit: u32,
    /// Labels that the scrape job adds to every series, as in `targets`.
    pub target_labels: u32,
}

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

// === impl Scrape ===

impl Default for Scrape {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            allow: Vec::new(),
            allow_connect: Vec::new(),
            upstream: None,
            max_targets: 10_000,
            score_budget: PromDuration::from_millis(50),
            page_sample_limit: 500_000,
            max_concurrent_scrapes: 256,
            max_tunnels: 64,
            tunnel_idle_timeout: PromDuration::from_secs(300),
        }
    }
}

impl Scrape {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        findings.require(self.max_targets > 0, "scrape.max_targets", SectionError::Zero);
        let own = self.targets.len() + usize::from(self.upstream.is_some());
        let cause =
            SectionError::Below(self.max_targets.to_string(), format!("{own}, the targets that are named"));
        findings.require(self.max_targets as usize >= own, "scrape.max_targets", cause);
        let mut names = HashSet::new();
        for (index, target) in self.targets.iter().enumerate() {
            let at = format!("scrape.targets[{index}]");
            let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let is_name = !target.name.is_empty()
                && target.name.chars().all(is_part)
                && target.name.contains(|c| c != '.');
            let cause = SectionError::TargetName(target.name.clone());
            findings.require(is_name, format!("{at}.name"), cause);
            let cause = SectionError::Same(target.name.clone(), "another target".to_owned());
            findings.require(names.insert(&target.name), format!("{at}.name"), cause);
            target.check(&at, findings);
        }
        if let Some(upstream) = &self.upstream {
            upstream.check("scrape.upstream", findings);
        }
        for (list, entries) in [("allow", &self.allow), ("allow_connect", &self.allow_connect)] {
            for (index, entry) in entries.iter().enumerate() {
                entry.check(&format!("scrape.{list}[{index}]"), findings);
            }
        }
    }
}

// === impl Target ===

impl Target {
    /// The target at `url` with every default.
    pub fn at(name: impl Into<String>, url: HttpUrl) -> Self {
        Self {
            name: name.into(),
            url,
            scrape_interval: default_scrape_interval(),
            scrape_timeout: default_scrape_timeout(),
            body_size_limit: default_body_size_limit(),
            sample_limit: 0,
            label_limit: 0,
            target_labels: default_target_labels(),
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            headers: BTreeMap::new(),
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls_config: TlsConfig::default(),
        }
    }

    /// What a client of this target is made from.
    pub fn http_client(&self) -> HttpClientConfig {
        HttpClientConfig {
            basic_auth: self.basic_auth.clone(),
            authorization: self.authorization.clone(),
            oauth2: self.oauth2.clone(),
            tls_config: self.tls_config.clone(),
            ..HttpClientConfig::default()
        }
    }

    fn check(&self, at: &str, findings: &mut Findings) {
        let zero = [
            ("scrape_interval", self.scrape_interval.is_zero()),
            ("scrape_timeout", self.scrape_timeout.is_zero()),
            ("body_size_limit", self.body_size_limit.as_bytes() == 0),
        ];
        for (option, is_zero) in zero {
            findings.require(!is_zero, format!("{at}.{option}"), SectionError::Zero);
        }
        auth::check(&self.http_client(), &self.headers, at, findings);
    }
}

fn default_scrape_interval() -> PromDuration {
    PromDuration::from_secs(60)
}

fn default_scrape_timeout() -> PromDuration {
    PromDuration::from_secs(10)
}

fn default_target_labels() -> u32 {
    2
}

fn default_body_size_limit() -> ByteSize {
    ByteSize::from_mib(32)
}

// === impl Allow ===

impl Default for Allow {
    fn default() -> Self {
        Self {
            hosts: vec![],
            networks: vec![],
            ports: vec![80, 443],
            schemes: vec![Scheme::Http],
            scrape_interval: default_scrape_interval(),
            scrape_timeout: default_scrape_timeout(),
            body_size_limit: default_body_size_limit(),
            sample_limit: 0,
            label_limit: 0,
            target_labels: default_target_labels(),
        }
    }
}

impl Allow {
    fn check(&self, at: &str, findings: &mut Findings) {
        let names_something = !self.hosts.is_empty() || !self.networks.is_empty();
        findings.require(names_something, at, SectionError::AllowsNothing);
        for (index, network) in self.networks.iter().enumerate() {
            let cause = SectionError::BadNetwork(network.clone());
            findings.require(is_network(network), format!("{at}.networks[{index}]"), cause);
        }
        findings.require(!self.ports.contains(&0), format!("{at}.ports"), SectionError::PortZero);
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return text.parse::<IpAddr>().is_ok() };
    let width = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= width)
}
