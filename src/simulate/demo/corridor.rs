//! The demo's way through the production corridor: the page's text into the production parser, its batch
//! into the production pipeline, its scores back out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::Sample;
use crate::inject::{Injected, Names, ScoreSample, TemplateError, Workloads};
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Limits, Pipeline, Settings, Visit, Wiring};
use crate::rules::config::RawOutput;
use crate::rules::preset::PresetError;
use crate::rules::{OutputNames, Preset, Rule, RuleError, RuleSet, RuleSetError};
use crate::series::labels::{Interner, METRIC_NAME, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};
use crate::simulate::synth::Series;
use crate::terminal::Expected;
use crate::wire::exposition::{Format, Page, PageError, PageLimits, Syntax};

/// A pipeline of its own for one target, the exporter.
#[derive(Debug)]
pub(super) struct Corridor {
    pipeline: Pipeline,
    scope: Arc<Scope>,
    page: Page,
    names: Names,
    scores: Vec<ScoreSample>,
    directory: Directory,
}

/// What came of one page.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    /// The samples of the page in its order, which is that of the series' numbers.
    pub(super) samples: Vec<Sample>,
    /// What the corridor said of each series that it scored, by number.
    pub(super) said: Vec<(usize, Said)>,
}

/// What the corridor said of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) score: f64,
    /// Nothing while the series warms up.
    pub(super) expected: Option<Expected>,
}

/// Why the demo's page could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum CorridorError {
    /// A rule that cannot be.
    #[error("a rule of the demo is wrong: {0:?}")]
    Rule(Vec<RuleError>),
    /// A preset that cannot be read.
    #[error("a preset of the demo is wrong")]
    Preset(#[from] PresetError),
    /// Rules that make no set.
    #[error("the rules of the demo make no set")]
    Rules(#[from] RuleSetError),
    /// A name template that makes no names.
    #[error("the names of the demo's scores are wrong")]
    Names(#[from] TemplateError),
    /// No room for even one target.
    #[error("there is no room for the demo's target")]
    Scope,
    /// A page that the parser does not take.
    #[error("the page cannot be parsed")]
    Page(#[from] PageError),
    /// A page that has not the series that were rendered into it.
    #[error("the page has {parsed} series, not the {rendered} that were written")]
    Series {
        /// Series that the parser found.
        parsed: usize,
        /// Series that the exporter wrote.
        rendered: usize,
    },
}

/// Finds the number of a series by the labels of its scores.
#[derive(Debug)]
struct Directory {
    numbers: HashMap<Vec<(String, String)>, usize>,
    /// The labels already met, by their place in memory, where they stay while they are held here.
    met: HashMap<*const SeriesLabels, (Arc<SeriesLabels>, usize)>,
}

// === impl Corridor ===

impl Corridor {
    pub(super) fn new(series: &[Series]) -> Result<Self, CorridorError> {
        let interner = Interner::default();
        let names = Names::new("$VAR", &interner)?;
        let own = OutputNames::by_templates(["$VAR"]);
        let settings = Settings::new(RuleSet::compile(rules()?, Vec::new(), own)?, names, Limits::default());
        let slot = ModelSlot::new(Model::builtin());
        let workloads = Workloads::new(Vec::new(), 0);
        let pipeline =
            Pipeline::new(slot.handle(), settings, Scopes::new(0), workloads, Table::new(interner));
        let scope = pipeline.scope(&ScopeName::Target("synth".into()), 0).ok_or(CorridorError::Scope)?;
        Ok(Self {
            pipeline,
            scope,
            page: Page::new(),
            names,
            scores: Vec::new(),
            directory: Directory::new(series),
        })
    }

    /// Series that are scored by now.
    pub(super) fn scored_series(&self) -> usize {
        self.pipeline.series().len()
    }

    /// Parses the page `text` of the moment `at_ms` and scores it.
    pub(super) fn score(&mut self, text: &str, at_ms: i64) -> Result<Scores, CorridorError> {
        let format = Format { syntax: Syntax::Text, utf8_names: false };
        let limits = PageLimits { body_size: 64 << 20, samples: 1_000_000 };
        self.page.start(format, limits, self.scope.seed(Spelling::Text), at_ms);
        self.page.push(text.as_bytes())?;
        self.page.finish()?;
        let (batch, rendered) = (self.page.batch(), self.directory.numbers.len());
        if batch.series.len() != rendered {
            return Err(CorridorError::Series { parsed: batch.series.len(), rendered });
        }
        self.scores.clear();
        let wiring = Wiring::Page { teach: true };
        let visit = Visit { scope: &self.scope, batch, labels: &self.page, now_ms: at_ms, wiring };
        self.pipeline.score(&visit, &mut self.scores);
        let samples = batch.series.iter().filter_map(|span| batch.samples_of(span).last().copied());
        Ok(Scores {
            samples: samples.collect(),
            said: gather(&self.scores, &self.names, &mut self.directory),
        })
    }
}

/// Joins the up to four series that were made of each scored one, which stand side by side.
fn gather(scores: &[ScoreSample], names: &Names, directory: &mut Directory) -> Vec<(usize, Said)> {
    let of_one = scores.chunk_by(|a, b| Arc::ptr_eq(&a.labels, &b.labels));
    let said = of_one.filter_map(|made| {
        let value = |output: Injected| {
            let name = names.of(output).value();
            made.iter().find(|sample| sample.name.value() == name).map(|sample| sample.sample.value)
        };
        let expected = || {
            let (lower, upper) = (value(Injected::YhatLower)?, value(Injected::YhatUpper)?);
            Some(Expected { value: value(Injected::Yhat)?, lower, upper })
        };
        let number = directory.number(&made.first()?.labels)?;
        Some((number, Said { score: value(Injected::AnomalyScore)?, expected: expected() }))
    });
    said.collect()
}

// === impl Directory ===

impl Directory {
    fn new(series: &[Series]) -> Self {
        let key = |series: &Series| {
            let labels = series.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            sorted(labels.chain([(METRIC_NAME.to_owned(), series.name())]))
        };
        let numbers = series.iter().enumerate().map(|(number, series)| (key(series), number));
        Self { numbers: numbers.collect(), met: HashMap::new() }
    }

    fn number(&mut self, labels: &Arc<SeriesLabels>) -> Option<usize> {
        let place = Arc::as_ptr(labels);
        if let Some((_, number)) = self.met.get(&place) {
            return Some(*number);
        }
        let key = sorted(labels.scored().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let number = *self.numbers.get(&key)?;
        self.met.insert(place, (Arc::clone(labels), number));
        Some(number)
    }
}

fn sorted(labels: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = labels.collect();
    labels.sort_unstable();
    labels
}

/// What the demo scores: what the presets select, each with its forecast and its band.
fn rules() -> Result<Vec<Rule>, CorridorError> {
    let mut rules = Vec::new();
    for preset in [Preset::NodeExporter, Preset::Kubernetes, Preset::KubeStateMetrics, Preset::HttpRed] {
        for mut raw in preset.rules()? {
            raw.provide_series = Some(vec![
                RawOutput::AnomalyScore,
                RawOutput::Yhat,
                RawOutput::YhatLower,
                RawOutput::YhatUpper,
            ]);
            rules.push(raw.check().map_err(CorridorError::Rule)?);
        }
    }
    Ok(rules)
}
