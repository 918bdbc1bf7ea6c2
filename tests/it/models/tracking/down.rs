//! An MLflow that is down, hangs, fails half-way or wants to know who asks.

use super::{Key, candidate, model, printed, train};
use crate::harness::free_port;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::PROGRAM;
use sidelong::model::bundle::Bundle;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// A URL at which nobody is.
pub(super) fn closed() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

/// The candidate must be there and whole, though MLflow was not told; gives the command by which it will be.
pub(super) fn kept(bundle: &str, output: Output) -> String {
    let (told, warning) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && told.contains("wrote a candidate"), "{told}{warning}");
    assert!(
        warning.starts_with("warning: the candidate is whole, but MLflow does not know all of it: "),
        "{warning}"
    );
    model(&["verify", bundle]);
    let (_, command) = warning.split_once("to tell it later: ").unwrap();
    command.trim().to_owned()
}

/// What a server says to a request.
type Script = fn(&Recorded) -> Reply;

fn json(body: &'static str) -> Reply {
    Reply::page("application/json", body)
}

/// An MLflow that knows nothing yet and takes everything.
fn well(request: &Recorded) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    match path.strip_prefix("/api/2.0/mlflow/").unwrap_or("artifact") {
        "experiments/get-by-name" => json(r#"{"experiment": {"experiment_id": "1"}}"#),
        "runs/create" => {
            json(r#"{"run": {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}}"#)
        }
        "model-versions/create" => json(r#"{"model_version": {"name": "m", "version": "1"}}"#),
        "registered-models/get" => json(r#"{"registered_model": {"name": "m"}}"#),
        _ => json("{}"),
    }
}

fn asked(mlflow: &Scripted, path: &str) -> usize {
    mlflow.requests().iter().filter(|request| request.target.contains(path)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_kept_whatever_mlflow_does() {
    let scratch = Scratch::new();
    let (bundle, output) = train(&scratch, "closed", "1", &["--mlflow", &closed()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach 127.0.0.1"));
    kept(&bundle, output);

    let mlflow = Scripted::start(|_| Reply::Silence).await;
    let (url, port) = (mlflow.url(""), mlflow.address.port());
    let (bundle, output) = train(&scratch, "hangs", "1", &["--mlflow", &url, "--mlflow-timeout", "200ms"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not answer within 200ms"));
    let command = kept(&bundle, output);
    assert!(
        command.starts_with(&format!("sidelong model track --mlflow http://127.0.0.1:{port}")),
        "{command}"
    );
    assert_eq!(mlflow.requests().len(), 1, "nobody asks twice who does not answer once");

    mlflow.set(|_| Reply::drip(200, r#"{"model_versions": []}"#, Duration::from_secs(60)));
    let (bundle, output) = train(&scratch, "trickles", "1", &["--mlflow", &url, "--mlflow-timeout", "200ms"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not end within 200ms (--mlflow-timeout)"));
    kept(&bundle, output);

    let says: [(Script, &str); 5] = [
        (
            |_| json(r#"{"error_code": "INTERNAL_ERROR", "message": "no database"}"#).coded(500),
            "500 Internal Server Error",
        ),
        (|_| Reply::page("text/html", "<html>hello"), "is not that of an MLflow server"),
        (|_| Reply::endless(200), "has more than 8388608 bytes"),
        (|_| Reply::short("application/json", "{\"model_versions\": []}"), "was cut short"),
        (|_| Reply::status(302), "redirects are not followed"),
    ];
    for (number, (script, said)) in says.into_iter().enumerate() {
        mlflow.set(script);
        let (bundle, output) = train(&scratch, "fails", &number.to_string(), &["--mlflow", &url]);
        let warning = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(warning.contains(said), "{said}: {warning}");
        kept(&bundle, output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mlflow_cannot_keep_makes_no_version_and_the_run_is_taken_up_again() {
    let scratch = Scratch::new();
    let mlflow = Scripted::start(|request| match request.method.as_str() {
        // Its S3 is away.
        "PUT" => json(r#"{"error_code": "INTERNAL_ERROR", "message": "Connection was closed"}"#).coded(500),
        _ => well(request),
    })
    .await;
    let (bundle, output) = train(&scratch, "m", "1", &["--mlflow", &mlflow.url("")]);
    kept(&bundle, output);
    assert_eq!((asked(&mlflow, "runs/create"), asked(&mlflow, "model-versions/create")), (1, 0));
    mlflow.forget();
    mlflow.set(|request| match request.target.contains("runs/search") {
        true => json(
            r#"{"runs": [{"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}]}"#,
        ),
        false => well(request),
    });
    let told = model(&["track", "--mlflow", &mlflow.url(""), &bundle]);
    assert!(told.contains("run r, version 1 of m, challenger"), "{told}");
    assert_eq!((asked(&mlflow, "runs/create"), asked(&mlflow, "model-versions/create")), (0, 1));
    let put: Vec<_> = mlflow.requests().into_iter().filter(|request| request.method == "PUT").collect();
    let manifest = put.last().unwrap();
    assert_eq!(manifest.target, "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/model/manifest");
    assert_eq!(manifest.body, Bundle::read(Path::new(&bundle)).unwrap().signed, "the manifest comes last");
}

#[test]
fn a_promotion_stands_without_mlflow() {
    let scratch = Scratch::new();
    let (store, key) = (scratch.folder("store"), Key::new(scratch.path(), "promotion.pem"));
    let (store, url) = (store.to_str().unwrap(), closed());
    for seed in ["1", "2"] {
        let (bundle, output) = train(&scratch, "sidelong", seed, &[]);
        printed(output);
        model(&["publish", "--store", store, &bundle]);
        let mut command = Command::new(PROGRAM);
        command.args(["model", "promote", "--store", store, "--key", &key.file, "--reason", "a test"]);
        command.arg("--without-evaluation");
        // As MLflow's own clients are told.
        let output = command.arg(candidate(&bundle)).env("MLFLOW_TRACKING_URI", &url).output().unwrap();
        let (told, warning) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(
            output.status.success() && told.contains(&format!("version {seed} is champion")),
            "{warning}"
        );
        assert!(
            warning.contains("warning: the promotion stands, but MLflow does not know all of it: "),
            "{warning}"
        );
        let command = format!("sidelong model track --mlflow {url} --store {store}\n");
        assert!(warning.ends_with(&command), "{warning}");
    }
    let rollback = ["rollback", "--store", store, "--key", &key.file, "--reason", "a test", "--mlflow", &url];
    assert!(model(&rollback).contains("version 3, which is version 1 again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mlflow_is_shown_who_asks() {
    let scratch = Scratch::new();
    let mlflow = Scripted::start(|request| match request.header("authorization") {
        "Bearer secret-token" | "Basic YWRhOnB3" => well(request),
        _ => Reply::page("text/html", "You are not authenticated.").coded(401),
    })
    .await;
    let (bundle, output) = train(&scratch, "m", "1", &["--mlflow", &mlflow.url("")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("set MLFLOW_TRACKING_USERNAME and"));
    kept(&bundle, output);
    let token = ("MLFLOW_TRACKING_TOKEN", "secret-token");
    let basic = [("MLFLOW_TRACKING_USERNAME", "ada"), ("MLFLOW_TRACKING_PASSWORD", "pw"), token];
    for (variables, header) in [([token].as_slice(), "Bearer secret-token"), (&basic, "Basic YWRhOnB3")] {
        mlflow.forget();
        let mut command = Command::new(PROGRAM);
        command
            .args(["model", "track", "--mlflow", &mlflow.url(""), &bundle])
            .envs(variables.iter().copied());
        assert!(printed(command.output().unwrap()).contains("version 1 of m"));
        let requests = mlflow.requests();
        assert!(
            requests.len() > 8 && requests.iter().all(|request| request.header("authorization") == header)
        );
    }
}
