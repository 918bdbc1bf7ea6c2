//! The ground that other tests stand on: the real parts start, agree with the oracle, and the spoilers spoil.

use crate::harness::fault::{Fault, FaultProxy, Way};
use crate::harness::http;
use crate::harness::netns::Network;
use crate::harness::nginx;
use crate::harness::process::Process;
use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::{self, HEADERS_V1, HEADERS_V2, STALE, Series, named, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Reply, Scripted};
use crate::harness::{eventually, free_port};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A value, a NaN with bits of its own, and the end of the series.
fn three_samples(at: i64) -> Vec<Series> {
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    let samples = [(at, 1.5), (at + 1, nan), (at + 2, f64::from_bits(STALE))];
    vec![series(&[("__name__", "three"), ("job", "it")], &samples)]
}

async fn stored_bits(prometheus: &Prometheus, headers: &[(&str, &str)], body: bytes::Bytes) {
    let answer = http::post(&prometheus.write_url(), headers, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
    let stored = prometheus.stored("three").await;
    let bits: Vec<_> = stored.iter().map(|p| p.bits).collect();
    assert_eq!(bits, [1.5_f64.to_bits(), 0x7ff8_0000_0000_0001, STALE]);
}

#[tokio::test]
async fn prometheus_3_stores_what_either_version_sends_bit_by_bit() {
    let program = tool!(Prometheus);
    for (headers, body) in [
        (HEADERS_V1, remote_write::body_v1(three_samples(now()))),
        (HEADERS_V2, remote_write::body_v2(three_samples(now()))),
    ] {
        let scratch = Scratch::new();
        let prometheus = Prometheus::start(&scratch, &program, "prometheus", "").await;
        stored_bits(&prometheus, headers, body).await;
    }
}

#[tokio::test]
async fn prometheus_2_stores_what_1_0_sends_bit_by_bit() {
    let program = tool!(PrometheusDebian);
    let scratch = Scratch::new();
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", "").await;
    stored_bits(&prometheus, HEADERS_V1, remote_write::body_v1(three_samples(now()))).await;
}

#[tokio::test]
async fn a_prometheus_started_again_finds_its_data() {
    let program = tool!(PrometheusDebian);
    let scratch = Scratch::new();
    let port = free_port();
    let mut first = Prometheus::start_at(&scratch, &program, "prometheus", "", port).await;
    stored_bits(&first, HEADERS_V1, remote_write::body_v1(three_samples(now()))).await;
    assert!(first.process.stop().await.success());
    let second = Prometheus::start_at(&scratch, &program, "prometheus", "", port).await;
    assert_eq!(second.stored("three").await.len(), 3);
}

#[tokio::test]
async fn node_exporter_is_scraped_and_sent_on() {
    let (prometheus, node) = (tool!(Prometheus), tool!(NodeExporter));
    let scratch = Scratch::new();
    let target = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(node);
    let _node = Process::start(&scratch, "node", command.arg(format!("--web.listen-address={target}")))
        .ready(&format!("http://{target}/metrics"))
        .await;
    let downstream = Scripted::downstream().await;
    let config = format!(
        "scrape_configs: [{{job_name: node, scrape_interval: 1s, static_configs: [{{targets: [\"{target}\"]}}]}}]\n\
         remote_write: [{{url: \"{}\"}}]\n",
        downstream.url("/api/v1/write")
    );
    let prometheus = Prometheus::start(&scratch, &prometheus, "prometheus", &config).await;
    let load = prometheus.answers("node_load1").await;
    assert_eq!(load[0].labels["job"], "node");
    let sent = downstream.received(1, "node_load1", |r| !named(&r.points(), "node_load1").is_empty()).await;
    assert_eq!(sent[0].header("content-encoding"), "snappy");
}

#[tokio::test]
async fn vmagent_sends_on_what_it_is_sent() {
    let program = tool!(Vmagent);
    let scratch = Scratch::new();
    let address = format!("127.0.0.1:{}", free_port());
    let downstream = Scripted::downstream().await;
    let mut command = Command::new(program);
    command
        .arg(format!("-httpListenAddr={address}"))
        .arg(format!("-remoteWrite.url={}", downstream.url("/api/v1/write")))
        .arg("-remoteWrite.forcePromProto")
        .arg(format!("-remoteWrite.tmpDataPath={}", scratch.folder("queue").display()));
    let _vmagent =
        Process::start(&scratch, "vmagent", &mut command).ready(&format!("http://{address}/health")).await;
    let body = remote_write::body_v1(three_samples(now()));
    let answer = http::post(&format!("http://{address}/api/v1/write"), HEADERS_V1, body).await.unwrap();
    assert_eq!(answer.status, 204);
    downstream.received(1, "three", |r| r.method == "POST" && !named(&r.points(), "three").is_empty()).await;
}

#[tokio::test]
async fn nginx_passes_a_request_on() {
    let program = tool!(Nginx);
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let (_nginx, address) = nginx::start(&scratch, &program, &downstream.address.to_string()).await;
    let body = remote_write::body_v1(three_samples(now()));
    let url = format!("http://{address}/api/v1/write");
    assert_eq!(http::post(&url, HEADERS_V1, body.clone()).await.unwrap().status, 204);
    assert_eq!(downstream.requests()[0].body, body);
}

#[tokio::test]
async fn the_oracle_reads_both_text_formats() {
    let python = tool!(Oracle);
    let program = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as text\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as om\n\
        assert next(iter(text('a 1\\n'))).samples[0].value == 1\n\
        assert next(iter(om('a 1\\n# EOF\\n'))).samples[0].value == 1\n";
    let output = Command::new(python).args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_scripted_server_answers_well_and_badly() {
    let server = Scripted::start(|r| match &*r.target {
        "/ok" => Reply::page("text/plain", "whole"),
        "/short" => Reply::short("text/plain", "cut in half"),
        "/endless" => Reply::endless(200),
        "/drip" => Reply::drip(200, "dr", Duration::from_millis(1)),
        "/reset" => Reply::Reset,
        _ => Reply::Cut,
    })
    .await;
    let get = async |path: &str| http::get(&server.url(path)).await;
    let whole = get("/ok").await.unwrap();
    assert_eq!((whole.status, whole.header("content-type"), &*whole.text()), (200, "text/plain", "whole"));
    assert_eq!(get("/drip").await.unwrap().text(), "dr");
    for path in ["/short", "/cut", "/reset"] {
        assert!(get(path).await.is_err(), "{path}");
    }
    let without_end = tokio::time::timeout(Duration::from_millis(100), get("/endless")).await;
    assert!(without_end.is_err());
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests[0].at < requests[5].at && requests[0].connection < requests[5].connection);
}

#[tokio::test]
async fn a_gate_holds_answers_back() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Scripted::start(move |_| Reply::status(204).behind(&held)).await;
    let url = server.url("/");
    let answer = tokio::spawn(async move { http::get(&url).await.unwrap().status });
    server.received(1, "the one", |_| true).await;
    assert!(!answer.is_finished());
    gate.open();
    assert_eq!(answer.await.unwrap(), 204);
    server.set(|_| Reply::Silence);
    let never = tokio::time::timeout(Duration::from_millis(50), http::get_with(&server.url("/"), &[])).await;
    assert!(never.is_err());
}

#[tokio::test]
async fn a_fault_proxy_does_what_it_is_told() {
    let server = Scripted::start(|_| Reply::page("text/plain", vec![b'a'; 1000])).await;
    let proxy = FaultProxy::start(server.address).await;
    let get = async || http::get(&format!("http://{}/", proxy.address)).await;
    let broken = async |fault| {
        proxy.set(Way::ToClient, fault);
        let answer = tokio::time::timeout(Duration::from_millis(300), get()).await;
        !matches!(answer, Ok(Ok(a)) if a.body == vec![b'a'; 1000])
    };
    assert!(!broken(Fault::None).await);
    assert!(!broken(Fault::Delay(Duration::from_millis(1))).await);
    assert!(!broken(Fault::CutAfter(1 << 20)).await);
    for fault in [
        Fault::StallAfter(500),
        Fault::CutAfter(500),
        Fault::ResetAfter(0),
        Fault::HalfCloseAfter(500),
        Fault::Throttle(20),
        Fault::Garble,
    ] {
        assert!(broken(fault).await, "{fault:?}");
    }
    proxy.set(Way::ToServer, Fault::None);
    assert!(!broken(Fault::None).await);
}

#[tokio::test]
async fn a_stalled_connection_goes_on_when_the_fault_ends() {
    let server = Scripted::start(|_| Reply::page("text/plain", "late")).await;
    let proxy = FaultProxy::start(server.address).await;
    proxy.set(Way::ToClient, Fault::StallAfter(10));
    let url = format!("http://{}/", proxy.address);
    let answer = tokio::spawn(async move { http::get(&url).await.unwrap().text() });
    server.received(1, "the one", |_| true).await;
    assert!(!answer.is_finished());
    proxy.set(Way::ToClient, Fault::None);
    assert_eq!(answer.await.unwrap(), "late");
}

#[tokio::test]
async fn a_network_can_be_cut_refused_and_joined_again() {
    let nft = tool!(Nftables);
    let network = Network::new(&nft);
    let scratch = Scratch::new();
    let listen = format!("http.server.HTTPServer(('{}', 80)", network.far());
    let page = "class H(http.server.BaseHTTPRequestHandler):\n  def do_GET(self):\n    self.send_response(200); self.end_headers()\n";
    let program = format!("import http.server\n{page}{listen}, H).serve_forever()\n");
    let mut command = network.command("python3");
    let url = format!("http://{}/", network.far());
    let server = Process::start(&scratch, "far", command.arg("-c").arg(program)).ready(&url).await;
    let reached = async || {
        let answer = tokio::time::timeout(Duration::from_millis(300), http::get(&url)).await;
        matches!(answer, Ok(Ok(a)) if a.status == 200)
    };
    network.rule("tcp dport 80 drop");
    assert!(!reached().await);
    network.rule("tcp dport 80 reject with tcp reset");
    assert!(http::get(&url).await.is_err());
    network.rule("");
    eventually("the rule is gone", async || reached().await.then_some(())).await;
    network.link("down");
    assert!(!reached().await);
    network.link("up");
    eventually("the link is back", async || reached().await.then_some(())).await;
    assert!(network.near() != network.far() && server.id() > 0);
}

#[tokio::test]
async fn a_process_ends_with_its_handle() {
    let scratch = Scratch::new();
    let mut polite = Process::start(&scratch, "sleep", Command::new("sleep").arg("600"));
    assert!(!polite.stop().await.success());
    let id = Process::start(&scratch, "sleep", Command::new("sleep").arg("600")).id();
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    let mut said = Process::start(&scratch, "echo", Command::new("echo").arg("something"));
    assert!(said.ended().await.success());
    assert_eq!(said.log(), "something\n");
    assert!(http::raw(&Scripted::downstream().await.address.to_string(), b"\r\n").await.is_empty());
}
