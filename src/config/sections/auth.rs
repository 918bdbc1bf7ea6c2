//! Credentials and TLS of outgoing requests, spelled as Prometheus spells them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, HttpUrl, SectionError};
use crate::config::secret::{Secret, SecretFile};

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password. Excludes `password_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file that holds the password; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<SecretFile>,
}

/// An `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The scheme that stands before the credentials.
    #[serde(rename = "type")]
    pub scheme: String,
    /// The credentials. Excludes `credentials_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// A file that holds the credentials; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<SecretFile>,
}

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

/// AWS Signature Version 4, as Amazon Managed Service for Prometheus asks for it. Without keys the usual
/// chain applies: environment, profile, web identity, container, instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigV4 {
    /// The AWS region. Default: the one of the credential chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The access key; needs `secret_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// The secret key; needs `access_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<Secret>,
    /// The named profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A role to assume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
}

/// TLS of outgoing connections. Files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates (PEM) that the server's must be signed by. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The client's certificate (PEM); needs `key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// The client's key (PEM); needs `cert_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have. Default: the host of the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Takes any certificate. Whoever can reach the connection can then read and change it.
    pub insecure_skip_verify: bool,
    /// The oldest version of TLS that is spoken: `TLS12` or `TLS13`.
    pub min_version: TlsVersion,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// The one way in which requests are authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth<'a> {
    /// By nothing but perhaps the client's certificate.
    None,
    /// By user and password.
    Basic(&'a BasicAuth),
    /// By a token or another header value.
    Authorization(&'a Authorization),
    /// By a token that is fetched.
    OAuth2(&'a OAuth2),
    /// By a signature.
    SigV4(&'a SigV4),
}

/// What the sections with credentials have in common, for their check.
pub(super) struct Credentials<'a> {
    pub(super) basic_auth: Option<&'a BasicAuth>,
    pub(super) authorization: Option<&'a Authorization>,
    pub(super) oauth2: Option<&'a OAuth2>,
    pub(super) sigv4: Option<&'a SigV4>,
    pub(super) tls_config: &'a TlsConfig,
    pub(super) headers: &'a BTreeMap<String, Secret>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self { scheme: "Bearer".to_owned(), credentials: None, credentials_file: None }
    }
}

// === impl Credentials ===

impl<'a> Credentials<'a> {
    /// The one that is set; [`Credentials::check`] has seen that there are not two.
    pub(super) fn auth(&self) -> Auth<'a> {
        let basic = self.basic_auth.map(Auth::Basic);
        let authorization = self.authorization.map(Auth::Authorization);
        let oauth2 = self.oauth2.map(Auth::OAuth2);
        let sigv4 = self.sigv4.map(Auth::SigV4);
        basic.or(authorization).or(oauth2).or(sigv4).unwrap_or(Auth::None)
    }

    /// Checks everything below `path`.
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        self.check_only_one(path, findings);
        if let Some(basic) = self.basic_auth {
            let at = format!("{path}.basic_auth");
            findings.require(!basic.username.is_empty(), &at, SectionError::Missing("username"));
            let both = (basic.password.is_some(), basic.password_file.is_some());
            exclusive(&at, both, "password", "password_file", false, findings);
        }
        if let Some(authorization) = self.authorization {
            let at = format!("{path}.authorization");
            let is_basic = authorization.scheme.eq_ignore_ascii_case("basic");
            findings.require(!is_basic, &at, SectionError::Exclusive("type: Basic", "basic_auth"));
            let both = (authorization.credentials.is_some(), authorization.credentials_file.is_some());
            exclusive(&at, both, "credentials", "credentials_file", true, findings);
        }
        if let Some(oauth2) = self.oauth2 {
            oauth2.check(&format!("{path}.oauth2"), findings);
        }
        if let Some(sigv4) = self.sigv4 {
            let at = format!("{path}.sigv4");
            let whole = sigv4.access_key.is_some() == sigv4.secret_key.is_some();
            findings.require(whole, at, SectionError::Missing("access_key or secret_key"));
        }
        self.tls_config.check(&format!("{path}.tls_config"), findings);
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
        self.tls_config.check(&format!("{at}.tls_config"), findings);
    }
}

// === impl TlsConfig ===

impl TlsConfig {
    fn check(&self, at: &str, findings: &mut Findings) {
        let whole = self.cert_file.is_some() == self.key_file.is_some();
        findings.require(whole, at, SectionError::Missing("cert_file or key_file"));
    }
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
