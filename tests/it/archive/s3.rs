//! The archive in a bucket: a real S3 server, and one that does everything wrong.

use std::process::{Command, Output};
use std::time::Duration;

use super::{bits_of_json, config, now_ms, push, spelled, with_bits};
use crate::harness::http;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::{PROGRAM, Sidelong};
use crate::models::s3::{CREDENTIALS, Gateway};

/// A launcher of what needs credentials.
fn launcher() -> Command {
    let mut launcher = Command::new("env");
    launcher.args(CREDENTIALS.map(|(name, value)| format!("{name}={value}")));
    launcher
}

fn archive(arguments: &[&str]) -> Output {
    launcher().arg(PROGRAM).arg("archive").args(arguments).output().unwrap()
}

/// What `sidelong archive ARGUMENTS` prints.
fn printed(arguments: &[&str]) -> String {
    let output = archive(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `archive COMMAND` complains of at `place`; the server that it asks may be of this thread.
async fn refused(command: &'static str, place: &str) -> String {
    let place = place.to_owned();
    let output = tokio::task::spawn_blocking(move || archive(&[command, &place])).await.unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn what_passes_is_in_the_bucket_bit_for_bit_and_stays_so_when_it_is_compacted() {
    let program = tool!(Versitygw);
    let scratch = Scratch::new();
    let gateway = Gateway::start(&scratch, &program).await;
    let place = gateway.bucket("metrics").await.place;
    // Yesterday's noon, so that the day is over.
    let samples = spelled(now_ms() / 86_400_000 * 86_400_000 - 43_200_000);
    for part in samples.chunks(3) {
        let config = config(&format!("store: '{place}'"));
        let mut sidelong = Sidelong::start_by(&scratch, &config, launcher()).await;
        push(&sidelong, "odd", part).await;
        sidelong.process.stop().await;
    }
    let kept = || bits_of_json(&printed(&["cat", &place, "odd", "--format", "json"]));
    assert_eq!(kept(), with_bits(&samples));
    let listed = printed(&["ls", &place]);
    assert!(listed.contains("1 series, 9 samples in 3 files"), "{listed}");
    let compacted = printed(&["compact", &place]);
    assert!(compacted.starts_with("3 files of "), "{compacted}");
    assert_eq!(kept(), with_bits(&samples));
    assert!(printed(&["ls", &place]).contains("1 series, 9 samples in 1 files"));
    assert!(printed(&["compact", &place]).starts_with("0 files"));
    // And who looks at the past reads it there.
    let mut backtest = launcher();
    backtest.args([PROGRAM, "backtest", &place, "--query", "odd"]);
    let scored = String::from_utf8(backtest.output().unwrap().stdout).unwrap();
    assert_eq!(scored.lines().count(), samples.len() + 1, "{scored}");
}

/// The bucket at which `s3` plays its tricks.
fn place(s3: &Scripted) -> String {
    format!("s3://metrics/a?endpoint=http://{}&region=us-east-1", s3.address)
}

/// A bucket without anything in it, that takes no file.
fn takes_nothing(status: u16) -> impl Fn(&Recorded) -> Reply {
    move |request| match request.method.as_str() {
        "GET" => Reply::page(
            "application/xml",
            "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
        ),
        _ => Reply::status(status),
    }
}

#[tokio::test]
async fn f25_a_bucket_that_takes_nothing_costs_the_archive_alone_until_it_does() {
    for status in [503, 403] {
        let scratch = Scratch::new();
        let s3 = Scripted::start(takes_nothing(status)).await;
        let config = config(&format!("store: '{}', flush_interval: 50ms", place(&s3)));
        let mut sidelong = Sidelong::start_by(&scratch, &config, launcher()).await;
        push(&sidelong, "load", &[(now_ms(), 1.0)]).await;
        sidelong.metric_reaches("sidelong_archive_failures_total", "", 1.0).await;
        push(&sidelong, "load", &[(now_ms(), 2.0)]).await;
        sidelong.metric_reaches("sidelong_samples_scored_total", "", 2.0).await;
        assert_eq!(http::get(&sidelong.url("/-/ready")).await.unwrap().status, 200);
        assert_eq!(sidelong.metric("sidelong_archive_lost_samples_total", "unwritable").await, 0.0);
        // An answer whose writer is lost: the file is there when it is tried again.
        s3.set(takes_nothing(412));
        sidelong.metric_reaches("sidelong_archive_samples_total", "", 2.0).await;
        let is_put = |request: &Recorded| request.method == "PUT" && request.header("if-none-match") == "*";
        s3.received(2, "conditional writes", is_put).await;
        assert!(sidelong.process.stop().await.success());
    }
}

#[tokio::test]
async fn f25_a_bucket_that_never_answers_keeps_nobody_waiting() {
    let scratch = Scratch::new();
    let s3 = Scripted::start(|_| Reply::Silence).await;
    let config = config(&format!("store: '{}', flush_interval: 50ms", place(&s3)));
    let sidelong = Sidelong::start_by(&scratch, &config, launcher()).await;
    s3.received(1, "anything at all", |_| true).await;
    for step in 1..=20 {
        push(&sidelong, "load", &[(now_ms() + step, 1.0)]).await;
    }
    sidelong.metric_reaches("sidelong_samples_scored_total", "", 20.0).await;
    assert_eq!(http::get(&sidelong.url("/-/ready")).await.unwrap().status, 200);
}

/// A bucket that lists one file, and answers by `script` to who wants it.
fn with_file(script: fn() -> Reply) -> impl Fn(&Recorded) -> Reply {
    move |request| {
        if request.target.contains("list-type=2") {
            let key = "a/metrics/day=2026-11-30/shard=00/1-a-1.parquet";
            let listed = format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>\
                 <Contents><Key>{key}</Key><Size>4</Size></Contents></ListBucketResult>"
            );
            return Reply::page("application/xml", listed);
        }
        script()
    }
}

#[tokio::test]
async fn f25_a_reader_says_what_is_wrong_with_the_bucket() {
    let s3 = Scripted::start(|_| Reply::status(403)).await;
    let place = place(&s3);
    let told = refused("cat", &place).await;
    assert!(told.contains("refuses access to metrics"), "{told}");
    s3.set(|_| Reply::page("text/html", "<html>a login page</html>"));
    assert!(refused("ls", &place).await.contains("the store cannot be used for metrics"));
    s3.set(with_file(|| Reply::page("binary/octet-stream", "PAR1")));
    let told = refused("cat", &place).await;
    assert!(told.contains("cannot read metrics/day=2026-11-30/shard=00/1-a-1.parquet"), "{told}");
    s3.set(with_file(|| Reply::short("binary/octet-stream", "half of it")));
    assert!(refused("cat", &place).await.contains("the store cannot be used for metrics/day=2026-11-30"));
    s3.set(with_file(|| Reply::status(304)));
    assert!(refused("cat", &place).await.contains("changes faster than it can be read"));
    // Nobody deletes by mistake what cannot be read.
    assert!(s3.requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn f25_a_bucket_that_trickles_is_given_up() {
    let s3 =
        Scripted::start(with_file(|| Reply::drip(200, "x".repeat(500), Duration::from_millis(500)))).await;
    let place = place(&s3);
    let told = refused("cat", &place).await;
    assert!(told.contains("did not give metrics/day=2026-11-30/shard=00/1-a-1.parquet in time"), "{told}");
}
