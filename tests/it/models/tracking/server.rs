//! A real MLflow: its runs in PostgreSQL, its artifacts in S3. Tests that run at the same time share one.

use super::super::s3::{CREDENTIALS, Gateway};
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::{eventually, free_port, http};
use rustix::process::geteuid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Weak};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// The programs that it takes.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) postgres: PathBuf,
    pub(super) versitygw: PathBuf,
    pub(super) mlflow: PathBuf,
}

/// A running MLflow and what it stands on.
#[derive(Debug)]
pub(super) struct Mlflow {
    pub(super) address: String,
    gateway: Gateway,
    // Ended in this order.
    _mlflow: Process,
    _postgres: Process,
    _scratch: Scratch,
}

/// An early return, counted as a skip, where one of its programs is absent.
macro_rules! mlflow {
    () => {{
        let (postgres, versitygw, mlflow) = (tool!(Postgresql), tool!(Versitygw), tool!(Mlflow));
        $crate::models::tracking::server::Mlflow::shared(&$crate::models::tracking::server::Programs {
            postgres,
            versitygw,
            mlflow,
        })
        .await
    }};
}
pub(super) use mlflow;

// === impl Mlflow ===

impl Mlflow {
    /// The one that another test has just now, or a new one: it takes half a minute to start.
    pub(super) async fn shared(programs: &Programs) -> Arc<Self> {
        static SHARED: Mutex<Weak<Mlflow>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start(programs).await);
        *shared = Arc::downgrade(&started);
        started
    }

    async fn start(programs: &Programs) -> Self {
        let scratch = Scratch::new();
        let (postgres, database) = postgres(&scratch, &programs.postgres).await;
        let gateway = Gateway::start(&scratch, &programs.versitygw).await;
        gateway.bucket("mlflow").await;
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(&programs.mlflow);
        command
            .args(["server", "--host", "127.0.0.1", "--port", &port.to_string(), "--workers", "1"])
            .args(["--backend-store-uri", &database])
            .args(["--serve-artifacts", "--artifacts-destination", "s3://mlflow/artifacts"])
            .envs(CREDENTIALS)
            .env("MLFLOW_S3_ENDPOINT_URL", gateway.url())
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            // Only what is tested: no further processes.
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .current_dir(scratch.path());
        let mlflow = Process::start(&scratch, "mlflow", &mut command);
        let mlflow = mlflow.ready(&format!("http://{address}/health")).await;
        Self { address, gateway, _mlflow: mlflow, _postgres: postgres, _scratch: scratch }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its REST API says, asked by another client than ours.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let answer = http::get(&format!("{}/api/2.0/mlflow/{path}?{query}", self.url())).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// A registered model, with its aliases.
    pub(super) async fn model(&self, name: &str) -> Value {
        self.get("registered-models/get", &[("name", name)]).await["registered_model"].clone()
    }

    /// A version of it.
    pub(super) async fn version(&self, name: &str, number: &str) -> Value {
        let query = [("name", name), ("version", number)];
        self.get("model-versions/get", &query).await["model_version"].clone()
    }

    /// The object of S3 that holds an artifact of a run.
    pub(super) fn object(&self, artifacts: &str, name: &str) -> PathBuf {
        let path = artifacts.strip_prefix("mlflow-artifacts:/").unwrap();
        self.gateway.objects("mlflow").join("artifacts").join(path).join(name)
    }
}

/// The number of the version that has `alias`; none where nobody has.
pub(super) fn alias(model: &Value, alias: &str) -> Option<String> {
    let aliases = model["aliases"].as_array()?;
    let found = aliases.iter().find(|one| one["alias"] == alias)?;
    Some(found["version"].as_str().unwrap().to_owned())
}

/// A tag, a parameter or a metric of a list of them; null where there is none.
pub(super) fn value<'a>(of: &'a Value, key: &str) -> &'a Value {
    let found = of.as_array().and_then(|all| all.iter().find(|one| one["key"] == key));
    found.map_or(&Value::Null, |one| &one["value"])
}

async fn postgres(scratch: &Scratch, program: &Path) -> (Process, String) {
    let (data, port) = (scratch.path().join("postgres"), free_port());
    let mut initdb = unprivileged(&program.with_file_name("initdb"));
    initdb.args(["--username=mlflow", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"]).arg(&data);
    let made = initdb.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = unprivileged(program);
    command.arg("-D").arg(&data).arg("-k").arg(scratch.path()).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    let process = Process::start(scratch, "postgres", &mut command);
    eventually("postgres listens", async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    (process, format!("postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"))
}

/// PostgreSQL refuses to be root: it is nobody in a user namespace of its own, where root's files are nobody's, too.
fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.arg("--user").arg(program);
    command
}
