//! `sidelong backtest`: what would have been said of a past series?

mod entity;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use self::table::{Columns, Table};
use super::judge::{Judge, JudgeArgs};
use super::output::{Output, OutputArgs};
use super::source::{Access, RowIter, SourceArgs, Take, is_broken_pipe, runtime};
use crate::backtest::report::{Labels, Page, Point, Record};
use crate::backtest::{Corridor, ScoreWriter, Series};
use crate::config::sections::{Downstream as DownstreamSection, HttpUrl};
use crate::config::units::PromDuration;
use crate::forward::Downstream;

/// Score past series as a running Sidelong would have scored them.
///
/// Each row is scored by what came before it, on the production path. A row that teaches nothing, because it is
/// older than the one before, repeats its time or holds no number, is given the score before it.
///
/// A query that returns several series has each scored by itself; in CSV a column series then stands before the
/// others.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Score all files together, as the parts of one entity (signals.entities): CSV files of one series each. A row is
    /// written for each step: the score of the entity, the part that weighs most and its share, and the scores of all.
    #[arg(long)]
    entity: bool,
    /// Further parts of the entity.
    #[arg(value_name = "FILE", requires = "entity")]
    parts: Vec<PathBuf>,
    /// Samples of the parts belong together whose times fall in one step; by default those of equal times.
    #[arg(long, value_name = "DURATION", requires = "entity")]
    entity_step: Option<PromDuration>,
    /// What is written. The default is csv, and nothing but a summary with --remote-write.
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    output: OutputArgs,
    /// Windows in which something was wrong, to be shaded on the page: CSV of start,end or start,end,kind in Unix seconds; JSON
    /// of windows by file name; or the labels of sidelong synth write, by the name of the series.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Write the scores and the band into this receiver, by remote write 1.0. A Prometheus takes what is older than
    /// an hour only within its storage.tsdb.out_of_order_time_window.
    #[arg(long, value_name = "URL")]
    remote_write: Option<HttpUrl>,
    /// Write the values as well as the scores.
    #[arg(long, requires = "remote_write")]
    with_values: bool,
    /// As --http-config, towards the receiver of --remote-write.
    #[arg(long, value_name = "FILE", requires = "remote_write")]
    remote_write_config: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table with columns timestamp, value, anomaly_score, yhat, yhat_lower and yhat_upper.
    Csv,
    /// A table with columns timestamp and anomaly_score, the score squeezed into 0 to 1: 0.5 is an anomaly.
    Scorer,
    /// A page with value, band, score and labelled windows, which needs nothing but a browser.
    Html,
}

const EXAMPLES: &str = "\
Examples:
  sidelong backtest load.csv > scored.csv
  sidelong backtest load.csv --labels incidents.csv --format html --out load.html
  sidelong backtest --entity cpu.csv memory.csv disk.csv --format scorer
  sidelong backtest requests.csv --series http_requests_total --detector seasonal
  sidelong backtest archive.parquet --rule rule.yml --format scorer | sort -t, -k2 -g | tail
  sidelong backtest http://prometheus:9090 --query node_load1 --from -7d --step 60s --format html --out load.html
  sidelong backtest http://prometheus:9090 --query node_load1 --remote-write http://prometheus:9090/api/v1/write";

/// Runs `sidelong backtest`.
///
/// # Errors
///
/// A series that cannot be had, a rule that cannot be, or a place that takes no scores.
pub fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    let replayed = if args.entity { entity::run(args) } else { replay(args) };
    match replayed {
        // Whoever reads the standard output may have had enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        replayed => replayed,
    }
}

fn replay(args: &BacktestArgs) -> anyhow::Result<()> {
    let mut replay = Replay::new(args)?;
    args.source.replay(&mut replay)?;
    replay.finish(args)
}

/// Leads each series through a corridor of its own, and hands what is said to whoever wants it.
struct Replay {
    judge: Judge,
    tracks: BTreeMap<Series, Track>,
    table: Option<Table<Output>>,
    /// Whether records are kept for a page.
    records: bool,
    receiver: Option<Receiver>,
    samples: u64,
}

/// One series on its way.
struct Track {
    corridor: Corridor,
    record: Record,
}

/// Where scores are written to.
struct Receiver {
    runtime: Runtime,
    writer: ScoreWriter,
}

// === impl Replay ===

impl Replay {
    fn new(args: &BacktestArgs) -> anyhow::Result<Self> {
        let receiver = args.remote_write.as_ref().map(|url| Receiver::new(url, args)).transpose()?;
        let format = args.format.or(receiver.is_none().then_some(Format::Csv));
        let judge = args.judge.judge()?;
        let columns = match format {
            Some(Format::Csv) if judge.has_confidence() => Some(Columns::Confidence),
            Some(Format::Csv) => Some(Columns::All),
            Some(Format::Scorer) => Some(Columns::Squeezed),
            Some(Format::Html) | None => None,
        };
        ensure!(
            format.is_some() || args.output.out.is_none(),
            "--out needs a --format where scores go to --remote-write"
        );
        let records = format == Some(Format::Html);
        ensure!(records || args.labels.is_none(), "--labels are for a page: give --format html");
        let mut table = columns
            .map(|columns| Ok::<_, anyhow::Error>(Table::new(args.output.open()?, columns)))
            .transpose()?;
        if let (Some(table), true) = (&mut table, args.output.series_column) {
            table.name_series();
        }
        Ok(Self { judge, tracks: BTreeMap::new(), table, records, receiver, samples: 0 })
    }

    fn finish(self, args: &BacktestArgs) -> anyhow::Result<()> {
        if let Some(table) = self.table {
            table.finish()?;
        }
        if let Some(Receiver { runtime, mut writer }) = self.receiver {
            runtime.block_on(writer.send())?;
            let (written, series) = (writer.written(), self.tracks.len());
            eprintln!("{written} samples written, of {} samples of {series} series", self.samples);
        }
        if self.records {
            let records = self.tracks.into_values().map(|track| track.record).collect();
            write_page(args, self.judge.describe(), records)?;
        }
        Ok(())
    }
}

impl Take for Replay {
    fn expect_several(&mut self) {
        if let Some(table) = &mut self.table {
            table.name_series();
        }
    }

    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()> {
        if !self.tracks.contains_key(series) {
            self.tracks.insert(series.clone(), Track::new(series, &self.judge)?);
        }
        let Some(track) = self.tracks.get_mut(series) else { return Ok(()) };
        if let Some(table) = &mut self.table {
            table.begin(series)?;
        }
        let written = self.receiver.as_ref().map(|receiver| receiver.writer.series(series)).transpose()?;
        for row in rows {
            let row = row?;
            let heard = track.corridor.hear(row.sample);
            self.samples += 1;
            if let Some(table) = &mut self.table {
                table.row(&row, &heard.unwrap_or(track.corridor.last()))?;
            }
            let Some(said) = heard else { continue };
            if self.records && said.judged.is_finite() {
                track.record.points.push(Point { at_ms: row.sample.timestamp_ms, said });
            }
            if let (Some(Receiver { runtime, writer }), Some(written)) = (&mut self.receiver, &written)
                && writer.push(written, row.sample, &said)
            {
                runtime.block_on(writer.send())?;
            }
        }
        Ok(())
    }
}

fn write_page(args: &BacktestArgs, judge: String, mut records: Vec<Record>) -> anyhow::Result<()> {
    if let Some(path) = &args.labels {
        let labels = Labels::load(path).with_context(|| format!("cannot use {}", path.display()))?;
        for record in &mut records {
            record.windows = labels.windows(args.source.input(), &record.series.to_string())?;
        }
    }
    let mut out = args.output.open()?;
    Page { title: args.source.title(), judge, records }.write(&mut out)?;
    Ok(out.flush()?)
}

// === impl Track ===

impl Track {
    fn new(series: &Series, judge: &Judge) -> anyhow::Result<Self> {
        let record = Record { series: series.clone(), ..Record::default() };
        Ok(Self { corridor: judge.corridor(series)?, record })
    }
}

// === impl Receiver ===

impl Receiver {
    fn new(url: &HttpUrl, args: &BacktestArgs) -> anyhow::Result<Self> {
        let access = Access::load(args.remote_write_config.as_deref(), &[])?;
        let downstream = Downstream::new(&DownstreamSection::at(url.clone()), access.client()?);
        let writer = ScoreWriter::new(downstream, access.headers()?, args.with_values)?;
        Ok(Self { runtime: runtime()?, writer })
    }
}
