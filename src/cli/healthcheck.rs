//! `sidelong healthcheck`: asks a running Sidelong how it is, for container health checks and people.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use prometheus_parse::{Scrape, Value};
use url::Url;

use super::logging::printable;
use crate::config::units::PromDuration;

/// Ask a running Sidelong whether it is ready, and print a short status.
///
/// Reads /-/ready and /metrics of the admin listener over plain HTTP. Exits with 1 when it is not ready or
/// does not answer.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  sidelong healthcheck\n  sidelong healthcheck --url http://127.0.0.1:10991"
)]
pub struct HealthcheckArgs {
    /// The address of the admin listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:10991", env = "SIDELONG_ADMIN_URL")]
    url: Url,
    /// How long each of the two answers may take.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    timeout: PromDuration,
}

/// The largest answer that is read, in bytes; the own metrics have at most 500 series.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// What is shown: a label, and the metric whose samples are added up for it.
const SHOWN: [(&str, &str); 5] = [
    ("scored", "sidelong_samples_scored_total"),
    ("anomalous", "sidelong_samples_anomalous_total"),
    ("unscored", "sidelong_unscored_total"),
    ("scores sent", "sidelong_scores_sent_total"),
    ("scores dropped", "sidelong_scores_dropped_total"),
];

/// Runs `sidelong healthcheck`.
///
/// # Errors
///
/// A listener that does not answer, or not in HTTP.
pub fn run(args: &HealthcheckArgs) -> anyhow::Result<ExitCode> {
    let (status, body) = get(&args.url, "/-/ready", args.timeout.get())?;
    if status != 200 {
        println!("not ready ({status}): {}", printable(body.trim()));
        return Ok(ExitCode::FAILURE);
    }
    let (status, metrics) = get(&args.url, "/metrics", args.timeout.get())?;
    ensure!(status == 200, "{} answered {status} for /metrics", args.url);
    println!("{}", summary(&metrics)?);
    Ok(ExitCode::SUCCESS)
}

/// The sums of what is worth a look, in one line.
fn summary(metrics: &str) -> anyhow::Result<String> {
    let lines = metrics.lines().map(|line| Ok(line.to_owned()));
    let scrape = Scrape::parse(lines).map_err(|error: io::Error| error).context("cannot read /metrics")?;
    let mut out = "ready".to_owned();
    for (label, name) in SHOWN {
        let samples = scrape.samples.iter().filter(|sample| sample.metric == name);
        let values: Vec<f64> = samples.filter_map(|sample| number(&sample.value)).collect();
        if !values.is_empty() {
            write!(out, ", {label}: {}", values.iter().sum::<f64>())?;
        }
    }
    Ok(out)
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one connection each with the given texts and gives its address.
    fn server(answers: &'static [&'static str]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).unwrap();
                assert!(request[..read].starts_with(b"GET /"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    fn ask(url: Url) -> anyhow::Result<ExitCode> {
        run(&HealthcheckArgs { url, timeout: PromDuration::from_secs(5) })
    }

    #[test]
    fn the_status_adds_up_what_is_worth_a_look() {
        let metrics = "# TYPE sidelong_samples_scored_total counter\nsidelong_samples_scored_total 12\n\
                       # TYPE sidelong_unscored_total counter\nsidelong_unscored_total{reason=\"limit\"} 2\n\
                       sidelong_unscored_total{reason=\"future\"} 3\n";
        assert_eq!(summary(metrics).unwrap(), "ready, scored: 12, unscored: 5");
        assert_eq!(summary("").unwrap(), "ready");
    }

    #[test]
    fn a_ready_sidelong_is_a_success_and_any_other_a_failure() {
        let ready = server(&[
            "HTTP/1.1 200 OK\r\n\r\nready\n",
            "HTTP/1.1 200 OK\r\n\r\nsidelong_samples_scored_total 1\n",
        ]);
        assert_eq!(ask(ready).unwrap(), ExitCode::SUCCESS);
        let draining = server(&["HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n"]);
        assert_eq!(ask(draining).unwrap(), ExitCode::FAILURE);
    }

    #[test]
    fn what_does_not_answer_in_http_is_an_error() {
        let error = ask(server(&["SSH-2.0-x\r\n"])).unwrap_err();
        assert!(format!("{error:#}").contains("does not speak HTTP"), "{error:#}");
        let error = ask("https://127.0.0.1:1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("is not plain HTTP"), "{error}");
    }
}
