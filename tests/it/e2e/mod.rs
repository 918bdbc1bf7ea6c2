//! End to end: Sidelong among the real parts it works with, each wiring started from the files of `examples/`.

mod absence;
mod backtest;
mod carried;
mod equality;
mod estimate;
mod native;
mod operations;
mod promises;
mod receivers;
mod secrets;
mod signals;
mod truth;
mod wirings;

use crate::harness::eventually;
use crate::harness::process::Process;
use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::{Point, named};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::free_address;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A node_exporter with few collectors, and its address.
async fn node_exporter(scratch: &Scratch, program: &Path) -> (Process, String) {
    let address = free_address();
    let mut command = Command::new(program);
    command.arg(format!("--web.listen-address={address}")).args([
        "--collector.disable-defaults",
        "--collector.loadavg",
        "--collector.cpu",
        "--collector.stat",
    ]);
    let process = Process::start(scratch, "node", &mut command);
    (process.ready(&format!("http://{address}/metrics")).await, address)
}

/// What the issue asks of every wiring: PromQL finds the score of `node_load1`, with that series' labels and `for`
/// instead of its name, and each score stands at the timestamp of a sample.
async fn finds_the_score_of_load(prometheus: &Prometheus, job: &str) {
    let promql = format!("anomaly_score{{for=\"node_load1\",job=\"{job}\"}}");
    let score = prometheus.answers(&promql).await.remove(0);
    let load = prometheus.answers(&format!("node_load1{{job=\"{job}\"}}")).await.remove(0);
    let mut wanted = load.labels;
    wanted.insert("__name__".to_owned(), "anomaly_score".to_owned());
    wanted.insert("for".to_owned(), "node_load1".to_owned());
    assert_eq!(score.labels, wanted);
    assert!(score.value >= 0.0);
    scores_stand_at_samples(prometheus, job).await;
}

/// Every stored score of `node_load1` has the timestamp of a stored sample; at least two of them.
async fn scores_stand_at_samples(prometheus: &Prometheus, job: &str) {
    eventually("two scores, each at its sample", async || {
        // Scores first: the sample of each is there before it.
        let scores = of_load(prometheus.stored("anomaly_score").await, "for", job);
        let samples = of_load(prometheus.stored("node_load1").await, "__name__", job);
        for score in &scores {
            assert!(samples.contains(score), "no sample at {score}: {samples:?}");
        }
        (scores.len() >= 2).then_some(())
    })
    .await;
}

fn of_load(points: Vec<Point>, label: &str, job: &str) -> BTreeSet<i64> {
    let load = |p: &Point| p.labels.get(label).is_some_and(|v| v == "node_load1") && p.labels["job"] == job;
    points.into_iter().filter(load).map(|p| p.timestamp).collect()
}

/// All points but what Sidelong injected.
fn without_scores(points: Vec<Point>) -> BTreeSet<Point> {
    points.into_iter().filter(|p| !p.is_injected()).collect()
}

/// The values of a series' scores by timestamp.
fn scores_of(points: &[Point], metric: &str) -> BTreeMap<i64, f64> {
    let of_metric = |p: &&Point| p.labels.get("for").is_some_and(|v| v == metric);
    named(points, "anomaly_score")
        .iter()
        .filter(of_metric)
        .map(|p| (p.timestamp, f64::from_bits(p.bits)))
        .collect()
}
