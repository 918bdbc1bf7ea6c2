//! `/api/v1/explain` and `/api/v1/highest`: why the newest samples of series were given their scores.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;

/// Explains the series that a selector takes, so many at the most.
///
/// # Errors
///
/// What is wrong with the selector.
pub type ExplainSource = Arc<dyn Fn(&str, usize) -> Result<Value, String> + Send + Sync>;

/// Explains the series with the highest scores now, highest first, so many at the most.
pub type HighestSource = Arc<dyn Fn(usize) -> Value + Send + Sync>;

/// What is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    series: Option<String>,
    limit: Option<usize>,
}

/// Series that are explained unless more are asked for, and at the most.
const FEW: usize = 10;
const MOST: usize = 1_000;
/// So many at the most, where they are chosen by their scores.
const MOST_HIGHEST: usize = 100;

/// Answers in the envelope of Prometheus' own API. Looking through all series takes a moment, so it is not done
/// where others wait.
pub(super) async fn answer(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let Some(series) = asked.series else {
        return bad_data(
            "series is missing; ask for example: curl -G ADDRESS/api/v1/explain --data-urlencode 'series=node_load1{instance=\"a:9100\"}'",
        );
    };
    let limit = asked.limit.unwrap_or(FEW).min(MOST);
    let explain = Arc::clone(&admin.status.explain);
    match tokio::task::spawn_blocking(move || explain(&series, limit)).await {
        Ok(Ok(data)) => success(data),
        Ok(Err(error)) => bad_data(&error),
        Err(_) => broken(),
    }
}

/// Looks through all series as well.
pub(super) async fn highest(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let limit = asked.limit.unwrap_or(FEW).min(MOST_HIGHEST);
    let highest = Arc::clone(&admin.status.highest);
    match tokio::task::spawn_blocking(move || highest(limit)).await {
        Ok(data) => success(data),
        Err(_) => broken(),
    }
}

fn success(data: Value) -> Response {
    Json(json!({ "status": "success", "data": data })).into_response()
}

fn broken() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "the detector broke\n").into_response()
}

fn bad_data(error: &str) -> Response {
    let body = json!({ "status": "error", "errorType": "bad_data", "error": error });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
