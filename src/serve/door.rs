//! The paths, and what a request passes on its way to a score: the rate, the kind and the size of its body, a seat.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request};
use prometheus_client::metrics::gauge::Gauge;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::{Failure, ServingMetrics, invocations, openapi, predict, read, score};
use crate::config::sections::Serving;
use crate::model::{Model, ModelHandle, Source};
use crate::net::body::{MinRate, WholeBody, read_body};
use crate::net::budget::BodyBudget;
use crate::net::web::RateLimit;

/// Bodies of the largest size that may be on their way at the same time, for each request that may be scored.
const BODIES_A_SEAT: u64 = 4;

/// Answers with scores. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Api {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    model: ModelHandle,
    /// Whether the built-in model serves only until another one comes, and so not at all.
    awaits_another: bool,
    limits: Serving,
    metrics: ServingMetrics,
    rate: Option<RateLimit>,
    bodies: BodyBudget,
    seats: Arc<Semaphore>,
    document: Bytes,
}

/// The answer of `/ping`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct PingAnswer {
    /// `ok`.
    pub status: String,
    /// The version of the model that serves.
    pub model_version: String,
}

/// The answer of `/version`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct VersionAnswer {
    /// The version of Sidelong.
    pub version: String,
    /// The version of the model that serves.
    pub model_version: String,
    /// The digest of what it was built from, in hexadecimal digits.
    pub model_sha256: String,
    /// Where it came from: `builtin`, `local` or `store`.
    pub model_source: String,
    /// When it was made, in milliseconds since the epoch; 0 of the one that is built in.
    pub model_created_ms: i64,
}

// === impl Api ===

impl Api {
    /// Scores by the model that `model` reads, within `limits`.
    pub fn new(model: ModelHandle, limits: Serving, metrics: ServingMetrics) -> Self {
        Self::of(model, false, limits, metrics)
    }

    /// The same where the built-in model stands in the slot only because the store has not given one yet: until it does,
    /// no model serves.
    pub fn awaiting_another_model(model: ModelHandle, limits: Serving, metrics: ServingMetrics) -> Self {
        Self::of(model, true, limits, metrics)
    }

    fn of(model: ModelHandle, awaits_another: bool, limits: Serving, metrics: ServingMetrics) -> Self {
        let seats = limits.max_requests_in_flight as usize;
        let held = limits.max_body_size.as_bytes().saturating_mul(BODIES_A_SEAT * seats as u64);
        let shared = Shared {
            model,
            awaits_another,
            rate: RateLimit::per_second(limits.max_requests_per_second),
            bodies: BodyBudget::new(held, Gauge::default()),
            seats: Arc::new(Semaphore::new(seats.min(Semaphore::MAX_PERMITS))),
            document: Bytes::from(openapi::document(&limits).to_string()),
            limits,
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The paths. What else there is is the caller's.
    pub fn router(self) -> Router {
        Router::new()
            .route("/predict", post(predict))
            .route("/api/v1/score", post(score))
            .route("/invocations", post(invocations))
            .route("/ping", get(ping))
            .route("/version", get(version))
            .route("/openapi.json", get(document))
            .method_not_allowed_fallback(|| async { Failure::Method })
            .with_state(self)
    }

    /// The model that serves; called once for each request.
    fn model(&self) -> Result<Arc<Model>, Failure> {
        let model = self.shared.model.current();
        let awaits = self.shared.awaits_another && model.source == Source::Builtin;
        if awaits { Err(Failure::NoModel) } else { Ok(model) }
    }

    /// Answers `request` by `work`, and counts what came of it.
    async fn answer<Q, A>(&self, request: Request<Body>, work: Work<Q, A>) -> Response
    where
        Q: DeserializeOwned + 'static,
        A: Serialize + 'static,
    {
        let answer = match self.score(request, work).await {
            Ok(json) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
            }
            Err(failure) => failure.into_response(),
        };
        self.shared.metrics.count(answer.status());
        answer
    }

    async fn score<Q, A>(&self, request: Request<Body>, work: Work<Q, A>) -> Result<Vec<u8>, Failure>
    where
        Q: DeserializeOwned + 'static,
        A: Serialize + 'static,
    {
        let limits = &self.shared.limits;
        if self.shared.rate.as_ref().is_some_and(|rate| !rate.allows()) {
            return Err(Failure::Rate(limits.max_requests_per_second));
        }
        check_headers(request.headers())?;
        let max = limits.max_body_size.as_bytes();
        let body = read_body(request.into_body(), max, MinRate::default(), &self.shared.bodies).await?;
        let seat = Arc::clone(&self.shared.seats).try_acquire_owned().map_err(|_| Failure::Busy)?;
        let (api, model) = (self.clone(), self.model()?);
        // The seat is taken until the work is done, also where whoever asked has gone.
        let scoring = tokio::task::spawn_blocking(move || {
            let _seat = seat;
            api.work(&model, &body, work)
        });
        scoring.await.unwrap_or_else(|broken| {
            tracing::error!(error = %broken, "scoring a request broke");
            Err(Failure::Internal)
        })
    }

    fn work<Q, A>(&self, model: &Arc<Model>, body: &WholeBody, work: Work<Q, A>) -> Result<Vec<u8>, Failure>
    where
        Q: DeserializeOwned,
        A: Serialize,
    {
        let answer = work(model, &self.shared.limits, read(&body.bytes)?)?;
        serde_json::to_vec(&answer).map_err(|error| {
            tracing::error!(%error, "scores cannot be written");
            Failure::Internal
        })
    }
}

/// What makes an answer of a request.
type Work<Q, A> = fn(&Arc<Model>, &Serving, Q) -> Result<A, Failure>;

/// JSON, and as it is. Asking for the header also keeps pages of other origins from posting here unasked.
fn check_headers(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind.eq_ignore_ascii_case("application/json");
    if is_json && !headers.contains_key(CONTENT_ENCODING) { Ok(()) } else { Err(Failure::MediaType) }
}

async fn predict(State(api): State<Api>, request: Request<Body>) -> Response {
    api.answer(request, |model, _, features| predict::answer(model, &features)).await
}

async fn score(State(api): State<Api>, request: Request<Body>) -> Response {
    api.answer(request, |model, limits, series| score::answer(model, limits, &series)).await
}

async fn invocations(State(api): State<Api>, request: Request<Body>) -> Response {
    api.answer(request, invocations::answer).await
}

async fn ping(State(api): State<Api>) -> Result<Json<PingAnswer>, Failure> {
    let model_version = api.model()?.version.clone();
    Ok(Json(PingAnswer { status: "ok".to_owned(), model_version }))
}

async fn version(State(api): State<Api>) -> Json<VersionAnswer> {
    let model = api.shared.model.current();
    Json(VersionAnswer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        model_version: model.version.clone(),
        model_sha256: model.sha256.clone(),
        model_source: model.source.name().to_owned(),
        model_created_ms: model.created_ms,
    })
}

async fn document(State(api): State<Api>) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], api.shared.document.clone())
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
