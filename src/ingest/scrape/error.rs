//! Why a scrape has no answer of an upstream, and what the scraper is told (H8).

use http::{HeaderValue, Response, StatusCode, header};

use super::address::Refusal;
use super::metrics::Outcome;
use crate::net::client::ClientError;

/// Why a request at the pull door is not passed on, or has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScrapeError {
    #[error("there is no target {0:?}; name it under scrape.targets")]
    UnknownTarget(String),
    #[error("a scrape is a GET request")]
    Method,
    #[error("name the target's URL as /proxy?target=URL")]
    NoTarget,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the request has passed this instance already, or too many others")]
    Loop,
    #[error("a tunnel to this instance itself is not opened")]
    OwnTunnel,
    #[error("too many scrapes at one time; raise scrape.max_concurrent_scrapes")]
    Busy,
    #[error("too many tunnels at one time; raise scrape.max_tunnels")]
    TooManyTunnels,
    #[error("the upstream cannot be fetched")]
    Upstream(#[source] ClientError),
    #[error("the upstream did not answer in time")]
    Late,
    #[error("the tunnel's end cannot be reached")]
    TunnelEnd(#[source] std::io::Error),
}

// === impl ScrapeError ===

impl ScrapeError {
    /// The one place where a failure becomes a status and a metric.
    pub(super) fn status(&self) -> (StatusCode, Outcome) {
        match self {
            Self::UnknownTarget(_) => (StatusCode::NOT_FOUND, Outcome::Invalid),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, Outcome::Invalid),
            Self::NoTarget => (StatusCode::BAD_REQUEST, Outcome::Invalid),
            Self::Refused(Refusal::Unresolved(_)) => (StatusCode::BAD_GATEWAY, Outcome::Unreachable),
            Self::Refused(_) | Self::OwnTunnel => (StatusCode::FORBIDDEN, Outcome::Refused),
            Self::Loop => (StatusCode::LOOP_DETECTED, Outcome::Loop),
            Self::Busy | Self::TooManyTunnels => (StatusCode::SERVICE_UNAVAILABLE, Outcome::Busy),
            Self::Upstream(ClientError::Late { .. }) | Self::Late => {
                (StatusCode::GATEWAY_TIMEOUT, Outcome::Late)
            }
            Self::Upstream(_) | Self::TunnelEnd(_) => (StatusCode::BAD_GATEWAY, Outcome::Unreachable),
        }
    }

    /// The answer: one line that tells the whole chain of causes.
    pub(super) fn answer(&self) -> Response<String> {
        let mut answer = Response::new(format!("sidelong: {}\n", crate::net::chain(self)));
        *answer.status_mut() = self.status().0;
        let text_type = HeaderValue::from_static("text/plain; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, text_type);
        if matches!(self, Self::Method) {
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        answer
    }
}
