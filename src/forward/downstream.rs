//! Hands a request on as it came, and brings the answer back.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use crate::config::secret::Secret;
use crate::config::sections;
use crate::net::body::read_bounded;
use crate::net::client::{ClientError, HttpClient};
use crate::net::headers::strip_hop_by_hop;

/// The configured receiver.
#[derive(Clone, Debug)]
pub struct Downstream {
    url: Uri,
    peer: Peer,
    timeout: Duration,
    max_response_bytes: usize,
    /// Those that the configuration adds; they take the place of the sender's.
    headers: HeaderMap,
}

/// Who answers.
#[derive(Clone, Debug)]
enum Peer {
    Http(HttpClient),
    /// A script: it needs no network, so that a test may stop the clock.
    #[cfg(test)]
    Scripted(super::testing::Script),
}

/// What the downstream said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, less those that speak of the connection.
    pub headers: HeaderMap,
    /// Its body, at most as much as is read of one.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DownstreamError {
    /// The request did not get through, or its answer did not begin.
    #[error(transparent)]
    Request(#[from] ClientError),
    /// The answer broke off.
    #[error("the downstream's answer was cut short")]
    Cut(#[source] crate::net::body::BoxError),
    /// The answer's body did not end in time.
    #[error("the downstream's answer did not end within {0:?} (downstream.timeout)")]
    Late(Duration),
}

// === impl Downstream ===

impl Downstream {
    /// The receiver of `config`, reached through `client`.
    pub fn new(config: &sections::Downstream, client: HttpClient) -> Self {
        Self::of(config, Peer::Http(client))
    }

    /// The receiver of `config`, played by `script`.
    #[cfg(test)]
    pub(super) fn scripted(config: &sections::Downstream, script: super::testing::Script) -> Self {
        Self::of(config, Peer::Scripted(script))
    }

    fn of(config: &sections::Downstream, peer: Peer) -> Self {
        let max_response_bytes = config.max_response_size.as_usize();
        let url = config.url.as_uri().clone();
        let headers = header_map(&config.headers);
        Self { url, peer, timeout: config.timeout.get(), max_response_bytes, headers }
    }

    /// Posts `body` with `headers`, both as they came but for what must not pass a proxy.
    ///
    /// # Errors
    /// [`DownstreamError`]; nothing is ever tried twice here, so that the sender alone decides.
    pub async fn forward(&self, mut headers: HeaderMap, body: Bytes) -> Result<Answer, DownstreamError> {
        strip_hop_by_hop(&mut headers);
        for ours in [HOST, CONTENT_LENGTH, EXPECT] {
            headers.remove(ours);
        }
        self.post(headers, body).await
    }

    /// Posts `body` with `headers` and those of the configuration.
    ///
    /// # Errors
    /// As for [`Downstream::forward`].
    pub async fn post(&self, mut headers: HeaderMap, body: Bytes) -> Result<Answer, DownstreamError> {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        #[cfg_attr(
            not(test),
            expect(clippy::infallible_destructuring_match, reason = "tests have another peer")
        )]
        let client = match &self.peer {
            Peer::Http(client) => client,
            #[cfg(test)]
            Peer::Scripted(script) => return script.answer(headers, body).await,
        };
        let deadline = Instant::now() + self.timeout;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        let (mut head, body) = client.request(request, self.timeout).await?.into_parts();
        let body = timeout_at(deadline, read_bounded(body, self.max_response_bytes))
            .await
            .map_err(|_| DownstreamError::Late(self.timeout))?
            .map_err(|error| DownstreamError::Cut(error.into()))?;
        strip_hop_by_hop(&mut head.headers);
        head.headers.remove(CONTENT_LENGTH);
        Ok(Answer { status: head.status, headers: head.headers, body: body.bytes })
    }
}

/// A configuration holds no other headers than sound ones.
fn header_map(headers: &BTreeMap<String, Secret>) -> HeaderMap {
    let header = |(name, value): (&String, &Secret)| {
        let mut value = HeaderValue::try_from(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    headers.iter().filter_map(header).collect()
}

// === impl DownstreamError ===

impl DownstreamError {
    /// What the sender is told: 504 for late, 502 for everything else.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Request(ClientError::Late { .. }) | Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Request(_) | Self::Cut(_) => StatusCode::BAD_GATEWAY,
        }
    }
}
