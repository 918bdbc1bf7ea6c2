//! F-14, F-15 and F-23: more series than are kept, a process that stood still, a processor that is not there.

use super::{gateway, is_scores, now, one, push};
use crate::harness::cpu::CpuBound;
use crate::harness::remote_write::{HEADERS_V1, body_v1, named, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Scripted};
use crate::harness::sidelong::Sidelong;
use crate::harness::{eventually, http};
use rustix::process::Signal;
use std::cell::Cell;

/// A request of `count` series that were never seen before.
fn churn(from: usize, count: usize) -> bytes::Bytes {
    let pod = |n: usize| format!("pod-{n}");
    let one = |n: usize| series(&[("__name__", "level"), ("pod", &pod(n))], &[(now(), n as f64)]);
    body_v1((from..from + count).map(one).collect())
}

pub(super) fn peak_mib(sidelong: &Sidelong) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidelong.process.id())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

#[tokio::test]
async fn f14_churn_is_bounded_in_memory_and_in_own_series() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "limits: {max_series: 10000}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    for n in 0..100 {
        assert_eq!(push(&sidelong, churn(n * 2_000, 2_000)).await.status, 204);
        // The oracle's own memory is not the thing tested.
        downstream.forget();
    }
    assert!(peak_mib(&sidelong) < 200, "{} MiB", peak_mib(&sidelong));
    let lines = sidelong.page("/metrics").await.lines().filter(|l| !l.starts_with('#')).count();
    assert!(lines <= 500, "{lines} series of our own");
}

/// Each pod is a group of its own in two of the entries, waits for an heir, and is missed when it does not come again.
#[tokio::test]
async fn f14_churn_is_bounded_with_every_signal_made_of_it() {
    const SIGNALS: &str = r#"
limits: {max_series: 10000}
signals:
  max_groups: 2000
  sums: [{name: sum, match: level, by: [pod], step: 15s}, {name: total, match: level, step: 15s}]
  peers: [{match: level, without: [pod], step: 15s}]
  entities: [{name: pod, match: level, by: [pod], step: 15s}]
rules:
  - match: level
    absence: true
    identity_without: [pod]
    forecast_at: [1h]
"#;
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "");
    let (door, _) = config.split_once("rules:").unwrap();
    let sidelong = Sidelong::start(&scratch, &format!("{door}{SIGNALS}")).await;
    for n in 0..100 {
        assert_eq!(push(&sidelong, churn(n * 2_000, 2_000)).await.status, 204);
        downstream.forget();
    }
    assert!(peak_mib(&sidelong) < 300, "{} MiB", peak_mib(&sidelong));
    assert!(sidelong.metric("sidelong_signal_groups", "").await <= 2_000.0);
    sidelong.metric_reaches("sidelong_signal_groups_refused_total", "", 1.0).await;
    assert!(sidelong.metric("sidelong_series", "").await <= 10_000.0);
    let lines = sidelong.page("/metrics").await.lines().filter(|l| !l.starts_with('#')).count();
    assert!(lines <= 500, "{lines} series of our own");
}

/// Four tables full of newcomers, one after the other: each takes the place of the one before it.
#[tokio::test]
async fn f14_those_who_come_late_take_the_place_of_the_idle_and_are_scored() {
    const ROOM: usize = 10_000;
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "limits: {max_series: 10000, series_idle_timeout: 1s}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    for round in 0..5 {
        let before = sidelong.metric("sidelong_unscored_total", "reason=\"series_limit\"").await;
        eventually(&format!("all of round {round} are scored"), async || {
            let unscored = sidelong.metric("sidelong_unscored_total", "reason=\"series_limit\"").await;
            let scored = sidelong.metric("sidelong_samples_scored_total", "").await;
            for n in 0..5 {
                let body = churn(round * ROOM + n * 2_000, 2_000);
                assert_eq!(push(&sidelong, body).await.status, 204);
            }
            downstream.forget();
            let all = async |before: f64| {
                sidelong.metric("sidelong_samples_scored_total", "").await >= before + ROOM as f64
            };
            let decided = async || {
                let passed = sidelong.metric("sidelong_unscored_total", "reason=\"series_limit\"").await;
                (all(scored).await || passed > unscored).then_some(())
            };
            eventually("the whole round was looked at", decided).await;
            all(scored).await.then_some(())
        })
        .await;
        let refused = sidelong.metric("sidelong_unscored_total", "reason=\"series_limit\"").await > before;
        assert!(round > 0 || !refused, "the first find an empty table");
        assert!(sidelong.metric("sidelong_series", "").await <= ROOM as f64);
    }
    assert!(peak_mib(&sidelong) < 100, "{} MiB for {ROOM} series at a time", peak_mib(&sidelong));
}

#[tokio::test]
async fn f14_invented_tenants_keep_no_honest_one_out_for_ever() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "limits: {max_tenants: 2, series_idle_timeout: 1s}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    let push_as = async |tenant: &str| {
        let headers: Vec<_> = HEADERS_V1.iter().copied().chain([("x-scope-orgid", tenant)]).collect();
        http::post(&sidelong.url("/api/v1/write"), &headers, one("level")).await.unwrap().status
    };
    for n in 0..10 {
        assert_eq!(push_as(&format!("invented-{n}")).await, 204, "scored or not, its samples pass");
    }
    sidelong.metric_reaches("sidelong_unscored_total", "reason=\"tenant_limit\"", 1.0).await;
    eventually("an honest tenant is scored", async || {
        assert_eq!(push_as("honest").await, 204);
        let of_honest = |r: &Recorded| is_scores(r) && r.header("x-scope-orgid") == "honest";
        downstream.requests().iter().any(of_honest).then_some(())
    })
    .await;
    assert!(sidelong.metric("sidelong_tenants", "").await <= 2.0);
}

#[tokio::test]
async fn f15_a_stopped_process_goes_on_where_it_was() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    assert_eq!(push(&sidelong, one("before")).await.status, 204);
    sidelong.process.signal(Signal::STOP);
    let body = one("during");
    let waiting = push(&sidelong, body.clone());
    let waking = async {
        eventually("it stands still", async || sidelong.process.stopped().then_some(())).await;
        sidelong.process.signal(Signal::CONT);
    };
    let (answer, ()) = tokio::join!(waiting, waking);
    assert_eq!(answer.status, 204);
    let during = |r: &Recorded| !is_scores(r) && !named(&r.points(), "during").is_empty();
    assert_eq!(downstream.received(1, "the sample of meanwhile", during).await[0].body, body);
}

/// A twentieth of a processor: scoring falls behind, forwarding and liveness do not.
#[tokio::test]
async fn f23_with_no_time_to_score_samples_pass_unscored() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "limits: {max_scorer_backlog: 64KiB, scorer_patience: 1ms}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    assert_eq!(push(&sidelong, churn(0, 500)).await.status, 204);
    sidelong.metric_reaches("sidelong_samples_scored_total", "", 500.0).await;
    let unscored = async || sidelong.metric("sidelong_unscored_total", "reason=\"overload\"").await;
    assert_eq!(unscored().await, 0.0, "there is room for a batch");
    let Some(_bound) = CpuBound::new(sidelong.process.id(), 5) else { return };
    let rounds = Cell::new(0);
    eventually("a batch has gone unscored", async || {
        rounds.set(rounds.get() + 1);
        let bodies: Vec<_> = (0..20).map(|n| churn((rounds.get() * 20 + n) * 500, 500)).collect();
        let mut senders = tokio::task::JoinSet::new();
        for body in bodies.clone() {
            let url = sidelong.url("/api/v1/write");
            senders.spawn(async move { http::post(&url, HEADERS_V1, body).await.unwrap().status });
        }
        let answers = senders.join_all().await;
        assert!(answers.iter().all(|status| *status == 204), "{answers:?}");
        let arrived = downstream.requests();
        for body in &bodies {
            assert_eq!(arrived.iter().filter(|r| r.body == *body).count(), 1);
        }
        (unscored().await > 0.0).then_some(())
    })
    .await;
    assert_eq!(http::get(&sidelong.url("/-/healthy")).await.unwrap().status, 200);
}
