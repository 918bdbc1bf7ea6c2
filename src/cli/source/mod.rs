//! The series that `backtest`, `features`, `forecast` and `profile` look at: a file, or a range of a Prometheus.

mod access;
#[cfg(feature = "archive")]
mod archive;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;

use crate::backtest::source::{CsvRows, ManyRows, Range, RangeQuery, Row, is_many};
use crate::backtest::{Moment, Series};
use crate::config::sections::HttpUrl;
use crate::config::units::PromDuration;

pub(super) use self::access::{Access, wrong};

/// Where the series comes from.
#[derive(Clone, Debug, Args)]
pub(super) struct SourceArgs {
    /// A file, or the URL of a Prometheus, which needs --query.
    ///
    /// A file is CSV: a timestamp (Unix seconds, or milliseconds) and a value in each line, a header or none, or many
    /// series under the header timestamp,series,value, as synth write makes it; - is the standard input. Or Parquet, by its ending .parquet: a column timestamp of 64-bit integers or of timestamps, and a
    /// column value of numbers.
    ///
    /// A folder, or s3://BUCKET/PREFIX, is an archive (section archive of the configuration): --query selects series of it, and each sample is as it
    /// came.
    #[arg(value_name = "FILE|FOLDER|URL")]
    input: String,
    /// What the series of a file is called, such as node_load1{instance="a"}. Of a query: what its results are called
    /// that lack a name.
    #[arg(long, value_name = "NAME")]
    series: Option<Series>,
    /// The PromQL expression to ask a Prometheus for; of an archive a selector. Each series of its value is looked at by
    /// itself.
    #[arg(long, value_name = "PROMQL")]
    query: Option<String>,
    /// Where the range of the query begins: -7d, Unix seconds, or a date with or without a time, in UTC.
    #[arg(long, value_name = "MOMENT", default_value = "-7d", allow_hyphen_values = true)]
    from: String,
    /// Where it ends.
    #[arg(long, value_name = "MOMENT", default_value = "now", allow_hyphen_values = true)]
    to: String,
    /// Time from one moment of the range to the next. As always with such queries, each moment has the newest sample
    /// before it; moments are multiples of the step.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    step: PromDuration,
    /// How long the answer to 11,000 moments of the query may take.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    timeout: PromDuration,
    /// A YAML file with basic_auth, authorization, oauth2, sigv4, tls_config and headers towards the Prometheus,
    /// spelled as in the section downstream of the configuration.
    #[arg(long, value_name = "FILE")]
    http_config: Option<PathBuf>,
    /// A header of the query, as 'Name: value'. May be given more than once.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
}

/// Rows in the order in which they come.
pub(super) type RowIter<'a> = &'a mut dyn Iterator<Item = anyhow::Result<Row>>;

/// Takes what a source has.
pub(super) trait Take {
    /// Told before the first row if there are several series.
    fn expect_several(&mut self);

    /// Takes the rows of one series, or of one series in one window of a query.
    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()>;
}

/// A file smaller than this is done before a bar could be read, and so are so few rows or moments.
const LONG_FILE: u64 = 8 << 20;
const MANY_ROWS: u64 = 200_000;

// === impl SourceArgs ===

impl SourceArgs {
    /// A file's path or a Prometheus' URL, as it was given.
    pub(super) fn input(&self) -> &str {
        &self.input
    }

    /// What is looked at, in a few words.
    pub(super) fn title(&self) -> String {
        match (&self.query, &self.series) {
            (Some(query), _) => query.clone(),
            (None, Some(series)) => series.to_string(),
            (None, None) if self.input == "-" => "the standard input".to_owned(),
            (None, None) => Path::new(&self.input)
                .file_name()
                .map_or_else(|| self.input.clone(), |name| name.to_string_lossy().into_owned()),
        }
    }

    /// Which data was asked for, for the lineage of what is made of it. Credentials that an URL may hold are not told.
    #[cfg(feature = "train")]
    pub(super) fn asked(&self) -> Vec<(&'static str, String)> {
        let source = match self.input.parse::<HttpUrl>() {
            Ok(url) => url.to_string(),
            Err(_) => self.input_name().to_owned(),
        };
        let mut asked = vec![("source", source)];
        asked.extend(self.series.as_ref().map(|series| ("called", series.to_string())));
        if let Some(query) = &self.query {
            let range = [("from", &self.from), ("to", &self.to)].map(|(name, moment)| (name, moment.clone()));
            asked
                .extend([("query", query.clone()), ("step", self.step.to_string())].into_iter().chain(range));
        }
        asked
    }

    /// Hands all rows to `taker`: those of a file at once, those of a query as its windows are answered.
    pub(super) fn replay(&self, taker: &mut dyn Take) -> anyhow::Result<()> {
        let is_url = self.input.starts_with("http://") || self.input.starts_with("https://");
        if is_url {
            return self.replay_query(taker).with_context(|| format!("cannot replay {}", self.title()));
        }
        if self.is_archive() {
            return self.replay_archive(taker).with_context(|| format!("cannot replay {}", self.input));
        }
        ensure!(self.query.is_none(), "--query needs the URL of a Prometheus in place of a file");
        self.replay_file(taker).with_context(|| format!("cannot replay {}", self.input_name()))
    }

    fn input_name(&self) -> &str {
        if self.input == "-" { "the standard input" } else { &self.input }
    }

    fn replay_file(&self, taker: &mut dyn Take) -> anyhow::Result<()> {
        let series = self.series.clone().unwrap_or_default();
        if self.input == "-" {
            return replay_csv(io::stdin().lock(), &ProgressBar::hidden(), &series, taker);
        }
        let path = Path::new(&self.input);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
            return replay_parquet(path, &series, taker);
        }
        let file = File::open(path).context("cannot open the file")?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let progress = progress_bar(size, LONG_FILE);
        let replayed = replay_csv(BufReader::new(file), &progress, &series, taker);
        progress.finish_and_clear();
        replayed
    }

    fn is_archive(&self) -> bool {
        self.input.starts_with("s3://") || Path::new(&self.input).is_dir()
    }

    #[cfg(not(feature = "archive"))]
    fn replay_archive(&self, _: &mut dyn Take) -> anyhow::Result<()> {
        bail!("it is a folder, and archives are not in this binary; build it with the feature archive")
    }

    fn replay_query(&self, taker: &mut dyn Take) -> anyhow::Result<()> {
        let Some(promql) = &self.query else {
            bail!("a Prometheus needs a query: --query 'node_load1{{instance=\"a\"}}'");
        };
        let now = now();
        let access = Access::load(self.http_config.as_deref(), &self.header)?;
        let base: HttpUrl = self.input.parse()?;
        let range = Range {
            promql: promql.clone(),
            from: Moment::read(&self.from, now).context("--from")?,
            to: Moment::read(&self.to, now).context("--to")?,
            step: self.step.get(),
            timeout: self.timeout.get(),
        };
        let mut query = RangeQuery::new(access.client()?, &base, access.headers()?, range)?;
        let (runtime, moments) = (runtime()?, query.left());
        let progress = progress_bar(moments, MANY_ROWS);
        let base = self.series.clone().unwrap_or_default();
        let mut is_first = true;
        while let Some(window) = runtime.block_on(query.next())? {
            if is_first && window.stretches.len() > 1 {
                taker.expect_several();
            }
            is_first &= window.stretches.is_empty();
            for remark in &window.remarks {
                progress.suspend(|| eprintln!("remark of the server: {}", super::logging::printable(remark)));
            }
            for stretch in window.stretches {
                let named = !stretch.series.metric_name().is_empty();
                let series = if named { stretch.series } else { stretch.series.on(&base) };
                taker.take(&series, &mut stretch.rows.into_iter().map(Ok))?;
            }
            progress.set_position(moments - query.left());
        }
        progress.finish_and_clear();
        ensure!(!is_first, "the query has no sample from {} to {}", self.from, self.to);
        Ok(())
    }
}

/// This moment.
pub(super) fn now() -> Moment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Moment(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// Waits for other servers, on this thread.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}

fn replay_csv(
    mut file: impl BufRead,
    progress: &ProgressBar,
    series: &Series,
    taker: &mut dyn Take,
) -> anyhow::Result<()> {
    let mut first = String::new();
    file.read_line(&mut first).context("line 1 cannot be read")?;
    if is_many(&first) {
        return replay_many(file, progress, taker);
    }
    let mut rows = CsvRows::new(first.as_bytes().chain(file));
    let rows = std::iter::from_fn(|| {
        let row = rows.next()?;
        progress.set_position(rows.bytes());
        Some(row.map_err(anyhow::Error::from))
    });
    taker.take(series, &mut { rows })
}

fn replay_many(file: impl BufRead, progress: &ProgressBar, taker: &mut dyn Take) -> anyhow::Result<()> {
    let mut rows = ManyRows::new(file);
    taker.expect_several();
    loop {
        let window = rows.window()?;
        progress.set_position(rows.bytes());
        if window.is_empty() {
            return Ok(());
        }
        for (series, rows) in window {
            taker.take(&series, &mut rows.into_iter().map(Ok))?;
        }
    }
}

#[cfg(feature = "archive")]
fn replay_parquet(path: &Path, series: &Series, taker: &mut dyn Take) -> anyhow::Result<()> {
    let mut rows = crate::backtest::source::ParquetRows::open(path)?;
    let progress = progress_bar(rows.rows(), MANY_ROWS);
    let rows = std::iter::from_fn(|| {
        progress.inc(1);
        rows.next().map(|row| row.map_err(anyhow::Error::from))
    });
    let replayed = taker.take(series, &mut { rows });
    progress.finish_and_clear();
    replayed
}

#[cfg(not(feature = "archive"))]
fn replay_parquet(_: &Path, _: &Series, _: &mut dyn Take) -> anyhow::Result<()> {
    bail!("Parquet is not in this binary; build it with the feature archive, or give the series as CSV")
}

/// A bar on the standard error for what is long; nothing where that is no terminal.
fn progress_bar(length: u64, long: u64) -> ProgressBar {
    if length < long {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("reading {bar:40} {percent:>3} %, {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Whether whoever reads the output has had enough, as `head` has.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}
