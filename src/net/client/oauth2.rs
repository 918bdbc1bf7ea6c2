//! Tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded;

use super::config::{ClientConfigError, HttpClientConfig, OAuth2Config};
use super::credentials::{basic, sensitive};
use super::metrics::ClientMetrics;
use super::{ClientError, ClientLimits, HttpClient, ResponseBody};
use crate::config::secret::{Secret, SecretError};
use crate::net::body::read_bounded;

/// A token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(10);

/// Time that the token endpoint has to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer of a token endpoint, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Fetches tokens and keeps the newest.
#[derive(Debug)]
pub(super) struct TokenSource {
    config: OAuth2Config,
    client: HttpClient,
    /// Held while a token is fetched, so that one fetch serves all who wait.
    token: Mutex<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    header: HeaderValue,
    /// None for a token that does not say.
    expires: Option<Instant>,
}

/// How the client shows its secret. Endpoints differ; the first that works would do, and `Header` is what
/// the standard asks every endpoint to take.
#[derive(Clone, Copy, Debug)]
enum SecretIn {
    Header,
    Body,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

/// Why there is no token. Never holds a secret, nor what the endpoint wrote.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("cannot read the client secret")]
    Secret(#[from] SecretError),
    #[error("token_url is not a URL")]
    Url(#[source] http::Error),
    #[error("the token endpoint cannot be asked")]
    Request(#[from] ClientError),
    #[error("the token endpoint answered {0}")]
    Status(StatusCode),
    #[error("the token endpoint's answer holds no token")]
    Answer,
}

// === impl TokenSource ===

impl TokenSource {
    pub(super) fn new(
        config: OAuth2Config,
        limits: ClientLimits,
        metrics: &Arc<ClientMetrics>,
    ) -> Result<Self, ClientConfigError> {
        let plain = HttpClientConfig { tls_config: config.tls_config.clone(), ..Default::default() };
        let client = HttpClient::new(&plain, limits, Arc::clone(metrics))?;
        Ok(Self { config, client, token: Mutex::new(None) })
    }

    /// The Authorization header by a token that is not about to expire.
    pub(super) async fn header(&self) -> Result<HeaderValue, TokenError> {
        let mut token = self.token.lock().await;
        let now = Instant::now();
        if let Some(token) = &*token
            && token.expires.is_none_or(|expires| now + EARLY < expires)
        {
            return Ok(token.header.clone());
        }
        match (self.fetch().await, &*token) {
            (Ok(new), _) => Ok(token.insert(new).header.clone()),
            // The last seconds of the old one are better than none.
            (Err(_), Some(old)) if old.expires.is_some_and(|expires| now < expires) => Ok(old.header.clone()),
            (Err(error), _) => Err(error),
        }
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        let secret = self.secret().await?;
        let mut answer = self.ask(&secret, SecretIn::Header).await?;
        if answer.status().is_client_error() {
            answer = self.ask(&secret, SecretIn::Body).await?;
        }
        match answer.status() {
            StatusCode::OK => self.token(answer).await,
            status => Err(TokenError::Status(status)),
        }
    }

    async fn secret(&self) -> Result<Secret, TokenError> {
        let Some(file) = self.config.client_secret_file.clone() else {
            return Ok(self.config.client_secret.clone());
        };
        // A panic while reading goes on where the secret is needed.
        let read = tokio::task::spawn_blocking(move || file.read()).await;
        Ok(read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?)
    }

    async fn ask(&self, secret: &Secret, place: SecretIn) -> Result<Response<ResponseBody>, TokenError> {
        let request = self.token_request(secret, place)?;
        // Boxed, since a client's request may fetch a token, which is a client's request.
        Ok(Box::pin(self.client.request(request, TIMEOUT)).await?)
    }

    fn token_request(&self, secret: &Secret, place: SecretIn) -> Result<Request<Full<Bytes>>, TokenError> {
        let mut form = self.form();
        let mut request = Request::post(self.config.token_url.as_uri())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        match place {
            SecretIn::Header => {
                let encoded = Secret::new(urlencoded(secret.expose()));
                let header = sensitive(&basic(&urlencoded(&self.config.client_id), &encoded));
                request = request.header(AUTHORIZATION, header.ok_or(TokenError::Answer)?);
            }
            SecretIn::Body => {
                form.append_pair("client_id", &self.config.client_id);
                form.append_pair("client_secret", secret.expose());
            }
        }
        request.body(Full::new(Bytes::from(form.finish()))).map_err(TokenError::Url)
    }

    fn form(&self) -> form_urlencoded::Serializer<'static, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        for (name, value) in &self.config.endpoint_params {
            form.append_pair(name, value.expose());
        }
        form
    }

    async fn token(&self, answer: Response<ResponseBody>) -> Result<Token, TokenError> {
        let body = read_bounded(answer.into_body(), MAX_ANSWER).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body.bytes).map_err(|_| TokenError::Answer)?;
        let kind = match answer.token_type.as_deref() {
            None => "Bearer",
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => "Bearer",
            Some(kind) => kind,
        };
        let text = format!("{kind} {}", answer.access_token.expose());
        let header = sensitive(&text).ok_or(TokenError::Answer)?;
        let expires = answer.expires_in.as_ref().and_then(seconds).map(|secs| Instant::now() + secs);
        Ok(Token { header, expires })
    }
}

/// The life of a token; some endpoints write the number as a text.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds.min(1e9)).ok())?
}

fn urlencoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
