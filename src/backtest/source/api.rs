//! Questions to the HTTP API of a Prometheus.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::config::sections::{HttpUrl, ValueError};
use crate::net::body::read_bounded;
use crate::net::client::{ClientError, HttpClient};

/// The API of one Prometheus.
#[derive(Clone, Debug)]
pub struct Api {
    client: HttpClient,
    base: HttpUrl,
    headers: HeaderMap,
    timeout: Duration,
}

/// Why an answer cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// An address that makes no URL of the API.
    #[error("the URL of the API cannot be made")]
    Url(#[from] ValueError),
    /// The server was not reached, or did not answer.
    #[error("the query was not answered")]
    Request(#[from] ClientError),
    /// The answer's body did not end in time.
    #[error("the answer did not end within {0:?} (--timeout)")]
    Late(Duration),
    /// The server refused the query.
    #[error("the server answered {status}: {reason}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says.
        reason: String,
    },
    /// An answer of too many bytes.
    #[error("the answer has more than {max} bytes; ask for fewer series at a time", max = MAX_ANSWER_BYTES)]
    TooLarge,
    /// An answer that is not JSON as a Prometheus writes it.
    #[error("the answer is not that of a Prometheus")]
    Malformed(#[from] serde_json::Error),
}

/// What a Prometheus says of a query that it refuses.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: String,
}

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 256 << 20;

// === impl Api ===

impl Api {
    /// The API at `base`, the prefix of its paths. Each answer has `timeout`.
    pub fn new(client: HttpClient, base: HttpUrl, mut headers: HeaderMap, timeout: Duration) -> Self {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sidelong/", env!("CARGO_PKG_VERSION"))));
        Self { client, base, headers, timeout }
    }

    /// Where `path` of the API is.
    ///
    /// # Errors
    ///
    /// An address that makes no URL.
    pub fn url(&self, path: &str) -> Result<Uri, ApiError> {
        let mut url = self.base.as_url().clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        Ok(url.as_str().parse::<HttpUrl>()?.as_uri().clone())
    }

    /// Posts `form` to `path`, and gives the answer if it is 200.
    ///
    /// # Errors
    ///
    /// A server that does not answer, or refuses.
    pub async fn post(&self, path: &str, form: String) -> Result<Bytes, ApiError> {
        self.ask(Method::POST, path, form).await.map(|(_, body)| body)
    }

    /// Gets `path`: the headers and the body of the answer if it is 200.
    ///
    /// # Errors
    ///
    /// As [`Self::post`].
    pub async fn get(&self, path: &str) -> Result<(HeaderMap, Bytes), ApiError> {
        self.ask(Method::GET, path, String::new()).await
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> Result<(HeaderMap, Bytes), ApiError> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url(path)?;
        *request.headers_mut() = self.headers.clone();
        let deadline = Instant::now() + self.timeout;
        let (head, body) = self.client.request(request, self.timeout).await?.into_parts();
        let body = timeout_at(deadline, read_bounded(body, MAX_ANSWER_BYTES)).await;
        let body = body.map_err(|_| ApiError::Late(self.timeout))??;
        if body.truncated {
            return Err(ApiError::TooLarge);
        }
        if head.status != StatusCode::OK {
            return Err(ApiError::Refused { status: head.status, reason: reason(&body.bytes) });
        }
        Ok((head.headers, body.bytes))
    }
}

/// What the server says of a refusal: its error, or the start of whatever it is.
fn reason(body: &[u8]) -> String {
    let error = serde_json::from_slice(body).ok().map(|refusal: Refusal| refusal.error);
    let text = error.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why() {
        assert_eq!(
            reason(br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#),
            "parse error"
        );
        assert_eq!(reason(b" Bad Gateway\n"), "Bad Gateway");
    }
}
