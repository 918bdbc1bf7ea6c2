//! What an operator does to it: stop, reload, look.

use crate::harness::eventually;
use crate::harness::http;
use crate::harness::remote_write::{HEADERS_V1, body_v1, named, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn gateway(downstream: &Scripted) -> String {
    format!(
        "downstream: {{url: '{}'}}\nrules: [{{match: '{{__name__!=\"\"}}'}}]\n",
        downstream.url("/api/v1/write")
    )
}

fn one(name: &str) -> bytes::Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    body_v1(vec![series(&[("__name__", name), ("job", "it")], &[(now, 1.0)])])
}

pub(super) async fn push(sidelong: &Sidelong, name: &str) -> u16 {
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
    // Told at once, and for as long as it drains: not ready, and yet alive.
    let probe = |path: &str| format!("http://{}{path}", sidelong.admin);
    let (ready, healthy) = (probe("/-/ready"), probe("/-/healthy"));
    let answer_of = async |url: &str| http::get(url).await.unwrap();
    let ends = eventually("it says that it ends", async || {
        Some(answer_of(&ready).await).filter(|answer| answer.status == 503)
    })
    .await;
    assert_eq!(ends.text(), "Sidelong is shutting down.\n");
    assert_eq!(answer_of(&healthy).await.status, 200);
    gate.open();
    assert_eq!(answer.await.unwrap(), 204);
    assert!(sidelong.process.ended().await.success());
}

#[tokio::test]
async fn a_reload_is_taken_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let (first, second) = (Scripted::downstream().await, Scripted::downstream().await);
    let sidelong = Sidelong::start(&scratch, &gateway(&first)).await;
    assert_eq!(push(&sidelong, "before").await, 204);
    let refused = sidelong.reload("downstream: {ulr: 'http://127.0.0.1:1/'}\n").await;
    assert!(refused.status >= 400 && refused.text().contains("ulr"), "{} {}", refused.status, refused.text());
    assert_eq!(sidelong.metric("sidelong_config_last_reload_successful", "").await, 0.0);
    assert_eq!(push(&sidelong, "meanwhile").await, 204);
    let taken = sidelong.reload(&gateway(&second)).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(sidelong.metric("sidelong_config_last_reload_successful", "").await, 1.0);
    assert_eq!(push(&sidelong, "after").await, 204);
    let got = |server: &Scripted, name: &str| {
        server.requests().iter().any(|r| !named(&r.points(), name).is_empty())
    };
    assert!(
        got(&first, "before") && got(&first, "meanwhile") && !got(&first, "after") && got(&second, "after")
    );
}
