//! Models on their way from a candidate to a sidecar that serves them.

mod conformance;
mod faults;
mod life;
pub(crate) mod s3;
mod training;

use crate::harness::http;
use crate::harness::sidelong::{PROGRAM, Sidelong};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// A key for promotions, and the file that holds it.
struct Key {
    file: String,
    public: String,
}

/// Runs `sidelong model` with these arguments and the credentials of the tests' S3.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("model").args(arguments).envs(s3::CREDENTIALS);
    command.output().unwrap()
}

/// The same, which must succeed; gives what it printed.
fn model(arguments: &[&str]) -> String {
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
    fn new(folder: &Path, name: &str) -> Self {
        let file = folder.join(name).to_str().unwrap().to_owned();
        let printed = model(&["keygen", "--out", &file]);
        let public = printed.split('"').nth(1).unwrap().to_owned();
        Self { file, public }
    }

    /// Promotes the built-in model in `store`.
    fn promote(&self, folder: &Path, store: &str) -> String {
        let bundle = folder.join("bundle");
        let bundle = bundle.to_str().unwrap();
        model(&["export", bundle]);
        let published = model(&["publish", "--store", store, bundle]);
        let candidate = published.trim().strip_prefix("candidate ").unwrap().to_owned();
        let answer = ["--key", &self.file, "--reason", "a test"];
        model(&[["promote", "--store", store].as_slice(), &answer, &[&candidate]].concat())
    }
}

/// What a sidecar says of the model that serves.
async fn serving(sidelong: &Sidelong) -> Value {
    let page = http::get(&format!("http://{}/api/v1/status/model", sidelong.admin)).await.unwrap();
    let page: Value = serde_json::from_str(&page.text()).unwrap();
    page["data"].clone()
}
