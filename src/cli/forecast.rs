//! `sidelong forecast`: what would have been forecast of a past series, and how did it come?

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::ensure;
use clap::{Args, ValueEnum};

use super::judge::{Judge, JudgeArgs};
use super::output::{Output, OutputArgs};
use super::source::{RowIter, SourceArgs, Take, is_broken_pipe};
use crate::backtest::hindsight::{Beside, Foreseen, Hindsight};
use crate::backtest::report::AheadPage;
use crate::backtest::{Corridor, Series};
use crate::config::units::PromDuration;

/// Forecast past series as a running Sidelong would have, and tell how it came.
///
/// Each forecast is made of what came before it, on the production path. Told are, for each horizon, how often the band
/// held what came, and the mean absolute error over that of a seasonal naive forecast (MASE), which repeats what was
/// measured a whole number of days, or weeks, before: below 1 is better than that.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ForecastArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    /// How far ahead, as forecast_at of a rule. The default is what the rule says, or 1h, 1d and 7d.
    #[arg(long, value_name = "DURATION", value_delimiter = ',')]
    at: Vec<PromDuration>,
    /// What is written.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for each series: coverage and errors by horizon.
    Text,
    /// The same as a JSON object for each series, one a line.
    Json,
    /// Every forecast: timestamp, horizon, yhat, yhat_lower, yhat_upper, and the value that came, if it did.
    Csv,
    /// A page that plots the forecasts, which needs nothing but a browser.
    Html,
}

const EXAMPLES: &str = "\
Examples:
  sidelong forecast load.csv
  sidelong forecast disk.csv --at 1d,7d --format html --out disk.html
  sidelong forecast requests.csv --series http_requests_total --rule '{match: x, coverage: 0.9}' --format csv
  sidelong forecast http://prometheus:9090 --query node_filesystem_avail_bytes --from -30d --step 5m";

/// Horizons where neither the command line nor the rule has any.
const HORIZONS: [PromDuration; 3] =
    [PromDuration::from_secs(3_600), PromDuration::from_secs(86_400), PromDuration::from_secs(7 * 86_400)];

/// Leads each series through a corridor of its own, and keeps what is forecast.
struct Watch {
    judge: Judge,
    tracks: BTreeMap<Series, (Corridor, Foreseen)>,
    several: bool,
}

/// Runs `sidelong forecast`.
///
/// # Errors
///
/// A series that cannot be had, a rule that cannot be, or a place that takes no forecasts.
pub fn run(args: &ForecastArgs) -> anyhow::Result<()> {
    let judge = args.judge.judge()?.forecasting(&args.at, &HORIZONS);
    let mut watch = Watch { judge, tracks: BTreeMap::new(), several: args.output.series_column };
    match args.source.replay(&mut watch).and_then(|()| args.write(watch)) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written,
    }
}

// === impl ForecastArgs ===

impl ForecastArgs {
    fn write(&self, watch: Watch) -> anyhow::Result<()> {
        let Watch { judge, tracks, several } = watch;
        let records: Vec<Foreseen> = tracks.into_values().map(|(_, foreseen)| foreseen).collect();
        ensure!(
            records.iter().any(|record| !record.samples.is_empty()),
            "there is no sample with a number in {}",
            self.source.title()
        );
        let mut out = self.output.open()?;
        match self.format {
            Format::Text => write_text(&mut out, &records)?,
            Format::Json => write_json(&mut out, &records)?,
            Format::Csv => write_csv(&mut out, &records, several)?,
            Format::Html => {
                AheadPage { title: self.source.title(), judge: judge.describe(), records }.write(&mut out)?;
            }
        }
        Ok(out.flush()?)
    }
}

fn write_text(out: &mut Output, records: &[Foreseen]) -> anyhow::Result<()> {
    for (at, record) in records.iter().enumerate() {
        if records.len() > 1 {
            writeln!(out, "{}{}", if at > 0 { "\n" } else { "" }, record.series)?;
        }
        writeln!(out, "horizon  forecasts  coverage  mean error  MASE of a day  MASE of a week")?;
        let told = record.hindsight();
        for Hindsight { horizon, judged, coverage, error, day, week, .. } in &told {
            let (day, week) = (ratio(*day), ratio(*week));
            let horizon = horizon.to_string();
            writeln!(
                out,
                "{horizon:<7}  {judged:>9}  {:>6.1} %  {error:>10.4}  {day:>13}  {week:>14}",
                coverage * 100.0
            )?;
        }
        if told.is_empty() {
            writeln!(
                out,
                "No forecast has come true: the series is shorter than its horizons and a quarter of them."
            )?;
        }
    }
    Ok(())
}

/// The ratio of errors, or a dash where there is none.
fn ratio(beside: Option<Beside>) -> String {
    beside.and_then(|beside| beside.mase).map_or_else(|| "-".to_owned(), |mase| format!("{mase:.3}"))
}

fn write_json(out: &mut Output, records: &[Foreseen]) -> anyhow::Result<()> {
    for record in records {
        let told = serde_json::json!({"series": record.series.to_string(), "horizons": record.hindsight()});
        writeln!(out, "{told}")?;
    }
    Ok(())
}

fn write_csv(out: &mut Output, records: &[Foreseen], several: bool) -> anyhow::Result<()> {
    let series = if several { "series," } else { "" };
    writeln!(out, "{series}timestamp,horizon,yhat,yhat_lower,yhat_upper,value")?;
    for record in records {
        let prefix = if several {
            format!("\"{}\",", record.series.to_string().replace('"', "\"\""))
        } else {
            String::new()
        };
        for told in &record.foretold {
            let came = record.came(told).map_or_else(String::new, |value| value.to_string());
            let timestamp = told.made_ms as f64 / 1e3;
            let (horizon, expected, lower, upper) = (told.horizon, told.expected, told.lower, told.upper);
            writeln!(out, "{prefix}{timestamp},{horizon},{expected},{lower},{upper},{came}")?;
        }
    }
    Ok(())
}

// === impl Watch ===

impl Take for Watch {
    fn expect_several(&mut self) {
        self.several = true;
    }

    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()> {
        if !self.tracks.contains_key(series) {
            let foreseen = Foreseen { series: series.clone(), ..Foreseen::default() };
            self.several |= !self.tracks.is_empty();
            self.tracks.insert(series.clone(), (self.judge.corridor_with_forecasts(series)?, foreseen));
        }
        let Some((corridor, foreseen)) = self.tracks.get_mut(series) else { return Ok(()) };
        for row in rows {
            let sample = row?.sample;
            let Some(said) = corridor.hear(sample) else { continue };
            if said.judged.is_finite() {
                foreseen.samples.push((sample.timestamp_ms, said.judged));
            }
            foreseen.foretold.extend_from_slice(corridor.foretold());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "sidelong forecast", no_binary_name = false)]
    struct Cli {
        #[command(flatten)]
        args: ForecastArgs,
    }

    /// What `sidelong forecast series.csv OPTIONS` writes about this text.
    fn told(text: &str, options: &[&str]) -> anyhow::Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let (file, out) = (dir.path().join("series.csv"), dir.path().join("out"));
        std::fs::write(&file, text).unwrap();
        let words = ["forecast", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
        run(&Cli::parse_from(words.iter().chain(options)).args)?;
        Ok(std::fs::read_to_string(&out)?)
    }

    /// Three days of a disk that fills, every five minutes.
    fn disk() -> String {
        let row =
            |at: i64| format!("{},{}\n", 1_700_006_400 + 300 * at, 1_000.0 - at as f64 + (at % 5) as f64);
        (0..864).map(row).collect()
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for example in EXAMPLES.lines().skip(1) {
            let words = example.trim().replace("'{match: x, coverage: 0.9}'", "{match:x}");
            Cli::try_parse_from(words.split_whitespace().skip(1)).unwrap();
        }
    }

    #[test]
    fn horizons_are_those_of_the_command_line_else_of_the_rule_else_three() {
        let of = |options: &[&str]| -> Vec<String> {
            let text = told(&disk(), &[&["--format=csv"], options].concat()).unwrap();
            let mut horizons: Vec<_> =
                text.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().to_owned()).collect();
            horizons.sort_unstable();
            horizons.dedup();
            horizons
        };
        assert_eq!(of(&["--at=1h,2h"]), ["1h", "2h"]);
        assert_eq!(of(&["--rule={match: x, forecast_at: [3h]}"]), ["3h"]);
        assert_eq!(of(&[]), ["1d", "1h", "7d"]);
        let error = told(&disk(), &["--at=1m"]).unwrap_err();
        assert!(format!("{error:#}").contains("forecast_at: a forecast looks 5m to 30d ahead"), "{error:#}");
    }

    #[test]
    fn what_is_told_of_a_disk_that_fills_is_better_than_to_repeat_the_day() {
        let text = told(&disk(), &["--at=6h"]).unwrap();
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[0], "6h");
        assert!(row[5].parse::<f64>().unwrap() < 0.1, "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&told(&disk(), &["--at=6h", "--format=json"]).unwrap()).unwrap();
        assert_eq!(json["horizons"][0]["horizon"], "6h");
        assert!(json["horizons"][0]["day"]["mase"].as_f64().unwrap() < 0.1, "{json}");
    }

    #[test]
    fn a_row_holds_a_forecast_and_what_came_of_it() {
        let text = told(&disk(), &["--at=1d", "--format=csv", "--series=disk", "--series-column"]).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|row| row.split(',').collect()).collect();
        assert!(
            text.starts_with("series,timestamp,horizon,yhat,yhat_lower,yhat_upper,value\n\"disk\",17"),
            "{text}"
        );
        assert!(rows.first().unwrap()[6].parse::<f64>().is_ok() && rows.last().unwrap()[6].is_empty());
        assert!(told(&disk(), &["--format=html"]).unwrap().contains("As it was forecast 1h before"));
    }
}
