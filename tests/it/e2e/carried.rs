//! What is carried and not scored: native histograms, exemplars, metadata, names of any UTF-8, tunnels.

use crate::harness::eventually;
use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::{Told, told};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::{Sidelong, free_address};
use prost::Message;
use serde_json::Value;
use sidelong::wire::compression::compress_gzip;
use sidelong::wire::generated::google::protobuf::Timestamp;
use sidelong::wire::generated::io::prometheus::client as pb;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const V1: &str = "prometheus.WriteRequest";
const V2: &str = "io.prometheus.write.v2.Request";
const RULES: &str = "rules: [{match: '{__name__!=\"\"}'}]\n";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
/// Of a Prometheus that keeps all that it is sent, and sends metadata by 2.0 too.
const FEATURES: &str = "--enable-feature=native-histograms,exemplar-storage,metadata-wal-records";

fn family(name: &str, kind: pb::MetricType, metric: pb::Metric) -> Vec<u8> {
    let family = pb::MetricFamily {
        name: Some(name.to_owned()),
        help: Some(format!("What {name} is.")),
        r#type: Some(kind as i32),
        metric: vec![metric],
        ..Default::default()
    };
    family.encode_length_delimited_to_vec()
}

fn exemplar(n: u64, value: f64) -> pb::Exemplar {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let trace = pb::LabelPair { name: Some("trace_id".to_owned()), value: Some(format!("t{n}")) };
    let timestamp = Timestamp { seconds: now.as_secs() as i64, nanos: 0 };
    pb::Exemplar { label: vec![trace], value: Some(value), timestamp: Some(timestamp) }
}

/// A native histogram of `n` observations, in integers or in floats.
fn histogram(n: u64, floats: bool) -> pb::Metric {
    let span = pb::BucketSpan { offset: Some(0), length: Some(2) };
    let common = pb::Histogram {
        sample_sum: Some(n as f64 * 1.5),
        schema: Some(3),
        zero_threshold: Some(1e-9),
        positive_span: vec![span],
        ..Default::default()
    };
    let histogram = match floats {
        true => pb::Histogram {
            sample_count_float: Some(n as f64 * 2.5),
            zero_count_float: Some(0.0),
            positive_count: vec![n as f64, n as f64 * 1.5],
            ..common
        },
        false => pb::Histogram {
            sample_count: Some(n * 3),
            zero_count: Some(n),
            positive_delta: vec![n as i64, 0],
            exemplars: vec![exemplar(n, 1.05)],
            ..common
        },
    };
    pb::Metric { histogram: Some(histogram), ..Default::default() }
}

/// Each page has what a page of protobuf can have beyond text.
fn protobuf_page(n: u64) -> Vec<u8> {
    let gauge = pb::Metric { gauge: Some(pb::Gauge { value: Some(n as f64) }), ..Default::default() };
    let counter =
        pb::Counter { value: Some(n as f64), exemplar: Some(exemplar(n, 1.0)), ..Default::default() };
    let counter = pb::Metric { counter: Some(counter), ..Default::default() };
    [
        family("level", pb::MetricType::Gauge, gauge),
        family("requests_total", pb::MetricType::Counter, counter),
        family("latency", pb::MetricType::Histogram, histogram(n, false)),
        family("weight", pb::MetricType::GaugeHistogram, histogram(n, true)),
    ]
    .concat()
}

async fn protobuf_target() -> (Scripted, Arc<AtomicUsize>) {
    let scrapes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&scrapes);
    let page = move |_: &Recorded| {
        let n = seen.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        Reply::page(PROTOBUF, protobuf_page(n))
    };
    (Scripted::start(page).await, scrapes)
}

fn zipped(page: &[u8]) -> Vec<u8> {
    let mut member = Vec::new();
    compress_gzip(page, &mut member).unwrap();
    member
}

/// A target whose pages, counted from 1, are gzipped.
async fn zipped_target(
    kind: &'static str,
    page: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Scripted {
    let scrapes = AtomicU64::new(0);
    Scripted::start(move |_| {
        let n = scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::page(kind, zipped(&page(n))).with("content-encoding", "gzip")
    })
    .await
}

/// The scrape job of native histograms, and two ways out of the same message.
fn sender_config(target: &Scripted, urls: [&str; 2], message: &str) -> String {
    let entry = |url: &str| {
        format!(
            "  - {{url: '{url}', protobuf_message: {message}, send_exemplars: true, send_native_histograms: true, \
             metadata_config: {{send_interval: 1s}}}}\n"
        )
    };
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: it, scrape_native_histograms: true, scrape_protocols: [PrometheusProto], \
         static_configs: [{{targets: ['{}']}}]}}]\nremote_write:\n{}{}",
        target.address,
        entry(urls[0]),
        entry(urls[1])
    )
}

/// All exemplars that a Prometheus has, each as text.
async fn exemplars(prometheus: &Prometheus) -> BTreeSet<String> {
    let query = "%7B__name__%3D~%22.%2B%22%7D";
    let url =
        format!("http://{}/api/v1/query_exemplars?query={query}&start=0&end=99999999999", prometheus.address);
    let answer = http::get(&url).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    let each = |series: &Value| {
        let labels = series["seriesLabels"].to_string();
        let exemplars = series["exemplars"].as_array().cloned().unwrap_or_default();
        exemplars.into_iter().map(move |exemplar| format!("{labels} {exemplar}")).collect::<Vec<_>>()
    };
    json["data"].as_array().unwrap().iter().flat_map(each).collect()
}

/// Exemplars by 2.0 travel in entries without samples, which a Prometheus sends and yet refuses with a 400
/// (prometheus/prometheus#17857): both ways the rest of the request is stored, and behind Sidelong it is scored too.
async fn is_stored_as_by_the_direct_path(program: &Path, message: &str) {
    let scratch = Scratch::new();
    let (target, scrapes) = protobuf_target().await;
    let direct = Prometheus::start_with(&scratch, program, "direct", "", &[FEATURES]).await;
    let behind = Prometheus::start_with(&scratch, program, "behind", "", &[FEATURES]).await;
    let config = format!("downstream: {{url: '{}'}}\n{RULES}", behind.write_url());
    let sidelong = Sidelong::start(&scratch, &config).await;
    let urls = [&*direct.write_url(), &*sidelong.url("/api/v1/write")];
    let config = sender_config(&target, urls, message);
    let mut sender = Prometheus::start_with(&scratch, program, "sender", &config, &[FEATURES]).await;
    eventually("five scrapes", async || (scrapes.load(Ordering::Relaxed) >= 5).then_some(())).await;
    assert!(sender.process.stop().await.success());
    let wanted = (direct.histograms().await, exemplars(&direct).await);
    eventually("all that went straight has come through", async || {
        let found = (behind.histograms().await, exemplars(&behind).await);
        (found.0.len() >= wanted.0.len() && found.1.len() >= wanted.1.len()).then_some(())
    })
    .await;
    assert_eq!((behind.histograms().await, exemplars(&behind).await), wanted);
    for name in ["latency", "weight"] {
        let of = wanted.0.iter().filter(|(series, _)| series["__name__"] == name).count();
        assert!(of >= 4, "{of} histograms of {name}");
    }
    for name in ["requests_total", "latency"] {
        let stored = wanted.1.iter().any(|exemplar| exemplar.contains(name));
        assert_eq!(stored, message == V1, "exemplars of {name}: {:?}", wanted.1);
    }
    behind.answers("anomaly_score{for=\"level\"}").await;
    assert!(behind.query("anomaly_score{for=~\"latency|weight\"}").await.is_empty(), "they are not scored");
}

#[tokio::test]
async fn native_histograms_and_exemplars_by_1_0_are_stored_as_without_us() {
    is_stored_as_by_the_direct_path(&tool!(Prometheus), V1).await;
}

#[tokio::test]
async fn native_histograms_and_exemplars_by_2_0_are_stored_as_without_us() {
    is_stored_as_by_the_direct_path(&tool!(Prometheus), V2).await;
}

/// A Prometheus shows no metadata that it was sent, so that scripted receivers stand for the two.
async fn metadata_arrives(program: &Path, message: &str) {
    let scratch = Scratch::new();
    let (target, _scrapes) = protobuf_target().await;
    let written = |_: &Recorded| {
        Reply::status(204)
            .with("x-prometheus-remote-write-samples-written", "4")
            .with("x-prometheus-remote-write-histograms-written", "2")
            .with("x-prometheus-remote-write-exemplars-written", "2")
    };
    let (direct, behind) = (Scripted::start(written).await, Scripted::start(written).await);
    let sidelong =
        Sidelong::start(&scratch, &format!("downstream: {{url: '{}'}}\n{RULES}", behind.url("/"))).await;
    let config = sender_config(&target, [&direct.url("/"), &sidelong.url("/api/v1/write")], message);
    let _sender = Prometheus::start_with(&scratch, program, "sender", &config, &[FEATURES]).await;
    let of = |server: &Scripted| -> BTreeSet<Told> {
        let all = server.requests().into_iter().flat_map(|r| told(r.header("content-type"), &r.body));
        // The scrape's own series come and go with its end; what Sidelong adds has metadata of its own.
        all.filter(|told| ["level", "requests_total", "latency", "weight"].contains(&&*told.name)).collect()
    };
    eventually("the metadata of all four is there both ways", async || {
        (of(&direct).len() >= 4 && of(&behind).len() >= 4).then_some(())
    })
    .await;
    assert_eq!(of(&behind), of(&direct));
    assert!(of(&behind).iter().any(|told| told.help == "What latency is." && told.kind != 0));
}

#[tokio::test]
async fn metadata_by_1_0_arrives_as_without_us() {
    metadata_arrives(&tool!(Prometheus), V1).await;
}

#[tokio::test]
async fn metadata_by_2_0_arrives_as_without_us() {
    metadata_arrives(&tool!(Prometheus), V2).await;
}

async fn a_protobuf_page_is_scraped(target: Scripted) {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let config = format!("scrape: {{targets: [{{name: it, url: '{}'}}]}}\n{RULES}", target.url("/metrics"));
    let sidelong = Sidelong::start(&scratch, &config).await;
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: it, metrics_path: /scrape/it, scrape_native_histograms: true, \
         scrape_protocols: [PrometheusProto], static_configs: [{{targets: ['{}']}}]}}]\n",
        sidelong.address
    );
    let prometheus = Prometheus::start_with(&scratch, &program, "prometheus", &config, &[FEATURES]).await;
    prometheus.answers("anomaly_score{for=\"level\"}").await;
    prometheus.answers("anomaly_score{for=\"requests_total\"}").await;
    prometheus.answers("histogram_count(latency) > 0").await;
    prometheus.answers("histogram_sum(weight) > 0").await;
    assert_eq!(prometheus.query("up{job=\"it\"}").await[0].value, 1.0);
    assert!(target.requests()[0].header("accept").contains("application/vnd.google.protobuf"));
    let histograms = prometheus.histograms().await;
    assert!(histograms.iter().any(|(series, _)| series["__name__"] == "latency"));
    assert!(exemplars(&prometheus).await.iter().any(|e| e.contains("requests_total")));
}

#[tokio::test]
async fn a_protobuf_page_is_scraped_with_its_histograms_and_its_scores() {
    a_protobuf_page_is_scraped(protobuf_target().await.0).await;
}

/// As Go's client answers: the page is one gzip member, the scores are a second.
#[tokio::test]
async fn a_gzipped_protobuf_page_is_scraped_with_its_histograms_and_its_scores() {
    a_protobuf_page_is_scraped(zipped_target(PROTOBUF, protobuf_page).await).await;
}

#[tokio::test]
async fn a_gzipped_text_page_is_scraped_with_its_scores() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let text = "text/plain; version=0.0.4; charset=utf-8";
    // Without a line feed at its end, the first member has half a line to the second.
    let page = |n: u64| format!("# TYPE level gauge\nlevel {n}\nlast{{a=\"b\"}} {n}").into_bytes();
    let target = zipped_target(text, page).await;
    let config = format!("scrape: {{targets: [{{name: it, url: '{}'}}]}}\n{RULES}", target.url("/metrics"));
    let sidelong = Sidelong::start(&scratch, &config).await;
    let answer = http::get_with(&sidelong.url("/scrape/it"), &[("accept-encoding", "gzip")]).await.unwrap();
    let first = zipped(&page(1));
    assert_eq!(answer.header("content-encoding"), "gzip");
    let second = answer.body.strip_prefix(&*first).expect("the target's own bytes come first");
    assert!(second.starts_with(&[0x1f, 0x8b]), "a member of its own follows: {second:x?}");
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: it, metrics_path: /scrape/it, scrape_protocols: [PrometheusText0.0.4], \
         static_configs: [{{targets: ['{}']}}]}}]\n",
        sidelong.address
    );
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", &config).await;
    for name in ["level", "last"] {
        let score = prometheus.answers(&format!("anomaly_score{{for=\"{name}\"}}")).await.remove(0);
        assert!(score.value >= 0.0);
        assert!(prometheus.answers(&format!("{name} > 1")).await[0].value > 1.0);
    }
    assert_eq!(prometheus.query("up{job=\"it\"}").await[0].value, 1.0);
    let asked = target.requests();
    assert!(asked.iter().all(|r| r.header("accept-encoding") == "gzip"), "{asked:?}");
}

#[tokio::test]
async fn a_page_of_utf_8_names_is_scraped_with_the_scores_of_them() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let target = Scripted::start(|request| {
        let kind = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
        assert!(request.header("accept").contains("escaping=allow-utf-8"), "{request:?}");
        Reply::page(kind, "# TYPE \"db.wait time\" gauge\n{\"db.wait time\",\"größe.à\"=\"x\"} 1\nplain 2\n")
    })
    .await;
    let config = format!("scrape: {{targets: [{{name: it, url: '{}'}}]}}\n{RULES}", target.url("/metrics"));
    let sidelong = Sidelong::start(&scratch, &config).await;
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: it, metrics_path: /scrape/it, scrape_protocols: [PrometheusText1.0.0], \
         static_configs: [{{targets: ['{}']}}]}}]\n",
        sidelong.address
    );
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", &config).await;
    let sample = prometheus.answers("{\"db.wait time\"}").await.remove(0);
    let score = prometheus.answers("anomaly_score{for=\"db.wait time\"}").await.remove(0);
    assert_eq!(score.labels["größe.à"], "x");
    assert_eq!((sample.labels["größe.à"].as_str(), sample.value), ("x", 1.0));
    assert_eq!(prometheus.query("up{job=\"it\"}").await[0].value, 1.0);
}

/// An https node_exporter, whose certificate nobody needs to trust here.
async fn https_node(scratch: &Scratch, program: &Path) -> (Process, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = scratch.write("node.crt", &made.cert.pem());
    let key = scratch.write("node.key", &made.signing_key.serialize_pem());
    let web =
        format!("tls_server_config: {{cert_file: {}, key_file: {}}}\n", certificate.display(), key.display());
    let web = scratch.write("node-web.yml", &web);
    let address = free_address();
    let mut command = Command::new(program);
    command
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--web.config.file={}", web.display()))
        .args(["--collector.disable-defaults", "--collector.loadavg"]);
    (Process::start(scratch, "node", &mut command), address)
}

/// H3: an https target is reached through the tunnel that `allow_connect` names, and is not reached without.
#[tokio::test]
async fn h3_prometheus_reaches_an_https_target_through_a_tunnel() {
    let (node, prometheus) = (tool!(NodeExporter), tool!(Prometheus));
    let scratch = Scratch::new();
    let (_node, node) = https_node(&scratch, &node).await;
    let port = node.rsplit(':').next().unwrap_or_default();
    let allowed = format!("scrape: {{allow_connect: [{{networks: [127.0.0.1/32], ports: [{port}]}}]}}\n");
    let allowing = Sidelong::start(&scratch, &format!("{allowed}{RULES}")).await;
    let refusing = Sidelong::start(&scratch, &allowed.replace("allow_connect", "allow")).await;
    let job = |name: &str, sidelong: &Sidelong| {
        format!(
            "  - {{job_name: {name}, scheme: https, proxy_url: 'http://{}', scrape_interval: 1s, \
             tls_config: {{insecure_skip_verify: true}}, static_configs: [{{targets: ['{node}']}}]}}\n",
            sidelong.address
        )
    };
    let jobs = format!("scrape_configs:\n{}{}", job("allowed", &allowing), job("refused", &refusing));
    let prometheus = Prometheus::start(&scratch, &prometheus, "prometheus", &jobs).await;
    prometheus.answers("node_load1{job=\"allowed\"}").await;
    prometheus.answers("up{job=\"allowed\"} == 1").await;
    prometheus.answers("up{job=\"refused\"} == 0").await;
    assert!(prometheus.query("anomaly_score").await.is_empty(), "what is tunnelled is not read");
    allowing.metric_reaches("sidelong_scrape_requests_total", "result=\"tunnel\"", 1.0).await;
    refusing.metric_reaches("sidelong_scrape_refused_targets_total", "reason=\"not_allowed\"", 1.0).await;
}
