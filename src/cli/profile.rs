//! `sidelong profile`: what kind of series is this, and what suits it?

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::ensure;
use clap::{Args, ValueEnum};

use super::judge::{ContextArgs, Suppressed};
use super::source::{RowIter, SourceArgs, Take, is_broken_pipe};
use crate::backtest::Series;
use crate::backtest::profile::Profile;
use crate::batch::Sample;
use crate::context::Board;
use crate::rules::Kind;

/// Say what kind of series this is, which season and which detector suit it, and what its rule would be.
///
/// Seasons are compared by what forecasts with them err over the last third of the series. Detectors are compared by
/// what each finds of disturbances that are put into a copy of the series, and by how often it calls without them. What a
/// context suppresses is left out.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProfileArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// How it is said.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    context: ContextArgs,
    /// Look at the rate per second of a counter, whatever the series is called and looks like.
    #[arg(long)]
    counter: bool,
}

/// How it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Paragraphs, and the rule as YAML that can be pasted under rules.
    Text,
    /// A JSON object for each series, one a line.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  sidelong profile load.csv
  sidelong profile requests.csv --series http_requests_total --format json
  sidelong profile http://prometheus:9090 --query node_load1 --from -14d --step 5m";

/// The finite samples of each series, in order of time, but for those that a context suppresses.
#[derive(Debug, Default)]
struct Samples {
    board: Board,
    of: BTreeMap<Series, Vec<Sample>>,
}

/// Runs `sidelong profile`.
///
/// # Errors
///
/// A series that cannot be had, or has no samples.
pub fn run(args: &ProfileArgs) -> anyhow::Result<()> {
    let mut samples = Samples { board: args.context.board()?, of: BTreeMap::new() };
    args.source.replay(&mut samples)?;
    match args.write(&samples, &mut io::stdout().lock()) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written,
    }
}

// === impl ProfileArgs ===

impl ProfileArgs {
    fn write(&self, samples: &Samples, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut told = 0;
        for (series, samples) in &samples.of {
            let counter = (self.counter || Kind::Auto.is_counter(series.metric_name())).then_some(true);
            let Some(profile) = Profile::of(series, samples, counter)? else { continue };
            match self.format {
                Format::Text if told == 0 => write!(out, "{profile}")?,
                Format::Text => write!(out, "\n{profile}")?,
                Format::Json => writeln!(out, "{}", serde_json::to_string(&profile)?)?,
            }
            told += 1;
        }
        ensure!(told > 0, "there is no sample with a number in {}", self.source.title());
        Ok(())
    }
}

// === impl Samples ===

impl Take for Samples {
    fn expect_several(&mut self) {}

    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()> {
        let mut suppressed = Suppressed::new(&self.board, series);
        let kept = self.of.entry(series.clone()).or_default();
        for row in rows {
            let sample = row?.sample;
            // As the corridor has it: what is not newer, or no number, is no sample.
            let is_newer = kept.last().is_none_or(|last| last.timestamp_ms < sample.timestamp_ms);
            if is_newer && sample.value.is_finite() && !suppressed.at(sample.timestamp_ms) {
                kept.push(sample);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "sidelong profile", no_binary_name = false)]
    struct Cli {
        #[command(flatten)]
        args: ProfileArgs,
    }

    /// What `sidelong profile series.csv OPTIONS` says of this text.
    fn told(text: &str, options: &[&str]) -> anyhow::Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("series.csv");
        std::fs::write(&file, text).unwrap();
        let words = ["profile", file.to_str().unwrap()].into_iter().chain(options.iter().copied());
        let args = Cli::parse_from(words).args;
        let board = args.context.board()?;
        let (mut samples, mut out) = (Samples { board, of: BTreeMap::new() }, Vec::new());
        args.source.replay(&mut samples)?;
        args.write(&samples, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for example in EXAMPLES.lines().skip(1) {
            Cli::try_parse_from(example.split_whitespace().skip(1)).unwrap();
        }
    }

    #[test]
    fn what_a_context_suppresses_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let context = dir.path().join("context.yml");
        let entry = "{name: a, match: up, start: '2017-07-14T02:41:00Z', end: '2017-07-14T02:43:00Z'}";
        std::fs::write(&context, format!("context: {{calendars: [{entry}]}}")).unwrap();
        let option = format!("--context={}", context.display());
        let rows: String = (0..5).map(|at| format!("{},{at}\n", 1_500_000_000 + 60 * at)).collect();
        let samples = |options: &[&str]| {
            let json = told(&rows, &[&["--format=json", "--series=up"], options].concat()).unwrap();
            serde_json::from_str::<serde_json::Value>(&json).unwrap()["times"]["samples"].clone()
        };
        assert_eq!((samples(&[]), samples(&[&option])), (5.into(), 3.into()));
    }

    #[test]
    fn what_is_no_sample_is_passed_over_and_json_is_one_object() {
        let rows = "1500000000,1\n1500000060,\n1500000060,2\n1500000000,7\n1500000120,inf\n1500000120,3\n";
        let json = told(rows, &["--format=json", "--series=up{job=\"a\"}"]).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["series"], &json["times"]["samples"]), (&"up{job=\"a\"}".into(), &3.into()));
        assert_eq!(json["rule"]["match"], "up{job=\"a\"}");
        assert_eq!(json["shape"]["traits"], serde_json::json!(["integer", "non_negative"]));
    }

    #[test]
    fn a_name_or_the_option_makes_it_a_counter() {
        let rows: String = (0..100).map(|at| format!("{},{}\n", 1_500_000_000 + 60 * at, at % 7)).collect();
        let is_counter = |options: &[&str]| told(&rows, options).unwrap().contains("of the rate per second");
        assert!(!is_counter(&[]));
        assert!(is_counter(&["--counter"]) && is_counter(&["--series=x_total"]));
    }

    #[test]
    fn nothing_to_look_at_is_an_error() {
        let error = told("timestamp,value\n", &[]).unwrap_err();
        assert_eq!(error.to_string(), "there is no sample with a number in series.csv");
    }
}
