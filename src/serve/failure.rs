//! Why a request is not answered with scores.

use axum::response::{IntoResponse, Json, Response};
use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::net::body::BodyError;

/// Why a request is not answered with scores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The body is no JSON; NaN and Infinity are none.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// It is JSON, but not what is asked for.
    #[error("{0}")]
    Wrong(String),
    /// It holds too much.
    #[error("the request has {found} {what}; {allowed} are allowed ({option})")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many may be.
        allowed: usize,
        /// The option that says so.
        option: &'static str,
    },
    /// The body is too large.
    #[error("the body is larger than {0} bytes (max_body_size)")]
    TooLarge(u64),
    /// The body came too slowly.
    #[error("{0}")]
    TooSlow(String),
    /// The body was cut short.
    #[error("{0}")]
    Broken(String),
    /// The body is something else than JSON.
    #[error("send JSON, with the header Content-Type: application/json, and without a Content-Encoding")]
    MediaType,
    /// The path takes another method.
    #[error("the path does not take this method; the header Allow says which it takes")]
    Method,
    /// There is no such path.
    #[error("there is no such path; GET /openapi.json lists those that there are")]
    NotFound,
    /// Too many requests have come.
    #[error("more than {0} requests a second (max_requests_per_second); try again after Retry-After")]
    Rate(u32),
    /// Too many requests are being scored, or are on their way.
    #[error(
        "as many requests are being scored as may be (max_requests_in_flight); try again after Retry-After"
    )]
    Busy,
    /// The store has not given a model yet.
    #[error(
        "no model serves yet; try again after Retry-After, and look into the log why the store gives none"
    )]
    NoModel,
    /// The detector broke.
    #[error("the detector broke; the log says where")]
    Internal,
}

/// What is said instead of scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorAnswer {
    /// What kind of failure it is, in a word that does not change.
    pub error: String,
    /// What is wrong, and where.
    pub message: String,
}

// === impl Failure ===

impl Failure {
    /// The failure for a number of things that may be too large.
    ///
    /// # Errors
    ///
    /// [`Failure::TooMany`] where it is.
    pub fn unless_within(
        found: usize,
        allowed: u32,
        what: &'static str,
        option: &'static str,
    ) -> Result<(), Self> {
        let allowed = allowed as usize;
        if found <= allowed { Ok(()) } else { Err(Self::TooMany { what, found, allowed, option }) }
    }

    /// The status, and the word for it.
    pub(super) fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Json(_) => (StatusCode::BAD_REQUEST, "bad_json"),
            Self::Broken(_) => (StatusCode::BAD_REQUEST, "broken_body"),
            Self::Wrong(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_data"),
            Self::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Rate(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limit"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::NoModel => (StatusCode::SERVICE_UNAVAILABLE, "no_model"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::TooLarge(limit),
            BodyError::TooSlow { .. } => Self::TooSlow(error.to_string()),
            BodyError::GaveWay { .. } => Self::Busy,
            BodyError::Broken(_) => Self::Broken(error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = self.kind();
        let body = ErrorAnswer { error: error.to_owned(), message: self.to_string() };
        let mut answer = (status, Json(body)).into_response();
        if matches!(self, Self::Rate(_) | Self::Busy | Self::NoModel) {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // What is left of a body that was not read to its end is no request.
        if matches!(self, Self::TooLarge(_) | Self::TooSlow(_) | Self::Broken(_)) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}
