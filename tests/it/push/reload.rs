//! F10 over reloads: whatever is configured meanwhile, a series' scores arrive in their order, and none twice.

use super::*;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::Reply;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SERIES: usize = 5;
const TIMES: i64 = 300;

/// The scores that were taken, in the order in which they were: the series that each judges, and when.
type Taken = Arc<Mutex<Vec<(String, i64)>>>;

/// A downstream of version 1.0 that takes every sample, and scores at every third attempt.
async fn moody(taken: &Taken) -> Scripted {
    let (taken, turn) = (Arc::clone(taken), AtomicUsize::new(0));
    Scripted::start(move |request| {
        let is_v2 = request.header("content-type").contains("v2");
        if !is_scores(request) || is_v2 {
            return Reply::status(if is_v2 { 415 } else { 204 });
        }
        match turn.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Reply::status(503),
            1 => Reply::status(429).with("retry-after", "1"),
            _ => {
                let points = request.points();
                let scores = points.iter().filter(|point| point.labels["__name__"] == "anomaly_score");
                let of = scores.map(|point| (point.labels["for"].clone(), point.timestamp));
                taken.lock().unwrap().extend(of);
                Reply::status(204)
            }
        }
    })
    .await
}

fn config(downstream: &Scripted, number: usize) -> String {
    let scores = format!(
        "scores: {{batch_interval: {}ms, batch_size: {}, yield_for: 50ms}}\n",
        20 + number % 7 * 10,
        10 + number % 5
    );
    gateway(downstream, "") + &scores
}

#[tokio::test]
async fn f10_no_score_overtakes_another_over_reloads_under_load() {
    let scratch = Scratch::new();
    let taken = Taken::default();
    let downstreams = [moody(&taken).await, moody(&taken).await];
    let mut sidelong = Sidelong::start(&scratch, &config(&downstreams[0], 0)).await;
    let start = now() - TIMES;
    let mut reloads = 0;
    for at in 0..TIMES {
        let fleet = (0..SERIES).map(|n| {
            let name = format!("level_{n}");
            series(&[("__name__", &*name), ("job", "it")], &[(start + at, at as f64)])
        });
        assert_eq!(push(&sidelong, Version::V1, body_v1(fleet.collect())).await.status, 204);
        if at % 15 == 14 {
            reloads += 1;
            // Half of the time the downstream stays, half of the time it is the other one.
            let answer = sidelong.reload(&config(&downstreams[reloads / 2 % 2], reloads)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    assert_eq!(sidelong.metric("sidelong_score_lanes", "").await, 1.0, "one lane, whatever was reloaded");
    // The last scores need not be taken: what is left has one more try at the end.
    assert!(sidelong.process.stop().await.success());
    let mut last = BTreeMap::new();
    for (name, at) in taken.lock().unwrap().iter() {
        let before = last.insert(name.clone(), *at);
        assert!(before.is_none_or(|before| before < *at), "{name}: {at} after {before:?}");
    }
    assert_eq!(last.len(), SERIES);
}

#[tokio::test]
async fn a_failed_reload_leaves_everything_as_it_was() {
    let scratch = Scratch::new();
    let (downstream, other, target) =
        (Scripted::downstream().await, Scripted::downstream().await, Scripted::downstream().await);
    target.set(|_| Reply::page("text/plain; version=0.0.4", "level 1\n"));
    let scrape =
        |name: &str| format!("scrape: {{targets: [{{name: {name}, url: '{}'}}]}}\n", target.url("/"));
    let sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "") + &scrape("first"))).await;
    // Right as a text, but the downstream cannot be used: the last of what is made, so that all else was.
    let cannot = format!(", tls_config: {{ca_file: '{}/absent.pem'}}", scratch.path().display());
    for _ in 0..3 {
        let none = gateway(&other, &cannot).replace(RULES, "rules: [{match: no_such_series}]\n");
        let answer = sidelong.reload(&(none + &scrape("second"))).await;
        assert!(answer.status >= 400, "{}", answer.text());
    }
    let status =
        async |name: &str| http::get(&sidelong.url(&format!("/scrape/{name}"))).await.unwrap().status;
    assert_eq!((status("first").await, status("second").await), (200, 404));
    assert_eq!(push(&sidelong, Version::V1, body_v1(vec![one("level")])).await.status, 204);
    downstream.received(1, "its score, by the rules as they were", is_scores).await;
    assert!(other.requests().is_empty());
    let answer = sidelong.reload(&(gateway(&other, "") + &scrape("second"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((status("first").await, status("second").await), (404, 200));
    assert_eq!(push(&sidelong, Version::V1, body_v1(vec![one("level")])).await.status, 204);
    other.received(1, "the next score", is_scores).await;
}

#[tokio::test]
async fn scores_that_wait_are_sent_though_the_downstream_is_taken_away() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let scores = "scores: {batch_interval: 1h}\n";
    let mut sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "") + scores)).await;
    assert_eq!(push(&sidelong, Version::V1, body_v1(vec![one("level")])).await.status, 204);
    sidelong.metric_reaches("sidelong_score_lanes", "", 1.0).await;
    assert_eq!(sidelong.reload(&(RULES.to_owned() + scores)).await.status, 200);
    assert!(sidelong.process.stop().await.success());
    downstream.received(1, "the score that waited", is_scores).await;
}
