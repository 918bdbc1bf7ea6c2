//! `sidelong backtest`: what would have been said of a past series?

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::backtest::{Corridor, Row, Rows, Said};
use crate::detect::{Method, Part};
use crate::model::Model;
use crate::rules::RawRule;
use crate::rules::config::RawKind;

/// Score a past series as a running Sidelong would have scored it.
///
/// The file is CSV: a timestamp (Unix seconds, or milliseconds) and a value in each line, a header or none.
/// Each row is scored by what came before it, on the production path. A row that teaches nothing, because it is
/// older than the one before, repeats its time or holds no number, is given the score before it.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    /// The series; - is the standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is written to the standard output for each row.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Which detector judges.
    #[arg(long, value_name = "NAME", default_value = "hybrid", value_parser = PossibleValuesParser::new(Method::ALL.map(Method::name)))]
    detector: String,
    /// Judge the rate per second of a counter in place of the value.
    #[arg(long)]
    counter: bool,
    /// Leave a part of the hybrid detector out, to see what it is worth. May be given more than once.
    #[arg(long, value_name = "PART", hide = true, value_parser = PossibleValuesParser::new(Part::ALL.map(Part::name)))]
    without: Vec<String>,
}

/// What is written for each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns timestamp, value, anomaly_score, yhat, yhat_lower and yhat_upper.
    Csv,
    /// Columns timestamp and anomaly_score, the score squeezed into 0 to 1: 0.5 is an anomaly.
    Scorer,
}

const EXAMPLES: &str = "\
Examples:
  sidelong backtest load.csv > scored.csv
  sidelong backtest requests.csv --counter --detector seasonal
  sidelong backtest load.csv --format scorer | sort -t, -k2 -g | tail";

/// A file smaller than this is done before a bar could be read.
const LONG_FILE: u64 = 8 << 20;

/// Runs `sidelong backtest`.
///
/// # Errors
///
/// A file that cannot be read, or a line of it that is no sample.
pub fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    let parts = args.without.iter().filter_map(|name| Part::named(name)).collect();
    let method = Method::named(&args.detector).unwrap_or_default();
    let kind = if args.counter { RawKind::Counter } else { RawKind::Gauge };
    let rule = RawRule { kind, ..RawRule::default() };
    let corridor = Corridor::new(Model::hybrid(method, parts), rule)?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = if args.file.as_os_str() == "-" {
        replay(io::stdin().lock(), &ProgressBar::hidden(), corridor, args.format, &mut out)
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
        let progress = progress_bar(&file);
        let written = replay(BufReader::new(file), &progress, corridor, args.format, &mut out);
        progress.finish_and_clear();
        written
    };
    match written {
        // Whoever reads the standard output may have had enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written.with_context(|| format!("cannot replay {}", name(&args.file))),
    }
}

fn replay(
    file: impl BufRead,
    progress: &ProgressBar,
    mut corridor: Corridor,
    format: Format,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(out, "{}", format.header())?;
    let mut rows = Rows::new(file);
    while let Some(row) = rows.next() {
        let row = row?;
        format.write(out, &row, &corridor.score(row.sample))?;
        progress.set_position(rows.bytes());
    }
    Ok(out.flush()?)
}

/// A bar on the standard error for a long file; nothing where that is no terminal.
fn progress_bar(file: &File) -> ProgressBar {
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    if size < LONG_FILE {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("scoring {bar:40} {percent:>3} %, {eta} left");
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn name(file: &Path) -> String {
    if file.as_os_str() == "-" { "the standard input".to_owned() } else { file.display().to_string() }
}

// === impl Format ===

impl Format {
    fn header(self) -> &'static str {
        match self {
            Self::Csv => "timestamp,value,anomaly_score,yhat,yhat_lower,yhat_upper",
            Self::Scorer => "timestamp,anomaly_score",
        }
    }

    fn write(self, out: &mut impl Write, row: &Row, said: &Said) -> io::Result<()> {
        let Row { timestamp, value, .. } = row;
        match self {
            Self::Csv => {
                write!(out, "{timestamp},{value},{}", said.score)?;
                // A forecast that does not exist yet is left empty.
                for number in [said.expected, said.lower, said.upper] {
                    if number.is_nan() {
                        write!(out, ",")?;
                    } else {
                        write!(out, ",{number}")?;
                    }
                }
                writeln!(out)
            }
            Self::Scorer => writeln!(out, "{timestamp},{}", said.score / (1.0 + said.score)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "sidelong")]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Command {
        Backtest(BacktestArgs),
    }

    fn replayed(text: &str, format: Format) -> Vec<String> {
        let corridor =
            Corridor::new(Model::hybrid(Default::default(), Default::default()), RawRule::default()).unwrap();
        let mut out = Vec::new();
        replay(text.as_bytes(), &ProgressBar::hidden(), corridor, format, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn series(rows: u64) -> String {
        let row = |i| format!("{},{}\n", 1_500_000_000 + 60 * i, if i == 90 { 900 } else { i * 7919 % 13 });
        (0..rows).map(row).collect()
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for example in EXAMPLES.lines().skip(1) {
            let command = example.split(['|', '>']).next().unwrap_or_default();
            Cli::try_parse_from(command.split_whitespace()).unwrap();
        }
    }

    #[test]
    fn each_row_has_a_row_and_the_scorers_is_between_nought_and_one() {
        let rows = replayed(&format!("timestamp,value\n{}", series(100)), Format::Scorer);
        assert_eq!(rows.len(), 101);
        assert_eq!(rows[0], "timestamp,anomaly_score");
        let score = |row: &str| row.split(',').nth(1).unwrap().parse::<f64>().unwrap();
        assert!(rows[1..].iter().map(|row| score(row)).all(|score| (0.0..1.0).contains(&score)));
        assert!(score(&rows[91]) > 0.5 && score(&rows[90]) < 0.5, "{:?}", &rows[90..92]);
    }

    #[test]
    fn a_row_that_teaches_nothing_repeats_the_last_score() {
        let rows =
            replayed(&format!("{}1500005400,1\n1500000000,2\n1500005460,\n", series(91)), Format::Scorer);
        let scores: Vec<_> = rows[91..].iter().map(|row| row.split_once(',').unwrap().1).collect();
        assert_eq!(scores.len(), 4);
        assert!(scores.iter().all(|score| score == &scores[0]), "{scores:?}");
    }

    #[test]
    fn a_table_has_the_band_once_there_is_one() {
        let rows = replayed(&series(60), Format::Csv);
        assert_eq!(rows[1], "1500000000,0,0,,,");
        assert_eq!(rows[60].split(',').filter(|field| !field.is_empty()).count(), 6, "{}", rows[60]);
    }
}
