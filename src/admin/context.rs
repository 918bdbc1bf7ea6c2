//! `/api/v1/context`: what is known beforehand, announced and withdrawn by those who may.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{self, MethodRouter};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

use super::Admin;
use crate::context::Announcement;

/// Takes announcements. Each call may wait for a disk.
pub trait Announcing: Send + Sync {
    /// Whether whoever shows `token` may announce.
    ///
    /// # Errors
    ///
    /// Why not.
    fn admit(&self, token: Option<&str>) -> Result<(), Denied>;

    /// All that is announced, as JSON.
    fn list(&self) -> Value;

    /// Announces, and says what was announced; whether that is new.
    ///
    /// # Errors
    ///
    /// Why it was not taken.
    fn announce(&self, announcement: Announcement) -> Result<(bool, Announcement), Refused>;

    /// Withdraws what was announced under `id`; whether there was such a thing.
    ///
    /// # Errors
    ///
    /// It could not be written that it was.
    fn withdraw(&self, id: &str) -> Result<bool, Refused>;
}

/// Why somebody may not announce.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody may.
    #[error("nothing can be announced: set context.announce.token or context.announce.token_file")]
    Nobody,
    /// Without the token, or with another.
    #[error("show the token of context.announce as Authorization: Bearer TOKEN, or as X-Sidelong-Token")]
    Stranger,
    /// The file of the token cannot be read.
    #[error("context.announce.token_file cannot be used: {0}")]
    Unknown(String),
}

/// Why something was not announced, or not withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What it says is wrong.
    #[error("{0}")]
    Wrong(String),
    /// There is no more room.
    #[error(
        "{0} contexts are announced, which is context.announce.max_announced: withdraw some, or allow more"
    )]
    Full(usize),
    /// It could not be kept.
    #[error("it could not be written to state.folder, and is not in force: {0}")]
    Unwritten(String),
}

/// The largest body, and how long it may take.
const MAX_BODY: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// For those whose `Authorization` is for the listener itself.
const TOKEN_HEADER: &str = "x-sidelong-token";

/// What is at `/api/v1/context`.
pub(super) fn all() -> MethodRouter<Arc<Admin>> {
    routing::get(list).post(announce)
}

/// What is at `/api/v1/context/{id}`.
pub(super) fn one() -> MethodRouter<Arc<Admin>> {
    routing::delete(withdraw)
}

async fn list(State(admin): State<Arc<Admin>>) -> Response {
    success(StatusCode::OK, admin.announcing.list())
}

async fn announce(State(admin): State<Arc<Admin>>, request: Request<Body>) -> Response {
    // Before anything is read of strangers.
    if let Err(denied) = admin.announcing.admit(token(request.headers())) {
        return denied.into_response();
    }
    let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_BODY)).await;
    let Ok(body) = body else {
        return error(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly");
    };
    let Ok(body) = body else {
        let text = format!("the body is broken, or larger than {MAX_BODY} bytes");
        return error(StatusCode::PAYLOAD_TOO_LARGE, "bad_data", &text);
    };
    let announcement = match serde_json::from_slice(&body) {
        Ok(announcement) => announcement,
        Err(cause) => return error(StatusCode::BAD_REQUEST, "bad_data", &cause.to_string()),
    };
    match aside(&admin, move |announcing| announcing.announce(announcement)).await {
        Ok((is_new, announced)) => {
            success(if is_new { StatusCode::CREATED } else { StatusCode::OK }, json!(announced))
        }
        Err(refused) => refused.into_response(),
    }
}

async fn withdraw(State(admin): State<Arc<Admin>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(denied) = admin.announcing.admit(token(&headers)) {
        return denied.into_response();
    }
    let known = id.clone();
    match aside(&admin, move |announcing| announcing.withdraw(&known)).await {
        Ok(true) => success(StatusCode::OK, Value::Null),
        Ok(false) => error(StatusCode::NOT_FOUND, "not_found", &format!("nothing is announced under {id:?}")),
        Err(refused) => refused.into_response(),
    }
}

/// Runs `work` where nobody waits for it.
async fn aside<T: Send + 'static>(
    admin: &Admin,
    work: impl FnOnce(&dyn Announcing) -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let announcing = Arc::clone(&admin.announcing);
    let done = tokio::task::spawn_blocking(move || work(&*announcing)).await;
    done.unwrap_or_else(|broken| Err(Refused::Unwritten(broken.to_string())))
}

/// The token that is shown.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    bearer.or_else(|| headers.get(TOKEN_HEADER)?.to_str().ok())
}

fn success(status: StatusCode, data: Value) -> Response {
    (status, Json(json!({ "status": "success", "data": data }))).into_response()
}

fn error(status: StatusCode, kind: &str, text: &str) -> Response {
    (status, Json(json!({ "status": "error", "errorType": kind, "error": text }))).into_response()
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Nobody => error(StatusCode::FORBIDDEN, "forbidden", &text),
            Self::Unknown(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &text),
            Self::Stranger => {
                let mut answer = error(StatusCode::UNAUTHORIZED, "unauthorized", &text);
                answer.headers_mut().insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
                answer
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, kind) = match self {
            Self::Wrong(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            Self::Full(_) => (StatusCode::TOO_MANY_REQUESTS, "full"),
            Self::Unwritten(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        error(status, kind, &self.to_string())
    }
}

impl std::fmt::Debug for dyn Announcing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Announcing")
    }
}
