//! Why the push door refuses a request, and the one place where that becomes a status.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::metrics::Refused;
use crate::forward::{DownstreamError, MediaError};
use crate::net::body::BodyError;
use crate::wire::compression::CompressionError;

/// Why a write request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("remote write takes POST only")]
    Method,
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("{0} (limits.max_body_size); send smaller requests or raise the limit")]
    Size(#[source] BodyError),
    #[error("the body could not be read: {0}")]
    Body(#[source] BodyError),
    #[error(
        "the body declares more than is decoded (limits.max_decoded_size): {0}; send smaller requests or raise the limit"
    )]
    Length(#[source] CompressionError),
    #[error("the body is not snappy: {0}")]
    Snappy(#[source] CompressionError),
    #[error("{0}")]
    Content(String),
    #[error("as many requests are being handled as are allowed (limits.max_requests_in_flight); retry later")]
    Busy,
    #[error("the request has passed this instance already, or too many others; see downstream.url")]
    Loop,
    #[error("the downstream gave no answer: {}", crate::net::chain(.0))]
    Downstream(#[from] DownstreamError),
}

// === impl Refusal ===

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Self::Size(error),
            other => Self::Body(other),
        }
    }
}

impl Refusal {
    /// The status of every refusal (protocol R1 to R7, safety B-7): 4xx for what will never succeed, 5xx for
    /// what may. Overload of our own is a 503 and not a 429, which Prometheus drops (decision 0008).
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Media(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Size(_) | Self::Length(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::GaveWay { .. }) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(_) | Self::Snappy(_) | Self::Content(_) => StatusCode::BAD_REQUEST,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Downstream(error) => error.status(),
        }
    }

    /// The value of the metric label `reason`.
    pub(super) fn reason(&self) -> Refused {
        match self {
            Self::Method | Self::Media(_) => Refused::NoWriteRequest,
            Self::Size(_) | Self::Body(BodyError::TooLarge { .. }) | Self::Length(_) => Refused::TooLarge,
            Self::Body(BodyError::TooSlow { .. }) => Refused::TooSlow,
            Self::Body(BodyError::GaveWay { .. }) => Refused::BodyBytes,
            Self::Body(BodyError::Broken(_)) => Refused::Broken,
            Self::Snappy(_) | Self::Content(_) => Refused::Undecodable,
            Self::Busy => Refused::RequestsInFlight,
            Self::Loop => Refused::Loop,
            Self::Downstream(_) => Refused::Downstream,
        }
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(format!("{self}\n").into());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self {
            Self::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            Self::Busy | Self::Body(BodyError::GaveWay { .. }) => {
                drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => {}
        }
        response
    }
}
