//! What the downstream stores by way of Sidelong is what it stores without: bit by bit, stale markers included.

use super::without_scores;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::{Point, STALE};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const RULES: &str = "rules: [{match: '{__name__!=\"\"}'}]\n";

/// A target whose page changes: a series comes, goes and returns; one is NaN, one a counter that resets.
async fn changing_target() -> (Scripted, Arc<AtomicUsize>) {
    let scrapes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&scrapes);
    let target = Scripted::start(move |_| {
        let n = seen.fetch_add(1, Ordering::Relaxed);
        let mut page = format!(
            "# TYPE requests_total counter\nrequests_total {}\n\
             # TYPE level gauge\nlevel{{at=\"a \\\"b\\\"\"}} {}\nnot_a_number NaN\ninfinite +Inf\n",
            (n % 7) * 10,
            (n as f64).sin()
        );
        if n % 4 < 2 {
            page += "now_and_then 1\n";
        }
        Reply::page("text/plain; version=0.0.4", page)
    })
    .await;
    (target, scrapes)
}

/// A sender with two ways out: one straight to `direct`, one through Sidelong.
fn sender_config(target: &Scripted, direct: &str, sidelong: &Sidelong, message: &str) -> String {
    let entry = |url: &str| format!("  - {{url: '{url}', protobuf_message: {message}}}\n");
    // 2.42 knows no other message, and not the option.
    let entry = |url: &str| match message {
        "" => format!("  - {{url: '{url}'}}\n"),
        _ => entry(url),
    };
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: it, static_configs: [{{targets: ['{}']}}]}}]\n\
         remote_write:\n{}{}",
        target.address,
        entry(direct),
        entry(&sidelong.url("/api/v1/write"))
    )
}

async fn equals_the_direct_path(sender: &Path, store: &Path, message: &str) {
    let scratch = Scratch::new();
    let (target, scrapes) = changing_target().await;
    let direct = Prometheus::start(&scratch, store, "direct", "").await;
    let behind = Prometheus::start(&scratch, store, "behind", "").await;
    let config = format!("downstream: {{url: '{}'}}\n{RULES}", behind.write_url());
    let sidelong = Sidelong::start(&scratch, &config).await;
    let config = sender_config(&target, &direct.write_url(), &sidelong, message);
    let mut sender = Prometheus::start(&scratch, sender, "sender", &config).await;
    eventually("ten scrapes", async || (scrapes.load(Ordering::Relaxed) >= 10).then_some(())).await;
    assert!(sender.process.stop().await.success());
    let (mut wanted, mut came) =
        (without_scores(direct.stored(".+").await), without_scores(behind.stored(".+").await));
    // At its end a sender goes on down each way for itself, and what it has read last may be left out on one of them.
    let newest = |points: &BTreeSet<Point>| points.iter().map(|p| p.timestamp).max();
    let both = newest(&wanted).min(newest(&came));
    wanted.retain(|p| Some(p.timestamp) < both);
    came.retain(|p| Some(p.timestamp) < both);
    assert_eq!(came, wanted);
    let found = eventually("the end of a score has come, too", async || {
        let found = behind.stored(".+").await;
        (!ends(&found, "for", "now_and_then").is_empty()).then_some(found)
    })
    .await;
    assert!(wanted.len() > 40, "ten scrapes were among them: {}", wanted.len());
    assert!(wanted.iter().any(|p| p.bits == STALE), "a stale marker was among them");
    assert!(wanted.iter().any(|p| f64::from_bits(p.bits).is_nan() && p.bits != STALE), "and a NaN");
    assert!(found.iter().any(|p| p.labels["__name__"] == "anomaly_score"), "and it was scored");
    stale_markers_are_carried(&found);
}

/// P18, F11: where a scored series ends, its score series ends at the same time.
fn stale_markers_are_carried(found: &[Point]) {
    let (source, score) = (ends(found, "__name__", "now_and_then"), ends(found, "for", "now_and_then"));
    assert!(score.is_subset(&source) && !score.is_empty(), "ends {source:?}, of the score {score:?}");
}

/// When the series whose label `name` is `value` ended.
fn ends(found: &[Point], name: &str, value: &str) -> BTreeSet<i64> {
    let of = |p: &&Point| p.labels.get(name).is_some_and(|v| v == value) && p.bits == STALE;
    found.iter().filter(of).map(|p| p.timestamp).collect()
}

#[tokio::test]
async fn what_prometheus_3_stores_by_1_0_is_what_it_stores_without_us() {
    let prometheus = tool!(Prometheus);
    equals_the_direct_path(&prometheus, &prometheus, "prometheus.WriteRequest").await;
}

#[tokio::test]
async fn what_prometheus_3_stores_by_2_0_is_what_it_stores_without_us() {
    let prometheus = tool!(Prometheus);
    equals_the_direct_path(&prometheus, &prometheus, "io.prometheus.write.v2.Request").await;
}

#[tokio::test]
async fn what_prometheus_2_stores_is_what_it_stores_without_us() {
    let prometheus = tool!(PrometheusDebian);
    equals_the_direct_path(&prometheus, &prometheus, "").await;
}

/// The downstream goes away in the middle and comes back with its data.
#[tokio::test]
async fn f2_a_restart_of_the_downstream_loses_and_doubles_nothing() {
    let prometheus = tool!(Prometheus);
    let scratch = Scratch::new();
    let (target, scrapes) = changing_target().await;
    let scraped = async |n| {
        let more = async || (scrapes.load(Ordering::Relaxed) >= n).then_some(());
        eventually(&format!("{n} scrapes"), more).await;
    };
    let direct = Prometheus::start(&scratch, &prometheus, "direct", "").await;
    let port = free_port();
    let mut behind = Prometheus::start_at(&scratch, &prometheus, "behind", "", port).await;
    let config = format!("downstream: {{url: '{}'}}\n{RULES}", behind.write_url());
    let sidelong = Sidelong::start(&scratch, &config).await;
    let config = sender_config(&target, &direct.write_url(), &sidelong, "prometheus.WriteRequest");
    let mut sender = Prometheus::start(&scratch, &prometheus, "sender", &config).await;
    behind.answers("level").await;
    behind.process.stop().await;
    let gone_at = scrapes.load(Ordering::Relaxed);
    scraped(gone_at + 4).await;
    let behind = Prometheus::start_at(&scratch, &prometheus, "behind", "", port).await;
    scraped(gone_at + 8).await;
    ends_equal(&direct, &behind, &mut sender).await;
}

/// B-2: it is killed in the middle, and comes back without a memory.
#[tokio::test]
async fn b2_a_killed_sidelong_loses_and_doubles_nothing() {
    let prometheus = tool!(Prometheus);
    let scratch = Scratch::new();
    let (target, scrapes) = changing_target().await;
    let scraped = async |n| {
        let more = async || (scrapes.load(Ordering::Relaxed) >= n).then_some(());
        eventually(&format!("{n} scrapes"), more).await;
    };
    let direct = Prometheus::start(&scratch, &prometheus, "direct", "").await;
    let behind = Prometheus::start(&scratch, &prometheus, "behind", "").await;
    let config = format!("downstream: {{url: '{}'}}\n{RULES}", behind.write_url());
    let sidelong = Sidelong::start(&scratch, &config).await;
    let address = sidelong.address.clone();
    let sender_config = sender_config(&target, &direct.write_url(), &sidelong, "prometheus.WriteRequest");
    let mut sender = Prometheus::start(&scratch, &prometheus, "sender", &sender_config).await;
    behind.answers("anomaly_score").await;
    drop(sidelong); // SIGKILL
    let gone_at = scrapes.load(Ordering::Relaxed);
    scraped(gone_at + 4).await;
    let _sidelong = Sidelong::start_at(&scratch, &config, &address).await;
    scraped(gone_at + 8).await;
    ends_equal(&direct, &behind, &mut sender).await;
}

/// Once the sender has caught up and ended, `behind` has what `direct` has, each sample once.
async fn ends_equal(direct: &Prometheus, behind: &Prometheus, sender: &mut Prometheus) {
    // Not before the sender has caught up: at its end it waits only so long.
    let newest = direct.stored("level").await.into_iter().map(|p| p.timestamp).max();
    eventually("the sender has caught up", async || {
        let there = behind.stored("level").await.into_iter().map(|p| p.timestamp).max();
        (there >= newest).then_some(())
    })
    .await;
    sender.process.stop().await;
    let wanted = without_scores(direct.stored(".+").await);
    eventually("every sample is there once", async || {
        let found = behind.stored(".+").await;
        let samples = without_scores(found.clone());
        let injected = found.iter().filter(|p| !samples.contains(p)).count();
        // A set would hide doubles: the counts agree too.
        (samples == wanted && samples.len() == found.len() - injected).then_some(())
    })
    .await;
}
