//! The stream of the demo by four senders at once: whoever comes first, the same bits come out.

use super::*;
use crate::harness::http::Kept;
use crate::harness::scratch::Scratch;
use sidelong::simulate::synth::{Fleet, FleetOptions, Kind, MONDAY_MS, Plan};
use std::collections::BTreeSet;

const SENDERS: u32 = 4;
const INSTANCES: u32 = 8;
const STEP_MS: i64 = 15_000;
/// A little over an hour.
const STEPS: usize = 260;
/// Scrapes by which one sender may be ahead of another: less than the watermark of two minutes.
const AHEAD: usize = 6;

/// What strikes the nodes: each comes in this hour.
const KINDS: &[Kind] = &[Kind::Straggler, Kind::Vanish, Kind::Strain, Kind::ErrorBurst];
/// All signals that the demo shows, at the step of the senders.
const SIGNALS: &str = r#"
signals:
  histograms: [{match: http_request_duration_seconds}]
  ratios:
    - {name: errors, of: 'http_requests_total{code="500"}', to: http_requests_total, by: [namespace], step: 15s}
  sums:
    - {name: requests, match: http_requests_total, by: [namespace], step: 15s}
    - {name: received, match: node_network_receive_bytes_total, step: 15s}
  peers: [{match: container_memory_working_set_bytes, without: [pod], step: 15s}]
  entities: [{name: node, match: '{__name__=~"node_.+"}', by: [instance]}]
rules: [{match: '{__name__!=""}', absence: {after: 3, seen_for: 15m}}]
"#;

/// The requests of each sender, in its order. Each has its own nodes, and scrapes them at its own moment of a step.
fn requests() -> Vec<Vec<Bytes>> {
    let plan = Plan { quiet_ms: 1_200_000, every_ms: 360_000, kinds: KINDS };
    let mut fleet = Fleet::new(FleetOptions { seed: 5, instances: INSTANCES, start_ms: MONDAY_MS, plan });
    let all = fleet.series().to_vec();
    let mut requests = vec![Vec::new(); SENDERS as usize];
    let mut values = Vec::new();
    for step in 0..STEPS as i64 {
        for (sender, requests) in (0..SENDERS).zip(&mut requests) {
            let at_ms = MONDAY_MS + step * STEP_MS + i64::from(sender) * 3_000;
            fleet.advance_to(at_ms);
            fleet.read(&mut values);
            let own = all.iter().zip(&values).filter(|(series, _)| series.instance % SENDERS == sender);
            let exported = own.filter(|(_, value)| !value.is_nan());
            let body = exported.map(|(of, value)| {
                let name = of.name();
                let labels = of.labels.iter().map(|(label, value)| (*label, value.as_str()));
                let labels: Vec<_> = [("__name__", name.as_str())].into_iter().chain(labels).collect();
                series(&labels, &[(at_ms, *value)])
            });
            requests.push(body_v1(body.collect()));
        }
    }
    requests
}

/// How the senders take turns.
#[derive(Clone, Copy)]
enum Turns {
    /// One after the other, the first first.
    InOrder,
    /// The last first, each as far ahead as it may be.
    LastFirst,
    /// All at once.
    AtOnce,
}

/// Plays `requests` against a Sidelong of its own, and gives all scores that came of it, without the counts.
async fn play(requests: &[Vec<Bytes>], turns: Turns) -> BTreeSet<Point> {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "").replace(RULES, "") + SIGNALS)).await;
    let connections: Vec<Kept> = requests.iter().map(|_| Kept::new()).collect();
    let url = sidelong.url("/api/v1/write");
    let send = async |sender: usize, steps: std::ops::Range<usize>| {
        for body in &requests[sender][steps] {
            let answer = connections[sender].post(&url, HEADERS_V1, body.clone()).await.unwrap();
            assert_eq!(answer.status, 204);
        }
    };
    for from in (0..STEPS).step_by(AHEAD) {
        let block = from..(from + AHEAD).min(STEPS);
        match turns {
            Turns::InOrder => {
                for step in block {
                    for sender in 0..requests.len() {
                        send(sender, step..step + 1).await;
                    }
                }
            }
            Turns::LastFirst => {
                for sender in (0..requests.len()).rev() {
                    send(sender, block.clone()).await;
                }
            }
            Turns::AtOnce => {
                let of = |sender| send(sender, block.clone());
                tokio::join!(of(0), of(1), of(2), of(3));
            }
        }
    }
    // The scores of one tenant leave in order: behind this one's nothing is missing.
    let last = series(&[("__name__", "last")], &[(MONDAY_MS + STEPS as i64 * STEP_MS, 1.0)]);
    assert_eq!(connections[0].post(&url, HEADERS_V1, body_v1(vec![last])).await.unwrap().status, 204);
    let is_last = |point: &Point| point.labels.get("for").is_some_and(|of| of == "last");
    let is_behind = |request: &Recorded| is_scores(request) && request.points().iter().any(is_last);
    downstream.received(1, "the last score", is_behind).await;
    assert_eq!(sidelong.metric("sidelong_signal_samples_late_total", "").await, 0.0);
    let requests = downstream.requests();
    let points = requests.iter().filter(|request| is_scores(request)).flat_map(Recorded::points);
    points.filter(|point| point.labels["__name__"] == "anomaly_score" && !is_last(point)).collect()
}

#[tokio::test]
async fn the_demo_by_four_senders_in_any_order_gives_the_same_bits() {
    let requests = requests();
    let in_order = play(&requests, Turns::InOrder).await;
    for made in ["http_request_duration_seconds:mean", "errors:ratio", "requests:sum", "received:sum", "node"]
    {
        let of = |point: &&Point| point.labels["for"] == made;
        assert!(in_order.iter().filter(of).count() > 200, "{made}");
    }
    let peers = in_order.iter().filter(|point| point.labels["for"].ends_with(":peer"));
    assert!(peers.clone().count() > 200 * INSTANCES as usize);
    assert!(peers.into_iter().any(|point| f64::from_bits(point.bits) >= 1.0), "a straggler is found");
    let absent = in_order.iter().filter(|point| point.labels["for"].ends_with(":absent"));
    assert!(absent.count() > 0, "a pod that vanishes is missed");
    for turns in [Turns::LastFirst, Turns::AtOnce] {
        let other = play(&requests, turns).await;
        let differ: Vec<_> = in_order.symmetric_difference(&other).take(4).collect();
        assert!(differ.is_empty(), "{differ:?}");
    }
}
