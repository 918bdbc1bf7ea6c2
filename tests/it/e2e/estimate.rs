//! What is told of a real Prometheus is what it holds.

use crate::harness::prometheus::Prometheus;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use serde_json::Value;
use tokio::process::Command;

const RULES: &str = "rules:\n- {name: http, match: '{__name__=~\"prometheus_http_.*_total\"}'}\n\
                     - {name: tsdb, match: '{__name__=~\"prometheus_tsdb_.*_total\"}'}\n\
                     signals: {watermark: 30s, native_histograms: [{match: prometheus_http_request_duration_seconds}]}\n";

async fn told(args: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sidelong")).arg("estimate").args(args).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn what_a_prometheus_holds_is_counted_by_rule() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let itself = crate::harness::free_port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: self, scrape_native_histograms: true, static_configs: [{{targets: ['127.0.0.1:{itself}']}}]}}]\n"
    );
    let prometheus = Prometheus::start_at(&scratch, &program, "prometheus", &config, itself).await;
    let native = "count(histogram_count(prometheus_http_request_duration_seconds))";
    prometheus.answers(native).await;
    let rules = scratch.write("sidelong.yml", RULES);
    let url = format!("http://{}", prometheus.address);
    let told = told(&[&url, "--config", rules.to_str().unwrap(), "--format", "json"]).await;
    let by_rule = |rule: &str| {
        let rules = told["rules"].as_array().unwrap();
        rules.iter().find(|told| told["rule"] == rule).unwrap()["series"].as_f64().unwrap()
    };
    // Series come and go while it is asked; those of the store are the same from the start on.
    let tsdb = prometheus.query("count({__name__=~\"prometheus_tsdb_.*_total\"})").await.remove(0).value;
    assert_eq!(by_rule("tsdb"), tsdb, "{told:#}");
    assert!(by_rule("http") > 0.0);
    let signal = &told["signals"][0];
    let (parts, series, made) = (&signal["parts"], &signal["series"], &signal["made"]);
    assert!(
        parts.as_u64().unwrap() > 0 && series.as_u64().unwrap() == 2 * parts.as_u64().unwrap(),
        "{told:#}"
    );
    assert_eq!(series, made);
}

/// A page at a URL is read as one, and credentials go along.
#[tokio::test]
async fn a_page_at_a_url_is_read_with_its_credentials() {
    let server = Scripted::start(|asked: &Recorded| match asked.target.as_str() {
        "/metrics" => Reply::page("text/plain; version=0.0.4", "node_load1 0.5\nother 1\n"),
        _ => Reply::status(404),
    })
    .await;
    let url = format!("http://{}/metrics", server.address);
    let told =
        told(&[&url, "--preset=node_exporter", "--format=json", "--header", "Authorization: Bearer t"]).await;
    assert_eq!((told["series"].as_u64(), told["total"]["scored"].as_u64()), (Some(2), Some(1)), "{told:#}");
    for asked in server.requests() {
        let shown = asked.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        assert_eq!(shown.map(|(_, value)| value.as_str()), Some("Bearer t"), "{}", asked.target);
    }
}
