//! How a client authenticates itself and its peer, in Prometheus' spelling.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::{Secret, SecretFile};
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

/// OAuth 2.0 client credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth2Config {
    /// The client's public name.
    pub client_id: String,
    /// The client's secret. Default: empty.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub client_secret: Secret,
    /// A file with the client's secret, read at every fetch, in place of `client_secret`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<SecretFile>,
    /// Where tokens are fetched.
    pub token_url: String,
    /// The scopes asked for. Default: none.
    pub scopes: Vec<String>,
    /// Further parameters of the token request. Default: none.
    pub endpoint_params: BTreeMap<String, Secret>,
    /// Certificates and versions for the token endpoint. Default: the system's certificate authorities.
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
    #[error("{0} and {1} are both given; keep one way to authenticate")]
    TwoCredentials(&'static str, &'static str),
    /// A secret and its file.
    #[error("{0} and {0}_file are both given; keep one of them")]
    SecretTwice(&'static str),
    /// Basic belongs into its own section.
    #[error("authorization type must not be Basic; use basic_auth")]
    BasicAuthorization,
    /// An option that its section cannot do without.
    #[error("{section} needs {option}")]
    Missing {
        /// The section.
        section: &'static str,
        /// The option.
        option: &'static str,
    },
    /// A credential with characters that no header may hold.
    #[error("{0} holds characters that a header must not have")]
    NoHeader(&'static str),
    /// Redirects are never followed.
    #[error("follow_redirects: true is not supported; name the final URL and set it to false")]
    Redirects,
    /// An access key without its secret, or the other way round.
    #[error("sigv4 needs access_key and secret_key together; leave both out to use the credentials chain")]
    HalfAwsKey,
    /// Built without AWS.
    #[error("sigv4 is not in this binary; build it with the feature s3")]
    NoSigV4,
    /// The certificates cannot be used.
    #[error("tls_config cannot be used")]
    Tls(#[from] TlsError),
}

// === impl AuthorizationConfig ===

impl Default for AuthorizationConfig {
    fn default() -> Self {
        Self { kind: "Bearer".to_owned(), credentials: Secret::default(), credentials_file: None }
    }
}

// === impl HttpClientConfig ===

impl HttpClientConfig {
    /// Checks what can be checked without opening a file.
    ///
    /// # Errors
    ///
    /// [`ClientConfigError`], naming the option.
    pub fn check(&self) -> Result<(), ClientConfigError> {
        self.check_one_way()?;
        if self.follow_redirects {
            return Err(ClientConfigError::Redirects);
        }
        if let Some(basic) = &self.basic_auth {
            once("password", &basic.password, basic.password_file.as_ref())?;
        }
        if let Some(authorization) = &self.authorization {
            authorization.check()?;
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.check()?;
        }
        self.sigv4.as_ref().map_or(Ok(()), SigV4Config::check)?;
        self.tls_config.check()
    }

    fn check_one_way(&self) -> Result<(), ClientConfigError> {
        let given = [
            ("basic_auth", self.basic_auth.is_some()),
            ("authorization", self.authorization.is_some()),
            ("bearer_token", self.bearer_token.is_some()),
            ("bearer_token_file", self.bearer_token_file.is_some()),
            ("oauth2", self.oauth2.is_some()),
            ("sigv4", self.sigv4.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        match (given.next(), given.next()) {
            (Some(first), Some(second)) => Err(ClientConfigError::TwoCredentials(first, second)),
            _ => Ok(()),
        }
    }
}

impl AuthorizationConfig {
    fn check(&self) -> Result<(), ClientConfigError> {
        if self.kind.trim().eq_ignore_ascii_case("basic") {
            return Err(ClientConfigError::BasicAuthorization);
        }
        once("credentials", &self.credentials, self.credentials_file.as_ref())
    }
}

impl OAuth2Config {
    fn check(&self) -> Result<(), ClientConfigError> {
        let missing = |option| ClientConfigError::Missing { section: "oauth2", option };
        if self.client_id.is_empty() {
            return Err(missing("client_id"));
        }
        if self.token_url.is_empty() {
            return Err(missing("token_url"));
        }
        once("client_secret", &self.client_secret, self.client_secret_file.as_ref())?;
        self.tls_config.check()
    }
}

impl SigV4Config {
    fn check(&self) -> Result<(), ClientConfigError> {
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            return Err(ClientConfigError::HalfAwsKey);
        }
        if cfg!(feature = "s3") { Ok(()) } else { Err(ClientConfigError::NoSigV4) }
    }
}

impl TlsConfig {
    fn check(&self) -> Result<(), ClientConfigError> {
        match (&self.cert_file, &self.key_file) {
            (None, None) | (Some(_), Some(_)) => Ok(()),
            _ => Err(TlsError::HalfPair.into()),
        }
    }
}

/// An error if a secret is given by value and by file.
fn once(name: &'static str, secret: &Secret, file: Option<&SecretFile>) -> Result<(), ClientConfigError> {
    if file.is_some() && !secret.is_empty() { Err(ClientConfigError::SecretTwice(name)) } else { Ok(()) }
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
        check("oauth2: {client_id: a}\n", "token_url");
        check("follow_redirects: true\n", "follow_redirects");
        check("sigv4: {access_key: a}\n", "secret_key");
        check("tls_config: {cert_file: a}\n", "tls_config");
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
            oauth2: Some(OAuth2Config { client_secret: Secret::new("canary4"), ..Default::default() }),
            sigv4: Some(SigV4Config { secret_key: Secret::new("canary5"), ..Default::default() }),
            ..Default::default()
        };
        let shown = format!("{config:?} {config:#?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(shown.matches("<secret>").count(), 3 * 5);
    }
}
