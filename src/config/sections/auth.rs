//! Credentials and TLS of outgoing requests, spelled as Prometheus spells them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, HttpUrl, SectionError};
use crate::config::secret::{Secret, SecretFile};
use crate::net::client::{
    AuthorizationConfig, BasicAuthConfig, HttpClientConfig, OAuth2Config, SigV4Config, TlsConfig,
};

/// OAuth 2.0 with the client credentials grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// The client. Required.
    pub client_id: String,
    /// The secret of the client. Excludes `client_secret_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// A file that holds the secret; read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<SecretFile>,
    /// Where the token is fetched. Required.
    pub token_url: HttpUrl,
    /// The scopes that are asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further parameters of the token request.
    #[serde(default)]
    pub endpoint_params: BTreeMap<String, Secret>,
    /// TLS of the token request.
    #[serde(default)]
    pub tls_config: TlsConfig,
}

/// What the sections with credentials have in common, for their check.
pub(super) struct Credentials<'a> {
    pub(super) basic_auth: Option<&'a BasicAuthConfig>,
    pub(super) authorization: Option<&'a AuthorizationConfig>,
    pub(super) oauth2: Option<&'a OAuth2>,
    pub(super) sigv4: Option<&'a SigV4Config>,
    pub(super) tls_config: &'a TlsConfig,
    pub(super) headers: &'a BTreeMap<String, Secret>,
}

// === impl Credentials ===

impl Credentials<'_> {
    /// What a client with these credentials is made from.
    pub(super) fn http_client(&self) -> HttpClientConfig {
        HttpClientConfig {
            basic_auth: self.basic_auth.cloned(),
            authorization: self.authorization.cloned(),
            oauth2: self.oauth2.map(Into::into),
            sigv4: self.sigv4.cloned(),
            tls_config: self.tls_config.clone(),
            ..HttpClientConfig::default()
        }
    }

    /// Checks everything below `path`.
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        self.check_only_one(path, findings);
        if let Some(basic) = self.basic_auth {
            let at = format!("{path}.basic_auth");
            findings.require(!basic.username.is_empty(), &at, SectionError::Missing("username"));
            let both = (!basic.password.is_empty(), basic.password_file.is_some());
            exclusive(&at, both, "password", "password_file", false, findings);
        }
        if let Some(authorization) = self.authorization {
            let at = format!("{path}.authorization");
            let is_basic = authorization.kind.trim().eq_ignore_ascii_case("basic");
            findings.require(!is_basic, &at, SectionError::Exclusive("type: Basic", "basic_auth"));
            let both = (!authorization.credentials.is_empty(), authorization.credentials_file.is_some());
            exclusive(&at, both, "credentials", "credentials_file", true, findings);
        }
        if let Some(oauth2) = self.oauth2 {
            oauth2.check(&format!("{path}.oauth2"), findings);
        }
        if let Some(sigv4) = self.sigv4 {
            let at = format!("{path}.sigv4");
            let whole = sigv4.access_key.is_empty() == sigv4.secret_key.is_empty();
            findings.require(whole, at, SectionError::Missing("access_key or secret_key"));
        }
        check_tls(self.tls_config, &format!("{path}.tls_config"), findings);
        check_headers(self.headers, path, findings);
    }

    fn check_only_one(&self, path: &str, findings: &mut Findings) {
        let all = [
            ("basic_auth", self.basic_auth.is_some()),
            ("authorization", self.authorization.is_some()),
            ("oauth2", self.oauth2.is_some()),
            ("sigv4", self.sigv4.is_some()),
        ];
        let mut set = all.into_iter().filter_map(|(option, is_set)| is_set.then_some(option));
        if let (Some(first), Some(second)) = (set.next(), set.next()) {
            findings.add(format!("{path}.{second}"), SectionError::Exclusive(first, second));
        }
    }
}

// === impl OAuth2 ===

impl OAuth2 {
    fn check(&self, at: &str, findings: &mut Findings) {
        findings.require(!self.client_id.is_empty(), at, SectionError::Missing("client_id"));
        let both = (self.client_secret.is_some(), self.client_secret_file.is_some());
        exclusive(at, both, "client_secret", "client_secret_file", true, findings);
        check_tls(&self.tls_config, &format!("{at}.tls_config"), findings);
    }
}

impl From<&OAuth2> for OAuth2Config {
    fn from(given: &OAuth2) -> Self {
        Self {
            client_id: given.client_id.clone(),
            client_secret: given.client_secret.clone().unwrap_or_default(),
            client_secret_file: given.client_secret_file.clone(),
            token_url: given.token_url.as_url().to_string(),
            scopes: given.scopes.clone(),
            endpoint_params: given.endpoint_params.clone(),
            tls_config: given.tls_config.clone(),
        }
    }
}

fn check_tls(tls: &TlsConfig, at: &str, findings: &mut Findings) {
    let whole = tls.cert_file.is_some() == tls.key_file.is_some();
    findings.require(whole, at, SectionError::Missing("cert_file or key_file"));
}

/// A secret is given in the file or by a file of its own, not both; where it is `needed`, by one.
fn exclusive(
    at: &str,
    (value, file): (bool, bool),
    value_option: &'static str,
    file_option: &'static str,
    needed: bool,
    findings: &mut Findings,
) {
    findings.require(!(value && file), at, SectionError::Exclusive(value_option, file_option));
    findings.require(value || file || !needed, at, SectionError::Missing(value_option));
}

fn check_headers(headers: &BTreeMap<String, Secret>, path: &str, findings: &mut Findings) {
    for (name, value) in headers {
        let at = format!("{path}.headers.{name}");
        match name.to_ascii_lowercase().as_str() {
            "authorization" => {
                let cause = "use authorization or basic_auth";
                findings.add(&at, SectionError::ReservedHeader(name.clone(), cause));
            }
            "host"
            | "content-type"
            | "content-encoding"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "user-agent"
            | "x-prometheus-remote-write-version" => {
                let cause = "Sidelong sets it or passes on the sender's";
                findings.add(&at, SectionError::ReservedHeader(name.clone(), cause));
            }
            _ => {}
        }
        let is_header = http::HeaderName::try_from(name.as_str()).is_ok()
            && http::HeaderValue::from_str(value.expose()).is_ok();
        if !is_header {
            findings.add(&at, "this is not an HTTP header; use visible ASCII characters");
        }
    }
}
