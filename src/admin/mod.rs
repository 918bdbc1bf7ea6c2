//! The admin listener: own metrics, health, reload and status.
//!
//! It is a second port, bound to loopback by default, so that what it tells and does is reachable by
//! choice only. What it shows of the other rooms comes through [`Status`]; it never waits for them.

mod context;
mod explain;
mod exposition;
mod health;
pub mod metrics;
mod reload;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, Method, StatusCode};
use prometheus_client::registry::Registry;
use tracing::warn;

pub use context::{Announcing, Denied, Refused};
pub use explain::{ExplainSource, HighestSource};
pub use exposition::count_series;
pub use health::{Health, Readiness};
pub use reload::{Reload, ReloadError, Reloads, reload_channel, reload_on_hangup};
pub use status::{Status, StatusSource, build_info};

/// What the admin listener shows and does.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Every metric of the process.
    pub registry: Arc<Registry>,
    /// Whether requests are welcome.
    pub health: Health,
    /// What the other rooms tell of themselves.
    pub status: Status,
    /// Takes announcements.
    pub announcing: Arc<dyn Announcing>,
    /// Scores on request: paths of their own, which may be none.
    pub serving: Router,
    /// Reads the configuration again.
    pub reload: Reload,
    /// Whether `/-/reload` may be used (`--web.enable-lifecycle`).
    pub lifecycle: bool,
}

// === impl Admin ===

impl Admin {
    /// The service of the admin listener.
    pub fn router(self) -> Router {
        let serving = self.serving.clone();
        Router::new()
            .route("/metrics", get(metrics_page))
            .route("/-/healthy", get(health::healthy))
            .route("/-/ready", get(|State(admin): State<Arc<Self>>| async move { admin.health.ready() }))
            .route("/-/reload", axum::routing::any(reload_page))
            .nest("/api/v1/status", status::router())
            .route("/api/v1/explain", get(explain::answer))
            .route("/api/v1/highest", get(explain::highest))
            .route("/api/v1/context", context::all())
            .route("/api/v1/context/{id}", context::one())
            .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
            .with_state(Arc::new(self))
            .merge(serving)
    }
}

async fn metrics_page(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    match exposition::answer(&admin.registry, &headers) {
        Ok(page) => page.into_response(),
        Err(error) => {
            warn!(%error, "cannot write our own metrics");
            (StatusCode::INTERNAL_SERVER_ERROR, "cannot write the metrics\n").into_response()
        }
    }
}

/// Answers as Prometheus does, in the same order of checks.
async fn reload_page(State(admin): State<Arc<Admin>>, method: Method) -> Response {
    if !admin.lifecycle {
        let text = "Lifecycle API is not enabled; start Sidelong with --web.enable-lifecycle to enable it.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    if method != Method::POST && method != Method::PUT {
        let allow = [(http::header::ALLOW, "POST, PUT")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "Only POST or PUT requests allowed\n")
            .into_response();
    }
    match admin.reload.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let text = format!("failed to reload config: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
