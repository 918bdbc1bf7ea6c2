//! The synthetic exporter on its own: `/metrics` to scrape, `/truth.json` to compare with.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::net::server::{Server, ServerConfig, ServerMetrics, bind};

use super::exposition::{Exporter, Format};
use super::synth::{Fleet, FleetOptions};
use super::truth::Truth;

/// How the exporter stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServeOptions {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The fleet that is exported.
    pub fleet: FleetOptions,
    /// Seconds of stream time in a second of ours.
    pub speed: f64,
}

/// Why the exporter could not stand.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; choose another address with --listen")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
}

/// The exporter behind its door.
#[derive(Debug)]
struct Stand {
    exporter: Mutex<Exporter>,
    start_ms: i64,
    speed: f64,
    began: Instant,
}

/// How often the stream is moved on while nobody scrapes, so that no scrape finds hours to catch up with.
const KEEP_UP: Duration = Duration::from_secs(1);

/// Serves until `shutdown` is cancelled. `ready` is told the address, where port 0 has become a real one.
///
/// # Errors
///
/// Fails where the address cannot be listened on.
pub async fn serve(
    options: ServeOptions,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen { address: options.listen, source };
    let listener = bind(options.listen).map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?);
    let stand = Arc::new(Stand::new(options, Instant::now()));
    let keeping_up = tokio::spawn(keep_up(Arc::clone(&stand)));
    let door = tower::service_fn(move |request: Request<Incoming>| {
        let answer = stand.answer(&request, Instant::now());
        async move { Ok::<_, Infallible>(answer) }
    });
    Server::new("synth", ServerConfig::default(), Arc::new(ServerMetrics::default()))
        .serve(listener, door, shutdown)
        .await;
    keeping_up.abort();
    Ok(())
}

async fn keep_up(stand: Arc<Stand>) {
    let mut every = tokio::time::interval(KEEP_UP);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = every.tick().await;
        stand.exporter.lock().advance_to(stand.stream_ms(now));
    }
}

// === impl Stand ===

impl Stand {
    fn new(options: ServeOptions, began: Instant) -> Self {
        let exporter = Mutex::new(Exporter::new(Fleet::new(options.fleet), true));
        Self { exporter, start_ms: options.fleet.start_ms, speed: options.speed, began }
    }

    /// Where the stream is at `now`.
    fn stream_ms(&self, now: Instant) -> i64 {
        let passed = now.saturating_duration_since(self.began).as_secs_f64();
        self.start_ms + (passed * self.speed * 1000.0) as i64
    }

    fn answer<B>(&self, request: &Request<B>, now: Instant) -> Response<Full<Bytes>> {
        let allowed = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/" | "/metrics" | "/truth.json" if !allowed => {
                let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
                refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                refused
            }
            "/metrics" => self.metrics(request, now),
            "/truth.json" => self.truth(now),
            "/" => plain(StatusCode::OK, "sidelong synth: scrape /metrics, compare with /truth.json\n"),
            _ => plain(StatusCode::NOT_FOUND, "there is only /metrics and /truth.json\n"),
        }
    }

    fn metrics<B>(&self, request: &Request<B>, now: Instant) -> Response<Full<Bytes>> {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let format = Format::of_accept(accept);
        let mut page = String::new();
        match self.exporter.lock().page_at(self.stream_ms(now), format, &mut page) {
            Ok(()) => answer(StatusCode::OK, format.content_type(), page),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n"),
        }
    }

    fn truth(&self, now: Instant) -> Response<Full<Bytes>> {
        let mut exporter = self.exporter.lock();
        exporter.advance_to(self.stream_ms(now));
        match serde_json::to_string_pretty(&Truth::so_far(exporter.fleet())) {
            Ok(json) => answer(StatusCode::OK, "application/json", json),
            Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
        }
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    answer(status, PLAIN, text)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::synth::{Kind, MONDAY_MS, Plan};
    use super::*;

    fn stand() -> Stand {
        let plan = Plan { quiet_ms: 0, every_ms: 600_000, kinds: Kind::OF_SERIES };
        let fleet = FleetOptions { seed: 1, instances: 1, start_ms: MONDAY_MS, plan };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Stand::new(ServeOptions { listen, fleet, speed: 60.0 }, Instant::now())
    }

    async fn ask(stand: &Stand, request: http::request::Builder, after: Duration) -> (Response<()>, String) {
        let response = stand.answer(&request.body(()).unwrap(), stand.began + after);
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn accelerated_time_moves_the_page() {
        let stand = stand();
        let (_, page) = ask(&stand, Request::get("/metrics"), Duration::from_secs(10)).await;
        let time = page.lines().find(|line| line.starts_with("synth_stream_time_seconds ")).unwrap();
        assert_eq!(time, format!("synth_stream_time_seconds {}", MONDAY_MS / 1000 + 600));
    }

    #[tokio::test(start_paused = true)]
    async fn the_accept_header_chooses_the_format() {
        let stand = stand();
        let asked = Request::get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0");
        let (head, page) = ask(&stand, asked, Duration::ZERO).await;
        assert_eq!(head.headers()["content-type"], Format::OpenMetrics.content_type());
        assert!(page.ends_with("# EOF\n"));
        let (head, page) = ask(&stand, Request::get("/metrics"), Duration::ZERO).await;
        assert_eq!(head.headers()["content-type"], Format::Text.content_type());
        assert!(!page.contains("# EOF"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_truth_is_told() {
        let stand = stand();
        let (_, json) = ask(&stand, Request::get("/truth.json"), Duration::from_secs(60)).await;
        let truth: Truth = serde_json::from_str(&json).unwrap();
        assert!(!truth.events.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_paths_and_methods_are_refused() {
        let stand = stand();
        let (head, _) = ask(&stand, Request::get("/nothing"), Duration::ZERO).await;
        assert_eq!(head.status(), StatusCode::NOT_FOUND);
        let (head, _) = ask(&stand, Request::post("/metrics"), Duration::ZERO).await;
        assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(head.headers()["allow"], "GET, HEAD");
    }
}
