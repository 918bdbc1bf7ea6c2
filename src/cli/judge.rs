//! Who judges a past series, and by what rule.

use std::path::Path;

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::source::wrong;
use crate::backtest::{Corridor, CorridorError, Series};
use crate::config::units::PromDuration;
use crate::config::yaml;
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
    /// Judge the rate per second of a counter in place of the value, whatever the series is called.
    #[arg(long)]
    counter: bool,
    /// Leave a part of the hybrid detector out, to see what it is worth. May be given more than once.
    #[arg(long, value_name = "PART", hide = true, value_parser = PossibleValuesParser::new(Part::ALL.map(Part::name)))]
    without: Vec<String>,
}

/// Makes a corridor for each series.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    without: Parts,
    rule: RawRule,
}

// === impl JudgeArgs ===

impl JudgeArgs {
    /// The judge that was asked for.
    pub(super) fn judge(&self) -> anyhow::Result<Judge> {
        let rule = self.rule.as_deref().map_or_else(|| Ok(RawRule::default()), read_rule)?;
        let kind = if self.counter { RawKind::Counter } else { rule.kind };
        let detector = self.detector.as_deref().and_then(Method::named).unwrap_or(rule.detector);
        Ok(Judge {
            without: self.without.iter().filter_map(|name| Part::named(name)).collect(),
            rule: RawRule { kind, detector, ..rule },
        })
    }
}

/// The rule in the file called `text`, or else in `text` itself.
fn read_rule(text: &str) -> anyhow::Result<RawRule> {
    let path = Path::new(text);
    if path.is_file() {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        return yaml::from_str(&text).map_err(|problems| wrong(path, &problems));
    }
    ensure!(text.contains(':'), "--rule {text} is neither a file nor a rule in YAML");
    yaml::from_str(text).map_err(|problems| wrong(Path::new("--rule"), &problems))
}

// === impl Judge ===

impl Judge {
    /// A corridor for `series`.
    pub(super) fn corridor(&self, series: &Series) -> Result<Corridor, CorridorError> {
        Corridor::new(Model::without(self.without), self.rule.clone(), series)
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
        Corridor::with_forecasts(Model::without(self.without), self.rule.clone(), series)
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
