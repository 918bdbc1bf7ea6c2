//! `sidelong top` against a running Sidelong.

use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::Scripted;
use crate::harness::sidelong::{PROGRAM, Sidelong};
use crate::harness::{free_port, http};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 60;

fn top(admin: &str, more: &[&str]) -> Output {
    let url = format!("http://{admin}");
    let args = ["top", "--once", "--interval", "100ms", "--url", &url];
    Command::new(PROGRAM).args(args).args(more).output().unwrap()
}

async fn write(sidelong: &Sidelong, at: i64, value: f64) {
    let of = |instance| series(&[("__name__", "level"), ("instance", instance)], &[(at, value)]);
    let body = body_v1(["a", "b"].map(of).into());
    let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[tokio::test]
async fn one_frame_shows_what_a_running_sidelong_does() {
    let (scratch, downstream) = (Scratch::new(), Scripted::downstream().await);
    let config =
        format!("downstream: {{url: '{}'}}\nrules: [{{match: level}}]\n", downstream.url("/api/v1/write"));
    let sidelong = Sidelong::start(&scratch, &config).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let start = now - (SAMPLES + 1) * STEP_MS;
    for i in 0..SAMPLES {
        write(&sidelong, start + i * STEP_MS, 10.0 + (i * 7919 % 13) as f64).await;
    }
    write(&sidelong, start + SAMPLES * STEP_MS, 500.0).await;
    sidelong.metric_reaches("sidelong_samples_scored_total", "", 2.0 * (SAMPLES + 1) as f64).await;

    let output = top(&sidelong.admin, &["--series", "1"]);
    let frame = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        frame.starts_with(&format!("Sidelong 0.1.0 at http://{}/   ready   up ", sidelong.admin)),
        "{frame}"
    );
    assert!(
        frame.contains("  series 2 of ") && frame.contains("\npush ") && frame.contains("\npull "),
        "{frame}"
    );
    let listed: Vec<_> = frame.lines().filter(|line| line.contains("level{instance=")).collect();
    assert!(listed.len() == 1 && listed[0].contains("500"), "{frame}");
}

#[tokio::test]
async fn bytes_and_samples_are_counted_as_they_come_and_go() {
    let (scratch, downstream) = (Scratch::new(), Scripted::downstream().await);
    let config =
        format!("downstream: {{url: '{}'}}\nrules: [{{match: level}}]\n", downstream.url("/api/v1/write"));
    let sidelong = Sidelong::start(&scratch, &config).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    write(&sidelong, now, 1.0).await;
    sidelong.metric_reaches("sidelong_write_samples_total", "", 2.0).await;
    let received = sidelong.metric("sidelong_write_received_bytes_total", "").await;
    assert!(received > 0.0);
    assert_eq!(sidelong.metric("sidelong_write_forwarded_bytes_total", "").await, received);
}

#[test]
fn where_nobody_listens_it_is_said_what_to_do() {
    let output = top(&format!("127.0.0.1:{}", free_port()), &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("is Sidelong running") && error.contains("--url"), "{error}");
    assert!(error.contains("onnection refused"), "{error}");
}
