//! An S3 that does everything wrong: the model that serves goes on, and the reason is counted (fault row F-25).

use super::s3::CREDENTIALS;
use super::{Key, serving};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use std::process::Command;
use std::time::Duration;

/// A sidecar that follows an S3 which answers by `script`.
async fn follower(scratch: &Scratch, script: fn(&Recorded) -> Reply) -> (Scripted, Sidelong) {
    let s3 = Scripted::start(script).await;
    let key = Key::new(scratch.path(), "promotion.pem");
    let config = format!(
        "model: {{store: 's3://models/prod?endpoint=http://{}&region=us-east-1', trusted_keys: ['{}'],
         poll_interval: 20ms, timeout: 500ms}}\n",
        s3.address, key.public
    );
    let mut launcher = Command::new("env");
    launcher.args(CREDENTIALS.map(|(name, value)| format!("{name}={value}")));
    (s3, Sidelong::start_by(scratch, &config, launcher).await)
}

/// The sidecar is ready from the start, counts `reason`, looks again, and serves what it served.
async fn goes_on(script: fn(&Recorded) -> Reply, reason: &str) {
    let scratch = Scratch::new();
    let (_s3, mut sidelong) = follower(&scratch, script).await;
    let label = format!("reason=\"{reason}\"");
    sidelong.metric_reaches("sidelong_model_store_errors_total", &label, 2.0).await;
    assert_eq!(serving(&sidelong).await["source"], "builtin");
    assert!(sidelong.process.running());
}

#[tokio::test]
async fn f25_an_s3_that_is_down() {
    goes_on(|_| Reply::status(503), "failed").await;
}

#[tokio::test]
async fn f25_an_s3_that_refuses() {
    goes_on(|_| Reply::status(403), "denied").await;
}

#[tokio::test]
async fn f25_an_s3_that_never_answers() {
    goes_on(|_| Reply::Silence, "slow").await;
}

#[tokio::test]
async fn f25_an_s3_that_trickles() {
    goes_on(|_| Reply::drip(200, "12345678901234567890", Duration::from_millis(400)), "slow").await;
}

#[tokio::test]
async fn f25_an_s3_that_answers_garbage() {
    goes_on(|_| Reply::page("text/html", "<html>a login page</html>"), "content").await;
}

#[tokio::test]
async fn f25_an_s3_that_sends_less_than_it_says() {
    goes_on(|_| Reply::short("text/plain", "1234567890"), "failed").await;
}

#[tokio::test]
async fn f25_an_s3_that_says_304_for_ever() {
    let scratch = Scratch::new();
    let (s3, sidelong) = follower(&scratch, |_| Reply::status(304)).await;
    s3.received(3, "looks", |_| true).await;
    assert_eq!(serving(&sidelong).await["source"], "builtin");
    assert_eq!(sidelong.metric("sidelong_model_refused_total", "").await, 0.0);
}
