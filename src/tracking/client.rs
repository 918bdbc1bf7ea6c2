//! Requests to the REST API of an MLflow server: each with a deadline, each answer within bounds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::config::sections::{HttpUrl, ValueError};
use crate::net::body::read_bounded;
use crate::net::client::{
    ClientConfigError, ClientError, ClientLimits, ClientMetrics, HttpClient, HttpClientConfig,
};

/// An MLflow server.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    base: HttpUrl,
    timeout: Duration,
}

/// Why MLflow was not told, or does not know.
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// An address that makes no URL of the API.
    #[error("the URL of MLflow's API cannot be made")]
    Url(#[from] ValueError),
    /// It was not reached, or did not answer.
    #[error("MLflow does not answer")]
    Request(#[from] ClientError),
    /// The answer's body did not end in time.
    #[error("MLflow's answer did not end within {0:?} (--mlflow-timeout)")]
    Late(Duration),
    /// It does not serve the name that it was called by.
    #[error(
        "MLflow does not answer to the name {0}: start it with --allowed-hosts '…,{0}' (or MLFLOW_SERVER_ALLOWED_HOSTS)"
    )]
    Host(String),
    /// It wants to know who asks.
    #[error(
        "MLflow answered {0}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to those of somebody who may do this"
    )]
    Denied(StatusCode),
    /// It leads elsewhere.
    #[error("MLflow answered {0}: redirects are not followed; give the URL at which it is (--mlflow)")]
    Elsewhere(StatusCode),
    /// It refused.
    #[error("MLflow answered {status} to {asked}: {message}")]
    Refused {
        /// What was asked.
        asked: String,
        /// Its status.
        status: StatusCode,
        /// Its own word for what is wrong; empty where it was not MLflow that answered.
        code: String,
        /// What it says.
        message: String,
    },
    /// An answer of too many bytes.
    #[error("MLflow's answer to {0} has more than {max} bytes", max = MAX_ANSWER_BYTES)]
    TooLarge(String),
    /// An answer that is not what MLflow says.
    #[error(
        "the answer to {0} is not that of an MLflow server; does --mlflow (MLFLOW_TRACKING_URI) name one?"
    )]
    Malformed(String, #[source] serde_json::Error),
    /// Artifacts do not go by way of the server.
    #[error(
        "MLflow wants the artifacts of its runs at {0} instead of taking them itself: start it with --serve-artifacts \
         and --artifacts-destination, and use an experiment that was made since (--experiment)"
    )]
    NotServed(String),
    /// It knows no version of a candidate.
    #[error("MLflow has no version of {model} whose tag sidelong.candidate is {candidate}")]
    Unknown {
        /// The model.
        model: String,
        /// The name of the candidate.
        candidate: String,
    },
    /// An alias is not where it was put.
    #[error(
        "the alias champion was put on version {wanted}, and is on version {found} now: somebody else moves it at the same time"
    )]
    Moved {
        /// Where it was put.
        wanted: u64,
        /// Where it is.
        found: u64,
    },
}

/// What MLflow says when it refuses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error_code: String,
    message: String,
}

pub(super) type Result<T> = std::result::Result<T, TrackingError>;

/// The largest answer that is read. Those that are asked for have some kilobytes.
const MAX_ANSWER_BYTES: usize = 8 << 20;

// === impl Client ===

impl Client {
    /// The server at `base`, the prefix of its paths. Each answer has `timeout`.
    ///
    /// # Errors
    ///
    /// Credentials or certificates that cannot be used.
    pub fn new(
        base: HttpUrl,
        access: &HttpClientConfig,
        timeout: Duration,
    ) -> std::result::Result<Self, ClientConfigError> {
        access.check()?;
        let http = HttpClient::new(access, ClientLimits::default(), Arc::<ClientMetrics>::default())?;
        Ok(Self { http, base, timeout })
    }

    pub(super) async fn get<A: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<A> {
        self.answer(path, self.ask(Method::GET, path, query, None).await?)
    }

    pub(super) async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A> {
        self.answer(path, self.ask(Method::POST, path, &[], Some(json(path, body)?)).await?)
    }

    pub(super) async fn delete(&self, path: &str, body: &impl Serialize) -> Result<()> {
        self.ask(Method::DELETE, path, &[], Some(json(path, body)?)).await.map(drop)
    }

    /// Puts a file there as it is.
    pub(super) async fn put(&self, path: &str, content: Bytes) -> Result<()> {
        let octets = HeaderValue::from_static("application/octet-stream");
        self.ask(Method::PUT, path, &[], Some((octets, content))).await.map(drop)
    }

    fn answer<A: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<A> {
        serde_json::from_slice(&body).map_err(|error| TrackingError::Malformed(path.to_owned(), error))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<(HeaderValue, Bytes)>,
    ) -> Result<Bytes> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = self.url(path, query)?.as_uri().clone();
        let agent = HeaderValue::from_static(concat!("sidelong/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        if let Some((content_type, body)) = body {
            request.headers_mut().insert(CONTENT_TYPE, content_type);
            *request.body_mut() = Full::from(body);
        }
        let deadline = Instant::now() + self.timeout;
        let (head, body) = self.http.request(request, self.timeout).await?.into_parts();
        let body = timeout_at(deadline, read_bounded(body, MAX_ANSWER_BYTES)).await;
        let body = body.map_err(|_| TrackingError::Late(self.timeout))??;
        match head.status {
            StatusCode::OK if body.truncated => Err(TrackingError::TooLarge(path.to_owned())),
            StatusCode::OK => Ok(body.bytes),
            status => Err(self.refusal(path, status, &body.bytes)),
        }
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<HttpUrl> {
        let mut url = self.base.as_url().clone();
        url.set_path(&format!("{}/api/2.0/{path}", url.path().trim_end_matches('/')));
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url.as_str().parse()?)
    }

    fn refusal(&self, path: &str, status: StatusCode, body: &[u8]) -> TrackingError {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let text = if refusal.message.is_empty() {
            String::from_utf8_lossy(body)
        } else {
            refusal.message.as_str().into()
        };
        let message: String = text.trim().chars().take(300).collect();
        match status {
            StatusCode::FORBIDDEN if message.contains("Invalid Host header") => {
                TrackingError::Host(self.base.as_url().authority().to_owned())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TrackingError::Denied(status),
            _ if status.is_redirection() => TrackingError::Elsewhere(status),
            _ => TrackingError::Refused { asked: path.to_owned(), status, code: refusal.error_code, message },
        }
    }
}

fn json(path: &str, body: &impl Serialize) -> Result<(HeaderValue, Bytes)> {
    let body = serde_json::to_vec(body).map_err(|error| TrackingError::Malformed(path.to_owned(), error))?;
    Ok((HeaderValue::from_static("application/json"), body.into()))
}

// === impl TrackingError ===

impl TrackingError {
    /// Whether MLflow refused with this word.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        Client::new(url.parse().unwrap(), &HttpClientConfig::default(), Duration::from_secs(1)).unwrap()
    }

    fn refused(status: u16, body: &str) -> TrackingError {
        client("http://mlflow.ml:5000/x/").refusal(
            "p",
            StatusCode::from_u16(status).unwrap(),
            body.as_bytes(),
        )
    }

    #[test]
    fn a_path_lies_below_the_prefix_and_a_query_is_escaped() {
        let url = client("http://h:5000/mlflow/?x=1").url("mlflow/runs/get", &[("run_id", "a&b c")]).unwrap();
        assert_eq!(url.as_uri(), "http://h:5000/mlflow/api/2.0/mlflow/runs/get?run_id=a%26b+c");
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let host = refused(403, "Invalid Host header - possible DNS rebinding attack detected").to_string();
        assert!(host.contains("--allowed-hosts '…,mlflow.ml:5000'"), "{host}");
        let denied = refused(401, "You are not authenticated.").to_string();
        assert!(denied.contains("MLFLOW_TRACKING_TOKEN"), "{denied}");
        assert!(matches!(refused(403, "Permission denied"), TrackingError::Denied(_)));
        assert!(matches!(refused(302, ""), TrackingError::Elsewhere(_)));
        let absent = refused(404, r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment"}"#);
        assert!(
            absent.is("RESOURCE_DOES_NOT_EXIST") && absent.to_string().contains("404 Not Found to p: No Exp")
        );
        assert!(refused(502, "<html>Bad Gateway").to_string().ends_with("<html>Bad Gateway"));
    }
}
