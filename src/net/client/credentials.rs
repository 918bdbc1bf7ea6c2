//! What a request carries to show who sends it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::ClientLimits;
use super::config::{AuthorizationConfig, BasicAuthConfig, ClientConfigError, HttpClientConfig};
use super::metrics::ClientMetrics;
use super::oauth2::TokenSource;
use crate::config::secret::{Secret, SecretError, SecretFile};
use crate::net::body::BoxError;

/// How long a secret file is trusted not to have changed.
const FILE_AGE: Duration = Duration::from_secs(5);

/// The way one client authenticates.
#[derive(Debug)]
pub(super) enum Credentials {
    /// The request keeps what it has.
    None,
    Fixed(HeaderValue),
    File(FileCredentials),
    OAuth2(Box<TokenSource>),
    #[cfg(feature = "s3")]
    SigV4(crate::aws::Signer),
}

/// A header made from a file that may change.
#[derive(Debug)]
pub(super) struct FileCredentials {
    scheme: Scheme,
    file: SecretFile,
    metrics: Arc<ClientMetrics>,
    /// Held for a copy only.
    read: Mutex<Option<(Instant, HeaderValue)>>,
}

/// How a secret becomes a header.
#[derive(Clone, Debug)]
enum Scheme {
    Basic { username: String },
    Token { kind: String },
}

/// Why a header could not be made from a file.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the secret file {0} holds characters that a header must not have")]
    NoHeader(std::path::PathBuf),
}

// === impl Credentials ===

impl Credentials {
    pub(super) fn new(
        config: &HttpClientConfig,
        limits: &ClientLimits,
        metrics: &Arc<ClientMetrics>,
    ) -> Result<Self, ClientConfigError> {
        config.check()?;
        let bearer = |credentials, credentials_file| AuthorizationConfig {
            credentials,
            credentials_file,
            ..AuthorizationConfig::default()
        };
        if let Some(basic) = &config.basic_auth {
            return Self::basic(basic, metrics);
        }
        if let Some(authorization) = &config.authorization {
            return Self::authorization(authorization, metrics);
        }
        if let Some(token) = &config.bearer_token {
            return Self::authorization(&bearer(token.clone(), None), metrics);
        }
        if let Some(file) = &config.bearer_token_file {
            return Self::authorization(&bearer(Secret::default(), Some(file.clone())), metrics);
        }
        if let Some(oauth2) = &config.oauth2 {
            let tokens = TokenSource::new(oauth2.clone(), limits.clone(), metrics)?;
            return Ok(Self::OAuth2(Box::new(tokens)));
        }
        #[cfg(feature = "s3")]
        if let Some(sigv4) = &config.sigv4 {
            return Ok(Self::SigV4(crate::aws::Signer::new(sigv4.clone())));
        }
        Ok(Self::None)
    }

    fn basic(config: &BasicAuthConfig, metrics: &Arc<ClientMetrics>) -> Result<Self, ClientConfigError> {
        let scheme = Scheme::Basic { username: config.username.clone() };
        Self::of(scheme, &config.password, config.password_file.as_ref(), "basic_auth", metrics)
    }

    fn authorization(
        config: &AuthorizationConfig,
        metrics: &Arc<ClientMetrics>,
    ) -> Result<Self, ClientConfigError> {
        let scheme = Scheme::Token { kind: config.kind.trim().to_owned() };
        Self::of(scheme, &config.credentials, config.credentials_file.as_ref(), "authorization", metrics)
    }

    fn of(
        scheme: Scheme,
        secret: &Secret,
        file: Option<&SecretFile>,
        section: &'static str,
        metrics: &Arc<ClientMetrics>,
    ) -> Result<Self, ClientConfigError> {
        match file {
            Some(file) => Ok(Self::File(FileCredentials {
                scheme,
                file: file.clone(),
                metrics: Arc::clone(metrics),
                read: Mutex::new(None),
            })),
            None => scheme.header(secret).map(Self::Fixed).ok_or(ClientConfigError::NoHeader(section)),
        }
    }

    /// Puts the credentials into `request`, in place of any that it has.
    pub(super) async fn apply(&self, request: &mut Request<Full<bytes::Bytes>>) -> Result<(), BoxError> {
        let header = match self {
            Self::None => return Ok(()),
            Self::Fixed(header) => header.clone(),
            Self::File(file) => file.header().await?,
            Self::OAuth2(tokens) => tokens.header().await?,
            #[cfg(feature = "s3")]
            Self::SigV4(signer) => return Ok(signer.sign(request).await?),
        };
        request.headers_mut().insert(AUTHORIZATION, header);
        Ok(())
    }
}

// === impl Scheme ===

impl Scheme {
    /// The header, marked so that it shows in no debug output; none if the secret cannot stand in one.
    fn header(&self, secret: &Secret) -> Option<HeaderValue> {
        let text = match self {
            Self::Basic { username } => basic(username, secret),
            Self::Token { kind } => format!("{kind} {}", secret.expose()),
        };
        sensitive(&text)
    }
}

/// The credentials of the Basic scheme.
pub(super) fn basic(username: &str, password: &Secret) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose())))
}

/// A header value that hides itself from debug output; none if `text` cannot stand in a header.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

// === impl FileCredentials ===

impl FileCredentials {
    /// The header by the newest file that could be read.
    async fn header(&self) -> Result<HeaderValue, FileError> {
        let old = self.read.lock().clone();
        match old {
            Some((read, header)) if read.elapsed() < FILE_AGE => Ok(header),
            old => self.read_again(old.map(|(_, header)| header)).await,
        }
    }

    async fn read_again(&self, old: Option<HeaderValue>) -> Result<HeaderValue, FileError> {
        let file = self.file.clone();
        // A panic while reading goes on where the secret is needed.
        let read = tokio::task::spawn_blocking(move || file.read())
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let header = match (self.header_of(read), old) {
            (Ok(header), _) => header,
            (Err(error), Some(old)) => {
                self.metrics.file_errors.inc();
                warn!(%error, "kept the old secret of a client");
                old
            }
            (Err(error), None) => return Err(error),
        };
        *self.read.lock() = Some((Instant::now(), header.clone()));
        Ok(header)
    }

    fn header_of(&self, read: Result<Secret, SecretError>) -> Result<HeaderValue, FileError> {
        self.scheme.header(&read?).ok_or_else(|| FileError::NoHeader(self.file.path().to_owned()))
    }
}
