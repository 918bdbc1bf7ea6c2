//! Loop-back mode: Sidelong is the receiver, and `/scores` is what comes of it.

use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::Sidelong;
use crate::harness::{eventually, http};
use std::time::{SystemTime, UNIX_EPOCH};

const CONFIG: &str = "rules: [{match: '{__name__!=\"\"}'}]\n";
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Pushes a sample of `level{job="it",instance=…}` as `tenant`.
async fn push(sidelong: &Sidelong, tenant: &str, instance: &str, at: i64, value: f64) {
    let headers: Vec<_> = HEADERS_V1.iter().copied().chain([("x-scope-orgid", tenant)]).collect();
    let labels = [("__name__", "level"), ("instance", instance), ("job", "it")];
    let body = body_v1(vec![series(&labels, &[(at, value)])]);
    let answer = http::post(&sidelong.url("/api/v1/write"), &headers, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// The lines of `tenant`'s page, sorted, without comments.
async fn page(sidelong: &Sidelong, tenant: &str) -> Vec<String> {
    let answer = http::get_with(&sidelong.url("/scores"), &[("x-scope-orgid", tenant)]).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

async fn shows(sidelong: &Sidelong, tenant: &str, want: &[String]) {
    eventually(&format!("{tenant} sees {want:?}"), async || {
        (page(sidelong, tenant).await == want).then_some(())
    })
    .await;
}

/// Scores and the counts of their workload, of the tenant that the scrape names, until they end.
#[tokio::test]
async fn the_page_has_scores_and_counts_of_one_tenant_until_they_end() {
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, CONFIG).await;
    let at = now() - 60_000;
    push(&sidelong, "ant", "a", at, 1.0).await;
    push(&sidelong, "ant", "b", at + 16_000, 1.0).await;
    push(&sidelong, "bee", "a", at, 1.0).await;
    let score = |instance: &str, at: i64| {
        format!("anomaly_score{{for=\"level\",instance=\"{instance}\",job=\"it\"}} 0 {at}")
    };
    let count = |name: &str, value: i64, at: i64| format!("{name}{{job=\"it\"}} {value} {at}");
    let of_workload = |scored, at| [count("anomalous_series", 0, at), count("scored_series", scored, at)];
    let [anomalous, scored] = of_workload(2, at + 16_000);
    shows(&sidelong, "ant", &[anomalous.clone(), score("a", at), score("b", at + 16_000), scored.clone()])
        .await;
    let [one_anomalous, one_scored] = of_workload(1, at);
    shows(&sidelong, "bee", &[one_anomalous, score("a", at), one_scored]).await;
    shows(&sidelong, "", &[]).await;
    push(&sidelong, "ant", "a", at + 17_000, STALE).await;
    shows(&sidelong, "ant", &[anomalous, score("b", at + 16_000), scored]).await;
    push(&sidelong, "ant", "b", at + 18_000, STALE).await;
    shows(&sidelong, "ant", &[]).await;
}

#[tokio::test]
async fn tenants_whose_names_are_no_ascii_are_tenants_of_their_own() {
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, CONFIG).await;
    let at = now() - 60_000;
    push(&sidelong, "müller", "a", at, 1.0).await;
    push(&sidelong, "möller", "b", at, 1.0).await;
    sidelong.metric_reaches("sidelong_samples_scored_total", "", 2.0).await;
    for (tenant, own, other) in [("müller", "\"a\"", "\"b\""), ("möller", "\"b\"", "\"a\"")] {
        let page = page(&sidelong, tenant).await.join("\n");
        assert!(page.contains(own) && !page.contains(other), "{tenant}: {page}");
    }
    assert!(page(&sidelong, "").await.is_empty());
    assert_eq!(sidelong.metric("sidelong_tenants", "").await, 2.0);
}
