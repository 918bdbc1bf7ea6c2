//! Asks the admin listener of a running Sidelong, and reads its own metrics.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use prometheus_parse::{Sample, Scrape, Value};
use url::Url;

use crate::config::units::PromDuration;

/// Where the admin listener is, and how long it may take.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminArgs {
    /// The address of the admin listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:10991", env = "SIDELONG_ADMIN_URL")]
    pub(super) url: Url,
    /// How long each answer may take.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(super) timeout: PromDuration,
}

/// A page of Sidelong's own metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    scrape: Scrape,
}

/// The largest answer that is read, in bytes; the own metrics have at most 500 series.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

// === impl AdminArgs ===

impl AdminArgs {
    /// The status and body of a page.
    ///
    /// # Errors
    /// A listener that does not answer, or not in HTTP.
    pub(super) fn ask(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let answer = get(&self.url, path, self.timeout.get());
        answer.with_context(|| {
            format!("is Sidelong running, and is {} its server.admin_listen? Name it by --url", self.url)
        })
    }

    /// The body of a page.
    ///
    /// # Errors
    /// The same, and any status but 200.
    pub(super) fn page(&self, path: &str) -> anyhow::Result<String> {
        let (status, body) = self.ask(path)?;
        ensure!(
            status != 401,
            "{} asks for a password (--web.config.file), which is not given here",
            self.url
        );
        ensure!(status == 200, "{} answered {status} for {path}; is it the admin listener?", self.url);
        Ok(body)
    }

    /// Its own metrics of now.
    ///
    /// # Errors
    /// The same, and a page that is none of metrics.
    pub(super) fn metrics(&self) -> anyhow::Result<Metrics> {
        Metrics::parse(&self.page("/metrics")?)
    }
}

// === impl Metrics ===

impl Metrics {
    /// Reads a page in the text format.
    ///
    /// # Errors
    /// A page that cannot be read.
    pub(super) fn parse(page: &str) -> anyhow::Result<Self> {
        let lines = page.lines().map(|line| Ok(line.to_owned()));
        let scrape =
            Scrape::parse(lines).map_err(|error: io::Error| error).context("cannot read /metrics")?;
        Ok(Self { scrape })
    }

    /// The sum of all samples called `name`, if there is one.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        self.samples(name).filter_map(|sample| number(&sample.value)).reduce(|a, b| a + b)
    }

    /// The samples called `name` by what their `label` says.
    pub(super) fn by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let said = |sample: &Sample| sample.labels.get(label).unwrap_or_default().to_owned();
        self.samples(name).filter_map(|sample| Some((said(sample), number(&sample.value)?))).collect()
    }

    /// What `label` of the first sample called `name` says.
    pub(super) fn label(&self, name: &str, label: &str) -> Option<&str> {
        self.scrape.samples.iter().find(|sample| sample.metric == name)?.labels.get(label)
    }

    fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.scrape.samples.iter().filter(move |sample| sample.metric == name)
    }
}

/// A counter whose metadata lack the suffix is read as untyped.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Counter(number) | Value::Gauge(number) | Value::Untyped(number) => Some(*number),
        Value::Histogram(_) | Value::Summary(_) => None,
    }
}

/// The status and body of a GET over one connection of HTTP/1.0. It needs no runtime, so that a container
/// can ask often.
fn get(base: &Url, path: &str, timeout: Duration) -> anyhow::Result<(u16, String)> {
    ensure!(base.scheme() == "http", "{base} is not plain HTTP; name the admin listener as http://ADDRESS");
    let host = base.host_str().with_context(|| format!("{base} has no host"))?;
    let port = base.port_or_known_default().unwrap_or(80);
    let asked = || format!("cannot ask {host}:{port}");
    let address = (host.trim_matches(['[', ']']), port).to_socket_addrs().with_context(asked)?.next();
    let mut stream =
        TcpStream::connect_timeout(&address.with_context(asked)?, timeout).with_context(asked)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: text/plain\r\n\r\n");
    stream.write_all(request.as_bytes()).with_context(asked)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).with_context(asked)?;
    split(&String::from_utf8_lossy(&answer)).with_context(|| format!("{host}:{port} does not speak HTTP"))
}

/// Status and body of an answer without transfer coding, which HTTP/1.0 does not know.
fn split(answer: &str) -> anyhow::Result<(u16, String)> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("the answer has no headers") };
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok()).context("the answer has no status")?;
    Ok((status, body.to_owned()))
}
