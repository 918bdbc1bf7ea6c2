//! `downstream` and `tenants`: where samples are forwarded to.

use std::collections::BTreeMap;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Header, HttpUrl, SectionError, auth};
use crate::config::secret::Secret;
use crate::config::units::{ByteSize, PromDuration};
use crate::net::client::{
    AuthorizationConfig, BasicAuthConfig, HttpClientConfig, OAuth2Config, SigV4Config, TlsConfig,
};

/// The receiver that gets every request as it came, and the scores in requests of their own. Without this
/// section Sidelong runs in loop-back mode: it keeps the newest scores at `/scores`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Downstream {
    /// The remote-write endpoint, such as `http://prometheus:9090/api/v1/write`. Required.
    pub url: HttpUrl,
    /// How long the downstream may take to answer. A later answer is a 504 for the sender.
    #[serde(default = "default_timeout")]
    pub timeout: PromDuration,
    /// How long a connection to the downstream may take, TLS included.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: PromDuration,
    /// The most that is read of an answer's body; what is longer is cut.
    #[serde(default = "default_response_size")]
    pub max_response_size: ByteSize,
    /// The remote-write version of score requests: `auto` (2.0 where the downstream takes it), `1.0` or
    /// `2.0`. Samples travel in the version in which they came.
    #[serde(default)]
    pub protocol: Protocol,
    /// Headers that are added to every request, or take the place of the sender's.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// User and password. Credentials given here take the place of the sender's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuthConfig>,
    /// An `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationConfig>,
    /// OAuth 2.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Config>,
    /// AWS Signature Version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<SigV4Config>,
    /// TLS towards the downstream.
    #[serde(default)]
    pub tls_config: TlsConfig,
}

/// A version of remote write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// 2.0 where the downstream takes it, else 1.0.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Remote write 1.0.
    #[serde(rename = "1.0")]
    V1,
    /// Remote write 2.0.
    #[serde(rename = "2.0")]
    V2,
}

/// How the tenants of the push door are told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tenants {
    /// The header that names the tenant. Series of equal labels in two tenants are two series, and a score
    /// request carries the scores of one tenant only.
    pub header: Header,
}

// === impl Downstream ===

impl Downstream {
    /// The downstream at `url` with every default.
    pub fn at(url: HttpUrl) -> Self {
        Self {
            url,
            timeout: default_timeout(),
            connect_timeout: default_connect_timeout(),
            max_response_size: default_response_size(),
            protocol: Protocol::Auto,
            headers: BTreeMap::new(),
            basic_auth: None,
            authorization: None,
            oauth2: None,
            sigv4: None,
            tls_config: TlsConfig::default(),
        }
    }

    /// What the client of the downstream is made from.
    pub fn http_client(&self) -> HttpClientConfig {
        HttpClientConfig {
            basic_auth: self.basic_auth.clone(),
            authorization: self.authorization.clone(),
            oauth2: self.oauth2.clone(),
            sigv4: self.sigv4.clone(),
            tls_config: self.tls_config.clone(),
            ..HttpClientConfig::default()
        }
    }

    /// Whether `other` is the same receiver in the same role: its address, who we are to it, and how we speak.
    pub fn is_same_receiver(&self, other: &Self) -> bool {
        let role = |of: &Self| {
            (
                of.protocol,
                of.basic_auth.clone(),
                of.authorization.clone(),
                of.oauth2.clone(),
                of.sigv4.clone(),
            )
        };
        self.url == other.url && self.headers == other.headers && role(self) == role(other)
    }

    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        findings.require(!self.timeout.is_zero(), "downstream.timeout", SectionError::Zero);
        findings.require(!self.connect_timeout.is_zero(), "downstream.connect_timeout", SectionError::Zero);
        auth::check(&self.http_client(), &self.headers, "downstream", findings);
    }
}

fn default_timeout() -> PromDuration {
    PromDuration::from_secs(30)
}

fn default_response_size() -> ByteSize {
    ByteSize::from_kib(64)
}

fn default_connect_timeout() -> PromDuration {
    PromDuration::from_secs(5)
}

// === impl Tenants ===

impl Default for Tenants {
    fn default() -> Self {
        Self { header: Header::known(HeaderName::from_static("x-scope-orgid")) }
    }
}
