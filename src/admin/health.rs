//! Whether the process lives, and whether it wants requests (safety B-26).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// Tells probes how the process is; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Health {
    readiness: Arc<AtomicU8>,
}

/// Whether requests are welcome, in the order in which it becomes so. None of it ever makes the process
/// unhealthy: a restart would help no overload and no downstream.
///
/// Overload is no state here. What is too much is answered 503 by itself, scoring that falls behind costs
/// scores only, and an instance that is taken out of its service for it would take the samples along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// Not all parts are up yet.
    #[default]
    Starting,
    /// Requests are served.
    Ready,
    /// The process is about to end: requests under way are answered, new ones belong elsewhere.
    Draining,
}

impl Health {
    /// Says how things are from now on; nothing goes back to what it was before.
    pub fn set(&self, readiness: Readiness) {
        self.readiness.fetch_max(readiness as u8, Ordering::AcqRel);
    }

    /// How things are.
    pub fn readiness(&self) -> Readiness {
        match self.readiness.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    /// Answers `/-/healthy` and `/-/ready` on the data port; none for any other path.
    pub fn answer(&self, path: &str) -> Option<Response<Full<Bytes>>> {
        let (status, text) = match path {
            "/-/healthy" => HEALTHY,
            "/-/ready" => self.ready(),
            _ => return None,
        };
        let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Some(answer)
    }

    pub(super) fn ready(&self) -> (StatusCode, &'static str) {
        match self.readiness() {
            Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "Sidelong is starting.\n"),
            Readiness::Ready => (StatusCode::OK, "Sidelong is Ready.\n"),
            Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "Sidelong is shutting down.\n"),
        }
    }
}

/// That this is answered shows that the event loop ticks; nothing else counts as being alive.
const HEALTHY: (StatusCode, &str) = (StatusCode::OK, "Sidelong is Healthy.\n");

pub(super) async fn healthy() -> (StatusCode, &'static str) {
    HEALTHY
}
