//! `sidelong healthcheck`: asks a running Sidelong how it is, for container health checks and people.

use std::process::ExitCode;

use clap::Args;

use super::admin::{AdminArgs, Metrics};
use super::logging::printable;

/// Ask a running Sidelong whether it is ready, and print a short status.
///
/// Reads /-/ready and /metrics of the admin listener over plain HTTP. Exits with 1 when it is not ready or
/// does not answer.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  sidelong healthcheck\n  sidelong healthcheck --url http://127.0.0.1:10991"
)]
pub struct HealthcheckArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

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
    let (status, body) = args.admin.ask("/-/ready")?;
    if status != 200 {
        println!("not ready ({status}): {}", printable(body.trim()));
        return Ok(ExitCode::FAILURE);
    }
    println!("{}", summary(&args.admin.metrics()?));
    Ok(ExitCode::SUCCESS)
}

/// The sums of what is worth a look, in one line.
fn summary(metrics: &Metrics) -> String {
    let sums = SHOWN.iter().filter_map(|(label, name)| Some(format!(", {label}: {}", metrics.sum(name)?)));
    std::iter::once("ready".to_owned()).chain(sums).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use url::Url;

    use super::*;
    use crate::config::units::PromDuration;

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
        run(&HealthcheckArgs { admin: AdminArgs { url, timeout: PromDuration::from_secs(5) } })
    }

    #[test]
    fn the_status_adds_up_what_is_worth_a_look() {
        let metrics = "# TYPE sidelong_samples_scored_total counter\nsidelong_samples_scored_total 12\n\
                       # TYPE sidelong_unscored_total counter\nsidelong_unscored_total{reason=\"limit\"} 2\n\
                       sidelong_unscored_total{reason=\"future\"} 3\n";
        let summary = |page| summary(&Metrics::parse(page).unwrap());
        assert_eq!(summary(metrics), "ready, scored: 12, unscored: 5");
        assert_eq!(summary(""), "ready");
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
        assert!(format!("{error:#}").contains("is not plain HTTP"), "{error:#}");
    }

    #[test]
    fn where_nobody_listens_it_is_said_what_to_look_for() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = format!("{:#}", ask(format!("http://127.0.0.1:{port}").parse().unwrap()).unwrap_err());
        assert!(error.contains("is Sidelong running") && error.contains("--url"), "{error}");
        assert!(error.contains(&format!("cannot ask 127.0.0.1:{port}")), "{error}");
    }
}
