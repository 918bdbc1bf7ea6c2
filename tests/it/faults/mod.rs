//! The fault matrix: each row is a fault made on purpose, and what must hold meanwhile and after.

mod bodies;
mod clients;
mod downstream;
mod load;
mod loops;
mod network;
mod scrapes;
mod tls;

use crate::harness::http::{self, Answer};
use crate::harness::remote_write::{HEADERS_V1, Point, body_v1, series};
use crate::harness::scripted::{Recorded, Scripted};
use crate::harness::sidelong::Sidelong;
use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything is scored.
const RULES: &str = "rules: [{match: '{__name__!=\"\"}'}]\n";

fn gateway(downstream: &Scripted, more: &str) -> String {
    format!("downstream: {{url: '{}'{more}}}\n{RULES}", downstream.url("/api/v1/write"))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A request of one sample of the gauge `name`, now.
fn one(name: &str) -> Bytes {
    body_v1(vec![series(&[("__name__", name), ("job", "it")], &[(now(), 1.0)])])
}

async fn push(sidelong: &Sidelong, body: impl Into<Bytes>) -> Answer {
    http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap()
}

/// Whether a request is one of scores, which Sidelong sends apart from samples. The empty request by which it asks
/// for the downstream's version is neither.
fn is_scores(request: &Recorded) -> bool {
    let points = request.points();
    !points.is_empty() && points.iter().all(Point::is_injected)
}

fn is_samples(request: &Recorded) -> bool {
    !request.points().iter().all(Point::is_injected)
}
