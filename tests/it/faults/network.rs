//! F-6 to F-9: what a network does, in a namespace of its own.

use super::load::peak_mib;
use super::{RULES, is_scores, now, one, push};
use crate::harness::dns::Dns;
use crate::harness::netns::Network;
use crate::harness::process::Process;
use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use crate::harness::{PATIENCE, eventually, http};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::path::Path;
use tokio::task::JoinSet;

/// A downstream on the far side of a network: it answers 204 to everything.
async fn far_downstream(scratch: &Scratch, network: &Network) -> Process {
    let program = format!(
        "import http.server\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20 protocol_version = 'HTTP/1.1'\n\
         \x20 def do_POST(self):\n\
         \x20   self.rfile.read(int(self.headers['Content-Length'])); self.send_response(204); self.end_headers()\n\
         \x20 def do_GET(self):\n\
         \x20   self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()\n\
         http.server.ThreadingHTTPServer(('{}', 80), H).serve_forever()\n",
        network.far()
    );
    let mut command = network.command("python3");
    let url = format!("http://{}/", network.far());
    Process::start(scratch, "far", command.arg("-c").arg(program)).ready(&url).await
}

async fn gateway(scratch: &Scratch, nft: &Path) -> (Network, Process, Sidelong) {
    let network = Network::new(nft);
    let far = far_downstream(scratch, &network).await;
    let config = format!("downstream: {{url: 'http://{}/write', timeout: 2s}}\n{RULES}", network.far());
    let sidelong = Sidelong::start(scratch, &config).await;
    (network, far, sidelong)
}

async fn recovers(sidelong: &Sidelong) {
    eventually("samples pass again", async || {
        (push(sidelong, one("level")).await.status == 204).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f6_a_downstream_that_is_silently_gone_is_a_504_and_comes_back() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let (network, _far, sidelong) = gateway(&scratch, &nft).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 204);
    network.link("down");
    assert!(matches!(push(&sidelong, one("level")).await.status, 502 | 504));
    network.link("up");
    recovers(&sidelong).await;
    network.rule("tcp dport 80 drop");
    assert!(matches!(push(&sidelong, one("level")).await.status, 502 | 504));
    network.rule("");
    recovers(&sidelong).await;
}

/// TCP alone can tell of a peer that fell silent where a request may take longer than a dead peer is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn f6_b10_a_peer_that_fell_silent_is_noticed_before_the_request_is_late_and_nothing_acknowledged_is_lost()
 {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let network = Network::new(&nft);
    let near: Ipv4Addr = network.near().parse().unwrap();
    let downstream = Scripted::start_on(near.into(), |_| Reply::status(204)).await;
    let config = format!("downstream: {{url: '{}', timeout: 1h}}\n{RULES}", downstream.url("/api/v1/write"));
    let sidelong = Sidelong::start_in(&scratch, &config, &network).await;
    let mut acknowledged = Vec::new();
    let mut push = |name: String| {
        let body = one(&name);
        let url = sidelong.url("/api/v1/write");
        let sent = body.clone();
        let pushed = network.on_far_side(|| async move {
            tokio::time::timeout(PATIENCE, http::post(&url, HEADERS_V1, sent)).await
        });
        let status = pushed.expect("an answer, although the request is not late").unwrap().status;
        if status == 204 {
            acknowledged.push(body);
        }
        status
    };
    for n in 0..20 {
        assert_eq!(push(format!("before_{n}")), 204);
    }
    network.rule(&format!("tcp sport {} drop", downstream.address.port()));
    assert_eq!(push("meanwhile".to_owned()), 502, "the connection is given up, and the sender is told");
    network.rule("");
    for n in 0..20 {
        assert_eq!(push(format!("after_{n}")), 204);
    }
    let received: HashSet<Bytes> = downstream.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(acknowledged.len(), 40);
    assert!(acknowledged.iter().all(|body| received.contains(body)), "what was acknowledged was received");
}

#[tokio::test]
async fn f7_a_connection_reset_by_the_network_is_a_502() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let (network, _far, sidelong) = gateway(&scratch, &nft).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 204);
    network.rule("tcp dport 80 reject with tcp reset");
    assert_eq!(push(&sidelong, one("level")).await.status, 502);
    network.rule("");
    recovers(&sidelong).await;
}

#[tokio::test]
async fn f8_a_fifth_of_all_packets_lost_slows_and_breaks_nothing() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let (network, _far, sidelong) = gateway(&scratch, &nft).await;
    network.rule("tcp dport 80 numgen random mod 100 < 20 drop");
    for _ in 0..20 {
        // A request may meet its deadline; the next one is served.
        assert!(matches!(push(&sidelong, one("level")).await.status, 204 | 502 | 504));
    }
    network.rule("");
    recovers(&sidelong).await;
}

/// Senders that each have one request to deliver.
const SENDERS: usize = 100;
const SERIES: usize = 200;

/// The same series each round, so that what is kept of them does not grow; the bytes are new, so that each request
/// can be told from all others.
fn round_of_bodies(round: i64) -> Vec<Bytes> {
    let of_sender = |sender: usize| {
        let pod = |n: usize| format!("{sender}-{:032x}", (n as u128 + 1) * 0x9e37_79b9_7f4a_7c15_f39c_c060);
        let at = now() + round;
        let one = |n: usize| {
            let value = (n as i64 * 7919 + round * 104_729) as f64 / 3.0;
            series(&[("__name__", "level"), ("pod", &pod(n))], &[(at, value)])
        };
        body_v1((0..SERIES).map(one).collect())
    };
    (0..SENDERS).map(of_sender).collect()
}

/// Sends all bodies at once; gives those that were not taken.
async fn flood(url: String, bodies: Vec<Bytes>) -> Vec<Bytes> {
    let mut pushes = JoinSet::new();
    for body in bodies {
        let url = url.clone();
        pushes.spawn(async move {
            let status = http::post(&url, HEADERS_V1, body.clone()).await.unwrap().status;
            // At the end more may be late than requests may be in flight.
            assert!(matches!(status, 204 | 502 | 503 | 504), "{status}");
            (status != 204).then_some(body)
        });
    }
    pushes.join_all().await.into_iter().flatten().collect()
}

/// A link of 64 kbit/s that loses a fifth of its packets, and far more load than it can carry. The senders are on
/// Sidelong's side of it, the downstream is on the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn f8_a_thin_and_lossy_link_slows_samples_and_neither_loses_nor_doubles_nor_hoards_them() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let network = Network::new(&nft);
    let near: Ipv4Addr = network.near().parse().unwrap();
    let downstream = Scripted::start_on(near.into(), |_| Reply::status(204)).await;
    let config = format!("downstream: {{url: '{}', timeout: 2s}}\n{RULES}", downstream.url("/api/v1/write"));
    let sidelong = Sidelong::start_in(&scratch, &config, &network).await;
    let mut attempts: HashMap<Bytes, usize> = HashMap::new();
    let mut attempt = |bodies: Vec<Bytes>| {
        bodies.iter().for_each(|body| *attempts.entry(body.clone()).or_default() += 1);
        let url = sidelong.url("/api/v1/write");
        network.on_far_side(move || flood(url, bodies))
    };
    for round in 0..3 {
        assert!(attempt(round_of_bodies(round)).is_empty(), "the link is whole");
    }
    // What all series have learned is there, and grows no more.
    let scored = (3 * SENDERS * SERIES) as f64;
    network.on_far_side(|| sidelong.metric_reaches("sidelong_samples_scored_total", "", scored));
    let before = peak_mib(&sidelong);

    network.throttle("64kbit");
    network.lose(20, downstream.address.port());
    let mut left = Vec::new();
    for round in 3..6 {
        left.extend(attempt(round_of_bodies(round)));
    }
    assert!(left.len() > SENDERS, "{} late; the link was meant to be too thin", left.len());
    network.on_far_side(|| recovers(&sidelong)); // it is slow, and goes on
    assert!(network.throttled() > 0 && network.lost() > 0, "the faults were there");
    let after = peak_mib(&sidelong);
    assert!(after <= before + 16, "{before} MiB on the whole link, {after} MiB on the thin one");

    network.full_speed();
    network.lose_nothing();
    for _again in 0..10 {
        left = attempt(left);
    }
    assert!(left.is_empty(), "{} are not taken by the whole link", left.len());
    let mut received: HashMap<Bytes, usize> = HashMap::new();
    for request in downstream.requests().into_iter().filter(|r| !is_scores(r)) {
        *received.entry(request.body).or_default() += 1;
    }
    for (body, attempts) in attempts {
        let times = received.get(&body).copied().unwrap_or_default();
        assert!((1..=attempts).contains(&times), "sent {attempts} times, came {times} times");
    }
}

/// The name is allowed, and first resolves to what is allowed; then to a metadata service.
#[tokio::test]
async fn f9_a_name_that_flips_to_a_metadata_address_is_refused() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let network = Network::new(&nft);
    let near: Ipv4Addr = network.near().parse().unwrap();
    let dns = Dns::start(near.into(), near).await;
    network.resolve_by(&network.near());
    let target = Scripted::start_on(near.into(), |_| Reply::page("text/plain", "level 1\n")).await;
    let port = target.address.port();
    let config = format!(
        "scrape: {{allow: [{{hosts: [flip.test], ports: [{port}]}}, {{networks: ['{near}/32'], ports: [{port}]}}]}}\n"
    );
    let sidelong = Sidelong::start_in(&scratch, &config, &network).await;
    let url = sidelong.url(&format!("/proxy?target=http://flip.test:{port}/metrics"));
    let first = http::get(&url).await.unwrap();
    assert_eq!((first.status, &*first.text()), (200, "level 1\n"));
    dns.set(Ipv4Addr::new(169, 254, 169, 254));
    assert_eq!(http::get(&url).await.unwrap().status, 403);
    assert_eq!(target.requests().len(), 1);
}

#[tokio::test]
async fn f9_a_name_that_does_not_resolve_is_a_failed_scrape() {
    let scratch = Scratch::new();
    let config = "scrape: {targets: [{name: gone, url: 'http://sidelong-test.invalid/'}]}\n";
    let sidelong = Sidelong::start(&scratch, config).await;
    assert_eq!(http::get(&sidelong.url("/scrape/gone")).await.unwrap().status, 502);
}
