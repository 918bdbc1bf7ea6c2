//! Models on their way from a candidate to a sidecar that serves them.

mod conformance;
mod evaluation;
mod faults;
mod life;
pub(crate) mod s3;
mod tracking;
mod training;

use crate::harness::http;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{PROGRAM, Sidelong};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// A key for promotions, and the file that holds it.
pub(crate) struct Key {
    pub(crate) file: String,
    pub(crate) public: String,
}

/// Runs `sidelong model` with these arguments and the credentials of the tests' S3.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("model").args(arguments).envs(s3::CREDENTIALS);
    command.output().unwrap()
}

/// The same, which must succeed; gives what it printed.
pub(crate) fn model(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same, which must fail; gives what it complained of.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

// === impl Key ===

impl Key {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let file = folder.join(name).to_str().unwrap().to_owned();
        let printed = model(&["keygen", "--out", &file]);
        let public = printed.split('"').nth(1).unwrap().to_owned();
        Self { file, public }
    }

    /// Promotes the bundle in `store`.
    pub(crate) fn promote(&self, bundle: &str, store: &str) -> String {
        let published = model(&["publish", "--store", store, bundle]);
        let candidate = published.trim().strip_prefix("candidate ").unwrap().to_owned();
        let answer = ["--key", &self.file, "--reason", "a test", "--without-evaluation"];
        model(&[["promote", "--store", store].as_slice(), &answer, &[&candidate]].concat())
    }
}

/// The built-in model as a bundle.
pub(crate) fn builtin(scratch: &Scratch) -> String {
    let bundle = scratch.path().join("builtin").to_str().unwrap().to_owned();
    model(&["export", &bundle]);
    bundle
}

/// Another one, trained on one series.
pub(crate) fn trained(scratch: &Scratch) -> String {
    let bundle = scratch.path().join("trained").to_str().unwrap().to_owned();
    let series: String = (0..700).map(|at| format!("{},{}\n", at * 60, at * 7919 % 13)).collect();
    let series = scratch.write("series.csv", &series);
    let mut command = Command::new(PROGRAM);
    command.arg("train").arg(series).args(["--out", &bundle]);
    assert!(command.status().unwrap().success());
    bundle
}

/// What a sidecar says of the model that serves.
async fn serving(sidelong: &Sidelong) -> Value {
    let page = http::get(&format!("http://{}/api/v1/status/model", sidelong.admin)).await.unwrap();
    let page: Value = serde_json::from_str(&page.text()).unwrap();
    page["data"].clone()
}
