//! `sidelong features`: what the detector sees at each sample.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};

use super::judge::{Judge, JudgeArgs};
use super::output::{Output, OutputArgs};
use super::source::{RowIter, SourceArgs, Take, is_broken_pipe};
use crate::backtest::features::CsvFeatures;
use crate::backtest::{Corridor, Series};
use crate::detect::Explanation;

/// Write what the detector sees at each sample: window, season, residuals, calibration and what follows from them.
///
/// A row holds the numbers that /api/v1/explain would tell of the sample, had it been the newest. A sample that
/// teaches nothing has no row, one that a context suppresses among them, nor has the first, which is compared with
/// nothing. Several series have a column series.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct FeaturesArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    /// What is written. The default is parquet for a file that ends in .parquet, and csv for any other.
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table; what does not exist is left empty.
    Csv,
    /// A Parquet file, compressed with zstd.
    Parquet,
}

const EXAMPLES: &str = "\
Examples:
  sidelong features load.csv > features.csv
  sidelong features archive.parquet --out features.parquet
  sidelong features http://prometheus:9090 --query node_load1 --from -2d --out features.csv";

/// Leads each series through a corridor of its own, and writes what is seen there.
struct Watch<'a> {
    args: &'a FeaturesArgs,
    judge: Judge,
    corridors: BTreeMap<Series, Corridor>,
    /// Whether there are several series.
    several: bool,
    file: Option<FeatureFile>,
}

enum FeatureFile {
    Csv(CsvFeatures<Output>),
    #[cfg(feature = "archive")]
    Parquet(Box<crate::backtest::features::ParquetFeatures<Output>>),
}

/// Runs `sidelong features`.
///
/// # Errors
///
/// A series that cannot be had, a rule that cannot be, or a place that takes no features.
pub fn run(args: &FeaturesArgs) -> anyhow::Result<()> {
    let several = args.output.series_column;
    let mut watch =
        Watch { args, judge: args.judge.judge()?, corridors: BTreeMap::new(), several, file: None };
    match args.source.replay(&mut watch).and_then(|()| watch.finish()) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        watched => watched,
    }
}

// === impl FeaturesArgs ===

impl FeaturesArgs {
    fn create(&self, several: bool) -> anyhow::Result<FeatureFile> {
        let out = self.output.open()?;
        match self.format() {
            Format::Csv => Ok(FeatureFile::Csv(CsvFeatures::new(out, several))),
            #[cfg(feature = "archive")]
            Format::Parquet => {
                let file = crate::backtest::features::ParquetFeatures::new(out, several);
                Ok(FeatureFile::Parquet(Box::new(file)))
            }
            #[cfg(not(feature = "archive"))]
            Format::Parquet => {
                bail!(
                    "Parquet is not in this binary; build it with the feature archive, or give --format csv"
                )
            }
        }
    }

    fn format(&self) -> Format {
        let ends = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        let by_name = if self.output.out.as_ref().is_some_and(ends) { Format::Parquet } else { Format::Csv };
        self.format.unwrap_or(by_name)
    }
}

// === impl Watch ===

impl Take for Watch<'_> {
    fn expect_several(&mut self) {
        self.several = true;
    }

    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()> {
        if !self.corridors.contains_key(series) {
            ensure!(
                self.several || self.corridors.is_empty(),
                "a second series, {series}, came when rows without a column for the series were written already: \
                 give --series-column"
            );
            self.corridors.insert(series.clone(), self.judge.corridor(series)?);
        }
        let Some(corridor) = self.corridors.get_mut(series) else { return Ok(()) };
        let mut suppressed = self.judge.suppressed(series);
        for row in rows {
            let sample = row?.sample;
            let heard = corridor.hear(sample);
            // What teaches the detector nothing is to teach nobody.
            let heard = heard.filter(|_| !suppressed.at(sample.timestamp_ms));
            let Some(seen) = heard.and_then(|_| corridor.explain()) else { continue };
            if self.file.is_none() {
                self.file = Some(self.args.create(self.several)?);
            }
            if let Some(file) = &mut self.file {
                file.write(series, &seen)?;
            }
        }
        Ok(())
    }
}

impl Watch<'_> {
    fn finish(self) -> anyhow::Result<()> {
        match self.file {
            Some(file) => file.finish(),
            None => bail!("there is no sample of which anything is seen; two are needed at the least"),
        }
    }
}

// === impl FeatureFile ===

impl FeatureFile {
    fn write(&mut self, series: &Series, seen: &Explanation) -> anyhow::Result<()> {
        match self {
            Self::Csv(file) => file.write(series, seen)?,
            #[cfg(feature = "archive")]
            Self::Parquet(file) => file.write(series, seen)?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Csv(file) => file.finish()?,
            #[cfg(feature = "archive")]
            Self::Parquet(file) => file.finish()?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: FeaturesArgs,
    }

    fn run_on(text: &str, out: &str, options: &[&str]) -> anyhow::Result<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let (file, out) = (dir.path().join("series.csv"), dir.path().join(out));
        std::fs::write(&file, text).unwrap();
        let words = ["features", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
        run(&Cli::parse_from(words.iter().chain(options)).args)?;
        Ok(std::fs::read(out).unwrap())
    }

    fn series(rows: i64) -> String {
        (0..rows).map(|at| format!("{},{}\n", 1_500_000_000 + 60 * at, at * 7919 % 13)).collect()
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for example in EXAMPLES.lines().skip(1) {
            let command = example.split('>').next().unwrap_or_default();
            Cli::try_parse_from(command.split_whitespace().skip(1)).unwrap();
        }
    }

    #[test]
    fn a_sample_has_a_row_and_what_teaches_nothing_has_none() {
        let text = format!("{}1500000000,1\n1500000600,\n", series(10));
        let csv =
            String::from_utf8(run_on(&text, "x.csv", &["--series-column", "--series=up"]).unwrap()).unwrap();
        let rows: Vec<_> = csv.lines().collect();
        assert!(rows[0].starts_with("series,timestamp,value,score,"), "{}", rows[0]);
        assert_eq!(rows.len(), 1 + 9, "the first is compared with nothing");
        assert!(rows[1].starts_with("\"up\",1500000060000,2,0,"), "{}", rows[1]);
        let columns = |row: &str| row.split(',').count();
        assert!(rows.iter().all(|row| columns(row) == columns(rows[0])));
        let error = run_on(&series(1), "x.csv", &[]).unwrap_err();
        assert!(error.to_string().contains("two are needed"), "{error}");
    }

    #[test]
    fn a_sample_that_a_context_suppresses_has_no_row() {
        let dir = tempfile::tempdir().unwrap();
        let context = dir.path().join("context.yml");
        let entry = "{name: a, match: up, start: '2017-07-14T02:42:00Z', end: '2017-07-14T02:44:00Z'}";
        std::fs::write(&context, format!("context: {{calendars: [{entry}]}}")).unwrap();
        let option = format!("--context={}", context.display());
        let rows = |options: &[&str]| {
            let csv = String::from_utf8(run_on(&series(10), "x.csv", options).unwrap()).unwrap();
            csv.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let all = rows(&["--series=up"]);
        let left = rows(&["--series=up", &option]);
        assert_eq!(all.len(), 9);
        let suppressed = ["1500000120000", "1500000180000"];
        assert_eq!(left, all.into_iter().filter(|at| !suppressed.contains(&at.as_str())).collect::<Vec<_>>());
        assert_eq!(rows(&["--series=down", &option]).len(), 9, "another series");
        std::fs::write(&context, "rules: []").unwrap();
        let error = run_on(&series(10), "x.csv", &[&option]).unwrap_err().to_string();
        assert!(error.contains("has no section context"), "{error}");
    }

    #[test]
    fn a_name_in_parquet_is_a_parquet_file() {
        let written = run_on(&series(10), "x.parquet", &[]);
        if cfg!(feature = "archive") {
            assert!(written.unwrap().starts_with(b"PAR1"));
        } else {
            assert!(format!("{:#}", written.unwrap_err()).contains("build it with the feature archive"));
        }
    }
}
