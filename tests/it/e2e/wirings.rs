//! The four wirings, and the senders there are.

use super::{finds_the_score_of_load, node_exporter};
use crate::harness::examples::{self, DOWNSTREAM, NODE, SIDELONG};
use crate::harness::nginx;
use crate::harness::process::Process;
use crate::harness::prometheus::Prometheus;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{Sidelong, free_address};
use std::path::Path;
use std::process::Command;

/// node_exporter → `sender` → Sidelong → `store`; `more` is added to the sender's remote_write entry.
async fn gateway(sender: &Path, store: &Path, more: &str) {
    let node = tool!(NodeExporter);
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let store = Prometheus::start(&scratch, store, "store", "").await;
    let config = examples::load("sidelong-gateway.yml", &[(DOWNSTREAM, &store.address)]);
    let sidelong = Sidelong::start(&scratch, &config).await;
    let config =
        examples::load("prometheus-gateway.yml", &[(NODE, &node), (SIDELONG, &sidelong.address)]) + more;
    let _sender = Prometheus::start(&scratch, sender, "sender", &config).await;
    finds_the_score_of_load(&store, "node").await;
}

const V2: &str = "    protobuf_message: io.prometheus.write.v2.Request\n";

#[tokio::test]
async fn gateway_from_prometheus_3_by_1_0() {
    let prometheus = tool!(Prometheus);
    gateway(&prometheus, &prometheus, "").await;
}

#[tokio::test]
async fn gateway_from_prometheus_3_by_2_0() {
    let prometheus = tool!(Prometheus);
    gateway(&prometheus, &prometheus, V2).await;
}

#[tokio::test]
async fn gateway_from_prometheus_2_to_prometheus_2() {
    let prometheus = tool!(PrometheusDebian);
    gateway(&prometheus, &prometheus, "").await;
}

#[tokio::test]
async fn gateway_from_vmagent_by_1_0() {
    let (vmagent, node, prometheus) = (tool!(Vmagent), tool!(NodeExporter), tool!(Prometheus));
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let store = Prometheus::start(&scratch, &prometheus, "store", "").await;
    let config = examples::load("sidelong-gateway.yml", &[(DOWNSTREAM, &store.address)]);
    let sidelong = Sidelong::start(&scratch, &config).await;
    let config = examples::load("prometheus.yml", &[(NODE, &node)]);
    let _vmagent = start_vmagent(&scratch, &vmagent, &config, &sidelong.url("/api/v1/write")).await;
    finds_the_score_of_load(&store, "node").await;
}

/// A vmagent that scrapes by the configuration of a Prometheus, and writes to `url`.
async fn start_vmagent(scratch: &Scratch, program: &Path, config: &str, url: &str) -> Process {
    let scrape = scratch.write("vmagent.yml", config);
    let address = free_address();
    // Left to itself, it tries its own protocol first and finds out that this is a plain receiver.
    let mut command = Command::new(program);
    command
        .arg(format!("-httpListenAddr={address}"))
        .arg(format!("-promscrape.config={}", scrape.display()))
        .arg(format!("-remoteWrite.url={url}"))
        .arg(format!("-remoteWrite.tmpDataPath={}", scratch.folder("queue").display()));
    Process::start(scratch, "vmagent", &mut command).ready(&format!("http://{address}/health")).await
}

/// node_exporter → Prometheus → Sidelong → nginx → Prometheus: the downstream is whoever answers.
#[tokio::test]
async fn gateway_to_a_store_behind_nginx() {
    let (nginx, node, prometheus) = (tool!(Nginx), tool!(NodeExporter), tool!(Prometheus));
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let store = Prometheus::start(&scratch, &prometheus, "store", "").await;
    let (_nginx, front) = nginx::start(&scratch, &nginx, &store.address).await;
    let config = examples::load("sidelong-gateway.yml", &[(DOWNSTREAM, &front)]);
    let sidelong = Sidelong::start(&scratch, &config).await;
    let addresses = [(NODE, &*node), (SIDELONG, &*sidelong.address)];
    let config = examples::load("prometheus-gateway.yml", &addresses) + V2;
    let _sender = Prometheus::start(&scratch, &prometheus, "sender", &config).await;
    finds_the_score_of_load(&store, "node").await;
}

#[tokio::test]
async fn loop_back_to_the_same_prometheus() {
    let (node, prometheus) = (tool!(NodeExporter), tool!(Prometheus));
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let sidelong = Sidelong::start(&scratch, &examples::load("sidelong-loop-back.yml", &[])).await;
    let addresses = [(NODE, &*node), (SIDELONG, &*sidelong.address)];
    let config = examples::load("prometheus-loop-back.yml", &addresses);
    let prometheus = Prometheus::start(&scratch, &prometheus, "prometheus", &config).await;
    finds_the_score_of_load(&prometheus, "node").await;
}

#[tokio::test]
async fn scrape_proxy_by_name_by_relabelling_and_beside_the_app() {
    let (node, prometheus) = (tool!(NodeExporter), tool!(Prometheus));
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let config = examples::load("sidelong-scrape-proxy.yml", &[(NODE, &node)]);
    let sidelong = Sidelong::start(&scratch, &config).await;
    let addresses = [(NODE, &*node), (SIDELONG, &*sidelong.address)];
    let config = examples::load("prometheus-scrape-proxy.yml", &addresses);
    let prometheus = Prometheus::start(&scratch, &prometheus, "prometheus", &config).await;
    for job in ["node", "node-by-relabelling", "app"] {
        finds_the_score_of_load(&prometheus, job).await;
    }
}

async fn http_proxy(prometheus: &Path) {
    let node = tool!(NodeExporter);
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let config = examples::load("sidelong-http-proxy.yml", &[(NODE, &node)]);
    let sidelong = Sidelong::start(&scratch, &config).await;
    let addresses = [(NODE, &*node), (SIDELONG, &*sidelong.address)];
    let config = examples::load("prometheus-http-proxy.yml", &addresses);
    let prometheus = Prometheus::start(&scratch, prometheus, "prometheus", &config).await;
    finds_the_score_of_load(&prometheus, "node").await;
}

#[tokio::test]
async fn http_proxy_of_prometheus_3() {
    http_proxy(&tool!(Prometheus)).await;
}

#[tokio::test]
async fn http_proxy_of_prometheus_2() {
    http_proxy(&tool!(PrometheusDebian)).await;
}

#[tokio::test]
async fn http_proxy_of_vmagent() {
    let (vmagent, node, prometheus) = (tool!(Vmagent), tool!(NodeExporter), tool!(Prometheus));
    let scratch = Scratch::new();
    let (_node, node) = node_exporter(&scratch, &node).await;
    let config = examples::load("sidelong-http-proxy.yml", &[(NODE, &node)]);
    let sidelong = Sidelong::start(&scratch, &config).await;
    let store = Prometheus::start(&scratch, &prometheus, "store", "").await;
    let addresses = [(NODE, &*node), (SIDELONG, &*sidelong.address)];
    let config = examples::load("prometheus-http-proxy.yml", &addresses);
    let _vmagent = start_vmagent(&scratch, &vmagent, &config, &store.write_url()).await;
    finds_the_score_of_load(&store, "node").await;
}

/// The alerts on forecasts fire where a disk will be full with confidence, and not where it may; those on absences once
/// for each target; and what is recorded is what it is called.
#[test]
fn the_rules_for_prometheus_give_what_their_tests_say() {
    let promtool = tool!(Prometheus).with_file_name("promtool");
    for rules in ["forecast", "absence", "recording"] {
        for (what, ending) in [("check", "yml"), ("test", "test.yml")] {
            let file = format!("grafana/rules/sidelong-{rules}.{ending}");
            let output = Command::new(&promtool).args([what, "rules", &file]).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }
}

/// Each example is one that its program takes as it stands, ports and all.
#[tokio::test]
async fn examples_are_valid_as_they_stand() {
    let promtool = tool!(Prometheus).with_file_name("promtool");
    for entry in std::fs::read_dir("examples").unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let mut command = if name.starts_with("prometheus") {
            Command::new(&promtool)
        } else if name.starts_with("sidelong") {
            Command::new(crate::harness::sidelong::PROGRAM)
        } else {
            continue;
        };
        match name.starts_with("prometheus") {
            true => command.args(["check", "config"]).arg(&file),
            false => command.arg("check-config").arg(&file),
        };
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&said));
    }
}
