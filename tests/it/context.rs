//! What is known beforehand: by a calendar file, and announced while Sidelong runs.

use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{PROGRAM, Sidelong};
use crate::harness::{eventually, http};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 60;

/// The labels of the series of `job`.
fn labels(job: &str) -> [(&str, &str); 2] {
    [("__name__", "level"), ("job", job)]
}

/// Pushes a sample of each job.
async fn push(sidelong: &Sidelong, at: i64, values: &[(&str, f64)]) {
    let body = body_v1(values.iter().map(|(job, value)| series(&labels(job), &[(at, *value)])).collect());
    let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// The score of the sample of `job` at `at`.
async fn score(sidelong: &Sidelong, job: &str, at: i64) -> f64 {
    let job = format!("job=\"{job}\"");
    eventually("the sample is scored", async || {
        let page = http::get(&sidelong.url("/scores")).await.unwrap().text();
        let line = page.lines().find(|line| line.contains(&job) && line.ends_with(&at.to_string()))?;
        line.rsplit(' ').nth(1)?.parse().ok()
    })
    .await
}

/// The contexts that hold at the newest sample of `job`.
async fn explained(sidelong: &Sidelong, job: &str) -> Value {
    let selector = format!("level{{job=\"{job}\"}}");
    let selector: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let page = sidelong.page(&format!("/api/v1/explain?series={selector}")).await;
    serde_json::from_str::<Value>(&page).unwrap()["data"][0]["context"].clone()
}

fn moment(at_ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at_ms).unwrap()
}

fn ordinary(step: i64) -> f64 {
    10.0 + (step * 7_919 % 13) as f64
}

#[tokio::test]
async fn a_calendar_and_an_announcement_hold_back_scores_live_after_a_restart_and_in_a_backtest() {
    let (scratch, folder) = (Scratch::new(), tempfile::tempdir().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let start = (now - (SAMPLES + 10) * STEP_MS) / 1_000 * 1_000;
    let at = |step: i64| start + step * STEP_MS;
    // A calendar file for job a: two steps, a day and a week ago, and now.
    let opens = moment(at(SAMPLES) - 7 * 86_400_000).strftime("%Y%m%dT%H%M%SZ").to_string();
    let event = format!(
        "BEGIN:VEVENT\r\nDTSTART:{opens}\r\nDURATION:PT30S\r\nRRULE:FREQ=DAILY;COUNT=9\r\nEND:VEVENT\r\n"
    );
    scratch.write("jobs.ics", &format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{event}END:VCALENDAR\r\n"));
    let config = format!(
        "rules: [{{match: level}}]\nstate: {{folder: '{}', interval: 100ms}}\n\
         context:\n  calendars: [{{name: weekly, match: 'level{{job=\"a\"}}', ics: jobs.ics}}]\n  announce: {{token: t0ken}}\n",
        folder.path().display()
    );
    let mut first = Sidelong::start(&scratch, &config).await;
    for step in 0..SAMPLES {
        push(&first, at(step), &[("a", ordinary(step)), ("b", ordinary(step))]).await;
    }
    push(&first, at(SAMPLES), &[("a", 500.0), ("b", 500.0)]).await;
    assert_eq!(score(&first, "a", at(SAMPLES)).await, 0.0);
    let alarm = score(&first, "b", at(SAMPLES)).await;
    assert!(alarm > 1.0, "{alarm}");
    let until = moment(at(SAMPLES + 2)).to_string();
    assert_eq!(
        explained(&first, "a").await,
        json!([{ "name": "weekly", "effect": "suppress", "until": until }])
    );
    assert_eq!(explained(&first, "b").await, Value::Null);
    assert_eq!(first.metric("sidelong_context_anomalies_total", "context=\"weekly\"").await, 1.0);

    let change = json!({
        "name": "deploy", "match": "level{job=\"b\"}", "effect": "suppress",
        "start": moment(at(SAMPLES + 1)).to_string(), "end": moment(now + 3_600_000).to_string(),
    });
    let url = format!("http://{}/api/v1/context", first.admin);
    let announce =
        async |token: &str| http::post(&url, &[("authorization", token)], change.to_string()).await.unwrap();
    assert_eq!(announce("Bearer wrong").await.status, 401);
    let announced = announce("Bearer t0ken").await;
    assert_eq!(announced.status, 201, "{}", announced.text());
    push(&first, at(SAMPLES + 1), &[("a", ordinary(1)), ("b", 500.0)]).await;
    assert_eq!(score(&first, "b", at(SAMPLES + 1)).await, 0.0);
    assert_eq!(explained(&first, "b").await[0]["name"], "deploy");

    first.process.stop().await;
    let second = Sidelong::start(&scratch, &config).await;
    let listed: Value = serde_json::from_str(&second.page("/api/v1/context").await).unwrap();
    assert_eq!(listed["data"][0]["name"], "deploy");
    push(&second, at(SAMPLES + 2), &[("a", 500.0), ("b", 500.0)]).await;
    assert_eq!(score(&second, "b", at(SAMPLES + 2)).await, 0.0, "it outlives a restart");
    let behind = score(&second, "a", at(SAMPLES + 2)).await;
    assert!(behind > 1.0, "the event is over: {behind}");

    let rows: String = (0..SAMPLES)
        .map(|step| (step, ordinary(step)))
        .chain([(SAMPLES, 500.0), (SAMPLES + 1, ordinary(1)), (SAMPLES + 2, 500.0)])
        .map(|(step, value)| format!("{},{value}\n", at(step)))
        .collect();
    let recording = scratch.write("a.csv", &rows);
    let backtest = Command::new(PROGRAM)
        .args(["backtest", recording.to_str().unwrap(), "--series", "level{job=\"a\"}", "--context"])
        .arg(&second.config)
        .output()
        .unwrap();
    assert!(backtest.status.success(), "{}", String::from_utf8_lossy(&backtest.stderr));
    let told = String::from_utf8(backtest.stdout).unwrap();
    let scores: Vec<f64> =
        told.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect();
    assert_eq!(
        (scores[SAMPLES as usize], scores[SAMPLES as usize + 2]),
        (0.0, behind),
        "as live, to the last bit"
    );
}
