//! What stopped, and how: told of a real Prometheus and a target that does what a target does.

use crate::harness::eventually;
use crate::harness::http;
use crate::harness::prometheus::Prometheus;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Reply, Scripted};
use crate::harness::sidelong::Sidelong;

const CONFIG: &str = r#"
signals: {watermark: 3s}
rules: [{match: '{job="api"}', absence: {seen_for: 8s}}]
"#;
const TEXT: &str = "text/plain; version=0.0.4";
const BOTH: &str = "# TYPE load gauge\nload 3\n# TYPE queue_depth gauge\nqueue_depth 4\n";
const ONE: &str = "# TYPE load gauge\nload 3\n";

/// What is absent, by its name and reason, in order.
async fn absent(sidelong: &Sidelong) -> Vec<(String, String)> {
    let page = http::get(&sidelong.url("/scores")).await.unwrap().text();
    let of = |line: &str, label: &str| {
        let (_, rest) = line.split_once(&format!("{label}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let lines = page.lines().filter(|line| line.starts_with("anomaly_score{") && line.contains(":absent\""));
    let mut absent: Vec<_> = lines.filter_map(|line| Some((of(line, "for")?, of(line, "reason")?))).collect();
    absent.sort();
    absent
}

async fn absent_are(sidelong: &Sidelong, what: &str, wanted: &[(&str, &str)]) {
    eventually(what, async || {
        let absent = absent(sidelong).await;
        let is_so =
            absent.iter().map(|(name, reason)| (name.as_str(), reason.as_str())).eq(wanted.iter().copied());
        is_so.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_metric_that_vanishes_a_scrape_that_fails_and_a_target_that_is_lost_are_told_apart() {
    let program = tool!(Prometheus);
    let (scratch, target) = (Scratch::new(), Scripted::start(|_| Reply::page(TEXT, BOTH)).await);
    let sidelong = Sidelong::start(&scratch, CONFIG).await;
    let discovered = |targets: &str| scratch.write("api.json", &format!("[{{\"targets\": [{targets}]}}]"));
    let file = discovered(&format!("\"{}\"", target.address));
    let itself = crate::harness::free_port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - {{job_name: self, static_configs: [{{targets: ['127.0.0.1:{itself}']}}]}}\n\
         - {{job_name: api, file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]}}\n\
         remote_write: [{{url: '{}', queue_config: {{batch_send_deadline: 200ms}}}}]\n",
        file.display(),
        sidelong.url("/api/v1/write")
    );
    let _prometheus = Prometheus::start_at(&scratch, &program, "prometheus", &config, itself).await;
    let seen = async || {
        let page = sidelong.page("/api/v1/explain?series=queue_depth").await;
        let json: serde_json::Value = serde_json::from_str(&page).unwrap();
        let seen = json["data"][0]["attendance"]["seenForSeconds"].as_f64()?;
        (seen >= 8.0).then_some(())
    };
    eventually("it was there for long enough", seen).await;
    assert_eq!(absent(&sidelong).await, []);

    target.set(|_| Reply::page(TEXT, ONE));
    absent_are(&sidelong, "a metric vanished", &[("queue_depth:absent", "stale_marker")]).await;
    target.set(|_| Reply::page(TEXT, BOTH));
    absent_are(&sidelong, "it is back", &[]).await;

    // What Prometheus says of the scrape itself ends with it.
    target.set(|_| Reply::status(502));
    let failed = ["load", "queue_depth"].map(|name| (format!("{name}:absent"), "scrape_failed"));
    let failed: Vec<_> = failed.iter().map(|(name, reason)| (name.as_str(), *reason)).collect();
    absent_are(&sidelong, "the scrape fails", &failed).await;
    target.set(|_| Reply::page(TEXT, BOTH));
    absent_are(&sidelong, "the target is back", &[]).await;

    discovered("");
    eventually("the target is lost", async || {
        let absent = absent(&sidelong).await;
        let has = |name: &str| absent.contains(&(format!("{name}:absent"), "target_lost".to_owned()));
        (has("load") && has("queue_depth") && has("up")).then_some(())
    })
    .await;
    for reason in ["stale_marker", "scrape_failed", "target_lost"] {
        sidelong.metric_reaches("sidelong_absences_total", &format!("reason=\"{reason}\""), 1.0).await;
    }
    assert_eq!(sidelong.metric("sidelong_absences_total", "reason=\"silent\"").await, 0.0);
}
