//! From credentials as they are configured to what a client is made from.

use super::auth::Credentials;
use super::{Authorization, BasicAuth, OAuth2, SigV4, TlsConfig, TlsVersion};
use crate::net::client::{
    AuthorizationConfig, BasicAuthConfig, HttpClientConfig, OAuth2Config, SigV4Config, TlsConfig as ClientTls,
};
use crate::net::tls::TlsVersion as ClientTlsVersion;

// === impl Credentials ===

impl Credentials<'_> {
    /// What a client with these credentials is made from.
    pub(super) fn http_client(&self) -> HttpClientConfig {
        HttpClientConfig {
            basic_auth: self.basic_auth.map(Into::into),
            authorization: self.authorization.map(Into::into),
            oauth2: self.oauth2.map(Into::into),
            sigv4: self.sigv4.map(Into::into),
            tls_config: self.tls_config.into(),
            ..HttpClientConfig::default()
        }
    }
}

impl From<&BasicAuth> for BasicAuthConfig {
    fn from(given: &BasicAuth) -> Self {
        Self {
            username: given.username.clone(),
            password: given.password.clone().unwrap_or_default(),
            password_file: given.password_file.clone(),
        }
    }
}

impl From<&Authorization> for AuthorizationConfig {
    fn from(given: &Authorization) -> Self {
        Self {
            kind: given.scheme.clone(),
            credentials: given.credentials.clone().unwrap_or_default(),
            credentials_file: given.credentials_file.clone(),
        }
    }
}

impl From<&OAuth2> for OAuth2Config {
    fn from(given: &OAuth2) -> Self {
        let params = given.endpoint_params.iter();
        Self {
            client_id: given.client_id.clone(),
            client_secret: given.client_secret.clone().unwrap_or_default(),
            client_secret_file: given.client_secret_file.clone(),
            token_url: given.token_url.as_url().to_string(),
            scopes: given.scopes.clone(),
            endpoint_params: params.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            tls_config: (&given.tls_config).into(),
        }
    }
}

impl From<&SigV4> for SigV4Config {
    fn from(given: &SigV4) -> Self {
        Self {
            region: given.region.clone().unwrap_or_default(),
            access_key: given.access_key.clone().unwrap_or_default(),
            secret_key: given.secret_key.clone().unwrap_or_default(),
            profile: given.profile.clone().unwrap_or_default(),
            role_arn: given.role_arn.clone().unwrap_or_default(),
        }
    }
}

impl From<&TlsConfig> for ClientTls {
    fn from(given: &TlsConfig) -> Self {
        Self {
            ca_file: given.ca_file.clone(),
            cert_file: given.cert_file.clone(),
            key_file: given.key_file.clone(),
            server_name: given.server_name.clone().unwrap_or_default(),
            insecure_skip_verify: given.insecure_skip_verify,
            min_version: match given.min_version {
                TlsVersion::Tls12 => ClientTlsVersion::Tls12,
                TlsVersion::Tls13 => ClientTlsVersion::Tls13,
            },
        }
    }
}
