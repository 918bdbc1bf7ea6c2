//! `sidelong train`: a candidate from metrics of the past.

mod tracking;
mod watch;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::judge::{JudgeArgs, read_incidents};
use super::model::{ensure_no_bundle, usable};
use super::source::SourceArgs;
use crate::backtest::Moment;
use crate::detect::Priors;
use crate::model::registry::EPISODE;
use crate::shard::Shard;
use crate::train::{Gatherer, Growth, Part, Seen};
use tracking::{Tracking, TrackingArgs};
use watch::Watch;

/// What `sidelong train` was asked for: to look at metrics, or to join what others have seen.
///
/// clap cannot derive a command that takes either arguments or a subcommand whose arguments are nested.
#[derive(Clone, Debug)]
pub(super) enum TrainArgs {
    Whole(Box<Whole>),
    Merge(Box<Merge>),
}

/// Train a model on metrics of the past, and write it as a candidate.
///
/// Each series walks the corridor by which it would be scored, and the isolation forest is grown from what the detector saw there. The
/// rest of the model is that of the built-in one. What is written is a bundle that nobody has signed: `sidelong model publish` and
/// `promote` have it serve.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Whole {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Incidents that are not to be taken for normal: CSV of start,end or start,end,selector in Unix seconds, or the truth that
    /// synth write writes.
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Look only at the Ith of N shards of the series, and write a part for `sidelong train merge`.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Decides which rows are picked and how trees divide them.
    #[arg(long, value_name = "NUMBER", default_value_t = Growth::default().seed)]
    seed: u64,
    /// Trees of the forest. More cost time at each score.
    #[arg(long, value_name = "COUNT", default_value_t = Growth::default().trees, value_parser = trees)]
    trees: usize,
    /// Samples of each series before its errors are used.
    #[arg(long, value_name = "COUNT", default_value_t = Growth::default().warm_up)]
    warm_up: u64,
    /// Fit an ARIMA model to the series of each value of this label, such as __name__: new series begin with what others of their kind have
    /// in common.
    #[arg(long, value_name = "LABEL")]
    group_by: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Make a candidate of the parts of all shards: the same as one machine would have made, bit for bit.
#[derive(Clone, Debug, Args)]
pub(super) struct Merge {
    /// The parts, in any order.
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// What is written.
#[derive(Clone, Debug, Args)]
struct Target {
    /// The folder of the bundle, which is made; of `train --shard` the file of the part.
    #[arg(long, value_name = "FOLDER|FILE")]
    out: PathBuf,
    /// Which model it is to be a version of.
    #[arg(long, value_name = "NAME", default_value = "sidelong")]
    name: String,
    /// When it was made, in Unix seconds; now by default. For those who want the same bits again.
    #[arg(long, value_name = "SECONDS")]
    created: Option<i64>,
    #[command(flatten)]
    tracking: TrackingArgs,
}

/// The subcommand.
const MERGE: &str = "merge";

const EXAMPLES: &str = "\
Examples:
  sidelong train http://prometheus:9090 --query '{job=\"node\"}' --from -14d --out candidate
  sidelong train metrics.csv --mask incidents.csv --out candidate
  sidelong train metrics.csv --shard 1/2 --out 1.part
  sidelong train merge 1.part 2.part --out candidate
  sidelong train metrics.csv --mlflow http://mlflow:5000 --episode api-latency --out candidate
  sidelong model publish --store s3://models/prod candidate";

fn trees(text: &str) -> Result<usize, String> {
    let most = crate::wire::model::MAX_TREES;
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("a forest has 1 to {most} trees"))
}

/// Runs `sidelong train`.
///
/// # Errors
///
/// A series that cannot be had, parts that make no whole, or a place that takes no model.
pub(super) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    match args {
        TrainArgs::Merge(merge) => merge.run(),
        TrainArgs::Whole(whole) => whole.run(),
    }
}

// === impl TrainArgs ===

impl Args for TrainArgs {
    fn augment_args(command: Command) -> Command {
        Whole::augment_args(command)
            .subcommand(Merge::augment_args(Command::new(MERGE)))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TrainArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((MERGE, matches)) => {
                Merge::from_arg_matches(matches).map(|merge| Self::Merge(Box::new(merge)))
            }
            _ => Whole::from_arg_matches(matches).map(|whole| Self::Whole(Box::new(whole))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

// === impl Whole ===

impl Whole {
    fn run(&self) -> anyhow::Result<()> {
        let Self { seed, trees, warm_up, .. } = *self;
        let growth = Growth { seed, trees, warm_up };
        let tracking = self.target.tracking.begin()?;
        if self.shard.is_some() {
            self.target.tracking.ensure_none()?;
        }
        let mask = self.mask.as_deref().map(|path| read_incidents(path, "--mask")).transpose()?;
        let (mask, _) = mask.unwrap_or_default();
        let judge = self.judge.judge()?;
        let gatherer =
            Gatherer::new(growth, self.shard.unwrap_or(Shard::ALL)).grouped_by(self.group_by.clone());
        let mut watch = Watch::new(&judge, &mask, gatherer);
        self.source.replay(&mut watch)?;
        let mut part = watch.finish();
        part.asked = self.asked();
        if self.mask.is_some() && part.seen.masked == 0 {
            eprintln!("warning: no sample is masked; do the times and selectors of --mask fit these series?");
        }
        match self.shard {
            None => self.target.write_bundle(part, tracking),
            Some(_) => self.target.write_part(&part),
        }
    }
}

impl Whole {
    /// What is looked at and how, for the lineage.
    fn asked(&self) -> BTreeMap<String, String> {
        let mask = self.mask.iter().map(|path| ("mask", path.display().to_string()));
        let asked = self.source.asked().into_iter().chain(self.judge.asked()).chain(mask);
        asked.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

// === impl Merge ===

impl Merge {
    fn run(&self) -> anyhow::Result<()> {
        let tracking = self.target.tracking.begin()?;
        let read = |path: &PathBuf| -> anyhow::Result<Part> {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            serde_json::from_reader(BufReader::new(file))
                .with_context(|| format!("{} is no part that `sidelong train --shard` wrote", path.display()))
        };
        let parts = self.parts.iter().map(read).collect::<anyhow::Result<_>>()?;
        self.target.write_bundle(Part::merge(parts)?, tracking)
    }
}

// === impl Target ===

impl Target {
    fn write_bundle(&self, mut part: Part, tracking: Option<Tracking<'_>>) -> anyhow::Result<()> {
        ensure_no_bundle(&self.out).context("--out")?;
        let priors = part.priors();
        tell_priors(&priors);
        part.asked.extend(self.tracking.episode().map(|episode| (EPISODE.to_owned(), episode.to_owned())));
        let bundle = part.candidate(&self.name, self.created_ms(), priors)?;
        usable(&bundle).context(
            "the candidate could not serve: leave --group-by out, or take a label with fewer values",
        )?;
        bundle.write(&self.out).with_context(|| self.cannot())?;
        println!("{}", told(&part.seen));
        println!("wrote a candidate to {}; next: sidelong model publish --store … {0}", self.out.display());
        if let Some(tracking) = tracking {
            tracking.tell(&bundle, &self.out);
        }
        Ok(())
    }

    fn write_part(&self, part: &Part) -> anyhow::Result<()> {
        let text = serde_json::to_vec(part)?;
        fs::write(&self.out, text).with_context(|| self.cannot())?;
        println!("shard {}: {}", part.shard, told(&part.seen));
        println!("wrote a part to {}; next: sidelong train merge with all others", self.out.display());
        Ok(())
    }

    fn created_ms(&self) -> i64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.created.unwrap_or_else(|| i64::try_from(now()).unwrap_or(i64::MAX)).saturating_mul(1_000)
    }

    fn cannot(&self) -> String {
        format!("cannot write {} (--out)", Path::new(&self.out).display())
    }
}

/// The models of groups, and what they are worth.
fn tell_priors(priors: &Priors) {
    for (value, prior) in &priors.groups {
        let ([p, d, q], ratio) = (prior.order, prior.error_ratio);
        println!(
            "{}={value}: ARIMA({p},{d},{q}) of {} series, squared errors {ratio:.2} of repeating the last value",
            priors.label, prior.series
        );
    }
}

fn told(seen: &Seen) -> String {
    let span = seen.span_ms.map(|[first, last]| format!(", {} to {}", Moment(first), Moment(last)));
    let Seen { series, windows, masked, .. } = seen;
    format!("{series} series, {windows} windows, {masked} samples masked{}", span.unwrap_or_default())
}
