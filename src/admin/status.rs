//! `/api/v1/status/...` in the envelope of Prometheus' own API.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use axum::{Router, routing};
use serde_json::{Value, json};

use super::{Admin, ExplainSource, HighestSource};

/// What the other rooms tell of themselves. Each is called at every request, must not wait, and must show
/// no secret.
#[derive(Clone)]
pub struct Status {
    /// The configuration in force as YAML, secrets hidden.
    pub config: Arc<dyn Fn() -> String + Send + Sync>,
    /// The targets of the pull door.
    pub targets: StatusSource,
    /// The model in force.
    pub model: StatusSource,
    /// What scoring costs and what was shed.
    pub budget: StatusSource,
    /// Why series were given their scores.
    pub explain: ExplainSource,
    /// The same of the series with the highest scores now, so many at the most.
    pub highest: HighestSource,
}

/// A part of the status as JSON.
pub type StatusSource = Arc<dyn Fn() -> Value + Send + Sync>;

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").finish_non_exhaustive()
    }
}

pub(super) fn router() -> Router<Arc<Admin>> {
    let source = |of: fn(&Status) -> &StatusSource| {
        routing::get(move |State(admin): State<Arc<Admin>>| async move { envelope(of(&admin.status)()) })
    };
    Router::new()
        .route("/config", routing::get(config))
        .route("/buildinfo", routing::get(|| async { envelope(build_info()) }))
        .route("/targets", source(|status| &status.targets))
        .route("/model", source(|status| &status.model))
        .route("/budget", source(|status| &status.budget))
}

async fn config(State(admin): State<Arc<Admin>>) -> Json<Value> {
    envelope(json!({ "yaml": (admin.status.config)() }))
}

fn envelope(data: Value) -> Json<Value> {
    Json(json!({ "status": "success", "data": data }))
}

/// What this binary was built from and with.
pub fn build_info() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": super::metrics::REVISION,
        "rustVersion": env!("CARGO_PKG_RUST_VERSION"),
        "features": super::metrics::features(),
    })
}
