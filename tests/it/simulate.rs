//! The synthetic exporter, asked over HTTP and read by parsers that are not ours.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use sidelong::simulate::serve::{ServeOptions, serve};
use sidelong::simulate::synth::{FleetOptions, Kind, MONDAY_MS, Plan};
use sidelong::simulate::truth::Truth;
use tokio_util::sync::CancellationToken;

use crate::harness::http;

/// An exporter on a port of its own, ended when it is dropped.
struct Exporter {
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Exporter {
    fn start() -> Self {
        let plan = Plan { quiet_ms: 0, every_ms: 600_000, kinds: Kind::OF_SERIES };
        let options = ServeOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            fleet: FleetOptions { seed: 1, instances: 3, start_ms: MONDAY_MS, plan },
            speed: 10_000.0,
        };
        let (tell, told) = mpsc::channel();
        let shutdown = CancellationToken::new();
        let ready = move |address| tell.send(address).unwrap();
        let running = serve(options, shutdown.clone(), ready);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(running).unwrap();
        });
        Self { address: told.recv().unwrap(), shutdown }
    }

    async fn get(&self, path: &str, accept: &str) -> http::Answer {
        let url = format!("http://{}{path}", self.address);
        http::get_with(&url, &[("accept", accept)]).await.unwrap()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// How many samples Python's prometheus_client reads from `page` with the parser in `module`.
fn samples_read(python: &std::path::Path, module: &str, page: &[u8]) -> usize {
    let program = format!(
        "import sys\n\
         from prometheus_client.{module} import text_string_to_metric_families as parse\n\
         print(sum(len(family.samples) for family in parse(sys.stdin.read())))"
    );
    let mut child = Command::new(python)
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn the_oracle_reads_every_sample_of_the_synthetic_exporter() {
    let python = tool!(Oracle);
    let exporter = Exporter::start();
    for (accept, module) in
        [("text/plain", "parser"), ("application/openmetrics-text;version=1.0.0", "openmetrics.parser")]
    {
        let answer = exporter.get("/metrics", accept).await;
        let samples = answer.text().lines().filter(|line| !line.starts_with('#')).count();
        assert!(answer.header("content-type").starts_with(accept.split(';').next().unwrap()));
        assert_eq!(samples_read(python.as_ref(), module, &answer.body), samples, "{module}");
    }
}

#[tokio::test]
async fn the_truth_of_the_synthetic_exporter_names_series_of_its_page() {
    let exporter = Exporter::start();
    // At this speed the first anomaly is there within a tenth of a second.
    let truth = crate::harness::eventually("an anomaly", async || {
        let answer = exporter.get("/truth.json", "*/*").await;
        let truth: Truth = serde_json::from_slice(&answer.body).unwrap();
        (!truth.events.is_empty()).then_some(truth)
    })
    .await;
    let page = exporter.get("/metrics", "*/*").await.text();
    let series = truth.events.iter().flat_map(|event| &event.series);
    for series in series {
        assert!(page.lines().any(|line| line.starts_with(&format!("{series} "))), "{series}");
    }
}

#[tokio::test]
async fn the_synthetic_exporter_has_no_other_pages() {
    let exporter = Exporter::start();
    assert_eq!(exporter.get("/other", "*/*").await.status, 404);
}
