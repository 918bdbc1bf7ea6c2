//! Scores on request: `sidelong serve`, and the same paths of the admin listener.

use crate::harness::http::{self, Answer};
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{PROGRAM, Sidelong, free_address};
use crate::harness::{eventually, tools};
use crate::models::{Key, builtin, model, trained};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

/// A running `sidelong serve`.
struct Serving {
    process: Process,
    address: String,
}

const JSON: (&str, &str) = ("content-type", "application/json");
const FEATURES: &str = r#"{"cpu_zscore": 2.1, "memory_zscore": 1.5}"#;

// === impl Serving ===

impl Serving {
    /// Starts one that serves at once.
    async fn start(scratch: &Scratch, arguments: &[&str]) -> Self {
        Self::start_until(scratch, arguments, "/ping").await
    }

    /// The same, waiting until `path` is answered.
    async fn start_until(scratch: &Scratch, arguments: &[&str], path: &str) -> Self {
        let address = free_address();
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--listen", &address]).args(arguments);
        let process = Process::start(scratch, &format!("serve-{address}"), &mut command);
        let process = process.ready(&format!("http://{address}{path}")).await;
        Self { process, address }
    }

    async fn get(&self, path: &str) -> Answer {
        http::get(&format!("http://{}{path}", self.address)).await.unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        http::post(&format!("http://{}{path}", self.address), &[JSON], body.to_owned()).await.unwrap()
    }

    /// The answer, which must be scores.
    async fn scores(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        read(&answer)
    }

    async fn model_version(&self) -> Value {
        read(&self.get("/version").await)["model_version"].clone()
    }
}

fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Runs `sidelong serve`, which must end by itself.
fn refused(arguments: &[&str]) -> String {
    let listen = free_address();
    let output: Output =
        Command::new(PROGRAM).args(["serve", "--listen", &listen]).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn it_serves_scores_and_nothing_else() {
    let scratch = Scratch::new();
    let mut serving = Serving::start(&scratch, &[]).await;
    let said = serving
        .scores("/predict", &json!({ "cpu_zscore": 4.5, "memory_zscore": -4, "disk_zscore": 0.2 }))
        .await;
    assert_eq!((&said["is_anomaly"], &said["parts"][0]["name"]), (&json!(true), &json!("cpu")));
    assert_eq!(said["model_version"], "builtin-2");
    let table = json!({ "inputs": { "cpu_zscore": [2.1, 9.0], "memory_zscore": [1.5, 9.0] } });
    let table = serving.scores("/invocations", &table).await;
    let alone = read(&serving.post("/predict", FEATURES).await);
    assert_eq!(
        (&table["predictions"][0]["score"], &table["predictions"][1]["is_anomaly"]),
        (&alone["score"], &json!(true))
    );
    let series = json!({ "series": [{ "labels": { "__name__": "load" }, "samples": [[60, 1], [120, 2]] }] });
    let series = serving.scores("/api/v1/score", &series).await;
    let newest = &series["series"][0]["samples"][1];
    assert_eq!(
        (&newest["timestamp"], &newest["score"], &newest["warm_up"]),
        (&json!(120.0), &json!(0.0), &json!(true))
    );
    assert_eq!(series["series"][0]["labels"]["__name__"], "load");
    assert_eq!(read(&serving.get("/openapi.json").await)["openapi"], "3.1.0");
    assert_eq!(read(&serving.get("/ping").await)["status"], "ok");
    for path in ["/metrics", "/-/ready", "/-/reload", "/scores", "/api/v1/status/model", "/api/v1/write", "/"]
    {
        let answer = serving.get(path).await;
        assert_eq!((answer.status, &read(&answer)["error"]), (404, &json!("not_found")), "{path}");
    }
    assert!(serving.process.stop().await.success());
}

/// A series with a daily wave, decimals that are not exact, gaps, and a jump.
fn recording(scratch: &Scratch) -> (Vec<(f64, f64)>, std::path::PathBuf) {
    let sample = |at: i64| {
        let second = 1_767_571_200.5 + (at * 300 + i64::from(at > 700) * 7_200) as f64;
        let wave = (at as f64 / 288.0 * std::f64::consts::TAU).sin();
        let jump = if (900..910).contains(&at) { 7.3 } else { 0.0 };
        (second, 10.0 + 3.0 * wave + (at * 7919 % 101) as f64 / 97.0 + jump)
    };
    let samples: Vec<_> = (0..1_000).map(sample).collect();
    let rows: String = samples.iter().map(|(at, value)| format!("{at},{value}\n")).collect();
    (samples, scratch.write("recording.csv", &rows))
}

/// Score, forecast and band of each row, as `sidelong backtest` writes them.
fn backtest(file: &Path, arguments: &[&str]) -> Vec<[Option<f64>; 4]> {
    let output = Command::new(PROGRAM).arg("backtest").arg(file).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let numbers: Vec<Option<f64>> = line.split(',').skip(2).map(|number| number.parse().ok()).collect();
        <[_; 4]>::try_from(numbers).unwrap()
    };
    text.lines().skip(1).map(row).collect()
}

/// The same of an answer, where an open edge is null.
fn told(samples: &Value) -> Vec<[Option<f64>; 4]> {
    let of = |sample: &Value| ["score", "yhat", "yhat_lower", "yhat_upper"].map(|name| sample[name].as_f64());
    samples.as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn scores_on_request_are_those_of_backtest_bit_by_bit() {
    let scratch = Scratch::new();
    let serving = Serving::start(&scratch, &[]).await;
    let (samples, file) = recording(&scratch);
    let bits = |rows: &[[Option<f64>; 4]]| -> Vec<_> {
        rows.iter().map(|row| row.map(|number| number.filter(|n| n.is_finite()).map(f64::to_bits))).collect()
    };
    let check = async |name: &str, rule: Value, arguments: &[&str]| {
        let labels = json!({ "__name__": name });
        let request = json!({ "series": [{ "labels": labels, "samples": samples }], "rule": rule });
        let answer = serving.scores("/api/v1/score", &request).await;
        let (got, want) = (told(&answer["series"][0]["samples"]), backtest(&file, arguments));
        assert_eq!(got.len(), want.len());
        assert!(bits(&got) == bits(&want), "{rule}");
        want
    };
    let want = check("load", json!({}), &["--series", "load"]).await;
    assert!(want[900][0] >= Some(1.0), "the jump is found: {:?}", want[900]);
    check("jobs_total", json!({}), &["--series", "jobs_total"]).await;
    let rule = json!({ "detector": "mad", "data_range": [0, null], "detection_direction": "above_expected", "min_n_samples_seen": 50 });
    let yaml =
        "{detector: mad, data_range: [0, inf], detection_direction: above_expected, min_n_samples_seen: 50}";
    check("load", rule, &["--series", "load", "--rule", yaml]).await;

    let rows: Vec<_> =
        samples.iter().map(|(at, value)| json!({ "ds": at, "y": value, "series": "load" })).collect();
    let answer = serving.scores("/invocations", &json!({ "dataframe_records": rows })).await;
    assert!(bits(&told(&answer["predictions"])) == bits(&want), "by MLflow's protocol");
}

#[tokio::test]
async fn a_model_is_swapped_while_requests_are_served() {
    let scratch = Scratch::new();
    let (key, store, local) =
        (Key::new(scratch.path(), "promotion.pem"), scratch.folder("store"), scratch.folder("local"));
    let (store, local) = (store.to_str().unwrap().to_owned(), local.to_str().unwrap().to_owned());
    let arguments =
        ["--model", &store, "--trusted-key", &key.public, "--folder", &local, "--poll-interval", "50ms"];
    let mut serving = Serving::start_until(&scratch, &arguments, "/openapi.json").await;
    // Nobody asked for the built-in model.
    let early = serving.post("/predict", FEATURES).await;
    assert_eq!((early.status, early.header("retry-after")), (503, "1"));
    assert_eq!(serving.get("/ping").await.status, 503);

    key.promote(&builtin(&scratch), &store);
    eventually("a model serves", async || (serving.get("/ping").await.status == 200).then_some(())).await;
    assert_eq!(serving.model_version().await, "1");
    key.promote(&trained(&scratch), &store);
    eventually("version 2 serves", async || {
        let answer = serving.post("/predict", FEATURES).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(read(&answer)["model_version"].clone()).filter(|version| version == "2")
    })
    .await;
    model(&["rollback", "--store", &store, "--key", &key.file, "--reason", "a test"]);
    eventually("version 3 serves", async || (serving.model_version().await == "3").then_some(())).await;

    // A start needs no store.
    assert!(serving.process.stop().await.success());
    std::fs::remove_dir_all(Path::new(&store)).unwrap();
    std::fs::create_dir(Path::new(&store)).unwrap();
    let serving = Serving::start(&scratch, &arguments).await;
    let version = read(&serving.get("/version").await);
    assert_eq!((&version["model_version"], &version["model_source"]), (&json!("3"), &json!("local")));
}

#[tokio::test]
async fn a_bundle_is_served_if_it_may_be() {
    let scratch = Scratch::new();
    let bundle = builtin(&scratch);
    let serving = Serving::start(&scratch, &["--model", &bundle]).await;
    assert_eq!(read(&serving.get("/version").await)["model_source"], "local");
    let key = Key::new(scratch.path(), "promotion.pem");
    let unsigned = refused(&["--model", &bundle, "--trusted-key", &key.public]);
    assert!(unsigned.contains("signed by nobody"), "{unsigned}");
    let store = scratch.folder("store").to_str().unwrap().to_owned();
    assert!(refused(&["--model", &store]).contains("--trusted-key is missing"));
    assert!(refused(&["--model", "nowhere"]).contains("is neither builtin, nor"));
    assert!(refused(&["--model", &bundle, "--folder", &store]).contains("--folder is for a store"));
    assert!(refused(&["--max-rows", "0"]).contains("--max-rows"));
    let taken = refused(&["--listen", &serving.address]);
    assert!(taken.contains("cannot be used multiple times"), "{taken}");
}

#[tokio::test]
async fn what_is_too_much_is_refused_with_a_reason() {
    let scratch = Scratch::new();
    let limits = ["--max-body-size", "2KiB", "--max-rows", "2", "--max-samples", "20", "--max-series", "2"];
    let serving = Serving::start(&scratch, &limits).await;
    let check = async |path: &str, body: Value, text: &str| {
        let answer = serving.post(path, &body.to_string()).await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    };
    check("/predict", json!({ "x".repeat(3_000): 1 }), "2048 bytes (max_body_size)").await;
    check("/invocations", json!({ "inputs": [{}, {}, {}] }), "3 rows; 2 are allowed (max_rows)").await;
    let series = |samples: i64| json!({ "samples": (0..samples).map(|at| (at, at)).collect::<Vec<_>>() });
    check("/api/v1/score", json!({ "series": [series(11), series(11)] }), "22 samples; 20 are allowed").await;
    check("/api/v1/score", json!({ "series": vec![series(1); 3] }), "3 series; 2 are allowed").await;
    let wrong = serving.post("/predict", r#"{"cpu_zscore": NaN}"#).await;
    assert_eq!((wrong.status, &read(&wrong)["error"]), (400, &json!("bad_json")));
    let serving = Serving::start(&scratch, &["--max-requests-per-second", "1"]).await;
    let hurried = eventually("a request comes too soon", async || {
        let answer = serving.post("/predict", FEATURES).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((hurried.status, hurried.header("retry-after")), (429, "1"));
    assert_eq!(read(&hurried)["error"], "rate_limit");
}

#[tokio::test]
async fn the_admin_listener_has_the_same_paths_behind_its_own_door() {
    let scratch = Scratch::new();
    let sidelong = Sidelong::start(&scratch, "serving: {max_rows: 1}\n").await;
    let post = async |sidelong: &Sidelong, path: &str, body: &str| {
        let url = format!("http://{}{path}", sidelong.admin);
        http::post(&url, &[JSON], body.to_owned()).await.unwrap()
    };
    let answer = post(&sidelong, "/predict", FEATURES).await;
    assert_eq!((answer.status, &read(&answer)["model_version"]), (200, &json!("builtin-2")));
    assert_eq!(post(&sidelong, "/invocations", r#"{"inputs": [{}, {}]}"#).await.status, 413);
    assert_eq!(sidelong.metric("sidelong_serving_requests_total", "result=\"scored\"").await, 1.0);
    assert_eq!(sidelong.metric("sidelong_serving_requests_total", "result=\"too_large\"").await, 1.0);
    assert_eq!(
        http::get(&sidelong.url("/ping")).await.unwrap().status,
        404,
        "the data listener has none of it"
    );

    let off = Sidelong::start(&scratch, "serving: {enabled: false}\n").await;
    assert_eq!(post(&off, "/predict", FEATURES).await.status, 404);
    assert!(off.page("/metrics").await.contains("sidelong_model_info"));

    let hash = bcrypt::hash("of-the-door", 4).unwrap();
    let web = scratch.write("web.yml", &format!("basic_auth_users: {{scorer: {hash}}}\n"));
    let closed = Sidelong::start_with_web(&scratch, "", &web).await;
    assert_eq!(post(&closed, "/predict", FEATURES).await.status, 401);
    let known = base64::engine::general_purpose::STANDARD.encode("scorer:of-the-door");
    let known = [JSON, ("authorization", &*format!("Basic {known}"))];
    let url = format!("http://{}/predict", closed.admin);
    assert_eq!(http::post(&url, &known, FEATURES).await.unwrap().status, 200);
}

/// Blocks of a page: what kind each is of, and what it holds.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

#[tokio::test]
async fn the_requests_of_the_page_are_answered_as_it_says() {
    if !Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return tools::skip("needs curl");
    }
    let scratch = Scratch::new();
    let serving = Serving::start(&scratch, &[]).await;
    let page = std::fs::read_to_string("docs/serving.md").unwrap();
    let blocks = blocks(&page);
    let mut asked = 0;
    for pair in blocks.windows(2) {
        let [("sh", request), ("json", want)] = pair else { continue };
        let request = request.replace("127.0.0.1:8080", &serving.address);
        let output = Command::new("sh").args(["-c", &request]).output().unwrap();
        assert!(output.status.success(), "{request}: {}", String::from_utf8_lossy(&output.stderr));
        let got: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(got, serde_json::from_str::<Value>(want).unwrap(), "{request}");
        asked += 1;
    }
    assert_eq!(asked, 4);
}

/// Every check, with requests that the document allows and such as it forbids.
#[tokio::test]
async fn the_document_is_what_is_served() {
    let schemathesis = tool!(Schemathesis);
    let scratch = Scratch::new();
    let serving = Serving::start(&scratch, &["--max-requests-per-second", "0"]).await;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/schemathesis.toml");
    let document = format!("http://{}/openapi.json", serving.address);
    let mut command = Command::new(schemathesis);
    command.arg("--config-file").arg(config).args(["run", &document, "--checks", "all"]);
    command.args(["--max-examples", "60", "--seed", "1", "--generation-deterministic", "--no-color"]);
    // It keeps what it found below where it is started.
    let output = tokio::process::Command::from(command).current_dir(scratch.path()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("5 selected / 5 total"), "{text}");
    let log = serving.process.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
