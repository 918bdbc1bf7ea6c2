//! The demo's way through the production corridor: the page's text into the production parser, its batch
//! into the production pipeline, its scores back out.

use std::collections::HashMap;
use std::sync::Arc;

use super::witness::FULL;
use crate::batch::Sample;
use crate::config::Config;
use crate::inject::{Injected, Names, ScoreSample, TemplateError, Workloads};
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Limits, Pipeline, Settings, Visit, Wiring};
use crate::rules::preset::PresetError;
use crate::rules::{Emit, Output, OutputNames, Preset, Rule, RuleError, RuleSet, RuleSetError};
use crate::series::labels::{Interner, METRIC_NAME, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};
use crate::simulate::synth::Series;
use crate::terminal::Expected;
use crate::wire::exposition::{Format, Page, PageError, PageLimits, Syntax};

/// What is made of the page's series.
const CONFIG: &str = include_str!("sidelong.yml");
/// The forecasts that are asked for there.
const FORECAST: &str = "yhat_1h";

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
    /// The samples of the page in its order.
    pub(super) samples: Vec<Sample>,
    /// What the corridor said of each series that it scored, by number.
    pub(super) said: Vec<(usize, Said)>,
    /// Series that are on no page, met for the first time, in the order of their numbers.
    pub(super) met: Vec<Arc<SeriesLabels>>,
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
    /// The configuration cannot be read.
    #[error("the configuration of the demo is wrong: {0}")]
    Config(String),
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
    /// Those that are on no page, since this was last asked.
    made: Vec<Arc<SeriesLabels>>,
}

// === impl Corridor ===

impl Corridor {
    pub(super) fn new(series: &[Series]) -> Result<Self, CorridorError> {
        let interner = Interner::default();
        let names = Names::new("$VAR", &interner)?;
        let own = OutputNames::by_templates(["$VAR"]);
        let config =
            Config::from_yaml(CONFIG, &|_| None).map_err(|error| CorridorError::Config(error.to_string()))?;
        let of_config = config.rules.iter().map(|(_, rule)| with_band(Rule::clone(rule)));
        let rules = RuleSet::compile(presets()?, of_config.collect(), own)?;
        let settings = Settings::new(rules, names, Limits::default());
        let settings = settings.with_signals(config.signals.specs(), Emit::Always);
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

    /// Parses the page `text` of the moment `at_ms`, which has `rendered` series, and scores it.
    pub(super) fn score(&mut self, text: &str, at_ms: i64, rendered: usize) -> Result<Scores, CorridorError> {
        let format = Format { syntax: Syntax::Text, utf8_names: false };
        let limits = PageLimits { body_size: 64 << 20, samples: 1_000_000 };
        self.page.start(format, limits, self.scope.seed(Spelling::Text), at_ms);
        self.page.push(text.as_bytes())?;
        self.page.finish()?;
        let batch = self.page.batch();
        if batch.series.len() != rendered {
            return Err(CorridorError::Series { parsed: batch.series.len(), rendered });
        }
        self.scores.clear();
        let wiring = Wiring::Page { teach: true };
        let visit = Visit { scope: &self.scope, batch, labels: &self.page, now_ms: at_ms, wiring };
        self.pipeline.score(&visit, &mut self.scores);
        let samples = batch.series.iter().filter_map(|span| batch.samples_of(span).last().copied());
        let mut said = gather(&self.scores, &self.names, &mut self.directory);
        said.extend(forecasts(&self.scores, self.pipeline.series().interner(), &mut self.directory));
        Ok(Scores { samples: samples.collect(), said, met: std::mem::take(&mut self.directory.made) })
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
        let score = value(Injected::AnomalyScore)?;
        let number = directory.number(&made.first()?.labels);
        Some((number, Said { score, expected: expected() }))
    });
    said.collect()
}

/// The condition of the alert that says that a disk fills, as a series of its own: 1 where nothing is forecast to be
/// left, else 0.
fn forecasts(scores: &[ScoreSample], interner: &Interner, directory: &mut Directory) -> Vec<(usize, Said)> {
    let forecast = scores.iter().filter(|sample| sample.name.value() == FORECAST);
    let full = forecast.map(|sample| {
        let name = format!("{}{FULL}", sample.labels.metric_name());
        let labels = sample.labels.scored();
        let labels: Vec<_> =
            labels.map(|(label, value)| (label, if label == METRIC_NAME { &name } else { value })).collect();
        let number = directory.number(&Arc::new(SeriesLabels::of_scored(&labels, interner)));
        (number, Said { score: f64::from(u8::from(sample.sample.value <= 0.0)), expected: None })
    });
    full.collect()
}

// === impl Directory ===

impl Directory {
    fn new(series: &[Series]) -> Self {
        let key = |series: &Series| {
            let labels = series.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            sorted(labels.chain([(METRIC_NAME.to_owned(), series.name())]))
        };
        let numbers = series.iter().enumerate().map(|(number, series)| (key(series), number));
        Self { numbers: numbers.collect(), met: HashMap::new(), made: Vec::new() }
    }

    fn number(&mut self, labels: &Arc<SeriesLabels>) -> usize {
        let place = Arc::as_ptr(labels);
        if let Some((_, number)) = self.met.get(&place) {
            return *number;
        }
        let key = sorted(labels.scored().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let next = self.numbers.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.made.push(Arc::clone(labels));
        }
        self.met.insert(place, (Arc::clone(labels), number));
        number
    }
}

fn sorted(labels: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = labels.collect();
    labels.sort_unstable();
    labels
}

/// What the presets select, each with its forecast and its band.
fn presets() -> Result<Vec<Rule>, CorridorError> {
    let mut rules = Vec::new();
    for preset in [Preset::NodeExporter, Preset::Kubernetes, Preset::KubeStateMetrics, Preset::HttpRed] {
        for raw in preset.rules()? {
            rules.push(with_band(raw.check().map_err(CorridorError::Rule)?));
        }
    }
    Ok(rules)
}

fn with_band(rule: Rule) -> Rule {
    let band = [Output::AnomalyScore, Output::Yhat, Output::YhatLower, Output::YhatUpper];
    Rule { provide_series: band.into_iter().collect(), ..rule }
}
