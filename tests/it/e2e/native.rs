//! What is made of native histograms is what Prometheus answers to the same expression.

use crate::harness::prometheus::Prometheus;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use prost::Message;
use sidelong::wire::generated::io::prometheus::client as pb;
use std::sync::atomic::{AtomicU64, Ordering};

use super::signals::agree;

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
/// Scrapes after which the target starts anew.
const LIFE: u64 = 5;
const SIGNALS: &str = "signals: {native_histograms: [{match: [latency, weight, classic], quantile: 0.9}]}\n";

fn family(name: &str, kind: pb::MetricType, histogram: pb::Histogram) -> Vec<u8> {
    let metric = pb::Metric { histogram: Some(histogram), ..Default::default() };
    let family = pb::MetricFamily {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        metric: vec![metric],
        ..Default::default()
    };
    family.encode_length_delimited_to_vec()
}

fn span(offset: i32, length: u32) -> pb::BucketSpan {
    pb::BucketSpan { offset: Some(offset), length: Some(length) }
}

/// Integers, with buckets on both sides of 0 and in it. It starts anew now and then.
fn latency(n: u64) -> pb::Histogram {
    let n = n % LIFE + 1;
    let (low, middle, high) = (n * n, 7 * n, 3 * n + n % 3);
    pb::Histogram {
        sample_sum: Some(0.37 * n as f64 + 0.11 * (n * n) as f64),
        sample_count: Some(2 * n + low + middle + high + n),
        schema: Some(3),
        zero_threshold: Some(1e-9),
        zero_count: Some(2 * n),
        negative_span: vec![span(1, 1)],
        negative_delta: vec![n as i64],
        positive_span: vec![span(-2, 2), span(3, 1)],
        positive_delta: vec![low as i64, middle as i64 - low as i64, high as i64 - middle as i64],
        ..Default::default()
    }
}

/// A gauge of floats.
fn weight(n: u64) -> pb::Histogram {
    let counts = vec![1.5 + n as f64, 2.5 * (n % 4) as f64];
    pb::Histogram {
        sample_sum: Some(n as f64),
        sample_count_float: Some(counts.iter().sum()),
        zero_count_float: Some(0.0),
        zero_threshold: Some(1e-9),
        schema: Some(1),
        positive_span: vec![span(0, 2)],
        positive_count: counts,
        ..Default::default()
    }
}

/// A classic one, of which Prometheus makes one with given bounds.
fn classic(n: u64) -> pb::Histogram {
    let cumulative = [3 * n, 3 * n + n * n, 4 * n + n * n];
    let bounds = [0.1, 0.5, 2.5];
    let bucket = |(bound, count): (f64, u64)| pb::Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(bound),
        ..Default::default()
    };
    pb::Histogram {
        sample_sum: Some(0.4 * n as f64 + 0.2 * (n * n) as f64),
        sample_count: Some(cumulative[2] + n),
        bucket: bounds.into_iter().zip(cumulative).map(bucket).collect(),
        ..Default::default()
    }
}

async fn made_of_native_histograms_is_what_prometheus_answers(message: &str, families: &[&str]) {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, SIGNALS).await;
    let scrapes = AtomicU64::new(0);
    let target = Scripted::start(move |_: &Recorded| {
        let n = scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        let page = [
            family("latency", pb::MetricType::Histogram, latency(n)),
            family("weight", pb::MetricType::GaugeHistogram, weight(n)),
            family("classic", pb::MetricType::Histogram, classic(n)),
        ];
        Reply::page(PROTOBUF, page.concat())
    })
    .await;
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: it, scrape_native_histograms: true, convert_classic_histograms_to_nhcb: true, \
         scrape_protocols: [PrometheusProto], static_configs: [{{targets: ['{}']}}]}}]\n\
         remote_write: [{{url: '{}', protobuf_message: {message}, send_native_histograms: true, \
         queue_config: {{batch_send_deadline: 200ms}}}}]\n",
        target.address,
        sidelong.url("/api/v1/write")
    );
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", &config).await;
    let check = async |selector: &str, promql: &str| agree(&sidelong, &prometheus, selector, promql).await;
    for family in families {
        let rate = format!("irate({family}[1m])");
        check(&format!("{family}:mean"), &format!("histogram_avg({rate})")).await;
        check(&format!("{family}:rate"), &format!("histogram_count({rate})")).await;
        check(&format!("{family}:p90"), &format!("histogram_quantile(0.9, {rate})")).await;
    }
    check("weight:mean", "histogram_avg(weight)").await;
    check("weight:p90", "histogram_quantile(0.9, weight)").await;
}

#[tokio::test]
async fn by_1_0_what_is_made_of_native_histograms_is_prometheus_own_answer() {
    // Prometheus sends none with given bounds by 1.0.
    made_of_native_histograms_is_what_prometheus_answers("prometheus.WriteRequest", &["latency"]).await;
}

#[tokio::test]
async fn by_2_0_what_is_made_of_native_histograms_is_prometheus_own_answer() {
    let families = ["latency", "classic"];
    made_of_native_histograms_is_what_prometheus_answers("io.prometheus.write.v2.Request", &families).await;
}
