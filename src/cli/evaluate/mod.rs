//! `sidelong evaluate`: may a challenger take the champion's place?

mod parties;
mod watch;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;

use self::parties::{Asked, PartiesArgs};
use self::watch::Watch;
use super::judge::{JudgeArgs, read_incidents, read_yaml};
use super::logging::printable;
use super::model::now_ms;
use super::source::{SourceArgs, is_broken_pipe, now, runtime};
use super::tracking::{RunArgs, ServerArgs};
use crate::backtest::Moment;
use crate::evaluate::{Data, Evaluation, Gate, Sides, Trial, Verdict};
use crate::net::chain;
use crate::series::labels::METRIC_NAME;

/// Judge a challenger beside the champion on metrics of the past, and say whether it may take its place.
///
/// Both score the same samples on the production path. What is known to have gone wrong stands in a file of incidents; what came
/// before the judged time only teaches. The verdict comes of a gate that is written down: the exit status is 0 where it says
/// promote, 3 where it says refuse, and what `--json` writes is what `sidelong model promote` asks for.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    parties: PartiesArgs,
    /// What is known to have gone wrong: CSV of start,end or start,end,selector in Unix seconds or dates, or the truth that synth
    /// write writes.
    #[arg(long, value_name = "FILE")]
    incidents: PathBuf,
    /// The first moment that is judged; what came before only teaches. By default the first 15 % of the time are not judged, nor
    /// is what one of the models was trained on.
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    judge_from: Option<String>,
    /// The label by which series are put together: no family may lose much, whatever the others gain.
    #[arg(long, value_name = "LABEL", default_value = METRIC_NAME)]
    by: String,
    /// The gate in YAML, or a file that holds it; what it does not name is as in docs/evaluation.md.
    #[arg(long, value_name = "FILE|YAML")]
    gate: Option<String>,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write everything as a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    run: RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  sidelong evaluate week.csv --incidents incidents.csv --challenger candidate --json evaluation.json --html evaluation.html
  sidelong evaluate s3://metrics/archive --query '{job=\"node\"}' --incidents incidents.csv --store s3://models/prod --challenger 3f9c
  sidelong evaluate http://prometheus:9090 --query '{job=\"node\"}' --from -7d --incidents incidents.csv --challenger candidate \\
      --gate 'min_incidents: 20'
  sidelong model promote --store s3://models/prod --key promotion.pem 3f9c --reason 'weekly' --evaluation evaluation.json";

/// The exit code where the gate says no.
const REFUSED: u8 = 3;
/// The share of the time that only teaches.
const TEACHES: f64 = 0.15;

/// Runs `sidelong evaluate`, and gives its exit code.
///
/// # Errors
///
/// Models or series that cannot be had, or a place that takes no report.
pub(super) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    // Nothing that is wrong with it is to be found after hours.
    let (mlflow, start_ms) = (args.server.client()?, now_ms());
    let evaluation = args.evaluate()?;
    if let Some(path) = &args.json {
        write(path, |out| Ok(writeln!(out, "{}", serde_json::to_string_pretty(&evaluation)?)?))
            .context("--json")?;
    }
    if let Some(path) = &args.html {
        write(path, |out| Ok(evaluation.write_page(out)?)).context("--html")?;
    }
    match write!(io::stdout().lock(), "{}", printable(&evaluation.to_string())).map_err(anyhow::Error::from) {
        Err(error) if !is_broken_pipe(&error) => return Err(error),
        _ => {}
    }
    if let Some(mlflow) = mlflow {
        let telling = args.run.telling(start_ms);
        match runtime()?.block_on(mlflow.tell_of(&evaluation, &telling)) {
            Ok(run) => eprintln!("MLflow: run {run} of the experiment {}", telling.experiment),
            // The verdict stands, whoever hears of it.
            Err(error) => eprintln!("warning: MLflow does not know all of it: {}", printable(&chain(&error))),
        }
    }
    Ok(match evaluation.verdict {
        Verdict::Promote => ExitCode::SUCCESS,
        Verdict::Refuse => ExitCode::from(REFUSED),
    })
}

fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(cannot)?);
    content(&mut out)?;
    out.flush().with_context(cannot)
}

// === impl EvaluateArgs ===

impl EvaluateArgs {
    fn evaluate(&self) -> anyhow::Result<Evaluation> {
        let gate: Gate =
            self.gate.as_deref().map(|gate| read_yaml(gate, "--gate")).transpose()?.unwrap_or_default();
        gate.check().map_err(anyhow::Error::msg).context("--gate")?;
        let path = self.incidents.display();
        let (incidents, text) = read_incidents(&self.incidents, "--incidents")?;
        ensure!(!incidents.all().is_empty(), "{path} (--incidents) names no incident: nothing can be judged");
        let asked_from =
            self.judge_from.as_deref().map(|from| Moment::read(from, now()).context("--judge-from"));
        let asked_from = asked_from.transpose()?;
        let judge = self.judge.judge()?;
        self.judge.ensure_of_models(&judge)?;
        let models = self.parties.find()?;
        let mut watch = Watch::new(&judge, models.map(|asked| Arc::clone(&asked.model)));
        self.source.replay(&mut watch)?;
        let mut trials = watch.finish();
        let from_ms = asked_from.map_or_else(|| judged_from(&trials, &models), |Moment(from_ms)| from_ms);
        for trial in &mut trials {
            trial.judge_from(from_ms);
            let labels: Vec<_> =
                trial.series.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            // What had begun before is neither an incident that somebody could find, nor ordinary.
            for (_, incident) in incidents.of(&labels) {
                if trial.at_ms.first().is_some_and(|first_ms| incident.from_ms < *first_ms) {
                    trial.judge_from(incident.to_ms);
                }
            }
            for (number, incident) in incidents.of(&labels) {
                trial.mark(number, incident.from_ms, incident.to_ms);
            }
        }
        trials.retain(|trial| !trial.at_ms.is_empty());
        ensure!(
            !trials.is_empty(),
            "no sample is left to judge from {} on: the models were trained on all of them, or --judge-from is too late",
            Moment(from_ms)
        );
        let data = Data::new(self.source.title(), &text, self.judge.asked());
        let detectors = models.map(|asked| &asked.model.detector);
        let parties = models.map(|asked| asked.party.clone());
        Ok(Evaluation::new(parties, detectors, &trials, &incidents, data, gate, &self.by))
    }
}

/// Where judging begins: behind the time that teaches, and behind all that a model was trained on.
fn judged_from(trials: &[Trial], models: &Sides<Asked>) -> i64 {
    let first = trials.iter().filter_map(|trial| trial.at_ms.first()).min().copied().unwrap_or(0);
    let last = trials.iter().filter_map(|trial| trial.at_ms.last()).max().copied().unwrap_or(0);
    let taught = first + (TEACHES * (last - first) as f64) as i64;
    let trained =
        [&models.champion, &models.challenger].into_iter().filter_map(|asked| asked.party.trained_on_ms);
    // A window that does not touch these data takes nothing from them.
    let trained = trained.filter(|[from, to]| *from <= last && first <= *to).map(|[_, to]| to);
    trained.fold(taught, i64::max)
}
