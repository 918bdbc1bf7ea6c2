//! `sidelong archive ls`.

use std::collections::BTreeSet;
use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::PlaceArgs;
use crate::archive::{ArchiveError, Contents};
use crate::backtest::Moment;

/// List the partitions: their series, samples, files and bytes, and from when to when their samples are.
#[derive(Clone, Debug, Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// How the list is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, and the sum below it.
    Text,
    /// A JSON object in each line.
    Json,
}

/// One line of the list.
#[derive(Debug, Serialize)]
struct Line {
    day: String,
    shard: u32,
    series: usize,
    samples: u64,
    files: usize,
    bytes: u64,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

pub(super) fn run(args: &LsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let archive = args.place.open()?;
    let (mut sum, mut series) = ((0, 0, 0), BTreeSet::new());
    if args.format == Format::Text {
        writeln!(
            out,
            "{:<10}  {:>5}  {:>8}  {:>12}  {:>6}  {:>12}  {:<16}  to",
            "day", "shard", "series", "samples", "files", "bytes", "from"
        )?;
    }
    for (partition, files) in archive.partitions()? {
        let opened = archive.open(partition, &files)?;
        let (mut all, mut bytes) = (Contents::default(), 0);
        for (kept, rows) in &opened.files {
            let contents = rows
                .contents()
                .map_err(|source| ArchiveError::File { place: Box::new(kept.place.clone()), source })?;
            all.series.extend(contents.series);
            all.samples += contents.samples;
            let spans = all.span.into_iter().chain(contents.span);
            all.span = spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
            bytes += kept.bytes;
        }
        let line = Line {
            day: partition.day.to_string(),
            shard: partition.shard,
            series: all.series.len(),
            samples: all.samples,
            files: opened.files.len(),
            bytes,
            from_ms: all.span.map(|span| span.0),
            to_ms: all.span.map(|span| span.1),
        };
        sum = (sum.0 + line.samples, sum.1 + line.files, sum.2 + line.bytes);
        series.extend(all.series);
        match args.format {
            Format::Json => writeln!(out, "{}", serde_json::to_string(&line)?)?,
            Format::Text => line.write(out)?,
        }
    }
    if args.format == Format::Text {
        let (samples, files, bytes) = sum;
        let each = if samples > 0 { bytes as f64 / samples as f64 } else { 0.0 };
        writeln!(
            out,
            "{} series, {samples} samples in {files} files, {bytes} bytes: {each:.2} bytes a sample",
            series.len()
        )?;
    }
    Ok(())
}

// === impl Line ===

impl Line {
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let moment = |ms: Option<i64>| ms.map(|ms| Moment(ms).to_string()).unwrap_or_default();
        writeln!(
            out,
            "{:<10}  {:>5}  {:>8}  {:>12}  {:>6}  {:>12}  {:<16}  {}",
            self.day,
            self.shard,
            self.series,
            self.samples,
            self.files,
            self.bytes,
            moment(self.from_ms),
            moment(self.to_ms)
        )
    }
}
