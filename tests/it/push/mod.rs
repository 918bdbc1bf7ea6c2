//! The push door by raw requests against the program: what a receiver owes (R), and what a gateway owes (T, F, B-8).

mod features;
mod gateway;
mod receiver;
mod reload;
mod replay;
mod shuffled;
mod yielding;

use crate::harness::http::{self, Answer};
use crate::harness::remote_write::{
    HEADERS_V1, HEADERS_V2, Point, Series, Version, body_v1, body_v2, series,
};
use crate::harness::scripted::{Recorded, Scripted};
use crate::harness::sidelong::Sidelong;
use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything is scored.
const RULES: &str = "rules: [{match: '{__name__!=\"\"}'}]\n";

/// The headers by which a receiver of 2.0 says what it has written.
const WRITTEN: [&str; 3] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-exemplars-written",
];

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A series of one sample, now.
fn one(name: &str) -> Series {
    series(&[("__name__", name), ("job", "it")], &[(now(), 1.0)])
}

fn snappy(raw: &[u8]) -> Bytes {
    snap::raw::Encoder::new().compress_vec(raw).unwrap().into()
}

async fn push(sidelong: &Sidelong, version: Version, body: impl Into<Bytes>) -> Answer {
    http::post(&sidelong.url("/api/v1/write"), version.headers(), body).await.unwrap()
}

/// The headers of `version` with one in place of its own, or without it where `value` is empty.
fn but<'a>(version: Version, name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = version.headers().iter().copied().filter(|(other, _)| *other != name);
    others.chain((!value.is_empty()).then_some((name, value))).collect()
}

/// Whether a request is one of scores. The empty one that asks for the downstream's version is not.
fn is_scores(request: &Recorded) -> bool {
    let points = request.points();
    !points.is_empty() && points.iter().all(Point::is_injected)
}

fn is_samples(request: &Recorded) -> bool {
    !request.points().iter().all(Point::is_injected)
}

/// A gateway before `downstream`; `more` follows its URL, in the same braces.
fn gateway(downstream: &Scripted, more: &str) -> String {
    format!("downstream: {{url: '{}'{more}}}\n{RULES}", downstream.url("/api/v1/write"))
}
