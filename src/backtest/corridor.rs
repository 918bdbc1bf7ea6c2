//! A pipeline of its own for one series.

use std::ops::Range;
use std::sync::Arc;

use super::Series;
use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan};
use crate::context::Board;
use crate::detect::{Explanation, Foretold, WARM_UP};
use crate::inject::{Emit, Fan, Fans, Injected, Names, TemplateError, Workloads};
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Limits, Pipeline, Settings, Visit, Wiring};
use crate::rules::config::{OneOrMany, RawOutput};
use crate::rules::{Kind, OutputNames, RawRule, RuleError, RuleSet, RuleSetError, Selector};
use crate::series::labels::{METRIC_NAME, Pair, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};
use crate::signals::Signal;

/// The metric name that a series without one goes by.
const NAMELESS: &str = "backtest";
/// Every series that has a metric name.
const ANY: &str = "{__name__=~\".+\"}";

/// Leads one series through the production pipeline.
#[derive(Debug)]
pub struct Corridor {
    pipeline: Pipeline,
    scope: Arc<Scope>,
    batch: Batch,
    labels: Labels,
    names: Names,
    /// What the forecasts that the rule asks for are called.
    fans: Fans,
    /// Selects the series.
    any: Selector,
    signal: Signal,
    /// Samples that must have taught before one is given a score.
    warm_up: u32,
    before: Option<Sample>,
    last: Said,
    foretold: Vec<Foretold>,
}

/// What was said of one sample. NaN where nothing was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// The value that was judged: the sample's, or of a counter its rate per second.
    pub judged: f64,
    /// At least 0; 1 and above is an anomaly.
    pub score: f64,
    /// The forecast for this sample, made before it was seen.
    pub expected: f64,
    /// The lower edge of its band.
    pub lower: f64,
    /// The upper edge of its band.
    pub upper: f64,
    /// How far the score is to be trusted, where the rule asks for it.
    pub confidence: Option<f64>,
}

/// Why there is no corridor.
#[derive(Debug, thiserror::Error)]
pub enum CorridorError {
    /// A rule that cannot be.
    #[error("the rule is wrong: {}", all(.0))]
    Rule(Vec<RuleError>),
    /// A rule by which its series are not scored.
    #[error("the rule leaves its series unscored; take exclude out to see what would be said of them")]
    Excludes,
    /// A series of scores: Sidelong passes its own output by.
    #[error("{0} is what Sidelong itself says of a series; name the series that was scored")]
    OwnOutput(Series),
    /// Rules that make no set.
    #[error("the rule makes no set")]
    Rules(#[from] RuleSetError),
    /// A name template that makes no names.
    #[error("the names of the scores are wrong")]
    Names(#[from] TemplateError),
    /// No room for even one series.
    #[error("there is no room for the series")]
    Scope,
}

/// Takes what comes out for one sample.
struct Listener<'a> {
    names: &'a Names,
    fans: &'a Fans,
    heard: Option<Said>,
    foretold: &'a mut Vec<Foretold>,
}

/// The labels of the series.
#[derive(Debug)]
struct Labels(Series);

// === impl Corridor ===

impl Corridor {
    /// A corridor in which `model` judges `series` by `rule`; what the rule selects and sends is overruled, but for
    /// the confidence.
    ///
    /// # Errors
    ///
    /// A rule that cannot be, or a series that is never scored.
    pub fn new(model: impl Into<Arc<Model>>, rule: RawRule, series: &Series) -> Result<Self, CorridorError> {
        Self::with_forecasts(model, RawRule { forecast_at: None, ..rule }, series)
    }

    /// The same with the forecasts that `rule` asks for.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`].
    pub fn with_forecasts(
        model: impl Into<Arc<Model>>,
        rule: RawRule,
        series: &Series,
    ) -> Result<Self, CorridorError> {
        if rule.exclude {
            return Err(CorridorError::Excludes);
        }
        let mut outputs =
            vec![RawOutput::AnomalyScore, RawOutput::Yhat, RawOutput::YhatLower, RawOutput::YhatUpper];
        outputs.extend(rule.provides(RawOutput::AnomalyConfidence).then_some(RawOutput::AnomalyConfidence));
        let rule = RawRule {
            matches: OneOrMany(vec![ANY.into()]),
            provide_series: Some(outputs),
            emit: None,
            ..rule
        };
        let is_counter = Kind::from(rule.kind).is_counter(series.metric_name());
        let signal = if is_counter { Signal::Rate } else { Signal::Value };
        let table = Table::default();
        let names = Names::new("$VAR", table.interner())?;
        let name = series.metric_name();
        if names.all().any(|own| own == name) || names.is_forecast(name) {
            return Err(CorridorError::OwnOutput(series.clone()));
        }
        let rule = rule.check().map_err(CorridorError::Rule)?;
        let fans = names.fans(&rule.forecast_at, table.interner());
        let any = rule
            .selectors
            .first()
            .cloned()
            .ok_or_else(|| CorridorError::Rule(vec![RuleError::NoSelector]))?;
        let warm_up = rule.min_n_samples_seen.max(WARM_UP);
        let rules = vec![rule];
        let rules = RuleSet::compile(rules, Vec::new(), OutputNames::by_templates(["$VAR"]))?;
        let settings = Settings::new(rules, names, Limits::default());
        let slot = ModelSlot::new(model);
        let workloads = Workloads::new(Vec::new(), 0);
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(0), workloads, table);
        let scope = pipeline.scope(&ScopeName::Target(NAMELESS.into()), 0).ok_or(CorridorError::Scope)?;
        let key = Key::of(NAMELESS.as_bytes(), scope.seed(Spelling::Text));
        let spans = vec![SeriesSpan { key, labels: 0..1, samples: 0..1 }];
        let batch = Batch { series: spans, samples: Vec::with_capacity(1), ..Batch::default() };
        let labels = Labels(series.clone().on(&Series::from_iter([(METRIC_NAME, NAMELESS)])));
        let last = Said { score: 0.0, ..Said::NOTHING };
        let (before, foretold) = (None, Vec::new());
        Ok(Self { pipeline, scope, batch, labels, names, fans, any, signal, warm_up, before, last, foretold })
    }

    /// The same where the contexts of `board` are known beforehand.
    #[must_use]
    pub fn under(self, board: &Board) -> Self {
        self.pipeline.change_board(|_| (Some(board.clone()), ()));
        self
    }

    /// What is said of `sample`, the next of the series; nothing of a sample that teaches nothing: one that is
    /// older than the newest, has another value at its time, or is not a number.
    pub fn hear(&mut self, sample: Sample) -> Option<Said> {
        self.batch.samples.clear();
        self.batch.samples.push(sample);
        let visit = Visit {
            scope: &self.scope,
            batch: &self.batch,
            labels: &self.labels,
            now_ms: sample.timestamp_ms,
            wiring: Wiring::LoopBack,
        };
        self.foretold.clear();
        let mut listener =
            Listener { names: &self.names, fans: &self.fans, heard: None, foretold: &mut self.foretold };
        self.pipeline.score(&visit, &mut listener);
        // A repeat is told again what was said of it.
        let is_new = self.before.is_none_or(|before| before.timestamp_ms < sample.timestamp_ms);
        if !is_new {
            listener.foretold.clear();
        }
        let heard = listener.heard.filter(|_| is_new).map(|said| {
            let judged = self.signal.at(self.before.replace(sample), sample).unwrap_or(f64::NAN);
            Said { judged, ..said }
        });
        self.last = heard.unwrap_or(self.last);
        heard
    }

    /// Why the newest sample was given its score, as `/api/v1/explain` tells it; nothing where there was no
    /// forecast yet.
    pub fn explain(&self) -> Option<Explanation> {
        self.pipeline.explain(&self.any, 1).pop()?.explanation
    }

    /// Whether too little had been seen for a score when the newest sample came.
    pub fn is_warming_up(&self) -> bool {
        self.explain().is_none_or(|explanation| explanation.samples_seen < self.warm_up)
    }

    /// What was forecast with the sample that was heard last.
    pub fn foretold(&self) -> &[Foretold] {
        &self.foretold
    }

    /// What was said last; before anything was, the score 0.
    pub fn last(&self) -> Said {
        self.last
    }
}

// === impl Said ===

impl Said {
    const NOTHING: Self = Self {
        judged: f64::NAN,
        score: f64::NAN,
        expected: f64::NAN,
        lower: f64::NAN,
        upper: f64::NAN,
        confidence: None,
    };
}

// === impl Listener ===

impl Listener<'_> {
    /// Takes one series of a forecast: the expected value comes before its edges.
    fn foresee(&mut self, fan: &Fan, name: &'static Pair, sample: Sample) {
        let Sample { timestamp_ms: made_ms, value } = sample;
        let [expected, lower, _] = fan.names;
        match self.foretold.last_mut() {
            _ if std::ptr::eq(name, expected) => {
                let told =
                    Foretold { horizon: fan.horizon, made_ms, expected: value, lower: value, upper: value };
                self.foretold.push(told);
            }
            Some(told) if std::ptr::eq(name, lower) => told.lower = value,
            Some(told) => told.upper = value,
            None => {}
        }
    }
}

impl Emit for Listener<'_> {
    fn emit(&mut self, _: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        if let Some(fan) = self.fans.holding(name) {
            let fan = *fan;
            return self.foresee(&fan, name, sample);
        }
        let is = |output: Injected| std::ptr::eq(self.names.of(output), name);
        let said = self.heard.get_or_insert(Said::NOTHING);
        let slot = match () {
            () if is(Injected::AnomalyScore) => &mut said.score,
            () if is(Injected::Yhat) => &mut said.expected,
            () if is(Injected::YhatLower) => &mut said.lower,
            () if is(Injected::YhatUpper) => &mut said.upper,
            () if is(Injected::AnomalyConfidence) => said.confidence.insert(f64::NAN),
            () => return,
        };
        *slot = sample.value;
    }
}

// === impl Labels ===

impl LabelSource for Labels {
    fn for_each_label(&self, _: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.labels().for_each(|(name, value)| each(name.as_bytes(), value.as_bytes()));
    }
}

/// Each problem with the field that it is about.
fn all(errors: &[RuleError]) -> String {
    let problem = |error: &RuleError| format!("{}: {error}", error.field());
    errors.iter().map(problem).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_found_and_nothing_is_said_of_what_teaches_nothing() {
        let mut corridor = Corridor::new(Model::builtin(), RawRule::default(), &Series::default()).unwrap();
        let at = |i: i64, value| Sample { timestamp_ms: 1_700_000_000_000 + i * 60_000, value };
        for i in 0..200 {
            assert!(corridor.hear(at(i, 10.0 + (i * 7919 % 13) as f64)).unwrap().score < 1.0);
        }
        let jump = corridor.hear(at(200, 500.0)).unwrap();
        assert!(jump.score > 1.0 && jump.upper < 500.0 && jump.judged == 500.0, "{jump:?}");
        for nothing_new in [at(150, 10.0), at(200, 11.0), at(200, 500.0), at(201, f64::NAN)] {
            assert_eq!(corridor.hear(nothing_new), None);
            assert_eq!(corridor.last(), jump);
        }
    }
}
