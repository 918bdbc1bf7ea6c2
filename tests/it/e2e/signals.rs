//! What is made of several series is what Prometheus answers to the same expression.

use crate::harness::eventually;
use crate::harness::prometheus::Prometheus;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::Sidelong;

const SIGNALS: &str = r#"
signals:
  watermark: 3s
  histograms: [{match: prometheus_http_request_duration_seconds}]
  ratios: [{name: queries, of: 'prometheus_http_requests_total{handler="/api/v1/query"}', to: prometheus_http_requests_total, by: [job]}]
  sums: [{name: requests, match: prometheus_http_requests_total, by: [job, code]}]
"#;

/// Time and value of the newest sample of the one series that `selector` takes, once it was judged.
async fn newest(sidelong: &Sidelong, selector: &str) -> Option<(i64, f64)> {
    let selector: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let page = sidelong.page(&format!("/api/v1/explain?series={selector}")).await;
    let json: serde_json::Value = serde_json::from_str(&page).unwrap();
    let [series] = &json["data"].as_array().unwrap()[..] else { return None };
    assert!(series["madeOf"]["parts"].as_u64().unwrap() > 0, "{page}");
    let told = &series["explanation"];
    Some((told["timestampMs"].as_i64()?, told["value"].as_f64()?))
}

/// What Sidelong makes under `selector` is what Prometheus answers to `promql` at the same time, three times.
pub(super) async fn agree(sidelong: &Sidelong, prometheus: &Prometheus, selector: &str, promql: &str) {
    let mut last = 0;
    for _ in 0..3 {
        last = eventually(&format!("{selector} is {promql}"), async || {
            let (at_ms, made) = newest(sidelong, selector).await.filter(|(at_ms, _)| *at_ms > last)?;
            let told = prometheus.query_at(promql, at_ms).await;
            let near = |told: f64| (made - told).abs() <= 1e-9 * told.abs();
            (told.len() == 1 && near(told[0].value)).then_some(at_ms)
        })
        .await;
    }
}

#[tokio::test]
async fn means_rates_ratios_and_sums_are_prometheus_own_answers() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, SIGNALS).await;
    let itself = crate::harness::free_port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{itself}']}}]}}]\n\
         remote_write: [{{url: '{}', queue_config: {{batch_send_deadline: 200ms}}}}]\n",
        sidelong.url("/api/v1/write")
    );
    let prometheus = Prometheus::start_at(&scratch, &program, "prometheus", &config, itself).await;
    let metrics = r#"{handler="/metrics"}"#;
    let family = "prometheus_http_request_duration_seconds";
    let check = async |selector: &str, promql: &str| agree(&sidelong, &prometheus, selector, promql).await;
    let [sum, count] = ["sum", "count"].map(|part| format!("irate({family}_{part}{metrics}[1m])"));
    check(&format!("{family}:mean{metrics}"), &format!("{sum} / {count}")).await;
    check(&format!("{family}:rate{metrics}"), &count).await;
    let requests = r#"sum(irate(prometheus_http_requests_total{code="200"}[1m]))"#;
    check(r#"requests:sum{code="200"}"#, requests).await;
    let queries = r#"sum(irate(prometheus_http_requests_total{handler="/api/v1/query"}[1m]))"#;
    check("queries:ratio", &format!("{queries} / sum(irate(prometheus_http_requests_total[1m]))")).await;
}
