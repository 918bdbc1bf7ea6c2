//! `sidelong synth`: the synthetic exporter and the synthetic data set.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::units::PromDuration;
use crate::simulate::serve::{ServeOptions, serve};
use crate::simulate::synth::{FleetOptions, Kind, MAX_EVENTS, MAX_INSTANCES, MONDAY_MS, Plan};
use crate::simulate::truth::Truth;
use crate::simulate::write::Stretch;

/// Make the metrics of a small fleet, with anomalies whose time, kind and place are known.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SynthArgs {
    #[command(subcommand)]
    command: SynthCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SynthCommand {
    /// Stand as an exporter: /metrics to scrape, /truth.json to compare with.
    ///
    /// Metrics come in the Prometheus text format 0.0.4 or in OpenMetrics 1.0.0, as the Accept header asks.
    /// synth_anomaly_active{kind, channel, target} is 1 while an injected anomaly is under way. The series
    /// carry the instance label of the node that they tell of: set honor_labels in the scrape job.
    Serve(ServeArgs),
    /// Write a stretch of the stream as CSV, and beside it what was injected.
    ///
    /// The first line is timestamp,series,value. Each further line is one sample: Unix seconds, the series
    /// in PromQL's spelling as a quoted CSV field (its own quotes doubled), and the value. All series of one
    /// moment stand together, in order of time. One node and its pod are 43 series: six of them every
    /// 15 seconds make about a million and a half rows, 145 MB, a day.
    Write(WriteArgs),
}

/// What `sidelong synth serve` takes.
#[derive(Clone, Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The address on which the exporter listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Seconds of stream time that pass in one second. Counters grow as many times faster, and with them
    /// their rates.
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Where the stream starts, in Unix seconds; the time of the day and the day of the week follow from
    /// it. The default is now.
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(i64).range(0..=MAX_START_S))]
    start: Option<i64>,
    /// Stream time without anomalies at the start.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    quiet: PromDuration,
    /// Mean stream time from one anomaly to the next; 0 injects none.
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    anomaly_every: PromDuration,
    /// Which kinds of anomalies there are.
    #[arg(long, value_enum, default_value_t)]
    kinds: Kinds,
}

/// What `sidelong synth write` takes.
#[derive(Clone, Debug, Args)]
struct WriteArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The file to write; - is the standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many days are written.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Time from one sample of a series to the next, in whole seconds.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = step)]
    step: u32,
    /// Where the stream starts, in Unix seconds. The default is Monday, 2026-01-05 00:00 UTC.
    #[arg(long, value_name = "SECONDS", default_value_t = MONDAY_MS / 1000, value_parser = value_parser!(i64).range(0..=MAX_START_S))]
    start: i64,
    /// The file for the ground truth, as JSON: kind, place, start, end and series of every anomaly. The
    /// default is the name of the data file with .labels.json for its extension; with --out - none is
    /// written unless named.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Time without anomalies at the start. The default is a quarter of the stretch, at most one day.
    #[arg(long, value_name = "DURATION")]
    quiet: Option<PromDuration>,
    /// Mean time from one anomaly to the next; 0 injects none.
    #[arg(long, value_name = "DURATION", default_value = "6h")]
    anomaly_every: PromDuration,
    /// Which kinds of anomalies there are.
    #[arg(long, value_enum, default_value_t)]
    kinds: Kinds,
}

/// Which anomalies are injected.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Kinds {
    /// Those that single series show: spikes, level shifts, drifts, flatlines, seasonal breaks, pod restarts.
    #[default]
    Series,
    /// Also those that show in signals: bursts of errors, loss of traffic, stragglers, strain, pods that vanish, disks that fill.
    All,
}

/// What every synthetic stream takes.
#[derive(Clone, Debug, Args)]
pub(super) struct FleetArgs {
    /// The number that every value and every anomaly follows from.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) seed: u64,
    /// How many nodes there are, each with one pod.
    #[arg(long, value_name = "N", default_value = "6", value_parser = value_parser!(u32).range(1..=i64::from(MAX_INSTANCES)))]
    pub(super) instances: u32,
}

const EXAMPLES: &str = "\
Examples:
  sidelong synth serve
  sidelong synth serve --listen 127.0.0.1:9200 --speed 60 --seed 7
  sidelong synth write --out fleet.csv --days 14
  sidelong synth write --out - --days 1 --step 1m --labels truth.json";

/// The year 9999: room for any stretch after it in 64-bit milliseconds.
const MAX_START_S: i64 = 253_402_300_799;

/// Runs `sidelong synth`.
///
/// # Errors
///
/// An address that cannot be listened on, a file that cannot be written.
pub fn run(args: &SynthArgs) -> anyhow::Result<()> {
    match &args.command {
        SynthCommand::Serve(args) => run_serve(args),
        SynthCommand::Write(args) => run_write(args),
    }
}

fn run_serve(args: &ServeArgs) -> anyhow::Result<()> {
    let start_s = match args.start {
        Some(start) => start,
        None => {
            SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs()
                as i64
        }
    };
    let options = ServeOptions {
        listen: args.listen,
        fleet: args.fleet.options(start_s * 1000, plan(args.quiet, args.anomaly_every, args.kinds)),
        speed: args.speed,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let shutdown = CancellationToken::new();
    runtime.block_on(async {
        let stop = shutdown.clone();
        tokio::spawn(async move {
            match asked_to_end().await {
                Ok(()) => stop.cancel(),
                Err(error) => eprintln!("cannot wait for Ctrl-C: {error}"),
            }
        });
        let ready = |address| {
            eprintln!(
                "metrics at http://{address}/metrics, the truth about them at http://{address}/truth.json"
            );
        };
        Ok(serve(options, shutdown, ready).await?)
    })
}

/// Waits until Ctrl-C is pressed or the process is asked to end (SIGTERM).
pub(super) async fn asked_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn run_write(args: &WriteArgs) -> anyhow::Result<()> {
    let stretch = args.stretch();
    if !stretch.remembers_all() {
        bail!(
            "more than {MAX_EVENTS} anomalies may be injected, and the ground truth lists no more; raise \
             --anomaly-every or lower --days"
        );
    }
    let progress = progress_bar(stretch.samples);
    let mut tell = |done| progress.set_position(done);
    let written = if args.is_stdout() {
        stretch.write(&mut BufWriter::new(io::stdout().lock()), &mut tell)
    } else {
        let file =
            File::create(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
        stretch.write(&mut BufWriter::with_capacity(1 << 20, file), &mut tell)
    };
    progress.finish_and_clear();
    let truth = match written {
        // Whoever reads the standard output may have had enough, as `head` has.
        Err(error) if args.is_stdout() && error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written.with_context(|| format!("cannot write {}", args.out.display()))?,
    };
    match args.labels_path() {
        Some(path) => write_truth(&truth, &path),
        None => Ok(()),
    }
}

fn write_truth(truth: &Truth, path: &Path) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, truth)?;
        Ok(file.flush()?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// A bar on the standard error; nothing where that is no terminal.
fn progress_bar(samples: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("writing {bar:40} {percent:>3} %, {eta} left");
    ProgressBar::new(samples).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

// === impl WriteArgs ===

impl WriteArgs {
    fn is_stdout(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    fn stretch(&self) -> Stretch {
        let quarter = PromDuration::from_secs(u64::from(self.days) * 86_400 / 4);
        let quiet = self.quiet.unwrap_or(quarter.min(PromDuration::from_secs(86_400)));
        let fleet = self.fleet.options(self.start * 1000, plan(quiet, self.anomaly_every, self.kinds));
        Stretch::of_days(fleet, self.days, self.step)
    }

    fn labels_path(&self) -> Option<PathBuf> {
        let beside = || (!self.is_stdout()).then(|| self.out.with_extension("labels.json"));
        self.labels.clone().or_else(beside)
    }
}

// === impl FleetArgs ===

impl FleetArgs {
    pub(super) fn options(&self, start_ms: i64, plan: Plan) -> FleetOptions {
        FleetOptions { seed: self.seed, instances: self.instances, start_ms, plan }
    }
}

fn plan(quiet: PromDuration, every: PromDuration, kinds: Kinds) -> Plan {
    let kinds = match kinds {
        Kinds::Series => Kind::OF_SERIES,
        Kinds::All => Kind::ALL,
    };
    Plan { quiet_ms: ms(quiet), every_ms: ms(every), kinds }
}

/// The milliseconds of `duration`, at most a thousand years of them: a plan beyond is as good as none, and
/// cannot overflow.
pub(super) fn ms(duration: PromDuration) -> i64 {
    const MAX_MS: u64 = 1_000 * 365 * 86_400_000;
    duration.as_millis().min(MAX_MS) as i64
}

/// Reads a speed: above 0 and at most 10,000, so that a stream can keep up with it.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed <= 10_000.0 => Ok(speed),
        _ => Err("a speed is a number above 0 and at most 10000".to_owned()),
    }
}

fn step(text: &str) -> Result<u32, String> {
    let step: PromDuration = text.parse().map_err(|error| format!("{error}"))?;
    let seconds =
        u32::try_from(step.as_millis() / 1000).ok().filter(|seconds| (1..=86_400).contains(seconds));
    let whole = step.as_millis().is_multiple_of(1000);
    seconds.filter(|_| whole).ok_or_else(|| "a step is whole seconds, from 1s to 1d".to_owned())
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

    #[derive(Debug, Subcommand)]
    enum Command {
        Synth(SynthArgs),
    }

    fn parse(line: &str) -> Result<SynthCommand, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| match cli.command {
            Command::Synth(args) => args.command,
        })
    }

    fn write_args(line: &str) -> WriteArgs {
        match parse(line).unwrap() {
            SynthCommand::Write(args) => args,
            SynthCommand::Serve(_) => panic!("{line}"),
        }
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        let examples: Vec<&str> = EXAMPLES.lines().skip(1).collect();
        assert_eq!(examples.len(), 4);
        for example in examples {
            parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    #[test]
    fn the_exporter_stands_on_loopback_unless_told_otherwise() {
        let SynthCommand::Serve(args) = parse("sidelong synth serve").unwrap() else { panic!() };
        assert_eq!(args.listen, SocketAddr::from(([127, 0, 0, 1], 8000)));
        assert_eq!((args.speed, args.fleet.seed, args.fleet.instances), (1.0, 1, 6));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |line: &str| assert!(parse(line).is_err(), "{line}");
        check("sidelong synth serve --speed 0");
        check("sidelong synth serve --speed NaN");
        check("sidelong synth serve --instances 0");
        check("sidelong synth serve --start -1");
        check("sidelong synth write --out a.csv");
        check("sidelong synth write --days 1");
        check("sidelong synth write --out a.csv --days 0");
        check("sidelong synth write --out a.csv --days 1 --step 1500ms");
        check("sidelong synth write --out a.csv --days 1 --step 0");
    }

    #[test]
    fn labels_lie_beside_the_data() {
        let of = |line: &str| write_args(line).labels_path();
        assert_eq!(of("sidelong synth write --days 1 --out a/b.csv"), Some("a/b.labels.json".into()));
        assert_eq!(of("sidelong synth write --days 1 --out -"), None);
        assert_eq!(of("sidelong synth write --days 1 --out - --labels c.json"), Some("c.json".into()));
    }

    #[test]
    fn a_written_stretch_is_on_disk_with_its_truth() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("fleet.csv");
        let line = format!("sidelong synth write --days 1 --step 1h --instances 1 --out {}", out.display());
        run_write(&write_args(&line)).unwrap();
        let csv = std::fs::read_to_string(&out).unwrap();
        assert_eq!(csv.lines().filter(|line| line.contains("node_load1{")).count(), 24);
        let truth = std::fs::read_to_string(folder.path().join("fleet.labels.json")).unwrap();
        assert!(!serde_json::from_str::<Truth>(&truth).unwrap().events.is_empty());
    }

    #[test]
    fn more_anomalies_than_the_truth_can_list_are_refused() {
        let error =
            run_write(&write_args("sidelong synth write --days 30 --anomaly-every 1m --out x")).unwrap_err();
        assert!(error.to_string().contains("--anomaly-every"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_created_is_named() {
        let line = "sidelong synth write --days 1 --step 1d --out /nowhere/at/all.csv";
        let error = run_write(&write_args(line)).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.csv"), "{error}");
    }
}
