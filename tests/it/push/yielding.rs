//! Scores spend the user's own limits: they stop when a *sample* is refused for one, and come back slowly.

use super::*;
use crate::harness::eventually;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::Reply;
use std::collections::BTreeSet;

const SERIES: usize = 200;

fn fleet() -> Bytes {
    body_v1((0..SERIES).map(|n| one(&format!("level_{n}"))).collect())
}

/// The series that a request of scores judges.
fn judged(request: &Recorded) -> BTreeSet<String> {
    request.points().into_iter().filter_map(|point| point.labels.get("for").cloned()).collect()
}

/// Says no to samples, once, by `reply`.
async fn refuse(sidelong: &Sidelong, downstream: &Scripted, reply: Reply) {
    let status = {
        let reply = reply.clone();
        downstream.set(move |request| if is_samples(request) { reply.clone() } else { Reply::status(204) });
        push(sidelong, Version::V1, fleet()).await.status
    };
    assert!(status >= 400);
    downstream.set(|_| Reply::status(204));
}

#[tokio::test]
async fn a_limit_met_by_samples_stops_scores() {
    let limits = [
        Reply::page("text/plain", "slow down").coded(429),
        Reply::page("text/plain", "per-user series limit of 5 exceeded").coded(400),
    ];
    for reply in limits {
        let scratch = Scratch::new();
        let downstream = Scripted::downstream().await;
        let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms, yield_for: 1h}\n";
        let sidelong = Sidelong::start(&scratch, &config).await;
        assert_eq!(push(&sidelong, Version::V1, fleet()).await.status, 204);
        downstream.received(1, "scores", is_scores).await;
        refuse(&sidelong, &downstream, reply).await;
        downstream.forget();
        assert_eq!(push(&sidelong, Version::V1, fleet()).await.status, 204, "samples go on");
        let yielded = "reason=\"yielded\"";
        sidelong.metric_reaches("sidelong_scores_dropped_total", yielded, SERIES as f64).await;
        assert!(!downstream.requests().iter().any(is_scores));
    }
}

#[tokio::test]
async fn another_refusal_of_samples_stops_nothing() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms, yield_for: 1h}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    for status in [400, 404, 409, 500, 503] {
        refuse(&sidelong, &downstream, Reply::page("text/plain", "out of order").coded(status)).await;
        downstream.forget();
        assert_eq!(push(&sidelong, Version::V1, fleet()).await.status, 204);
        downstream.received(1, "scores", is_scores).await;
    }
    assert_eq!(sidelong.metric("sidelong_scores_dropped_total", "reason=\"yielded\"").await, 0.0);
}

#[tokio::test]
async fn a_limit_stops_the_scores_of_its_tenant_alone() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|request| match request.header("x-scope-orgid") {
        "ant" if is_samples(request) => Reply::status(429),
        _ => Reply::status(204),
    })
    .await;
    let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms, yield_for: 1h}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    let push_as = async |tenant: &str| {
        let headers = [HEADERS_V1, &[("x-scope-orgid", tenant)]].concat();
        http::post(&sidelong.url("/api/v1/write"), &headers, fleet()).await.unwrap().status
    };
    assert_eq!((push_as("ant").await, push_as("bee").await), (429, 204));
    downstream.set(|_| Reply::status(204));
    assert_eq!((push_as("ant").await, push_as("bee").await), (204, 204));
    sidelong.metric_reaches("sidelong_scores_dropped_total", "reason=\"yielded\"", SERIES as f64).await;
    downstream.received(1, "the other's scores", is_scores).await;
    let of_ant = |request: &Recorded| is_scores(request) && request.header("x-scope-orgid") == "ant";
    assert!(!downstream.requests().iter().any(of_ant));
}

#[tokio::test]
async fn scores_come_back_series_by_series() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms, yield_for: 200ms}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    assert_eq!(push(&sidelong, Version::V1, fleet()).await.status, 204);
    downstream.received(1, "scores", is_scores).await;
    refuse(&sidelong, &downstream, Reply::status(429)).await;
    downstream.forget();
    eventually("every series has scores again", async || {
        assert_eq!(push(&sidelong, Version::V1, fleet()).await.status, 204);
        let requests = downstream.requests();
        let all: BTreeSet<_> = requests.iter().filter(|r| is_scores(r)).flat_map(judged).collect();
        (all.len() == SERIES).then_some(())
    })
    .await;
}

/// A 2.0 receiver may keep some of a request that meets a limit: that counts as both.
#[tokio::test]
async fn a_limit_stops_scores_though_some_samples_were_written() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|request| match is_samples(request) {
        true => Reply::page("text/plain", "series limit exceeded").coded(400).with(WRITTEN[0], "5"),
        false => Reply::status(204),
    })
    .await;
    let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms, yield_for: 1h}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    let body = body_v2((0..SERIES).map(|n| one(&format!("level_{n}"))).collect());
    assert_eq!(push(&sidelong, Version::V2, body).await.status, 400);
    sidelong.metric_reaches("sidelong_samples_scored_total", "", SERIES as f64).await;
    sidelong.metric_reaches("sidelong_scores_dropped_total", "reason=\"yielded\"", SERIES as f64).await;
}
