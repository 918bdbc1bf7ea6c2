//! The client that every outgoing request goes through: pooled, bounded, and honest about failures.
//!
//! A request is never repeated, with one exception: on a kept-alive connection that the peer closed before
//! a single byte of the answer, it is sent once more on a fresh connection (F-7). That is the race every
//! HTTP/1.1 client has with a server's idle timeout, and the only failure of which a second try is safe
//! to expect something else.
//!
//! A connection is driven by whoever waits for its answer, not by a task of its own: an answer needs no
//! hop between threads, and an idle connection costs nothing.

mod body;
mod config;
mod connect;
mod connection;
mod credentials;
mod metrics;
mod oauth2;
mod pool;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;

pub use body::ResponseBody;
pub use config::{
    AuthorizationConfig, BasicAuthConfig, ClientConfigError, HttpClientConfig, OAuth2Config, SigV4Config,
    TlsConfig,
};
pub use metrics::ClientMetrics;

use crate::net::body::BoxError;
use connect::Connector;
use connection::{Connection, Sent};
use credentials::Credentials;
use pool::{Key, Pool};

/// Sends requests; a clone shares the connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

/// How connections are made and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Time for name look-up, connect and TLS handshake together. Default: 5 s.
    pub connect_timeout: Duration,
    /// Time that sent bytes may stay unacknowledged, and that a silent peer gets (`TCP_USER_TIMEOUT` and
    /// keepalive). Default: 10 s.
    pub dead_peer_timeout: Duration,
    /// Time that an unused connection is kept. Default: 60 s.
    pub idle_timeout: Duration,
    /// Unused connections kept for each host. Default: 64.
    pub max_idle_per_host: usize,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The request cannot be sent to its target at all.
    #[error("cannot send a request to {target}: {reason}")]
    Invalid {
        /// Scheme and host of the request.
        target: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection could be made: no such name, nobody listens, no route. Nothing was sent.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The TLS handshake failed. Nothing was sent.
    #[error("the TLS handshake with {host} failed")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong.
        #[source]
        source: BoxError,
    },
    /// The connection ended, or spoke no HTTP, before the answer was complete.
    #[error("the answer of {host} was cut short")]
    Cut {
        /// Host and port.
        host: String,
        /// What hyper said.
        #[source]
        source: BoxError,
    },
    /// The answer did not begin in time.
    #[error("{host} did not answer within {timeout:?}")]
    Late {
        /// Host and port.
        host: String,
        /// The time it had.
        timeout: Duration,
    },
    /// The credentials for the request are not to be had.
    #[error("cannot authenticate to {host}")]
    Auth {
        /// Host and port.
        host: String,
        /// What is wrong; never holds a secret.
        #[source]
        source: BoxError,
    },
}

#[derive(Debug)]
struct Shared {
    credentials: Credentials,
    connector: Connector,
    pool: Arc<Pool>,
    metrics: Arc<ClientMetrics>,
}

/// A request in origin form, and where it goes.
struct Outgoing {
    key: Key,
    request: Request<Full<Bytes>>,
}

// === impl ClientLimits ===

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            dead_peer_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_idle_per_host: 64,
        }
    }
}

// === impl HttpClient ===

impl HttpClient {
    /// A client that authenticates itself and its peers by `config`.
    ///
    /// Certificates are read here and again when they change; tokens are read or fetched when a request
    /// needs them.
    ///
    /// # Errors
    ///
    /// [`ClientConfigError`] if the options contradict each other or certificates cannot be used.
    pub fn new(
        config: &HttpClientConfig,
        limits: ClientLimits,
        metrics: Arc<ClientMetrics>,
    ) -> Result<Self, ClientConfigError> {
        let credentials = Credentials::new(config, &limits, &metrics)?;
        let pool = Pool::new(limits.idle_timeout, limits.max_idle_per_host);
        let tls = tls::ClientTls::new(config.tls_config.clone(), Arc::clone(&metrics))?;
        let connector = Connector::new(limits, tls);
        Ok(Self { shared: Arc::new(Shared { credentials, connector, pool, metrics }) })
    }

    /// Sends `request` and waits at most `timeout` for the head of the answer.
    ///
    /// The target is an absolute http or https URI, and the `Host` header is made from it. Credentials of
    /// the configuration replace an Authorization of the request. The body of the answer streams; its
    /// connection goes back to the pool when the body has been read to its end.
    ///
    /// # Errors
    ///
    /// [`ClientError`], after at most one repetition (F-7).
    pub async fn request(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Response<ResponseBody>, ClientError> {
        self.send(Outgoing::new(request)?, timeout).await
    }

    /// As [`HttpClient::request`], but connects to `address`, which the caller resolved and allowed, and
    /// looks no name up. TLS verifies the host of the URI all the same.
    ///
    /// # Errors
    ///
    /// As [`HttpClient::request`].
    pub async fn request_to(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Response<ResponseBody>, ClientError> {
        let mut outgoing = Outgoing::new(request)?;
        outgoing.key.address = Some(address);
        self.send(outgoing, timeout).await
    }

    async fn send(
        &self,
        outgoing: Outgoing,
        timeout: Duration,
    ) -> Result<Response<ResponseBody>, ClientError> {
        // The name is needed for the error alone, which is rare; a clone of it is a counter.
        let key = outgoing.key.clone();
        match tokio::time::timeout(timeout, self.shared.exchange(outgoing)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Late { host: key.host().to_owned(), timeout }),
        }
    }
}

// === impl Shared ===

impl Shared {
    async fn exchange(&self, outgoing: Outgoing) -> Result<Response<ResponseBody>, ClientError> {
        let Outgoing { key, mut request } = outgoing;
        let applied = self.credentials.apply(&mut request).await;
        applied.map_err(|source| ClientError::Auth { host: key.host().to_owned(), source })?;
        let again = match self.pool.take(&key).await {
            None => request,
            Some(mut kept) => {
                let again = request.clone();
                match kept.send(request).await {
                    Sent::Answer(answer) => return Ok(self.hand_over(answer, kept, key).await),
                    Sent::Nothing => {
                        self.metrics.repeated.inc();
                        again
                    }
                    Sent::Cut(source) => return Err(cut(&key, source)),
                }
            }
        };
        let mut fresh = self.connect(&key).await?;
        match fresh.send(again).await {
            Sent::Answer(answer) => Ok(self.hand_over(answer, fresh, key).await),
            Sent::Nothing => Err(cut(&key, "the connection was closed before any answer".into())),
            Sent::Cut(source) => Err(cut(&key, source)),
        }
    }

    async fn connect(&self, key: &Key) -> Result<Box<Connection>, ClientError> {
        self.metrics.connects.inc();
        let connected = self.connector.connect(key).await;
        if connected.is_err() {
            self.metrics.connect_errors.inc();
        }
        connected
    }

    /// Joins the answer with the connection that carries the rest of it.
    async fn hand_over(
        &self,
        answer: Response<hyper::body::Incoming>,
        connection: Box<Connection>,
        key: Key,
    ) -> Response<ResponseBody> {
        let (head, body) = answer.into_parts();
        let body = ResponseBody::new(body, connection, key, Arc::clone(&self.pool)).await;
        Response::from_parts(head, body)
    }
}

fn cut(key: &Key, source: BoxError) -> ClientError {
    ClientError::Cut { host: key.host().to_owned(), source }
}

// === impl Outgoing ===

impl Outgoing {
    fn new(request: Request<Full<Bytes>>) -> Result<Self, ClientError> {
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri).into_parts();
        let key = key_of(uri.scheme.as_ref(), uri.authority)?;
        parts.uri = origin_form(uri.path_and_query);
        let host = HeaderValue::from_str(key.host())
            .map_err(|_| invalid(key.host(), "the host is not a header value"))?;
        parts.headers.insert(HOST, host);
        // What the way in noted about the request is of no use to hyper, and would be cloned with it.
        parts.extensions = http::Extensions::new();
        Ok(Self { key, request: Request::from_parts(parts, body) })
    }
}

fn key_of(scheme: Option<&Scheme>, authority: Option<Authority>) -> Result<Key, ClientError> {
    let Some(authority) = authority else { return Err(invalid("", "the URL has no host")) };
    if authority.as_str().contains('@') {
        return Err(invalid(authority.host(), "a URL must not hold credentials; use basic_auth"));
    }
    match scheme {
        Some(scheme) if *scheme == Scheme::HTTP => Ok(Key::new(false, authority)),
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(Key::new(true, authority)),
        _ => Err(invalid(authority.host(), "the URL is neither http nor https")),
    }
}

fn invalid(target: &str, reason: &'static str) -> ClientError {
    ClientError::Invalid { target: target.to_owned(), reason }
}

/// The path and query alone, as an origin server wants them.
fn origin_form(path: Option<PathAndQuery>) -> Uri {
    path.map_or_else(|| Uri::from_static("/"), Uri::from)
}

#[cfg(test)]
mod tests;
