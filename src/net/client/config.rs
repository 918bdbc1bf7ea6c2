//! How a client authenticates itself and its peer, in Prometheus' spelling.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::{Secret, SecretFile};
use crate::config::sections::HttpUrl;
use crate::net::tls::{TlsError, TlsVersion};

/// The HTTP options of a downstream or of a target. They stand beside the other options of their owner, as
/// in Prometheus; at most one way to authenticate may be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpClientConfig {
    /// User name and password sent with every request. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuthConfig>,
    /// An Authorization header sent with every request. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationConfig>,
    /// A bearer token; the older spelling of `authorization`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Secret>,
    /// A file with a bearer token, read again when it changes; the older spelling of `authorization`.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<SecretFile>,
    /// Tokens fetched with OAuth 2.0 client credentials. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Config>,
    /// Requests signed for Amazon Managed Service for Prometheus. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<SigV4Config>,
    /// Certificates and versions for https. Default: the system's certificate authorities.
    pub tls_config: TlsConfig,
    /// Must be `false`, which is the default: redirects are never followed, since a redirect could carry
    /// samples and credentials to a host that is not in the configuration.
    pub follow_redirects: bool,
}

/// User name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuthConfig {
    /// The user name.
    pub username: String,
    /// The password. Default: empty.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub password: Secret,
    /// A file with the password, read again when it changes, in place of `password`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<SecretFile>,
}

/// An Authorization header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationConfig {
    /// The scheme, which must not be Basic. Default: `Bearer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What follows the scheme. Default: empty.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub credentials: Secret,
    /// A file with what follows the scheme, read again when it changes, in place of `credentials`.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<SecretFile>,
}

/// OAuth 2.0 with the client credentials grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Config {
    /// The client. Required.
    pub client_id: String,
    /// The secret of the client. Excludes `client_secret_file`.
    #[serde(default, skip_serializing_if = "Secret::is_empty")]
    pub client_secret: Secret,
    /// A file that holds the secret; read at every fetch.
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

/// Signing with AWS Signature Version 4 for the service `aps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigV4Config {
    /// The region that the requests are signed for. Default: that of the credentials chain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The access key. Default: that of the credentials chain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// The secret key that belongs to `access_key`.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub secret_key: Secret,
    /// The profile of the shared AWS files to take credentials from. Default: the chain's own choice.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// A role to assume with these credentials. Default: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role_arn: String,
}

/// Certificates and versions for https.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// A PEM file with the certificate authorities that the peer is verified by, read again when it
    /// changes. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate chain, read again when it changes. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the key of `cert_file`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the peer's certificate must have. Default: the host of the URL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Whether any certificate of the peer is accepted. Whoever stands between can then read and change
    /// everything, credentials included. Default: false.
    pub insecure_skip_verify: bool,
    /// The oldest version of TLS: `TLS12` or `TLS13`. Default: `TLS12`.
    pub min_version: TlsVersion,
}

/// Why the options of a client cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// More than one way to authenticate.
    #[error("{0} and {1} exclude each other; keep one way to authenticate")]
    TwoCredentials(&'static str, &'static str),
    /// A secret and its file.
    #[error("{0} and {0}_file exclude each other; keep one of them")]
    SecretTwice(&'static str),
    /// Basic belongs into its own section.
    #[error("type: Basic and basic_auth exclude each other; use basic_auth")]
    BasicAuthorization,
    /// An option that its section cannot do without.
    #[error("{0} is missing; set it, too")]
    Missing(&'static str),
    /// A credential with characters that no header may hold.
    #[error("{0} holds characters that a header must not have")]
    NoHeader(&'static str),
    /// Redirects are never followed.
    #[error("follow_redirects: true is not supported; name the final URL and set it to false")]
    Redirects,
    /// An access key without its secret, or the other way round.
    #[error("access_key or secret_key is missing; leave both out to use the credentials chain")]
    HalfAwsKey,
    /// Built without AWS.
    #[error("sigv4 is not in this binary; build it with the feature s3")]
    NoSigV4,
    /// A certificate without its key, or the other way round.
    #[error("cert_file or key_file is missing; tls_config takes both or none")]
    HalfPair,
    /// The certificates cannot be used.
    #[error("tls_config cannot be used")]
    Tls(#[from] TlsError),
}

/// Collects what is wrong.
#[derive(Debug, Default)]
struct Problems(Vec<(&'static str, ClientConfigError)>);

// === impl AuthorizationConfig ===

impl Default for AuthorizationConfig {
    fn default() -> Self {
        Self { kind: "Bearer".to_owned(), credentials: Secret::default(), credentials_file: None }
    }
}

// === impl OAuth2Config ===

impl OAuth2Config {
    /// The client called `client_id` of the endpoint at `token_url`, with every default.
    pub fn at(client_id: impl Into<String>, token_url: HttpUrl) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: Secret::default(),
            client_secret_file: None,
            token_url,
            scopes: Vec::new(),
            endpoint_params: BTreeMap::new(),
            tls_config: TlsConfig::default(),
        }
    }
}

// === impl HttpClientConfig ===

impl HttpClientConfig {
    /// Checks what can be checked without opening a file.
    ///
    /// # Errors
    ///
    /// The first of [`HttpClientConfig::problems`].
    pub fn check(&self) -> Result<(), ClientConfigError> {
        self.problems().into_iter().next().map_or(Ok(()), |(_, problem)| Err(problem))
    }

    /// All that is wrong, each with the option that it is about.
    pub fn problems(&self) -> Vec<(&'static str, ClientConfigError)> {
        let mut problems = Problems::default();
        self.check_one_way(&mut problems);
        problems.require(!self.follow_redirects, "follow_redirects", ClientConfigError::Redirects);
        if let Some(basic) = &self.basic_auth {
            problems.once("basic_auth", "password", &basic.password, basic.password_file.as_ref());
        }
        if let Some(authorization) = &self.authorization {
            authorization.check(&mut problems);
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.check(&mut problems);
        }
        if let Some(sigv4) = &self.sigv4 {
            let whole = sigv4.access_key.is_empty() == sigv4.secret_key.is_empty();
            problems.require(whole, "sigv4", ClientConfigError::HalfAwsKey);
            problems.require(cfg!(feature = "s3"), "sigv4", ClientConfigError::NoSigV4);
        }
        problems.require(self.tls_config.is_whole(), "tls_config", ClientConfigError::HalfPair);
        problems.0
    }

    fn check_one_way(&self, problems: &mut Problems) {
        let given = [
            ("basic_auth", self.basic_auth.is_some()),
            ("authorization", self.authorization.is_some()),
            ("bearer_token", self.bearer_token.is_some()),
            ("bearer_token_file", self.bearer_token_file.is_some()),
            ("oauth2", self.oauth2.is_some()),
            ("sigv4", self.sigv4.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            problems.0.push((second, ClientConfigError::TwoCredentials(first, second)));
        }
    }
}

impl AuthorizationConfig {
    fn check(&self, problems: &mut Problems) {
        let is_basic = self.kind.trim().eq_ignore_ascii_case("basic");
        problems.require(!is_basic, "authorization", ClientConfigError::BasicAuthorization);
        let file = self.credentials_file.as_ref();
        problems.needed("authorization", "credentials", &self.credentials, file);
    }
}

impl OAuth2Config {
    fn check(&self, problems: &mut Problems) {
        problems.require(!self.client_id.is_empty(), "oauth2", ClientConfigError::Missing("client_id"));
        let file = self.client_secret_file.as_ref();
        problems.needed("oauth2", "client_secret", &self.client_secret, file);
        problems.require(self.tls_config.is_whole(), "oauth2.tls_config", ClientConfigError::HalfPair);
    }
}

impl TlsConfig {
    fn is_whole(&self) -> bool {
        self.cert_file.is_some() == self.key_file.is_some()
    }
}

// === impl Problems ===

impl Problems {
    fn require(&mut self, holds: bool, at: &'static str, problem: ClientConfigError) {
        if !holds {
            self.0.push((at, problem));
        }
    }

    /// A secret is not given both by value and by file.
    fn once(&mut self, at: &'static str, name: &'static str, secret: &Secret, file: Option<&SecretFile>) {
        self.require(file.is_none() || secret.is_empty(), at, ClientConfigError::SecretTwice(name));
    }

    /// A secret is given once.
    fn needed(&mut self, at: &'static str, name: &'static str, secret: &Secret, file: Option<&SecretFile>) {
        self.once(at, name, secret, file);
        self.require(file.is_some() || !secret.is_empty(), at, ClientConfigError::Missing(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> HttpClientConfig {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn prometheus_own_spelling_is_understood() {
        let config = parse(
            "oauth2:\n  client_id: sidelong\n  client_secret_file: /etc/secret\n  token_url: https://idp/token\n  \
             scopes: [write]\n  endpoint_params: {audience: prom}\ntls_config:\n  ca_file: ca.pem\n  min_version: TLS13\n",
        );
        config.check().unwrap();
        assert_eq!(config.oauth2.unwrap().endpoint_params["audience"].expose(), "prom");
        assert_eq!(config.tls_config.min_version, TlsVersion::Tls13);
        let config = parse("authorization:\n  credentials_file: /var/run/token\n");
        assert_eq!(config.authorization.unwrap().kind, "Bearer");
        parse("basic_auth: {username: a, password: b}\nfollow_redirects: false\n").check().unwrap();
    }

    #[test]
    fn what_contradicts_itself_is_an_error_that_names_the_option() {
        let check = |yaml, want: &str| {
            let error = parse(yaml).check().unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        check("basic_auth: {username: a}\nbearer_token: t\n", "basic_auth and bearer_token");
        check("basic_auth: {username: a, password: b, password_file: c}\n", "password_file");
        check("authorization: {type: basic, credentials: b}\n", "use basic_auth");
        check("oauth2: {client_id: a, token_url: 'http://t/'}\n", "client_secret is missing");
        check("authorization: {}\n", "credentials is missing");
        check("follow_redirects: true\n", "follow_redirects");
        check("sigv4: {access_key: a}\n", "secret_key");
        check("tls_config: {cert_file: a}\n", "tls_config");
    }

    #[test]
    fn a_token_endpoint_must_be_named() {
        let error = serde_saphyr::from_str::<HttpClientConfig>("oauth2: {client_id: a}\n").unwrap_err();
        assert!(error.to_string().contains("token_url"), "{error}");
    }

    #[test]
    fn b17_an_unknown_key_is_an_error() {
        for yaml in ["basic_auth: {user: a}\n", "tls_config: {insecure: true}\n", "sigv4: {role: a}\n"] {
            assert!(serde_saphyr::from_str::<HttpClientConfig>(yaml).is_err(), "{yaml}");
        }
    }

    #[test]
    fn b19_secrets_are_in_no_debug_output_and_in_no_status_page() {
        let config = HttpClientConfig {
            basic_auth: Some(BasicAuthConfig { password: Secret::new("canary1"), ..Default::default() }),
            authorization: Some(AuthorizationConfig {
                credentials: Secret::new("canary2"),
                ..Default::default()
            }),
            bearer_token: Some(Secret::new("canary3")),
            oauth2: Some(OAuth2Config {
                client_secret: Secret::new("canary4"),
                ..OAuth2Config::at("c", "http://t/".parse().unwrap())
            }),
            sigv4: Some(SigV4Config { secret_key: Secret::new("canary5"), ..Default::default() }),
            ..Default::default()
        };
        let shown = format!("{config:?} {config:#?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(shown.matches("<secret>").count(), 3 * 5);
    }
}
