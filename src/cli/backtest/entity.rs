//! `sidelong backtest --entity`: past series of one thing, scored together.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Write};
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::{BacktestArgs, Format};
use crate::backtest::source::CsvRows;
use crate::backtest::{SaidTogether, Series};
use crate::batch::Sample;
use crate::cli::output::Output;

/// Rows of a file, of which the first can be looked at.
type Rows = Peekable<CsvRows<BufReader<File>>>;

/// The rows of one time.
struct Moment {
    /// The time as it is written.
    timestamp: String,
    at_ms: i64,
    /// The samples, each with the number of its file.
    samples: Vec<(usize, Sample)>,
}

/// A time as it is written, and the scores that parts had then.
struct Waiting {
    timestamp: String,
    at_ms: i64,
    scores: Vec<f64>,
}

/// Writes a row for each step, or for each time.
struct Table {
    out: Output,
    format: Format,
    parts: Vec<String>,
    /// Times for which nothing has been written yet.
    waiting: VecDeque<Waiting>,
    last: f64,
}

/// Scores the files of `args` as the parts of one entity.
///
/// # Errors
///
/// Files that cannot be read, or what cannot be done with several.
pub(super) fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    let format = args.format.unwrap_or(Format::Csv);
    ensure!(format != Format::Html, "a page shows series one by one: give --entity another --format");
    ensure!(args.remote_write.is_none(), "the score of an entity is not written by --remote-write");
    let paths: Vec<&Path> = std::iter::once(Path::new(args.source.input()))
        .chain(args.parts.iter().map(PathBuf::as_path))
        .collect();
    let names = names(&paths);
    let parts: Vec<Series> = names.iter().map(|name| Series::from_iter([("__name__", name)])).collect();
    let step_ms = args.entity_step.map_or(0, |step| i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
    let mut entity = args.judge.judge()?.entity(&parts, step_ms)?;
    let mut files = paths.iter().map(|path| open(path)).collect::<anyhow::Result<Vec<Rows>>>()?;
    let mut table =
        Table { out: args.output.open()?, format, parts: names, waiting: VecDeque::new(), last: 0.0 };
    table.begin()?;
    while let Some(Moment { timestamp, at_ms, samples }) = next(&mut files, &paths)? {
        let said = entity.hear(&samples);
        table.waiting.push_back(Waiting { timestamp, at_ms, scores: entity.scores().to_vec() });
        said.iter().try_for_each(|said| table.row(said))?;
    }
    table.finish()
}

/// The rows of the earliest time that is left.
fn next(files: &mut [Rows], paths: &[&Path]) -> anyhow::Result<Option<Moment>> {
    let mut earliest = None;
    for (rows, path) in files.iter_mut().zip(paths) {
        let at_ms = match rows.peek() {
            Some(Ok(row)) => row.sample.timestamp_ms,
            Some(Err(error)) => bail!("cannot replay {}: {error}", path.display()),
            None => continue,
        };
        earliest = Some(earliest.map_or(at_ms, |earliest: i64| earliest.min(at_ms)));
    }
    let Some(at_ms) = earliest else { return Ok(None) };
    let (mut timestamp, mut samples) = (String::new(), Vec::new());
    for (number, rows) in files.iter_mut().enumerate() {
        if let Some(Ok(row)) =
            rows.next_if(|row| row.as_ref().is_ok_and(|row| row.sample.timestamp_ms == at_ms))
        {
            timestamp = row.timestamp;
            samples.push((number, row.sample));
        }
    }
    Ok(Some(Moment { timestamp, at_ms, samples }))
}

fn open(path: &Path) -> anyhow::Result<Rows> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(CsvRows::new(BufReader::new(file)).peekable())
}

/// What the parts are called: by their files, or where two of these are called alike by their paths.
fn names(paths: &[&Path]) -> Vec<String> {
    let stem = |path: &&Path| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let stems: Vec<String> = paths.iter().map(stem).collect();
    let alike = stems.iter().enumerate().any(|(at, stem)| stems[..at].contains(stem));
    if alike { paths.iter().map(|path| path.display().to_string()).collect() } else { stems }
}

// === impl Table ===

impl Table {
    fn begin(&mut self) -> anyhow::Result<()> {
        let parts: String = self.parts.iter().map(|part| format!(",{}", quoted(part))).collect();
        match self.format {
            Format::Scorer => writeln!(self.out, "timestamp,anomaly_score")?,
            _ => writeln!(self.out, "timestamp,anomaly_score,heaviest,share{parts}")?,
        }
        Ok(())
    }

    /// Writes what was said of a step. Times before it, of which nothing was said, have the score before.
    fn row(&mut self, said: &SaidTogether) -> anyhow::Result<()> {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.at_ms == said.timestamp_ms {
                self.last = said.score;
                return self.write(&waiting, Some(said));
            }
            self.write(&waiting, None)?;
        }
        Ok(())
    }

    /// Writes the row of one time, `said` having been said of it, if the format has a row for it.
    fn write(&mut self, waiting: &Waiting, said: Option<&SaidTogether>) -> anyhow::Result<()> {
        let Waiting { timestamp, scores, .. } = waiting;
        match (self.format, said) {
            (Format::Scorer, _) => {
                writeln!(self.out, "{timestamp},{}", self.last / (1.0 + self.last))?;
            }
            (_, Some(SaidTogether { score, heaviest, .. })) => {
                let heaviest = heaviest.as_ref().map(|(part, share)| format!("{},{share}", quoted(part)));
                write!(self.out, "{timestamp},{score},{}", heaviest.as_deref().unwrap_or(","))?;
                scores.iter().try_for_each(|score| write!(self.out, ",{score}"))?;
                writeln!(self.out)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        while let Some(waiting) = self.waiting.pop_front() {
            self.write(&waiting, None)?;
        }
        Ok(self.out.flush()?)
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
