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
        (200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
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

/// UTF-8 names where the scraper asks for them (P5); else two that escaping makes one are counted and not on the page.
#[tokio::test]
async fn p5_the_page_has_names_as_the_scraper_asks_for_them() {
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, CONFIG).await;
    let at = now() - 60_000;
    let body = |label: &str| body_v1(vec![series(&[("__name__", "level"), (label, "x")], &[(at, 1.0)])]);
    for label in ["a.b", "a-b", "c.d"] {
        let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body(label)).await.unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let check = async |accept: &'static str, content_type: &'static str, want: &'static [&'static str]| {
        eventually(&format!("{accept} gives {want:?}"), async || {
            let answer = http::get_with(&sidelong.url("/scores"), &[("accept", accept)]).await.unwrap();
            assert_eq!(answer.header("content-type"), content_type);
            let text = answer.text();
            let mut labels: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix("anomaly_score{")).collect();
            labels.sort_unstable();
            let labels: Vec<_> = labels.iter().filter_map(|line| Some(line.split_once('}')?.0)).collect();
            (labels == want).then_some(())
        })
        .await;
    };
    let openmetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8";
    let utf8 = &["\"a-b\"=\"x\",for=\"level\"", "\"a.b\"=\"x\",for=\"level\"", "\"c.d\"=\"x\",for=\"level\""];
    check(
        openmetrics,
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        utf8,
    )
    .await;
    let text = "text/plain;version=1.0.0;escaping=allow-utf-8";
    check(text, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8", utf8).await;
    let escaped = &["c_d=\"x\",for=\"level\""];
    check("text/plain", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", escaped).await;
    sidelong.metric_reaches("sidelong_scrape_dropped_scores_total", "ambiguous", 2.0).await;
}
