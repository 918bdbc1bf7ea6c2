//! What the README's "Run it" says of the process.

use super::operations::{gateway, push};
use crate::harness::eventually;
use crate::harness::http;
use crate::harness::process::Process;
use crate::harness::remote_write::named;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::Scripted;
use crate::harness::sidelong::{PROGRAM, Sidelong, free_address};
use rustix::process::Signal;
use serde_json::Value;
use std::process::Command;

async fn status(sidelong: &Sidelong, page: &str) -> Value {
    let json: Value = serde_json::from_str(&sidelong.page(&format!("/api/v1/status/{page}")).await).unwrap();
    assert_eq!(json["status"], "success", "{json}");
    json["data"].clone()
}

#[tokio::test]
async fn a_hangup_reloads_and_a_wrong_file_changes_nothing() {
    let scratch = Scratch::new();
    let (first, second) = (Scripted::downstream().await, Scripted::downstream().await);
    let sidelong = Sidelong::start(&scratch, &gateway(&first)).await;
    sidelong.write_config("downstream: {ulr: 'http://127.0.0.1:1/'}\n");
    sidelong.process.signal(Signal::HUP);
    eventually("the wrong file was noticed", async || {
        (sidelong.metric("sidelong_config_last_reload_successful", "").await == 0.0).then_some(())
    })
    .await;
    assert!(sidelong.process.log().contains("ulr"), "the log says why");
    assert_eq!(push(&sidelong, "meanwhile").await, 204);
    sidelong.write_config(&gateway(&second));
    sidelong.process.signal(Signal::HUP);
    sidelong.metric_reaches("sidelong_config_last_reload_successful", "", 1.0).await;
    assert_eq!(push(&sidelong, "after").await, 204);
    let got = |server: &Scripted, name: &str| {
        server.requests().iter().any(|r| !named(&r.points(), name).is_empty())
    };
    assert!(got(&first, "meanwhile") && !got(&first, "after") && got(&second, "after"));
}

#[tokio::test]
async fn the_status_pages_tell_of_what_is_in_force() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = format!(
        "{}limits: {{max_series: 77}}\nscores: {{max_series: 33}}\n\
         scrape: {{targets: [{{name: node, url: 'http://127.0.0.1:9/metrics', scrape_interval: 15s, \
         sample_limit: 5, label_limit: 6}}]}}\n",
        gateway(&downstream)
    );
    let sidelong = Sidelong::start(&scratch, &config).await;
    assert_eq!(push(&sidelong, "level").await, 204);
    let budget = eventually("the series is in the budget", async || {
        Some(status(&sidelong, "budget").await)
            .filter(|budget| budget["series"] == 1 && budget["rules"][0]["series"] == 1)
    })
    .await;
    assert_eq!((&budget["maxSeries"], &budget["maxInjected"]), (&77.into(), &33.into()), "{budget}");
    assert_eq!((&budget["tenants"], &budget["targets"]), (&1.into(), &0.into()), "{budget}");
    assert!(
        budget["bytesPerSeries"].as_u64() > budget["stateBytesPerSeries"].as_u64()
            && budget["stateBytesPerSeries"].as_u64() > Some(0)
            && budget["labelBytes"].as_u64() > Some(0),
        "{budget}"
    );
    assert_eq!(
        budget["rules"].as_array().map(|rules| rules[0]["series"].clone()),
        Some(1.into()),
        "{budget}"
    );
    let targets = status(&sidelong, "targets").await;
    let url = downstream.url("/api/v1/write");
    assert_eq!((&targets["downstream"], &targets["upstream"]), (&url.as_str().into(), &Value::Null));
    let node = serde_json::json!({"name": "node", "url": "http://127.0.0.1:9/metrics", "scrapeInterval": "15s",
        "sampleLimit": 5, "labelLimit": 6});
    assert_eq!(targets["targets"], serde_json::json!([node]));
    let model = status(&sidelong, "model").await;
    assert_eq!(model["role"], "champion");
    assert!(model["version"].is_string() && model["sha256"].as_str().map(str::len) == Some(64), "{model}");
    let build = status(&sidelong, "buildinfo").await;
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    assert!(["revision", "rustVersion", "features"].iter().all(|key| !build[key].is_null()), "{build}");
    // What is shown is a configuration that would do the same, and a reload shows.
    let shown = status(&sidelong, "config").await["yaml"].as_str().unwrap().to_owned();
    assert!(shown.contains("max_series: 77") && shown.contains(&url), "{shown}");
    let file = scratch.write("shown.yml", &shown);
    assert!(
        Command::new(PROGRAM).arg("check-config").arg(file).output().unwrap().status.success(),
        "{shown}"
    );
    assert_eq!(sidelong.reload(&config.replace("77", "78")).await.status, 200);
    assert!(status(&sidelong, "config").await["yaml"].as_str().unwrap().contains("max_series: 78"));
}

#[tokio::test]
async fn the_demo_ends_by_itself_with_a_summary() {
    let command = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["demo", "--no-tty", "--history=1d", "--instances=1"]).args(more);
        command
    };
    let output = tokio::task::spawn_blocking(move || command(&["--duration=1s"]).output().unwrap());
    let output = output.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.to_lowercase().contains("found"), "{text}");
    // And so it does when it is asked to.
    let scratch = Scratch::new();
    let mut asked = Process::start(&scratch, "demo", &mut command(&["--duration=1h"]));
    eventually("it has begun to play", async || (!asked.log().is_empty()).then_some(())).await;
    assert!(asked.stop().await.success());
    assert!(asked.log().to_lowercase().contains("found"), "{}", asked.log());
}

#[tokio::test]
async fn the_synthetic_exporter_runs_until_it_is_asked_to_end() {
    let scratch = Scratch::new();
    let address = free_address();
    let mut command = Command::new(PROGRAM);
    command.args(["synth", "serve", "--seed=7", "--instances=2"]).arg(format!("--listen={address}"));
    let url = format!("http://{address}/metrics");
    let mut exporter = Process::start(&scratch, "synth", &mut command).ready(&url).await;
    let page = http::get(&url).await.unwrap().text();
    assert!(page.contains("synth_anomaly_active{"), "{page}");
    assert_eq!(http::get(&format!("http://{address}/truth.json")).await.unwrap().status, 200);
    assert!(exporter.stop().await.success());
    assert!(http::get(&url).await.is_err());
}
