//! A real Prometheus, asked by PromQL and by remote read.

use super::process::Process;
use super::remote_write::{Labels, Point, read_answer, read_body, read_histograms};
use super::scratch::Scratch;
use super::{eventually, free_port, http};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A running Prometheus with its remote-write receiver on.
#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) process: Process,
    pub(crate) address: String,
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds since the epoch: of the evaluation, unless the query is of `timestamp(...)`.
    pub(crate) at: f64,
    pub(crate) value: f64,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts it on a free port, its data and its log in `scratch` under `name`.
    pub(crate) async fn start(scratch: &Scratch, program: &Path, name: &str, config: &str) -> Self {
        Self::start_at(scratch, program, name, config, free_port()).await
    }

    /// The same on a given port: started again with the same name it finds its data.
    pub(crate) async fn start_at(
        scratch: &Scratch,
        program: &Path,
        name: &str,
        config: &str,
        port: u16,
    ) -> Self {
        Self::launch(scratch, program, name, config, port, &[]).await
    }

    /// With `more` arguments.
    pub(crate) async fn start_with(
        scratch: &Scratch,
        program: &Path,
        name: &str,
        config: &str,
        more: &[&str],
    ) -> Self {
        Self::launch(scratch, program, name, config, free_port(), more).await
    }

    async fn launch(
        scratch: &Scratch,
        program: &Path,
        name: &str,
        config: &str,
        port: u16,
        more: &[&str],
    ) -> Self {
        let config = scratch.write(&format!("{name}.yml"), config);
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", scratch.folder(name).display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .args(more);
        let process = Process::start(scratch, name, &mut command);
        let process = process.ready(&format!("http://{address}/-/ready")).await;
        Self { process, address }
    }

    pub(crate) fn write_url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// The instant vector that `promql` has now.
    pub(crate) async fn query(&self, promql: &str) -> Vec<Element> {
        self.ask(promql, "").await
    }

    /// The instant vector that `promql` had at a time, in milliseconds since the epoch.
    pub(crate) async fn query_at(&self, promql: &str, at_ms: i64) -> Vec<Element> {
        self.ask(promql, &format!("&time={}.{:03}", at_ms / 1_000, at_ms % 1_000)).await
    }

    async fn ask(&self, promql: &str, more: &str) -> Vec<Element> {
        let query: String = url::form_urlencoded::byte_serialize(promql.as_bytes()).collect();
        let url = format!("http://{}/api/v1/query?query={query}{more}", self.address);
        let answer = http::get(&url).await.unwrap();
        assert_eq!(answer.status, 200, "{promql}: {}", answer.text());
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        json["data"]["result"].as_array().unwrap().iter().map(element).collect()
    }

    /// Waits until `promql` has a result, and gives it.
    pub(crate) async fn answers(&self, promql: &str) -> Vec<Element> {
        eventually(&format!("{} answers {promql}", self.address), async || {
            let found = self.query(promql).await;
            (!found.is_empty()).then_some(found)
        })
        .await
    }

    /// Every stored sample of the series whose name matches, by its bits.
    pub(crate) async fn stored(&self, name: &str) -> Vec<Point> {
        read_answer(&self.read(name).await)
    }

    /// Every stored native histogram: its series' labels, and itself as it is encoded.
    pub(crate) async fn histograms(&self) -> BTreeSet<(Labels, Vec<u8>)> {
        read_histograms(&self.read(".+").await)
    }

    async fn read(&self, name: &str) -> Bytes {
        let headers =
            [("content-type", "application/x-protobuf"), ("x-prometheus-remote-read-version", "0.1.0")];
        let url = format!("http://{}/api/v1/read", self.address);
        let answer = http::post(&url, &headers, read_body(name)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.body
    }
}

fn element(json: &serde_json::Value) -> Element {
    let labels = json["metric"].as_object().unwrap();
    Element {
        labels: labels.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect(),
        at: json["value"][0].as_f64().unwrap(),
        value: json["value"][1].as_str().unwrap().parse().unwrap(),
    }
}
