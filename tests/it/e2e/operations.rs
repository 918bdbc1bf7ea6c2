//! What an operator does to it: stop, reload, look.

use crate::harness::http;
use crate::harness::remote_write::{HEADERS_V1, body_v1, named, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use std::time::{SystemTime, UNIX_EPOCH};

fn gateway(downstream: &Scripted) -> String {
    format!(
        "downstream: {{url: '{}'}}\nrules: [{{match: '{{__name__!=\"\"}}'}}]\n",
        downstream.url("/api/v1/write")
    )
}

fn one(name: &str) -> bytes::Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    body_v1(vec![series(&[("__name__", name), ("job", "it")], &[(now, 1.0)])])
}

async fn push(sidelong: &Sidelong, name: &str) -> u16 {
    http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, one(name)).await.unwrap().status
}

#[tokio::test]
async fn f16_at_its_end_it_sends_the_scores_it_has_and_exits_0() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream) + "scores: {batch_interval: 1m}\n";
    let mut sidelong = Sidelong::start(&scratch, &config).await;
    assert_eq!(push(&sidelong, "level").await, 204);
    let ended = sidelong.process.stop().await;
    assert!(ended.success(), "{ended}");
    let scores = |r: &crate::harness::scripted::Recorded| !named(&r.points(), "anomaly_score").is_empty();
    downstream.received(1, "the score that was waiting", scores).await;
}

#[tokio::test]
async fn f16_a_request_under_way_gets_its_answer() {
    let scratch = Scratch::new();
    let gate = Gate::closed();
    let held = gate.clone();
    let downstream = Scripted::start(move |_| Reply::status(204).behind(&held)).await;
    let mut sidelong = Sidelong::start(&scratch, &gateway(&downstream)).await;
    let url = sidelong.url("/api/v1/write");
    let answer =
        tokio::spawn(async move { http::post(&url, HEADERS_V1, one("level")).await.unwrap().status });
    downstream.received(1, "the request", |_| true).await;
    sidelong.process.signal(rustix::process::Signal::TERM);
    gate.open();
    assert_eq!(answer.await.unwrap(), 204);
    assert!(sidelong.process.ended().await.success());
}
