//! `sidelong backtest` between a file, a page and a real Prometheus.

use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::named;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::process::Command;

/// A Prometheus that scrapes nothing and takes the past.
const CONFIG: &str = "storage: {tsdb: {out_of_order_time_window: 30d}}\n";
const ROWS: i64 = 11_200;
const STEP_S: i64 = 60;

/// What `sidelong ARGS` writes to its standard output.
async fn sidelong(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sidelong")).args(args).output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refusal(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sidelong")).args(args).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A series of more moments than one answer holds, that ends about now, with a jump near its end.
fn series(scratch: &Scratch) -> (PathBuf, i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let first = (now / STEP_S - ROWS) * STEP_S;
    let value = |i: i64| if i == ROWS - 50 { 900 } else { i * 7919 % 13 };
    let rows = (0..ROWS).map(|i| format!("{},{}\n", first + i * STEP_S, value(i)));
    (scratch.write("series.csv", &rows.collect::<String>()), first)
}

/// The columns of CSV behind its timestamp, by timestamp in milliseconds.
fn by_time(csv: &str) -> BTreeMap<i64, String> {
    let row = |line: &str| {
        let (timestamp, rest) = line.split_once(',').unwrap();
        ((timestamp.parse::<f64>().unwrap() * 1e3) as i64, rest.to_owned())
    };
    csv.lines().skip(1).map(row).collect()
}

/// The whole way there and back: a file into Prometheus with its scores; the same series out of Prometheus by a range
/// query of two windows, scored anew: the scores are those of the file, and PromQL sees them.
#[tokio::test]
async fn scores_go_into_a_prometheus_and_a_range_of_it_is_scored_alike() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", CONFIG).await;
    let (file, first) = series(&scratch);
    let file = file.to_str().unwrap();
    let name = r#"load{for="me",instance="a"}"#;
    let (url, write) = (format!("http://{}", prometheus.address), prometheus.write_url());
    let written = ["--remote-write", &write, "--with-values"];
    assert_eq!(sidelong(&[&["backtest", file, "--series", name][..], &written].concat()).await, "");

    let of_file = by_time(&sidelong(&["backtest", file]).await);
    let from = first.to_string();
    let query = ["backtest", &url, "--query", "load", "--from", &from, "--step", "60s"];
    let of_query = by_time(&sidelong(&query).await);
    // The newest value stands for some minutes behind the last row.
    let same = of_query.iter().filter(|(at, _)| of_file.contains_key(at));
    assert_eq!(same.clone().count(), ROWS as usize);
    for (at, row) in same {
        assert_eq!(Some(row), of_file.get(at), "{at}");
    }

    let points = prometheus.stored(".+").await;
    let scores = named(&points, "anomaly_score");
    assert_eq!(scores.len(), ROWS as usize);
    for point in &scores {
        let labels: Vec<_> =
            point.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let wanted =
            [("__name__", "anomaly_score"), ("exported_for", "me"), ("for", "load"), ("instance", "a")];
        assert_eq!(labels, wanted);
        let score = of_file[&point.timestamp].split(',').nth(1).unwrap();
        assert_eq!(f64::from_bits(point.bits).to_string(), score, "{}", point.timestamp);
    }
    assert_eq!(named(&points, "load").len(), ROWS as usize);
    assert_eq!(named(&points, "load")[0].labels["for"], "me", "a sample keeps its labels");
    let jump = first + (ROWS - 50) * STEP_S;
    let seen = prometheus.query(&format!("anomaly_score{{for=\"load\"}} @ {jump} > 1")).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(prometheus.query(&format!("yhat_upper{{for=\"load\"}} @ {jump} < 900")).await.len(), 1);
}

/// Each series of a query's value is scored by itself, in CSV and on a page.
#[tokio::test]
async fn every_series_of_a_query_is_scored_by_itself() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", CONFIG).await;
    let (file, first) = series(&scratch);
    let (url, write) = (format!("http://{}", prometheus.address), prometheus.write_url());
    for instance in ["a", "b"] {
        let name = format!("load{{instance=\"{instance}\"}}");
        let args = [
            "backtest",
            file.to_str().unwrap(),
            "--series",
            &name,
            "--remote-write",
            &write,
            "--with-values",
        ];
        sidelong(&args).await;
    }
    let (from, to) = (first.to_string(), (first + 500 * STEP_S).to_string());
    let range = ["--from", &from, "--to", &to, "--step", "60s"];
    let rows = sidelong(&[&["backtest", &url, "--query", "load * 2"][..], &range].concat()).await;
    let mut lines = rows.lines();
    assert_eq!(lines.next(), Some("series,timestamp,value,anomaly_score,yhat,yhat_lower,yhat_upper"));
    let of = |instance: &str| {
        let start = format!("\"{{instance=\"\"{instance}\"\"}}\",");
        rows.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("a").len(), 501);
    assert_eq!(of("a"), of("b"));
    let args = [&["backtest", &url, "--query", "load", "--format", "html"][..], &range].concat();
    let page = sidelong(&args).await;
    assert!(
        page.contains("load{instance=&quot;a&quot;}</h2>") && page.contains("instance=&quot;b&quot;}</h2>")
    );
}

/// Refusals say what is wrong and what to do.
#[tokio::test]
async fn what_a_prometheus_refuses_is_told_with_the_way_out() {
    let program = tool!(Prometheus);
    let scratch = Scratch::new();
    let prometheus = Prometheus::start(&scratch, &program, "prometheus", "").await;
    let (url, write) = (format!("http://{}", prometheus.address), prometheus.write_url());
    let error = refusal(&["backtest", &url, "--query", "load{"]).await;
    assert!(error.contains("400 Bad Request") && error.contains("parse error"), "{error}");
    let (file, _) = series(&scratch);
    let file = file.to_str().unwrap();
    let written = ["backtest", file, "--series", "load", "--remote-write", &write];
    sidelong(&written).await;
    let error = refusal(&written).await;
    assert!(error.contains("out_of_order_time_window"), "{error}");
    let error = refusal(&["backtest", file, "--remote-write", &write]).await;
    assert!(error.contains("give it one with --series"), "{error}");
}

/// Credentials and headers are shown to the server that they are for, and an answer without a sample is told.
#[tokio::test]
async fn a_query_shows_its_credentials_and_headers() {
    let scratch = Scratch::new();
    let server = Scripted::start(|_: &Recorded| {
        Reply::page("application/json", r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#)
    })
    .await;
    let config =
        scratch.write("http.yml", "authorization: {credentials: s3cret}\nheaders: {X-Scope-OrgID: team}\n");
    let url = format!("http://{}/prometheus", server.address);
    let args = [
        "backtest",
        &url,
        "--query",
        "up",
        "--http-config",
        config.to_str().unwrap(),
        "--header",
        "X-More: b",
    ];
    let error = refusal(&args).await;
    assert!(error.contains("the query has no sample from -7d to now"), "{error}");
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, "/prometheus/api/v1/query_range");
    for (name, value) in [("authorization", "Bearer s3cret"), ("x-scope-orgid", "team"), ("x-more", "b")] {
        let shown = asked[0].headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        assert_eq!(shown.map(|(_, value)| value.as_str()), Some(value), "{name}");
    }
}
