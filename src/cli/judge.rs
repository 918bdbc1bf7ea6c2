//! Who judges a past series, and by what rule.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::de::DeserializeOwned;

use super::model::{read, usable};
use super::source::wrong;
use crate::backtest::{Corridor, CorridorError, Entity, Incidents, Series};
use crate::config::Config;
use crate::config::units::PromDuration;
use crate::config::yaml;
use crate::context::{Attached, Board, Effect};
use crate::detect::{Method, Part, Parts};
use crate::model::Model;
use crate::rules::RawRule;
use crate::rules::config::{RawKind, RawOutput};

/// Who judges, and by what.
#[derive(Clone, Debug, Args)]
pub(super) struct JudgeArgs {
    /// A rule in YAML to judge by, or a file that holds one; spelled as in rules of the configuration. What it
    /// selects does not count, nor what it sends, but that anomaly_confidence in provide_series adds that column.
    #[arg(long, value_name = "FILE|YAML")]
    rule: Option<String>,
    /// Which detector judges, whatever the rule says; hybrid by default.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Method::ALL.map(Method::name)))]
    detector: Option<String>,
    /// The folder of a bundle whose model judges, as train and model export write one; by default the model that is built in.
    #[arg(long, value_name = "FOLDER", conflicts_with = "without")]
    model: Option<PathBuf>,
    /// Judge the rate per second of a counter in place of the value, whatever the series is called.
    #[arg(long)]
    counter: bool,
    #[command(flatten)]
    context: ContextArgs,
    /// Leave a part of the hybrid detector out, to see what it is worth. May be given more than once.
    #[arg(long, value_name = "PART", hide = true, value_parser = PossibleValuesParser::new(Part::ALL.map(Part::name)))]
    without: Vec<String>,
}

/// What was known beforehand of the time that is looked at.
#[derive(Clone, Debug, Args)]
pub(super) struct ContextArgs {
    /// A file whose section context counts as it does in a running Sidelong: its configuration, or one with that section
    /// alone. What was announced there is not in it.
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
}

/// Makes a corridor for each series.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    board: Board,
    model: Arc<Model>,
    rule: RawRule,
}

// === impl JudgeArgs ===

impl JudgeArgs {
    /// By what is judged, where it is not the default: for the lineage of what is made of it.
    pub(super) fn asked(&self) -> Vec<(&'static str, String)> {
        let context = self.context.context.as_ref().map(|path| path.display().to_string());
        let counter = self.counter.then(|| "true".to_owned());
        let asked = [
            ("rule", self.rule.clone()),
            ("detector", self.detector.clone()),
            ("counter", counter),
            ("context", context),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Refuses what would have the models of others judged by something else than they are.
    pub(super) fn ensure_of_models(&self, judge: &Judge) -> anyhow::Result<()> {
        ensure!(
            self.model.is_none() && self.without.is_empty(),
            "--model and --without are not for this command"
        );
        let method = judge.rule.detector;
        ensure!(
            method == Method::Hybrid,
            "the detector {} asks no model: all models would be the same to it; leave --detector out, and detector out of --rule",
            method.name()
        );
        Ok(())
    }

    /// The judge that was asked for.
    pub(super) fn judge(&self) -> anyhow::Result<Judge> {
        let rule =
            self.rule.as_deref().map_or_else(|| Ok(RawRule::default()), |rule| read_yaml(rule, "--rule"))?;
        let kind = if self.counter { RawKind::Counter } else { rule.kind };
        let detector = self.detector.as_deref().and_then(Method::named).unwrap_or(rule.detector);
        let without: Parts = self.without.iter().filter_map(|name| Part::named(name)).collect();
        Ok(Judge {
            board: self.context.board()?,
            model: Arc::new(match &self.model {
                Some(folder) => usable(&read(folder)?).context("--model")?,
                None => Model::without(without),
            }),
            rule: RawRule { kind, detector, ..rule },
        })
    }
}

// === impl ContextArgs ===

impl ContextArgs {
    /// The contexts of the file; none where none was given.
    pub(super) fn board(&self) -> anyhow::Result<Board> {
        let Some(path) = &self.context else { return Ok(Board::default()) };
        let section = Config::load_context(path)?;
        let section =
            section.with_context(|| format!("--context: {} has no section context", path.display()))?;
        Ok(Board::new(section.contexts().context("--context")?))
    }
}

/// Whether a series is suppressed at a time.
#[derive(Debug)]
pub(super) struct Suppressed<'a> {
    board: &'a Board,
    attached: Attached,
}

// === impl Suppressed ===

impl<'a> Suppressed<'a> {
    /// Of `series`, by `board`.
    pub(super) fn new(board: &'a Board, series: &Series) -> Self {
        let mut attached = Attached::default();
        attached.attach(board, &series.labels().collect::<Vec<_>>());
        Self { board, attached }
    }

    /// Whether the detector learns nothing of it at `at_ms`.
    pub(super) fn at(&mut self, at_ms: i64) -> bool {
        self.attached.effect_at(self.board, at_ms) == Some(Effect::Suppress)
    }
}

/// The incidents of the file at `path`, which `option` names, and its text.
pub(super) fn read_incidents(path: &Path, option: &str) -> anyhow::Result<(Incidents, Vec<u8>)> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {} ({option})", path.display()))?;
    let incidents = Incidents::read(text.as_slice());
    Ok((incidents.with_context(|| format!("{} ({option})", path.display()))?, text))
}

/// What is in the file called `text`, or else in `text` itself; `option` asks for it.
pub(super) fn read_yaml<T: DeserializeOwned>(text: &str, option: &str) -> anyhow::Result<T> {
    let path = Path::new(text);
    if path.is_file() {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        return yaml::from_str(&text).map_err(|problems| wrong(path, &problems));
    }
    ensure!(text.contains(':'), "{option} {text} is neither a file nor YAML");
    yaml::from_str(text).map_err(|problems| wrong(Path::new(option), &problems))
}

// === impl Judge ===

impl Judge {
    /// When `series` is suppressed.
    pub(super) fn suppressed(&self, series: &Series) -> Suppressed<'_> {
        Suppressed::new(&self.board, series)
    }

    /// A corridor for `series`.
    pub(super) fn corridor(&self, series: &Series) -> Result<Corridor, CorridorError> {
        self.corridor_by(Arc::clone(&self.model), series)
    }

    /// The same where `model` judges.
    pub(super) fn corridor_by(&self, model: Arc<Model>, series: &Series) -> Result<Corridor, CorridorError> {
        Ok(Corridor::new(model, self.rule.clone(), series)?.under(&self.board))
    }

    /// An entity of `parts`, with steps of `step_ms`.
    pub(super) fn entity(&self, parts: &[Series], step_ms: i64) -> Result<Entity, CorridorError> {
        let entity = Entity::new(Arc::clone(&self.model), self.rule.clone(), parts, step_ms)?;
        Ok(entity.under(&self.board))
    }

    /// The same judge, which forecasts `at`, or where that is empty what its rule says, or `otherwise`.
    pub(super) fn forecasting(mut self, at: &[PromDuration], otherwise: &[PromDuration]) -> Self {
        if !at.is_empty() {
            self.rule.forecast_at = Some(at.to_vec());
        }
        self.rule.forecast_at.get_or_insert_with(|| otherwise.to_vec());
        self
    }

    /// A corridor for `series` that forecasts it.
    pub(super) fn corridor_with_forecasts(&self, series: &Series) -> Result<Corridor, CorridorError> {
        let corridor = Corridor::with_forecasts(Arc::clone(&self.model), self.rule.clone(), series)?;
        Ok(corridor.under(&self.board))
    }

    /// Whether the rule asks for the confidence.
    pub(super) fn has_confidence(&self) -> bool {
        self.rule.provides(RawOutput::AnomalyConfidence)
    }

    /// Who it is, in a sentence.
    pub(super) fn describe(&self) -> String {
        let rule =
            if self.rule.name.is_empty() { String::new() } else { format!(", rule {}", self.rule.name) };
        let version = env!("CARGO_PKG_VERSION");
        format!("Scored by Sidelong {version}, detector {}{rule}.", self.rule.detector.name())
    }
}
