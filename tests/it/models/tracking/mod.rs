//! MLflow is told of models, and costs none where it cannot be told.

mod down;
mod server;

use super::{Key, model, refused, run};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::PROGRAM;
use serde_json::Value;
use server::{alias, mlflow, value};
use sidelong::net::client::HttpClientConfig;
use sidelong::tracking::{Client, Metric, candidate_of};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Trains a model called `name` on one series, and writes it to `name` below the folder of the test. `seed` makes it another one.
fn train(scratch: &Scratch, name: &str, seed: &str, more: &[&str]) -> (String, Output) {
    let series: String = (0..700).map(|at| format!("{},{}\n", at * 60, at * 7919 % 13)).collect();
    let series = scratch.write("series.csv", &series);
    let bundle = scratch.path().join(format!("{name}-{seed}")).to_str().unwrap().to_owned();
    let mut command = Command::new(PROGRAM);
    command.arg("train").arg(series).args(["--name", name, "--seed", seed, "--out", &bundle]);
    (bundle, command.args(more).current_dir(scratch.path()).output().unwrap())
}

/// What it printed, which must have gone well.
fn printed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A tag or a parameter of a list of them; empty where there is none.
fn of_list<'a>(list: &'a Value, key: &str) -> &'a str {
    value(list, key).as_str().unwrap_or_default()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

/// The name of the candidate in a folder.
fn candidate(bundle: &str) -> String {
    candidate_of(&sidelong::model::bundle::Bundle::read(Path::new(bundle)).unwrap()).to_string()
}

fn client(url: &str) -> Client {
    Client::new(url.parse().unwrap(), &HttpClientConfig::default(), Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn what_was_trained_stands_in_mlflow_with_all_its_lineage() {
    let mlflow = mlflow!();
    let scratch = Scratch::new();
    let (url, commit) = (mlflow.url(), "81d50bb0".repeat(5));
    std::fs::write(scratch.folder(".git").join("HEAD"), &commit).unwrap();
    let options = ["--mlflow", &url, "--experiment", "lineage", "--run-name", "the first"];
    let options = [options.as_slice(), &["--tag", "team=infra", "--episode", "2026-11-23/latency"]].concat();
    let (bundle, output) = train(&scratch, "lineage", "7", &options);
    let told = printed(output);
    assert!(told.contains("version 1 of lineage, challenger"), "{told}");

    let version = mlflow.version("lineage", "1").await;
    let run = mlflow.get("runs/get", &[("run_id", version["run_id"].as_str().unwrap())]).await;
    let (info, data) = (&run["run"]["info"], &run["run"]["data"]);
    assert_eq!((text(info, "status"), text(info, "run_name")), ("FINISHED", "the first"));
    let param = |key| of_list(&data["params"], key);
    assert_eq!([param("seed"), param("trees"), param("warm_up"), param("episode")], ["7", "25", "600", ""]);
    assert!(param("source").ends_with("series.csv"), "{data}");
    let metric = |key| value(&data["metrics"], key).as_f64();
    let metrics = [metric("series"), metric("windows"), metric("masked")];
    assert_eq!(metrics, [Some(1.0), Some(100.0), Some(0.0)]);

    let candidate = candidate(&bundle);
    for tags in [&data["tags"], &version["tags"]] {
        let tag = |key| of_list(tags, key);
        assert_eq!(tag("sidelong.candidate"), candidate);
        assert_eq!(tag("sidelong.data_window"), "1970-01-01T00:00:00Z/1970-01-01T11:39:00.001Z");
        assert_eq!(
            (tag("sidelong.episode"), tag("mlflow.source.git.commit")),
            ("2026-11-23/latency", &*commit)
        );
        assert_eq!((tag("team"), tag("mlflow.source.name")), ("infra", "sidelong train"));
    }
    assert_eq!(alias(&mlflow.model("lineage").await, "challenger").as_deref(), Some("1"));

    // Artifacts lie in S3, as they lie in the folder.
    let files: Vec<_> = std::fs::read_dir(&bundle).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let name = format!("model/{}", file.file_name().unwrap().to_str().unwrap());
        let object = mlflow.object(info["artifact_uri"].as_str().unwrap(), &name);
        assert!(std::fs::read(&object).unwrap() == std::fs::read(&file).unwrap(), "{}", object.display());
    }
}

#[tokio::test]
async fn champion_is_who_the_store_says_and_a_challenger_is_none_any_more() {
    let mlflow = mlflow!();
    let scratch = Scratch::new();
    let (store, key) = (scratch.folder("store"), Key::new(scratch.path(), "promotion.pem"));
    let (store, url) = (store.to_str().unwrap(), mlflow.url());
    let (first, output) = train(&scratch, "crowned", "1", &["--mlflow", &url]);
    printed(output);
    let (second, output) = train(&scratch, "crowned", "2", &["--mlflow", &url, "--episode", "e-42"]);
    printed(output);
    let aliases = async || {
        let model = mlflow.model("crowned").await;
        (alias(&model, "champion"), alias(&model, "challenger"))
    };
    let (one, two) = (Some("1".to_owned()), Some("2".to_owned()));
    assert_eq!(aliases().await, (None, two.clone()), "the newest is challenger");

    let place = ["--store", store, "--name", "crowned"];
    let answer = ["--key", &key.file, "--reason", "a test"];
    let mut told = Vec::new();
    for bundle in [&first, &second] {
        model(&["publish", "--store", store, "--name", "crowned", bundle]);
        let (mlflow, candidate) = (["--mlflow", &url], candidate(bundle));
        let promote =
            [["promote", "--without-evaluation"].as_slice(), &place, &answer, &mlflow, &[&candidate]]
                .concat();
        told.push(model(&promote));
        let (champion, challenger) = aliases().await;
        let expected = if bundle == &first { (one.clone(), two.clone()) } else { (two.clone(), None) };
        assert_eq!((champion, challenger), expected);
    }
    assert!(told[1].contains("MLflow: version 2 of crowned is champion"), "{told:?}");
    let version = mlflow.version("crowned", "2").await;
    assert_eq!(of_list(&version["tags"], "sidelong.version"), "2");
    let promotion = of_list(&version["tags"], "sidelong.promotion_id");
    assert!(promotion.starts_with("2-"), "{promotion}");

    // Version 3 of the store is version 1 again, and that of MLflow is its first.
    let rollback = [["rollback"].as_slice(), &place, &answer, &["--mlflow", &url]].concat();
    model(&rollback);
    assert_eq!(aliases().await, (one.clone(), None));
    let version = mlflow.version("crowned", "1").await;
    assert_eq!(of_list(&version["tags"], "sidelong.version"), "3");
    // Who was champion once is not told to be a challenger.
    let again = model(&["track", "--mlflow", &url, &second]);
    assert!(again.contains("version 2 of crowned is this candidate; nothing was added"), "{again}");
    assert_eq!(aliases().await, (one, None));

    // The log of the store says what led to which version, MLflow or not.
    let listed = model(&[["ls"].as_slice(), &place].concat());
    let line = |version: &str| listed.lines().find(|line| line.starts_with(version)).unwrap().to_owned();
    assert!(line("version 2").ends_with("a test (episode e-42)"), "{listed}");
    assert!(line("version 1").ends_with("a test") && line("version 3").ends_with("a test"), "{listed}");
    assert!(model(&[["ls", "--json"].as_slice(), &place].concat()).contains("\"episode\": \"e-42\""));
}

#[tokio::test]
async fn what_mlflow_missed_it_is_told_later_and_once() {
    let mlflow = mlflow!();
    let scratch = Scratch::new();
    let (store, key) = (scratch.folder("store"), Key::new(scratch.path(), "promotion.pem"));
    let (store, url) = (store.to_str().unwrap(), mlflow.url());
    let closed = down::closed();
    let (bundle, output) = train(&scratch, "missed", "1", &["--mlflow", &closed, "--tag", "team=on call"]);
    let command = down::kept(&bundle, output);
    // The command that was printed, with an MLflow that is up.
    let command = command.replace(&closed, &url).replacen("sidelong", PROGRAM, 1);
    let track = || Command::new("sh").args(["-c", &command]).output().unwrap();
    let told = printed(track());
    assert!(told.contains("version 1 of missed, challenger"), "{told}");
    let told = printed(track());
    assert!(told.contains("version 1 of missed is this candidate, challenger; nothing was added"), "{told}");
    let version = mlflow.version("missed", "1").await;
    assert_eq!(of_list(&version["tags"], "team"), "on call");
    let filter = format!("tags.`sidelong.candidate` = '{}'", candidate(&bundle));
    let versions = mlflow.get("model-versions/search", &[("filter", &filter), ("max_results", "9")]).await;
    assert_eq!(versions["model_versions"].as_array().unwrap().len(), 1, "{versions}");

    // A promotion that it missed, of a candidate that it never heard of.
    let (unknown, output) = train(&scratch, "missed", "2", &[]);
    printed(output);
    model(&["publish", "--store", store, "--name", "missed", &unknown]);
    let place = ["--store", store, "--name", "missed"];
    let answer = ["--key", &key.file, "--reason", "a test", "--mlflow", &url];
    let promoted =
        run(&[["promote", "--without-evaluation"].as_slice(), &place, &answer, &[&candidate(&unknown)]]
            .concat());
    let warning = String::from_utf8(promoted.stderr).unwrap();
    assert!(promoted.status.success() && warning.contains("MLflow has no version of missed"), "{warning}");
    assert!(warning.contains(&format!("--store {store} --name missed")), "{warning}");
    for _ in 0..2 {
        let told = model(&[["track", "--mlflow", &url].as_slice(), &place].concat());
        assert!(told.contains("MLflow: version 2 of missed is champion"), "{told}");
    }
    let aliases = async || {
        let model = mlflow.model("missed").await;
        (alias(&model, "champion"), alias(&model, "challenger"))
    };
    assert_eq!(aliases().await, (Some("2".to_owned()), None));
    // An older candidate is no challenger of a newer champion.
    assert!(printed(track()).contains("version 1 of missed is this candidate; nothing was added"));
    assert_eq!(aliases().await, (Some("2".to_owned()), None));
}

#[tokio::test]
async fn metrics_have_steps_any_number_of_them_and_any_value() {
    let mlflow = mlflow!();
    let client = client(&mlflow.url());
    let experiment = client.experiment("evaluation").await.unwrap();
    assert_eq!(client.experiment("evaluation").await.unwrap(), experiment);
    let (candidate, other) = ("ab".repeat(32), "cd".repeat(32));
    let run = client.create_run(&experiment, "evaluation", 1, &candidate).await.unwrap();
    assert_eq!(client.find_run(&experiment, &candidate).await.unwrap().as_ref(), Some(&run));
    assert_eq!(client.find_run(&experiment, &other).await.unwrap(), None);

    let metric = |key: &str, value, step| Metric { key: key.to_owned(), value, at_ms: 1_000 + step, step };
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.25];
    let mut metrics: Vec<_> = (0..2_500).map(|step| metric("f1", step as f64 / 2_500.0, step)).collect();
    metrics.extend(odd.iter().zip(0..).map(|(value, step)| metric("odd", *value, step)));
    // Twice: what is told again is the same.
    for _ in 0..2 {
        client.log_evaluation(&run, &metrics).await.unwrap();
    }
    let mut history = client.history(&run, "f1").await.unwrap();
    history.sort_by_key(|metric| metric.step);
    assert!(history == metrics[..2_500], "{} values", history.len());
    let mut history = client.history(&run, "odd").await.unwrap();
    history.sort_by_key(|metric| metric.step);
    let values: Vec<_> = history.iter().map(|metric| metric.value).collect();
    assert!(values[0].is_nan() && values[1..] == odd[1..], "{values:?}");
}

#[tokio::test]
async fn a_server_that_refuses_our_name_for_it_is_told_how_to_take_it() {
    let mlflow = mlflow!();
    // The same server by an address that it was not told of.
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let (name, to) = (listener.local_addr().unwrap(), mlflow.address.clone());
    let passing = tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = tokio::net::TcpStream::connect(&to).await.unwrap();
            // Either end may end it.
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        }
    });
    let error = client(&format!("http://{name}")).experiment("x").await.unwrap_err().to_string();
    assert!(error.contains(&format!("--allowed-hosts '…,{name}'")), "{error}");
    passing.abort();
}

#[test]
fn what_cannot_be_told_is_said_before_anything_is_done() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 5] = [
        (&["--mlflow", "file:./mlruns"], "takes the http or https URL"),
        (&["--mlflow", "http://u:p@h:1"], "without credentials"),
        (&["--tag", "sidelong.candidate=x"], "Sidelong's own"),
        (&["--shard", "1/2", "--episode", "e"], "--episode says something of a candidate"),
        (&["--episode", "two\nlines"], "on one line"),
    ];
    for (options, said) in cases {
        let (bundle, output) = train(&scratch, "none", "1", options);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{options:?}: {error}");
        assert!(!Path::new(&bundle).exists(), "{options:?}");
    }
    let error = refused(&["track", "bundle"]);
    assert!(error.contains("--mlflow URL, or MLFLOW_TRACKING_URI"), "{error}");
    // As with MLflow's own clients, an empty variable is none.
    let exported = scratch.path().join("exported");
    let mut command = Command::new(PROGRAM);
    command.args(["model", "track", exported.to_str().unwrap()]).env("MLFLOW_TRACKING_URI", "");
    assert!(String::from_utf8(command.output().unwrap().stderr).unwrap().contains("say which MLflow"));
}

#[tokio::test]
async fn what_an_evaluation_finds_stands_day_by_day_in_the_run_of_the_challenger() {
    let mlflow = mlflow!();
    let scratch = Scratch::new();
    let url = mlflow.url();
    let (bundle, output) = train(&scratch, "judged", "1", &["--mlflow", &url, "--experiment", "judged"]);
    printed(output);
    // Three days of noise, in which something goes wrong on the second and the third.
    let value = |at: i64| if matches!(at % 288, 200..206) && at > 288 { 90 } else { at * 7_919 % 13 };
    let series: String = (0..864).map(|at| format!("{},{}\n", 86_400 + at * 300, value(at))).collect();
    let series = scratch.write("days.csv", &series);
    let incident = |day: i64| format!("{},{}\n", 86_400 * (day + 1) + 60_000, 86_400 * (day + 1) + 61_800);
    let incidents = scratch.write("incidents.csv", &(incident(1) + &incident(2)));
    let evaluate = || {
        let mut command = Command::new(PROGRAM);
        command.arg("evaluate").arg(&series).arg("--incidents").arg(&incidents);
        command.args(["--challenger", &bundle, "--judge-from", "1970-01-03", "--experiment", "judged"]);
        command
    };
    let output = evaluate().args(["--mlflow", &url]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "two incidents are too few: {told}");

    let client = client(&url);
    let experiment = client.experiment("judged").await.unwrap();
    let run = client.find_run(&experiment, &candidate(&bundle)).await.unwrap().unwrap();
    assert!(told.contains(&run.id), "{told}");
    let history = client.history(&run, "challenger.recall").await.unwrap();
    let steps: Vec<_> = history.iter().map(|metric| (metric.step, metric.value)).collect();
    assert_eq!(steps, [(0, 1.0), (1, 1.0)]);
    let page = mlflow.get("runs/get", &[("run_id", &run.id)]).await;
    assert_eq!(of_list(&page["run"]["data"]["tags"], "sidelong.verdict"), "refuse");

    // The verdict stands, whoever hears of it.
    let output = evaluate().args(["--mlflow", &down::closed()]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(told.contains("warning: MLflow does not know all of it"), "{told}");
}
