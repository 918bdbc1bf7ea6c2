//! The push door's service: one request in, the downstream's answer out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::compare::Comparison;
use super::observe::{Accepted, Observer};
use super::receive::{receive, say_written};
use super::refusal::Refusal;
use super::{PATHS, PushMetrics};
use crate::config::sections::Limits;
use crate::forward::{Answer, Downstream, Version};
use crate::ingest::Desk;
use crate::net::body::{MinRate, read_body};
use crate::net::budget::BodyBudget;
use crate::net::headers::{HOP, is_loop};
use crate::wire::compression::{CompressionError, declared_snappy_len};
use crate::wire::remote_write::receive::Written;

/// Takes remote write. A clone shares everything.
#[derive(Clone, Debug)]
pub struct PushDoor {
    shared: Arc<Shared>,
}

/// What a push door is made of.
#[derive(Debug)]
pub struct PushDoorParts {
    /// Where requests go; absent in loop-back mode.
    pub downstream: Option<Downstream>,
    /// Who scores what was accepted.
    pub observer: Observer,
    /// What a request may be.
    pub limits: Limits,
    /// The header that names the tenant.
    pub tenant_header: HeaderName,
    /// Counters.
    pub metrics: Arc<PushMetrics>,
    /// Milliseconds since the epoch.
    pub clock: fn() -> i64,
}

#[derive(Debug)]
struct Shared {
    parts: PushDoorParts,
    rate: MinRate,
    bodies: BodyBudget,
    seats: Semaphore,
    /// A name that no other instance has, by which a request that comes back is known (F-37).
    instance: HeaderValue,
    /// Desks of requests that are received here, in loop-back mode.
    desks: Mutex<Vec<Desk>>,
}

/// How the HA trackers of Cortex, Mimir and what is made of them say it (`replicasNotMatchError`), the misspelling
/// theirs.
const NOT_HEARD: [&[u8]; 2] = [b"replicas did not mach", b"replicas did not match"];

// === impl PushDoor ===

impl PushDoor {
    /// A door made of `parts`.
    pub fn new(parts: PushDoorParts) -> Self {
        let rate = MinRate {
            grace: parts.limits.body_timeout.get(),
            bytes_per_second: parts.limits.min_body_rate.as_bytes(),
        };
        let seats = Semaphore::new(parts.limits.max_requests_in_flight as usize);
        let bodies = BodyBudget::new(
            parts.limits.max_body_bytes_in_flight.as_bytes(),
            parts.metrics.body_bytes.clone(),
        );
        let instance = HeaderValue::from(rand::random::<u64>());
        Self { shared: Arc::new(Shared { parts, rate, bodies, seats, instance, desks: Mutex::default() }) }
    }

    /// Whether requests for `path` belong here.
    pub fn takes(path: &str) -> bool {
        PATHS.contains(&path)
    }

    /// Answers one request. Never fails: a refusal is an answer too.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        // Whatever becomes of it, and however it is compressed, a 2.0 request is answered as one (R9).
        let version = Version::named_by(&head.headers);
        let answered = match self.shared.handle(head, body).await {
            Ok(answer) => response(answer),
            Err(refusal) => {
                tracing::debug!(%refusal, "refused a write request");
                self.shared.parts.metrics.refused(refusal.reason());
                let mut response = refusal.response();
                if version == Ok(Version::V2) {
                    // Of a request without an answer from the downstream, nothing is known to be written.
                    say_written(response.headers_mut(), &Written::default());
                }
                response
            }
        };
        self.shared.parts.metrics.answered(answered.status());
        answered
    }
}

// === impl Shared ===

impl Shared {
    async fn handle(&self, head: Parts, body: Incoming) -> Result<Answer, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let version = Version::of(&head.headers)?; // before the body is looked at (R4)
        if is_loop(&head.headers, &self.instance) {
            return Err(Refusal::Loop);
        }
        let limit = self.parts.limits.max_body_size.as_bytes();
        let mut comparison = self.comparison();
        let held = read_body(comparison.tap(body), limit, self.rate, &self.bodies).await?;
        let body = held.bytes.clone();
        self.parts.metrics.received_bytes.inc_by(body.len() as u64);
        self.check_length(&body)?;
        // Behind the body: whoever sends slowly takes no seat while it does.
        let _seat = self.seats.try_acquire().map_err(|_| Refusal::Busy)?;
        let _seated = self.parts.metrics.seated();
        let mut accepted = self.accepted(version, &head.headers, &body);
        let (answer, written) = match &self.parts.downstream {
            Some(downstream) => {
                let answer = self.forward(downstream, head.headers, body, comparison).await?;
                let written = counts_as_written(&answer);
                (answer, written)
            }
            None => self.receive(version, &body)?,
        };
        accepted.partial = !answer.status.is_success();
        // A 2.0 receiver may keep some samples of a request that meets a limit: that is both.
        self.parts.observer.give_way(accepted.tenant.clone(), &answer.headers, answer.status, &answer.body);
        if written {
            self.parts.observer.observe(accepted).await;
        }
        Ok(answer)
    }

    /// R7: what the body declares to decompress to, read before anything is allocated for it.
    fn check_length(&self, body: &[u8]) -> Result<(), Refusal> {
        let declared = declared_snappy_len(body).map_err(Refusal::Snappy)?;
        let limit = self.parts.limits.max_decoded_size.as_usize();
        if declared > limit {
            return Err(Refusal::Length(CompressionError::TooLong { bytes: declared as u64, limit }));
        }
        Ok(())
    }

    fn accepted(&self, version: Version, headers: &HeaderMap, body: &Bytes) -> Accepted {
        Accepted {
            version,
            body: body.clone(),
            tenant: headers.get(&self.parts.tenant_header).cloned(),
            authorization: headers.get(AUTHORIZATION).cloned(),
            partial: false,
        }
    }

    /// Whether what leaves is what came; in loop-back mode nothing leaves.
    fn comparison(&self) -> Comparison {
        let metrics = self.parts.downstream.as_ref().map(|_| &self.parts.metrics);
        metrics.map(|metrics| Comparison::next(metrics)).unwrap_or_default()
    }

    /// Hands the request on as it came.
    async fn forward(
        &self,
        downstream: &Downstream,
        mut headers: HeaderMap,
        body: Bytes,
        comparison: Comparison,
    ) -> Result<Answer, Refusal> {
        headers.append(HOP, self.instance.clone());
        let answer = downstream.forward(headers, body.clone()).await?;
        comparison.end(&body, &self.parts.metrics);
        self.parts.metrics.forwarded_bytes.inc_by(body.len() as u64);
        Ok(answer)
    }

    fn receive(&self, version: Version, body: &[u8]) -> Result<(Answer, bool), Refusal> {
        let mut desk = self.desks.lock().pop().unwrap_or_default();
        let answer = receive(version, body, &self.parts.limits, (self.parts.clock)(), &mut desk);
        self.desks.lock().push(desk);
        answer
    }
}

/// A 2xx, or a 2.0 answer that counts samples as written although it refuses others.
///
/// An HA tracker answers 202 to the replica that it does not hear: the sender is to be content, and nothing was
/// written. It is known by its text, since other receivers answer 202 to what they will write in a moment.
fn counts_as_written(answer: &Answer) -> bool {
    let written = answer.headers.get("x-prometheus-remote-write-samples-written");
    let count = written.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_passed_over = answer.status == StatusCode::ACCEPTED
        && NOT_HEARD.iter().any(|text| memchr::memmem::find(&answer.body, text).is_some());
    (answer.status.is_success() && !is_passed_over) || count.is_some_and(|count| count > 0)
}

fn response(answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ha_tracker_passes_over_was_not_written() {
        let written = |status: u16, body: &str, count: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(count) = count {
                headers.insert("x-prometheus-remote-write-samples-written", count.parse().expect("a number"));
            }
            let status = StatusCode::from_u16(status).expect("a status");
            counts_as_written(&Answer { status, headers, body: Bytes::from(body.to_owned()) })
        };
        let passed_over = "replicas did not mach, rejecting sample: replica=b, elected=a";
        assert!(!written(202, passed_over, None));
        assert!(!written(202, &passed_over.replace("mach", "match"), Some("0")));
        assert!(written(202, "", None), "taken, to be written in a moment");
        assert!(written(202, passed_over, Some("3")), "of the other replica's samples in it");
        assert!(written(200, "", None) && written(204, "", Some("0")));
        assert!(!written(400, "", None) && written(400, "", Some("2")));
    }
}
