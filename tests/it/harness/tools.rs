//! Finds the real parts that `tests/tools/install` keeps, and reports which test ran with which.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A real part, by the name it has in `tests/tools/install`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Prometheus 3.16: remote write 2.0, UTF-8 names.
    Prometheus,
    /// Prometheus 2.42 as Debian packs it.
    PrometheusDebian,
    /// vmagent: a sender of remote write 1.0 that is not Prometheus.
    Vmagent,
    /// node_exporter.
    NodeExporter,
    /// nginx.
    Nginx,
    /// nft, and with it the right to make network namespaces: root.
    Nftables,
    /// An S3 server over a folder.
    #[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "nothing else speaks S3"))]
    Versitygw,
    /// initdb and postgres.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "nothing else tells MLflow"))]
    Postgresql,
    /// An MLflow server, with its ways to PostgreSQL and S3.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "nothing else tells MLflow"))]
    Mlflow,
    /// Python's prometheus_client, whose parsers are an oracle.
    Oracle,
    /// Python's schemathesis, which asks an API all that its OpenAPI document allows, and what it forbids.
    #[cfg_attr(
        not(all(feature = "s3", feature = "archive", feature = "train")),
        expect(dead_code, reason = "tests of the API promote models")
    )]
    Schemathesis,
    /// Python's scikit-learn, whose isolation forest is one.
    ScikitLearn,
}

/// The program of a real part, or an early return from a test that is then counted as skipped.
macro_rules! tool {
    ($tool:ident) => {
        match $crate::harness::tools::find($crate::harness::tools::Tool::$tool) {
            Some(program) => program,
            None => return,
        }
    };
}

/// The program of `tool`, noted as having run in this test; nothing, noted as a skip, where it is absent.
pub(crate) fn find(tool: Tool) -> Option<PathBuf> {
    let home = tool.home();
    let program = home.join("bin").join(tool.program());
    let absent = if !home.join(".complete").exists() {
        Some(reason(&home))
    } else if tool == Tool::Nftables && !rustix::process::geteuid().is_root() {
        Some("network namespaces need root".to_owned())
    } else {
        None
    };
    match absent {
        None => note("ran", &format!("{} {}", tool.name(), tool.version())),
        Some(why) => note("skipped", &format!("needs {} {}: {why}", tool.name(), tool.version())),
    }
    program.exists().then_some(program)
}

/// Notes that this test is skipped for something that is no tool.
pub(crate) fn skip(why: &str) {
    note("skipped", why);
}

// === impl Tool ===

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::PrometheusDebian => "prometheus-debian",
            Self::Vmagent => "vmagent",
            Self::NodeExporter => "node_exporter",
            Self::Nginx => "nginx",
            Self::Nftables => "nftables",
            Self::Versitygw => "versitygw",
            Self::Postgresql => "postgresql",
            Self::Mlflow => "mlflow",
            Self::Oracle => "oracle",
            Self::Schemathesis => "schemathesis",
            Self::ScikitLearn => "scikit-learn",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Prometheus | Self::PrometheusDebian => "prometheus",
            Self::Vmagent => "vmagent",
            Self::NodeExporter => "prometheus-node-exporter",
            Self::Nginx => "nginx",
            Self::Nftables => "nft",
            Self::Versitygw => "versitygw",
            Self::Postgresql => "postgres",
            Self::Mlflow => "mlflow",
            Self::Schemathesis => "schemathesis",
            Self::Oracle | Self::ScikitLearn => "python",
        }
    }

    fn version(self) -> &'static str {
        let name = self.name().to_uppercase().replace('-', "_");
        include_str!("../../tools/versions.env")
            .lines()
            .find_map(|line| line.strip_prefix(&name)?.strip_prefix('='))
            .expect("every part has its version in versions.env")
    }

    fn home(self) -> PathBuf {
        cache().join("tools").join(format!("{}-{}", self.name(), self.version()))
    }
}

/// The folder that outlives clones; the Makefile and `tests/tools/install` mean the same one.
fn cache() -> PathBuf {
    match std::env::var_os("SIDELONG_CACHE") {
        Some(folder) => folder.into(),
        None => Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache/sidelong"),
    }
}

fn reason(home: &Path) -> String {
    let mut beside = home.as_os_str().to_owned();
    beside.push(".absent");
    match std::fs::read_to_string(beside) {
        Ok(why) => why.trim().to_owned(),
        Err(_) => "run tests/tools/install".to_owned(),
    }
}

/// Adds a line to the report of `make test`; a skip is also said at once, past the capture of test output.
fn note(kind: &str, what: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    if kind == "skipped" {
        std::io::stderr().write_all(format!("skipped {test}: {what}\n").as_bytes()).unwrap();
    }
    if let Some(report) = std::env::var_os("SIDELONG_TEST_REPORT") {
        // One write of one short line: lines of parallel tests do not mix.
        let line = format!("{kind}\t{test}\t{what}\n");
        let mut file = OpenOptions::new().create(true).append(true).open(report).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
