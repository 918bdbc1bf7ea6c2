//! The `up` truth table: a target is up through Sidelong exactly when it is up without.

use crate::harness::eventually;
use crate::harness::prometheus::{Element, Prometheus};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::{Sidelong, free_address};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const PAGE: &str = "# TYPE level gauge\nlevel 1\nlevel_more 2\n";
const TEXT: &str = "text/plain; version=0.0.4";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One target path for each row.
fn answer(request: &Recorded) -> Reply {
    match request.target.rsplit('/').next().unwrap_or_default() {
        "ok" => Reply::page(TEXT, PAGE),
        "open-metrics" => Reply::page(OPEN_METRICS, format!("{PAGE}# EOF\n")),
        "open-metrics-without-end" => Reply::page(OPEN_METRICS, PAGE),
        "empty" => Reply::page(TEXT, ""),
        "cut" => Reply::short(TEXT, PAGE),
        "reset" => Reply::Reset,
        "silent" => Reply::Silence,
        "slow" => Reply::drip(200, PAGE, Duration::from_millis(200)),
        "unavailable" => Reply::status(503),
        "no-content" => Reply::status(204),
        "partial" => Reply::page(TEXT, PAGE).with("content-range", "bytes 0-1/2"),
        "bad-line" => Reply::page(TEXT, format!("{PAGE}no value here at all\n")),
        "carriage-return" => Reply::page(TEXT, "level 1\r\n"),
        "wrong-encoding" => Reply::page(TEXT, PAGE).with("content-encoding", "gzip"),
        "limited" => Reply::page(TEXT, PAGE),
        _ => Reply::status(404),
    }
}

const ROWS: &[&str] = &[
    "ok",
    "open-metrics",
    "open-metrics-without-end",
    "empty",
    "cut",
    "reset",
    "silent",
    "slow",
    "unavailable",
    "no-content",
    "partial",
    "bad-line",
    "carriage-return",
    "wrong-encoding",
    "missing",
    "refused",
    "no-such-host",
];

fn job(row: &str, way: &str, host: &str, path: &str, more: &str) -> String {
    format!(
        "  - {{job_name: '{row} {way}', metrics_path: '{path}', scrape_interval: 2s, scrape_timeout: 1s, \
         static_configs: [{{targets: ['{host}'], labels: {{row: '{row}', way: '{way}'}}}}]{more}}}\n"
    )
}

/// `up` by row and way.
fn table(up: Vec<Element>) -> BTreeMap<(String, String), f64> {
    up.into_iter().map(|e| ((e.labels["row"].clone(), e.labels["way"].clone()), e.value)).collect()
}

async fn up_is_the_same(prometheus: &Path) {
    let scratch = Scratch::new();
    let target = Scripted::start(answer).await;
    let here = target.address.to_string();
    let refused = free_address();
    let host = |row: &str| match row {
        "refused" => refused.clone(),
        "no-such-host" => "sidelong-test.invalid:80".to_owned(),
        _ => here.clone(),
    };
    let mut config = "scrape:\n  targets:\n".to_owned();
    for row in ROWS {
        config += &format!("    - {{name: {row}, url: 'http://{}/{row}'}}\n", host(row));
    }
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    config += &format!(
        "  allow: [{{networks: ['127.0.0.1/32'], ports: [{}, {}]}}, {{hosts: [sidelong-test.invalid]}}]\n",
        port(&here),
        port(&refused)
    );
    config += "rules: [{match: '{__name__=~\"level.*\"}'}]\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    let mut jobs = "scrape_configs:\n".to_owned();
    let proxy = format!(", proxy_url: 'http://{}'", sidelong.address);
    for row in ROWS {
        jobs += &job(row, "direct", &host(row), &format!("/{row}"), "");
        jobs += &job(row, "named", &sidelong.address, &format!("/scrape/{row}"), "");
        jobs += &job(row, "proxy_url", &host(row), &format!("/{row}"), &proxy);
    }
    let prometheus = Prometheus::start(&scratch, prometheus, "prometheus", &jobs).await;
    let all = eventually("every way of every row was tried", async || {
        let up = table(prometheus.query("up").await);
        (up.len() == ROWS.len() * 3).then_some(up)
    })
    .await;
    for row in ROWS {
        let of = |way: &str| all[&((*row).to_owned(), way.to_owned())];
        assert_eq!((of("named"), of("proxy_url")), (of("direct"), of("direct")), "up of {row}");
    }
    assert_eq!(all[&("ok".to_owned(), "named".to_owned())], 1.0);
    assert_eq!(all[&("cut".to_owned(), "named".to_owned())], 0.0);
    prometheus.answers("anomaly_score{row=\"ok\",way=\"named\"}").await;
}

#[tokio::test]
async fn p8_p9_up_is_what_it_is_without_us_in_prometheus_3() {
    up_is_the_same(&tool!(Prometheus)).await;
}

#[tokio::test]
async fn p8_p9_up_is_what_it_is_without_us_in_prometheus_2() {
    up_is_the_same(&tool!(PrometheusDebian)).await;
}

/// P30: what is appended never takes a target over the limit that its scrape job has.
#[tokio::test]
async fn p30_a_target_at_its_sample_limit_stays_up() {
    let prometheus = tool!(Prometheus);
    let scratch = Scratch::new();
    let target = Scripted::start(answer).await;
    let config = format!(
        "scrape: {{targets: [{{name: limited, url: 'http://{}/limited', sample_limit: 2, label_limit: 5, target_labels: 4}}]}}\n\
         rules: [{{match: '{{__name__!=\"\"}}'}}]\n",
        target.address
    );
    let sidelong = Sidelong::start(&scratch, &config).await;
    let limits = ", sample_limit: 2, label_limit: 5";
    let jobs =
        format!("scrape_configs:\n{}", job("limited", "named", &sidelong.address, "/scrape/limited", limits));
    let prometheus = Prometheus::start(&scratch, &prometheus, "prometheus", &jobs).await;
    let up = prometheus.answers("up{row=\"limited\"}").await;
    assert_eq!(up[0].value, 1.0);
    prometheus.answers("level_more").await;
}
