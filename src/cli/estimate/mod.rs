//! `sidelong estimate`: what would it cost?

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::source::{Access, is_broken_pipe, runtime};
use crate::app;
use crate::backtest::source::Api;
use crate::config::Config;
use crate::config::sections::HttpUrl;
use crate::config::units::PromDuration;
use crate::estimate::{Census, Estimate, Rehearsed, Vectors, read_page, rehearse};
use crate::rules::preset::Preset;
use crate::series::Table;
use crate::series::labels::Interner;

/// Say what it would cost to score some series, before it is paid.
///
/// The series of an exposition, or all that a Prometheus holds now, are put to the rules and signals of a configuration,
/// and those that something asks for are scored for a while with made-up values. So the series that each rule takes, the
/// series that are made and sent, the bytes and the CPU are those of the machine and the binary at hand. Nothing is sent
/// anywhere.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EstimateArgs {
    /// A file, the URL of a page, or the URL of a Prometheus.
    ///
    /// A file or a page is an exposition in one of the text formats; - is the standard input.
    #[arg(value_name = "FILE|URL")]
    input: String,
    /// The configuration. Without one there are no rules but those of --preset.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A preset, besides those of the configuration. May be given more than once.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = preset)]
    preset: Vec<Preset>,
    /// Time from one sample of a series to the next.
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    scrape_interval: PromDuration,
    /// A label that each series gets if it lacks it, as NAME=VALUE: an exposition has no job and no instance, which
    /// Prometheus adds, and a query shows no external labels. May be given more than once.
    #[arg(long, value_name = "LABEL", value_parser = label)]
    label: Vec<(String, String)>,
    /// What is written.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// How long each answer of a server may take.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    timeout: PromDuration,
    /// A YAML file with basic_auth, authorization, oauth2, sigv4, tls_config and headers towards the server, spelled as
    /// in the section downstream of the configuration.
    #[arg(long, value_name = "FILE")]
    http_config: Option<PathBuf>,
    /// A header of each request, as 'Name: value'. May be given more than once.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people.
    Text,
    /// One JSON object.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  curl -s localhost:9100/metrics | sidelong estimate - --preset node_exporter
  sidelong estimate http://node:9100/metrics --preset node_exporter --label job=node --label instance=node:9100
  sidelong estimate http://prometheus:9090 --config sidelong.yml
  sidelong estimate http://prometheus:9090 --config sidelong.yml --scrape-interval 30s --format json";

/// Runs `sidelong estimate`.
///
/// # Errors
///
/// Series that cannot be had, or a configuration that cannot be.
pub fn run(args: &EstimateArgs) -> anyhow::Result<()> {
    let estimate = args.estimate()?;
    let mut text = match args.format {
        Format::Text => estimate.to_string(),
        Format::Json => serde_json::to_string_pretty(&estimate)?,
    };
    text.push_str(if text.ends_with('\n') { "" } else { "\n" });
    match std::io::stdout().write_all(text.as_bytes()).map_err(anyhow::Error::from) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written,
    }
}

// === impl EstimateArgs ===

impl EstimateArgs {
    fn estimate(&self) -> anyhow::Result<Estimate> {
        let interval_ms = i64::try_from(self.scrape_interval.as_millis()).unwrap_or(i64::MAX);
        ensure!(interval_ms > 0, "--scrape-interval is 0; write the time between two samples, such as 15s");
        let config = self.config()?;
        let settings = app::settings(&config, &Interner::default())?;
        ensure!(
            !settings.select_nothing(),
            "nothing would be scored: there is no rule and no signal; name a --config or a --preset, such as \
             --preset node_exporter"
        );
        let mut census = Census::new(Arc::new(settings));
        self.read(&mut census).with_context(|| format!("cannot read {}", self.source()))?;
        let whole = self.rehearse(&config, &census, interval_ms, "scoring")?;
        let plain = if config.signals.specs().is_empty() {
            None
        } else {
            let mut without = config.clone();
            without.signals = Default::default();
            Some(self.rehearse(&without, &census, interval_ms, "without signals")?)
        };
        let plain = plain.as_ref().unwrap_or(&whole);
        let seconds = self.scrape_interval.get().as_secs_f64();
        Ok(Estimate::new(self.source(), seconds, &census, &whole, plain, |rule| config.preset_of(rule)))
    }

    fn config(&self) -> anyhow::Result<Config> {
        let config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::from_yaml("", &|_| None)?,
        };
        Ok(config.with_presets(&self.preset)?)
    }

    fn source(&self) -> String {
        if self.input == "-" { "the standard input".to_owned() } else { self.input.clone() }
    }

    fn rehearse(
        &self,
        config: &Config,
        census: &Census,
        interval_ms: i64,
        what: &'static str,
    ) -> anyhow::Result<Rehearsed> {
        let table = Table::default();
        let settings = app::settings(config, table.interner())?;
        let bar = bar(what);
        let mut progress = |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        };
        let rehearsed =
            rehearse(census, (table, settings), app::workloads(config), interval_ms, &mut progress);
        bar.finish_and_clear();
        Ok(rehearsed?)
    }

    fn read(&self, census: &mut Census) -> anyhow::Result<()> {
        if self.input.starts_with("http://") || self.input.starts_with("https://") {
            return runtime()?.block_on(self.read_url(census));
        }
        let mut bytes = Vec::new();
        if self.input == "-" {
            std::io::stdin().lock().read_to_end(&mut bytes)?;
        } else {
            bytes = std::fs::read(&self.input)?;
        }
        self.read_bytes(&bytes, census)
    }

    fn read_bytes(&self, bytes: &[u8], census: &mut Census) -> anyhow::Result<()> {
        let not_understood = read_page(bytes, &self.label, census)?;
        if not_understood > 0 {
            eprintln!("{not_understood} lines were not understood, and are left out");
        }
        Ok(())
    }

    /// Asks as one asks a Prometheus; where nobody answers as one, what stands at the URL is a page.
    async fn read_url(&self, census: &mut Census) -> anyhow::Result<()> {
        let access = Access::load(self.http_config.as_deref(), &self.header)?;
        let base: HttpUrl = self.input.parse()?;
        let timeout: Duration = self.timeout.get();
        let api = Api::new(access.client()?, base, access.headers()?, timeout);
        let refused = match Vectors::open(api.clone()).await {
            Ok(vectors) => return self.read_vectors(vectors, census).await,
            Err(refused) => refused,
        };
        let no_page = "it is neither a Prometheus nor a page of metrics";
        let (_, page) =
            api.get("").await.with_context(|| format!("{no_page}; asked as a Prometheus: {refused}"))?;
        self.read_bytes(&page, census).with_context(|| format!("{no_page}; asked as a Prometheus: {refused}"))
    }

    async fn read_vectors(&self, mut vectors: Vectors, census: &mut Census) -> anyhow::Result<()> {
        let (bar, all) = (bar("reading"), vectors.left());
        bar.set_length(all as u64);
        while vectors.left() > 0 {
            vectors.next(&self.label, census).await?;
            bar.set_position((all - vectors.left()) as u64);
        }
        bar.finish_and_clear();
        ensure!(census.series > 0, "the Prometheus holds no series now");
        Ok(())
    }
}

/// A bar on the standard error; nothing where that is no terminal.
fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:16} {bar:40} {percent:>3} %, {eta} left");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_message(what)
}

fn preset(name: &str) -> Result<Preset, String> {
    let known = || Preset::ALL.map(Preset::as_str).join(", ");
    let found = Preset::ALL.into_iter().find(|preset| preset.as_str() == name);
    found.ok_or_else(|| format!("there is no such preset; there are {}", known()))
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("a label is written as NAME=VALUE, such as job=node")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
