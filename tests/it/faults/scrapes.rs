//! F-15 and B-2 of the pull door: Sidelong stands still, or is killed, between a real Prometheus and its target.

use super::RULES;
use crate::harness::eventually;
use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::{Point, STALE};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Recorded, Reply, Scripted};
use crate::harness::sidelong::{Sidelong, free_address};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// A target that counts its scrapes.
fn counting() -> impl Fn(&Recorded) -> Reply + Send + Sync {
    let scrapes = AtomicU64::new(0);
    move |_| {
        let n = scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::page("text/plain", format!("# TYPE level gauge\nlevel {n}\n"))
    }
}

/// Whether each scrape of `job` succeeded, by its time.
async fn scrapes(prometheus: &Prometheus, job: &str) -> BTreeMap<i64, bool> {
    let up = prometheus.stored("up").await.into_iter().filter(|p| p.labels["job"] == job);
    up.map(|p| (p.timestamp, f64::from_bits(p.bits) == 1.0)).collect()
}

fn failed(scrapes: &BTreeMap<i64, bool>) -> usize {
    scrapes.values().filter(|up| !**up).count()
}

/// How many scrapes have succeeded since the last that failed.
fn since_the_gap(scrapes: &BTreeMap<i64, bool>) -> usize {
    scrapes.values().rev().take_while(|up| **up).count()
}

/// Times of the samples of `name` and `job`, but for the markers that end the series.
fn times(points: Vec<Point>, job: &str) -> BTreeSet<i64> {
    let samples = points.into_iter().filter(|p| p.labels["job"] == job && p.bits != STALE);
    samples.map(|p| p.timestamp).collect()
}

/// A gap is all there is: whatever was scraped well has its sample and its score, and the rest has neither.
async fn is_a_gap_and_nothing_else(prometheus: &Prometheus, job: &str) {
    // In this order: what is scraped in between has its samples before it is up.
    let up = scrapes(prometheus, job).await;
    let last = *up.keys().last().unwrap();
    let within = |points| times(points, job).into_iter().filter(|&at| at <= last).collect::<BTreeSet<_>>();
    let well: BTreeSet<_> = up.into_iter().filter(|(_, up)| *up).map(|(at, _)| at).collect();
    assert_eq!(within(prometheus.stored("level").await), well, "samples of {job}");
    assert_eq!(within(prometheus.stored("anomaly_score").await), well, "scores of {job}");
}

#[tokio::test]
async fn f15_a_stopped_process_is_a_gap_in_scrapes_and_loses_no_sample() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let target = Scripted::start(counting()).await;
    let store = Prometheus::start(&scratch, &program, "store", "").await;
    let config = format!(
        "downstream: {{url: '{}'}}\nscrape: {{targets: [{{name: it, url: '{}', scrape_interval: 1s, scrape_timeout: 1s}}]}}\n\
         rules: [{{match: level}}]\n",
        store.write_url(),
        target.url("/metrics")
    );
    let sidelong = Sidelong::start(&scratch, &config).await;
    // Through both doors at once: what it scrapes through Sidelong it also sends through it.
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: it, metrics_path: /scrape/it, static_configs: [{{targets: ['{0}']}}]}}]\n\
         remote_write: [{{url: 'http://{0}/api/v1/write'}}]\n",
        sidelong.address
    );
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", &config).await;
    eventually("two scrapes", async || (since_the_gap(&scrapes(&prometheus, "it").await) >= 2).then_some(()))
        .await;
    sidelong.process.signal(Signal::STOP);
    eventually("three scrapes have failed", async || {
        (failed(&scrapes(&prometheus, "it").await) >= 3).then_some(())
    })
    .await;
    assert!(sidelong.process.stopped() && prometheus.query("up == 0").await.len() == 1);
    sidelong.process.signal(Signal::CONT);
    eventually("three scrapes go well again", async || {
        (since_the_gap(&scrapes(&prometheus, "it").await) >= 3).then_some(())
    })
    .await;
    is_a_gap_and_nothing_else(&prometheus, "it").await;
    let own = |points: Vec<Point>| points.into_iter().filter(|p| !p.is_injected()).collect::<BTreeSet<_>>();
    // The marker of the gap's begin among them.
    let wanted = own([prometheus.stored("up").await, prometheus.stored("level").await].concat());
    eventually("the store has all of it", async || {
        let stored = own([store.stored("up").await, store.stored("level").await].concat());
        wanted.is_subset(&stored).then_some(())
    })
    .await;
}

/// Killed while a target is about to answer, and started again at once: that scrape is missed and no other.
async fn costs_one_scrape_at_most(path: &str, proxied: bool) {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let target = Scripted::start(counting()).await;
    let address = free_address();
    let ours = format!(
        "scrape: {{targets: [{{name: it, url: '{}', scrape_interval: 5s, scrape_timeout: 5s}}], \
         allow: [{{networks: [127.0.0.1/32], ports: [{}], scrape_interval: 5s, scrape_timeout: 5s}}]}}\n{RULES}",
        target.url("/metrics"),
        target.address.port()
    );
    let first = Sidelong::start_at(&scratch, &ours, &address).await;
    let here = target.address.to_string();
    let (asked, proxy) = match proxied {
        true => (&here, format!("proxy_url: 'http://{address}', ")),
        false => (&address, String::new()),
    };
    let config = format!(
        "global: {{scrape_interval: 5s, scrape_timeout: 5s}}\n\
         scrape_configs: [{{job_name: it, metrics_path: {path}, {proxy}\
         static_configs: [{{targets: ['{asked}']}}]}}]\n"
    );
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", &config).await;
    eventually("a scrape", async || (!scrapes(&prometheus, "it").await.is_empty()).then_some(())).await;
    let (gate, page) = (Gate::closed(), counting());
    let held = gate.clone();
    let before = target.requests().len();
    target.set(move |request| page(request).behind(&held));
    target.received(before + 1, "a scrape that waits for its page", |_| true).await;
    drop(first); // SIGKILL
    gate.open();
    let _second = Sidelong::start_at(&scratch, &ours, &address).await;
    eventually("two scrapes have gone well again", async || {
        let scrapes = scrapes(&prometheus, "it").await;
        (failed(&scrapes) > 0 && since_the_gap(&scrapes) >= 2).then_some(())
    })
    .await;
    let scrapes = scrapes(&prometheus, "it").await;
    assert_eq!(failed(&scrapes), 1, "{scrapes:?}");
    is_a_gap_and_nothing_else(&prometheus, "it").await;
}

#[tokio::test]
async fn b2_a_kill_costs_a_named_target_one_scrape_at_most() {
    costs_one_scrape_at_most("/scrape/it", false).await;
}

#[tokio::test]
async fn b2_a_kill_costs_a_proxied_target_one_scrape_at_most() {
    costs_one_scrape_at_most("/metrics", true).await;
}
